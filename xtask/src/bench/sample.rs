//! Many durations, kept as a histogram whose buckets grow by one per cent.

use std::time::Duration;

const GROWTH: f64 = 1.01;
/// One bucket for each per cent between a microsecond and some minutes.
const BUCKETS: usize = 2_200;

/// Durations from a microsecond up, to one per cent.
#[derive(Debug, Clone)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], count: 0, max: Duration::ZERO }
    }
}

impl Histogram {
    /// Adds one.
    pub(super) fn add(&mut self, took: Duration) {
        let micros = took.as_secs_f64() * 1e6;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at least 0 and far below 2^32"
        )]
        let bucket = (micros.max(1.0).ln() / GROWTH.ln()) as usize;
        if let Some(count) = self.counts.get_mut(bucket.min(BUCKETS - 1)) {
            *count += 1;
        }
        self.count += 1;
        self.max = self.max.max(took);
    }

    /// Adds all of another.
    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// How many there are.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// The duration, in milliseconds, below which that share (0 to 1) lies.
    pub(super) fn quantile_ms(&self, share: f64) -> f64 {
        let wanted = share * self.count as f64;
        let (mut seen, mut at) = (0_u64, 0_i32);
        for count in &self.counts {
            seen += count;
            if seen as f64 >= wanted {
                break;
            }
            at += 1;
        }
        (GROWTH.powi(at + 1) / 1e3).min(self.max.as_secs_f64() * 1e3)
    }
}

/// The value in the middle; 0 of none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// Between what the median lies with a probability of 0.95, however the values are spread: so many places to either side
/// in their order. Of less than six values: the least and the greatest.
pub(super) fn likely(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() as f64 / 2.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to the number of values"
    )]
    let rank = (half - 0.98 * (half * 2.0).sqrt()).max(1.0) as usize;
    let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
    (at(rank - 1), at(sorted.len().saturating_sub(rank)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_two_per_cent() {
        let mut histogram = Histogram::default();
        for micros in 1..=100_000_u64 {
            histogram.add(Duration::from_micros(micros));
        }
        for (share, ms) in [(0.5, 50.0), (0.99, 99.0), (0.999, 99.9)] {
            let found = histogram.quantile_ms(share);
            assert!((found / ms - 1.0).abs() < 0.02, "{share}: {found}");
        }
        assert!((median(&[3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_median_of_many_is_known_better() {
        let values = |count: u32| (0..count).map(f64::from).collect::<Vec<_>>();
        let places = |count| likely(&values(count));
        assert_eq!(places(5), (0.0, 4.0));
        // The usual table of ranks: 100 values, the 40th and the 61st.
        assert_eq!(places(100), (39.0, 60.0));
        assert_eq!(places(0), (0.0, 0.0));
    }
}
