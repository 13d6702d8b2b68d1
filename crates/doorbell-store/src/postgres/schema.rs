//! The tables, version by version. A start checks them; `doorbell migrate` brings them up.
//!
//! Version N and N+1 of Doorbell run side by side during an upgrade: a migration says down to which version those that
//! know only an older layout may go on (`serves`).

use super::config;
use super::line::Open;
use super::partitions::LOCK;
use super::rows::get;
use crate::store::StoreError;

/// A step from one layout to the next.
struct Migration {
    version: i32,
    /// The oldest layout of which a node may go on after this step.
    serves: i32,
    sql: &'static str,
}

const MIGRATIONS: [Migration; 4] = [
    Migration { version: 1, serves: 1, sql: include_str!("schema/0001.sql") },
    Migration { version: 2, serves: 1, sql: include_str!("schema/0002.sql") },
    Migration { version: 3, serves: 1, sql: include_str!("schema/0003.sql") },
    Migration { version: 4, serves: 1, sql: include_str!("schema/0004.sql") },
];

/// The layout that this version knows.
pub(super) const VERSION: i32 = 4;

/// How the database stands to this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// There is nothing of ours.
    Empty,
    /// As this version wants it, or newer in a way that it can go on with.
    Fits,
    /// Older: `doorbell migrate` brings it up.
    Older {
        /// Its version.
        found: i32,
    },
    /// Too new for this version.
    Newer {
        /// Its version.
        found: i32,
    },
}

/// Looks how the database stands.
pub(super) async fn look(line: &Open) -> Result<Layout, StoreError> {
    let there = line.query("SELECT to_regclass('migrations') IS NOT NULL", &[]).await?;
    if !there.first().map_or(Ok(false), |row| get(row, 0))? {
        return Ok(Layout::Empty);
    }
    let sql = "SELECT version, serves FROM migrations ORDER BY version DESC LIMIT 1";
    let rows = line.query(sql, &[]).await?;
    let Some(row) = rows.first() else { return Ok(Layout::Empty) };
    let (found, serves): (i32, i32) = (get(row, 0)?, get(row, 1)?);
    Ok(match found {
        _ if found < VERSION => Layout::Older { found },
        _ if serves > VERSION => Layout::Newer { found },
        _ => Layout::Fits,
    })
}

/// Brings the database up to this version; the steps that were made. Nodes that come at the same time wait for each other.
pub(super) async fn migrate(line: &Open) -> Result<Vec<i32>, StoreError> {
    line.batch(&format!("BEGIN; {LOCK}")).await?;
    let made = steps(line).await;
    let ended = line.batch(if made.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    ended.and(made)
}

async fn steps(line: &Open) -> Result<Vec<i32>, StoreError> {
    line.batch(TABLE).await?;
    let found = line.query("SELECT coalesce(max(version), 0) FROM migrations", &[]).await?;
    let found: i32 = found.first().map_or(Ok(0), |row| get(row, 0))?;
    let mut made = Vec::new();
    for step in MIGRATIONS.iter().filter(|step| step.version > found) {
        line.batch(step.sql).await?;
        let note = "INSERT INTO migrations (version, serves) VALUES ($1, $2)";
        line.query(note, &[&step.version, &step.serves]).await?;
        made.push(step.version);
    }
    if found == 0 {
        config::begin(line).await?;
    }
    Ok(made)
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations (
    version int4 PRIMARY KEY, serves int4 NOT NULL, at timestamptz NOT NULL DEFAULT now())";
