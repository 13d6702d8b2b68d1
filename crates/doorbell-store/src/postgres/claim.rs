//! Claims: waiting deliveries are lent to this node. Those of several endpoints that come together go as one statement.
//!
//! Only the node that looks after an endpoint claims for it, so nobody waits for anybody's row locks; where two believe
//! that they do, what is locked is passed over.

use super::lending::{lend, lent, write_down};
use super::parts::Parts;
use super::rows::{self, Id, delivery_columns, get, ms, time};
use crate::store::{Claim, Claims, StoreError};
use doorbell_core::id::EndpointId;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::Row;

/// Claims of one statement, and deliveries and bytes of bodies that all of them get together.
const BATCH: usize = 16;
const LENT: usize = 2_048;
const EVENT_BYTES: usize = 4 << 20;

/// A claim that waits.
#[derive(Debug)]
struct Item {
    claim: Claim,
    answer: oneshot::Sender<Result<Claims, StoreError>>,
}

/// Where claims are handed in for which no order counts.
#[derive(Debug)]
pub(super) struct Counter(mpsc::Sender<Item>);

impl Counter {
    /// Hands a claim in and waits for what is lent.
    pub(super) async fn claim(&self, claim: Claim) -> Result<Claims, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Item { claim, answer }).await.map_err(|_| StoreError::Busy)?;
        // Not answered: it is another node's.
        answered.await.unwrap_or_else(|_| Ok(Claims::default()))
    }
}

/// Starts the task that claims; it ends when the counter is gone.
pub(super) fn start(parts: Arc<Parts>) -> Counter {
    let (items, from) = mpsc::channel(BATCH);
    tokio::spawn(run(parts, from));
    Counter(items)
}

async fn run(parts: Arc<Parts>, mut from: mpsc::Receiver<Item>) {
    let mut items = Vec::new();
    while from.recv_many(&mut items, BATCH).await > 0 {
        while !items.is_empty() {
            // Since they were handed in another node may have taken over.
            items.retain(|item| parts.looks_after(item.claim.endpoint));
            let (batch, again) = once_each(std::mem::take(&mut items));
            answer(&parts, batch).await;
            items = again;
        }
    }
}

/// Of each endpoint one: what is lent is told apart by it.
fn once_each(items: Vec<Item>) -> (Vec<Item>, Vec<Item>) {
    let mut seen = HashSet::new();
    items.into_iter().partition(|item| seen.insert(item.claim.endpoint))
}

async fn answer(parts: &Parts, items: Vec<Item>) {
    let mut made = make(parts, &items).await;
    for Item { claim, answer } in items {
        let own = made.as_mut().map(|made| made.remove(&claim.endpoint).unwrap_or_default());
        drop(answer.send(own.map_err(|fault| fault.clone())));
    }
}

/// What is lent and what is left come by one answer: an answer that is lost in between would leave here, as held, what
/// nobody was given.
async fn make(parts: &Parts, items: &[Item]) -> Result<HashMap<EndpointId, Claims>, StoreError> {
    let line = parts.claimer.open().await?;
    let node = parts.node();
    let share = LENT.div_ceil(items.len().max(1));
    let room = EVENT_BYTES.div_ceil(items.len().max(1));
    let claims = || items.iter().map(|item| &item.claim);
    let endpoints: Vec<Id> = claims().map(|claim| claim.endpoint.into()).collect();
    let due: Vec<i64> = claims().map(|claim| ms(claim.due_by)).collect();
    let most: Vec<i64> = claims().map(|claim| rows::whole(claim.most.min(share))).collect();
    let bytes: Vec<i64> = claims().map(|claim| rows::whole(claim.event_bytes.min(room))).collect();
    let found =
        line.query(PLAIN, &[&endpoints, &due, &most, &bytes, &node, &parts.generation()]).await?;
    let (mut made, mut given) = (HashMap::<EndpointId, Claims>::new(), Vec::new());
    for row in &found {
        if get::<Option<i64>>(row, 0)?.is_some() {
            given.push(row);
        } else {
            let next: Option<i64> = get(row, NEXT)?;
            made.entry(endpoint(row)?).or_default().next_due = next.map(time);
        }
    }
    for lent in write_down(parts, node, given)? {
        made.entry(lent.delivery.endpoint).or_default().lent.push(lent);
    }
    Ok(made)
}

fn endpoint(row: &Row) -> Result<EndpointId, StoreError> {
    get::<Id>(row, 5).map(Into::into)
}

/// Where the columns of what is lent are followed by when the first of the rest is due.
const NEXT: usize = 19;

/// What is lent, then for each endpoint a row that says when the first of the rest is due.
const PLAIN: &str = concat!(
    "WITH w AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::int8[], $3::int8[], $4::int8[]) AS w (endpoint, due, most, bytes)
), c AS (
    SELECT x.seq, x.nth, w.bytes FROM w CROSS JOIN LATERAL (
        SELECT seq, nth FROM deliveries WHERE state = 0 AND holder = 0 AND endpoint = w.endpoint AND due <= w.due
        ORDER BY due, seq, nth LIMIT w.most FOR UPDATE SKIP LOCKED) x
)",
    lend!("$5::int8", "$6::int8"),
    "SELECT ",
    lent!(),
    ", NULL::int8 FROM s d
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, w.endpoint, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, n.due
FROM w LEFT JOIN LATERAL (
    SELECT x.due FROM deliveries x WHERE x.state = 0 AND x.holder = 0 AND x.endpoint = w.endpoint
        AND (x.seq, x.nth) NOT IN (SELECT d.seq, d.nth FROM d) ORDER BY x.due LIMIT 1) n ON true"
);
