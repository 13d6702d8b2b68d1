//! A home whose lists, claims and counts come from the index, and all else from the simplest thing that works: so the
//! contract and the comparison with the model hold the index to its part, in tiny partitions, with restarts in between.

use doorbell_core::attempt::Attempt;
use doorbell_core::configuration::{Change, Configuration};
use doorbell_core::delivery::Delivery;
use doorbell_core::event::Event;
use doorbell_core::id::{DeliveryId, EndpointId, EventId, TenantId};
use doorbell_core::settle;
use doorbell_core::time::Time;
use doorbell_store::contract::Homes;
use doorbell_store::embedded::index::{Entry, Index, Sizes, Taken};
use doorbell_store::memory::Memory;
use doorbell_store::{
    Admission, Admitted, Amended, Amendment, Backlog, Claim, Claims, DeliveryQuery, DeliveryRow,
    EventDetail, EventQuery, EventRow, Lease, Lent, Locator, NewDelivery, Page, Pruned, Retention,
    Search, SearchPage, Settled, Settlement, Stats, Store, StoreError, Vitals, WaitingCount,
};
use doorbell_wire::stored::{self, AttemptHead, ReceivedHead, RecordHead, SettledHead};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

/// Bytes that a record is pretended to have.
const RECORD: u64 = 100;

/// Opens homes with partitions of so many events.
pub(crate) struct Indexed {
    dir: Arc<TempDir>,
    sizes: Sizes,
}

impl Indexed {
    pub(crate) fn with(events: u64) -> Self {
        let sizes = Sizes { events, deliveries: 1_000_000 };
        Self { dir: Arc::new(tempfile::tempdir().unwrap()), sizes }
    }
}

impl Homes for Indexed {
    type Home = Home;

    async fn open(&mut self) -> Home {
        Home::new(self.dir.path(), self.sizes)
    }
}

pub(crate) struct Home {
    /// Events, dedupe, configuration, searches; its deliveries are not looked at.
    memory: Memory,
    world: Mutex<World>,
    /// Where the index may be found by a test that opens it anew.
    path: std::path::PathBuf,
    sizes: Sizes,
}

struct World {
    index: Index,
    /// The whole journal.
    journal: Vec<Entry>,
    /// How much of it the index has not had.
    behind: usize,
    events: HashMap<u64, Arc<Event>>,
    attempts: HashMap<DeliveryId, Vec<Attempt>>,
    held: HashMap<DeliveryId, (Lease, bool)>,
    /// The order keys of all that was ever lent.
    keys: HashMap<DeliveryId, (EndpointId, Option<u64>)>,
    outgoing: Vec<Lent>,
    last_lease: u64,
    /// Counts questions, to restart now and then.
    asked: usize,
}

impl World {
    fn upto(&self) -> u64 {
        (self.journal.len() as u64 + 1) * RECORD
    }

    fn write(&mut self, head: RecordHead) -> u64 {
        let position = self.upto();
        self.journal.push((position, head));
        self.behind += 1;
        position
    }

    fn lend(&mut self, delivery: &Delivery, (event_at, body_len): (u64, u64)) -> Lent {
        self.last_lease += 1;
        let lease = Lease(self.last_lease);
        self.held.insert(delivery.id, (lease, false));
        self.keys.insert(delivery.id, (delivery.endpoint, delivery.order_key));
        Lent {
            delivery: delivery.clone(),
            locator: Locator(event_at),
            lease,
            body_len,
            payload: None,
        }
    }

    fn born(
        &mut self,
        event: &Event,
        event_at: Option<u64>,
        new: &[NewDelivery],
    ) -> (Vec<Delivery>, Vec<Lent>) {
        let at = event_at.unwrap_or_else(|| self.upto());
        let born = |new: &NewDelivery| Delivery {
            id: new.id,
            tenant: event.tenant,
            event: event.id,
            endpoint: new.endpoint,
            order_key: new.order_key,
            replay: new.replay,
            attempts: 0,
            by_hand: 0,
            state: new.state,
            asked: false,
        };
        let all: Vec<Delivery> = new.iter().map(born).collect();
        let lent = new.iter().zip(&all).filter(|(new, _)| new.lend && !new.state.is_settled());
        let lent = lent
            .map(|(_, delivery)| self.lend(delivery, (at, event.request.body.len() as u64)))
            .collect();
        (all, lent)
    }

    fn settle(
        &mut self,
        event_at: u64,
        delivery: Delivery,
        attempt: Option<&Attempt>,
        at: Option<Time>,
    ) {
        let attempt = attempt.map(|attempt| AttemptHead {
            id: attempt.id,
            number: attempt.number,
            at: attempt.at,
            trigger: attempt.trigger,
            outcome: attempt.outcome.ending(),
        });
        let head = SettledHead { event_at, previous: None, at, delivery, attempt };
        self.write(RecordHead::Settled(head));
    }

    fn amend(&mut self, amendment: &Amendment) -> Amended {
        match amendment {
            Amendment::Retry { tenant, delivery, due, .. } => {
                self.change(*tenant, *delivery, |now| Some((settle::retried(now, *due)?, None)))
            }
            Amendment::Cancel { tenant, delivery, at } => {
                let cancel = |now: &Delivery| Some((settle::cancelled(now, *at)?, Some(*at)));
                self.change(*tenant, *delivery, cancel)
            }
            Amendment::Redeliver { tenant, event, deliveries } => {
                let found =
                    self.index().event(*event).unwrap().filter(|found| found.tenant == *tenant);
                let Some(found) = found else { return Amended::Unknown };
                let event = Arc::clone(&self.events[&found.position]);
                let (deliveries, lent) = self.born(&event, Some(found.position), deliveries);
                self.outgoing.extend(lent);
                let record = stored::Redelivered {
                    event_at: found.position,
                    at: event.at,
                    tenant: *tenant,
                    event: event.id,
                    deliveries,
                };
                self.write(RecordHead::Redelivered(record));
                Amended::Done(None)
            }
        }
    }

    /// Whether its holder has begun with it.
    fn is_begun(&self, id: DeliveryId) -> bool {
        self.held.get(&id).is_some_and(|(_, begun)| *begun)
    }

    fn change(
        &mut self,
        tenant: TenantId,
        id: DeliveryId,
        next: impl Fn(&Delivery) -> Option<(Delivery, Option<Time>)>,
    ) -> Amended {
        let found = self.index().delivery(id).unwrap();
        let Some(found) = found.filter(|found| found.row.delivery.tenant == tenant) else {
            return Amended::Unknown;
        };
        if self.is_begun(id) {
            return Amended::InFlight;
        }
        self.held.remove(&id);
        let Some((delivery, at)) = next(&found.row.delivery) else { return Amended::NotAllowed };
        let endpoint = delivery.endpoint;
        self.settle(found.event_at, delivery, None, at);
        Amended::Done(Some(endpoint))
    }

    /// The index, brought up to date in one batch.
    fn index(&mut self) -> &Index {
        let upto = self.upto();
        let from = self.journal.len() - self.behind;
        self.index.apply(&self.journal[from..], upto).unwrap();
        self.behind = 0;
        &self.index
    }
}

impl Home {
    fn new(path: &Path, sizes: Sizes) -> Self {
        let world = World {
            index: Index::open(path, sizes).unwrap(),
            journal: Vec::new(),
            behind: 0,
            events: HashMap::new(),
            attempts: HashMap::new(),
            held: HashMap::new(),
            keys: HashMap::new(),
            outgoing: Vec::new(),
            last_lease: 0,
            asked: 0,
        };
        Self { memory: Memory::new(), world: Mutex::new(world), path: path.to_owned(), sizes }
    }

    /// Asks the index; now and then after it was opened anew, from its checkpoint or from nothing.
    fn ask<T>(&self, question: impl FnOnce(&Index, &mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap();
        world.index();
        world.asked += 1;
        match world.asked % 50 {
            17 => drop(world.index.checkpoint().unwrap()),
            23 | 41 => self.restart(&mut world),
            _ => {}
        }
        // Taken out, so that the question may change the rest.
        let spare = Index::open(&self.path.join("spare"), self.sizes).unwrap();
        let index = std::mem::replace(&mut world.index, spare);
        let answer = question(&index, &mut world);
        world.index = index;
        answer
    }

    fn restart(&self, world: &mut World) {
        if world.asked % 100 == 41 {
            std::fs::remove_file(self.path.join("checkpoint")).ok();
        }
        world.index = Index::open(&self.path, self.sizes).unwrap();
        let from = world.index.replay_from();
        let start = world.journal.partition_point(|(position, _)| *position < from);
        world.behind = world.journal.len() - start;
        world.index();
    }
}

impl Store for Home {
    async fn accept(&self, admission: Admission) -> Result<Admitted, StoreError> {
        let bare = Admission { deliveries: Vec::new(), ..admission.clone() };
        let admitted = self.memory.accept(bare).await?;
        let mut world = self.world.lock().unwrap();
        let event = &admission.event;
        let (fate, new) = match admitted.fate() {
            None => (admission.fate, admission.deliveries),
            Some(fate) => (fate, Vec::new()),
        };
        let (deliveries, lent) = world.born(event, None, &new);
        let head = ReceivedHead {
            id: event.id,
            tenant: event.tenant,
            at: event.at,
            origin: event.origin,
            event_type: event.event_type.clone(),
            dedupe_key: event.dedupe_key.clone(),
            dedupe_window: admission.dedupe_window,
            fate,
            method: event.request.method.clone(),
            body_len: event.request.body.len() as u64,
            deliveries,
        };
        let position = world.write(RecordHead::Received(head));
        world.events.insert(position, Arc::clone(event));
        world.outgoing.extend(lent);
        Ok(admitted)
    }

    async fn lent(&self) -> Vec<Lent> {
        std::mem::take(&mut self.world.lock().unwrap().outgoing)
    }

    async fn stirred(&self) -> Vec<EndpointId> {
        // No promise about it is tried on this home: the index has no part in it.
        std::future::pending().await
    }

    async fn claim(&self, claim: Claim) -> Result<Claims, StoreError> {
        self.ask(|index, world| {
            let holds = |key| {
                let of_key = |id| world.keys.get(id) == Some(&(claim.endpoint, Some(key)));
                world.held.keys().any(of_key)
            };
            let taken = Taken { delivery: &|id| world.held.contains_key(&id), key: &holds };
            let found = index.claim(&claim, taken)?;
            let lend = |found: &doorbell_store::embedded::index::Waiting| {
                world.lend(&found.delivery, (found.event_at, found.body_len))
            };
            Ok(Claims { lent: found.waiting.iter().map(lend).collect(), next_due: found.next_due })
        })
    }

    fn begin(&self, delivery: DeliveryId, lease: Lease) -> bool {
        let mut world = self.world.lock().unwrap();
        let held = world.held.get_mut(&delivery).filter(|(holder, _)| *holder == lease);
        held.map(|(_, begun)| *begun = true).is_some()
    }

    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        let mut world = self.world.lock().unwrap();
        let id = settlement.delivery.id;
        if world.held.get(&id).is_none_or(|(lease, _)| *lease != settlement.lease) {
            return Ok(Settled::LeaseLost);
        }
        world.held.remove(&id);
        let (at, Locator(event_at)) = (settlement.at(), settlement.locator);
        world.settle(event_at, settlement.delivery, settlement.attempt.as_ref(), at);
        world.attempts.entry(id).or_default().extend(settlement.attempt);
        Ok(Settled::Kept)
    }

    async fn amend(&self, amendments: Vec<Amendment>) -> Result<Vec<Amended>, StoreError> {
        let mut world = self.world.lock().unwrap();
        Ok(amendments.iter().map(|amendment| world.amend(amendment)).collect())
    }

    async fn configure(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.memory.configure(changes).await
    }

    async fn configuration(&self) -> Result<Configuration, StoreError> {
        self.memory.configuration().await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        self.ask(|index, world| Ok(index.backlog(&|id| world.held.contains_key(&id))?))
    }

    async fn waiting_counts(&self) -> Result<Vec<WaitingCount>, StoreError> {
        self.ask(|index, _| Ok(index.waiting_counts()?))
    }

    fn vitals(&self) -> Vitals {
        Vitals::Memory
    }

    async fn events(&self, query: EventQuery) -> Result<Page<EventRow>, StoreError> {
        self.memory.stats().await?;
        self.ask(|index, _| Ok(index.events(&query)?))
    }

    async fn event(
        &self,
        tenant: TenantId,
        id: EventId,
    ) -> Result<Option<EventDetail>, StoreError> {
        self.ask(|index, world| {
            let found = index.event(id)?.filter(|found| found.tenant == tenant);
            Ok(found.map(|found| EventDetail {
                event: Event::clone(&world.events[&found.position]),
                fate: found.row.fate,
                tally: found.row.tally,
            }))
        })
    }

    async fn event_at(&self, locator: Locator) -> Result<Arc<Event>, StoreError> {
        Ok(Arc::clone(&self.world.lock().unwrap().events[&locator.0]))
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<DeliveryRow>, StoreError> {
        self.ask(|index, world| {
            let mut page = index.deliveries(&query)?;
            for row in &mut page.items {
                row.in_flight = world.is_begun(row.delivery.id);
            }
            Ok(page)
        })
    }

    async fn delivery(
        &self,
        tenant: TenantId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        self.ask(|index, world| {
            let found = index.delivery(id)?.filter(|found| found.row.delivery.tenant == tenant);
            Ok(found.map(|found| DeliveryRow { in_flight: world.is_begun(id), ..found.row }))
        })
    }

    async fn attempts(&self, tenant: TenantId, id: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        self.ask(|index, world| {
            let found = index.delivery(id)?.filter(|found| found.row.delivery.tenant == tenant);
            let attempts = found.and_then(|_| world.attempts.get(&id).cloned()).unwrap_or_default();
            let Some(last) = index.delivery(id)?.and_then(|found| found.last_attempt) else {
                assert!(attempts.is_empty());
                return Ok(attempts);
            };
            let (_, head) = world.journal.iter().find(|(position, _)| *position == last).unwrap();
            let RecordHead::Settled(settled) = head else { panic!("that is no settlement") };
            let number = settled.attempt.as_ref().map(|attempt| attempt.number);
            assert!(attempts.is_empty() || number == attempts.last().map(|attempt| attempt.number));
            Ok(attempts)
        })
    }

    async fn search(&self, search: Search) -> Result<SearchPage, StoreError> {
        self.memory.search(search).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.ask(|index, _| {
            let counts = index.counts()?;
            let (events, waiting, failed) = (counts.events, counts.waiting, counts.failed);
            Ok(Stats { events, waiting, failed, oldest: counts.oldest, ..Stats::default() })
        })
    }

    async fn prune(&self, now: Time, retention: Retention) -> Result<Pruned, StoreError> {
        let old = |event: &Event| retention.age.is_some_and(|age| event.at.after(age) < now);
        self.ask(|index, world| {
            let first_young = world.journal.iter().find_map(|(position, head)| match head {
                RecordHead::Received(_) if old(&world.events[position]) => None,
                RecordHead::Received(_) => Some(*position),
                RecordHead::Settled(_) | RecordHead::Redelivered(_) => None,
            });
            let waiting = index.oldest_waiting_position()?;
            let before =
                first_young.into_iter().chain(waiting).min().unwrap_or_else(|| world.upto());
            Ok(Pruned { events: index.forget(before)?, bytes: 0 })
        })
    }

    async fn broken(&self) -> String {
        std::future::pending().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
