//! Whether the files of an index that is not open are what was written, as far as `SQLite` can tell. It changes nothing.

use super::Error;
use super::checkpoint::{Checkpoint, partition_file, partitions_on_disk};
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};

/// A file of the index that is damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDamage {
    /// Which.
    pub file: PathBuf,
    /// What was found first.
    pub detail: String,
}

/// Checks every page, entry and value of every partition. It takes a few seconds for a million events. An index without
/// a checkpoint is built again at the next start anyhow, so nothing is said of it.
///
/// # Errors
/// [`Error::Io`] when the folder cannot be read.
pub fn inspect(dir: &Path) -> Result<Vec<IndexDamage>, Error> {
    if !dir.exists() || Checkpoint::load(dir)?.is_none() {
        return Ok(Vec::new());
    }
    let files = partitions_on_disk(dir)?.into_iter().map(|first| partition_file(dir, first));
    Ok(files.filter_map(look_at).collect())
}

fn look_at(file: PathBuf) -> Option<IndexDamage> {
    let detail = match verdict(&file) {
        Ok(verdict) if verdict == "ok" => return None,
        Ok(verdict) => verdict,
        Err(error) => error.to_string(),
    };
    Some(IndexDamage { file, detail })
}

/// `ok`, or what is wrong. Tables are STRICT, so values of a wrong type are found too.
fn verdict(file: &Path) -> rusqlite::Result<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(file, flags)?;
    db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
}
