//! One delivery from start to settled: read the event, filter, sign, carry, decide, write down.

use crate::clock::Clock;
use crate::configured::{Configured, Snapshot};
use crate::dispatch::lane::Start;
use crate::dispatch::message::{Done, Message};
use crate::live::{Happening, Live};
use crate::metrics::{Metric, Metrics};
use crate::sender::{AnySender, Carried};
use doorbell_core::attempt::{Attempt, Outcome, Timings};
use doorbell_core::configuration::{Change, Resource};
use doorbell_core::delivery::{Delivery, DiscardReason, State};
use doorbell_core::directory::ReadyEndpoint;
use doorbell_core::endpoint::{Endpoint, Status};
use doorbell_core::event::Event;
use doorbell_core::filter::Document;
use doorbell_core::id::{AttemptId, EndpointId};
use doorbell_core::outgoing;
use doorbell_core::settle::{self, EndpointChange};
use doorbell_store::{AnyStore, Lent, Locator, Settled, Settlement, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// First and longest wait before a settlement that the store could not take is tried again.
const SETTLE_RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));
/// When an event's bytes cannot be read, its delivery is looked at again after this: a restored backup may bring them back.
const UNREADABLE_RETRY: Duration = Duration::from_secs(3600);

/// Tells the loop when it is dropped, so that a delivery that panics ends too.
struct End {
    tell: mpsc::Sender<Message>,
    done: Option<Done>,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(done) = self.done.take()
            && let Err(error @ TrySendError::Full(_)) =
                self.tell.try_send(Message::Ended(Box::new(done)))
        {
            // There is room for all that can be out at once. The loop is gone only when the process ends.
            tracing::error!(%error, "the end of a delivery could not be told");
        }
    }
}

/// Makes deliveries; shared by all their tasks.
#[derive(Debug)]
pub(crate) struct Deliverer {
    pub(crate) store: Arc<AnyStore>,
    pub(crate) sender: AnySender,
    pub(crate) configured: Arc<Configured>,
    pub(crate) clock: Clock,
    pub(crate) live: Live,
    pub(crate) metrics: Arc<Metrics>,
}

/// What is to be written down of one delivery.
struct Written {
    delivery: Delivery,
    attempt: Option<Attempt>,
    change: Option<EndpointChange>,
}

impl Written {
    const fn untried(delivery: Delivery) -> Self {
        Self { delivery, attempt: None, change: None }
    }
}

impl Deliverer {
    /// Starts one delivery; its end is told as a [`Message::Ended`], even when it panics.
    pub(crate) fn spawn(self: &Arc<Self>, start: Start, tell: mpsc::Sender<Message>) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let dice = this.clock.dice();
            let mut end = End { tell, done: Some(Done::lost(&start, low(dice))) };
            let (outcome, state) = this.deliver(start, dice).await;
            if let Some(done) = &mut end.done {
                (done.outcome, done.state) = (outcome, state);
            }
        });
    }

    async fn deliver(&self, start: Start, dice: u128) -> (Option<Outcome>, Option<State>) {
        let Start { lent, endpoint, .. } = start;
        let Lent { delivery, locator, lease, payload } = lent;
        let written = match Self::off(endpoint.as_deref()) {
            Ok(endpoint) => match self.event(payload, locator).await {
                Ok(event) => self.attempt(&delivery, &event, endpoint, dice).await,
                Err(error) => self.unreadable(&delivery, &error),
            },
            Err(why) => Written::untried(settle::discard(&delivery, why, self.clock.now())),
        };
        let outcome = written.attempt.as_ref().map(|attempt| attempt.outcome.clone());
        let change = written.change;
        let settlement =
            Settlement { lease, locator, delivery: written.delivery, attempt: written.attempt };
        let tried = settlement.delivery.clone();
        let state = self.settle(settlement).await;
        if let (Some(_), Some(outcome)) = (state, &outcome) {
            self.tell(&tried, outcome);
        }
        if let Some(EndpointChange::Disable { why }) = change {
            self.disable(delivery.endpoint, why).await;
        }
        (outcome, state)
    }

    /// The endpoint, if it gets anything at all.
    fn off(endpoint: Option<&ReadyEndpoint>) -> Result<&ReadyEndpoint, DiscardReason> {
        let endpoint = endpoint.ok_or(DiscardReason::EndpointDeleted)?;
        match endpoint.endpoint().status {
            Status::Enabled | Status::Paused => Ok(endpoint),
            Status::Disabled { .. } => Err(DiscardReason::EndpointDisabled),
        }
    }

    /// Filters, signs, carries, and decides what follows.
    async fn attempt(
        &self,
        delivery: &Delivery,
        event: &Event,
        ready: &ReadyEndpoint,
        dice: u128,
    ) -> Written {
        let began = self.clock.now();
        if !ready.wants(&Document::new(event)) {
            return Written::untried(settle::discard(delivery, DiscardReason::Filtered, began));
        }
        let number = delivery.attempts.saturating_add(1);
        let carried = match outgoing::write(event, ready, number, began) {
            Ok(outgoing) => self.sender.carry(outgoing).await,
            Err(fault) => Carried {
                outcome: Outcome::Failed(fault),
                timings: Timings::default(),
                address: None,
            },
        };
        let step = settle::after(
            delivery,
            ready.endpoint(),
            &carried.outcome,
            self.clock.now(),
            low(dice),
        );
        let attempt = Attempt {
            id: AttemptId::new(began, dice),
            number,
            at: began,
            trigger: settle::trigger(delivery),
            address: carried.address,
            timings: carried.timings,
            outcome: carried.outcome,
        };
        Written { delivery: step.delivery, attempt: Some(attempt), change: step.endpoint }
    }

    async fn event(
        &self,
        payload: Option<Arc<Event>>,
        locator: Locator,
    ) -> Result<Arc<Event>, StoreError> {
        match payload {
            Some(event) => Ok(event),
            None => self.store.event_at(locator).await,
        }
    }

    /// Its bytes are damaged or cannot be read: it keeps waiting, since a repair may bring them back.
    fn unreadable(&self, delivery: &Delivery, error: &StoreError) -> Written {
        tracing::error!(delivery = %delivery.id, %error, "the event of a delivery cannot be read");
        Written::untried(settle::put_off(delivery, self.clock.now().after(UNREADABLE_RETRY)))
    }

    fn tell(&self, delivery: &Delivery, outcome: &Outcome) {
        let status = match outcome {
            Outcome::Answered(answer) => Some(answer.status),
            Outcome::Failed(_) => None,
        };
        self.metrics.count(if outcome.class().is_none() {
            Metric::AttemptsDelivered
        } else {
            Metric::AttemptsFailed
        });
        self.live.tell(|| Happening::tried(delivery, self.clock.now(), status));
    }

    /// Writes down what came of a delivery. While the store has no room it is tried again: the try was made, and
    /// forgetting it would make it twice.
    async fn settle(&self, settlement: Settlement) -> Option<State> {
        let mut wait = SETTLE_RETRY.0;
        loop {
            match self.store.settle(settlement.clone()).await {
                Ok(Settled::Kept) => return Some(settlement.delivery.state),
                Ok(Settled::LeaseLost) => return None,
                Err(StoreError::Busy | StoreError::Full | StoreError::Failed(_)) => {
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(SETTLE_RETRY.1);
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

    /// Disables an endpoint that asked for it (410), unless it was changed since.
    async fn disable(&self, id: EndpointId, why: String) {
        let now = self.clock.now();
        let plan = |snapshot: &Snapshot| -> Result<(Vec<Change>, ()), StoreError> {
            let enabled = snapshot
                .directory
                .endpoint(id)
                .map(|ready| ready.endpoint())
                .filter(|endpoint| endpoint.status == Status::Enabled);
            let disabled = enabled.map(|endpoint| Endpoint {
                status: Status::Disabled { at: now, why },
                updated: now,
                ..endpoint.clone()
            });
            Ok((
                disabled
                    .map(|endpoint| Change::Put(Resource::Endpoint(endpoint)))
                    .into_iter()
                    .collect(),
                (),
            ))
        };
        if let Err(error) = self.configured.change(plan).await {
            tracing::error!(endpoint = %id, %error, "the endpoint answered 410 but could not be disabled");
        }
    }
}

fn low(dice: u128) -> u64 {
    u64::try_from(dice & u128::from(u64::MAX)).unwrap_or(0)
}
