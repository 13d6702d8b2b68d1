//! Settling: what came of tries goes to the database as one statement for all that have come together.

use super::leases::Hold;
use super::parts::Parts;
use super::rows::{self, Id, StateColumns, get, ms};
use crate::store::{Settled, Settlement, StoreError};
use doorbell_core::id::DeliveryId;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::types::ToSql;

/// Settlements that may wait, and most of one statement.
const WAITING: usize = 8_192;
const BATCH: usize = 1_000;

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
        Ok(kept) => {
            let mut stirred = BTreeSet::new();
            for Item { settlement, hold, answer } in items {
                let id = settlement.delivery.id;
                parts.leases().end(id, hold.lease);
                let kept = kept.contains(&id);
                if kept && settlement.gives_back() {
                    stirred.insert(settlement.delivery.endpoint);
                }
                drop(answer.send(Ok(if kept { Settled::Kept } else { Settled::LeaseLost })));
            }
            parts.stir(stirred);
        }
        Err(fault) => {
            for item in items {
                drop(item.answer.send(Err(fault.clone())));
            }
        }
    }
}

/// Writes them; says which were kept. One that was kept by a try of which we heard nothing counts as kept: nobody else
/// could have ended our lease and left its token.
async fn write(parts: &Parts, items: &[Item]) -> Result<HashSet<DeliveryId>, StoreError> {
    parts.check()?;
    let mut of = Columns::default();
    for item in items {
        of.add(item);
    }
    let values: [&(dyn ToSql + Sync); 17] = [
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
    ];
    let rows = parts.settler.query(SETTLE, &values).await?;
    rows.iter().map(|row| Ok(get::<Id>(row, 0)?.into())).collect()
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
}

impl Columns {
    fn add(&mut self, Item { settlement, hold, .. }: &Item) {
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
        let attempt = settlement.attempt.clone();
        self.made.push(attempt.as_ref().map(|attempt| i64::from(attempt.number)));
        self.record.push(attempt.map(|attempt| rows::encode_attempt(seq, delivery, attempt)));
    }
}

const SETTLE: &str = "
WITH u AS MATERIALIZED (
    SELECT * FROM unnest($1::int8[], $2::int4[], $3::int8[], $4::int8[], $5::uuid[], $6::int4[], $7::int2[], $8::int8[],
        $9::bool[], $10::text[], $11::bool[], $12::int8[], $13::bool[], $14::int4[], $15::int8[], $16::bytea[], $17::text[])
    AS u (seq, nth, holder, lease, id, attempts, state, due, holds_key, why, asked, updated, tried, status, made, record,
        class)
), s AS (
    UPDATE deliveries d SET holder = 0, attempts = u.attempts, state = u.state, due = u.due, holds_key = u.holds_key,
        why = u.why, asked = u.asked, updated = coalesce(u.updated, d.updated),
        last_status = CASE WHEN u.tried THEN u.status ELSE d.last_status END,
        last_class = CASE WHEN u.tried THEN u.class ELSE d.last_class END
    FROM u WHERE d.seq = u.seq AND d.nth = u.nth AND d.state + 0 = 0 AND d.holder = u.holder AND d.lease = u.lease
    RETURNING d.id, d.seq, d.nth
), a AS (
    INSERT INTO attempts (seq, nth, made, record)
    SELECT u.seq, u.nth, u.made, u.record FROM u JOIN s ON s.seq = u.seq AND s.nth = u.nth WHERE u.record IS NOT NULL
)
SELECT id FROM s
UNION ALL
SELECT d.id FROM u JOIN deliveries d ON d.seq = u.seq AND d.nth = u.nth
WHERE d.lease = u.lease AND d.holder = 0 AND d.attempts = u.attempts AND d.state = u.state AND d.due = u.due";
