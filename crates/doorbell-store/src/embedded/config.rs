//! The configuration of the embedded home: one small `SQLite` file, each change durable when it returns.
//!
//! That no name is there twice is kept by its indexes. The documents in it hold secrets, so nobody but its owner may read
//! it. Nothing of events or deliveries comes in here.

use super::private;
use crate::changes;
use crate::store::StoreError;
use doorbell_core::configuration::{Change, Configuration, Resource};
use doorbell_wire::stored_config::{self, DocumentError, Kind};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, params};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Of the table below; in `user_version`.
const VERSION: i64 = 1;
/// `Bell`, in `application_id`: tells the file from other databases.
const APPLICATION: i64 = 0x4265_6c6c;

const TABLE: &str = "
CREATE TABLE resources (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    tenant TEXT NOT NULL,
    name TEXT,
    document TEXT NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (kind, id),
    UNIQUE (kind, tenant, name)
) STRICT;
CREATE UNIQUE INDEX source_names ON resources (name) WHERE kind = 'source';
CREATE UNIQUE INDEX tenant_uids ON resources (name) WHERE kind = 'tenant';
";

/// Why the configuration cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be made or opened.
    #[error("the configuration's file cannot be opened: {0}")]
    Io(#[from] io::Error),
    /// `SQLite` could not.
    #[error("the configuration's file failed: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The file is another program's.
    #[error("the configuration's file is not one of Doorbell's")]
    Foreign,
    /// The file was written by a newer version.
    #[error(
        "the configuration was written by a newer Doorbell (layout {found}, this one knows {VERSION}); use that one"
    )]
    Newer {
        /// Its version.
        found: i64,
    },
    /// One document cannot be read.
    #[error("the stored {kind} {id} cannot be read: {why}")]
    Document {
        /// Of which kind.
        kind: String,
        /// Which.
        id: String,
        /// Why.
        why: DocumentError,
    },
    /// A name is taken, or something has to stay.
    #[error(transparent)]
    Refused(StoreError),
}

/// `SQLITE_IOERR_FSYNC` and `SQLITE_IOERR_DIR_FSYNC`: after these nothing can be promised.
const FAILED_SYNCS: [i32; 2] = [1034, 1290];

impl From<ConfigError> for StoreError {
    fn from(error: ConfigError) -> Self {
        let text = error.to_string();
        match error {
            ConfigError::Refused(refused) => refused,
            ConfigError::Document { .. } | ConfigError::Foreign | ConfigError::Newer { .. } => {
                Self::Corrupt(text)
            }
            ConfigError::Io(_) => Self::Failed(text),
            ConfigError::Sqlite(inner) => match inner.sqlite_error() {
                Some(code) if FAILED_SYNCS.contains(&code.extended_code) => Self::Broken(text),
                Some(code) if code.code == ErrorCode::DiskFull => Self::Full,
                Some(code)
                    if matches!(
                        code.code,
                        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase
                    ) =>
                {
                    Self::Corrupt(text)
                }
                Some(_) | None => Self::Failed(text),
            },
        }
    }
}

/// The configuration's file. Methods block.
#[derive(Debug)]
pub struct Config(Mutex<Connection>);

impl Config {
    /// Opens the file, or makes it with nothing but the default tenant in it.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn open(file: &Path) -> Result<Self, ConfigError> {
        make(file)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut db = Connection::open_with_flags(file, flags)?;
        check(&db)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        if version(&db)? == 0 {
            let transaction = db.transaction()?;
            transaction.execute_batch(TABLE)?;
            for tenant in changes::initial().tenants {
                insert(&transaction, &Resource::Tenant(tenant))?;
            }
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        Ok(Self(Mutex::new(db)))
    }

    /// Everything that is configured, each list sorted by id.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn configuration(&self) -> Result<Configuration, ConfigError> {
        load(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The file as it is now, as bytes. `beside` is a name in the same directory for what is only needed meanwhile.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub(super) fn snapshot(&self, beside: &Path) -> Result<Vec<u8>, ConfigError> {
        // One that a crash left behind would be refused.
        drop(std::fs::remove_file(beside));
        private::file(beside)?;
        let to = beside.to_string_lossy();
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .execute("VACUUM INTO ?", params![to])?;
        let bytes = std::fs::read(beside)?;
        std::fs::remove_file(beside)?;
        Ok(bytes)
    }

    /// Makes all changes or none; they are durable when this returns. Nothing is read but what is changed.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] when a name is taken; otherwise [`ConfigError`].
    pub fn configure(&self, changes: &[Change]) -> Result<(), ConfigError> {
        let last = changes::last_words(changes).map_err(ConfigError::Refused)?;
        let mut db = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let transaction = db.transaction()?;
        // All old ones go first: two may swap their names.
        for id in last.keys() {
            let sql = "DELETE FROM resources WHERE kind = ? AND id = ?";
            transaction
                .prepare_cached(sql)?
                .execute(params![Kind::of_id(*id).word(), changes::id_text(*id)])?;
        }
        for resource in last.values().flatten() {
            insert(&transaction, resource)?;
        }
        Ok(transaction.commit()?)
    }
}

/// Makes the file if it is not there, for its owner alone, so that it is there after a power cut.
fn make(file: &Path) -> Result<(), ConfigError> {
    if let Some(made) = private::new_file(file)? {
        made.sync_all()?;
        if let Some(dir) = file.parent() {
            File::open(dir)?.sync_all()?;
        }
    }
    Ok(())
}

fn version(db: &Connection) -> Result<i64, ConfigError> {
    Ok(db.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Whether the file is ours, and not of a later day.
fn check(db: &Connection) -> Result<(), ConfigError> {
    let found = version(db)?;
    let application: i64 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let new = found == 0 && application == 0 && tables == 0;
    if !new && application != APPLICATION {
        return Err(ConfigError::Foreign);
    }
    if found > VERSION { Err(ConfigError::Newer { found }) } else { Ok(()) }
}

fn load(db: &Connection) -> Result<Configuration, ConfigError> {
    let mut all = Configuration::default();
    let mut statement = db.prepare("SELECT kind, id, document FROM resources ORDER BY kind, id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, id, document): (String, String, String) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        let known = Kind::of_word(&kind).ok_or(DocumentError::Value("kind"));
        match known.and_then(|known| stored_config::decode(known, &document)) {
            Ok(resource) => changes::collect(&mut all, resource),
            Err(why) => return Err(ConfigError::Document { kind, id, why }),
        }
    }
    Ok(all)
}

fn insert(transaction: &Transaction<'_>, resource: &Resource) -> Result<(), ConfigError> {
    let id = resource.id();
    let kind = Kind::of(resource).word();
    let document = stored_config::encode(resource).map_err(|why| ConfigError::Document {
        kind: kind.to_owned(),
        id: changes::id_text(id),
        why,
    })?;
    let (tenant, name, updated) = changes::columns(resource);
    let row = params![
        kind,
        changes::id_text(id),
        tenant.to_string(),
        name,
        document,
        updated.ms().cast_signed()
    ];
    let mut statement =
        transaction.prepare_cached("INSERT INTO resources VALUES (?, ?, ?, ?, ?, ?)")?;
    match statement.execute(row) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            Err(ConfigError::Refused(changes::taken(kind, name.unwrap_or_default())))
        }
        done => Ok(done.map(drop)?),
    }
}
