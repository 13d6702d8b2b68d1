//! Which endpoints have lines of their own: those that fail, and never more than a few dozen.
//!
//! What is counted of an endpoint is counted in its own line from its first failure on, and under `other` before. When
//! all places are taken, an endpoint that has not failed for an hour makes room. So no count ever goes down, whoever
//! comes and goes; a line that went and came again begins at zero, which Prometheus takes for a restart.

use doorbell_core::id::EndpointId;
use doorbell_core::time::Time;
use std::collections::HashMap;
use std::time::Duration;

/// Endpoints with lines of their own.
pub(crate) const MOST: usize = 50;
/// Who has not failed for so long makes room for one that fails.
const CALM: Duration = Duration::from_secs(3600);

/// Attempts by what came of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tries {
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
}

impl Tries {
    const fn count(&mut self, delivered: bool) {
        if delivered { self.delivered += 1 } else { self.failed += 1 }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    own: HashMap<EndpointId, (Tries, Time)>,
    other: Tries,
}

impl Watched {
    /// A try at a delivery to this endpoint has ended.
    pub(crate) fn tried(&mut self, endpoint: EndpointId, delivered: bool, now: Time) {
        if let Some((tries, failed_at)) = self.own.get_mut(&endpoint) {
            tries.count(delivered);
            if !delivered {
                *failed_at = now;
            }
            return;
        }
        if delivered || !self.has_room(now) {
            return self.other.count(delivered);
        }
        self.own.insert(endpoint, (Tries { delivered: 0, failed: 1 }, now));
    }

    /// Whether there is a place, for which the calmest one may have to go.
    fn has_room(&mut self, now: Time) -> bool {
        if self.own.len() < MOST {
            return true;
        }
        let calmest = self.own.iter().min_by_key(|(id, (_, failed_at))| (*failed_at, **id));
        let gone = calmest.filter(|(_, (_, at))| now.since(*at) > CALM).map(|(id, _)| *id);
        gone.is_some_and(|gone| self.own.remove(&gone).is_some())
    }

    /// Those with a line of their own, in the order of their ids, and all others together.
    pub(crate) fn all(&self) -> (Vec<(EndpointId, Tries)>, Tries) {
        let mut own: Vec<_> = self.own.iter().map(|(id, (tries, _))| (*id, *tries)).collect();
        own.sort_unstable_by_key(|(id, _)| *id);
        (own, self.other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(n: usize) -> EndpointId {
        EndpointId::new(Time::EPOCH, n as u128)
    }

    #[test]
    fn who_fails_has_a_line_and_nothing_is_counted_twice() {
        let mut watched = Watched::default();
        let now = Time::from_ms(1_000);
        watched.tried(endpoint(1), true, now);
        watched.tried(endpoint(1), false, now);
        watched.tried(endpoint(1), true, now);
        watched.tried(endpoint(2), true, now);
        let (own, other) = watched.all();
        assert_eq!(own, [(endpoint(1), Tries { delivered: 1, failed: 1 })]);
        assert_eq!(other, Tries { delivered: 2, failed: 0 });
    }

    #[test]
    fn there_are_never_more_than_that_and_the_calm_make_room() {
        let mut watched = Watched::default();
        let begin = Time::from_ms(1_000);
        for n in 0..MOST + 7 {
            watched.tried(endpoint(n), false, begin);
        }
        assert_eq!((watched.all().0.len(), watched.all().1.failed), (MOST, 7));
        let later = begin.after(CALM + Duration::from_millis(1));
        watched.tried(endpoint(0), false, later);
        watched.tried(endpoint(99), false, later);
        let (own, other) = watched.all();
        let ids: Vec<_> = own.iter().map(|(id, _)| *id).collect();
        assert!(ids.len() == MOST && ids.contains(&endpoint(0)) && ids.contains(&endpoint(99)));
        assert!(!ids.contains(&endpoint(1)), "it was the calmest");
        assert_eq!(
            other.failed, 7,
            "what it had counted goes with its line, and nothing goes down"
        );
    }
}
