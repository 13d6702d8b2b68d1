//! Claims: waiting deliveries are lent to this node, all of one claim by one statement.
//!
//! Only the node that looks after an endpoint claims for it, so nobody waits for anybody's row locks; where two believe
//! that they do, what is locked is passed over.

use super::leases::Hold;
use super::line::Open;
use super::parts::Parts;
use super::rows::{self, Kept, delivery_columns, get, ms, time};
use super::ticks;
use crate::store::{Claim, Claims, Lent, Locator, StoreError};
use doorbell_core::event::Event;
use doorbell_core::id::EndpointId;
use doorbell_core::time::Time;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Order keys that one claim looks at, at least.
const KEYS: usize = 512;

/// Waiting deliveries among which one claim looks for those without a key. Behind a long line of others they are found by one
/// of the next claims: none goes through the whole line.
const LOOKED_AT: usize = 2_048;
/// When it was not the whole line, or after a round through more keys than a claim looks at: how soon it goes on, if nothing
/// else asks for a claim before.
const LOOK_ON: Duration = Duration::from_secs(1);

/// Where the next claim by key goes on, for endpoints with more than one claim looks at.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<EndpointId, Turn>>);

/// Both `None`: from the beginning.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Turn {
    /// Behind this key.
    key: Option<i64>,
    /// Behind this place in the line, for those without a key.
    place: Option<Place>,
}

/// When due, and which.
type Place = (i64, i64, i32);

impl Turns {
    fn of(&self, endpoint: EndpointId) -> Turn {
        let turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.get(&endpoint).copied().unwrap_or_default()
    }

    fn set(&self, endpoint: EndpointId, at: Turn) {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if at == Turn::default() {
            turns.remove(&endpoint);
        } else {
            turns.insert(endpoint, at);
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
        let record: Option<&[u8]> = get(row, 17)?;
        // One whose bytes are damaged is found out when its turn comes.
        let event = record.and_then(|record| rows::decode_event(record).ok()).map(Arc::new);
        let body_len = rows::count(get(row, 18)?);
        all.push((rows::delivery(row)?, body_len, event));
    }
    all.sort_by_key(|(kept, ..)| (due(kept), kept.seq, kept.nth));
    let mut leases = parts.leases();
    let lend = |(kept, body_len, payload): (Kept, u64, Option<Arc<Event>>)| {
        let lease = leases.lend(kept.delivery.id, Hold::new(kept.lease, kept.nth, node));
        let locator = Locator(kept.seq.cast_unsigned());
        Lent { delivery: kept.delivery, locator, lease, body_len, payload }
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
    let found = line.query(HEADS, &[&endpoint, &from.key, &most]).await?;
    let mut heads = read_heads(&found)?;
    let went_through = rows::whole(heads.len()) < most;
    let key = if went_through { None } else { heads.last().and_then(|head| head.key) };
    let (unkeyed, place) = unkeyed(&line, claim.endpoint, (most, from.place)).await?;
    turns.set(claim.endpoint, Turn { key, place });
    heads.extend(unkeyed);

    let (taken, left) = choose(heads, &claim);
    let (seq, nth): (Vec<i64>, Vec<i32>) = taken.iter().map(|head| (head.seq, head.nth)).unzip();
    let bytes = rows::whole(claim.event_bytes);
    let found = line.query(NAMED, &[&seq, &nth, &node, &bytes, &parts.generation()]).await?;
    let lent = lend(parts, node, &found)?;
    // What was not looked at may be due. A round through all keys goes on without a rest; behind it there is one, unless it
    // brought something.
    let again = if !went_through || (from.key.is_some() && !lent.is_empty()) {
        Some(claim.due_by)
    } else if from.key.is_some() || place.is_some() || from.place.is_some() {
        Some(claim.due_by.after(LOOK_ON))
    } else {
        None
    };
    Ok(Claims { lent, next_due: left.into_iter().chain(again).min() })
}

/// Some of the waiting ones without a key, and where the next claim looks on.
async fn unkeyed(
    line: &Open,
    endpoint: EndpointId,
    (most, from): (i64, Option<Place>),
) -> Result<(Vec<Head>, Option<Place>), StoreError> {
    let window = most.max(rows::whole(LOOKED_AT));
    let (due, seq, nth) = from.unwrap_or((i64::MIN, i64::MIN, i32::MIN));
    let values: [&(dyn ToSql + Sync); 5] = [&rows::Id::from(endpoint), &due, &seq, &nth, &window];
    let found = line.query(UNKEYED, &values).await?;
    let whole = found.last().map_or(Ok(0), |row| get::<i64>(row, 5))? < window;
    let mut heads = read_heads(&found)?;
    // The last row is that at which it ended.
    let last = heads.pop().map(|end| (ms(end.due), end.seq, end.nth));
    Ok((heads, last.filter(|_| !whole)))
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
const NEXT: usize = 19;

/// Lends what `c` names, as `d` (by its key: `state + 0` keeps the planner from going through all that nobody has, which it
/// does in a partition of which it knows nothing yet). As `s` the same, with the bytes of its body and of all that come up to
/// it: in one walk over `d`, since a join of `d` with itself takes the square of what is lent.
macro_rules! lend {
    ($node:literal, $generation:literal) => {
        concat!(
            ", d AS (UPDATE deliveries d SET holder = ",
            $node,
            ", lease = d.lease + 1 FROM c
            WHERE d.seq = c.seq AND d.nth = c.nth AND d.state + 0 = 0 AND d.holder = 0
            AND (SELECT number FROM generation) <= ",
            $generation,
            " RETURNING ",
            delivery_columns!(),
            "), s AS (SELECT d.*, coalesce(e.body_len, 0) AS body_len,
                sum(greatest(e.body_len, 1)) OVER (ORDER BY d.due, d.seq, d.nth) AS size
            FROM d LEFT JOIN events e ON e.seq = d.seq) "
        )
    };
}

/// The columns of what is lent, of `s` as `d`, with the event of the first ones as far as there is room for their bodies, and
/// the body's bytes.
macro_rules! lent {
    ($bytes:literal) => {
        concat!(
            delivery_columns!(),
            ", (SELECT e.record FROM events e WHERE e.seq = d.seq AND d.size <= ",
            $bytes,
            "), d.body_len"
        )
    };
}

const PLAIN: &str = concat!(
    "WITH c AS (SELECT seq, nth FROM deliveries WHERE state = 0 AND holder = 0 AND endpoint = $1 AND due <= $2
    ORDER BY due, seq, nth LIMIT $3 FOR UPDATE SKIP LOCKED)",
    lend!("$4::int8", "$6::int8"),
    "SELECT ",
    lent!("$5::int8"),
    ", n.due FROM (SELECT (SELECT w.due FROM deliveries w WHERE w.state = 0 AND w.holder = 0 AND w.endpoint = $1
        AND (w.seq, w.nth) NOT IN (SELECT d.seq, d.nth FROM d) ORDER BY w.due LIMIT 1) AS due) n
    LEFT JOIN s d ON true"
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
    SELECT DISTINCT held.order_key FROM nodes n CROSS JOIN LATERAL (
        SELECT order_key FROM deliveries WHERE state = 0 AND holder = n.id AND endpoint = $1 OFFSET 0
    ) held
)
SELECT k.order_key, h.seq, h.nth, h.due,
    h.state = 0 AND h.holder = 0 AND NOT EXISTS (SELECT FROM busy WHERE busy.order_key = k.order_key)
FROM k CROSS JOIN LATERAL (
    SELECT * FROM deliveries d WHERE d.endpoint = $1 AND d.order_key = k.order_key
        AND (d.state = 0 OR (d.state = 2 AND d.holds_key)) ORDER BY d.seq, d.nth LIMIT 1
) h WHERE k.order_key IS NOT NULL ORDER BY k.order_key";

/// Those without a key among the next ones, then the last of the next ones, with how many these were.
const UNKEYED: &str = "
WITH w AS MATERIALIZED (
    SELECT order_key, seq, nth, due FROM deliveries WHERE state = 0 AND holder = 0 AND endpoint = $1
        AND (due, seq, nth) > ($2, $3, $4) ORDER BY due, seq, nth LIMIT $5
)
(SELECT order_key, seq, nth, due, true, 0::int8 FROM w WHERE order_key IS NULL ORDER BY due, seq, nth)
UNION ALL
(SELECT order_key, seq, nth, due, false, (SELECT count(*) FROM w) FROM w ORDER BY due DESC, seq DESC, nth DESC LIMIT 1)";

const NAMED: &str = concat!(
    "WITH c AS (SELECT * FROM unnest($1::int8[], $2::int4[]) AS c (seq, nth))",
    lend!("$3::int8", "$5::int8"),
    "SELECT ",
    lent!("$4::int8"),
    " FROM s d"
);
