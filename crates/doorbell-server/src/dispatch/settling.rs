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
}

/// Settles a delivery and does what follows. What panics in there ends this delivery and not the loop that waits for it.
pub(crate) async fn settle(
    deliverer: Arc<Deliverer>,
    settlement: Settlement,
    change: Option<EndpointChange>,
) -> Done {
    let (endpoint, delivery) = (settlement.delivery.endpoint, settlement.delivery.id);
    let work = async {
        let kept = write_down(&deliverer, &settlement).await;
        if kept {
            tell(&deliverer, &settlement);
        }
        if let Some(EndpointChange::Disable { url, why }) = change {
            disable(&deliverer, endpoint, (url, why)).await;
        }
        kept.then_some(settlement.delivery.state)
    };
    let state = AssertUnwindSafe(work).catch_unwind().await.unwrap_or(None);
    Done { endpoint, delivery, state }
}

/// While the store has no room it is tried again: the try was made, and forgetting it would make it twice. Says whether
/// it was kept.
async fn write_down(deliverer: &Deliverer, settlement: &Settlement) -> bool {
    let mut wait = RETRY.0;
    loop {
        match deliverer.store.settle(settlement.clone()).await {
            Ok(Settled::Kept) => return true,
            Ok(Settled::LeaseLost) => {
                deliverer.metrics.count(Metric::LeasesLost);
                return false;
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
                return false;
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
