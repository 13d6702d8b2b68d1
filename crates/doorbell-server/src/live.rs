//! What happens, told to whoever watches (`doorbell tail`, the API's live feed).
//!
//! Lossy and bounded: a watcher that does not keep up misses the oldest and is told how many. Nothing is computed or
//! kept while nobody watches. What must not be lost is in the store, not here.

use doorbell_core::attempt::Ending;
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::event::{Event, Fate};
use doorbell_core::id::{DeliveryId, EndpointId, EventId, SourceId, TenantId};
use doorbell_core::name::EventType;
use doorbell_core::time::Time;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Happenings that a slow watcher may lag behind.
const BACKLOG: usize = 1024;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// A request or published event was taken in, or turned away.
    Received(Received),
    /// A try at a delivery came to an end.
    Tried(Tried),
}

/// A request or event as the watchers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The event's id; the request's has the same bits.
    pub id: EventId,
    /// Whose it is.
    pub tenant: TenantId,
    /// When it came.
    pub at: Time,
    /// The source, where there is one.
    pub source: Option<SourceId>,
    /// Its type, where one could be read.
    pub event_type: Option<EventType>,
    /// What became of it.
    pub fate: Fate,
    /// The method.
    pub method: String,
    /// The body's length in bytes.
    pub body_len: usize,
}

/// A try as the watchers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The delivery.
    pub delivery: DeliveryId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its event.
    pub event: EventId,
    /// Where it went.
    pub endpoint: EndpointId,
    /// When the try ended.
    pub at: Time,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// What came of it.
    pub ending: Ending,
    /// Where the delivery stands now.
    pub state: State,
}

impl Happening {
    /// Whose it is: a watcher sees only its own tenant's.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        match self {
            Self::Received(received) => received.tenant,
            Self::Tried(tried) => tried.tenant,
        }
    }

    /// That an event was taken in or turned away.
    #[must_use]
    pub fn received(event: &Event, fate: &Fate) -> Self {
        Self::Received(Received {
            id: event.id,
            tenant: event.tenant,
            at: event.at,
            source: event.origin.source(),
            event_type: event.event_type.clone(),
            fate: fate.clone(),
            method: event.request.method.clone(),
            body_len: event.request.body.len(),
        })
    }

    /// That a try ended; `delivery` is as it stands after it.
    #[must_use]
    pub const fn tried(delivery: &Delivery, at: Time, ending: Ending) -> Self {
        Self::Tried(Tried {
            delivery: delivery.id,
            tenant: delivery.tenant,
            event: delivery.event,
            endpoint: delivery.endpoint,
            at,
            attempt: delivery.attempts,
            ending,
            state: delivery.state,
        })
    }
}

/// Tells happenings to the watchers of the moment.
#[derive(Debug, Clone)]
pub struct Live(broadcast::Sender<Arc<Happening>>);

impl Default for Live {
    fn default() -> Self {
        Self(broadcast::Sender::new(BACKLOG))
    }
}

impl Live {
    /// Tells what happened; it is only worked out when somebody watches.
    pub fn tell(&self, happening: impl FnOnce() -> Happening) {
        if self.0.receiver_count() > 0 {
            // An error means that the last watcher has just left.
            drop(self.0.send(Arc::new(happening())));
        }
    }

    /// Watches from now on.
    #[must_use]
    pub fn watch(&self) -> Watcher {
        Watcher(self.0.subscribe())
    }
}

/// What a watcher hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Something happened.
    Happened(Arc<Happening>),
    /// It was too slow, and missed so many.
    Missed(u64),
}

/// Someone who watches.
#[derive(Debug)]
pub struct Watcher(broadcast::Receiver<Arc<Happening>>);

impl Watcher {
    /// Waits for the next happening; `None` when the node is gone.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            Ok(happening) => Some(Heard::Happened(happening)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_core::delivery::DiscardReason;

    fn happening(number: u32) -> Happening {
        let state = State::Discarded { at: Time::EPOCH, why: DiscardReason::Cancelled };
        let delivery = Delivery {
            id: DeliveryId::new(Time::EPOCH, 1),
            tenant: TenantId::DEFAULT,
            event: EventId::new(Time::EPOCH, 2),
            endpoint: EndpointId::new(Time::EPOCH, 3),
            order_key: None,
            replay: None,
            attempts: number,
            by_hand: 0,
            state,
            asked: false,
        };
        Happening::tried(&delivery, Time::EPOCH, Ending::Answered(200))
    }

    #[tokio::test]
    async fn a_slow_watcher_misses_the_oldest_and_is_told() {
        let live = Live::default();
        live.tell(|| unreachable!("nobody watches"));
        let mut watcher = live.watch();
        let many = u32::try_from(BACKLOG).unwrap() + 5;
        for number in 0..many {
            live.tell(|| happening(number));
        }
        assert_eq!(watcher.next().await, Some(Heard::Missed(5)));
        assert_eq!(watcher.next().await, Some(Heard::Happened(Arc::new(happening(5)))));
        drop(live);
        let mut rest = 0;
        while let Some(heard) = watcher.next().await {
            assert!(matches!(heard, Heard::Happened(_)));
            rest += 1;
        }
        assert_eq!(rest, BACKLOG - 1);
    }
}
