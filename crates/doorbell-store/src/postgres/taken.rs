//! What is taken over, as columns: events, keys, deliveries and tries of one batch.

use super::batch::{print_of, scope_of};
use super::columns::{Deliveries, Events};
use super::line::Open;
use super::rows::{self, Id, StateColumns, get, ms};
use crate::store::StoreError;
use bytes::Bytes;
use doorbell_core::delivery::State;
use doorbell_core::id::EndpointId;
use doorbell_core::past::{Past, PastDelivery};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;

/// Where an event stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) seq: i64,
    /// Whether it was not there before.
    pub(super) new: bool,
}

/// A dedupe key as a row.
#[derive(Debug)]
struct Key {
    seq: i64,
    event: Id,
    print: Option<Vec<u8>>,
    at: i64,
    until: i64,
}

/// The deliveries of an event that are there already.
#[derive(Debug, Default)]
struct There {
    /// By id: its number, and whether it may be replaced.
    known: HashMap<Id, (i32, bool)>,
    next: i32,
}

/// The columns.
#[derive(Debug)]
pub(super) struct Columns {
    /// Of deliveries that no node has had.
    lease: i64,
    there: HashMap<i64, There>,
    events: Events,
    keys: BTreeMap<(Id, Bytes), Key>,
    replaced: (Vec<i64>, Vec<i32>),
    deliveries: Deliveries,
    old: Old,
    attempts: Attempts,
    waiting: BTreeSet<EndpointId>,
}

/// What new deliveries have not.
#[derive(Debug, Default)]
struct Old {
    attempts: Vec<i32>,
    by_hand: Vec<i32>,
    holds_key: Vec<bool>,
    asked: Vec<bool>,
    updated: Vec<Option<i64>>,
    status: Vec<Option<i32>>,
    class: Vec<Option<&'static str>>,
}

#[derive(Debug, Default)]
struct Attempts {
    seq: Vec<i64>,
    nth: Vec<i32>,
    made: Vec<i64>,
    record: Vec<Vec<u8>>,
}

impl Columns {
    /// Looks which deliveries are there, and holds their rows until the transaction ends.
    pub(super) async fn new(lease: i64, line: &Open, placed: &[Place]) -> Result<Self, StoreError> {
        let old: Vec<i64> =
            placed.iter().filter(|place| !place.new).map(|place| place.seq).collect();
        let mut there: HashMap<i64, There> = HashMap::new();
        if !old.is_empty() {
            for row in line.query(THERE, &[&old]).await? {
                let (seq, nth): (i64, i32) = (get(&row, 0)?, get(&row, 1)?);
                let (held_by, has): (i64, i64) = (get(&row, 3)?, get(&row, 4)?);
                let of = there.entry(seq).or_default();
                of.known.insert(get(&row, 2)?, (nth, held_by == 0 && has == lease));
                of.next = of.next.max(nth + 1);
            }
        }
        Ok(Self {
            lease,
            there,
            events: Events::default(),
            keys: BTreeMap::new(),
            replaced: (Vec::new(), Vec::new()),
            deliveries: Deliveries::default(),
            old: Old::default(),
            attempts: Attempts::default(),
            waiting: BTreeSet::new(),
        })
    }

    pub(super) fn add(&mut self, past: &Past, Place { seq, new }: Place, kind: i32) {
        if new {
            self.events.add((seq, kind), (&past.event, &past.fate), false);
        }
        self.add_key(past, seq);
        self.number_anew(past, seq);
        for one in &past.deliveries {
            let of = self.there.entry(seq).or_default();
            let id = Id::from(one.delivery.id);
            let nth = match of.known.get(&id) {
                // A node has had it: it knows better.
                Some((_, false)) => continue,
                Some((nth, true)) => {
                    self.replaced.0.push(seq);
                    self.replaced.1.push(*nth);
                    *nth
                }
                None => {
                    let nth = of.next;
                    of.next += 1;
                    nth
                }
            };
            // Whoever names it twice in one batch is heard once.
            of.known.insert(id, (nth, false));
            self.deliveries.add((seq, nth), &one.delivery);
            self.old.add(one);
            self.attempts.add((seq, nth), one);
            if matches!(one.delivery.state, State::Waiting { .. }) {
                self.waiting.insert(one.delivery.endpoint);
            }
        }
    }

    /// Where all that is there of an event is replaced, its deliveries are numbered as they come: what an earlier try left
    /// may have gaps.
    fn number_anew(&mut self, past: &Past, seq: i64) {
        let Some(of) = self.there.get_mut(&seq) else { return };
        let ids: BTreeSet<Id> = past.deliveries.iter().map(|one| one.delivery.id.into()).collect();
        if of.known.iter().all(|(id, (_, free))| *free && ids.contains(id)) {
            for (nth, _) in std::mem::take(of).known.into_values() {
                self.replaced.0.push(seq);
                self.replaced.1.push(nth);
            }
        }
    }

    /// The rule of acceptance: a key goes over to a later event when the time of the earlier one is over.
    fn add_key(&mut self, past: &Past, seq: i64) {
        let event = &past.event;
        let Some(key) = event.dedupe_key.clone() else { return };
        if past.dedupe_window.is_zero() || !past.fate.is_event() {
            return;
        }
        let new = Key {
            seq,
            event: event.id.into(),
            print: print_of(event),
            at: ms(event.at),
            until: ms(event.at.after(past.dedupe_window)),
        };
        let name = (scope_of(event), key);
        if self.keys.get(&name).is_none_or(|old| old.until <= new.at) {
            self.keys.insert(name, new);
        }
    }

    /// Endpoints for which something waits.
    pub(super) const fn waiting(&self) -> &BTreeSet<EndpointId> {
        &self.waiting
    }

    /// Writes all of it, within a transaction.
    pub(super) async fn write(&self, line: &Open) -> Result<(), Error> {
        if !self.events.seq.is_empty() {
            line.ask(EVENTS, &self.events.values()).await?;
        }
        if !self.keys.is_empty() {
            self.write_keys(line).await?;
        }
        if !self.replaced.0.is_empty() {
            let values: [&(dyn ToSql + Sync); 2] = [&self.replaced.0, &self.replaced.1];
            line.ask(FORGET_ATTEMPTS, &values).await?;
            line.ask(FORGET_DELIVERIES, &values).await?;
        }
        if !self.deliveries.seq.is_empty() {
            let (values, old) = (self.deliveries.values(), self.old.values());
            let lease: [&(dyn ToSql + Sync); 1] = [&self.lease];
            let values: Vec<_> = values.into_iter().chain(old).chain(lease).collect();
            line.ask(DELIVERIES, &values).await?;
        }
        if !self.attempts.seq.is_empty() {
            let Attempts { seq, nth, made, record } = &self.attempts;
            line.ask(ATTEMPTS, &[seq, nth, made, record]).await?;
        }
        Ok(())
    }

    async fn write_keys(&self, line: &Open) -> Result<(), Error> {
        let (names, keys): (Vec<_>, Vec<_>) = self.keys.iter().unzip();
        let scope: Vec<Id> = names.iter().map(|(scope, _)| *scope).collect();
        let key: Vec<&[u8]> = names.iter().map(|(_, key)| key.as_ref()).collect();
        let seq: Vec<i64> = keys.iter().map(|key| key.seq).collect();
        let event: Vec<Id> = keys.iter().map(|key| key.event).collect();
        let print: Vec<Option<&[u8]>> = keys.iter().map(|key| key.print.as_deref()).collect();
        let at: Vec<i64> = keys.iter().map(|key| key.at).collect();
        let until: Vec<i64> = keys.iter().map(|key| key.until).collect();
        line.ask(KEYS, &[&scope, &key, &seq, &event, &print, &at, &until]).await.map(drop)
    }
}

impl Old {
    fn add(&mut self, PastDelivery { delivery, updated, attempts }: &PastDelivery) {
        let StateColumns { holds_key, .. } = delivery.state.into();
        let last = attempts.last().map(|last| last.outcome.ending());
        let (status, class) = rows::ending_columns(last);
        self.attempts.push(i32::try_from(delivery.attempts).unwrap_or(i32::MAX));
        self.by_hand.push(i32::try_from(delivery.by_hand).unwrap_or(i32::MAX));
        self.holds_key.push(holds_key);
        self.asked.push(delivery.asked);
        self.updated.push(updated.map(ms));
        self.status.push(status);
        self.class.push(class);
    }

    fn values(&self) -> [&(dyn ToSql + Sync); 7] {
        [
            &self.attempts,
            &self.by_hand,
            &self.holds_key,
            &self.asked,
            &self.updated,
            &self.status,
            &self.class,
        ]
    }
}

impl Attempts {
    fn add(&mut self, (seq, nth): (i64, i32), past: &PastDelivery) {
        for attempt in &past.attempts {
            self.seq.push(seq);
            self.nth.push(nth);
            self.made.push(i64::from(attempt.number));
            self.record.push(rows::encode_attempt(seq, &past.delivery, attempt.clone()));
        }
    }
}

const THERE: &str =
    "SELECT seq, nth, id, holder, lease FROM deliveries WHERE seq = ANY($1::int8[]) FOR UPDATE";

const EVENTS: &str = "
INSERT INTO events (seq, id, kind, at, first, method, body_len, reason, detail, record)
SELECT * FROM unnest($1::int8[], $2::uuid[], $3::int4[], $4::int8[], $5::uuid[], $6::text[], $7::int8[], $8::text[],
    $9::text[], $10::bytea[])";

const KEYS: &str = "
INSERT INTO dedupe AS d (scope, key, seq, event, print, at, until)
SELECT * FROM unnest($1::uuid[], $2::bytea[], $3::int8[], $4::uuid[], $5::bytea[], $6::int8[], $7::int8[])
ON CONFLICT (scope, key) DO UPDATE SET seq = excluded.seq, event = excluded.event, print = excluded.print,
    at = excluded.at, until = excluded.until
WHERE d.until <= excluded.at";

const FORGET_ATTEMPTS: &str =
    "DELETE FROM attempts a USING unnest($1::int8[], $2::int4[]) AS u (seq, nth)
WHERE a.seq = u.seq AND a.nth = u.nth";

const FORGET_DELIVERIES: &str =
    "DELETE FROM deliveries d USING unnest($1::int8[], $2::int4[]) AS u (seq, nth)
WHERE d.seq = u.seq AND d.nth = u.nth";

const DELIVERIES: &str = "
INSERT INTO deliveries (seq, nth, id, tenant, event, endpoint, order_key, replay, state, due, why, attempts, by_hand,
    holds_key, asked, updated, last_status, last_class, holder, lease)
SELECT u.*, 0, $19::int8 FROM unnest($1::int8[], $2::int4[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::int8[],
    $8::uuid[], $9::int2[], $10::int8[], $11::text[], $12::int4[], $13::int4[], $14::bool[], $15::bool[],
    $16::int8[], $17::int4[], $18::text[]) AS u";

/// Whoever numbers two tries alike is heard once.
const ATTEMPTS: &str = "
INSERT INTO attempts (seq, nth, made, record)
SELECT * FROM unnest($1::int8[], $2::int4[], $3::int8[], $4::bytea[]) ON CONFLICT DO NOTHING";
