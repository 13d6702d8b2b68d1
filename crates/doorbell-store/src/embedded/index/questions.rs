//! Lists, look-ups and counts over all partitions together.

use super::codes::{id_columns, time_of};
use super::lists::{self, Period};
use super::parts::Part;
use super::place::{
    delivery_cursor, delivery_seq, event_cursor, event_seq, number, parse_delivery_cursor,
    parse_event_cursor,
};
use super::rows::{Assembly, DeliveryColumns, EventColumns, read_kind};
use super::{Error, Index};
use crate::store::{DeliveryQuery, DeliveryRow, EventQuery, EventRow, Page};
use doorbell_core::id::{DeliveryId, EventId, TenantId};
use doorbell_core::limits;
use doorbell_core::time::Time;
use rusqlite::OptionalExtension as _;

/// An event that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEvent {
    /// Whose it is.
    pub tenant: TenantId,
    /// The position of its record.
    pub position: u64,
    /// Its line in lists.
    pub row: EventRow,
}

/// A delivery that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDelivery {
    /// The position of its event's record.
    pub event_at: u64,
    /// Bytes of its event's body.
    pub body_len: u64,
    /// The position of the record of its last attempt.
    pub last_attempt: Option<u64>,
    /// Its line in lists; whether it is in flight is not known here.
    pub row: DeliveryRow,
}

/// Counts of what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Deliveries that failed.
    pub failed: u64,
    /// When the oldest event was received: exact, unless clocks went backwards where something was forgotten.
    pub oldest: Option<Time>,
}

impl Index {
    /// Events, newest first.
    ///
    /// # Errors
    /// [`Error::BadCursor`], otherwise those of reading.
    pub fn events(&self, query: &EventQuery) -> Result<Page<EventRow>, Error> {
        let before = query.cursor.as_deref().map(parse_event_cursor).transpose()?;
        let before = before.unwrap_or(u64::MAX);
        let limit = query.limit.clamp(1, limits::PAGE_MAX);
        let period = Period { since: query.since, until: query.until };
        let mut found: Vec<(String, EventRow)> = Vec::new();
        let parts = self.parts_where(|part| part.first < before && period.meets(part));
        for part in parts.iter().rev() {
            let below = i64::try_from(before - part.first).unwrap_or(i64::MAX);
            let most = limit + 1 - found.len();
            let rows = self.ask(part, |db| lists::events(db, part, query, below, most))?;
            let rows = rows.unwrap_or_default().into_iter();
            found.extend(rows.map(|(seq, row)| (event_cursor(part.position(seq)), row)));
            if found.len() > limit {
                break;
            }
        }
        Ok(page(found, limit))
    }

    /// Deliveries, those of the newest event first.
    ///
    /// # Errors
    /// [`Error::BadCursor`], otherwise those of reading.
    pub fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRow>, Error> {
        let before = query.cursor.as_deref().map(parse_delivery_cursor).transpose()?;
        let before = before.unwrap_or((u64::MAX, 0));
        let limit = query.limit.clamp(1, limits::PAGE_MAX);
        let period = Period { since: query.since, until: query.until };
        let Some(among) = self.bounds_of(query)? else { return Ok(page(Vec::new(), limit)) };
        let mut found: Vec<(String, DeliveryRow)> = Vec::new();
        let parts = self
            .parts_where(|part| part.first <= before.0 && period.meets(part) && among.is_in(part));
        for part in parts.iter().rev() {
            let (least, below) = among.seqs(part);
            let bounds = (least, below.min(seq_of(part, before)));
            let most = limit + 1 - found.len();
            let rows = self.ask(part, |db| lists::deliveries(db, part, query, bounds, most))?;
            found.extend(rows.unwrap_or_default().into_iter().map(|(seq, row)| {
                (delivery_cursor(part.position(event_seq(seq)), number(seq)), row)
            }));
            if found.len() > limit {
                break;
            }
        }
        Ok(page(found, limit))
    }

    /// `None`: the event of which deliveries are asked is not there.
    fn bounds_of(&self, query: &DeliveryQuery) -> Result<Option<Among>, Error> {
        match query.event {
            None => Ok(Some(Among::All)),
            Some(id) => Ok(self.locate_event(id)?.map(|(part, seq)| Among::Of(part.first, seq))),
        }
    }

    fn locate_event(&self, id: EventId) -> Result<Option<(Part, i64)>, Error> {
        let (high, low) = id_columns(id.bytes());
        let sql = "SELECT seq FROM events WHERE id_high = ? AND id_low = ?";
        self.locate(sql, (high, low), |part| part.meta.event_ids.holds(high))
    }

    /// The partition and `seq` of a row by its id, newest partition first: an id may be born some time before its event
    /// is accepted, so several may hold ids of that time.
    fn locate(
        &self,
        sql: &str,
        (high, low): (i64, i64),
        may_hold: impl Fn(&Part) -> bool,
    ) -> Result<Option<(Part, i64)>, Error> {
        for part in self.parts_where(may_hold).into_iter().rev() {
            let seq = self.ask(&part, |db| {
                let mut statement = db.prepare_cached(sql)?;
                Ok(statement.query_row([high, low], |row| row.get(0)).optional()?)
            })?;
            if let Some(seq) = seq.flatten() {
                return Ok(Some((part, seq)));
            }
        }
        Ok(None)
    }

    /// The event with this id, of whatever tenant.
    ///
    /// # Errors
    /// Those of reading.
    pub fn event(&self, id: EventId) -> Result<Option<FoundEvent>, Error> {
        let Some((part, seq)) = self.locate_event(id)? else { return Ok(None) };
        if seq < part.meta.floor {
            return Ok(None);
        }
        let found = self.ask(&part, |db| {
            let Some(columns) = EventColumns::read(db, seq)? else { return Ok(None) };
            let kind = read_kind(db, columns.kind)?;
            let row = columns.row(db, &kind)?;
            Ok(Some(FoundEvent { tenant: kind.tenant, position: part.position(seq), row }))
        })?;
        Ok(found.flatten())
    }

    /// The delivery with this id, of whatever tenant.
    ///
    /// # Errors
    /// Those of reading.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<FoundDelivery>, Error> {
        let (high, low) = id_columns(id.bytes());
        let sql = "SELECT seq FROM deliveries WHERE id_high = ? AND id_low = ?";
        let may_hold = |part: &Part| part.meta.delivery_ids.holds(high);
        let Some((part, seq)) = self.locate(sql, (high, low), may_hold)? else { return Ok(None) };
        if event_seq(seq) < part.meta.floor {
            return Ok(None);
        }
        let found = self.ask(&part, |db| {
            let Some(columns) = DeliveryColumns::read(db, seq)? else { return Ok(None) };
            let mut assembly = Assembly::new(db);
            let row = assembly.row(&columns)?;
            let body_len = assembly.event(seq)?.body_len();
            let event_at = part.position(event_seq(seq));
            Ok(Some(FoundDelivery { event_at, body_len, last_attempt: columns.last_at, row }))
        })?;
        Ok(found.flatten())
    }

    /// Counts of what is kept.
    ///
    /// # Errors
    /// Those of reading.
    pub fn counts(&self) -> Result<Counts, Error> {
        let mut counts = Counts::default();
        for part in self.parts_where(Part::is_alive) {
            let meta = &part.meta;
            counts.events += (meta.events - meta.forgotten).cast_unsigned();
            counts.waiting += meta.waiting.cast_unsigned();
            counts.failed += meta.failed.cast_unsigned();
            let oldest = if meta.floor > 0 { self.oldest_kept(&part)? } else { meta.times.least };
            counts.oldest = counts.oldest.into_iter().chain([time_of(oldest)]).min();
        }
        Ok(counts)
    }

    /// When the first event was received that was not forgotten.
    fn oldest_kept(&self, part: &Part) -> Result<i64, Error> {
        let sql = "SELECT at FROM events WHERE seq >= ? ORDER BY seq LIMIT 1";
        let floor = part.meta.floor;
        let at = self.ask(part, |db| {
            Ok(db.prepare_cached(sql)?.query_row([floor], |row| row.get(0)).optional()?)
        })?;
        Ok(at.flatten().unwrap_or(part.meta.times.greatest))
    }
}

/// Of which events deliveries are asked.
#[derive(Debug, Clone, Copy)]
enum Among {
    All,
    /// Of the one in the partition that begins there, with this `seq`.
    Of(u64, i64),
}

impl Among {
    const fn is_in(self, part: &Part) -> bool {
        match self {
            Self::All => true,
            Self::Of(first, _) => part.first == first,
        }
    }

    fn seqs(self, part: &Part) -> lists::Bounds {
        match self {
            Self::All => (delivery_seq(part.meta.floor, 0), i64::MAX),
            Self::Of(_, event) => (delivery_seq(event, 0), delivery_seq(event + 1, 0)),
        }
    }
}

/// The `seq` in this partition of the delivery with this number, of the event at this position.
fn seq_of(part: &Part, (position, number): (u64, i64)) -> i64 {
    let event = i64::try_from(position - part.first).unwrap_or(i64::MAX);
    if event > event_seq(i64::MAX) { i64::MAX } else { delivery_seq(event, number) }
}

/// At most `limit` of what was found; where there is more, the cursor of the last.
fn page<T>(mut found: Vec<(String, T)>, limit: usize) -> Page<T> {
    let more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().map(|(cursor, _)| cursor.clone());
    Page { items: found.into_iter().map(|(_, row)| row).collect(), next: last.filter(|_| more) }
}
