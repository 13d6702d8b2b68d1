//! Changes of deliveries at someone's request.

use super::NewDelivery;
use doorbell_core::id::{DeliveryId, EndpointId, EventId, TenantId};
use doorbell_core::time::Time;

/// A change of deliveries at someone's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amendment {
    /// Makes a delivery wait again (or be due earlier), whatever its state, unless it is delivered.
    Retry {
        /// Whose.
        tenant: TenantId,
        /// Which.
        delivery: DeliveryId,
        /// From when on.
        due: Time,
        /// Whether the caller takes it at once, without a claim, if none of its order key goes before it: it comes out of
        /// [`Store::lent`](super::Store::lent).
        lend: bool,
    },
    /// Discards a delivery that waits or failed.
    Cancel {
        /// Whose.
        tenant: TenantId,
        /// Which.
        delivery: DeliveryId,
        /// When.
        at: Time,
    },
    /// Gives a stored event new deliveries (a replay).
    Redeliver {
        /// Whose.
        tenant: TenantId,
        /// Of which event.
        event: EventId,
        /// The new deliveries.
        deliveries: Vec<NewDelivery>,
    },
}

/// What came of an amendment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amended {
    /// It is done; for a retry or cancel, whose endpoint should be looked at.
    Done(Option<EndpointId>),
    /// There is no such delivery or event (or it is another tenant's).
    Unknown,
    /// The delivery is being tried just now; ask again when it is settled.
    InFlight,
    /// The delivery's state does not allow it (a delivered one can be neither retried nor cancelled).
    NotAllowed,
}
