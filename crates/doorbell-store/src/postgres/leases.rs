//! What this node holds, and whether it may still begin with it.
//!
//! The database says who holds a delivery (`holder`, and `lease` as the fencing token); here stands what the database
//! does not know: whether its try has begun. A node that could not tell the database in time that it is alive begins
//! nothing more, since others may have taken over; what it settles is then decided by the token.

use super::LIFE;
use crate::store::Lease;
use doorbell_core::id::DeliveryId;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

/// One delivery that this node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) lease: i64,
    pub(super) nth: i32,
    /// The node's number when it was lent.
    pub(super) holder: i64,
    begun: bool,
}

impl Hold {
    pub(super) const fn new(lease: i64, nth: i32, holder: i64) -> Self {
        Self { lease, nth, holder, begun: false }
    }
}

/// What this node holds.
#[derive(Debug)]
pub(super) struct Leases {
    held: HashMap<DeliveryId, Hold>,
    /// The node's number; it gets a new one when it was taken for dead.
    node: i64,
    /// Until when the others take it for alive, at the least.
    alive_until: Instant,
    /// What the database believes that we hold and we do not want: to be given back.
    unwanted: HashSet<DeliveryId>,
}

impl Leases {
    pub(super) fn new(node: i64, now: Instant) -> Self {
        Self { held: HashMap::new(), node, alive_until: now + margin(), unwanted: HashSet::new() }
    }

    pub(super) const fn node(&self) -> i64 {
        self.node
    }

    /// The database was told that we live, at a moment not before `asked`.
    pub(super) fn alive(&mut self, node: i64, asked: Instant) {
        self.node = node;
        self.alive_until = asked + margin();
    }

    pub(super) fn is_alive(&self, now: Instant) -> bool {
        now < self.alive_until
    }

    pub(super) fn lend(&mut self, delivery: DeliveryId, hold: Hold) -> Lease {
        self.held.insert(delivery, hold);
        self.unwanted.remove(&delivery);
        Lease(hold.lease.cast_unsigned())
    }

    pub(super) fn begin(&mut self, delivery: DeliveryId, lease: Lease, now: Instant) -> bool {
        let ours = (self.is_alive(now), self.node);
        let Some(hold) = self.held.get_mut(&delivery) else { return false };
        if hold.lease != lease.0.cast_signed() {
            return false;
        }
        let may = ours == (true, hold.holder);
        hold.begun |= may;
        if !may {
            // Whoever asked drops it; the database must not go on believing that we have it.
            self.take_back(delivery);
        }
        may
    }

    /// The hold, if the lease is that one.
    pub(super) fn of(&self, delivery: DeliveryId, lease: Lease) -> Option<Hold> {
        let hold = self.held.get(&delivery)?;
        (hold.lease == lease.0.cast_signed()).then_some(*hold)
    }

    pub(super) fn has_begun(&self, delivery: DeliveryId) -> bool {
        self.held.get(&delivery).is_some_and(|hold| hold.begun)
    }

    /// Ends a lease that the database has ended.
    pub(super) fn end(&mut self, delivery: DeliveryId, lease: i64) {
        if self.held.get(&delivery).is_some_and(|hold| hold.lease == lease) {
            self.held.remove(&delivery);
        }
    }

    /// Takes a delivery from whoever waits with it here; `false` when its try has begun.
    pub(super) fn take_back(&mut self, delivery: DeliveryId) -> bool {
        if self.has_begun(delivery) {
            return false;
        }
        if self.held.remove(&delivery).is_some() {
            self.unwanted.insert(delivery);
        }
        true
    }

    pub(super) fn holds(&self, delivery: DeliveryId) -> bool {
        self.held.contains_key(&delivery)
    }

    /// Whether what the database believes about it was written down here.
    pub(super) fn knows(&self, delivery: DeliveryId) -> bool {
        self.holds(delivery) || self.unwanted.contains(&delivery)
    }

    /// The database believes that this node has these, and it never got them.
    pub(super) fn never_got(&mut self, deliveries: impl IntoIterator<Item = DeliveryId>) {
        self.unwanted.extend(deliveries);
    }

    /// What is to be given back to the database; it is remembered until [`Leases::given_back`].
    pub(super) fn unwanted(&self) -> Vec<DeliveryId> {
        self.unwanted.iter().copied().collect()
    }

    pub(super) fn given_back(&mut self, done: &[DeliveryId]) {
        for delivery in done {
            self.unwanted.remove(delivery);
        }
    }
}

/// A node stops to begin earlier than others take over.
fn margin() -> Duration {
    LIFE * 3 / 4
}

#[cfg(test)]
mod tests {
    use super::super::ticks;
    use super::*;
    use doorbell_core::time::Time;

    #[test]
    fn a_node_that_may_be_dead_begins_nothing() {
        let start = ticks::now();
        let mut leases = Leases::new(7, start);
        let id = DeliveryId::new(Time::EPOCH, 1);
        let lease = leases.lend(id, Hold::new(1, 0, 7));
        assert!(leases.begin(id, lease, start));
        assert!(!leases.begin(id, Lease(2), start), "not with another token");
        assert!(!leases.begin(id, lease, start + LIFE), "not after its time");
        leases.alive(7, start + LIFE);
        assert!(leases.begin(id, lease, start + LIFE));
        leases.alive(8, start + LIFE);
        assert!(
            !leases.begin(id, lease, start + LIFE),
            "what it held under its old number is gone"
        );
        assert!(leases.of(id, lease).is_some(), "but what came of it may be told");
        let waits = DeliveryId::new(Time::EPOCH, 2);
        let lease = leases.lend(waits, Hold::new(1, 0, 8));
        assert!(!leases.begin(waits, lease, start + LIFE * 2), "nor one that it never began");
        assert_eq!(leases.unwanted(), [waits], "which the database is told of");
    }

    #[test]
    fn what_is_given_back_is_not_looked_for_one_by_one() {
        let mut leases = Leases::new(7, ticks::now());
        let ids: Vec<_> = (0..200_000).map(|n| DeliveryId::new(Time::EPOCH, n)).collect();
        leases.never_got(ids.iter().copied());
        leases.never_got(ids.iter().copied());
        assert_eq!(leases.unwanted().len(), ids.len(), "each counts once");
        leases.given_back(&ids);
        assert!(leases.unwanted().is_empty());
    }

    #[test]
    fn what_only_waits_is_taken_back_and_remembered() {
        let start = ticks::now();
        let mut leases = Leases::new(7, start);
        let (waits, begun) = (DeliveryId::new(Time::EPOCH, 1), DeliveryId::new(Time::EPOCH, 2));
        let first = leases.lend(waits, Hold::new(1, 0, 7));
        let second = leases.lend(begun, Hold::new(1, 0, 7));
        assert!(leases.begin(begun, second, start));
        assert!(leases.take_back(waits) && !leases.take_back(begun));
        assert!(!leases.begin(waits, first, start));
        assert_eq!(leases.unwanted(), [waits]);
        leases.given_back(&[waits]);
        assert!(leases.unwanted().is_empty());
    }
}
