//! Which deliveries are lent out: fencing tokens in memory, which end with the process.
//!
//! A delivery that was settled stays here until the index has applied the settlement: until then the index still says
//! that it waits, and a claim must not believe it. Claims therefore hold the gate while they read the index and lend,
//! and the indexer takes it before it lets settled deliveries go.

use crate::store::Lease;
use doorbell_core::delivery::Delivery;
use doorbell_core::id::{DeliveryId, EndpointId};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// Who holds which delivery.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: Mutex<Held>,
    gate: RwLock<()>,
}

/// The leases, locked.
#[derive(Debug, Default)]
pub(crate) struct Held {
    by_delivery: HashMap<DeliveryId, Hold>,
    /// How many of each order key are held, by endpoint.
    keys: HashMap<OrderKey, u32>,
    /// What was settled, in the order of the journal, with the position of its record.
    settled: VecDeque<(u64, DeliveryId)>,
    last: u64,
}

/// An order key of an endpoint.
type OrderKey = (EndpointId, u64);

fn order_key(delivery: &Delivery) -> Option<OrderKey> {
    Some((delivery.endpoint, delivery.order_key?))
}

#[derive(Debug, Clone, Copy)]
struct Hold {
    lease: Lease,
    key: Option<OrderKey>,
    /// The position of the record with the delivery's previous attempt.
    previous: Option<u64>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Somebody has it, and has not begun.
    Lent,
    /// Somebody tries it, or changes it.
    Begun,
    /// Its settlement is on the way to the disk.
    Settling,
    /// Its settlement is durable at this position, and may not have reached the index.
    Settled(u64),
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nobody holds it.
    Free,
    /// Somebody does, and has not begun with it.
    Lent,
    /// Somebody has begun with it.
    Begun,
    /// Nobody does, but the index may not know before it has applied this position.
    Settled(u64),
}

impl Leases {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held by a claim from before it reads the index until it has lent.
    pub(crate) fn claiming(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go what was settled at or before the records that the index has applied (up to `applied`).
    pub(crate) fn applied(&self, applied: u64) {
        let _gate = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        let mut held = self.lock();
        while let Some((position, delivery)) = held.settled.front().copied() {
            if position >= applied {
                break;
            }
            held.settled.pop_front();
            if held.phase(delivery) == Some(Phase::Settled(position)) {
                held.remove(delivery);
            }
        }
    }
}

impl Held {
    /// Lends a delivery to someone; `None` when it is not free.
    pub(crate) fn lend(&mut self, delivery: &Delivery, previous: Option<u64>) -> Option<Lease> {
        if self.by_delivery.contains_key(&delivery.id) {
            return None;
        }
        self.last += 1;
        let (lease, key) = (Lease(self.last), order_key(delivery));
        if let Some(key) = key {
            *self.keys.entry(key).or_default() += 1;
        }
        self.by_delivery.insert(delivery.id, Hold { lease, key, previous, phase: Phase::Lent });
        Some(lease)
    }

    /// Whether somebody has a delivery of this order key.
    pub(crate) fn holds_key(&self, endpoint: EndpointId, key: u64) -> bool {
        self.keys.contains_key(&(endpoint, key))
    }

    fn remove(&mut self, delivery: DeliveryId) {
        let Some(key) = self.by_delivery.remove(&delivery).and_then(|hold| hold.key) else {
            return;
        };
        if let Some(count) = self.keys.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.keys.remove(&key);
            }
        }
    }

    /// Whoever held deliveries is gone: nobody holds any that is not being settled.
    pub(crate) fn end_all(&mut self) {
        let gone = self.by_delivery.iter().filter(|(_, hold)| hold.phase <= Phase::Begun);
        for delivery in gone.map(|(delivery, _)| *delivery).collect::<Vec<_>>() {
            self.remove(delivery);
        }
    }

    /// Its try begins; says whether the lease holds.
    pub(crate) fn begin(&mut self, delivery: DeliveryId, lease: Lease) -> bool {
        let Some(hold) = self.by_delivery.get_mut(&delivery) else { return false };
        let holds = hold.lease == lease && matches!(hold.phase, Phase::Lent | Phase::Begun);
        if holds {
            hold.phase = Phase::Begun;
        }
        holds
    }

    /// Takes a delivery that is free, or was lent and has not begun, to change it: whoever had it loses it.
    pub(crate) fn take(&mut self, delivery: DeliveryId) -> Option<Lease> {
        let free = match self.phase(delivery) {
            None | Some(Phase::Lent) => true,
            Some(Phase::Begun | Phase::Settling | Phase::Settled(_)) => false,
        };
        free.then(|| {
            self.last += 1;
            let lease = Lease(self.last);
            // What was lent keeps its key until the change is known to the index.
            let key = self.by_delivery.get(&delivery).and_then(|hold| hold.key);
            let hold = Hold { lease, key, previous: None, phase: Phase::Begun };
            self.by_delivery.insert(delivery, hold);
            lease
        })
    }

    /// Begins to settle; the position of the previous attempt's record, or `None` when the lease does not hold.
    pub(crate) fn settle(&mut self, delivery: DeliveryId, lease: Lease) -> Option<Option<u64>> {
        let hold = self.by_delivery.get_mut(&delivery)?;
        let holds = hold.lease == lease && matches!(hold.phase, Phase::Lent | Phase::Begun);
        holds.then(|| {
            hold.phase = Phase::Settling;
            hold.previous
        })
    }

    /// The settlement is durable.
    pub(crate) fn settled(&mut self, delivery: DeliveryId, position: u64) {
        if let Some(hold) = self.by_delivery.get_mut(&delivery) {
            hold.phase = Phase::Settled(position);
            self.settled.push_back((position, delivery));
        }
    }

    /// Deliveries that are kept here only because the index may not have heard of their settlement.
    pub(crate) fn settled_count(&self) -> usize {
        self.settled.len()
    }

    /// The settlement could not be written: the lease holds on.
    pub(crate) fn unsettled(&mut self, delivery: DeliveryId) {
        if let Some(hold) = self.by_delivery.get_mut(&delivery)
            && hold.phase == Phase::Settling
        {
            hold.phase = Phase::Begun;
        }
    }

    /// Says which attempt the next one of a held delivery follows.
    pub(crate) fn continues(&mut self, delivery: DeliveryId, lease: Lease, previous: Option<u64>) {
        if let Some(hold) = self.by_delivery.get_mut(&delivery).filter(|hold| hold.lease == lease) {
            hold.previous = previous;
        }
    }

    /// Ends a lease of which nothing is on the way to the disk; says whether it did.
    pub(crate) fn give_back(&mut self, delivery: DeliveryId, lease: Lease) -> bool {
        let hold = self.by_delivery.get(&delivery);
        let ends = hold.is_some_and(|hold| {
            hold.lease == lease && matches!(hold.phase, Phase::Lent | Phase::Begun)
        });
        if ends {
            self.remove(delivery);
        }
        ends
    }

    pub(crate) fn standing(&self, delivery: DeliveryId) -> Standing {
        match self.phase(delivery) {
            None => Standing::Free,
            Some(Phase::Lent) => Standing::Lent,
            Some(Phase::Begun | Phase::Settling) => Standing::Begun,
            Some(Phase::Settled(position)) => Standing::Settled(position),
        }
    }

    fn phase(&self, delivery: DeliveryId) -> Option<Phase> {
        self.by_delivery.get(&delivery).map(|hold| hold.phase)
    }
}
