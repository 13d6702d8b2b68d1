//! [`Postgres`]: the verbs of [`Store`], joined from the parts.

use super::accept::{self, Door};
use super::address::Address;
use super::by_key::{self, Turns};
use super::claim::{self, Counter};
use super::config;
use super::line::{Line, Open};
use super::node;
use super::partitions::Days;
use super::parts::{CLOSED, Parts};
use super::rows::get;
use super::schema::{self, Layout};
use super::settle::{self, Desk};
use super::ticks;
use super::{amend, prune, read};
use crate::bodies::LargeBodies;
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
use rustls::pki_types::CertificateDer;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct Options {
    /// A connection string: `postgres://user:password@host/database?sslmode=require`, or `host=… user=…`.
    pub address: String,
    /// Certificates that are trusted beside the public ones, where the database has TLS; its name is checked too.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Whether this node delivers; one that does not looks after no endpoint.
    pub delivers: bool,
    /// Where large bodies lie, if not in the database.
    pub bodies: Option<LargeBodies>,
}

impl Options {
    /// Host and name of the database that an address leads to: what may be shown of it.
    ///
    /// # Errors
    /// With a sentence when it is no address.
    pub fn shown(address: &str) -> Result<String, StoreError> {
        Ok(Address::parse(address, &[])?.shown())
    }
}

/// A node of a store on `PostgreSQL`. Clones share it.
#[derive(Debug, Clone)]
pub struct Postgres(Arc<Node>);

#[derive(Debug)]
struct Node {
    parts: Arc<Parts>,
    days: Arc<Days>,
    door: Door,
    desk: Desk,
    counter: Counter,
    turns: Arc<Turns>,
}

impl Node {
    /// Lends what is due, if this node looks after the endpoint and may believe that it lives.
    async fn claim(&self, claim: Claim) -> Result<Claims, StoreError> {
        self.parts.check()?;
        if !self.parts.looks_after(claim.endpoint) {
            return Ok(Claims::default());
        }
        if claim.by_key {
            by_key::claim(&self.parts, &self.turns, claim).await
        } else {
            self.counter.claim(claim).await
        }
    }
}

impl Drop for Node {
    /// Who does not close it leaves what it holds to the others, as one that died.
    fn drop(&mut self) {
        self.parts.close(CLOSED);
    }
}

impl Postgres {
    /// Looks how the database stands to this version, without changing anything.
    ///
    /// # Errors
    /// Those of connecting and reading.
    pub async fn look(options: &Options) -> Result<Layout, StoreError> {
        schema::look(&*open(options).await?).await
    }

    /// Brings the database up to this version; the steps that were made.
    ///
    /// # Errors
    /// Those of connecting and writing; then nothing was changed.
    pub async fn migrate(options: &Options) -> Result<Vec<i32>, StoreError> {
        schema::migrate(&*open(options).await?).await
    }

    /// Joins the nodes on this database. An empty one is filled; one of an older layout is refused: `doorbell migrate`
    /// brings it up.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the layout does not fit; those of connecting and writing.
    pub async fn open(options: &Options) -> Result<Self, StoreError> {
        let line = open(options).await?;
        match schema::look(&line).await? {
            Layout::Fits => {}
            Layout::Empty => drop(schema::migrate(&line).await?),
            Layout::Older { found } => {
                return Err(StoreError::Conflict(format!(
                    "the database has layout {found} and this Doorbell needs {}; run `doorbell migrate` once, then start again",
                    schema::VERSION
                )));
            }
            Layout::Newer { found } => {
                return Err(StoreError::Conflict(format!(
                    "the database has layout {found}, and this Doorbell knows {} at most; use the newer one",
                    schema::VERSION
                )));
            }
        }
        warn_of_settings(&line).await?;
        Self::join(options, &line).await
    }

    async fn join(options: &Options, line: &Open) -> Result<Self, StoreError> {
        let found = line.query(STANDING, &[]).await?;
        let row = found.first().ok_or(StoreError::Busy)?;
        let (last, channel): (i64, String) = (get(row, 0)?, get(row, 1)?);
        let alive: Option<Vec<i64>> = get(row, 2)?;
        let number = node::register(line, options.delivers).await?;
        let generation = config::generation(line).await?;
        let address = Address::parse(&options.address, &options.extra_roots)?;
        let parts = Arc::new(Parts::new(
            address,
            channel,
            (number, options.delivers),
            options.bodies.clone(),
        ));
        parts.meet(number, alive.unwrap_or_default());
        let days = Arc::new(Days::default());
        node::start(&parts, Arc::clone(&days), generation);
        Ok(Self(Arc::new(Node {
            door: accept::start(Arc::clone(&parts), last, Arc::clone(&days)),
            desk: settle::start(Arc::clone(&parts)),
            counter: claim::start(Arc::clone(&parts)),
            turns: Arc::default(),
            days,
            parts,
        })))
    }
}

/// The first connection. Whoever starts is told why there is none; later it is enough that the database is away.
async fn open(options: &Options) -> Result<Arc<Open>, StoreError> {
    let address = Address::parse(&options.address, &options.extra_roots)?;
    match Line::new(address.clone(), "").open().await {
        Err(StoreError::Busy) => Err(address.why_not().await),
        opened => opened,
    }
}

/// A database that forgets on a power cut what it has confirmed breaks our promise; say so.
async fn warn_of_settings(line: &Open) -> Result<(), StoreError> {
    for row in line.query(UNSAFE, &[]).await? {
        let (name, setting): (&str, &str) = (get(&row, 0)?, get(&row, 1)?);
        tracing::warn!(
            name,
            setting,
            "this database may lose confirmed events in a power cut; set it to on"
        );
    }
    Ok(())
}

/// Goes on to its end even when nobody waits for it any more: a transaction must not stay open, and what was lent must
/// reach someone.
async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|fault| Err(StoreError::Failed(format!("a task of the store: {fault}"))))
}

impl Store for Postgres {
    async fn accept(&self, admission: Admission) -> Result<Admitted, StoreError> {
        self.0.parts.check()?;
        self.0.door.accept(admission).await
    }

    async fn lent(&self) -> Vec<Lent> {
        loop {
            let lent = self.0.parts.fetch_lent();
            if !lent.is_empty() {
                return lent;
            }
            self.0.parts.lent.notified().await;
        }
    }

    async fn stirred(&self) -> Vec<EndpointId> {
        loop {
            let stirred = self.0.parts.fetch_stirred();
            if !stirred.is_empty() {
                return stirred;
            }
            self.0.parts.stirred.notified().await;
        }
    }

    async fn claim(&self, claim: Claim) -> Result<Claims, StoreError> {
        let node = Arc::clone(&self.0);
        whole(async move {
            let claims = node.claim(claim).await;
            node.parts.doubt.fetch_or(claims.is_err(), Ordering::SeqCst);
            claims
        })
        .await
    }

    fn begin(&self, delivery: DeliveryId, lease: Lease) -> bool {
        self.0.parts.leases().begin(delivery, lease, ticks::now())
    }

    async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        self.0.parts.check()?;
        self.0.desk.settle(settlement).await
    }

    async fn amend(&self, amendments: Vec<Amendment>) -> Result<Vec<Amended>, StoreError> {
        let node = Arc::clone(&self.0);
        whole(async move {
            let amended = amend::amend(&node.parts, amendments).await;
            node.parts.doubt.fetch_or(amended.is_err(), Ordering::SeqCst);
            amended
        })
        .await
    }

    async fn configure(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let node = Arc::clone(&self.0);
        whole(async move { config::configure(&node.parts, changes).await }).await
    }

    async fn configuration(&self) -> Result<Configuration, StoreError> {
        config::load(&self.0.parts).await
    }

    async fn reconfigured(&self) {
        self.0.parts.next_configuration().await;
    }

    fn lend_from_others(&self, but: Option<Vec<EndpointId>>) {
        self.0.parts.close_to(but);
    }

    fn owns(&self, id: [u8; 16]) -> bool {
        self.0.parts.owns(id)
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        read::backlog(&self.0.parts).await
    }

    async fn waiting_counts(&self) -> Result<Vec<WaitingCount>, StoreError> {
        read::waiting_counts(&self.0.parts).await
    }

    fn vitals(&self) -> Vitals {
        Vitals::Postgres(self.0.parts.vitals())
    }

    async fn events(&self, query: EventQuery) -> Result<Page<EventRow>, StoreError> {
        read::events(&self.0.parts, &query).await
    }

    async fn event(
        &self,
        tenant: TenantId,
        id: EventId,
    ) -> Result<Option<EventDetail>, StoreError> {
        read::event(&self.0.parts, tenant, id).await
    }

    async fn event_at(&self, locator: Locator) -> Result<Arc<Event>, StoreError> {
        read::event_at(&self.0.parts, locator).await
    }

    async fn deliveries(&self, query: DeliveryQuery) -> Result<Page<DeliveryRow>, StoreError> {
        read::deliveries(&self.0.parts, &query).await
    }

    async fn delivery(
        &self,
        tenant: TenantId,
        id: DeliveryId,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        read::delivery(&self.0.parts, tenant, id).await
    }

    async fn attempts(&self, tenant: TenantId, id: DeliveryId) -> Result<Vec<Attempt>, StoreError> {
        read::attempts(&self.0.parts, tenant, id).await
    }

    async fn search(&self, search: Search) -> Result<SearchPage, StoreError> {
        read::look_for(&self.0.parts, &search).await
    }

    async fn stats(&self) -> Result<Stats, StoreError> {
        read::stats(&self.0.parts).await
    }

    async fn prune(&self, now: Time, retention: Retention) -> Result<Pruned, StoreError> {
        let node = Arc::clone(&self.0);
        whole(async move { prune::prune(&node.parts, &node.days, now, retention).await }).await
    }

    /// The database may come back at any time, so this home is never broken; it is busy.
    async fn broken(&self) -> String {
        std::future::pending().await
    }

    async fn close(&self) -> Result<(), StoreError> {
        if self.0.parts.close(CLOSED) { node::leave(&self.0.parts).await } else { Ok(()) }
    }
}

/// The last place, in what the nodes speak to each other (each schema has its own), and who is alive.
const STANDING: &str = "SELECT coalesce((SELECT max(seq) FROM events), 0),
    'doorbell_' || current_schema()::regnamespace::oid::text,
    (SELECT array_agg(id) FROM nodes WHERE alive_until > now() AND delivers)";

const UNSAFE: &str = "SELECT name, setting FROM pg_settings
WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'";
