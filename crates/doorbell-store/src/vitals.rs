//! What a home measures of itself: cheap to count, cheap to ask, kept by nobody.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the buckets of [`Timings`], in microseconds.
pub const BOUNDS_US: [u64; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

/// How long something took, again and again: a histogram that many may count into at once.
#[derive(Debug, Default)]
pub struct Timings {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Timings {
    /// It took so long once more.
    pub fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Relaxed);
        }
        self.sum_us.fetch_add(us, Relaxed);
    }

    /// What was counted by now.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let buckets = std::array::from_fn(|at| self.buckets.get(at).map_or(0, |n| n.load(Relaxed)));
        Counted { buckets, sum_us: self.sum_us.load(Relaxed) }
    }
}

/// A histogram at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// How many fell into each bucket (not into those below): one for each of [`BOUNDS_US`], and one for all beyond.
    pub buckets: [u64; BOUNDS_US.len() + 1],
    /// The sum, in microseconds.
    pub sum_us: u64,
}

/// What a home measures of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vitals {
    /// The model measures nothing.
    Memory,
    /// Of the embedded home.
    Embedded(EmbeddedVitals),
    /// Of a node on `PostgreSQL`.
    Postgres(PostgresVitals),
}

/// How the embedded home is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedVitals {
    /// Writes of a batch to the journal, each with its fdatasync.
    pub syncs: Counted,
    /// Records that wait for the commit thread.
    pub queued: u64,
    /// Bytes of these.
    pub queued_bytes: u64,
    /// Bytes of the journal that the index does not show yet.
    pub lag_bytes: u64,
    /// Records of these that were written since the start.
    pub lag_records: u64,
}

/// How a node on `PostgreSQL` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostgresVitals {
    /// Batches of events, from when a batch is made until the database has it, with all tries.
    pub commits: Counted,
    /// Whether the database answered when this node last said that it lives.
    pub answers: bool,
    /// Nodes that are alive, as this one knows; itself included.
    pub nodes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_falls_into_the_first_bucket_that_holds_it() {
        let timings = Timings::default();
        for us in [0, 100, 101, 10_000_000, 10_000_001] {
            timings.observe(Duration::from_micros(us));
        }
        let Counted { buckets, sum_us } = timings.counted();
        assert_eq!((buckets[0], buckets[1], buckets[14], buckets[15]), (2, 1, 1, 1));
        assert_eq!(buckets.iter().sum::<u64>(), 5);
        assert_eq!(sum_us, 20_000_202);
    }
}
