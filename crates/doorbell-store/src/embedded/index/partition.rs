//! The one writer of a partition: brings a batch of records into its tables in one transaction.
//!
//! What happens to a delivery within one batch is written once: a delivery that was received and settled is one row,
//! not a row and an update.

use super::Error;
use super::codes::{
    attempts_column, ending_column, fate_detail, id_columns, occupies_key, state_code,
    state_columns, time_column,
};
use super::dictionary::Dictionary;
use super::meta::Meta;
use super::place::{DELIVERIES_MAX, delivery_seq, number};
use super::schema;
use crate::store::StateWord;
use doorbell_core::attempt::Ending;
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::id::DeliveryId;
use doorbell_core::time::Time;
use doorbell_wire::stored::{ReceivedHead, RecordHead, Redelivered, SettledHead};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::HashMap;
use std::path::Path;

/// Events of one mark.
const MARK_EVENTS: i64 = 2048;

/// One record of the journal: its position (later records have higher ones) and what it tells of.
pub type Entry = (u64, RecordHead);

/// An open partition.
#[derive(Debug)]
pub(super) struct Partition {
    db: Connection,
    first: u64,
    meta: Meta,
    dictionary: Dictionary,
    mark: Option<Mark>,
}

/// Some events in a row: between which times they were received.
#[derive(Debug, Clone, Copy)]
struct Mark {
    seq: i64,
    events: i64,
    oldest: i64,
    newest: i64,
}

/// What a batch says last of a delivery.
#[derive(Debug)]
struct Latest<'a> {
    delivery: &'a Delivery,
    /// The last try in the batch: its record's position, and what came of it.
    tried: Option<(u64, Ending)>,
    updated: Option<Time>,
}

impl Partition {
    pub(super) fn open(file: &Path, first: u64) -> Result<Self, Error> {
        let db = schema::open_writer(file)?;
        let meta = Meta::load(&db)?;
        let dictionary = Dictionary::load(&db)?;
        let sql = "SELECT seq, events, oldest, newest FROM marks ORDER BY seq DESC LIMIT 1";
        let mark = db.query_row(sql, [], |row| {
            let (seq, events) = (row.get(0)?, row.get(1)?);
            Ok(Mark { seq, events, oldest: row.get(2)?, newest: row.get(3)? })
        });
        let mark = mark.optional()?;
        Ok(Self { db, first, meta, dictionary, mark })
    }

    pub(super) const fn first(&self) -> u64 {
        self.first
    }

    /// Brings in the records; those below `applied_to` that concern this partition are then all in it. After an error
    /// this value must not be used any more, for it may know numbers that were rolled back.
    pub(super) fn apply(&mut self, entries: &[&Entry], applied_to: u64) -> Result<Meta, Error> {
        let transaction = self.db.unchecked_transaction()?;
        let mut batch = Batch {
            db: &self.db,
            first: self.first,
            dictionary: &mut self.dictionary,
            meta: self.meta,
            mark: self.mark,
            latest: latest(entries),
            lanes: HashMap::new(),
        };
        for (position, head) in entries {
            match head {
                RecordHead::Received(head) => batch.received(*position, head)?,
                RecordHead::Redelivered(record) => batch.redelivered(record)?,
                RecordHead::Settled(_) => {}
            }
        }
        batch.change_older()?;
        batch.meta.applied = applied_to;
        batch.finish()?;
        (self.meta, self.mark) = (batch.meta, batch.mark);
        transaction.commit()?;
        Ok(self.meta)
    }

    /// Forgets the events below this `seq`: they are no longer shown or counted. Their rows go with the file.
    pub(super) fn forget(&mut self, floor: i64) -> Result<Meta, Error> {
        let transaction = self.db.unchecked_transaction()?;
        let count = |sql: &str, from: i64, to: i64| -> Result<i64, Error> {
            Ok(self.db.query_row(sql, params![from, to], |row| row.get(0))?)
        };
        let (from, to) = (delivery_seq(self.meta.floor, 0), delivery_seq(floor, 0));
        let mut meta = self.meta;
        meta.forgotten += count(
            "SELECT count(*) FROM events WHERE seq >= ? AND seq < ?",
            self.meta.floor,
            floor,
        )?;
        let settled = "SELECT count(*) FROM deliveries WHERE seq >= ? AND seq < ? AND state = ";
        meta.waiting -= count(&format!("{settled}0"), from, to)?;
        meta.failed -= count(&format!("{settled}2"), from, to)?;
        meta.holding -= count(&format!("{settled}2 AND held_key IS NOT NULL"), from, to)?;
        let free = "UPDATE deliveries SET held_key = NULL
            WHERE seq >= ? AND seq < ? AND held_key IS NOT NULL";
        self.db.execute(free, params![from, to])?;
        meta.floor = floor;
        meta.save(&self.db)?;
        transaction.commit()?;
        self.meta = meta;
        Ok(meta)
    }

    /// Gives its cache back; what is needed again is read again.
    pub(super) fn rest(&self) {
        if let Err(error) = self.db.execute_batch("PRAGMA shrink_memory") {
            tracing::debug!(%error, "a partition keeps its cache");
        }
    }

    /// Makes everything that was brought in survive a power cut. `false`: readers were in the way; try again later.
    pub(super) fn checkpoint(&self) -> Result<bool, Error> {
        let sql = "PRAGMA wal_checkpoint(PASSIVE)";
        let (in_log, moved): (i64, i64) =
            self.db.query_row(sql, [], |row| Ok((row.get(1)?, row.get(2)?)))?;
        Ok(in_log == moved)
    }
}

/// What each delivery is at the end of the batch, of those that were settled in it.
fn latest<'a>(entries: &[&'a Entry]) -> HashMap<DeliveryId, Latest<'a>> {
    let mut all: HashMap<DeliveryId, Latest<'a>> = HashMap::new();
    for (position, head) in entries {
        let RecordHead::Settled(settled) = head else { continue };
        let tried = settled.attempt.as_ref().map(|attempt| (*position, attempt.outcome));
        let updated = settled_at(settled);
        let delivery = &settled.delivery;
        let last =
            all.entry(delivery.id).or_insert(Latest { delivery, tried: None, updated: None });
        last.delivery = delivery;
        last.tried = tried.or(last.tried);
        last.updated = updated.or(last.updated);
    }
    all
}

/// When a delivery was settled; `None` where it only waits again.
fn settled_at(settled: &SettledHead) -> Option<Time> {
    match settled.delivery.state {
        State::Delivered { at } | State::Failed { at, .. } | State::Discarded { at, .. } => {
            Some(at)
        }
        State::Waiting { .. } => settled.attempt.as_ref().and(settled.at),
    }
}

/// One transaction.
struct Batch<'a> {
    db: &'a Connection,
    first: u64,
    dictionary: &'a mut Dictionary,
    meta: Meta,
    mark: Option<Mark>,
    latest: HashMap<DeliveryId, Latest<'a>>,
    /// By how much the counts of each lane change, in the order of the states' codes.
    lanes: HashMap<i64, [i64; 4]>,
}

impl Batch<'_> {
    fn seq(&self, position: u64) -> Result<i64, Error> {
        let offset = position.checked_sub(self.first).and_then(|offset| i64::try_from(offset).ok());
        offset.ok_or(Error::Damaged("a record is in the wrong partition"))
    }

    fn received(&mut self, position: u64, head: &ReceivedHead) -> Result<(), Error> {
        let seq = self.seq(position)?;
        let (kind, mixed) = self.dictionary.kind(self.db, head)?;
        let (id_high, id_low) = id_columns(head.id.bytes());
        let at = time_column(head.at);
        let method = Some(head.method.as_str()).filter(|method| *method != "POST");
        let event_type = head.event_type.as_ref().filter(|_| mixed).map(|t| t.as_str());
        let body_len = i64::try_from(head.body_len).unwrap_or(i64::MAX);
        self.db.prepare_cached("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?.execute(
            params![
                seq,
                id_high,
                id_low,
                at,
                kind,
                body_len,
                method,
                event_type,
                fate_detail(&head.fate)
            ],
        )?;
        self.meta.last = seq;
        self.meta.events += 1;
        self.meta.times.take_in(at);
        self.meta.event_ids.take_in(id_high);
        self.mark(seq, at)?;
        self.deliver(delivery_seq(seq, 0), kind, &head.deliveries)
    }

    fn mark(&mut self, seq: i64, at: i64) -> Result<(), Error> {
        let mark = match self.mark {
            Some(mark) if mark.events < MARK_EVENTS => Mark {
                events: mark.events + 1,
                oldest: mark.oldest.min(at),
                newest: mark.newest.max(at),
                ..mark
            },
            Some(_) | None => {
                self.save_mark()?;
                Mark { seq, events: 1, oldest: at, newest: at }
            }
        };
        self.mark = Some(mark);
        Ok(())
    }

    fn save_mark(&self) -> Result<(), Error> {
        let Some(mark) = self.mark else { return Ok(()) };
        self.db.prepare_cached("REPLACE INTO marks VALUES (?, ?, ?, ?)")?.execute(params![
            mark.seq,
            mark.events,
            mark.oldest,
            mark.newest
        ])?;
        Ok(())
    }

    fn redelivered(&mut self, record: &Redelivered) -> Result<(), Error> {
        let event = self.seq(record.event_at)?;
        let kind = self
            .db
            .prepare_cached("SELECT kind FROM events WHERE seq = ?")?
            .query_row([event], |row| row.get(0))
            .optional()?;
        match kind {
            Some(kind) if event >= self.meta.floor => {
                self.deliver(self.next_seq(event)?, kind, &record.deliveries)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Gives an event of this kind new deliveries, the first of them with this `seq`.
    fn deliver(&mut self, first: i64, kind: i64, deliveries: &[Delivery]) -> Result<(), Error> {
        let room = usize::try_from(DELIVERIES_MAX - number(first)).unwrap_or(0);
        if let Some(left_out) = deliveries.get(room) {
            tracing::warn!(event = %left_out.event, "too many deliveries of one event to list all");
        }
        for (seq, delivery) in (first..).zip(deliveries.iter().take(room)) {
            self.insert(seq, kind, delivery)?;
        }
        Ok(())
    }

    /// Where the next delivery of this event goes; for an event that has the most there can be, its last one's place.
    fn next_seq(&self, event: i64) -> Result<i64, Error> {
        let sql = "SELECT max(seq) FROM deliveries WHERE seq >= ? AND seq < ?";
        let bounds = [delivery_seq(event, 0), delivery_seq(event + 1, 0)];
        let last: Option<i64> = self.db.prepare_cached(sql)?.query_row(bounds, |row| row.get(0))?;
        Ok(last.map_or(bounds[0], |last| last + 1))
    }

    fn insert(&mut self, seq: i64, kind: i64, born: &Delivery) -> Result<(), Error> {
        let latest = self.latest.remove(&born.id);
        let delivery = latest.as_ref().map_or(born, |latest| latest.delivery);
        let tried = latest.as_ref().and_then(|latest| latest.tried);
        let updated = latest.as_ref().and_then(|latest| latest.updated);
        let endpoint = self.dictionary.endpoint(self.db, born.endpoint)?;
        let lane = self.dictionary.lane(self.db, kind, endpoint)?;
        let replay = born.replay.map(|id| self.dictionary.replay(self.db, id)).transpose()?;
        let (state, detail, moment) = state_columns(delivery);
        let (id_high, id_low) = id_columns(born.id.bytes());
        let order_key = born.order_key.map(u64::cast_signed);
        let held_key = order_key.filter(|_| occupies_key(&delivery.state));
        let sql = "INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.db.prepare_cached(sql)?.execute(params![
            seq,
            id_high,
            id_low,
            lane,
            endpoint,
            state,
            detail,
            moment,
            attempts_column(delivery),
            tried.map(|(at, _)| at.cast_signed()),
            tried.map(|(_, ending)| ending_column(ending)),
            updated.map(time_column),
            order_key,
            held_key,
            replay
        ])?;
        self.meta.deliveries += 1;
        self.meta.delivery_ids.take_in(id_high);
        self.count(lane, state, held_key.is_some(), 1);
        Ok(())
    }

    /// Settles the deliveries that were not born in this batch.
    fn change_older(&mut self) -> Result<(), Error> {
        for latest in std::mem::take(&mut self.latest).into_values() {
            self.change(&latest)?;
        }
        Ok(())
    }

    fn change(&mut self, latest: &Latest<'_>) -> Result<(), Error> {
        let delivery = latest.delivery;
        let (id_high, id_low) = id_columns(delivery.id.bytes());
        let sql = "SELECT seq, lane, state, held_key IS NOT NULL FROM deliveries
            WHERE id_high = ? AND id_low = ?";
        let found: Option<(i64, i64, i64, bool)> = self
            .db
            .prepare_cached(sql)?
            .query_row([id_high, id_low], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .optional()?;
        let Some((seq, lane, before, held)) = found else { return Ok(()) };
        if seq < delivery_seq(self.meta.floor, 0) {
            return Ok(());
        }
        let (state, detail, moment) = state_columns(delivery);
        let order_key = delivery.order_key.map(u64::cast_signed);
        let held_key = order_key.filter(|_| occupies_key(&delivery.state));
        let sql = "UPDATE deliveries SET state = ?2, detail = ?3, moment = ?4, attempts = ?5,
            last_at = iif(?6, ?7, last_at), ending = iif(?6, ?8, ending),
            updated = coalesce(?9, updated), held_key = ?10 WHERE seq = ?1";
        self.db.prepare_cached(sql)?.execute(params![
            seq,
            state,
            detail,
            moment,
            attempts_column(delivery),
            latest.tried.is_some(),
            latest.tried.map(|(at, _)| at.cast_signed()),
            latest.tried.map(|(_, ending)| ending_column(ending)),
            latest.updated.map(time_column),
            held_key
        ])?;
        self.count(lane, before, held, -1);
        self.count(lane, state, held_key.is_some(), 1);
        Ok(())
    }

    /// Counts `more` deliveries of this lane in this state.
    fn count(&mut self, lane: i64, state: i64, held: bool, more: i64) {
        let place = usize::try_from(state).unwrap_or(usize::MAX);
        if let Some(count) = self.lanes.entry(lane).or_default().get_mut(place) {
            *count += more;
        }
        if state == state_code(StateWord::Waiting) {
            self.meta.waiting += more;
        } else if state == state_code(StateWord::Failed) {
            self.meta.failed += more;
            self.meta.holding += if held { more } else { 0 };
        }
    }

    fn finish(&self) -> Result<(), Error> {
        let sql = "UPDATE lanes SET waiting = waiting + ?2, delivered = delivered + ?3,
            failed = failed + ?4, discarded = discarded + ?5 WHERE ref = ?1";
        let mut statement = self.db.prepare_cached(sql)?;
        for (lane, [waiting, delivered, failed, discarded]) in &self.lanes {
            statement.execute([lane, waiting, delivered, failed, discarded])?;
        }
        self.save_mark()?;
        self.meta.save(self.db)
    }
}
