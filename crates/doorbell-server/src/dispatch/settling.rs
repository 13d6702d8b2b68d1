//! Writing down what came of a delivery, and what follows from that: who watches is told, an endpoint is disabled.

use crate::dispatch::deliver::Deliverer;
use crate::live::Happening;
use crate::metrics::Metric;
use doorbell_core::configuration::{Change, Resource};
use doorbell_core::delivery::State;
use doorbell_core::directory::Directory;
use doorbell_core::endpoint::{Endpoint, Status};
use doorbell_core::id::{DeliveryId, EndpointId};
use doorbell_core::settle::EndpointChange;
use doorbell_store::{Settled, Settlement, Store, StoreError};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// First and longest wait before a settlement that the store could not take is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));

/// A delivery that is off the loop's hands.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) endpoint: EndpointId,
    pub(crate) delivery: DeliveryId,
    /// Where the delivery stands now; `None`: it could not be settled.
    pub(crate) state: Option<State>,
    /// Whether the next of its order key was lent with that.
    pub(crate) followed: bool,
}

/// Settles a delivery and does what follows. What panics in there ends this delivery and not the loop that waits for it.
pub(crate) async fn settle(
    deliverer: Arc<Deliverer>,
    settlement: Settlement,
    change: Option<EndpointChange>,
) -> Done {
    let (endpoint, delivery) = (settlement.delivery.endpoint, settlement.delivery.id);
    let work = async {
        let settled = write_down(&deliverer, &settlement).await;
        if settled.is_some() {
            tell(&deliverer, &settlement);
        }
        if let Some(EndpointChange::Disable { url, why }) = change {
            disable(&deliverer, endpoint, (url, why)).await;
        }
        settled.map(|settled| (settlement.delivery.state, settled == Settled::Next))
    };
    let done = AssertUnwindSafe(work).catch_unwind().await.unwrap_or(None);
    let (state, followed) = done.unzip();
    Done { endpoint, delivery, state, followed: followed.unwrap_or(false) }
}

/// While the store has no room it is tried again: the try was made, and forgetting it would make it twice. How it was kept,
/// if it was.
async fn write_down(deliverer: &Deliverer, settlement: &Settlement) -> Option<Settled> {
    let mut wait = RETRY.0;
    loop {
        match deliverer.store.settle(settlement.clone()).await {
            Ok(kept @ (Settled::Kept | Settled::Next)) => return Some(kept),
            Ok(Settled::LeaseLost) => {
                deliverer.metrics.count(Metric::LeasesLost);
                return None;
            }
            Err(StoreError::Busy | StoreError::Full | StoreError::Failed(_)) => {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(RETRY.1);
            }
            Err(
                error @ (StoreError::Broken(_)
                | StoreError::Corrupt(_)
                | StoreError::Conflict(_)
                | StoreError::BadCursor),
            ) => {
                tracing::error!(delivery = %settlement.delivery.id, %error, "a delivery could not be settled");
                return None;
            }
        }
    }
}

fn tell(deliverer: &Deliverer, settlement: &Settlement) {
    match settlement.delivery.state {
        State::Waiting { .. } => {}
        State::Delivered { .. } => deliverer.metrics.count(Metric::SettledDelivered),
        State::Failed { .. } => deliverer.metrics.count(Metric::SettledFailed),
        State::Discarded { .. } => deliverer.metrics.count(Metric::SettledDiscarded),
    }
    let Some(attempt) = &settlement.attempt else { return };
    let delivered = attempt.outcome.class().is_none();
    let endpoint = settlement.delivery.endpoint;
    deliverer.metrics.tried(endpoint, delivered, deliverer.clock.now());
    let ending = attempt.outcome.ending();
    deliverer.live.tell(|| Happening::tried(&settlement.delivery, deliverer.clock.now(), ending));
}

/// Disables an endpoint that asked for it (410), unless it has moved or was switched off since.
async fn disable(deliverer: &Deliverer, id: EndpointId, (url, why): (String, String)) {
    let now = deliverer.clock.now();
    let plan = |snapshot: &Directory| -> Result<(Vec<Change>, ()), StoreError> {
        let enabled = snapshot
            .endpoint(id)
            .map(|ready| ready.endpoint())
            .filter(|endpoint| endpoint.status == Status::Enabled && endpoint.url == url);
        let disabled = enabled.map(|endpoint| Endpoint {
            status: Status::Disabled { at: now, why },
            updated: now,
            ..endpoint.clone()
        });
        let changes = disabled.map(|endpoint| Change::Put(Resource::Endpoint(endpoint)));
        Ok((changes.into_iter().collect(), ()))
    };
    if let Err(error) = deliverer.configured.change(plan).await {
        tracing::error!(endpoint = %id, %error, "the endpoint answered 410 but could not be disabled");
    }
}
