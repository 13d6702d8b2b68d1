//! One event for one endpoint: its states and what may follow what.

use crate::id::{DeliveryId, EndpointId, EventId, ReplayId, TenantId};
use crate::time::Time;

/// A delivery as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id; the `webhook-id` of every try is the event's id.
    pub id: DeliveryId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What is delivered.
    pub event: EventId,
    /// Where it goes.
    pub endpoint: EndpointId,
    /// The hash of its order key, where the endpoint asks for order. Deliveries of one endpoint with the same key go
    /// one after the other, in the order in which their events were accepted.
    pub order_key: Option<u64>,
    /// The replay that made it.
    pub replay: Option<ReplayId>,
    /// Tries so far.
    pub attempts: u32,
    /// Tries, of `attempts`, that someone asked for; they use up nothing of the schedule.
    pub by_hand: u32,
    /// Where it stands.
    pub state: State,
    /// Whether someone asked for its next try; only while it waits.
    pub asked: bool,
}

impl Delivery {
    /// Tries so far that the schedule counts: all but those that someone asked for.
    #[must_use]
    pub const fn automatic(&self) -> u32 {
        self.attempts.saturating_sub(self.by_hand)
    }
}

/// Where a delivery stands. `pending`, `scheduled`, `in flight` and `paused` of the API are all `Waiting`: due or not,
/// lent out or not, endpoint paused or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// To be tried at `due` or as soon after as its endpoint allows.
    Waiting {
        /// Not before.
        due: Time,
    },
    /// The endpoint answered 2xx.
    Delivered {
        /// When.
        at: Time,
    },
    /// The policy gave up: a dead letter. It can be retried and replayed.
    Failed {
        /// When.
        at: Time,
        /// Whether the later deliveries of its order key wait until someone retries or cancels this one.
        holds_key: bool,
    },
    /// Never (or no longer) to be tried, on purpose. It can be replayed.
    Discarded {
        /// When.
        at: Time,
        /// Why.
        why: DiscardReason,
    },
}

/// Why a delivery is not to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DiscardReason {
    /// The endpoint was disabled when the event came, or has been since.
    EndpointDisabled,
    /// The endpoint is gone.
    EndpointDeleted,
    /// The endpoint's filter does not want this event.
    Filtered,
    /// Someone cancelled it.
    Cancelled,
}

impl DiscardReason {
    /// All of them, for docs and decoding.
    pub const ALL: [Self; 4] =
        [Self::EndpointDisabled, Self::EndpointDeleted, Self::Filtered, Self::Cancelled];

    /// The word used in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::EndpointDisabled => "endpoint_disabled",
            Self::EndpointDeleted => "endpoint_deleted",
            Self::Filtered => "filtered",
            Self::Cancelled => "cancelled",
        }
    }
}

impl State {
    /// Whether nothing more will happen by itself.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        !matches!(self, Self::Waiting { .. })
    }
}
