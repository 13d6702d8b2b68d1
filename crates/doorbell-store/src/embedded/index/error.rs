//! What can go wrong with the index, and what that means for who asked.

use crate::store::StoreError;
use rusqlite::ErrorCode;

/// Why the index could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `SQLite` could not.
    #[error("the index failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The file system could not.
    #[error("the index's files failed")]
    Io(#[from] std::io::Error),
    /// Its files are not (or no longer) what was written; discard it and build it again from the journal.
    #[error("the index is damaged: {0}")]
    Damaged(&'static str),
    /// The cursor is none of this list.
    #[error("this is no cursor of this list")]
    BadCursor,
}

impl Error {
    /// Whether the index has to be discarded and built again from the journal.
    #[must_use]
    pub fn wants_rebuild(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Sqlite(error) => is_damage(error),
            Self::Io(_) | Self::BadCursor => false,
        }
    }
}

/// Of the file as a whole, or of a value: one that was written is never of another type or out of range.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    let corrupt = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    );
    corrupt
        || matches!(
            error,
            E::FromSqlConversionFailure(..)
                | E::IntegralValueOutOfRange(..)
                | E::Utf8Error(..)
                | E::InvalidColumnType(..)
        )
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let full = |code| code == Some(ErrorCode::DiskFull);
        match &error {
            Error::BadCursor => Self::BadCursor,
            Error::Sqlite(inner) if full(inner.sqlite_error_code()) => Self::Full,
            Error::Io(inner) if inner.kind() == std::io::ErrorKind::StorageFull => Self::Full,
            Error::Damaged(_) => Self::Corrupt(error.to_string()),
            Error::Sqlite(inner) if is_damage(inner) => Self::Corrupt(format!("{error}: {inner}")),
            Error::Sqlite(inner) => Self::Failed(format!("{error}: {inner}")),
            Error::Io(inner) => Self::Failed(format!("{error}: {inner}")),
        }
    }
}
