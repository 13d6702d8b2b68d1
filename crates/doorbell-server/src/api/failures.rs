//! Bad tokens and login codes are counted per address, and past a bound answered 429; a good one is never held up by them.

use super::refused::Refused;
use doorbell_core::time::Time;
use doorbell_wire::problem::Code;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Requests with bad tokens or login codes, by address.
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
    /// Counts a bad token or login code (`bad` says which) and says how it is answered.
    pub(super) fn note(&self, peer: IpAddr, bad: Code, now: Time) -> Refused {
        let peer = neighbourhood(peer);
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
            return Refused::new(
                bad,
                "It is missing, wrong or too old; which of these is not told.",
            );
        }
        let wait = WINDOW.saturating_sub(now.since(count.since));
        Refused::new(Code::TooMany, "Too many requests without a good token or code.").after(wait)
    }
}

/// Whoever has one IPv6 address has a /64 of them (RFC 6177), and they count as one.
fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
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
        let status = |peer, at| failures.note(peer, Code::Unauthorized, at).problem().status;
        for _ in 0..FAILURES {
            assert_eq!(status(one, start), 401);
        }
        assert_eq!((status(one, start), status(two, start)), (429, 401));
        assert_eq!(status(one, start.after(WINDOW)), 401);
    }

    #[test]
    fn one_network_of_a_customer_is_one_address() {
        let failures = Failures::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        for last in 1..=FAILURES {
            let peer = address(&format!("2001:db8::{last:x}"));
            failures.note(peer, Code::Login, Time::EPOCH);
        }
        let status = |text| failures.note(address(text), Code::Login, Time::EPOCH);
        assert_eq!(status("2001:db8::ffff").problem().status, 429);
        assert_eq!(status("2001:db8:0:1::1").problem().status, 401);
        assert_eq!(status("2001:db8:0:1::1").problem().code, "login_code");
    }
}
