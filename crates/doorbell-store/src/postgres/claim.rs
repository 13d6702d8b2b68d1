//! Claims: waiting deliveries are lent to this node, all of one claim by one statement.
//!
//! Only the node that looks after an endpoint claims for it, so nobody waits for anybody's row locks; where two believe
//! that they do, what is locked is passed over.

use super::leases::Hold;
use super::parts::Parts;
use super::rows::{self, Kept, delivery_columns, get, ms, time};
use super::ticks;
use crate::store::{Claim, Claims, Lent, Locator, StoreError};
use doorbell_core::event::Event;
use doorbell_core::id::EndpointId;
use doorbell_core::time::Time;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_postgres::Row;

/// Order keys that one claim looks at, at least.
const KEYS: usize = 512;

/// Where the next claim by key goes on, for endpoints with more keys than one claim looks at.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<EndpointId, i64>>);

impl Turns {
    fn of(&self, endpoint: EndpointId) -> Option<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&endpoint).copied()
    }

    fn set(&self, endpoint: EndpointId, at: Option<i64>) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match at {
            Some(key) => drop(turns.insert(endpoint, key)),
            None => drop(turns.remove(&endpoint)),
        }
    }
}

/// Lends what is due.
pub(super) async fn claim(
    parts: &Parts,
    turns: &Turns,
    claim: Claim,
) -> Result<Claims, StoreError> {
    parts.check()?;
    if !parts.owns(claim.endpoint.bytes()) || !parts.leases().is_alive(ticks::now()) {
        return Ok(Claims::default());
    }
    if claim.by_key { by_key(parts, turns, claim).await } else { plain(parts, claim).await }
}

/// What is lent and what is left come by one answer: an answer that is lost in between would leave here, as held, what
/// nobody was given.
async fn plain(parts: &Parts, claim: Claim) -> Result<Claims, StoreError> {
    let line = parts.claimer.open().await?;
    let (node, endpoint) = (parts.node(), rows::Id::from(claim.endpoint));
    let (most, bytes) = (rows::whole(claim.most), rows::whole(claim.event_bytes));
    let found = line
        .query(PLAIN, &[&endpoint, &ms(claim.due_by), &most, &node, &bytes, &parts.generation()])
        .await?;
    let next: Option<i64> = found.first().map(|row| get(row, NEXT)).transpose()?.flatten();
    // Where nothing is lent there is one row, which only says what is left.
    let none = found.first().map_or(Ok(None), |row| get::<Option<i64>>(row, 0))?.is_none();
    let lent = if none { Vec::new() } else { lend(parts, node, &found)? };
    Ok(Claims { lent, next_due: next.map(time) })
}

/// Writes down here what the database has lent, the first due first.
fn lend(parts: &Parts, node: i64, found: &[Row]) -> Result<Vec<Lent>, StoreError> {
    let mut all = Vec::with_capacity(found.len());
    for row in found {
        let record: Option<&[u8]> = get(row, 16)?;
        // One whose bytes are damaged is found out when its turn comes.
        let event = record.and_then(|record| rows::decode_event(record).ok()).map(Arc::new);
        all.push((rows::delivery(row)?, event));
    }
    all.sort_by_key(|(kept, _)| (due(kept), kept.seq, kept.nth));
    let mut leases = parts.leases();
    let lend = |(kept, payload): (Kept, Option<Arc<Event>>)| {
        let lease = leases.lend(kept.delivery.id, Hold::new(kept.lease, kept.nth, node));
        let locator = Locator(kept.seq.cast_unsigned());
        Lent { delivery: kept.delivery, locator, lease, payload }
    };
    Ok(all.into_iter().map(lend).collect())
}

fn due(kept: &Kept) -> Time {
    use doorbell_core::delivery::State;
    match kept.delivery.state {
        State::Waiting { due } => due,
        State::Delivered { at } | State::Failed { at, .. } | State::Discarded { at, .. } => at,
    }
}

/// The first unsettled delivery of a key, or one without a key.
#[derive(Debug, Clone, Copy)]
struct Head {
    key: Option<i64>,
    seq: i64,
    nth: i32,
    due: Time,
    /// It waits, nobody has it, and nobody has another one of its key.
    free: bool,
}

async fn by_key(parts: &Parts, turns: &Turns, claim: Claim) -> Result<Claims, StoreError> {
    let line = parts.claimer.open().await?;
    let (node, endpoint) = (parts.node(), rows::Id::from(claim.endpoint));
    let most = rows::whole(claim.most.max(KEYS));
    let from = turns.of(claim.endpoint);
    let found = line.query(HEADS, &[&endpoint, &from, &most]).await?;
    let mut heads = read_heads(&found)?;
    let went_through = rows::whole(heads.len()) < most;
    let last = heads.last().and_then(|head| head.key);
    turns.set(claim.endpoint, if went_through { None } else { last });
    let unkeyed = line.query(UNKEYED, &[&endpoint, &most]).await?;
    let more_unkeyed = rows::whole(unkeyed.len()) >= most;
    heads.extend(read_heads(&unkeyed)?);

    let (taken, left) = choose(heads, &claim);
    let (seq, nth): (Vec<i64>, Vec<i32>) = taken.iter().map(|head| (head.seq, head.nth)).unzip();
    let bytes = rows::whole(claim.event_bytes);
    let found = line.query(NAMED, &[&seq, &nth, &node, &bytes, &parts.generation()]).await?;
    let lent = lend(parts, node, &found)?;
    let all_seen = went_through && from.is_none() && !more_unkeyed;
    let next_due =
        if all_seen { left } else { Some(left.unwrap_or(claim.due_by).min(claim.due_by)) };
    Ok(Claims { lent, next_due })
}

/// What is lent, and when the first of the rest is due.
fn choose(heads: Vec<Head>, claim: &Claim) -> (Vec<Head>, Option<Time>) {
    let mut free: Vec<Head> = heads.into_iter().filter(|head| head.free).collect();
    free.sort_by_key(|head| (head.due, head.seq, head.nth));
    let due = free.iter().take_while(|head| head.due <= claim.due_by).count();
    let left = free.split_off(due.min(claim.most));
    (free, left.first().map(|head| head.due))
}

fn read_heads(found: &[Row]) -> Result<Vec<Head>, StoreError> {
    let head = |row: &Row| {
        Ok(Head {
            key: get(row, 0)?,
            seq: get(row, 1)?,
            nth: get(row, 2)?,
            due: time(get(row, 3)?),
            free: get(row, 4)?,
        })
    };
    found.iter().map(head).collect()
}

/// Where the columns of what is lent are followed by when the first of the rest is due.
const NEXT: usize = 17;

/// Lends what `c` names, as `d`, and finds as `s` of which the events come along.
macro_rules! lend {
    ($node:literal, $bytes:literal, $generation:literal) => {
        concat!(
            ", d AS (UPDATE deliveries d SET holder = ", $node, ", lease = d.lease + 1 FROM c
            WHERE d.seq = c.seq AND d.nth = c.nth AND d.state = 0 AND d.holder = 0
            AND (SELECT number FROM generation) <= ",
            $generation,
            " RETURNING ",
            delivery_columns!(),
            "), s AS (SELECT d.seq, d.nth, sum(greatest(e.body_len, 1)) OVER (ORDER BY d.due, d.seq, d.nth) AS size
            FROM d JOIN events e ON e.seq = d.seq WHERE ", $bytes, " > 0) "
        )
    };
}

/// The columns of what is lent, with the event of the first ones as far as there is room for their bodies.
macro_rules! lent {
    ($bytes:literal) => {
        concat!(
            delivery_columns!(),
            ", (SELECT e.record FROM events e WHERE e.seq = d.seq AND s.size <= ",
            $bytes,
            ")"
        )
    };
}

const PLAIN: &str = concat!(
    "WITH c AS (SELECT seq, nth FROM deliveries WHERE state = 0 AND holder = 0 AND endpoint = $1 AND due <= $2
    ORDER BY due, seq, nth LIMIT $3 FOR UPDATE SKIP LOCKED)",
    lend!("$4::int8", "$5::int8", "$6::int8"),
    "SELECT ",
    lent!("$5::int8"),
    ", n.due FROM (SELECT (SELECT w.due FROM deliveries w WHERE w.state = 0 AND w.holder = 0 AND w.endpoint = $1
        AND (w.seq, w.nth) NOT IN (SELECT d.seq, d.nth FROM d) ORDER BY w.due LIMIT 1) AS due) n
    LEFT JOIN (d LEFT JOIN s ON s.seq = d.seq AND s.nth = d.nth) ON true"
);

/// From key to key, the first of each that is not settled or holds its key.
const HEADS: &str = "
WITH RECURSIVE k (order_key, n) AS (
    (SELECT order_key, 1::int8 FROM deliveries WHERE endpoint = $1 AND order_key IS NOT NULL
        AND (state = 0 OR (state = 2 AND holds_key)) AND order_key > coalesce($2::int8, -9223372036854775808)
        ORDER BY order_key LIMIT 1)
    UNION ALL
    SELECT (SELECT d.order_key FROM deliveries d WHERE d.endpoint = $1 AND d.order_key IS NOT NULL
        AND (d.state = 0 OR (d.state = 2 AND d.holds_key)) AND d.order_key > k.order_key
        ORDER BY d.order_key LIMIT 1), k.n + 1
    FROM k WHERE k.order_key IS NOT NULL AND k.n < $3
), busy AS MATERIALIZED (
    SELECT DISTINCT order_key FROM deliveries WHERE state = 0 AND holder IN (SELECT id FROM nodes) AND endpoint = $1
)
SELECT k.order_key, h.seq, h.nth, h.due,
    h.state = 0 AND h.holder = 0 AND NOT EXISTS (SELECT FROM busy WHERE busy.order_key = k.order_key)
FROM k CROSS JOIN LATERAL (
    SELECT * FROM deliveries d WHERE d.endpoint = $1 AND d.order_key = k.order_key
        AND (d.state = 0 OR (d.state = 2 AND d.holds_key)) ORDER BY d.seq, d.nth LIMIT 1
) h WHERE k.order_key IS NOT NULL ORDER BY k.order_key";

const UNKEYED: &str = "SELECT order_key, seq, nth, due, true FROM deliveries
WHERE state = 0 AND holder = 0 AND endpoint = $1 AND order_key IS NULL ORDER BY due, seq, nth LIMIT $2";

const NAMED: &str = concat!(
    "WITH c AS (SELECT * FROM unnest($1::int8[], $2::int4[]) AS c (seq, nth))",
    lend!("$3::int8", "$4::int8", "$5::int8"),
    "SELECT ",
    lent!("$4::int8"),
    " FROM d LEFT JOIN s ON s.seq = d.seq AND s.nth = d.nth"
);
