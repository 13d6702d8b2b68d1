//! The configuration in use: an immutable snapshot that everyone looks things up in, replaced when something changes.

use doorbell_core::directory::{Directory, Settings};
use doorbell_store::{AnyStore, Store as _, StoreError};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::Mutex;

/// The snapshot in use and how to renew it.
#[derive(Debug)]
pub struct Configured {
    store: Arc<AnyStore>,
    settings: Settings,
    current: RwLock<Arc<Directory>>,
    /// One renewal at a time, so that an older reading cannot replace a newer one.
    renewing: Mutex<()>,
}

impl Configured {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn load(store: Arc<AnyStore>, settings: Settings) -> Result<Self, StoreError> {
        let directory = Directory::new(&store.configuration().await?, &settings, None);
        let current = RwLock::new(Arc::new(directory));
        Ok(Self { store, settings, current, renewing: Mutex::default() })
    }

    /// The snapshot in use. Hold it for one request, not longer.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the configuration again; when this returns, requests see it. To be called after each change.
    ///
    /// # Errors
    /// Those of reading; the old snapshot stays.
    pub async fn renew(&self) -> Result<(), StoreError> {
        let _one = self.renewing.lock().await;
        let configuration = self.store.configuration().await?;
        let new = Directory::new(&configuration, &self.settings, Some(&self.directory()));
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        Ok(())
    }
}
