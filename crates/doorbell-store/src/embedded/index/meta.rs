//! What is known of a partition as a whole; kept in its table `meta` and, for all partitions, in memory.

use super::Error;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

/// One partition: where it ends, what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    /// All records below this position that concern this partition are in it.
    pub(super) applied: u64,
    /// Events below this `seq` are forgotten.
    pub(super) floor: i64,
    /// The `seq` of its last event.
    pub(super) last: i64,
    /// Events that were ever put in.
    pub(super) events: i64,
    /// Deliveries that were ever put in.
    pub(super) deliveries: i64,
    /// Events that were forgotten.
    pub(super) forgotten: i64,
    /// Deliveries that wait.
    pub(super) waiting: i64,
    /// Deliveries that failed.
    pub(super) failed: i64,
    /// Deliveries that failed and hold their order key.
    pub(super) holding: i64,
    /// The times between which its events were received.
    pub(super) times: Span,
    /// Between which the first halves of its events' ids are.
    pub(super) event_ids: Span,
    /// Between which the first halves of its deliveries' ids are.
    pub(super) delivery_ids: Span,
}

/// From the least to the greatest, both included; nothing when the least is above the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) least: i64,
    pub(super) greatest: i64,
}

impl Span {
    pub(super) const NOTHING: Self = Self { least: i64::MAX, greatest: i64::MIN };

    pub(super) fn take_in(&mut self, value: i64) {
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
    }

    pub(super) const fn holds(&self, value: i64) -> bool {
        self.least <= value && value <= self.greatest
    }
}

impl Meta {
    pub(super) const NEW: Self = Self {
        applied: 0,
        floor: 0,
        last: 0,
        events: 0,
        deliveries: 0,
        forgotten: 0,
        waiting: 0,
        failed: 0,
        holding: 0,
        times: Span::NOTHING,
        event_ids: Span::NOTHING,
        delivery_ids: Span::NOTHING,
    };

    /// Reads it; a file that was just made has none yet.
    pub(super) fn load(connection: &Connection) -> Result<Self, Error> {
        let sql =
            "SELECT applied, floor, last, events, deliveries, forgotten, waiting, failed, holding,
            oldest, newest, event_low, event_high, delivery_low, delivery_high FROM meta";
        let stored = connection.query_row(sql, [], Self::read).optional()?;
        Ok(stored.unwrap_or(Self::NEW))
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let span = |least: usize| -> rusqlite::Result<Span> {
            Ok(Span { least: row.get(least)?, greatest: row.get(least + 1)? })
        };
        Ok(Self {
            applied: row.get::<_, i64>(0)?.cast_unsigned(),
            floor: row.get(1)?,
            last: row.get(2)?,
            events: row.get(3)?,
            deliveries: row.get(4)?,
            forgotten: row.get(5)?,
            waiting: row.get(6)?,
            failed: row.get(7)?,
            holding: row.get(8)?,
            times: span(9)?,
            event_ids: span(11)?,
            delivery_ids: span(13)?,
        })
    }

    pub(super) fn save(&self, connection: &Connection) -> Result<(), Error> {
        let sql = "REPLACE INTO meta VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        connection.prepare_cached(sql)?.execute(params![
            self.applied.cast_signed(),
            self.floor,
            self.last,
            self.events,
            self.deliveries,
            self.forgotten,
            self.waiting,
            self.failed,
            self.holding,
            self.times.least,
            self.times.greatest,
            self.event_ids.least,
            self.event_ids.greatest,
            self.delivery_ids.least,
            self.delivery_ids.greatest,
        ])?;
        Ok(())
    }
}
