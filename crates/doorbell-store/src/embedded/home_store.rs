//! [`Embedded`]: the verbs of [`Store`], joined from the journal, the index, the leases and the configuration.

use super::amend;
use super::backup::{self, Backup};
use super::config::Config;
use super::engine::Opened;
use super::home::Home;
use super::index::{Entry, Index, Sizes, Taken};
use super::journal::recover::Damage;
use super::leases::Standing;
use super::moved;
use super::once::Once;
use super::open::{OpenError, Options};
use super::parts::Parts;
use super::past::{self, Mark, Touched};
use super::prune;
use super::scan;
use super::tail::View;
use super::take;
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
use doorbell_core::past::Past;
use doorbell_core::time::Time;
use doorbell_wire::stored::Record;
use std::future::{Future as _, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use tokio::sync::{Semaphore, oneshot};

/// Searches at once; each reads the journal as fast as it can.
const SEARCHES: usize = 2;

/// The embedded store of one process. Clones share it; it closes when the last one goes.
#[derive(Debug, Clone)]
pub struct Embedded(Arc<Parts>);

impl Embedded {
    /// Opens the store in this directory, which is made if need be. It blocks: a second for ten million events, longer
    /// when the index has to be built again (in the background; reads wait for it).
    ///
    /// # Errors
    /// [`OpenError`]; nothing is left open.
    pub fn open(dir: &Path, options: Options) -> Result<Self, OpenError> {
        let home = Home::take(dir)?;
        moved::check(dir)?;
        let opened = Opened::open(home, options)?;
        let config = Config::open(&dir.join("config.sqlite"))
            .map_err(|fault| OpenError::Failed(fault.to_string()))?;
        let index = Arc::new(open_index(&dir.join("index"), opened.durable())?);
        let engine = opened.start(Arc::clone(&index))?;
        let searches = Semaphore::new(SEARCHES);
        let once = Once::default();
        Ok(Self(Arc::new(Parts { engine, index, config, searches, once })))
    }

    /// What was found damaged in the journal when it was opened. [`super::inspect`] looks at everything.
    #[must_use]
    pub fn damage(&self) -> &[Damage] {
        &self.0.engine.damage
    }

    /// The store as it is now, to be written out as an archive while it goes on ([`super::restore`] is the way back). What
    /// was answered `Ok` before is in it.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn backup(&self) -> Result<Backup, StoreError> {
        self.blocking(backup::take).await
    }

    /// Whoever had deliveries has stopped, and another in this process begins: what was lent is free.
    pub fn end_leases(&self) {
        self.0.engine.shared.leases.lock().end_all();
    }

    /// Says in the data directory that everything has gone to another home: from now on it is not opened any more.
    ///
    /// # Errors
    /// When that cannot be made durable; then it is not so.
    pub async fn mark_moved(&self, to: String) -> Result<(), StoreError> {
        self.blocking(move |parts| moved::mark(&parts.engine.home.dir, &to)).await
    }

    /// Takes over events of another home, in their order; for a store in which nothing has happened yet and nobody
    /// delivers.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when one of them cannot be told from another; those of writing. Then some of them are there.
    pub async fn take_over(&self, pasts: Vec<Past>) -> Result<(), StoreError> {
        take::take_over(&self.0, pasts).await
    }

    /// Where a copy of the whole store begins; see [`Embedded::touched`].
    #[must_use]
    pub fn begin_copy(&self) -> Mark {
        Mark::new(self.0.engine.durable())
    }

    /// Bytes of the journal; [`Mark::left`] tells how many of them a copy has still to read.
    #[must_use]
    pub fn journal_bytes(&self) -> u64 {
        self.0.engine.durable()
    }

    /// The next events about which something was recorded behind the mark, whole and as they stand now: a bounded piece
    /// of work. When [`Mark::left`] says zero, everything that was durable before this call has been given out.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn touched(&self, since: Mark) -> Result<Touched, StoreError> {
        self.0.engine.barrier().await?;
        let upto = self.0.engine.durable();
        self.read(move |parts| past::touched(parts, since, upto)).await
    }

    /// Asks when the index shows everything that was done before. Off the async threads: it reads files.
    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Parts) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.0.engine.catch_up().await?;
        self.blocking(question).await
    }

    /// Takes in what may have been taken in before. Whoever asks may go away: it goes on to its end, so that nobody takes
    /// in what is still on its way.
    async fn accept_once(&self, admission: Admission) -> Result<Admitted, StoreError> {
        let turn = self.0.once.turn().await;
        let id = admission.event.id;
        let on_its_way = self.0.once.begin(id).await;
        let known = self.read(move |parts| Ok(parts.index.event(id)?.is_some()));
        if known.await? {
            return Ok(Admitted::Again);
        }
        let parts = Arc::clone(&self.0);
        let (handed_in, is_handed_in) = oneshot::channel::<()>();
        let accepting = tokio::spawn(async move {
            let accepted = {
                let mut accepting = pin!(parts.engine.accept(admission));
                // The first look at it hands it in.
                let first = poll_fn(|context| Poll::Ready(accepting.as_mut().poll(context))).await;
                drop(handed_in);
                match first {
                    Poll::Ready(done) => done,
                    Poll::Pending => accepting.await,
                }
            };
            drop(on_its_way);
            accepted
        });
        drop(is_handed_in.await);
        drop(turn);
        let done = accepting.await;
        done.unwrap_or_else(|fault| {
            Err(StoreError::Failed(format!("a task of the store: {fault}")))
        })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Parts) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.0.engine.shared.trouble.check()?;
        let parts = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&parts)).await;
        done.unwrap_or_else(|fault| {
            Err(StoreError::Failed(format!("a task of the store: {fault}")))
        })
    }
}

/// Opens the index; one that knows more than the journal (which must have been damaged or put back) is built again.
fn open_index(dir: &Path, durable: u64) -> Result<Index, OpenError> {
    let failed = |fault| OpenError::from(StoreError::from(fault));
    let index = Index::open(dir, Sizes::default()).map_err(failed)?;
    if index.knows_upto() <= durable {
        return Ok(index);
    }
    tracing::warn!("the index knows more than the journal and is built again");
    drop(index);
    Index::discard(dir).map_err(failed)?;
    Index::open(dir, Sizes::default()).map_err(failed)
}

impl View for Arc<Index> {
    fn replay_from(&self) -> u64 {
        Index::replay_from(self)
    }

    fn apply(&mut self, records: &[Entry], upto: u64) -> Result<(), StoreError> {
        Ok(Index::apply(self, records, upto)?)
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        Index::checkpoint(self)?;
        Ok(())
    }
}

impl Parts {
    fn is_held(&self, delivery: DeliveryId) -> bool {
        self.engine.shared.leases.lock().standing(delivery) != Standing::Free
    }

    /// Whether somebody tries the delivery just now.
    fn is_in_flight(&self, delivery: DeliveryId) -> bool {
        self.engine.shared.leases.lock().standing(delivery) == Standing::Begun
    }

    fn claim(&self, claim: &Claim) -> Result<Claims, StoreError> {
        let leases = &self.engine.shared.leases;
        let gate = leases.claiming();
        let key_is_held = |key| leases.lock().holds_key(claim.endpoint, key);
        let taken = Taken { delivery: &|delivery| self.is_held(delivery), key: &key_is_held };
        let found = self.index.claim(claim, taken)?;
        let mut held = leases.lock();
        let lent = found.waiting.into_iter().filter_map(|waiting| {
            // Another claim may have been quicker.
            let lease = held.lend(&waiting.delivery, waiting.last_attempt)?;
            let (locator, body_len) = (Locator(waiting.event_at), waiting.body_len);
            Some(Lent { delivery: waiting.delivery, locator, lease, body_len, payload: None })
        });
        let mut lent: Vec<Lent> = lent.collect();
        drop(held);
        drop(gate);
        self.bring_events(&mut lent, claim.event_bytes);
        Ok(Claims { lent, next_due: found.next_due })
    }

    /// Reads the events of what was lent while there is room. One that cannot be read is found out when its turn comes.
    fn bring_events(&self, lent: &mut [Lent], mut room: usize) {
        let mut last: Option<(Locator, Arc<Event>)> = None;
        for one in lent {
            if let Some((_, event)) = last.as_ref().filter(|(at, _)| *at == one.locator) {
                one.payload = Some(Arc::clone(event));
                continue;
            }
            let Ok((event, _)) = self.engine.event_at(one.locator.0) else { continue };
            let Some(left) = room.checked_sub(event.request.body.len().max(1)) else { return };
            room = left;
            let event = Arc::new(event);
            one.payload = Some(Arc::clone(&event));
            last = Some((one.locator, event));
        }
    }

    fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        let _gate = self.engine.shared.leases.claiming();
        Ok(self.index.backlog(&|delivery| self.is_held(delivery))?)
    }

    fn event(&self, tenant: TenantId, id: EventId) -> Result<Option<EventDetail>, StoreError> {
        let Some(found) = self.index.event(id)?.filter(|found| found.tenant == tenant) else {
            return Ok(None);
        };
        let (event, fate) = self.engine.event_at(found.position)?;
        Ok(Some(EventDetail { event, fate, tally: found.row.tally }))
    }

    fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<DeliveryRow>, StoreError> {
        let mut page = self.index.deliveries(query)?;
        for row in &mut page.items {
            row.in_flight = self.is_in_flight(row.delivery.id);
        }
        Ok(page)
    }

    fn delivery(
        &self,
        tenant: TenantId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        let found = self.index.delivery(id)?.map(|found| found.row);
        let row = found.filter(|row| row.delivery.tenant == tenant);
        Ok(row.map(|row| DeliveryRow { in_flight: self.is_in_flight(id), ..row }))
    }

    /// Follows the chain of attempts back to the first one.
    fn attempts(&self, tenant: TenantId, id: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        let found = self.index.delivery(id)?;
        let Some(found) = found.filter(|found| found.row.delivery.tenant == tenant) else {
            return Ok(Vec::new());
        };
        self.attempts_to(found.last_attempt)
    }

    /// The attempts of the chain that ends at this position, oldest first.
    pub(super) fn attempts_to(&self, last: Option<u64>) -> Result<Vec<Attempt>, StoreError> {
        let mut attempts = Vec::new();
        let mut next = last;
        while let Some(position) = next {
            let Record::Settled(record) = self.engine.record(position)? else {
                return Err(StoreError::Corrupt(format!(
                    "no attempt stands at position {position}"
                )));
            };
            attempts.extend(record.attempt);
            // A chain leads back; what does not would never end.
            next = record.previous.filter(|previous| *previous < position);
        }
        attempts.reverse();
        Ok(attempts)
    }

    fn configure(&self, changes: &[Change]) -> Result<(), StoreError> {
        let done = self.config.configure(changes).map_err(StoreError::from);
        if let Err(StoreError::Broken(why)) = &done {
            // A failed fsync there is as bad as one of the journal.
            self.engine.shared.break_down(why.clone());
        }
        done
    }

    fn stats(&self) -> Result<Stats, StoreError> {
        let counts = self.index.counts()?;
        let bytes = prune::bytes_under(&self.engine.home.dir);
        let bytes_free = self.engine.shared.space.free();
        Ok(Stats {
            events: counts.events,
            waiting: counts.waiting,
            failed: counts.failed,
            bytes: bytes.map_err(|fault| StoreError::Failed(fault.to_string()))?,
            bytes_free,
            oldest: counts.oldest,
            unkept: self.engine.shared.unkept.load(Ordering::Relaxed),
        })
    }
}

impl Store for Embedded {
    async fn accept(&self, admission: Admission) -> Result<Admitted, StoreError> {
        if admission.once {
            return self.accept_once(admission).await;
        }
        self.0.engine.accept(admission).await
    }

    async fn lent(&self) -> Vec<Lent> {
        self.0.engine.shared.outbox.take().await
    }

    async fn stirred(&self) -> Vec<EndpointId> {
        self.0.engine.shared.stirred.take().await.into_iter().collect()
    }

    async fn claim(&self, claim: Claim) -> Result<Claims, StoreError> {
        self.read(move |parts| parts.claim(&claim)).await
    }

    fn begin(&self, delivery: DeliveryId, lease: Lease) -> bool {
        self.0.engine.shared.leases.lock().begin(delivery, lease)
    }

    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        self.0.engine.settle(settlement).await
    }

    async fn amend(&self, amendments: Vec<Amendment>) -> Result<Vec<Amended>, StoreError> {
        let mut amended = Vec::with_capacity(amendments.len());
        for amendment in amendments {
            amended.push(amend::amend(&self.0, amendment).await?);
        }
        Ok(amended)
    }

    async fn configure(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.blocking(move |parts| parts.configure(&changes)).await
    }

    async fn configuration(&self) -> Result<Configuration, StoreError> {
        self.blocking(|parts| Ok(parts.config.configuration()?)).await
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        self.read(Parts::backlog).await
    }

    async fn waiting_counts(&self) -> Result<Vec<WaitingCount>, StoreError> {
        self.read(|parts| Ok(parts.index.waiting_counts()?)).await
    }

    fn vitals(&self) -> Vitals {
        Vitals::Embedded(self.0.engine.shared.vitals())
    }

    async fn events(&self, query: EventQuery) -> Result<Page<EventRow>, StoreError> {
        self.read(move |parts| Ok(parts.index.events(&query)?)).await
    }

    async fn event(
        &self,
        tenant: TenantId,
        id: EventId,
    ) -> Result<Option<EventDetail>, StoreError> {
        self.read(move |parts| parts.event(tenant, id)).await
    }

    async fn event_at(&self, locator: Locator) -> Result<Arc<Event>, StoreError> {
        self.blocking(move |parts| Ok(Arc::new(parts.engine.event_at(locator.0)?.0))).await
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<DeliveryRow>, StoreError> {
        self.read(move |parts| parts.deliveries(&query)).await
    }

    async fn delivery(
        &self,
        tenant: TenantId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        self.read(move |parts| parts.delivery(tenant, id)).await
    }

    async fn attempts(&self, tenant: TenantId, id: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        self.read(move |parts| parts.attempts(tenant, id)).await
    }

    async fn search(&self, search: Search) -> Result<SearchPage, StoreError> {
        let turn = self.0.searches.acquire().await;
        let found = self.read(move |parts| scan::search(parts, &search)).await;
        drop(turn);
        found
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        self.read(Parts::stats).await
    }

    async fn prune(&self, now: Time, retention: Retention) -> Result<Pruned, StoreError> {
        self.read(move |parts| prune::prune(parts, now, retention)).await
    }

    async fn broken(&self) -> String {
        self.0.engine.shared.trouble.wait().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        let parts = Arc::clone(&self.0);
        let closed = tokio::task::spawn_blocking(move || parts.engine.close()).await;
        closed.map_err(|fault| StoreError::Failed(format!("a task of the store: {fault}")))?;
        self.0.engine.shared.trouble.broken()
    }
}
