//! All that the model remembers, and the verbs that change it, without locks or waiting.

use crate::changes;
use crate::store::{
    Admission, Admitted, Amended, Amendment, Claim, Claims, Lease, Lent, Locator, NewDelivery,
    Pruned, Retention, Settled, Settlement,
};
use bytes::Bytes;
use doorbell_core::attempt::{Attempt, Ending};
use doorbell_core::configuration::Configuration;
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::event::{Event, Fate, Origin};
use doorbell_core::id::{DeliveryId, EndpointId, EventId, SourceId, TenantId};
use doorbell_core::settle;
use doorbell_core::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An event and what became of it.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) event: Arc<Event>,
    pub(super) fate: Fate,
    /// In the order in which they were made.
    pub(super) deliveries: Vec<DeliveryId>,
}

/// A delivery and what came of it.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) delivery: Delivery,
    /// The place of its event, then its own among those of the event: the order of lists and of order keys.
    pub(super) place: (u64, usize),
    pub(super) updated: Option<Time>,
    pub(super) last: Option<Ending>,
    pub(super) attempts: Vec<Attempt>,
}

/// Who holds a delivery, and whether its try has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    Waiting(Lease),
    Begun(Lease),
}

impl Held {
    const fn lease(self) -> Lease {
        match self {
            Self::Waiting(lease) | Self::Begun(lease) => lease,
        }
    }
}

/// Within what a dedupe key is one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Source(SourceId),
    Api(TenantId),
}

/// Everything; places count up from 1.
#[derive(Debug)]
pub(super) struct World {
    pub(super) events: BTreeMap<u64, Kept>,
    pub(super) by_id: BTreeMap<EventId, u64>,
    pub(super) parcels: BTreeMap<DeliveryId, Parcel>,
    pub(super) lent: BTreeMap<DeliveryId, Held>,
    pub(super) configuration: Configuration,
    /// Lent as they were accepted, not yet fetched.
    pub(super) outgoing: Vec<Lent>,
    /// Endpoints for which a claim may find something new.
    pub(super) stirred: BTreeSet<EndpointId>,
    /// The first event with this key, and until when the key counts.
    seen: BTreeMap<(Scope, Bytes), (EventId, Time)>,
    last_place: u64,
    last_lease: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self {
            events: BTreeMap::new(),
            by_id: BTreeMap::new(),
            parcels: BTreeMap::new(),
            lent: BTreeMap::new(),
            configuration: changes::initial(),
            outgoing: Vec::new(),
            stirred: BTreeSet::new(),
            seen: BTreeMap::new(),
            last_place: 0,
            last_lease: 0,
        }
    }

    pub(super) fn accept(&mut self, admission: Admission) -> Admitted {
        if admission.once && self.by_id.contains_key(&admission.event.id) {
            return Admitted::Again;
        }
        let admitted = self.judge(&admission);
        self.last_place += 1;
        let fate = admitted.fate().unwrap_or(admission.fate);
        let kept = Kept { event: admission.event, fate, deliveries: Vec::new() };
        self.by_id.insert(kept.event.id, self.last_place);
        self.events.insert(self.last_place, kept);
        if admitted == Admitted::New {
            self.deliver(self.last_place, &admission.deliveries);
        }
        admitted
    }

    fn judge(&mut self, admission: &Admission) -> Admitted {
        let Some(of) = self.first_with_key(admission) else { return Admitted::New };
        let first = self.by_id.get(&of).and_then(|place| self.events.get(place));
        match first {
            Some(first) if !first.event.is_repeated_by(&admission.event) => Admitted::KeyReused(of),
            Some(_) | None => Admitted::Repeat(of),
        }
    }

    /// The event that this one repeats; if there is none, its key counts from now on.
    fn first_with_key(&mut self, admission: &Admission) -> Option<EventId> {
        let event = &admission.event;
        if admission.dedupe_window.is_zero() || !admission.fate.is_event() {
            return None;
        }
        let scope = match event.origin {
            Origin::Source(source) => Scope::Source(source),
            Origin::Api => Scope::Api(event.tenant),
        };
        let key = (scope, event.dedupe_key.clone()?);
        if let Some((first, until)) = self.seen.get(&key)
            && event.at < *until
        {
            return Some(*first);
        }
        self.seen.insert(key, (event.id, event.at.after(admission.dedupe_window)));
        None
    }

    /// Gives the event at this place new deliveries.
    fn deliver(&mut self, place: u64, deliveries: &[NewDelivery]) {
        let Some(kept) = self.events.get_mut(&place) else { return };
        for new in deliveries {
            let delivery = Delivery {
                id: new.id,
                tenant: kept.event.tenant,
                event: kept.event.id,
                endpoint: new.endpoint,
                order_key: new.order_key,
                replay: new.replay,
                attempts: 0,
                by_hand: 0,
                state: new.state,
                asked: false,
            };
            if new.lend && !new.state.is_settled() {
                self.last_lease += 1;
                let lease = Lease(self.last_lease);
                self.lent.insert(new.id, Held::Waiting(lease));
                let payload = Some(Arc::clone(&kept.event));
                let delivery = delivery.clone();
                let body_len = kept.event.request.body.len() as u64;
                let locator = Locator(place);
                self.outgoing.push(Lent { delivery, locator, lease, body_len, payload });
            } else if !new.state.is_settled() {
                self.stirred.insert(new.endpoint);
            }
            let place = (place, kept.deliveries.len());
            kept.deliveries.push(new.id);
            let parcel =
                Parcel { delivery, place, updated: None, last: None, attempts: Vec::new() };
            self.parcels.insert(new.id, parcel);
        }
    }

    pub(super) fn claim(&mut self, claim: Claim) -> Claims {
        let blocked = if claim.by_key { self.not_first(claim.endpoint) } else { BTreeSet::new() };
        let mut waiting: Vec<(Time, (u64, usize), DeliveryId)> = self.waiting(claim).collect();
        waiting.sort_unstable();
        let (mut claims, mut room) = (Claims::default(), Some(claim.event_bytes));
        for (due, _, id) in waiting {
            let free = due <= claim.due_by && !blocked.contains(&id);
            if free && claims.lent.len() < claim.most {
                let mut lent = self.lend(id);
                if let (Some(lent), Some(left)) = (&mut lent, room) {
                    let event =
                        self.events.get(&lent.locator.0).map(|kept| Arc::clone(&kept.event));
                    let size = event.as_ref().map_or(0, |event| event.request.body.len().max(1));
                    room = left.checked_sub(size);
                    lent.payload = event.filter(|_| room.is_some());
                }
                claims.lent.extend(lent);
            } else if !blocked.contains(&id) && claims.next_due.is_none() {
                claims.next_due = Some(due);
            }
        }
        claims
    }

    /// What waits for this endpoint and is not lent.
    fn waiting(&self, claim: Claim) -> impl Iterator<Item = (Time, (u64, usize), DeliveryId)> {
        self.parcels.iter().filter_map(move |(id, parcel)| match parcel.delivery.state {
            State::Waiting { due }
                if parcel.delivery.endpoint == claim.endpoint && !self.lent.contains_key(id) =>
            {
                Some((due, parcel.place, *id))
            }
            State::Waiting { .. }
            | State::Delivered { .. }
            | State::Failed { .. }
            | State::Discarded { .. } => None,
        })
    }

    /// The deliveries to this endpoint that stand behind another one of their key, or of whose key one is lent.
    fn not_first(&self, endpoint: EndpointId) -> BTreeSet<DeliveryId> {
        let mut open: Vec<_> = self
            .parcels
            .values()
            .filter(|parcel| parcel.delivery.endpoint == endpoint)
            .filter(|parcel| occupies_key(&parcel.delivery.state))
            .filter_map(|parcel| Some((parcel.delivery.order_key?, parcel.place, parcel)))
            .map(|(key, place, parcel)| (key, place, parcel.delivery.id))
            .collect();
        open.sort_unstable();
        let lent: BTreeSet<u64> =
            self.lent.keys().filter_map(|id| self.order_key(*id, endpoint)).collect();
        let busy = open.iter().filter(|(key, ..)| lent.contains(key)).map(|(_, _, id)| *id);
        let first_of_key =
            |pair: &[(u64, (u64, usize), DeliveryId)]| matches!(pair, [a, b] if a.0 == b.0);
        open.windows(2)
            .filter(|pair| first_of_key(pair))
            .filter_map(|pair| pair.last().map(|(_, _, id)| *id))
            .chain(busy)
            .collect()
    }

    fn order_key(&self, id: DeliveryId, endpoint: EndpointId) -> Option<u64> {
        let delivery = &self.parcels.get(&id)?.delivery;
        delivery.order_key.filter(|_| delivery.endpoint == endpoint)
    }

    fn lend(&mut self, id: DeliveryId) -> Option<Lent> {
        let parcel = self.parcels.get(&id)?;
        self.last_lease += 1;
        let lease = Lease(self.last_lease);
        self.lent.insert(id, Held::Waiting(lease));
        let locator = Locator(parcel.place.0);
        let body_len = self.events.get(&locator.0)?.event.request.body.len() as u64;
        let delivery = parcel.delivery.clone();
        Some(Lent { delivery, locator, lease, body_len, payload: None })
    }

    pub(super) fn begin(&mut self, id: DeliveryId, lease: Lease) -> bool {
        let held = self.lent.get_mut(&id).filter(|held| held.lease() == lease);
        held.map(|held| *held = Held::Begun(lease)).is_some()
    }

    /// Whether it is being tried.
    pub(super) fn is_in_flight(&self, id: DeliveryId) -> bool {
        matches!(self.lent.get(&id), Some(Held::Begun(_)))
    }

    pub(super) fn settle(&mut self, settlement: Settlement) -> Settled {
        let id = settlement.delivery.id;
        if self.lent.get(&id).map(|held| held.lease()) != Some(settlement.lease) {
            return Settled::LeaseLost;
        }
        self.lent.remove(&id);
        let (endpoint, frees) = (settlement.delivery.endpoint, settlement.frees());
        if settlement.gives_back() {
            self.stirred.insert(settlement.delivery.endpoint);
        }
        if let Some(parcel) = self.parcels.get_mut(&id) {
            parcel.updated = settlement.at().or(parcel.updated);
            parcel.last = settlement.ending().or(parcel.last);
            parcel.delivery.attempts = settlement.delivery.attempts;
            parcel.delivery.by_hand = settlement.delivery.by_hand;
            parcel.delivery.state = settlement.delivery.state;
            parcel.delivery.asked = settlement.delivery.asked;
            parcel.attempts.extend(settlement.attempt);
        }
        let next = frees.and_then(|(key, by)| self.next_of(endpoint, key, by));
        if next.is_some() { Settled::Next } else { Settled::Kept }
    }

    /// Lends out the next delivery of a key, if it is due and no other of the key is out.
    fn next_of(&mut self, endpoint: EndpointId, key: u64, by: Time) -> Option<()> {
        let blocked = self.not_first(endpoint);
        let first = self.parcels.values().find(|parcel| {
            let delivery = &parcel.delivery;
            let due = matches!(delivery.state, State::Waiting { due } if due <= by);
            let of_key = (delivery.endpoint, delivery.order_key) == (endpoint, Some(key));
            of_key
                && due
                && !blocked.contains(&delivery.id)
                && !self.lent.contains_key(&delivery.id)
        })?;
        let mut lent = self.lend(first.delivery.id)?;
        lent.payload = self.events.get(&lent.locator.0).map(|kept| Arc::clone(&kept.event));
        self.outgoing.push(lent);
        Some(())
    }

    pub(super) fn amend(&mut self, amendment: &Amendment) -> Amended {
        match amendment {
            Amendment::Retry { tenant, delivery, due, lend } => {
                let amended = self.change(*tenant, *delivery, |now| settle::retried(now, *due));
                if *lend && matches!(amended, Amended::Done(_)) {
                    self.hand_over(*delivery);
                }
                amended
            }
            Amendment::Cancel { tenant, delivery, at } => {
                self.change(*tenant, *delivery, |now| settle::cancelled(now, *at))
            }
            Amendment::Redeliver { tenant, event, deliveries } => {
                let place = self.by_id.get(event).copied();
                let kept = place.and_then(|place| self.events.get(&place));
                match (place, kept) {
                    (Some(place), Some(kept)) if kept.event.tenant == *tenant => {
                        self.deliver(place, deliveries);
                        Amended::Done(None)
                    }
                    _ => Amended::Unknown,
                }
            }
        }
    }

    /// Lends out a delivery that was retried, unless another of its key goes before it.
    fn hand_over(&mut self, id: DeliveryId) {
        let Some(endpoint) = self.parcels.get(&id).map(|parcel| parcel.delivery.endpoint) else {
            return;
        };
        if !self.not_first(endpoint).contains(&id) {
            let lent = self.lend(id);
            self.outgoing.extend(lent);
        }
    }

    fn change(
        &mut self,
        tenant: TenantId,
        id: DeliveryId,
        to: impl FnOnce(&Delivery) -> Option<Delivery>,
    ) -> Amended {
        let in_flight = self.is_in_flight(id);
        match self.parcels.get_mut(&id) {
            Some(parcel) if parcel.delivery.tenant == tenant => {
                if in_flight {
                    return Amended::InFlight;
                }
                self.lent.remove(&id);
                let Some(delivery) = to(&parcel.delivery) else { return Amended::NotAllowed };
                parcel.updated = settled_at(&delivery.state).or(parcel.updated);
                parcel.delivery = delivery;
                self.stirred.insert(parcel.delivery.endpoint);
                Amended::Done(Some(parcel.delivery.endpoint))
            }
            Some(_) | None => Amended::Unknown,
        }
    }

    /// Forgets the oldest event, again and again, until one is young enough (and all are small enough) or one waits.
    pub(super) fn prune(&mut self, now: Time, retention: Retention) -> Pruned {
        let mut pruned = Pruned::default();
        let mut bytes = self.bytes();
        while let Some((place, kept)) = self.events.first_key_value() {
            let too_old = retention.age.is_some_and(|age| kept.event.at.after(age) < now);
            let too_big = retention.bytes.is_some_and(|most| bytes > most);
            let waits = kept.deliveries.iter().any(|id| self.waits(*id));
            if waits || !(too_old || too_big) {
                break;
            }
            let (place, size) = (*place, kept.event.request.body.len() as u64);
            bytes -= size;
            pruned.events += 1;
            pruned.bytes += size;
            self.forget(place);
        }
        pruned
    }

    fn waits(&self, id: DeliveryId) -> bool {
        self.parcels.get(&id).is_some_and(|parcel| !parcel.delivery.state.is_settled())
    }

    fn forget(&mut self, place: u64) {
        let Some(kept) = self.events.remove(&place) else { return };
        self.by_id.remove(&kept.event.id);
        self.seen.retain(|_, (first, _)| *first != kept.event.id);
        for id in kept.deliveries {
            self.parcels.remove(&id);
        }
    }

    /// The bytes of all bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.events.values().map(|kept| kept.event.request.body.len() as u64).sum()
    }
}

/// When it came to its end.
const fn settled_at(state: &State) -> Option<Time> {
    match state {
        State::Waiting { .. } => None,
        State::Delivered { at } | State::Failed { at, .. } | State::Discarded { at, .. } => {
            Some(*at)
        }
    }
}

/// Whether later deliveries of the same order key have to wait for this one.
const fn occupies_key(state: &State) -> bool {
    match state {
        State::Waiting { .. } => true,
        State::Failed { holds_key, .. } => *holds_key,
        State::Delivered { .. } | State::Discarded { .. } => false,
    }
}
