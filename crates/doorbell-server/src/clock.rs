//! The one reader of clock and dice. Everything else gets the time as an argument or asks this, so that a test can hold
//! the time still and throw the dice itself.

use doorbell_core::time::Time;
use rustls::pki_types::UnixTime;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// What time it is, and chance.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's.
    Real(RealClock),
    /// A test's.
    Manual(ManualClock),
}

impl Clock {
    /// The machine's clock and dice.
    #[must_use]
    pub fn real() -> Self {
        Self::Real(RealClock { start: read_monotonic() })
    }

    /// Wall time.
    #[must_use]
    pub fn now(&self) -> Time {
        match self {
            Self::Real(_) => read_wall(),
            Self::Manual(clock) => clock.now(),
        }
    }

    /// Time since some fixed moment; it never goes back, and is what durations are measured with.
    #[must_use]
    pub fn monotonic(&self) -> Duration {
        match self {
            Self::Real(clock) => read_monotonic().duration_since(clock.start),
            Self::Manual(clock) => clock.passed(),
        }
    }

    /// 128 random bits; from the operating system's generator by way of a cryptographic one, so they cannot be guessed.
    #[must_use]
    pub fn dice(&self) -> u128 {
        match self {
            Self::Real(_) => rand::random(),
            Self::Manual(clock) => clock.dice(),
        }
    }
}

/// The machine's clock, and the moment from which its monotonic time counts.
#[derive(Debug, Clone, Copy)]
pub struct RealClock {
    start: Instant,
}

/// A clock that moves only when it is told to. Copies of it show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Face>);

#[derive(Debug)]
struct Face {
    start: Time,
    passed_ns: AtomicU64,
    /// By how much each look moves it on.
    tick_ns: AtomicU64,
    dice: AtomicU64,
}

impl ManualClock {
    /// A clock that stands at `start`; the same `seed` throws the same dice.
    #[must_use]
    pub fn new(start: Time, seed: u64) -> Self {
        let (passed_ns, tick_ns) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Face { start, passed_ns, tick_ns, dice: AtomicU64::new(seed) }))
    }

    /// From now on each look at the wall time moves the time on by this, as if whoever looks were slow.
    pub fn tick(&self, by: Duration) {
        self.0.tick_ns.store(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Moves the time on.
    pub fn advance(&self, by: Duration) {
        let ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.0.passed_ns.fetch_add(ns, Ordering::SeqCst);
    }

    fn passed(&self) -> Duration {
        Duration::from_nanos(self.0.passed_ns.load(Ordering::SeqCst))
    }

    fn now(&self) -> Time {
        self.0.passed_ns.fetch_add(self.0.tick_ns.load(Ordering::SeqCst), Ordering::SeqCst);
        self.0.start.after(self.passed())
    }

    fn dice(&self) -> u128 {
        u128::from(self.throw()) << 64 | u128::from(self.throw())
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014): every seed gives a full and well-mixed period.
    fn throw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.0.dice.fetch_add(STEP, Ordering::SeqCst).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Certificates are judged by the same clock as everything else.
impl rustls::time_provider::TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.now().ms())))
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn read_monotonic() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn read_wall() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let hand = ManualClock::new(Time::from_ms(1_000), 7);
        let clock = Clock::Manual(hand.clone());
        assert_eq!((clock.now(), clock.monotonic()), (Time::from_ms(1_000), Duration::ZERO));
        hand.advance(Duration::from_millis(1_500));
        assert_eq!(clock.now(), Time::from_ms(2_500));
        assert_eq!(clock.monotonic(), Duration::from_millis(1_500));
    }

    #[test]
    fn the_same_seed_throws_the_same_dice() {
        let throws = |seed| {
            let clock = Clock::Manual(ManualClock::new(Time::EPOCH, seed));
            [clock.dice(), clock.dice(), clock.dice()]
        };
        assert_eq!(throws(7), throws(7));
        assert_ne!(throws(7), throws(8));
        let [a, b, c] = throws(7);
        assert!(a != b && b != c);
    }

    #[test]
    fn the_real_one_runs() {
        let clock = Clock::real();
        assert!(clock.now() > Time::from_ms(1_700_000_000_000));
        assert!(clock.monotonic() <= clock.monotonic());
        assert_ne!(clock.dice(), clock.dice());
    }
}
