//! What is lent out to be delivered, and what comes back of it.

use doorbell_core::attempt::{Attempt, Ending};
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::event::Event;
use doorbell_core::id::EndpointId;
use doorbell_core::time::Time;
use std::sync::Arc;

/// Where a home finds an event; opaque to everyone else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Locator(pub u64);

/// The right to settle a delivery: a fencing token. A home that lends again gives a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease(pub u64);

/// A delivery that was lent out.
#[derive(Debug, Clone)]
pub struct Lent {
    /// The delivery, in state waiting.
    pub delivery: Delivery,
    /// Where its event is.
    pub locator: Locator,
    /// The right to settle it.
    pub lease: Lease,
    /// Bytes of its event's body.
    pub body_len: u64,
    /// The event, where the home had it at hand.
    pub payload: Option<Arc<Event>>,
}

/// Asks for waiting deliveries of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Of which endpoint.
    pub endpoint: EndpointId,
    /// Only the first unsettled delivery of each order key.
    pub by_key: bool,
    /// Due at or before.
    pub due_by: Time,
    /// At most so many.
    pub most: usize,
    /// Bytes of bodies that may come along ([`Lent::payload`]): the first deliveries' events, as far as they fit. What was
    /// not brought is read by its locator.
    pub event_bytes: usize,
    /// The lease ends by itself then (homes of one process may ignore it: their leases end with the process).
    pub lease_until: Time,
}

/// What was lent on a claim.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// The deliveries, oldest due first.
    pub lent: Vec<Lent>,
    /// When the earliest waiting delivery that was not lent, and does not wait for its key, is due. It may be past: then
    /// there is more to claim, or (by key) more to look at, and the next claim goes on there.
    /// `None`: nothing else of this endpoint waits in the store.
    pub next_due: Option<Time>,
}

/// An endpoint's waiting deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Of which endpoint.
    pub endpoint: EndpointId,
    /// When the first that is not lent is due.
    pub next_due: Time,
}

/// How many deliveries wait for an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingCount {
    /// For which endpoint.
    pub endpoint: EndpointId,
    /// How many; more than none.
    pub deliveries: u64,
}

/// What came of a try.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The right to say so.
    pub lease: Lease,
    /// Where the delivery's event is.
    pub locator: Locator,
    /// The delivery as it is from now on (`attempts` and `state` are what changed).
    pub delivery: Delivery,
    /// The try; `None` when the delivery is only given back, put off or discarded.
    pub attempt: Option<Attempt>,
    /// Where it is settled for good, the next of its order key may be lent with the same write ([`Settled::Next`]), if it is
    /// due and no other of the key goes before it or is out. A home may leave that to a claim.
    pub next: bool,
}

impl Settlement {
    /// The order key whose next delivery may be lent, and by when that must be due.
    #[must_use]
    pub fn frees(&self) -> Option<(u64, Time)> {
        let at = match self.delivery.state {
            State::Delivered { at }
            | State::Failed { at, holds_key: false }
            | State::Discarded { at, .. } => at,
            State::Failed { holds_key: true, .. } | State::Waiting { .. } => return None,
        };
        self.delivery.order_key.filter(|_| self.next).map(|key| (key, at))
    }

    /// Whether nothing was tried and the delivery goes on waiting: a claim that came meanwhile passed over it.
    #[must_use]
    pub const fn gives_back(&self) -> bool {
        self.attempt.is_none() && !self.delivery.state.is_settled()
    }

    /// When it happened, as far as it says so itself: the time of the state it leads to, else the end of the try.
    #[must_use]
    pub fn at(&self) -> Option<Time> {
        match self.delivery.state {
            State::Delivered { at } | State::Failed { at, .. } | State::Discarded { at, .. } => {
                Some(at)
            }
            State::Waiting { .. } => self.attempt.as_ref().map(|a| a.at.after(a.timings.total)),
        }
    }

    /// What came of the try, if there was one.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.attempt.as_ref().map(|attempt| attempt.outcome.ending())
    }
}

/// Whether a settlement was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was.
    Kept,
    /// It was, and the next of its order key comes out of [`Store::lent`](super::Store::lent).
    Next,
    /// Someone else holds the delivery by now; nothing was changed.
    LeaseLost,
}
