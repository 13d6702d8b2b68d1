//! How a node shares its places for tries among endpoints.
//!
//! An endpoint may have out as many tries as there are places free, so that nobody is held back while there is plenty, and
//! those who hold much make room for those who need little: the dynamic threshold of Choudhury and Hahne ("Dynamic queue length
//! thresholds for shared-memory packet switches", IEEE/ACM Transactions on Networking 6(2), 1998). With `n` endpoints that
//! take all they can get, each ends with one of `n + 1` parts of the places; whoever needs fewer than that does not notice them.

/// The places of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    all: usize,
}

impl Places {
    /// So many places, at least one.
    #[must_use]
    pub const fn new(all: usize) -> Self {
        Self { all: if all == 0 { 1 } else { all } }
    }

    /// How many tries one endpoint may have out when `out` places are taken. So whoever is slow holds up nobody who has
    /// nothing out, as long as fewer endpoints are slow than there are places.
    #[must_use]
    pub const fn share(self, out: usize) -> usize {
        self.all.saturating_sub(out)
    }

    /// How many there are.
    #[must_use]
    pub const fn all(self) -> usize {
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Each endpoint in turn takes one place more, as long as it wants one and may have it.
    fn settle(places: Places, wants: &[usize]) -> Vec<usize> {
        let mut has = vec![0; wants.len()];
        let mut out = 0;
        loop {
            let before = out;
            for (has, want) in has.iter_mut().zip(wants) {
                if *has < *want && *has < places.share(out) {
                    *has += 1;
                    out += 1;
                }
            }
            if out == before {
                return has;
            }
        }
    }

    /// The node of the simulation that showed the fault of equal shares: slow endpoints and a busy healthy one.
    #[test]
    fn a_busy_endpoint_keeps_what_it_needs_beside_slow_ones() {
        let mut wants = vec![1_000; 20];
        wants.push(90);
        assert_eq!(settle(Places::new(8_192), &wants).last(), Some(&90));
    }

    #[test]
    fn one_alone_has_half_and_others_what_it_leaves() {
        assert_eq!(settle(Places::new(10), &[100]), [5]);
        assert_eq!(settle(Places::new(10), &[100, 1, 1]), [4, 1, 1]);
        assert_eq!(settle(Places::new(0), &[100]), [1]);
        assert_eq!(Places::new(8).share(8), 0);
    }

    proptest! {
        /// Who wants less than an even part of the places gets it, whatever the others want; and there are never more
        /// out than there may be.
        #[test]
        fn small_needs_are_met(
            all in 64_usize..10_000,
            wants in vec(0_usize..2_000, 1..60),
        ) {
            let places = Places::new(all);
            let has = settle(places, &wants);
            prop_assert!(has.iter().sum::<usize>() <= places.all());
            let even = (all / (wants.len() + 1)).saturating_sub(1);
            for (has, want) in has.iter().zip(&wants) {
                prop_assert!(*has >= (*want).min(even), "{has} of {want}, even is {even}");
            }
        }
    }
}
