//! How a store is opened: its settings, and what can go wrong.

use super::journal::read::ReadError;
use super::journal::recover::RecoverError;
use super::journal::write::WriteError;
use crate::store::StoreError;
use doorbell_core::time::Time;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Settings of an embedded store. Those of [`Options::at`] are right for a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What time it is: dedupe keys that expired before are not loaded.
    pub now: Time,
    /// Bytes after which a new segment of the journal begins; retention drops whole segments.
    pub segment_bytes: u64,
    /// Bytes that have to be free on the disk for new events to be taken; deliveries go on with half of it, and reading
    /// with less. With none the index cannot take in what fills the disk, and reading stops.
    pub reserve_bytes: u64,
    /// Records that may wait for the disk at once; more are answered [`StoreError::Busy`].
    pub queue_records: usize,
    /// Bytes of records that may wait for the disk at once.
    pub queue_bytes: usize,
    /// Bytes of the journal by which the index may fall behind since the start; then new events are answered
    /// [`StoreError::Busy`] until it has caught up. What was there at the start does not count, so that a store whose
    /// index is built again takes events meanwhile.
    pub lag_bytes: u64,
    /// Settled deliveries that the index may not have heard of yet, about a hundred bytes of memory each; then likewise.
    pub lag_settled: usize,
    /// How long the index may lag behind when nobody reads: what is done by then costs one row instead of three.
    pub index_lag: Duration,
}

impl Options {
    /// The settings of a server that opens its store at this time.
    #[must_use]
    pub const fn at(now: Time) -> Self {
        Self {
            now,
            segment_bytes: 64 << 20,
            reserve_bytes: 256 << 20,
            queue_records: 16_384,
            queue_bytes: 64 << 20,
            lag_bytes: 1 << 30,
            lag_settled: 500_000,
            index_lag: Duration::from_millis(100),
        }
    }
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{0} is in use by another process; stop it, or choose another data directory")]
    Locked(PathBuf),
    /// Everything in it has gone to another home.
    #[error(
        "everything in this store has moved to {to}: set store.url (or --store) to that database. To go back to what was here \
         at the moment of the move, and lose what came after, remove {marker}"
    )]
    Moved {
        /// Where to.
        to: String,
        /// The file that says so.
        marker: PathBuf,
    },
    /// A file was written by a newer version.
    #[error("{0}")]
    Newer(String),
    /// A file belongs to another store.
    #[error("{0}")]
    Foreign(String),
    /// The disk is full.
    #[error("no space is left for the store")]
    Full,
    /// A file or directory cannot be read or written.
    #[error("{path}: {fault}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        fault: io::Error,
    },
    /// The journal, the index or the configuration cannot be opened.
    #[error("{0}")]
    Failed(String),
}

impl OpenError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |fault| Self::Io { path, fault }
    }
}

impl From<RecoverError> for OpenError {
    fn from(error: RecoverError) -> Self {
        match error {
            RecoverError::Newer { .. } => Self::Newer(error.to_string()),
            RecoverError::Foreign { .. } => Self::Foreign(error.to_string()),
            RecoverError::Io { path, fault } => Self::Io { path, fault },
        }
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<WriteError> for OpenError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Full => Self::Full,
            WriteError::Undone(fault) => {
                Self::Failed(format!("the journal cannot be written: {fault}"))
            }
            WriteError::Broken(why) => Self::Failed(why),
        }
    }
}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}
