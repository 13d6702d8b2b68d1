//! Claims where order is kept: of each key only the first delivery that is not settled, and those without a key.

use super::lending::{lend, lent, write_down};
use super::line::Open;
use super::parts::Parts;
use super::rows::{self, delivery_columns, get, ms, time};
use crate::store::{Claim, Claims, StoreError};
use doorbell_core::id::EndpointId;
use doorbell_core::time::Time;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
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

/// Lends what is due and has nothing of its key before it.
pub(super) async fn claim(
    parts: &Parts,
    turns: &Turns,
    claim: Claim,
) -> Result<Claims, StoreError> {
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
    let lent = write_down(parts, node, &found)?;
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
    "WITH c AS (SELECT *, $4::int8 AS bytes FROM unnest($1::int8[], $2::int4[]) AS c (seq, nth))",
    lend!("$3::int8", "$5::int8"),
    "SELECT ",
    lent!(),
    " FROM s d"
);
