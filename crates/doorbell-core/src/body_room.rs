//! How a node shares the memory for the bodies of what it is just sending among endpoints: as [`crate::places`] does with
//! places, by what is free, but with bodies of any size.

use crate::limits;

/// The memory of one node for bodies that are out, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyRoom {
    all: u64,
}

impl BodyRoom {
    /// So many bytes.
    #[must_use]
    pub const fn new(all: u64) -> Self {
        Self { all }
    }

    /// What a body of `len` bytes takes of the room: small ones nothing, for there is always a place that bounds them.
    #[must_use]
    pub const fn weight(len: u64) -> u64 {
        if len <= limits::BODY_SMALL { 0 } else { len }
    }

    /// Whether an endpoint that has bodies of `own` bytes out may send one of `len` more when `out` bytes are out in all. As much
    /// as it has then has to be free, so that there is always room for smaller ones; what is larger than that goes alone.
    #[must_use]
    pub const fn admits(self, out: u64, own: u64, len: u64) -> bool {
        let weight = Self::weight(len);
        let free = self.all.saturating_sub(out);
        weight == 0 || out == 0 || own.saturating_add(weight).saturating_add(weight) <= free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const ROOM: u64 = 1 << 20;
    const LARGEST: u64 = 1 << 18;

    proptest! {
        /// Whoever asks and gives back, and when: the bound holds, and there is room again when all have given back.
        #[test]
        fn never_more_is_out_than_the_room_or_one_body(
            steps in vec((0..8_usize, 0..2 * ROOM, any::<bool>()), 1..200),
        ) {
            let room = BodyRoom::new(ROOM);
            let mut out: [Vec<u64>; 8] = Default::default();
            for (who, len, back) in steps {
                let all: u64 = out.iter().flatten().sum();
                let count = out.iter().flatten().filter(|weight| **weight > 0).count();
                prop_assert!(all < ROOM || count == 1);
                if back {
                    out[who].pop();
                } else if room.admits(all, out[who].iter().sum(), len) {
                    out[who].push(BodyRoom::weight(len));
                } else {
                    prop_assert!(all > 0, "what is alone always goes");
                }
            }
        }
    }

    #[test]
    fn one_that_takes_all_it_can_get_leaves_room_for_others() {
        let room = BodyRoom::new(ROOM);
        let mut own = 0;
        while room.admits(own, own, LARGEST) {
            own += LARGEST;
        }
        assert_eq!(own, ROOM / 2);
        assert!(room.admits(own, 0, LARGEST));
        assert!(room.admits(ROOM / 2, 0, LARGEST) && !room.admits(ROOM / 2 + 1, 0, LARGEST));
        assert!(room.admits(ROOM / 2 + LARGEST, 0, LARGEST / 2), "a smaller one still fits");
        assert!(room.admits(u64::MAX, u64::MAX, limits::BODY_SMALL));
        assert!(!room.admits(ROOM, 0, limits::BODY_SMALL + 1));
    }
}
