//! Changes of deliveries at someone's request. What a change does is decided in the core; here the rows are held for it.

use super::away;
use super::batch::made;
use super::columns::Deliveries;
use super::leases::Hold;
use super::line::Open;
use super::parts::Parts;
use super::rows::{self, Id, Kept, StateColumns, delivery_columns, get};
use crate::store::{Amended, Amendment, Lease, Lent, Locator, NewDelivery, StoreError};
use doorbell_core::delivery::Delivery;
use doorbell_core::id::{DeliveryId, EndpointId, EventId, TenantId};
use doorbell_core::settle;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio_postgres::types::ToSql;

/// The first lease of what is made later than its event: not that of what another node has lent as it came in (`taking_up`).
const REDELIVERED: i64 = 2;

/// What was changed, to be told when it is durable. The lease of what is lent is that of its hold.
#[derive(Default)]
struct Done {
    answers: Vec<Amended>,
    changed: Vec<DeliveryId>,
    stirred: BTreeSet<EndpointId>,
    lent: Vec<(Lent, Hold)>,
}

/// Makes the changes, all in one transaction.
pub(super) async fn amend(
    parts: &Parts,
    amendments: Vec<Amendment>,
) -> Result<Vec<Amended>, StoreError> {
    parts.check()?;
    // Lines are shared: what belongs to one transaction must not be mixed with another's.
    let _one = parts.amending.lock().await;
    let line = parts.amender.open().await?;
    line.batch("BEGIN").await?;
    let mut done = Done::default();
    let mut result = Ok(());
    for amendment in &amendments {
        result = one(parts, &line, amendment, &mut done).await;
        if result.is_err() {
            break;
        }
    }
    let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = line.batch(end).await;
    result.and(ended)?;
    Ok(tell(parts, done).await)
}

async fn tell(parts: &Parts, mut done: Done) -> Vec<Amended> {
    let lent = lend(parts, std::mem::take(&mut done.lent), &done.changed);
    parts.deliver_lent(lent);
    parts.wake(done.stirred).await;
    done.answers
}

/// Writes down here what the database has lent, and that it has taken back what was changed.
fn lend(parts: &Parts, new: Vec<(Lent, Hold)>, changed: &[DeliveryId]) -> Vec<Lent> {
    let mut leases = parts.leases();
    leases.given_back(changed);
    let lend =
        |(one, hold): (Lent, Hold)| Lent { lease: leases.lend(one.delivery.id, hold), ..one };
    new.into_iter().map(lend).collect()
}

async fn one(
    parts: &Parts,
    line: &Open,
    amendment: &Amendment,
    done: &mut Done,
) -> Result<(), StoreError> {
    let answer = match amendment {
        Amendment::Retry { tenant, delivery, due, lend } => {
            let to = |now: &Delivery| settle::retried(now, *due);
            change(parts, line, (*tenant, *delivery), (to, *lend), done).await?
        }
        Amendment::Cancel { tenant, delivery, at } => {
            let to = |now: &Delivery| settle::cancelled(now, *at);
            change(parts, line, (*tenant, *delivery), (to, false), done).await?
        }
        Amendment::Redeliver { tenant, event, deliveries } => {
            redeliver(parts, line, (*tenant, *event), deliveries, done).await?
        }
    };
    done.answers.push(answer);
    Ok(())
}

async fn change(
    parts: &Parts,
    line: &Open,
    (tenant, id): (TenantId, DeliveryId),
    (to, lend): (impl Fn(&Delivery) -> Option<Delivery>, bool),
    done: &mut Done,
) -> Result<Amended, StoreError> {
    let found = line.query(LOCK, &[&Id::from(id), &Id::from(tenant)]).await?;
    let Some(row) = found.first() else { return Ok(Amended::Unknown) };
    let kept = rows::delivery(row)?;
    let others: bool = get(row, 17)?;
    let others = others && kept.holder != parts.node();
    if others || is_on_its_way(parts, &kept) || !parts.leases().take_back(id) {
        return Ok(Amended::InFlight);
    }
    let Some(delivery) = to(&kept.delivery) else { return Ok(Amended::NotAllowed) };
    let endpoint = delivery.endpoint;
    let lend = lend && parts.owns(endpoint.bytes()) && goes_first(line, &kept).await?;
    let holder = if lend { parts.node() } else { 0 };
    write(line, &kept, &delivery, holder).await?;
    done.changed.push(id);
    done.stirred.insert(endpoint);
    if lend {
        let hold = Hold::new(kept.lease + 1, kept.nth, holder);
        let (locator, lease) = (Locator(kept.seq.cast_unsigned()), Lease(0));
        let body_len = rows::count(get(row, 18)?);
        done.lent.push((Lent { delivery, locator, lease, body_len, payload: None }, hold));
    }
    Ok(Amended::Done(Some(endpoint)))
}

/// Whether it was lent to this node, and is not written down here yet: whoever does that in a moment would begin with it as it was.
fn is_on_its_way(parts: &Parts, kept: &Kept) -> bool {
    let leases = parts.leases();
    kept.holder == leases.node() && !leases.knows(kept.delivery.id)
}

/// Whether no other delivery of its order key is older, or out.
async fn goes_first(line: &Open, kept: &Kept) -> Result<bool, StoreError> {
    let Some(key) = kept.delivery.order_key.map(u64::cast_signed) else { return Ok(true) };
    let endpoint = Id::from(kept.delivery.endpoint);
    let found = line.query(BEFORE, &[&endpoint, &key, &kept.seq, &kept.nth]).await?;
    Ok(found.is_empty())
}

async fn write(
    line: &Open,
    kept: &Kept,
    delivery: &Delivery,
    holder: i64,
) -> Result<(), StoreError> {
    let StateColumns { state, due, holds_key, why } = delivery.state.into();
    let settled = delivery.state.is_settled().then_some(due);
    let values: [&(dyn ToSql + Sync); 9] =
        [&kept.seq, &kept.nth, &state, &due, &holds_key, &why, &delivery.asked, &settled, &holder];
    line.query(CHANGE, &values).await.map(drop)
}

async fn redeliver(
    parts: &Parts,
    line: &Open,
    (tenant, id): (TenantId, EventId),
    deliveries: &[NewDelivery],
    done: &mut Done,
) -> Result<Amended, StoreError> {
    let found = line.query(EVENT, &[&Id::from(id), &Id::from(tenant)]).await?;
    let Some(row) = found.first() else { return Ok(Amended::Unknown) };
    let seq: i64 = get(row, 0)?;
    let first: i32 = get(row, 1)?;
    let kept = away::decode(get(row, 2)?)?;
    // What lies elsewhere is read when its turn comes.
    let is_whole = kept.is_whole();
    let (event, node) = (Arc::new(kept.event()), parts.node());
    let body_len = rows::count(get(row, 3)?);
    let (mut columns, mut lends) = (Deliveries::default(), Vec::new());
    for (nth, new) in (first..).zip(deliveries) {
        let waits = !new.state.is_settled();
        let lend = new.lend && waits && parts.owns(new.endpoint.bytes());
        let delivery = made(&event, new);
        columns.add((seq, nth), &delivery);
        lends.push(lend);
        if lend {
            let (locator, hold) = (Locator(seq.cast_unsigned()), Hold::new(REDELIVERED, nth, node));
            let lease = Lease(0);
            let payload = is_whole.then(|| Arc::clone(&event));
            done.lent.push((Lent { delivery, locator, lease, body_len, payload }, hold));
        } else if waits {
            done.stirred.insert(new.endpoint);
        }
    }
    insert(line, &columns, (&lends, node)).await?;
    Ok(Amended::Done(None))
}

async fn insert(
    line: &Open,
    of: &Deliveries,
    (lends, node): (&Vec<bool>, i64),
) -> Result<(), StoreError> {
    let rest: [&(dyn ToSql + Sync); 3] = [&lends, &node, &REDELIVERED];
    let values: Vec<_> = of.values().into_iter().chain(rest).collect();
    line.query(INSERT, &values).await.map(drop)
}

const LOCK: &str = concat!(
    "SELECT ",
    delivery_columns!(),
    ", d.state = 0 AND EXISTS (SELECT FROM nodes n WHERE n.id = d.holder AND n.alive_until > now()),
    (SELECT e.body_len FROM events e WHERE e.seq = d.seq)
    FROM deliveries d WHERE d.id = $1 AND d.tenant = $2 FOR UPDATE OF d"
);

const CHANGE: &str =
    "UPDATE deliveries SET holder = $9, lease = lease + 1, state = $3, due = $4, holds_key = $5,
why = $6, asked = $7, updated = coalesce($8, updated) WHERE seq = $1 AND nth = $2";

const BEFORE: &str = "SELECT 1 FROM deliveries WHERE endpoint = $1 AND order_key = $2
AND (state = 0 OR (state = 2 AND holds_key)) AND (seq, nth) <> ($3, $4)
AND ((seq, nth) < ($3, $4) OR holder IN (SELECT id FROM nodes)) LIMIT 1";

const EVENT: &str = "SELECT e.seq, coalesce((SELECT max(nth) + 1 FROM deliveries d WHERE d.seq = e.seq), 0), e.record, e.body_len
FROM events e JOIN kinds k ON k.id = e.kind WHERE e.id = $1 AND k.tenant = $2 FOR UPDATE OF e";

/// Two nodes may believe for a moment that a replay is theirs; both would make the same ids.
const INSERT: &str = "
INSERT INTO deliveries (seq, nth, id, tenant, event, endpoint, order_key, replay, attempts, state, due, holds_key,
    why, asked, holder, lease)
SELECT v.seq, v.nth, v.id, v.tenant, v.event, v.endpoint, v.order_key, v.replay, 0, v.state, v.due, false,
    v.why, false, CASE WHEN v.lend THEN $13::int8 ELSE 0 END, $14::int8
FROM unnest($1::int8[], $2::int4[], $3::uuid[], $4::uuid[], $5::uuid[], $6::uuid[], $7::int8[], $8::uuid[], $9::int2[],
    $10::int8[], $11::text[], $12::bool[])
AS v (seq, nth, id, tenant, event, endpoint, order_key, replay, state, due, why, lend)
WHERE NOT EXISTS (SELECT FROM deliveries o WHERE o.seq = v.seq AND o.id = v.id)";
