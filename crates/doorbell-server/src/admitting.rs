//! Taking an event in, however it was born: room in dispatch is asked for, the store makes it durable, the rest is told.

use crate::clock::Clock;
use crate::desk::Desk;
use crate::health::Health;
use crate::live::{Happening, Live};
use crate::metrics::{Asked, Metric, Metrics, Timing};
use crate::traces::Traces;
use bytes::Bytes;
use doorbell_core::delivery::State;
use doorbell_core::event::Fate;
use doorbell_core::id::DeliveryId;
use doorbell_core::intake::{Accepted, Planned};
use doorbell_queue::{Inbox, QueueError};
use doorbell_store::{Admission, Admitted, AnyStore, NewDelivery, Store as _, StoreError};
use doorbell_wire::stored::{self, ReceivedRef};
use std::sync::Arc;

/// What it takes to take events in. Requests to sources and published events go the same way.
#[derive(Debug)]
pub struct Admitting {
    /// Where they are kept.
    pub store: Arc<AnyStore>,
    /// Where their deliveries go next.
    pub desk: Desk,
    /// Who watches.
    pub live: Live,
    /// Which tracing system is told.
    pub traces: Traces,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// What becomes of the node when the store takes nothing.
    pub health: Arc<Health>,
    /// What time it is.
    pub clock: Clock,
    /// Where what comes to sources waits before it gets to the store, if anywhere.
    pub inbox: Option<Arc<Inbox>>,
}

/// Why nothing was promised to whoever sent an event.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The inbox did not take it.
    #[error(transparent)]
    Inbox(#[from] QueueError),
}

impl Admitting {
    /// Takes in what came to a source; it is durable when this returns `Ok`: in the inbox, where there is one and the
    /// event fits into it, else in the store.
    ///
    /// # Errors
    /// [`NotTaken`]: nothing was promised.
    pub async fn take_in(&self, accepted: Accepted) -> Result<(), NotTaken> {
        let Some(inbox) = &self.inbox else {
            return Ok(self.admit(admission(accepted, &self.clock)).await.map(drop)?);
        };
        let record = ReceivedRef {
            event: &accepted.event,
            fate: &accepted.fate,
            dedupe_window: accepted.dedupe_window,
            deliveries: &[],
        };
        let (id, letter) = (accepted.event.id.to_string(), Bytes::from(stored::letter(record)));
        let began = self.clock.monotonic();
        // What a client of a broker keeps meanwhile is large, and no part of the usual way.
        match Box::pin(inbox.put(&id, letter)).await {
            Ok(()) => {
                self.metrics.count(Metric::InboxPut);
                self.metrics.took(Timing::Accept, self.clock.monotonic().saturating_sub(began));
                Ok(())
            }
            Err(QueueError::TooLarge(_)) => {
                self.metrics.count(Metric::InboxTooLarge);
                Ok(Box::pin(self.admit(admission(accepted, &self.clock))).await.map(drop)?)
            }
            Err(error) => {
                self.metrics.count(Metric::InboxPutFailed);
                self.health.inbox_failed(&error, self.clock.now());
                Err(error.into())
            }
        }
    }

    /// All metrics, in Prometheus' text format; of single endpoints only for those who may know of all of them.
    #[must_use]
    pub fn metrics_text(&self, version: &str, by_endpoint: bool) -> String {
        let now = (self.clock.now(), self.clock.monotonic());
        self.metrics.text(&self.store.vitals(), Asked { now, version, by_endpoint })
    }

    /// Takes an event in with its deliveries; it is durable when this returns `Ok`. Deliveries for which dispatch has
    /// room are lent to it. Dropping the future leaves open whether the event was taken in.
    ///
    /// # Errors
    /// Those of [`doorbell_store::Store::accept`]: nothing was promised.
    pub async fn admit(&self, mut admission: Admission) -> Result<Admitted, StoreError> {
        let mut promises = self.desk.promises();
        for delivery in &mut admission.deliveries {
            // Where order is asked for only claims lend: they know what goes before.
            let now = matches!(delivery.state, State::Waiting { due } if due <= admission.event.at);
            delivery.lend = now && delivery.order_key.is_none() && promises.ask(delivery.endpoint);
        }
        let (event, fate) = (Arc::clone(&admission.event), admission.fate.clone());
        let began = self.clock.monotonic();
        let admitted = self.store.accept(admission).await;
        drop(promises);
        match &admitted {
            // It was told of when it came first.
            Ok(Admitted::Again) => {}
            Ok(admitted) => {
                let took = self.clock.monotonic().saturating_sub(began);
                self.metrics.took(Timing::Accept, took);
                let fate = admitted.fate().unwrap_or(fate);
                self.metrics.count(metric(&fate));
                self.live.tell(|| Happening::received(&event, &fate));
                self.traces.received(&event, &fate, self.clock.now());
            }
            Err(error) => {
                self.metrics.count(Metric::AcceptsFailed);
                // With an inbox the node takes events in all the same.
                if self.inbox.is_none() {
                    self.health.store_failed(error, self.clock.now());
                }
            }
        }
        admitted
    }
}

/// What is to be admitted; the ids of the deliveries are drawn here.
#[must_use]
pub fn admission(accepted: Accepted, clock: &Clock) -> Admission {
    let at = accepted.event.at;
    let new = |planned: Planned| NewDelivery {
        id: DeliveryId::new(at, clock.dice()),
        endpoint: planned.endpoint,
        order_key: planned.order_key,
        state: planned.state,
        replay: None,
        lend: false,
    };
    Admission {
        event: accepted.event,
        fate: accepted.fate,
        dedupe_window: accepted.dedupe_window,
        deliveries: accepted.deliveries.into_iter().map(new).collect(),
        once: false,
    }
}

const fn metric(fate: &Fate) -> Metric {
    match fate {
        Fate::Accepted => Metric::RequestsAccepted,
        Fate::NoEndpoint => Metric::RequestsNoEndpoint,
        Fate::Filtered => Metric::RequestsFiltered,
        Fate::Duplicate { .. } => Metric::RequestsDuplicate,
        Fate::Rejected(_) => Metric::RequestsRejected,
    }
}
