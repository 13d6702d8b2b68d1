//! Whether the process is alive (`/healthz`) and whether it should get requests (`/readyz`).

use crate::tasks::{Stage, Stop};
use doorbell_core::time::Time;
use doorbell_queue::QueueError;
use doorbell_store::StoreError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How long a node that could not write calls itself unready. Then it is asked again: only an attempt to write tells.
const PAUSE: Duration = Duration::from_secs(5);

/// What a health check asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// `/healthz`: does the process answer?
    Alive,
    /// `/readyz`: should it get requests?
    Ready,
}

impl Probe {
    /// The probe at that path.
    #[must_use]
    pub fn at(path: &str) -> Option<Self> {
        match path {
            "/healthz" => Some(Self::Alive),
            "/readyz" => Some(Self::Ready),
            _ => None,
        }
    }
}

/// What is known of the node's health.
#[derive(Debug)]
pub struct Health {
    stop: Stop,
    unready_until: AtomicU64,
    said: Said,
}

/// What was said of failures, and what not: a full disk or a flood must not fill the log.
#[derive(Debug, Default)]
struct Said {
    second: AtomicU64,
    unsaid: AtomicU64,
}

impl Said {
    /// Once a second: how many were not spoken of since the last time.
    fn again(&self, now: Time) -> Option<u64> {
        let second = now.ms() / 1000;
        if self.second.swap(second, Relaxed) == second {
            self.unsaid.fetch_add(1, Relaxed);
            return None;
        }
        Some(self.unsaid.swap(0, Relaxed))
    }
}

impl Health {
    /// Well, until something else is heard.
    #[must_use]
    pub fn new(stop: Stop) -> Self {
        Self { stop, unready_until: AtomicU64::new(0), said: Said::default() }
    }

    /// Resolves when the node drains: what would go on for ever ends itself then.
    pub async fn draining(&self) {
        let mut stop = self.stop.clone();
        stop.reached(Stage::Draining).await;
        if stop.stage() < Stage::Draining {
            // Nobody is left who could drain: then nothing does.
            std::future::pending::<()>().await;
        }
    }

    /// The store could not take something; logged once a second. A full queue is no illness: it sheds and goes on.
    pub fn store_failed(&self, error: &StoreError, now: Time) {
        if let Some(unsaid) = self.said.again(now) {
            tracing::warn!(%error, unsaid, "an event was not taken in");
        }
        let until = match error {
            StoreError::Broken(_) => u64::MAX,
            StoreError::Full | StoreError::Failed(_) => now.after(PAUSE).ms(),
            StoreError::Busy
            | StoreError::Corrupt(_)
            | StoreError::Conflict(_)
            | StoreError::BadCursor => return,
        };
        self.unready_until.fetch_max(until, Relaxed);
    }

    /// The inbox could not take something; logged once a second. One that somebody has to put right makes the node unready
    /// for a while; one that is away does not: to be asked again is how it finds out that it is back.
    pub fn inbox_failed(&self, error: &QueueError, now: Time) {
        if let Some(unsaid) = self.said.again(now) {
            tracing::warn!(%error, unsaid, "an event was not taken in");
        }
        if !error.passes() {
            self.unready_until.fetch_max(now.after(PAUSE).ms(), Relaxed);
        }
    }

    /// The answer to a probe: the status and a word.
    #[must_use]
    pub fn answer(&self, probe: Probe, now: Time) -> (u16, &'static str) {
        match probe {
            Probe::Alive => (200, "alive\n"),
            Probe::Ready if self.stop.stage() == Stage::Leaving => (503, "leaving\n"),
            Probe::Ready if self.stop.stage() >= Stage::Draining => (503, "draining\n"),
            Probe::Ready if now.ms() < self.unready_until.load(Relaxed) => {
                (503, "nothing can be made durable\n")
            }
            Probe::Ready => (200, "ready\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Stopper;

    #[test]
    fn failures_are_told_once_a_second_and_counted() {
        let (said, ms) = (Said::default(), Time::from_ms);
        let told = [1_000, 1_001, 1_999, 2_000, 2_001].map(|at| said.again(ms(at)));
        assert_eq!(told, [Some(0), None, None, Some(2), None]);
    }

    #[test]
    fn unready_while_full_or_draining_and_for_good_when_broken() {
        let stopper = Stopper::default();
        let health = Health::new(stopper.stop());
        let (now, later) = (Time::from_ms(1_000), Time::from_ms(6_000));
        let ready = |at| health.answer(Probe::Ready, at).0;
        health.store_failed(&StoreError::Busy, now);
        assert_eq!(ready(now), 200);
        health.store_failed(&StoreError::Full, now);
        assert_eq!((ready(now), ready(later)), (503, 200));
        stopper.advance(Stage::Leaving);
        assert_eq!(health.answer(Probe::Ready, later), (503, "leaving\n"));
        stopper.advance(Stage::Draining);
        assert_eq!((ready(later), health.answer(Probe::Alive, later).0), (503, 200));
        let health = Health::new(Stopper::default().stop());
        health.store_failed(&StoreError::Broken(String::new()), now);
        assert_eq!(health.answer(Probe::Ready, Time::from_ms(u64::MAX >> 1)).0, 503);
    }
}
