//! What is taken in: an event with its deliveries, and the answer.

use doorbell_core::delivery::State;
use doorbell_core::event::{Event, Fate};
use doorbell_core::id::{DeliveryId, EndpointId, EventId, ReplayId};
use std::sync::Arc;
use std::time::Duration;

/// An event to be taken in.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The event (or the request that was not to become one).
    pub event: Arc<Event>,
    /// What is to become of it, unless it turns out to be a duplicate.
    pub fate: Fate,
    /// For how long its dedupe key counts, from its own time; zero or no key: not at all.
    pub dedupe_window: Duration,
    /// Its deliveries, at most [`doorbell_core::limits::FANOUT`].
    pub deliveries: Vec<NewDelivery>,
    /// It may have been taken in before, by whoever: then nothing is done ([`Admitted::Again`]). Asked for by those who
    /// bring what a queue gives at least once; it costs more.
    pub once: bool,
}

/// A delivery to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// Where it goes.
    pub endpoint: EndpointId,
    /// The hash of its order key.
    pub order_key: Option<u64>,
    /// Where it starts: waiting, or discarded because the endpoint is disabled.
    pub state: State,
    /// The replay that makes it.
    pub replay: Option<ReplayId>,
    /// Whether the caller takes it at once, without a claim.
    pub lend: bool,
}

/// What came of an acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// It is durable.
    New,
    /// It repeats this event, which is durable.
    Repeat(EventId),
    /// It was published with the key of this event, which is another one and durable; it is kept as rejected.
    KeyReused(EventId),
    /// This very event (by its id) is durable since before; nothing was changed. Only where it was asked for
    /// ([`Admission::once`]).
    Again,
}

impl Admitted {
    /// What became of it in place of what was planned ([`Admission::fate`]), if it was not new.
    #[must_use]
    pub fn fate(self) -> Option<Fate> {
        match self {
            Self::New | Self::Again => None,
            Self::Repeat(of) => Some(Fate::Duplicate { of }),
            Self::KeyReused(of) => Some(Fate::key_reused(of)),
        }
    }
}
