//! Changes of deliveries at someone's request: retry, cancel, replay.

use super::index::Taken;
use super::leases::Standing;
use super::parts::Parts;
use crate::store::{
    Amended, Amendment, Lease, Lent, Locator, NewDelivery, Settled, Settlement, StoreError,
};
use doorbell_core::attempt::Attempt;
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::id::{DeliveryId, EndpointId, EventId, TenantId};
use doorbell_core::settle;
use doorbell_core::time::Time;

/// Makes one change.
///
/// # Errors
/// Those of reading and writing.
pub(super) async fn amend(parts: &Parts, amendment: Amendment) -> Result<Amended, StoreError> {
    parts.engine.catch_up().await?;
    match amendment {
        Amendment::Retry { tenant, delivery, due, lend } => {
            let retried = |now: &Delivery| Some((settle::retried(now, due)?, None));
            let amended = change(parts, tenant, delivery, retried).await?;
            if lend && matches!(amended, Amended::Done(_)) {
                hand_over(parts, delivery).await;
            }
            Ok(amended)
        }
        Amendment::Cancel { tenant, delivery, at } => {
            let cancelled = |now: &Delivery| Some((settle::cancelled(now, at)?, None));
            change(parts, tenant, delivery, cancelled).await
        }
        Amendment::Redeliver { tenant, event, deliveries } => {
            redeliver(parts, tenant, event, deliveries).await
        }
    }
}

/// A delivery that is held while it is changed, as if it were tried; it is given back when the change is not made, and
/// its endpoint is told, since a claim may have passed over it.
struct Hold<'a> {
    parts: &'a Parts,
    delivery: DeliveryId,
    endpoint: EndpointId,
    lease: Lease,
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let shared = &self.parts.engine.shared;
        if shared.leases.lock().give_back(self.delivery, self.lease) {
            shared.stirred.put([self.endpoint]);
        }
    }
}

/// Makes of a delivery that nobody tries what `to` says of it, with a try that was made elsewhere if there is one.
///
/// # Errors
/// Those of reading and writing.
pub(super) async fn change(
    parts: &Parts,
    tenant: TenantId,
    id: DeliveryId,
    to: impl FnOnce(&Delivery) -> Option<(Delivery, Option<Attempt>)>,
) -> Result<Amended, StoreError> {
    let found = parts.index.delivery(id)?.map(|found| found.row.delivery);
    let Some(found) = found.filter(|found| found.tenant == tenant) else {
        return Ok(Amended::Unknown);
    };
    let Some(hold) = hold(parts, (id, found.endpoint)).await? else { return Ok(Amended::InFlight) };
    // Nobody else changes it from here on, and the index has what was changed before.
    let Some(found) = parts.index.delivery(id)? else { return Ok(Amended::Unknown) };
    let Some((delivery, attempt)) = to(&found.row.delivery) else {
        return Ok(Amended::NotAllowed);
    };
    parts.engine.shared.leases.lock().continues(id, hold.lease, found.last_attempt);
    let settlement = Settlement {
        lease: hold.lease,
        locator: Locator(found.event_at),
        delivery,
        attempt,
        next: false,
    };
    let endpoint = settlement.delivery.endpoint;
    match parts.engine.change(settlement, Some(endpoint)).await? {
        Settled::Kept | Settled::Next => Ok(Amended::Done(Some(endpoint))),
        Settled::LeaseLost => Ok(Amended::InFlight),
    }
}

/// Lends out a delivery that was retried. It was made durable before: what goes wrong here leaves it to the next claim.
async fn hand_over(parts: &Parts, delivery: DeliveryId) {
    let lent = match parts.engine.catch_up().await {
        Ok(()) => lend(parts, delivery),
        Err(error) => Err(error),
    };
    match lent {
        Ok(lent) => parts.engine.shared.outbox.put(lent),
        Err(error) => tracing::warn!(%delivery, %error, "a retried delivery waits for a claim"),
    }
}

/// As a claim would lend it: `None` when it does not wait any more, somebody else has it, or another of its key goes
/// before it.
fn lend(parts: &Parts, id: DeliveryId) -> Result<Option<Lent>, StoreError> {
    let leases = &parts.engine.shared.leases;
    let _gate = leases.claiming();
    let Some(found) = parts.index.delivery(id)? else { return Ok(None) };
    let delivery = found.row.delivery;
    let key_is_held = |key| leases.lock().holds_key(delivery.endpoint, key);
    let is_held = |other| leases.lock().standing(other) != Standing::Free;
    let taken = Taken { delivery: &is_held, key: &key_is_held };
    if delivery.state.is_settled() || !parts.index.is_first_of_key(&delivery, taken)? {
        return Ok(None);
    }
    let lease = leases.lock().lend(&delivery, found.last_attempt);
    let (locator, body_len) = (Locator(found.event_at), found.body_len);
    Ok(lease.map(|lease| Lent { delivery, locator, lease, body_len, payload: None }))
}

/// Takes a delivery that nobody has begun with, after the index has learned what was settled; `None` when somebody has.
async fn hold(
    parts: &Parts,
    (delivery, endpoint): (DeliveryId, EndpointId),
) -> Result<Option<Hold<'_>>, StoreError> {
    loop {
        let standing = {
            let mut held = parts.engine.shared.leases.lock();
            if let Some(lease) = held.take(delivery) {
                return Ok(Some(Hold { parts, delivery, endpoint, lease }));
            }
            held.standing(delivery)
        };
        let Standing::Settled(position) = standing else { return Ok(None) };
        parts.engine.shared.progress.reach(position + 1).await?;
    }
}

async fn redeliver(
    parts: &Parts,
    tenant: TenantId,
    event: EventId,
    deliveries: Vec<NewDelivery>,
) -> Result<Amended, StoreError> {
    let found = parts.index.event(event)?;
    let Some(found) = found.filter(|found| found.tenant == tenant) else {
        return Ok(Amended::Unknown);
    };
    let at = deliveries.iter().map(|new| moment(new.state)).max().unwrap_or(found.row.at);
    let record = (found.position, found.row.body_len);
    parts.engine.redeliver((tenant, event, record), deliveries, at).await?;
    Ok(Amended::Done(None))
}

/// The time that stands in a state.
const fn moment(state: State) -> Time {
    match state {
        State::Waiting { due } => due,
        State::Delivered { at } | State::Failed { at, .. } | State::Discarded { at, .. } => at,
    }
}
