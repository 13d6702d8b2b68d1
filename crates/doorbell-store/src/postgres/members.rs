//! Which node looks after which endpoint: the nodes that live and deliver, and a choice among them that all make alike.
//!
//! Limits of an endpoint (how many at once, how fast, its breaker, the order of its keys) hold over all nodes because one
//! node has all of them. When a node comes or goes, only the endpoints that it has, or gets, change hands. Two nodes may
//! believe for a moment that they have the same endpoint; leases see to it that no delivery is made twice for that.

use doorbell_core::id::EndpointId;
use siphasher::sip::SipHasher13;
use std::collections::{HashMap, HashSet};
use std::hash::Hasher;

/// The nodes that are alive, as this one knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Members {
    me: i64,
    alive: Vec<i64>,
}

/// The nodes that can be lent what others take in, and to which endpoints each can not.
pub(super) type Shut = HashMap<i64, HashSet<EndpointId>>;

impl Members {
    pub(super) fn new(me: i64, mut alive: Vec<i64>) -> Self {
        if !alive.contains(&me) {
            alive.push(me);
        }
        alive.sort_unstable();
        Self { me, alive }
    }

    /// As a node that looks after nothing sees them.
    pub(super) fn seen_by_none(me: i64, mut alive: Vec<i64>) -> Self {
        alive.retain(|node| *node != me);
        alive.sort_unstable();
        Self { me, alive }
    }

    /// How many are alive.
    pub(super) const fn count(&self) -> u64 {
        self.alive.len() as u64
    }

    /// Whether this node looks after what has this id.
    pub(super) fn owns(&self, id: [u8; 16]) -> bool {
        self.owner(id) == Some(self.me)
    }

    /// Who looks after what has this id; `None`: nobody does.
    pub(super) fn owner(&self, id: [u8; 16]) -> Option<i64> {
        match self.alive.as_slice() {
            [only] => Some(*only),
            all => all.iter().copied().max_by_key(|node| weight(id, *node)),
        }
    }
}

/// Rendezvous hashing: the node with the greatest weight has it.
fn weight(id: [u8; 16], node: i64) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    hasher.write(&id);
    hasher.write(&node.to_le_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_owner_and_few_change_hands() {
        let ids = (0..3_000_u128).map(|n| (n * 0x9e37_79b9_7f4a_7c15_f39c).to_be_bytes());
        let of = |alive: &[i64]| alive.iter().map(|me| Members::new(*me, alive.to_vec())).collect();
        let (three, two): (Vec<Members>, Vec<Members>) = (of(&[1, 2, 3]), of(&[1, 3]));
        let mut moved = 0;
        for id in ids {
            let owner = |of: &[Members]| {
                let owners: Vec<i64> =
                    of.iter().filter(|one| one.owns(id)).map(|one| one.me).collect();
                assert_eq!(owners.len(), 1);
                owners[0]
            };
            let (before, after) = (owner(&three), owner(&two));
            assert!(before == after || before == 2, "only what the dead one had");
            moved += usize::from(before == 2);
        }
        assert!((800..1_200).contains(&moved), "{moved} of 3000");
    }

    #[test]
    fn who_delivers_nothing_has_nothing() {
        assert!(!Members::seen_by_none(5, Vec::new()).owns([1; 16]));
        assert!(!Members::seen_by_none(5, vec![4, 5]).owns([1; 16]));
    }

    #[test]
    fn who_is_alone_has_all() {
        assert!(Members::new(5, Vec::new()).owns([1; 16]));
    }
}
