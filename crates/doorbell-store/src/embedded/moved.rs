//! The marker of a store that has gone to another home: a file `moved`, whose second line says where to.

use super::journal::write::sync_dir;
use super::open::OpenError;
use super::private;
use crate::store::StoreError;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

const NAME: &str = "moved";
const FIRST_LINE: &str = "doorbell store moved 1";

/// Refuses a directory whose store has moved.
///
/// # Errors
/// [`OpenError::Moved`], or when the file cannot be read.
pub(super) fn check(dir: &Path) -> Result<(), OpenError> {
    let marker = dir.join(NAME);
    match fs::read(&marker) {
        Ok(text) => {
            let text = String::from_utf8_lossy(&text);
            let to = text.lines().nth(1).unwrap_or("another home").to_owned();
            Err(OpenError::Moved { to, marker })
        }
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(fault) => Err(OpenError::at(&marker)(fault)),
    }
}

/// Puts the marker there, durably.
///
/// # Errors
/// When it cannot be written; then there is none.
pub(super) fn mark(dir: &Path, to: &str) -> Result<(), StoreError> {
    let marker = dir.join(NAME);
    let new = marker.with_extension("new");
    let write = || {
        let mut file = private::file(&new)?;
        file.write_all(format!("{FIRST_LINE}\n{to}\n").as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &marker)
    };
    write().and_then(|()| sync_dir(dir)).map_err(|fault| {
        // Whether it is there or not must be certain.
        drop(fs::remove_file(&marker));
        StoreError::Failed(format!("{} cannot be written: {fault}", marker.display()))
    })
}
