//! The days into which the large tables are cut: made before they are needed, and dropped whole.

use super::line::Open;
use super::place::first_at;
use super::rows::get;
use crate::store::StoreError;
use doorbell_core::time::Time;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::sync::Mutex;

const DAY_MS: u64 = 24 * 3600 * 1000;

/// The tables that are cut into days.
pub(super) const TABLES: [&str; 3] = ["events", "deliveries", "attempts"];

/// A day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(u64);

impl Day {
    /// The day in which an event with this place lies.
    pub(super) fn of_place(seq: i64) -> Self {
        Self(u64::try_from(seq >> 20).unwrap_or(0) / DAY_MS)
    }

    /// The day of a table's name.
    pub(super) fn of_table(name: &str) -> Option<Self> {
        name.strip_prefix("events_")?.parse().ok().map(Self)
    }

    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Its first place.
    pub(super) fn first(self) -> i64 {
        first_at(self.start())
    }

    fn start(self) -> Time {
        Time::EPOCH.after(Duration::from_millis(self.0.saturating_mul(DAY_MS)))
    }

    /// When it is over.
    pub(super) fn end(self) -> Time {
        self.next().start()
    }

    pub(super) fn table(self, of: &str) -> String {
        format!("{of}_{}", self.0)
    }
}

/// The days that are known to be there.
#[derive(Debug, Default)]
pub(super) struct Days(Mutex<BTreeSet<Day>>);

impl Days {
    /// Sees to it that these days are there.
    pub(super) async fn ensure(
        &self,
        wanted: impl IntoIterator<Item = Day>,
        line: &Open,
    ) -> Result<(), StoreError> {
        let mut known = self.0.lock().await;
        for day in wanted {
            if !known.contains(&day) {
                make(day, line).await?;
                known.insert(day);
            }
        }
        Ok(())
    }

    /// They may be gone: another node drops days too.
    pub(super) async fn forget(&self) {
        self.0.lock().await.clear();
    }
}

/// Attached, not made in place: that would wait for everyone who reads the whole table, and hold up who comes after.
async fn make(day: Day, line: &Open) -> Result<(), StoreError> {
    let mut sql = String::from("BEGIN; ");
    sql.push_str(LOCK);
    sql.push_str(" DO $$ BEGIN ");
    for table in TABLES {
        let (name, from, to) = (day.table(table), day.first(), day.next().first());
        let _infallible = write!(
            sql,
            "IF to_regclass('{name}') IS NULL THEN \
             CREATE TABLE {name} (LIKE {table} INCLUDING ALL); \
             ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to}); END IF; "
        );
    }
    sql.push_str("END $$; COMMIT;");
    let made = line.batch(&sql).await;
    if made.is_err() {
        line.batch("ROLLBACK").await?;
    }
    made
}

/// One node makes or drops days at a time.
pub(super) const LOCK: &str =
    "SELECT pg_advisory_xact_lock(1146048098, current_schema()::regnamespace::oid::int4);";

/// The days that are there, the oldest first.
pub(super) async fn all(line: &Open) -> Result<Vec<Day>, StoreError> {
    let rows = line.query(ALL, &[]).await?;
    let mut days = Vec::with_capacity(rows.len());
    for row in &rows {
        days.extend(Day::of_table(get(row, 0)?));
    }
    days.sort_unstable();
    Ok(days)
}

const ALL: &str = "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'events'::regclass";
