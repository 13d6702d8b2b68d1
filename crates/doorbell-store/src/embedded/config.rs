//! stub
use crate::changes;
use crate::store::StoreError;
use doorbell_core::configuration::{Change, Configuration};
use std::path::Path;
use std::sync::Mutex;
#[derive(Debug)]
pub struct Config(Mutex<Configuration>);
impl Config {
    pub fn open(_: &Path) -> Result<Self, StoreError> {
        Ok(Self(Mutex::new(changes::initial())))
    }
    pub fn configure(&self, c: &[Change]) -> Result<(), StoreError> {
        let mut g = self.0.lock().unwrap();
        *g = changes::applied(g.clone(), c)?;
        Ok(())
    }
    pub fn configuration(&self) -> Result<Configuration, StoreError> {
        Ok(self.0.lock().unwrap().clone())
    }
}
