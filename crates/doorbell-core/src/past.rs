//! What has happened to one event so far, whole: what goes from one home of the store to another.

use crate::attempt::Attempt;
use crate::delivery::Delivery;
use crate::event::{Event, Fate};
use crate::time::Time;
use std::time::Duration;

/// An event (or a request that became none) with all that came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// The event.
    pub event: Event,
    /// What became of it.
    pub fate: Fate,
    /// For how long its dedupe key counts, from its own time; zero: not at all, or not any more.
    pub dedupe_window: Duration,
    /// Its deliveries in the order in which they were made, those of replays included.
    pub deliveries: Vec<PastDelivery>,
}

/// A delivery with its tries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastDelivery {
    /// As it stands.
    pub delivery: Delivery,
    /// When it was last settled, if ever.
    pub updated: Option<Time>,
    /// Its tries, the oldest first.
    pub attempts: Vec<Attempt>,
}

impl Past {
    /// About how many bytes it takes in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        let tries = self.deliveries.iter().flat_map(|one| &one.attempts);
        let answers = tries.map(|attempt| match &attempt.outcome {
            crate::attempt::Outcome::Answered(answer) => answer.body.len() + 512,
            crate::attempt::Outcome::Confirmed => 512,
            crate::attempt::Outcome::Failed(fault) => fault.detail.len() + 512,
        });
        1024 + self.event.request.body.len() + 256 * self.deliveries.len() + answers.sum::<usize>()
    }
}
