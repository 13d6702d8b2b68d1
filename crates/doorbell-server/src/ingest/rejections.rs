//! Rejected requests are kept, so that an operator sees why; but junk must not fill the disk, so only so many per source
//! and second, and the caller never waits for it.

use crate::admitting::Admitting;
use crate::metrics::{Metric, Metrics};
use doorbell_core::event::{Fate, Rejection};
use doorbell_core::id::SourceId;
use doorbell_core::intake::Refused;
use doorbell_core::limits;
use doorbell_core::time::Time;
use doorbell_store::Admission;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Records on their way to the store.
const QUEUE: usize = 256;
/// Records that the store has in hand at once.
const AT_ONCE: usize = 32;
/// Sources whose last second is remembered.
const SOURCES: usize = 10_000;

/// Where rejected requests are handed in.
#[derive(Debug)]
pub(crate) struct Rejections {
    queue: mpsc::Sender<Admission>,
    sources: Mutex<HashMap<SourceId, Second>>,
    metrics: Arc<Metrics>,
}

/// One source's last second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Second {
    second: u64,
    kept: u32,
    unkept: u64,
}

impl Second {
    /// Whether one more may be kept at `now`; if so, how many were not since the last that was.
    fn admit(&mut self, now: Time) -> Option<u64> {
        let second = now.ms() / 1000;
        if second != self.second {
            *self = Self { second, kept: 0, unkept: self.unkept };
        }
        if self.kept >= limits::REJECTED_KEPT_PER_SECOND {
            self.unkept += 1;
            return None;
        }
        self.kept += 1;
        Some(std::mem::take(&mut self.unkept))
    }
}

impl Rejections {
    /// A place to hand them in, and the end at which [`keep`] takes them out.
    pub(crate) fn new(metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<Admission>) {
        let (queue, out) = mpsc::channel(QUEUE);
        (Self { queue, sources: Mutex::default(), metrics }, out)
    }

    /// Hands a rejected request in, or counts it.
    pub(crate) fn hand_in(&self, source: SourceId, refused: Refused) {
        let Refused { event, mut rejection, .. } = refused;
        let Some(unkept) = self.admit(source, event.at) else {
            return only_count(&self.metrics);
        };
        if unkept > 0 {
            let Rejection { detail, .. } = &mut rejection;
            *detail = format!(
                "{detail} ({unkept} more rejected requests before this one were only counted: too many came)"
            );
        }
        let admission = Admission {
            event,
            fate: Fate::Rejected(rejection),
            dedupe_window: Duration::ZERO,
            deliveries: Vec::new(),
            once: false,
        };
        if self.queue.try_send(admission).is_err() {
            only_count(&self.metrics);
        }
    }

    fn admit(&self, source: SourceId, now: Time) -> Option<u64> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.len() >= SOURCES && !sources.contains_key(&source) {
            sources.clear();
        }
        sources.entry(source).or_default().admit(now)
    }
}

fn only_count(metrics: &Metrics) {
    metrics.count(Metric::RequestsRejected);
    metrics.count(Metric::RejectedUnkept);
}

/// Takes rejected requests to the store until nobody can hand one in any more. What the store does not take is lost but
/// counted: the caller was told no in any case.
pub(crate) async fn keep(admitting: Arc<Admitting>, mut queue: mpsc::Receiver<Admission>) {
    let mut busy = JoinSet::new();
    while let Some(admission) = queue.recv().await {
        while busy.len() >= AT_ONCE {
            busy.join_next().await;
        }
        let admitting = Arc::clone(&admitting);
        busy.spawn(async move {
            if admitting.admit(admission).await.is_err() {
                only_count(&admitting.metrics);
            }
        });
        while busy.try_join_next().is_some() {}
    }
    while busy.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_a_second_and_the_next_one_tells_of_the_rest() {
        let mut second = Second::default();
        let now = Time::from_ms(5_999);
        for _ in 0..limits::REJECTED_KEPT_PER_SECOND {
            assert_eq!(second.admit(now), Some(0));
        }
        assert_eq!((second.admit(now), second.admit(now)), (None, None));
        assert_eq!(second.admit(Time::from_ms(6_000)), Some(2));
        assert_eq!(second.admit(Time::from_ms(6_001)), Some(0));
    }
}
