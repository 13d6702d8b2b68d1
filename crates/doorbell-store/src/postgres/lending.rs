//! What claims share: how deliveries are lent in the database, and written down here.

use super::leases::Hold;
use super::parts::Parts;
use super::rows::{self, Kept, get};
use crate::store::{Lent, Locator, StoreError};
use doorbell_core::event::Event;
use doorbell_core::time::Time;
use std::sync::Arc;
use tokio_postgres::Row;

/// Writes down here what the database has lent, the first due first.
pub(super) fn write_down<'r>(
    parts: &Parts,
    node: i64,
    found: impl IntoIterator<Item = &'r Row>,
) -> Result<Vec<Lent>, StoreError> {
    let mut all = Vec::new();
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

/// Lends what `c` names, as `d` (by its key: `state + 0` keeps the planner from going through all that nobody has, which it
/// does in a partition of which it knows nothing yet). As `s` the same, with the bytes of its body and of all that come up to
/// it of the same endpoint: in one walk over `d`, since a join of `d` with itself takes the square of what is lent. `c` says
/// (`bytes`) how many may come along.
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
            ", c.bytes), s AS (SELECT d.*, coalesce(e.body_len, 0) AS body_len,
                sum(greatest(e.body_len, 1)) OVER (PARTITION BY d.endpoint ORDER BY d.due, d.seq, d.nth) AS size
            FROM d LEFT JOIN events e ON e.seq = d.seq) "
        )
    };
}

/// The columns of what is lent, of `s` as `d`, with the event of the first ones as far as there is room for their bodies, and
/// the body's bytes.
macro_rules! lent {
    () => {
        concat!(
            delivery_columns!(),
            ", (SELECT e.record FROM events e WHERE e.seq = d.seq AND d.size <= d.bytes), d.body_len"
        )
    };
}

pub(super) use {lend, lent};
