//! Counts what is in the store, now and then, for the metrics: a scrape itself asks the store nothing.

use crate::clock::Clock;
use crate::configured::Configured;
use crate::metrics::{Census, ENDPOINTS_TOLD, Metrics};
use crate::standings::Standings;
use crate::tasks::{Stage, Stop};
use doorbell_core::breaker::Condition;
use doorbell_core::endpoint::Status;
use doorbell_core::id::EndpointId;
use doorbell_core::standing::Standing;
use doorbell_core::time::Time;
use doorbell_store::{AnyStore, Backlog, Store as _, StoreError, WaitingCount};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How often it is counted. The longer it takes, the less often: at most a twentieth of the time.
const EVERY: Duration = Duration::from_secs(10);
const REST: u32 = 20;

/// Who counts.
#[derive(Debug)]
pub struct Counter {
    /// What is counted.
    pub store: Arc<AnyStore>,
    /// Which endpoints are paused.
    pub configured: Arc<Configured>,
    /// Which are held up otherwise.
    pub standings: Standings,
    /// Where it is told.
    pub metrics: Arc<Metrics>,
    /// What time it is.
    pub clock: Clock,
}

impl Counter {
    /// Counts until the node drains.
    pub async fn run(self, mut stop: Stop) {
        loop {
            let began = self.clock.monotonic();
            match self.count().await {
                Ok(census) => self.metrics.counted(census),
                Err(error) => tracing::debug!(%error, "what is in the store could not be counted"),
            }
            let took = self.clock.monotonic().saturating_sub(began);
            tokio::select! {
                () = stop.reached(Stage::Draining) => return,
                () = tokio::time::sleep(EVERY.max(took * REST)) => {}
            }
        }
    }

    /// Counts once.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn count(&self) -> Result<Census, StoreError> {
        let stats = self.store.stats().await?;
        let (most_waiting, other_waiting) = most(self.store.waiting_counts().await?);
        let now = self.clock.now();
        let mut due = self.store.backlog().await?;
        due.retain(|backlog| backlog.next_due <= now);
        let ids: Vec<EndpointId> = due.iter().map(|backlog| backlog.endpoint).collect();
        let standings = self.standings.of(&ids).await;
        let (held, waiting) =
            due.into_iter().partition(|one| self.is_held(one.endpoint, &standings));
        Ok(Census {
            taken: self.clock.monotonic(),
            stats,
            oldest_waiting: oldest(waiting, now),
            oldest_held: oldest(held, now),
            most_waiting,
            other_waiting,
        })
    }

    /// Whether its deliveries wait for something that is the endpoint's own affair.
    fn is_held(&self, endpoint: EndpointId, standings: &HashMap<EndpointId, Standing>) -> bool {
        let directory = self.configured.directory();
        let known = directory.endpoint(endpoint);
        let paused = known.is_some_and(|ready| ready.endpoint().status == Status::Paused);
        paused
            || standings.get(&endpoint).is_some_and(|standing| {
                standing.rate_until.is_some() || !matches!(standing.breaker, Condition::Closed)
            })
    }
}

fn oldest(of: Vec<Backlog>, now: Time) -> Option<Duration> {
    of.into_iter().map(|backlog| now.since(backlog.next_due)).max()
}

/// Those for which most wait, and how many wait for the others.
fn most(mut counts: Vec<WaitingCount>) -> (Vec<(EndpointId, u64)>, u64) {
    counts.sort_unstable_by_key(|count| (Reverse(count.deliveries), count.endpoint));
    let others = counts.split_off(counts.len().min(ENDPOINTS_TOLD));
    let other = others.iter().map(|count| count.deliveries).sum();
    (counts.into_iter().map(|count| (count.endpoint, count.deliveries)).collect(), other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_queues_are_named_and_the_rest_is_summed() {
        let count = |n: u64| WaitingCount {
            endpoint: EndpointId::new(Time::EPOCH, u128::from(n)),
            deliveries: n,
        };
        let (named, other) = most((1..=ENDPOINTS_TOLD as u64 + 2).map(count).collect());
        assert_eq!((named.len(), other), (ENDPOINTS_TOLD, 1 + 2));
        assert_eq!(named.first().map(|(_, n)| *n), Some(ENDPOINTS_TOLD as u64 + 2));
        assert_eq!(most(Vec::new()), (Vec::new(), 0));
    }
}
