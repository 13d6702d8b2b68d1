//! Events that are taken in by one statement, as its columns.

use super::columns::{Deliveries, Events};
use super::fault::{error, is_passing};
use super::kinds::{self, Kind};
use super::line::Open;
use super::partitions::{Day, Days};
use super::parts::Parts;
use super::rows::{self, Id, get, ms};
use crate::store::{Admission, Admitted, FateWord, NewDelivery, StoreError};
use bytes::Bytes;
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::event::{Event, Origin, RejectionReason};
use doorbell_core::id::TenantId;
use doorbell_core::name::EventType;
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash as _;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

/// Most of one statement.
const EVENTS: usize = 1_000;
const BYTES: usize = 16 << 20;
const DELIVERIES: usize = 20_000;

/// Who holds what waits for a claim.
pub(super) const NOBODY: i64 = 0;

/// What became of those events (by their places) whose keys were used before.
pub(super) type Repeats = HashMap<i64, Admitted>;

/// What a batch has so far, to see whether one more fits.
#[derive(Debug, Default)]
pub(super) struct Load {
    events: usize,
    bytes: usize,
    deliveries: usize,
    keys: HashSet<(Id, Bytes)>,
}

impl Load {
    /// Whether it fits: by size, and its key is not there yet (one statement cannot touch a row twice).
    pub(super) fn takes(&self, admission: &Admission) -> bool {
        self.events < EVENTS
            && self.bytes + admission.event.request.body.len() <= BYTES
            && self.deliveries + admission.deliveries.len() <= DELIVERIES
            && keys_of(admission).all(|key| !self.keys.contains(&key))
    }

    pub(super) fn add(&mut self, admission: &Admission) {
        self.events += 1;
        self.bytes += admission.event.request.body.len();
        self.deliveries += admission.deliveries.len();
        self.keys.extend(keys_of(admission));
    }
}

/// Its dedupe key and within what it is one, if it has one that counts.
fn key_of(admission: &Admission) -> Option<(Id, Bytes)> {
    let event = &admission.event;
    if admission.dedupe_window.is_zero() || !admission.fate.is_event() {
        return None;
    }
    Some((scope_of(event), event.dedupe_key.clone()?))
}

/// Within what an event's key is one.
pub(super) fn scope_of(event: &Event) -> Id {
    match event.origin {
        Origin::Source(source) => source.into(),
        Origin::Api => api_scope(event.tenant),
    }
}

/// All that may stand in a statement only once: its dedupe key, and itself where it is to be taken in once.
fn keys_of(admission: &Admission) -> impl Iterator<Item = (Id, Bytes)> {
    let id = admission.event.id.bytes();
    // No source and no tenant has this id.
    let itself = admission.once.then(|| (Id([0xff; 16]), Bytes::copy_from_slice(&id)));
    key_of(admission).into_iter().chain(itself)
}

/// A tenant's API: an id that no source can have, since the times of ids leave the first bit free.
fn api_scope(tenant: TenantId) -> Id {
    let mut bytes = tenant.bytes();
    if let Some(first) = bytes.first_mut() {
        *first |= 0x80;
    }
    Id(bytes)
}

/// The kinds that it may be of: its own, that of a repeat, and that of another event with a used key.
pub(super) fn kinds_of(admission: &Admission) -> impl Iterator<Item = Kind> {
    let own = FateWord::of(&admission.fate);
    let keyed = key_of(admission).map(|_| [FateWord::Duplicate, FateWord::Rejected]);
    let all = std::iter::once(own).chain(keyed.into_iter().flatten());
    all.map(|fate| kinds::of(&admission.event, rows::fate_code(fate)))
}

/// What tells a published event from another one that is published with its key; see [`Event::is_repeated_by`]. `None`:
/// with this key it is a repeat whatever is in it.
pub(super) fn print_of(event: &Event) -> Option<Vec<u8>> {
    if event.origin.source().is_some() {
        return None;
    }
    let mut hasher = SipHasher13::new();
    event.request.body.hash(&mut hasher);
    event.event_type.as_ref().map(EventType::as_str).hash(&mut hasher);
    event.channels.hash(&mut hasher);
    Some(hasher.finish128().as_bytes().to_vec())
}

/// The delivery as it begins.
pub(super) fn made(event: &Event, new: &NewDelivery) -> Delivery {
    Delivery {
        id: new.id,
        tenant: event.tenant,
        event: event.id,
        endpoint: new.endpoint,
        order_key: new.order_key,
        replay: new.replay,
        attempts: 0,
        by_hand: 0,
        state: new.state,
        asked: false,
    }
}

/// The columns.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Who holds what is lent.
    pub(super) node: i64,
    events: Events,
    kind_of_repeat: Vec<Option<i32>>,
    kind_of_reused: Vec<Option<i32>>,
    scope: Vec<Option<Id>>,
    key: Vec<Option<Vec<u8>>>,
    until: Vec<Option<i64>>,
    print: Vec<Option<Vec<u8>>>,
    once: Vec<bool>,
    deliveries: Deliveries,
    /// Who holds each delivery from the beginning; 0: nobody.
    holder: Vec<i64>,
}

impl Batch {
    pub(super) fn new(node: i64) -> Self {
        Self { node, ..Self::default() }
    }

    pub(super) fn places(&self) -> &[i64] {
        &self.events.seq
    }

    /// To whom each delivery is lent as it is accepted, in order; 0: to nobody.
    pub(super) fn holders(&self) -> &[i64] {
        &self.holder
    }

    pub(super) fn days(&self) -> BTreeSet<Day> {
        self.events.seq.iter().map(|seq| Day::of_place(*seq)).collect()
    }

    pub(super) fn add(
        &mut self,
        (seq, away): (i64, bool),
        admission: &Admission,
        numbers: &HashMap<Kind, i32>,
        parts: &Parts,
    ) {
        let event = &admission.event;
        let mut kinds = kinds_of(admission).map(|kind| numbers.get(&kind).copied());
        let kind = kinds.next().flatten().unwrap_or_default();
        self.events.add((seq, kind), (event, &admission.fate), away);
        self.kind_of_repeat.push(kinds.next().flatten());
        self.kind_of_reused.push(kinds.next().flatten());
        self.print.push(print_of(event));
        self.once.push(admission.once);
        let key = key_of(admission);
        self.until.push(key.as_ref().map(|_| ms(event.at.after(admission.dedupe_window))));
        let (scope, key) = key.map(|(scope, key)| (scope, key.to_vec())).unzip();
        self.scope.push(scope);
        self.key.push(key);
        for (nth, new) in (0..).zip(&admission.deliveries) {
            self.deliveries.add((seq, nth), &made(event, new));
            self.holder.push(self.holder_of(event, new, parts));
        }
    }

    /// This node if it looks after the endpoint and has room, another one if that does. What is not due yet, waits for its turn
    /// or is replayed is for claims.
    fn holder_of(&self, event: &Event, new: &NewDelivery, parts: &Parts) -> i64 {
        let is_due = matches!(new.state, State::Waiting { due } if due <= event.at);
        if parts.owns(new.endpoint.bytes()) {
            return if new.lend && !new.state.is_settled() { self.node } else { NOBODY };
        }
        let at_once = is_due && new.order_key.is_none() && new.replay.is_none();
        parts.open_other(new.endpoint).filter(|_| at_once).unwrap_or(NOBODY)
    }

    /// Writes it; says which events repeat which.
    pub(super) async fn insert(&self, line: &Open, days: &Days) -> Result<Repeats, StoreError> {
        let keys: [&(dyn ToSql + Sync); 4] =
            [&self.kind_of_repeat, &self.scope, &self.key, &self.until];
        let reused = RejectionReason::KeyReused.word();
        let rest: [&(dyn ToSql + Sync); 5] =
            [&self.holder, &self.kind_of_reused, &self.print, &reused, &self.once];
        let events = self.events.values().into_iter().chain(keys);
        let values: Vec<_> = events.chain(self.deliveries.values()).chain(rest).collect();
        match line.ask(INSERT, &values).await {
            Ok(rows) => repeats(&rows),
            Err(fault) if is_passing(&fault) => Err(StoreError::Busy),
            // It was written by the try before, of which we heard nothing.
            Err(fault) if fault.code() == Some(&SqlState::UNIQUE_VIOLATION) => {
                self.look(line).await?.ok_or_else(|| error(&fault))
            }
            // Another node dropped the day, or it was never there.
            Err(fault) if fault.code() == Some(&SqlState::CHECK_VIOLATION) => {
                days.forget().await;
                Err(StoreError::Busy)
            }
            Err(fault) => Err(error(&fault)),
        }
    }

    /// Whether it was written before, and then what came of it.
    pub(super) async fn look(&self, line: &Open) -> Result<Option<Repeats>, StoreError> {
        let rows = line.query(LOOK, &[&self.events.seq]).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        // What was to be taken in once and is not there was there before.
        let once = self.events.seq.iter().zip(&self.once).filter(|(_, once)| **once);
        let mut found: Repeats = once.map(|(seq, _)| (*seq, Admitted::Again)).collect();
        for row in &rows {
            let (seq, first): (i64, Option<Id>) = (get(row, 0)?, get(row, 1)?);
            found.remove(&seq);
            let reused = get(row, 2)?;
            found.extend(first.map(|first| (seq, admitted(first, reused))));
        }
        // What was handed in as a repeat was none that we found.
        let known =
            self.events.seq.iter().zip(&self.events.first).filter(|(_, first)| first.is_some());
        for (seq, _) in known {
            found.remove(seq);
        }
        Ok(Some(found))
    }
}

fn repeats(rows: &[tokio_postgres::Row]) -> Result<Repeats, StoreError> {
    let one = |row| {
        let first: Option<Id> = get(row, 1)?;
        let what = match first {
            Some(first) => admitted(first, get(row, 2)?),
            None => Admitted::Again,
        };
        Ok((get(row, 0)?, what))
    };
    rows.iter().map(one).collect()
}

fn admitted(first: Id, reused: bool) -> Admitted {
    if reused { Admitted::KeyReused(first.into()) } else { Admitted::Repeat(first.into()) }
}

const LOOK: &str = "SELECT seq, first, reason IS NOT NULL FROM events WHERE seq = ANY($1::int8[])";

/// The keys are taken in their order, so that two nodes with the same ones do not wait for each other in a circle.
const INSERT: &str = "
WITH u AS MATERIALIZED (
    SELECT * FROM unnest($1::int8[], $2::uuid[], $3::int4[], $4::int8[], $5::uuid[], $6::text[], $7::int8[], $8::text[],
        $9::text[], $10::bytea[], $11::int4[], $12::uuid[], $13::bytea[], $14::int8[], $27::int4[], $28::bytea[], $30::bool[])
    AS u (seq, id, kind, at, first, method, body_len, reason, detail, record, kind_of_repeat, scope, key, until,
        kind_of_reused, print, once)
), i AS (
    INSERT INTO arrived (id) SELECT id FROM u WHERE once ORDER BY id ON CONFLICT DO NOTHING RETURNING id
), g AS MATERIALIZED (
    SELECT u.seq FROM u WHERE u.once AND (
        u.id NOT IN (SELECT id FROM i) OR EXISTS (SELECT FROM events e WHERE e.id = u.id AND e.seq >= u.at << 20))
), k AS (
    INSERT INTO dedupe AS d (scope, key, seq, event, print, at, until)
    SELECT scope, key, seq, id, print, at, until FROM u
    WHERE key IS NOT NULL AND seq NOT IN (SELECT seq FROM g) ORDER BY scope, key
    ON CONFLICT (scope, key) DO UPDATE SET
        seq = CASE WHEN d.until <= excluded.at THEN excluded.seq ELSE d.seq END,
        event = CASE WHEN d.until <= excluded.at THEN excluded.event ELSE d.event END,
        print = CASE WHEN d.until <= excluded.at THEN excluded.print ELSE d.print END,
        at = CASE WHEN d.until <= excluded.at THEN excluded.at ELSE d.at END,
        until = CASE WHEN d.until <= excluded.at THEN excluded.until ELSE d.until END
    RETURNING scope, key, seq, event, print
), r AS MATERIALIZED (
    SELECT u.seq, k.event, k.print IS DISTINCT FROM u.print AS reused
    FROM u JOIN k ON k.scope = u.scope AND k.key = u.key WHERE k.seq <> u.seq AND u.seq NOT IN (SELECT seq FROM g)
), e AS (
    INSERT INTO events (seq, id, kind, at, first, method, body_len, reason, detail, record)
    SELECT u.seq, u.id,
        CASE WHEN r.seq IS NULL THEN u.kind WHEN r.reused THEN u.kind_of_reused ELSE u.kind_of_repeat END, u.at,
        coalesce(r.event, u.first), u.method, u.body_len, CASE WHEN r.reused THEN $29::text ELSE u.reason END, u.detail,
        u.record
    FROM u LEFT JOIN r ON r.seq = u.seq WHERE u.seq NOT IN (SELECT seq FROM g)
), d AS (
    INSERT INTO deliveries (seq, nth, id, tenant, event, endpoint, order_key, replay, attempts, state, due, holds_key,
        why, asked, holder, lease)
    SELECT v.seq, v.nth, v.id, v.tenant, v.event, v.endpoint, v.order_key, v.replay, 0, v.state, v.due, false,
        v.why, false, v.holder, 1
    FROM unnest($15::int8[], $16::int4[], $17::uuid[], $18::uuid[], $19::uuid[], $20::uuid[], $21::int8[],
        $22::uuid[], $23::int2[], $24::int8[], $25::text[], $26::int8[])
    AS v (seq, nth, id, tenant, event, endpoint, order_key, replay, state, due, why, holder)
    WHERE v.seq NOT IN (SELECT seq FROM r UNION ALL SELECT seq FROM g)
)
SELECT seq, event, reused FROM r UNION ALL SELECT seq, NULL, false FROM g";
