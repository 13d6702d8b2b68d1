//! Settling: what came of tries goes to the database as one statement for all that have come together.
//!
//! Where an endpoint keeps order the same statement lends the next of the key: it would take a claim between any two else, and
//! a key is no faster than what happens between two of its deliveries.

use super::leases::Hold;
use super::parts::Parts;
use super::rows::{self, Id, StateColumns, delivery_columns, get, ms};
use super::ticks;
use crate::store::{Lent, Locator, Settled, Settlement, StoreError};
use doorbell_core::id::{DeliveryId, EndpointId};
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Settlements that may wait, and most of one statement.
const WAITING: usize = 8_192;
const BATCH: usize = 1_000;
/// Largest body that comes along with the next of a key, in bytes; a larger one is read when it starts.
const NEXT_BODY: i64 = 64 << 10;

/// A settlement that waits.
#[derive(Debug)]
struct Item {
    settlement: Settlement,
    hold: Hold,
    answer: oneshot::Sender<Result<Settled, StoreError>>,
}

/// Where settlements are handed in.
#[derive(Debug)]
pub(super) struct Desk {
    parts: Arc<Parts>,
    items: mpsc::Sender<Item>,
}

impl Desk {
    /// Hands a settlement in and waits until it is durable.
    pub(super) async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        let id = settlement.delivery.id;
        let hold = self.parts.leases().of(id, settlement.lease);
        let Some(hold) = hold else { return Ok(Settled::LeaseLost) };
        let (answer, answered) = oneshot::channel();
        let item = Item { settlement, hold, answer };
        self.items.send(item).await.map_err(|_| StoreError::Busy)?;
        answered.await.unwrap_or(Err(StoreError::Busy))
    }
}

/// Starts the task that settles; it ends when the desk is gone.
pub(super) fn start(parts: Arc<Parts>) -> Desk {
    let (items, from) = mpsc::channel(WAITING);
    tokio::spawn(run(Arc::clone(&parts), from));
    Desk { parts, items }
}

async fn run(parts: Arc<Parts>, mut from: mpsc::Receiver<Item>) {
    let mut items = Vec::new();
    while from.recv_many(&mut items, BATCH).await > 0 {
        let (batch, twice) = once_each(std::mem::take(&mut items));
        commit(&parts, batch).await;
        // Whoever settles the same delivery twice at once is answered after the first.
        commit(&parts, twice).await;
    }
}

/// A statement may change a row only once.
fn once_each(items: Vec<Item>) -> (Vec<Item>, Vec<Item>) {
    let mut seen = HashSet::new();
    items.into_iter().partition(|item| seen.insert(item.settlement.delivery.id))
}

async fn commit(parts: &Parts, items: Vec<Item>) {
    if items.is_empty() {
        return;
    }
    match write(parts, &items).await {
        Ok(Written { kept, next }) => {
            let mut stirred = BTreeSet::new();
            let (followed, next): (HashSet<DeliveryId>, Vec<Lent>) = next.into_iter().unzip();
            for Item { settlement, hold, answer } in items {
                let id = settlement.delivery.id;
                parts.leases().end(id, hold.lease);
                let kept = kept.contains(&id);
                if kept && settlement.gives_back() {
                    stirred.insert(settlement.delivery.endpoint);
                }
                drop(answer.send(Ok(match (kept, followed.contains(&id)) {
                    (true, true) => Settled::Next,
                    (true, false) => Settled::Kept,
                    (false, _) => Settled::LeaseLost,
                })));
            }
            parts.deliver_lent(next);
            parts.stir(stirred);
        }
        Err(fault) => {
            // What it lends may be lent, and nobody was given it.
            let lends = items.iter().any(|item| item.settlement.frees().is_some());
            parts.doubt.fetch_or(lends, Ordering::SeqCst);
            for item in items {
                drop(item.answer.send(Err(fault.clone())));
            }
        }
    }
}

/// What was written.
struct Written {
    kept: HashSet<DeliveryId>,
    /// What was lent after which.
    next: Vec<(DeliveryId, Lent)>,
}

/// Writes them; says which were kept. One that was kept by a try of which we heard nothing counts as kept: nobody else
/// could have ended our lease and left its token.
async fn write(parts: &Parts, items: &[Item]) -> Result<Written, StoreError> {
    parts.check()?;
    let (mut of, node) = (Columns::default(), parts.node());
    let lends = parts.leases().is_alive(ticks::now());
    for item in items {
        of.add(item, |endpoint| lends && parts.owns(endpoint.bytes()));
    }
    let generation = parts.generation();
    let values: [&(dyn ToSql + Sync); 23] = [
        &of.seq,
        &of.nth,
        &of.holder,
        &of.lease,
        &of.id,
        &of.attempts,
        &of.state,
        &of.due,
        &of.holds_key,
        &of.why,
        &of.asked,
        &of.updated,
        &of.tried,
        &of.status,
        &of.made,
        &of.record,
        &of.class,
        &of.endpoint,
        &of.key,
        &of.by_hand,
        &node,
        &NEXT_BODY,
        &generation,
    ];
    // Without anything to lend the statement is a shorter one, which costs less.
    if of.key.iter().all(Option::is_none) {
        let rows = parts.settler.query(SETTLE, values.get(..20).unwrap_or_default()).await?;
        let kept = rows.iter().map(|row| Ok(get::<Id>(row, 0)?.into()));
        return Ok(Written { kept: kept.collect::<Result<_, StoreError>>()?, next: Vec::new() });
    }
    read(parts, node, &parts.settler.query(SETTLE_AND_LEND, &values).await?)
}

/// Writes down here what the database has lent.
fn read(parts: &Parts, node: i64, rows: &[Row]) -> Result<Written, StoreError> {
    let mut written = Written { kept: HashSet::new(), next: Vec::new() };
    let mut leases = parts.leases();
    for row in rows {
        let settled = get::<Id>(row, 19)?.into();
        if get::<Option<i64>>(row, 0)?.is_none() {
            written.kept.insert(settled);
            continue;
        }
        let kept = rows::delivery(row)?;
        let record: Option<&[u8]> = get(row, 17)?;
        let payload = record.and_then(|record| rows::decode_event(record).ok()).map(Arc::new);
        let lease = leases.lend(kept.delivery.id, Hold::new(kept.lease, kept.nth, node));
        let locator = Locator(kept.seq.cast_unsigned());
        let (delivery, body_len) = (kept.delivery, rows::count(get(row, 18)?));
        written.next.push((settled, Lent { delivery, locator, lease, body_len, payload }));
    }
    Ok(written)
}

#[derive(Default)]
struct Columns {
    seq: Vec<i64>,
    nth: Vec<i32>,
    holder: Vec<i64>,
    lease: Vec<i64>,
    id: Vec<Id>,
    attempts: Vec<i32>,
    state: Vec<i16>,
    due: Vec<i64>,
    holds_key: Vec<bool>,
    why: Vec<Option<&'static str>>,
    asked: Vec<bool>,
    updated: Vec<Option<i64>>,
    tried: Vec<bool>,
    status: Vec<Option<i32>>,
    made: Vec<Option<i64>>,
    record: Vec<Option<Vec<u8>>>,
    class: Vec<Option<&'static str>>,
    endpoint: Vec<Id>,
    /// Whose next may be lent.
    key: Vec<Option<i64>>,
    by_hand: Vec<i32>,
}

impl Columns {
    fn add(&mut self, Item { settlement, hold, .. }: &Item, lends: impl Fn(EndpointId) -> bool) {
        let delivery = &settlement.delivery;
        let seq = settlement.locator.0.cast_signed();
        let StateColumns { state, due, holds_key, why } = delivery.state.into();
        self.seq.push(seq);
        self.nth.push(hold.nth);
        self.holder.push(hold.holder);
        self.lease.push(hold.lease);
        self.id.push(delivery.id.into());
        self.attempts.push(i32::try_from(delivery.attempts).unwrap_or(i32::MAX));
        self.state.push(state);
        self.due.push(due);
        self.holds_key.push(holds_key);
        self.why.push(why);
        self.asked.push(delivery.asked);
        self.updated.push(settlement.at().map(ms));
        self.tried.push(settlement.attempt.is_some());
        let (status, class) = rows::ending_columns(settlement.ending());
        self.status.push(status);
        self.class.push(class);
        self.endpoint.push(delivery.endpoint.into());
        let frees = settlement.frees().filter(|_| lends(delivery.endpoint));
        self.key.push(frees.map(|(key, _)| key.cast_signed()));
        self.by_hand.push(i32::try_from(delivery.by_hand).unwrap_or(i32::MAX));
        let attempt = settlement.attempt.clone();
        self.made.push(attempt.as_ref().map(|attempt| i64::from(attempt.number)));
        self.record.push(attempt.map(|attempt| rows::encode_attempt(seq, delivery, attempt)));
    }
}

/// Settles as `s`.
macro_rules! settle {
    () => {
        "
WITH u AS MATERIALIZED (
    SELECT * FROM unnest($1::int8[], $2::int4[], $3::int8[], $4::int8[], $5::uuid[], $6::int4[], $7::int2[], $8::int8[],
        $9::bool[], $10::text[], $11::bool[], $12::int8[], $13::bool[], $14::int4[], $15::int8[], $16::bytea[], $17::text[],
        $18::uuid[], $19::int8[], $20::int4[])
    AS u (seq, nth, holder, lease, id, attempts, state, due, holds_key, why, asked, updated, tried, status, made, record,
        class, endpoint, key, by_hand)
), s AS (
    UPDATE deliveries d SET holder = 0, attempts = u.attempts, by_hand = u.by_hand, state = u.state,
        due = u.due, holds_key = u.holds_key, why = u.why, asked = u.asked, updated = coalesce(u.updated, d.updated),
        last_status = CASE WHEN u.tried THEN u.status ELSE d.last_status END,
        last_class = CASE WHEN u.tried THEN u.class ELSE d.last_class END
    FROM u WHERE d.seq = u.seq AND d.nth = u.nth AND d.state + 0 = 0 AND d.holder = u.holder AND d.lease = u.lease
    RETURNING d.id, d.seq, d.nth, u.endpoint, u.key, u.updated, u.made, u.record
), a AS (
    INSERT INTO attempts (seq, nth, made, record) SELECT seq, nth, made, record FROM s WHERE record IS NOT NULL
)"
    };
}

/// Which were kept, now or by a try before.
macro_rules! kept {
    () => {
        "
SELECT id FROM s
UNION ALL
SELECT d.id FROM u JOIN deliveries d ON d.seq = u.seq AND d.nth = u.nth
WHERE d.lease = u.lease AND d.holder = 0 AND d.attempts = u.attempts AND d.state = u.state AND d.due = u.due
    AND (u.seq, u.nth) NOT IN (SELECT seq, nth FROM s)"
    };
}

const SETTLE: &str = concat!(settle!(), kept!());

/// `busy`: keys of which another one is out; `n`: which may be lent after which; `f`: without those that somebody else changes
/// just now, for whom no settlement waits; `l`: what was lent.
const SETTLE_AND_LEND: &str = concat!(
    settle!(),
    ", busy AS MATERIALIZED (
    SELECT held.endpoint, held.order_key FROM (SELECT DISTINCT endpoint FROM s WHERE key IS NOT NULL) w
    CROSS JOIN nodes n CROSS JOIN LATERAL (
        SELECT endpoint, order_key, seq, nth FROM deliveries
        WHERE state = 0 AND holder = n.id AND endpoint = w.endpoint OFFSET 0
    ) held
    WHERE held.order_key IS NOT NULL AND (held.seq, held.nth) NOT IN (SELECT seq, nth FROM s)
), n AS MATERIALIZED (
    SELECT s.id, h.seq, h.nth FROM s CROSS JOIN LATERAL (
        SELECT d.seq, d.nth, d.state, d.holder, d.due FROM deliveries d WHERE d.endpoint = s.endpoint AND d.order_key = s.key
            AND (d.state = 0 OR (d.state = 2 AND d.holds_key)) AND (d.seq, d.nth) <> (s.seq, s.nth)
        ORDER BY d.seq, d.nth LIMIT 1
    ) h
    WHERE s.key IS NOT NULL AND h.state = 0 AND h.holder = 0 AND h.due <= s.updated
        AND (s.endpoint, s.key) NOT IN (SELECT endpoint, order_key FROM busy)
), f AS (
    SELECT n.id AS settled, d.seq, d.nth FROM n JOIN deliveries d ON d.seq = n.seq AND d.nth = n.nth
    WHERE d.state + 0 = 0 AND d.holder = 0 AND (SELECT number FROM generation) <= $23::int8 FOR UPDATE OF d SKIP LOCKED
), l AS (
    UPDATE deliveries d SET holder = $21::int8, lease = d.lease + 1 FROM f WHERE d.seq = f.seq AND d.nth = f.nth
    RETURNING ",
    delivery_columns!(),
    ", f.settled
)
SELECT ",
    delivery_columns!(),
    ", (SELECT e.record FROM events e WHERE e.seq = d.seq AND e.body_len <= $22::int8),
    coalesce((SELECT e.body_len FROM events e WHERE e.seq = d.seq), 0), d.settled FROM l d
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, k.id FROM (",
    kept!(),
    ") k"
);
