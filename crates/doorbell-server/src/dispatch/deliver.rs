//! One try at a delivery: read the event, filter, sign, carry, decide what follows. It writes nothing down.

use crate::clock::Clock;
use crate::configured::Configured;
use crate::dispatch::lane::Try;
use crate::dispatch::message::{Message, Tried};
use crate::live::Live;
use crate::metrics::{Metrics, Timing};
use crate::sender::{AnySender, Carried};
use crate::traces::Traces;
use doorbell_core::attempt::{Attempt, Fault, Outcome, Timings};
use doorbell_core::delivery::{Delivery, DiscardReason, State};
use doorbell_core::directory::ReadyEndpoint;
use doorbell_core::event::Event;
use doorbell_core::filter::Document;
use doorbell_core::id::AttemptId;
use doorbell_core::name::Label;
use doorbell_core::outgoing;
use doorbell_core::queue_message::{self, About};
use doorbell_core::settle::{self, EndpointChange};
use doorbell_core::time::Time;
use doorbell_core::trace::Context;
use doorbell_store::{AnyStore, Lent, Locator, Settlement, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// When an event's bytes are damaged, its delivery is looked at again after this: a restored backup may bring them back.
const UNREADABLE_RETRY: Duration = Duration::from_secs(3600);
/// The same where the store could not be read just now.
const READ_RETRY: Duration = Duration::from_secs(10);
/// When the store was only busy (its database gave way, or a connection went).
const BUSY_RETRY: Duration = Duration::from_secs(1);
/// A delivery whose task panicked is tried again after this.
const PANICKED_RETRY: Duration = Duration::from_secs(60);

/// Tells the loop when it is dropped, so that a try that panics ends too.
struct End {
    tell: mpsc::Sender<Message>,
    tried: Option<Box<Tried>>,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(tried) = self.tried.take()
            && let Err(error @ TrySendError::Full(_)) = self.tell.try_send(Message::Tried(tried))
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
    pub(crate) traces: Traces,
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
    /// Starts one try; its end is told as a [`Message::Tried`], even when it panics.
    pub(crate) fn spawn(self: &Arc<Self>, start: Try, tell: mpsc::Sender<Message>) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let dice = this.clock.dice();
            let until = this.clock.now().after(PANICKED_RETRY);
            let lost = Tried::lost(&start, low(dice), until);
            let mut end = End { tell, tried: Some(Box::new(lost)) };
            let (settlement, change) = this.deliver(start, dice).await;
            if let Some(tried) = &mut end.tried {
                (tried.settlement, tried.change) = (settlement, change);
            }
        });
    }

    async fn deliver(&self, start: Try, dice: u128) -> (Settlement, Option<EndpointChange>) {
        let Try { lent, endpoint, pass: _ } = start;
        let Lent { delivery, locator, lease, payload, body_len: _ } = lent;
        let written = match self.event(payload, locator).await {
            Ok(event) => self.attempt(&delivery, &event, &endpoint, dice).await,
            Err(error) => self.unreadable(&delivery, &error),
        };
        let Written { delivery, attempt, change } = written;
        (Settlement { lease, locator, delivery, attempt, next: false }, change)
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
        if let State::Waiting { due } = delivery.state {
            self.metrics.took(Timing::StartDelay, began.since(due));
        }
        if !ready.wants(&Document::new(event)) {
            return Written::untried(settle::discard(delivery, DiscardReason::Filtered, began));
        }
        let number = delivery.attempts.saturating_add(1);
        let id = AttemptId::new(began, dice);
        let trace = self.traces.context(event, id);
        let mut url = None;
        let carried = if ready.is_queue() {
            // What a client of a broker keeps meanwhile is large, and no part of the usual way.
            Box::pin(self.put(delivery, event, ready, (number, trace, began))).await
        } else {
            match outgoing::write(event, ready, (number, trace), began) {
                Ok(outgoing) => {
                    url = trace.map(|_| outgoing.url.clone());
                    self.sender.carry(outgoing).await
                }
                Err(fault) => unsent(fault),
            }
        };
        self.metrics.took(Timing::Attempt, carried.timings.total);
        let step = settle::after(
            delivery,
            ready.endpoint(),
            &carried.outcome,
            self.clock.now(),
            low(dice),
        );
        let attempt = Attempt {
            id,
            number,
            at: began,
            trigger: settle::trigger(delivery),
            address: carried.address,
            timings: carried.timings,
            outcome: carried.outcome,
        };
        self.traces.tried(event, delivery, &attempt, url.as_ref());
        Written { delivery: step.delivery, attempt: Some(attempt), change: step.endpoint }
    }

    /// Puts the event to the broker that the endpoint is.
    async fn put(
        &self,
        delivery: &Delivery,
        event: &Event,
        ready: &ReadyEndpoint,
        (number, trace, now): (u32, Option<Context>, Time),
    ) -> Carried {
        let directory = self.configured.directory();
        let source = event.origin.source().and_then(|id| directory.source_name(id));
        let source = source.map(Label::as_str);
        let (id, order_key) = (delivery.id, delivery.order_key);
        let about = About { delivery: id, order_key, source, number, trace, now };
        match queue_message::write(event, ready, about) {
            Ok(message) => self.sender.put(message).await,
            Err(fault) => unsent(fault),
        }
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

    /// Its bytes are damaged or cannot be read just now: it keeps waiting, since a repair may bring them back.
    fn unreadable(&self, delivery: &Delivery, error: &StoreError) -> Written {
        tracing::error!(delivery = %delivery.id, %error, "the event of a delivery cannot be read");
        let wait = match error {
            StoreError::Corrupt(_) => UNREADABLE_RETRY,
            StoreError::Busy => BUSY_RETRY,
            StoreError::Full
            | StoreError::Failed(_)
            | StoreError::Broken(_)
            | StoreError::Conflict(_)
            | StoreError::BadCursor => READ_RETRY,
        };
        Written::untried(settle::put_off(delivery, self.clock.now().after(wait)))
    }
}

fn unsent(fault: Fault) -> Carried {
    Carried { outcome: Outcome::Failed(fault), timings: Timings::default(), address: None }
}

fn low(dice: u128) -> u64 {
    u64::try_from(dice & u128::from(u64::MAX)).unwrap_or(0)
}
