//! The model: a [`Store`] in plain maps, simple and obviously right. Other homes are compared with it, and tests of
//! what stands above the store use it. It is durable as long as the process; nothing of it is fast.

mod world;
mod reading;

use crate::changes;
use crate::store::{
    Admission, Admitted, Amended, Amendment, Backlog, Claim, Claims, DeliveryQuery, DeliveryRow,
    EventDetail, EventQuery, EventRow, Lease, Lent, Locator, Page, Pruned, Retention, Search,
    SearchPage, Settled, Settlement, Stats, Store, StoreError, WaitingCount,
};
use crate::vitals::Vitals;
use doorbell_core::attempt::Attempt;
use doorbell_core::configuration::{Change, Configuration};
use doorbell_core::event::Event;
use doorbell_core::id::{DeliveryId, EndpointId, EventId, TenantId};
use doorbell_core::time::Time;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use world::World;

/// A store in memory. Clones share what they remember.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    world: Mutex<World>,
    trouble: Mutex<Option<StoreError>>,
    reading: Mutex<Option<StoreError>>,
    lent: Notify,
    stirred: Notify,
    broken: Notify,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// An empty store with the default tenant.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            world: Mutex::new(World::new()),
            trouble: Mutex::new(None),
            reading: Mutex::new(None),
            lent: Notify::new(),
            stirred: Notify::new(),
            broken: Notify::new(),
        }))
    }

    /// From now on every write is answered with this error (and every read too, when it is [`StoreError::Broken`]);
    /// `None`: all is well again. For tests of what stands above the store.
    pub fn fail_with(&self, trouble: Option<StoreError>) {
        *guard(&self.0.trouble) = trouble;
        self.0.broken.notify_waiters();
    }

    /// From now on every read is answered with this error; `None`: all is well again. For tests, too.
    pub fn fail_reading(&self, trouble: Option<StoreError>) {
        *guard(&self.0.reading) = trouble;
    }

    fn trouble(&self) -> Option<StoreError> {
        guard(&self.0.trouble).clone()
    }

    fn write(&self) -> Result<MutexGuard<'_, World>, StoreError> {
        match self.trouble() {
            Some(trouble) => Err(trouble),
            None => Ok(guard(&self.0.world)),
        }
    }

    fn read(&self) -> Result<MutexGuard<'_, World>, StoreError> {
        match self.trouble() {
            Some(broken @ StoreError::Broken(_)) => Err(broken),
            Some(_) | None => {
                guard(&self.0.reading).clone().map_or_else(|| Ok(guard(&self.0.world)), Err)
            }
        }
    }
}

/// A panic elsewhere does not make the maps unreadable: each verb changes them in one go.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for Memory {
    async fn accept(&self, admission: Admission) -> Result<Admitted, StoreError> {
        let admitted = self.write()?.accept(admission);
        self.0.lent.notify_one();
        self.0.stirred.notify_one();
        Ok(admitted)
    }

    async fn lent(&self) -> Vec<Lent> {
        loop {
            let lent = std::mem::take(&mut guard(&self.0.world).outgoing);
            if !lent.is_empty() {
                return lent;
            }
            self.0.lent.notified().await;
        }
    }

    async fn stirred(&self) -> Vec<EndpointId> {
        loop {
            let stirred = std::mem::take(&mut guard(&self.0.world).stirred);
            if !stirred.is_empty() {
                return stirred.into_iter().collect();
            }
            self.0.stirred.notified().await;
        }
    }

    async fn claim(&self, claim: Claim) -> Result<Claims, StoreError> {
        Ok(self.read()?.claim(claim))
    }

    fn begin(&self, delivery: DeliveryId, lease: Lease) -> bool {
        guard(&self.0.world).begin(delivery, lease)
    }

    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        let settled = self.write()?.settle(settlement);
        self.0.lent.notify_one();
        Ok(settled)
    }

    async fn amend(&self, amendments: Vec<Amendment>) -> Result<Vec<Amended>, StoreError> {
        let mut world = self.write()?;
        let amended = amendments.iter().map(|amendment| world.amend(amendment)).collect();
        drop(world);
        self.0.lent.notify_one();
        self.0.stirred.notify_one();
        Ok(amended)
    }

    async fn configure(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut world = self.write()?;
        world.configuration = changes::applied(world.configuration.clone(), &changes)?;
        Ok(())
    }

    async fn configuration(&self) -> Result<Configuration, StoreError> {
        Ok(self.read()?.configuration.clone())
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        Ok(self.read()?.backlogs())
    }

    async fn waiting_counts(&self) -> Result<Vec<WaitingCount>, StoreError> {
        Ok(self.read()?.waiting_counts())
    }

    fn vitals(&self) -> Vitals {
        Vitals::Memory
    }

    async fn events(&self, query: EventQuery) -> Result<Page<EventRow>, StoreError> {
        self.read()?.list_events(&query)
    }

    async fn event(
        &self,
        tenant: TenantId,
        id: EventId,
    ) -> Result<Option<EventDetail>, StoreError> {
        Ok(self.read()?.one_event(tenant, id))
    }

    async fn event_at(&self, locator: Locator) -> Result<Arc<Event>, StoreError> {
        self.read()?.event_at(locator)
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<DeliveryRow>, StoreError> {
        self.read()?.list_deliveries(&query)
    }

    async fn delivery(
        &self,
        tenant: TenantId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        Ok(self.read()?.one_delivery(tenant, id))
    }

    async fn attempts(&self, tenant: TenantId, id: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        Ok(self.read()?.attempts_of(tenant, id))
    }

    async fn search(&self, search: Search) -> Result<SearchPage, StoreError> {
        self.read()?.look_for(&search)
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        Ok(self.read()?.count())
    }

    async fn prune(&self, now: Time, retention: Retention) -> Result<Pruned, StoreError> {
        Ok(self.write()?.prune(now, retention))
    }

    async fn broken(&self) -> String {
        loop {
            let told = self.0.broken.notified();
            if let Some(StoreError::Broken(why)) = self.trouble() {
                return why;
            }
            told.await;
        }
    }

    async fn close(&self) -> Result<(), StoreError> {
        let trouble = self.trouble();
        self.fail_with(Some(StoreError::Broken("the store is closed".to_owned())));
        match trouble {
            Some(broken @ StoreError::Broken(_)) => Err(broken),
            Some(_) | None => Ok(()),
        }
    }
}
