//! The circuit of one endpoint. After failures in a row it is left alone for a while, then a single delivery probes it;
//! meanwhile the others stay queued: they are put off, and no try of theirs is burnt.
//!
//! Only what says that the endpoint is away or overloaded counts: connecting, TLS, timeouts, broken responses, 5xx and
//! 429. Another 4xx or a redirect is a wrong request, but somebody is there.
//!
//! Whoever asks for a try believes that the endpoint is back: an open circuit then probes it without waiting any longer.

use crate::attempt::{ErrorClass, Outcome};
use crate::limits;
use crate::retry;
use crate::time::Time;
use std::time::Duration;

/// Where the circuit of one endpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker(Circuit);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Circuit {
    /// Deliveries go; so many have failed in a row.
    Closed { failures: u32 },
    /// None goes for `wait` from `since`; opened so many times in a row.
    Open { since: Time, wait: Duration, times: u32, why: Why },
    /// One is out since then, to see whether the endpoint is back.
    Probing { since: Time, times: u32, why: Why },
}

/// How the circuit of an endpoint is, for those who look on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Deliveries go.
    Closed,
    /// None goes until `probe_at`; then one does, as soon as there is one.
    Open {
        /// When the next probe is due.
        probe_at: Time,
        /// Why it opened.
        why: Why,
    },
    /// The probe is out.
    HalfOpen {
        /// Since when.
        since: Time,
        /// Why it opened.
        why: Why,
    },
}

/// Why a circuit is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Why {
    /// When it opened.
    pub opened: Time,
    /// How many tries in a row have failed by now, probes included.
    pub failures: u32,
    /// With what the last one failed.
    pub last: ErrorClass,
    /// The status that the last one was answered with, if it was.
    pub status: Option<u16>,
    /// Whether the last answer asked for a pause (`Retry-After`).
    pub asked: bool,
}

/// Whether a delivery may go to the endpoint now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It may; what came of it must be told to [`Breaker::after`] with this pass.
    Go(Pass),
    /// Not before then (or before the probe that is out has come back).
    Wait(Time),
}

/// In which capacity a delivery went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// As one of many.
    Ordinary,
    /// As the probe.
    Probe,
}

impl Default for Breaker {
    fn default() -> Self {
        Self(Circuit::Closed { failures: 0 })
    }
}

impl Breaker {
    /// Asks for one delivery, which must then go: a given probe is out until [`Breaker::after`], or
    /// [`limits::BREAKER_PROBE_LOST`] has passed.
    pub fn admit(&mut self, now: Time) -> Gate {
        let (since, wait, times, why) = match self.0 {
            Circuit::Closed { .. } => return Gate::Go(Pass::Ordinary),
            Circuit::Open { since, wait, times, why } => (since, wait, times, why),
            Circuit::Probing { since, times, why } => {
                (since, limits::BREAKER_PROBE_LOST, times, why)
            }
        };
        // A clock that was set back must not make the wait longer than it was meant to be.
        if (since..since.after(wait)).contains(&now) {
            return Gate::Wait(since.after(wait));
        }
        self.0 = Circuit::Probing { since: now, times, why };
        Gate::Go(Pass::Probe)
    }

    /// Someone asks for a try now. An open circuit waits no longer for its next probe, but for
    /// [`limits::BREAKER_ASKED_APART`] after the last failure: however often someone asks, it does not become a hammer.
    /// While a probe is out nothing changes; if it fails, the wait after it is the usual one.
    pub fn ask(&mut self, now: Time) {
        if let Circuit::Open { since, wait, .. } = &mut self.0 {
            *wait = (*wait).min(now.since(*since).max(limits::BREAKER_ASKED_APART));
        }
    }

    /// Takes a delivery back that was let go but not sent.
    pub fn unsent(&mut self, pass: Pass, now: Time) {
        if let (Pass::Probe, Circuit::Probing { times, why, .. }) = (pass, self.0) {
            self.0 = Circuit::Open { since: now, wait: Duration::ZERO, times, why };
        }
    }

    /// Learns what came of a delivery.
    pub fn after(&mut self, pass: Pass, outcome: &Outcome, now: Time, dice: u64) {
        match (sign(outcome), self.0, pass) {
            (Sign::None, _, _) => self.unsent(pass, now),
            (Sign::Alive, _, _) => self.0 = Circuit::Closed { failures: 0 },
            (Sign::Sick, Circuit::Closed { failures }, _) => {
                let failures = failures.saturating_add(1);
                let why = Why::new(now, failures, outcome, now);
                if failures >= limits::BREAKER_FAILURES || why.asked {
                    self.open((0, why), outcome, now, dice);
                } else {
                    self.0 = Circuit::Closed { failures };
                }
            }
            (
                Sign::Sick,
                Circuit::Probing { times, why, .. } | Circuit::Open { times, why, .. },
                Pass::Probe,
            ) => {
                let why = Why::new(why.opened, why.failures.saturating_add(1), outcome, now);
                self.open((times.saturating_add(1), why), outcome, now, dice);
            }
            // It went before the circuit opened, and says nothing new.
            (Sign::Sick, Circuit::Open { .. } | Circuit::Probing { .. }, Pass::Ordinary) => {}
        }
    }

    /// Whether deliveries go as usual.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.0, Circuit::Closed { .. })
    }

    /// How it is, for lists and logs.
    #[must_use]
    pub fn condition(&self) -> Condition {
        match self.0 {
            Circuit::Closed { .. } => Condition::Closed,
            Circuit::Open { since, wait, why, .. } => {
                Condition::Open { probe_at: since.after(wait), why }
            }
            Circuit::Probing { since, why, .. } => Condition::HalfOpen { since, why },
        }
    }

    fn open(&mut self, (times, why): (u32, Why), outcome: &Outcome, now: Time, dice: u64) {
        let doubled =
            limits::BREAKER_OPEN_MIN.saturating_mul(1_u32.checked_shl(times.min(16)).unwrap_or(1));
        let wait = retry::jitter(doubled.min(limits::BREAKER_OPEN_MAX), dice);
        let asked = retry::asked(outcome, now).unwrap_or_default();
        let wait = wait.max(asked).min(limits::BREAKER_OPEN_MAX);
        self.0 = Circuit::Open { since: now, wait, times, why };
    }
}

impl Why {
    /// `outcome` is that of a try that failed.
    fn new(opened: Time, failures: u32, outcome: &Outcome, now: Time) -> Self {
        let status = match outcome {
            Outcome::Answered(answer) => Some(answer.status),
            Outcome::Confirmed | Outcome::Failed(_) => None,
        };
        let last = outcome.class().unwrap_or(ErrorClass::ServerError);
        let asked = retry::asked(outcome, now).is_some_and(|wait| !wait.is_zero());
        Self { opened, failures, last, status, asked }
    }
}

/// What an outcome says about the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// Somebody answers there.
    Alive,
    /// Nobody does, or it is too much for them.
    Sick,
    /// Nothing was sent.
    None,
}

fn sign(outcome: &Outcome) -> Sign {
    use ErrorClass as E;
    match outcome.class() {
        None | Some(E::Redirect | E::Gone | E::ClientError | E::QueueTooLarge) => Sign::Alive,
        Some(E::RequestInvalid) => Sign::None,
        Some(
            E::DnsNotFound
            | E::DnsFailed
            | E::AddressForbidden
            | E::ConnectionRefused
            | E::ConnectFailed
            | E::ConnectionReset
            | E::TlsCertificateExpired
            | E::TlsCertificateName
            | E::TlsCertificateInvalid
            | E::TlsFailed
            | E::TimeoutConnect
            | E::TimeoutResponse
            | E::TimeoutBody
            | E::ProtocolError
            | E::TooManyRequests
            | E::ServerError
            | E::StatusInvalid
            | E::QueueUnreachable
            | E::QueueRefused
            | E::QueueMissing
            | E::QueueBusy
            | E::QueueFailed,
        ) => Sign::Sick,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::{Answer, Fault};
    use crate::request::Headers;
    use bytes::Bytes;
    use proptest::prelude::*;

    const T0: Time = Time::from_ms(1_800_000_000_000);

    fn answer(status: u16, retry_after: Option<&str>) -> Outcome {
        let headers: Headers = retry_after
            .map(|v| ("retry-after", Bytes::copy_from_slice(v.as_bytes())))
            .into_iter()
            .collect();
        Outcome::Answered(Answer { status, headers, body: Bytes::new(), truncated: false })
    }

    fn fault(class: ErrorClass) -> Outcome {
        Outcome::Failed(Fault { class, detail: String::new() })
    }

    fn after_failures(count: u32) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..count {
            breaker.after(Pass::Ordinary, &fault(ErrorClass::ConnectionRefused), T0, 0);
        }
        breaker
    }

    fn wait_of(breaker: &mut Breaker, now: Time) -> Option<Duration> {
        match breaker.admit(now) {
            Gate::Go(_) => None,
            Gate::Wait(until) => Some(until.since(now)),
        }
    }

    #[test]
    fn opens_after_failures_in_a_row_only() {
        assert!(after_failures(limits::BREAKER_FAILURES - 1).is_closed());
        assert!(!after_failures(limits::BREAKER_FAILURES).is_closed());
        let mut breaker = after_failures(limits::BREAKER_FAILURES - 1);
        breaker.after(Pass::Ordinary, &answer(404, None), T0, 0);
        breaker.after(Pass::Ordinary, &fault(ErrorClass::TimeoutBody), T0, 0);
        assert!(breaker.is_closed());
    }

    #[test]
    fn only_what_says_that_nobody_is_there_counts() {
        for (status, counts) in [
            (200, false),
            (302, false),
            (400, false),
            (401, false),
            (404, false),
            (410, false),
            (429, true),
            (500, true),
            (503, true),
        ] {
            assert_eq!(sign(&answer(status, None)) == Sign::Sick, counts, "{status}");
        }
        assert_eq!(sign(&fault(ErrorClass::RequestInvalid)), Sign::None);
    }

    #[test]
    fn one_probe_at_a_time_then_closed() {
        let mut breaker = after_failures(limits::BREAKER_FAILURES);
        let wait = wait_of(&mut breaker, T0).unwrap();
        let later = T0.after(wait);
        assert_eq!(breaker.admit(later), Gate::Go(Pass::Probe));
        assert!(wait_of(&mut breaker, later.after(Duration::from_secs(1))).is_some());
        breaker.after(Pass::Ordinary, &fault(ErrorClass::TimeoutResponse), later, 0);
        assert!(!breaker.is_closed());
        breaker.after(Pass::Probe, &answer(204, None), later, 0);
        assert_eq!(breaker.admit(later), Gate::Go(Pass::Ordinary));
    }

    #[test]
    fn waits_longer_with_each_failed_probe() {
        let mut breaker = after_failures(limits::BREAKER_FAILURES);
        let mut now = T0;
        let mut waits = Vec::new();
        for _ in 0..9 {
            let wait = wait_of(&mut breaker, now).unwrap();
            waits.push(wait.as_millis());
            now = now.after(wait);
            assert_eq!(breaker.admit(now), Gate::Go(Pass::Probe));
            breaker.after(Pass::Probe, &answer(500, None), now, 0);
        }
        assert_eq!(waits, [4250, 8500, 17_000, 34_000, 68_000, 136_000, 255_000, 255_000, 255_000]);
    }

    #[test]
    fn a_lost_probe_is_followed_by_another() {
        let mut breaker = after_failures(limits::BREAKER_FAILURES);
        let at = T0.after(Duration::from_secs(6));
        assert_eq!(breaker.admit(at), Gate::Go(Pass::Probe));
        assert_eq!(wait_of(&mut breaker, at), Some(limits::BREAKER_PROBE_LOST));
        assert_eq!(breaker.admit(at.after(limits::BREAKER_PROBE_LOST)), Gate::Go(Pass::Probe));
        breaker.unsent(Pass::Probe, at);
        assert_eq!(breaker.admit(at), Gate::Go(Pass::Probe));
    }

    #[test]
    fn retry_after_is_the_endpoints_not_only_the_deliverys() {
        let mut breaker = Breaker::default();
        breaker.after(Pass::Ordinary, &answer(429, Some("60")), T0, 0);
        assert_eq!(wait_of(&mut breaker, T0), Some(Duration::from_secs(60)));
        let mut breaker = Breaker::default();
        breaker.after(Pass::Ordinary, &answer(503, Some("86400")), T0, 0);
        assert_eq!(wait_of(&mut breaker, T0), Some(limits::BREAKER_OPEN_MAX));
        let mut breaker = Breaker::default();
        breaker.after(Pass::Ordinary, &answer(429, Some("0")), T0, 0);
        assert!(breaker.is_closed());
    }

    #[test]
    fn whoever_asks_has_the_probe_at_once_and_only_one() {
        let later = T0.after(Duration::from_secs(2));
        let mut breaker = after_failures(limits::BREAKER_FAILURES);
        assert!(wait_of(&mut breaker, later).is_some());
        breaker.ask(later);
        assert_eq!(breaker.admit(later), Gate::Go(Pass::Probe));
        breaker.ask(later);
        assert_eq!(wait_of(&mut breaker, later), Some(limits::BREAKER_PROBE_LOST));
        breaker.after(Pass::Probe, &answer(500, None), later, 0);
        assert_eq!(wait_of(&mut breaker, later), Some(Duration::from_millis(8500)), "as usual");
        breaker.ask(later);
        assert_eq!(wait_of(&mut breaker, later), Some(limits::BREAKER_ASKED_APART));
    }

    #[test]
    fn asking_never_makes_a_wait_longer() {
        let mut breaker = after_failures(limits::BREAKER_FAILURES);
        let due = T0.after(wait_of(&mut breaker, T0).unwrap());
        breaker.ask(due.after(Duration::from_secs(9)));
        assert_eq!(breaker.admit(due), Gate::Go(Pass::Probe));
    }

    #[test]
    fn it_says_how_it_is_and_why() {
        assert_eq!(after_failures(limits::BREAKER_FAILURES - 1).condition(), Condition::Closed);
        let mut breaker = after_failures(limits::BREAKER_FAILURES);
        let why = Why {
            opened: T0,
            failures: limits::BREAKER_FAILURES,
            last: ErrorClass::ConnectionRefused,
            status: None,
            asked: false,
        };
        let probe_at = T0.after(Duration::from_millis(4250));
        assert_eq!(breaker.condition(), Condition::Open { probe_at, why });
        breaker.admit(probe_at);
        assert_eq!(breaker.condition(), Condition::HalfOpen { since: probe_at, why });
        breaker.after(Pass::Probe, &answer(503, Some("60")), probe_at, 0);
        let Condition::Open { probe_at: next, why } = breaker.condition() else { panic!() };
        assert_eq!(next, probe_at.after(Duration::from_secs(60)));
        let failures = limits::BREAKER_FAILURES + 1;
        let (last, status) = (ErrorClass::ServerError, Some(503));
        assert_eq!(why, Why { opened: T0, failures, last, status, asked: true });
    }

    #[test]
    fn a_clock_set_back_stalls_nothing() {
        let mut breaker = after_failures(limits::BREAKER_FAILURES);
        let before = T0.before(Duration::from_secs(3600));
        assert_eq!(breaker.admit(before), Gate::Go(Pass::Probe));
        assert!(wait_of(&mut breaker, before).is_some());
    }

    proptest! {
        /// Whatever happens: never two probes at once, and never a wait beyond the bound.
        #[test]
        fn bounded_and_single(steps in prop::collection::vec((0_u64..400_000, 0_u8..5, any::<u64>()), 1..200)) {
            let mut breaker = Breaker::default();
            let mut now = T0;
            let mut probe: Option<Time> = None;
            for (ms, what, dice) in steps {
                now = now.after(Duration::from_millis(ms));
                if dice.is_multiple_of(3) { breaker.ask(now); }
                match breaker.admit(now) {
                    Gate::Wait(until) => prop_assert!(until > now && until.since(now) <= limits::BREAKER_OPEN_MAX),
                    Gate::Go(Pass::Probe) => {
                        prop_assert!(probe.is_none_or(|out| now.since(out) >= limits::BREAKER_PROBE_LOST));
                        probe = Some(now);
                    }
                    Gate::Go(Pass::Ordinary) => prop_assert!(breaker.is_closed()),
                }
                let outcome = match what {
                    0 => answer(200, None),
                    1 => answer(503, Some("10")),
                    2 => fault(ErrorClass::RequestInvalid),
                    _ => fault(ErrorClass::DnsFailed),
                };
                let pass = if probe.is_some() && what < 4 { Pass::Probe } else { Pass::Ordinary };
                if pass == Pass::Probe { probe = None; }
                breaker.after(pass, &outcome, now, dice);
                if breaker.is_closed() { probe = None; }
            }
        }
    }
}
