//! Bad tokens are counted per address, and past a bound answered 429; a good token is never held up by them.

use super::refused::Refused;
use doorbell_core::time::Time;
use doorbell_wire::problem::Code;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Requests with bad tokens, by address.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<BTreeMap<IpAddr, Count>>);

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Time,
    seen: u32,
}

/// So many bad tokens of one address are answered 401 within the window; the rest is answered 429.
const FAILURES: u32 = 20;
/// See [`FAILURES`].
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered; when there are more, everything is forgotten.
const ADDRESSES: usize = 10_000;

impl Failures {
    /// Counts a bad token and says how it is answered.
    pub(super) fn note(&self, peer: IpAddr, now: Time) -> Refused {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= ADDRESSES && !counts.contains_key(&peer) {
            counts.clear();
        }
        let count = counts.entry(peer).or_insert(Count { since: now, seen: 0 });
        if now.since(count.since) >= WINDOW {
            *count = Count { since: now, seen: 0 };
        }
        count.seen = count.seen.saturating_add(1);
        if count.seen <= FAILURES {
            return Refused::new(Code::Unauthorized, "The request has no good token.");
        }
        let wait = WINDOW.saturating_sub(now.since(count.since));
        Refused::new(Code::TooMany, "Too many requests without a good token.").after(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_tokens_are_bounded_per_address_and_forgotten() {
        let failures = Failures::default();
        let (one, two) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let start = Time::from_ms(1_000);
        let status = |peer, at| failures.note(peer, at).problem().status;
        for _ in 0..FAILURES {
            assert_eq!(status(one, start), 401);
        }
        assert_eq!((status(one, start), status(two, start)), (429, 401));
        assert_eq!(status(one, start.after(WINDOW)), 401);
    }
}
