//! The tables of one partition, and how its file is opened.
//!
//! | table | one row for | found by |
//! |---|---|---|
//! | `events` | an event | `seq`, id, kind |
//! | `deliveries` | a delivery | `seq`, id, lane and state, due time, order key, replay |
//! | `kinds` | tenant + source + event type + fate | read whole |
//! | `lanes` | kind + endpoint, with counts by state | read whole |
//! | `endpoints`, `replays` | an id that rows refer to by a small number | id |
//! | `marks` | some thousand events in a row: the times between which they were received | `seq` |
//! | `meta` | the partition | |
//!
//! A filter is looked up among the kinds and lanes first, of which there are few, and then in the one index that lists
//! the rows of each in order. That answers every combination of filters without a look at rows that do not fit.

use super::Error;
use crate::embedded::private;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// Of the tables below. Another version on disk means: build the index again.
const VERSION: i64 = 2;

/// Pages of the write-ahead log (4 KiB each) after which `SQLite` moves them into the database.
const WAL_PAGES: u32 = 8192;
/// Page cache of the writer of one partition, in KiB.
const WRITER_CACHE_KIB: u32 = 16 << 10;
/// Page cache of one reading connection, in KiB.
const READER_CACHE_KIB: u32 = 2 << 10;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 48;

const TABLES: &str = "
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    applied INTEGER NOT NULL,
    floor INTEGER NOT NULL,
    last INTEGER NOT NULL,
    events INTEGER NOT NULL,
    deliveries INTEGER NOT NULL,
    forgotten INTEGER NOT NULL,
    waiting INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    holding INTEGER NOT NULL,
    oldest INTEGER NOT NULL,
    newest INTEGER NOT NULL,
    event_low INTEGER NOT NULL,
    event_high INTEGER NOT NULL,
    delivery_low INTEGER NOT NULL,
    delivery_high INTEGER NOT NULL
) STRICT;
CREATE TABLE kinds (
    ref INTEGER PRIMARY KEY,
    tenant BLOB NOT NULL,
    source BLOB,
    event_type TEXT,
    fate INTEGER NOT NULL,
    mixed INTEGER NOT NULL
) STRICT;
CREATE TABLE endpoints (ref INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE replays (ref INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE) STRICT;
CREATE TABLE lanes (
    ref INTEGER PRIMARY KEY,
    kind INTEGER,
    endpoint INTEGER NOT NULL,
    waiting INTEGER NOT NULL DEFAULT 0,
    delivered INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    discarded INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE marks (
    seq INTEGER PRIMARY KEY,
    events INTEGER NOT NULL,
    oldest INTEGER NOT NULL,
    newest INTEGER NOT NULL
) STRICT;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    id_high INTEGER NOT NULL,
    id_low INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    body_len INTEGER NOT NULL,
    method TEXT,
    event_type TEXT,
    fate BLOB
) STRICT;
CREATE INDEX event_by_id ON events (id_high);
CREATE INDEX event_by_kind ON events (kind);
CREATE TABLE deliveries (
    seq INTEGER PRIMARY KEY,
    id_high INTEGER NOT NULL,
    id_low INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    state INTEGER NOT NULL,
    detail INTEGER NOT NULL,
    moment INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    last_at INTEGER,
    ending INTEGER,
    updated INTEGER,
    order_key INTEGER,
    held_key INTEGER,
    replay INTEGER
) STRICT;
CREATE INDEX delivery_by_id ON deliveries (id_high);
CREATE INDEX delivery_by_lane ON deliveries (lane, state);
CREATE INDEX delivery_by_state ON deliveries (state) WHERE state >= 2;
CREATE INDEX delivery_by_due ON deliveries (endpoint, moment) WHERE state = 0 AND order_key IS NULL;
CREATE INDEX delivery_by_due_keyed ON deliveries (endpoint, moment)
    WHERE state = 0 AND order_key IS NOT NULL;
CREATE INDEX delivery_by_key ON deliveries (endpoint, held_key) WHERE held_key IS NOT NULL;
CREATE INDEX delivery_by_replay ON deliveries (replay, state) WHERE replay IS NOT NULL;
";

/// Opens (and if need be makes) the file of a partition for its one writer.
pub(super) fn open_writer(file: &Path) -> Result<Connection, Error> {
    // SQLite would make it for everyone to read; its other files get the mode of this one.
    private::new_file(file)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    connection.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE_KIB))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    match version(&connection)? {
        VERSION => Ok(connection),
        0 => {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
            Ok(connection)
        }
        _ => Err(Error::Damaged("it was written by another version")),
    }
}

/// Opens the file of a partition for reading.
pub(super) fn open_reader(file: &Path) -> Result<Connection, Error> {
    // The write-ahead log needs shared memory that even a reader writes to.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -i64::from(READER_CACHE_KIB))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    if version(&connection)? == VERSION {
        Ok(connection)
    } else {
        Err(Error::Damaged("it was written by another version"))
    }
}

fn version(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}
