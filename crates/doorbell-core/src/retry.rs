//! When a failed delivery is tried again: the schedule, what the receiver asked for, and dice against herds.

use crate::attempt::{Answer, ErrorClass, Outcome};
use crate::endpoint::Retry;
use crate::limits;
use crate::time::Time;
use std::time::Duration;

/// What follows a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another try, not before this moment.
    At(Time),
    /// None by itself.
    GiveUp(GiveUp),
}

/// Why there is no other try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GiveUp {
    /// The schedule has no further step.
    Exhausted,
    /// The policy says that this status is not tried again.
    Never,
    /// 410: the receiver wants nothing more at this address.
    Gone,
}

/// A try that failed, by its place in the schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// One of the schedule's own: how many of those were made, with this one.
    Automatic(u32),
    /// One that someone asked for, beside the schedule: how many of the schedule's own were made before.
    ByHand(u32),
}

/// What follows a failed try of a delivery. A fault in DNS is tried again like any other.
///
/// The wait is that of the schedule's next try, which [`Made::ByHand`] leaves the same, up to [`limits::RETRY_JITTER_PERCENT`] shorter or longer, but never shorter than
/// a `Retry-After` asks, and for its sake never longer than [`limits::RETRY_AFTER_MAX`].
#[must_use]
pub fn next_try(policy: &Retry, made: Made, outcome: &Outcome, now: Time, dice: u64) -> Next {
    if outcome.class() == Some(ErrorClass::Gone) {
        return Next::GiveUp(GiveUp::Gone);
    }
    if matches!(outcome, Outcome::Answered(answer) if is_never(policy, answer.status)) {
        return Next::GiveUp(GiveUp::Never);
    }
    match wait(policy, made) {
        Some(wait) => Next::At(now.after(spread(wait, asked(outcome, now), dice))),
        None => Next::GiveUp(GiveUp::Exhausted),
    }
}

/// The schedule's wait before its next try; `None`: it has no further one.
///
/// A step without a wait says how soon to begin, or to follow one of the schedule's own tries. After one by hand that has
/// just failed it would be another at once, so the first real wait from there on takes its place, if there is one.
fn wait(policy: &Retry, made: Made) -> Option<Duration> {
    let (Made::Automatic(before) | Made::ByHand(before)) = made;
    let rest = policy.schedule.get(usize::try_from(before).ok()?..)?;
    let next = rest.first().copied();
    match made {
        Made::Automatic(_) => next,
        Made::ByHand(_) => rest.iter().find(|wait| !wait.is_zero()).copied().or(next),
    }
}

fn is_never(policy: &Retry, status: u16) -> bool {
    policy.never.iter().any(|(from, to)| (*from..=*to).contains(&status))
}

/// The wait with its jitter, at least what was asked for (and then only later, never sooner).
fn spread(wait: Duration, asked: Option<Duration>, dice: u64) -> Duration {
    let asked = asked.unwrap_or(Duration::ZERO);
    if asked < wait {
        jitter(wait, dice).max(asked)
    } else {
        (asked + later(asked, dice)).min(limits::RETRY_AFTER_MAX.max(wait))
    }
}

/// `wait`, up to [`limits::RETRY_JITTER_PERCENT`] shorter or longer.
pub(crate) fn jitter(wait: Duration, dice: u64) -> Duration {
    let share = share(wait);
    (wait + later(wait, dice) * 2).saturating_sub(share)
}

/// Between nothing and [`limits::RETRY_JITTER_PERCENT`] of `wait`.
fn later(wait: Duration, dice: u64) -> Duration {
    let most = u64::try_from(share(wait).as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(dice.checked_rem(most.saturating_add(1)).unwrap_or(0))
}

fn share(wait: Duration) -> Duration {
    let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis((ms / 100).saturating_mul(limits::RETRY_JITTER_PERCENT))
}

/// How long the receiver asked to wait: `Retry-After` of a 429 or 503, at most [`limits::RETRY_AFTER_MAX`].
#[must_use]
pub fn asked(outcome: &Outcome, now: Time) -> Option<Duration> {
    match outcome {
        Outcome::Answered(answer) if matches!(answer.status, 429 | 503) => retry_after(answer, now),
        Outcome::Answered(_) | Outcome::Confirmed | Outcome::Failed(_) => None,
    }
}

/// RFC 9110, section 10.2.3: seconds, or a date. A date is measured from the receiver's own `Date`, since its clock and
/// ours may differ.
fn retry_after(answer: &Answer, now: Time) -> Option<Duration> {
    let text = answer.headers.text("retry-after")?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        let from = answer.headers.text("date").and_then(|date| Time::parse_http_date(date.trim()));
        Time::parse_http_date(text)?.since(from.unwrap_or(now))
    };
    Some(wait.min(limits::RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Fault;
    use crate::request::Headers;
    use bytes::Bytes;
    use proptest::prelude::*;

    const NOW: Time = Time::from_ms(784_111_777_000);

    fn answer(status: u16, headers: &[(&str, &str)]) -> Outcome {
        let headers: Headers =
            headers.iter().map(|(n, v)| (n, Bytes::copy_from_slice(v.as_bytes()))).collect();
        Outcome::Answered(Answer { status, headers, body: Bytes::new(), truncated: false })
    }

    fn fault(class: ErrorClass) -> Outcome {
        Outcome::Failed(Fault { class, detail: String::new() })
    }

    fn wait_ms(policy: &Retry, made: Made, outcome: &Outcome, dice: u64) -> Option<u64> {
        match next_try(policy, made, outcome, NOW, dice) {
            Next::At(at) => Some(at.ms() - NOW.ms()),
            Next::GiveUp(_) => None,
        }
    }

    #[test]
    fn statuses_fall_into_classes() {
        let class = |status| answer(status, &[]).class().map(ErrorClass::word);
        for status in [200, 201, 204, 299] {
            assert_eq!(class(status), None, "{status}");
        }
        for (status, word) in [
            (100, "status_invalid"),
            (199, "status_invalid"),
            (301, "redirect"),
            (304, "redirect"),
            (400, "client_error"),
            (404, "client_error"),
            (410, "gone"),
            (429, "too_many_requests"),
            (500, "server_error"),
            (599, "server_error"),
            (600, "status_invalid"),
        ] {
            assert_eq!(class(status), Some(word), "{status}");
        }
    }

    #[test]
    fn every_fault_is_tried_again() {
        for class in ErrorClass::ALL {
            let next = next_try(&Retry::default(), Made::Automatic(1), &fault(class), NOW, 0);
            assert_eq!(matches!(next, Next::At(_)), class != ErrorClass::Gone, "{}", class.word());
        }
    }

    #[test]
    fn the_schedule_ends() {
        let policy = Retry {
            schedule: [0, 5, 60].map(Duration::from_secs).to_vec(),
            never: vec![(400, 404), (501, 501)],
        };
        let next =
            |made, status| next_try(&policy, Made::Automatic(made), &answer(status, &[]), NOW, 0);
        assert!(matches!(next(1, 500), Next::At(_)) && matches!(next(2, 302), Next::At(_)));
        assert_eq!(next(3, 500), Next::GiveUp(GiveUp::Exhausted));
        assert_eq!(next(u32::MAX, 500), Next::GiveUp(GiveUp::Exhausted));
        for (status, never) in
            [(399, false), (400, true), (404, true), (405, false), (501, true), (502, false)]
        {
            assert_eq!(next(1, status) == Next::GiveUp(GiveUp::Never), never, "{status}");
        }
        assert_eq!(next(1, 410), Next::GiveUp(GiveUp::Gone));
    }

    #[test]
    fn retry_after_in_both_forms() {
        let asked = |status, headers: &[(&str, &str)]| {
            asked(&answer(status, headers), NOW).map(|d| d.as_secs())
        };
        assert_eq!(asked(429, &[("Retry-After", "120")]), Some(120));
        assert_eq!(asked(503, &[("retry-after", " 7 ")]), Some(7));
        assert_eq!(asked(429, &[("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT")]), Some(120));
        assert_eq!(
            asked(
                429,
                &[
                    ("retry-after", "Sun, 06 Nov 1994 08:51:37 GMT"),
                    ("date", "Sun, 06 Nov 1994 08:50:37 GMT")
                ]
            ),
            Some(60)
        );
        assert_eq!(asked(429, &[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]), Some(0));
        assert_eq!(asked(429, &[("retry-after", "99999999999999999999999999")]), Some(24 * 3600));
        assert_eq!(asked(500, &[("retry-after", "120")]), None);
        for noise in ["", "-1", "+5", "1.5", "soon"] {
            assert_eq!(asked(429, &[("retry-after", noise)]), None, "{noise}");
        }
    }

    #[test]
    fn the_default_waits_by_the_standard() {
        let policy = Retry::default();
        let waits: Vec<_> = (1..=10)
            .map(|made| {
                let low =
                    wait_ms(&policy, Made::Automatic(made), &fault(ErrorClass::DnsFailed), 0)?;
                Some(low.div_ceil(850))
            })
            .collect();
        let seconds = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
        assert_eq!(waits, seconds.map(Some).into_iter().chain([None]).collect::<Vec<_>>());
    }

    #[test]
    fn a_try_by_hand_leaves_the_next_step_the_same() {
        let schedule = |seconds: &[u64]| Retry {
            schedule: seconds.iter().copied().map(Duration::from_secs).collect(),
            never: vec![(404, 404)],
        };
        let out = fault(ErrorClass::ConnectionRefused);
        for (seconds, before, waits) in [
            (&[0, 5, 60][..], 0, Some(5)),
            (&[0, 5, 60], 1, Some(5)),
            (&[0, 5, 60], 2, Some(60)),
            (&[0, 5, 60], 3, None),
            (&[0, 5, 60], u32::MAX, None),
            (&[0, 0, 0, 60], 1, Some(60)),
            (&[3600], 0, Some(3600)),
            (&[0], 0, Some(0)),
            (&[0, 5, 0], 2, Some(0)),
        ] {
            let low = wait_ms(&schedule(seconds), Made::ByHand(before), &out, 0);
            assert_eq!(low.map(|low| low / 850), waits, "{seconds:?} after {before}");
        }
        let answered =
            |status| next_try(&schedule(&[0, 5]), Made::ByHand(1), &answer(status, &[]), NOW, 0);
        assert_eq!(answered(404), Next::GiveUp(GiveUp::Never));
        assert_eq!(answered(410), Next::GiveUp(GiveUp::Gone));
    }

    proptest! {
        #[test]
        fn jitter_stays_near(seconds in 0_u64..200_000, dice: u64) {
            let policy = Retry { schedule: vec![Duration::ZERO, Duration::from_secs(seconds)], never: vec![] };
            let waited = wait_ms(&policy, Made::Automatic(1), &fault(ErrorClass::TimeoutResponse), dice).unwrap();
            prop_assert!(waited >= seconds * 850 && waited <= seconds * 1150, "{waited}");
        }

        #[test]
        fn never_before_retry_after(seconds in 0_u64..1000, after in 0_u64..200_000, dice: u64) {
            let policy = Retry { schedule: vec![Duration::ZERO, Duration::from_secs(seconds)], never: vec![] };
            let outcome = answer(503, &[("retry-after", &after.to_string())]);
            let waited = wait_ms(&policy, Made::Automatic(1), &outcome, dice).unwrap();
            let bound = after.min(24 * 3600);
            prop_assert!(waited >= bound * 1000 && waited <= bound.max(seconds) * 1150, "{waited}");
            prop_assert!(waited <= (24 * 3_600_000).max(seconds * 1150), "{waited}");
        }

        #[test]
        fn any_header_is_survived(text: String, date: String) {
            let outcome = answer(429, &[("retry-after", &text), ("date", &date)]);
            prop_assert!(asked(&outcome, NOW) <= Some(limits::RETRY_AFTER_MAX));
        }
    }
}
