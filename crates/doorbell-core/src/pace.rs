//! How fast one endpoint is delivered to: so many at once, and so many in a time.
//!
//! The rate is a token bucket in the form of GCRA (ATM Forum, TM 4.0, section 4.4.2): one moment is remembered, at which
//! the next delivery would be exactly on time. It is kept in parts of a millisecond that divide evenly (milliseconds times
//! the rate's count), so nothing is rounded and nothing drifts.

use crate::endpoint::{Policy, Rate};
use crate::time::Time;

/// The pace of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    concurrency: u32,
    out: u32,
    bucket: Option<Bucket>,
}

/// Whether a delivery may go now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It may, and counts as out until [`Pace::back`].
    Go,
    /// The rate allows the next one then.
    Wait(Time),
    /// As many are out as may be: ask again when one is back.
    Full,
}

impl Pace {
    /// The pace that the policy asks for, with nothing out.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        Self {
            concurrency: policy.concurrency.max(1),
            out: 0,
            bucket: policy.rate.map(Bucket::new),
        }
    }

    /// Follows a changed policy. What is out stays out; an unchanged rate keeps what it has counted.
    pub fn adjust(&mut self, policy: &Policy) {
        let kept = self.bucket.filter(|bucket| Some(bucket.rate) == policy.rate);
        self.concurrency = policy.concurrency.max(1);
        self.bucket = kept.or_else(|| policy.rate.map(Bucket::new));
    }

    /// Asks for one delivery.
    pub fn admit(&mut self, now: Time) -> Turn {
        if self.out >= self.concurrency {
            return Turn::Full;
        }
        let turn = self.bucket.as_mut().map_or(Turn::Go, |bucket| bucket.take(now));
        if turn == Turn::Go {
            self.out += 1;
        }
        turn
    }

    /// One that was let go is back.
    pub const fn back(&mut self) {
        self.out = self.out.saturating_sub(1);
    }

    /// One that was let go is back, and was not sent: it takes nothing of the rate.
    pub fn unsent(&mut self) {
        self.back();
        if let Some(bucket) = &mut self.bucket {
            bucket.next = bucket.next.saturating_sub(bucket.step());
        }
    }

    /// How many are out.
    #[must_use]
    pub const fn out(&self) -> u32 {
        self.out
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    rate: Rate,
    /// When the next one would be exactly on time, in parts (see the head of the module).
    next: u128,
}

impl Bucket {
    const fn new(rate: Rate) -> Self {
        Self { rate, next: 0 }
    }

    fn count(&self) -> u128 {
        u128::from(self.rate.count.max(1))
    }

    /// The distance of two deliveries, in parts.
    fn step(&self) -> u128 {
        self.rate.per.as_millis().max(1)
    }

    /// How far ahead of its exact time one may go: to the beginning of its millisecond, since the clock knows no parts of
    /// it; and by a hundredth of the rate's count, since a timer that fires some milliseconds late must be able to catch
    /// up. In any time of length `per` go at most `count` and that hundredth.
    fn slack(&self) -> u128 {
        ((self.count() / 100) * self.step()).max(self.count() - 1)
    }

    fn take(&mut self, now: Time) -> Turn {
        let parts = u128::from(now.ms()) * self.count();
        // It cannot be farther ahead than this, unless the clock was set back: then it starts from here.
        let next = self.next.min(parts + self.slack() + self.step());
        if next > parts + self.slack() {
            self.next = next;
            let due = (next - self.slack()).div_ceil(self.count());
            return Turn::Wait(Time::from_ms(u64::try_from(due).unwrap_or(u64::MAX)));
        }
        self.next = next.max(parts) + self.step();
        Turn::Go
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const T0: u64 = 1_800_000_000_000;
    const HOUR: u64 = 3_600_000;

    fn pace(count: u32, per: Duration) -> Pace {
        Pace::new(&Policy {
            rate: Some(Rate { count, per }),
            concurrency: u32::MAX,
            ..Policy::default()
        })
    }

    /// When deliveries go if there is always one waiting and the timer is `late` ms late.
    fn run(pace: &mut Pace, from: u64, until: u64, late: u64) -> Vec<u64> {
        let (mut now, mut went) = (from, Vec::new());
        while now < until {
            match pace.admit(Time::from_ms(now)) {
                Turn::Go => went.push(now),
                Turn::Wait(at) => {
                    assert!(at.ms() > now, "a wait must lie ahead");
                    now = at.ms() + late;
                }
                Turn::Full => panic!("nothing comes back in this test"),
            }
        }
        went
    }

    #[test]
    fn so_many_at_once() {
        let mut pace = Pace::new(&Policy { concurrency: 2, ..Policy::default() });
        let now = Time::from_ms(T0);
        assert_eq!(
            [pace.admit(now), pace.admit(now), pace.admit(now)],
            [Turn::Go, Turn::Go, Turn::Full]
        );
        pace.back();
        assert_eq!((pace.admit(now), pace.out()), (Turn::Go, 2));
        pace.adjust(&Policy { concurrency: 1, ..Policy::default() });
        pace.back();
        assert_eq!((pace.admit(now), pace.out()), (Turn::Full, 1));
    }

    #[test]
    fn evenly_and_without_drift() {
        let mut slow = pace(3, Duration::from_secs(1));
        assert_eq!(run(&mut slow, T0, T0 + 1001, 0), [0, 333, 666, 1000].map(|ms| T0 + ms));
        for count in [1, 3, 7, 60, 999, 1000, 3333] {
            let mut day = pace(count, Duration::from_secs(3600));
            assert_eq!(
                run(&mut day, T0, T0 + 24 * HOUR, 0).len(),
                count as usize * 24 + count as usize / 100,
                "{count}"
            );
        }
    }

    #[test]
    fn a_late_timer_does_not_slow_it() {
        let went = run(&mut pace(1000, Duration::from_secs(1)), T0, T0 + 10_000, 5).len();
        assert!((9_990..=10_020).contains(&went), "{went}");
    }

    #[test]
    fn a_wait_does_not_fill_the_bucket() {
        let mut pace = pace(10, Duration::from_secs(1));
        run(&mut pace, T0, T0 + 1000, 0);
        assert_eq!(run(&mut pace, T0 + HOUR, T0 + HOUR + 100, 0).len(), 1);
    }

    #[test]
    fn a_clock_that_jumps_neither_bursts_nor_stalls() {
        for jump in [HOUR, 10 * 365 * 24 * HOUR] {
            let mut pace = pace(10, Duration::from_secs(1));
            run(&mut pace, T0, T0 + 1000, 0);
            let back = T0 - jump;
            let went = run(&mut pace, back, back + 1000, 0);
            assert!((9..=10).contains(&went.len()), "back by {jump}: {}", went.len());
            let went = run(&mut pace, T0 + jump, T0 + jump + 1000, 0);
            assert_eq!(went.len(), 10, "on by {jump}");
        }
    }

    #[test]
    fn a_changed_rate_starts_anew_and_an_unchanged_one_goes_on() {
        let policy = Policy {
            rate: Some(Rate { count: 1, per: Duration::from_secs(60) }),
            ..Policy::default()
        };
        let mut pace = Pace::new(&policy);
        let now = Time::from_ms(T0);
        assert_eq!(pace.admit(now), Turn::Go);
        pace.adjust(&policy);
        assert_eq!(pace.admit(now), Turn::Wait(Time::from_ms(T0 + 60_000)));
        pace.adjust(&Policy::default());
        assert_eq!(pace.admit(now), Turn::Go);
    }

    #[test]
    fn what_was_not_sent_takes_nothing_of_the_rate() {
        let mut pace = pace(1, Duration::from_secs(60));
        let now = Time::from_ms(T0);
        for _ in 0..10 {
            assert_eq!(pace.admit(now), Turn::Go);
            pace.unsent();
        }
        assert_eq!((pace.out(), pace.admit(now)), (0, Turn::Go));
        assert_eq!(pace.admit(now), Turn::Wait(Time::from_ms(T0 + 60_000)));
    }

    proptest! {
        /// However it is asked: in no time of length `per` do more go than promised.
        #[test]
        fn never_more_than_promised(count in 1_u32..500, per in 1_u64..5_000, asks in prop::collection::vec(0_u64..50, 1..2_000)) {
            let mut pace = pace(count, Duration::from_millis(per));
            let (mut now, mut went) = (T0, Vec::new());
            for gap in asks {
                now += gap;
                if pace.admit(Time::from_ms(now)) == Turn::Go { went.push(now); }
            }
            let most = count as usize + count as usize / 100;
            for (first, at) in went.iter().enumerate() {
                let within = went[first..].iter().take_while(|t| **t < at + per).count();
                prop_assert!(within <= most, "{within} in {per} ms, promised {most}");
            }
        }

        /// Whatever the clock does, a wait is short: the next step at most.
        #[test]
        fn never_a_stall(count in 1_u32..500, per in 1_u64..5_000, moments in prop::collection::vec(0_u64..4_000_000_000_000, 1..200)) {
            let mut pace = pace(count, Duration::from_millis(per));
            for now in moments {
                if let Turn::Wait(at) = pace.admit(Time::from_ms(now)) {
                    prop_assert!(at.ms() > now && at.ms() - now <= per.div_ceil(u64::from(count)) + 1);
                }
            }
        }
    }
}
