//! What a claim finds: deliveries that may be lent, and their order among all that wait.

use super::due::Due;
use super::parts::Part;
use super::place::{event_seq, number};
use doorbell_core::delivery::Delivery;
use doorbell_core::time::Time;

/// A delivery that may be lent out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The delivery.
    pub delivery: Delivery,
    /// The position of its event's record.
    pub event_at: u64,
    /// Bytes of its event's body.
    pub body_len: u64,
    /// The position of the record of its last attempt.
    pub last_attempt: Option<u64>,
}

/// What may be lent on a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimable {
    /// The deliveries, oldest due first.
    pub waiting: Vec<Waiting>,
    /// When the first is due that waits, is not lent, and is not among those; by key, only first deliveries of keys
    /// count. A past time also says that not all keys were looked at.
    pub next_due: Option<Time>,
}

/// Where a delivery stands among all that wait: due, event's position, number.
pub(super) type Place = (i64, u64, i64);

pub(super) fn place(part: &Part, (due, seq): Due) -> Place {
    (due, part.position(event_seq(seq)), number(seq))
}
