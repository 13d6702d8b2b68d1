//! Taking up what other nodes have lent to this one as it came in to them: it holds it by then, and has to hear of it.
//!
//! The notice names the events. What is lost with a notice is found when it is looked round for what this node has and does not
//! know of (`care`), and given back. Only what still has its first lease is taken up: what came late was given back, and whatever
//! else lends it counts its lease up and writes it down itself, perhaps a moment after it can be read.

use super::lending::{lent, write_down};
use super::parts::Parts;
use super::rows::{self, Id, delivery_columns, get};
use super::ticks;
use crate::store::StoreError;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Events that are looked at together; deliveries that one statement gives, and bytes of bodies that come along.
const EVENTS: usize = 2_048;
const DELIVERIES: i64 = 4_096;
const EVENT_BYTES: i64 = 4 << 20;
/// How long it waits for this node to go by the configuration under which something was lent, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(50);

/// Until the home closes.
pub(super) async fn run(parts: Arc<Parts>) {
    while parts.check().is_ok() {
        let places = parts.fetch_offered(EVENTS);
        if places.is_empty() {
            let closing = parts.closing.notified();
            tokio::select! {
                () = parts.offered.notified() => {}
                () = closing => {}
            }
        } else if let Err(fault) = take_up(&parts, places).await {
            parts.doubt.store(true, Ordering::SeqCst);
            tracing::debug!(%fault, "what others have lent was not taken up; it is looked for");
        }
    }
}

async fn take_up(parts: &Parts, mut places: Vec<i64>) -> Result<(), StoreError> {
    // An event that is named twice counts once: what is written down twice would be tried twice.
    places.sort_unstable();
    places.dedup();
    let (began, mut behind) = (ticks::now(), (i64::MIN, i32::MIN));
    loop {
        match take_up_some(parts, &places, behind).await? {
            Taken::All => return Ok(()),
            Taken::UpTo(last) => behind = last,
            Taken::TooNew => wait(began).await?,
        }
    }
}

/// A change of the configuration is taken over in a moment; what would be given back instead would wait for seconds.
async fn wait(began: Instant) -> Result<(), StoreError> {
    if began.elapsed() >= PATIENCE {
        return Err(StoreError::Busy);
    }
    tokio::time::sleep(PAUSE).await;
    Ok(())
}

/// How far it came.
enum Taken {
    All,
    /// There may be more behind this one.
    UpTo((i64, i32)),
    /// Under a newer configuration than this node goes by a new endpoint would look like one that is gone.
    TooNew,
}

/// Takes up those behind a place.
async fn take_up_some(
    parts: &Parts,
    places: &[i64],
    (seq, nth): (i64, i32),
) -> Result<Taken, StoreError> {
    let line = parts.claimer.open().await?;
    let _hands = parts.hands.lock().await;
    let node = parts.node();
    let values: [&(dyn ToSql + Sync); 6] = [&places, &node, &EVENT_BYTES, &seq, &nth, &DELIVERIES];
    let found = line.query(TAKE_UP, &values).await?;
    let Some(last) = found.last() else { return Ok(Taken::All) };
    if get::<i64>(last, GENERATION)? > parts.generation() {
        return Ok(Taken::TooNew);
    }
    parts.deliver_lent(write_down(parts, node, unknown(parts, &found)?)?);
    let is_full = rows::whole(found.len()) >= DELIVERIES;
    Ok(if is_full { Taken::UpTo((get(last, 0)?, get(last, 1)?)) } else { Taken::All })
}

/// What is not written down yet.
fn unknown<'r>(parts: &Parts, found: &'r [Row]) -> Result<Vec<&'r Row>, StoreError> {
    let mut unknown = Vec::with_capacity(found.len());
    let leases = parts.leases();
    for row in found {
        if !leases.holds(get::<Id>(row, 2)?.into()) {
            unknown.push(row);
        }
    }
    Ok(unknown)
}

/// Where the columns of what is lent are followed by the number of the configuration.
const GENERATION: usize = 19;

/// `OFFSET 0`: event by event, by its key. Of a day of which it knows nothing yet the planner would go through all that this node
/// has, and through all events for each.
const TAKE_UP: &str = concat!(
    "WITH s AS (
    SELECT ",
    delivery_columns!(),
    ", $3::int8 AS bytes, d.body_len, sum(greatest(d.body_len, 1)) OVER (ORDER BY d.seq, d.nth) AS size
    FROM unnest($1::int8[]) AS p (seq) CROSS JOIN LATERAL (
        SELECT *, coalesce((SELECT e.body_len FROM events e WHERE e.seq = p.seq), 0) AS body_len FROM deliveries
        WHERE seq = p.seq AND holder = $2 AND lease = 1 AND state + 0 = 0 AND (seq, nth) > ($4::int8, $5::int4) OFFSET 0
    ) d
) SELECT ",
    lent!(),
    ", (SELECT number FROM generation) FROM s d ORDER BY d.seq, d.nth LIMIT $6::int8"
);
