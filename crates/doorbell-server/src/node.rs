//! One running node: its parts put together, started in order and stopped in order.
//!
//! Stopping drains: listeners take nothing new and finish what is open, rejected requests reach the store, dispatch
//! finishes what is in flight, and the store closes last.

use crate::admitting::Admitting;
use crate::clock::Clock;
use crate::configured::Configured;
use crate::desk::Desk;
use crate::health::Health;
use crate::ingest::{Consumers, Ingest, IngestConfig};
use crate::keys::Keys;
use crate::listen::{Handler, ListenConfig, ListenError, Listener, Socket, TrustedProxies};
use crate::live::Live;
use crate::metrics::{Metric, Metrics};
use crate::roles::{Role, Roles};
use crate::sender::AnySender;
use crate::tasks::{Stage, Stop, Stopper, TaskSet};
use crate::traces::Traces;
use doorbell_core::body_room::BodyRoom;
use doorbell_core::directory;
use doorbell_core::limits;
use doorbell_core::name::Label;
use doorbell_core::places::Places;
use doorbell_queue::Inbox;
use doorbell_store::{AnyStore, Store as _, StoreError};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often certificate files are looked at.
const CERTIFICATES_EVERY: Duration = Duration::from_secs(5);
/// How much longer than the listeners the other tasks may take to end.
const AFTERGLOW: Duration = Duration::from_secs(10);

/// How a node is set up.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Where requests to sources arrive.
    pub ingest: ListenConfig,
    /// Where API and dashboard are served.
    pub admin: ListenConfig,
    /// The `in` of `/in/{source}`.
    pub prefix: Label,
    /// Whose `X-Forwarded-For` is believed on the ingest listener.
    pub proxies: TrustedProxies,
    /// Bytes of request bodies that may be in memory before they are durable.
    pub bodies_in_flight: usize,
    /// How many tries of deliveries may be out.
    pub places: Places,
    /// How much of bodies may be out with them.
    pub bodies: BodyRoom,
    /// What sources and endpoints may be.
    pub limits: directory::Settings,
    /// Where what comes to sources waits before it gets to the store, if anywhere.
    pub inbox: Option<Arc<Inbox>>,
    /// What the node does.
    pub roles: Roles,
    /// Who fetches providers' keys; without one, requests that need such a key are answered 503.
    pub keys: Option<AnySender>,
    /// Which tracing system is told.
    pub traces: Traces,
}

impl NodeConfig {
    /// The usual bounds, listening on these addresses.
    #[must_use]
    pub fn at(ingest: SocketAddr, admin: SocketAddr, prefix: Label) -> Self {
        Self {
            ingest: ListenConfig::at(ingest),
            admin: ListenConfig::at(admin),
            prefix,
            proxies: TrustedProxies::default(),
            bodies_in_flight: limits::BODIES_IN_FLIGHT,
            places: Places::new(limits::TRIES_OUT),
            bodies: BodyRoom::new(limits::BODIES_OUT),
            limits: directory::Settings::default(),
            inbox: None,
            roles: Roles::default(),
            keys: None,
            traces: Traces::off(),
        }
    }
}

/// What the parts of a node share.
#[derive(Debug, Clone)]
pub struct Shared {
    /// Taking events in.
    pub admitting: Arc<Admitting>,
    /// The configuration in use.
    pub configured: Arc<Configured>,
    /// Where requests to sources arrive, or would if the node received any.
    pub ingest_addr: SocketAddr,
    /// Where the admin listener listens.
    pub admin_addr: SocketAddr,
    /// Whether the node is stopping.
    pub stop: Stop,
}

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener could not be set up.
    #[error(
        "the {which} listener cannot start (set {which}.addr to another address, such as 127.0.0.1:0 for any free port)"
    )]
    Listen {
        /// `ingest` or `admin`, as the section of the settings is called.
        which: &'static str,
        /// Why.
        source: Box<ListenError>,
    },
    /// The configuration could not be read.
    #[error("the configuration cannot be read from the store")]
    Store(#[from] StoreError),
}

/// Starts nodes.
#[derive(Debug)]
pub struct Node;

impl Node {
    /// Opens both listeners, reads the configuration and begins to answer. `admin` makes what answers on the admin
    /// listener; the keys of providers are only for it, since they are fetched until nobody holds them any more.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start<H: Handler>(
        config: NodeConfig,
        store: Arc<AnyStore>,
        desk: Desk,
        clock: Clock,
        admin: impl FnOnce(&Shared, Arc<Keys>) -> Arc<H>,
    ) -> Result<Running, StartError> {
        let receives = config.roles.has(Role::Ingest);
        let ingest = receives.then(|| bind("ingest", config.ingest.clone())).transpose()?;
        let admin_listener = bind("admin", config.admin.clone())?;
        let urls = config.limits.urls.clone();
        let configured = Configured::load(Arc::clone(&store), config.limits).await?;
        let (stopper, tasks) = (Stopper::default(), TaskSet::default());
        let metrics = Arc::new(Metrics::default());
        config.traces.count_in(&metrics);
        let sender = config.keys.clone();
        let (keys, fetcher) = Keys::new(config.keys, urls, clock.clone(), Arc::clone(&metrics));
        let keys = Arc::new(keys);
        let shared = Shared {
            admitting: Arc::new(Admitting {
                store,
                desk,
                live: Live::default(),
                traces: config.traces,
                metrics: Arc::clone(&metrics),
                health: Arc::new(Health::new(stopper.stop())),
                clock,
                inbox: config.inbox,
            }),
            configured: Arc::new(configured),
            ingest_addr: ingest.as_ref().map_or(config.ingest.address, Listener::address),
            admin_addr: admin_listener.address(),
            stop: stopper.stop(),
        };
        let (handler, keeper) = Ingest::new(
            IngestConfig {
                prefix: config.prefix,
                proxies: config.proxies,
                deadlines: config.ingest.deadlines,
                bodies_in_flight: config.bodies_in_flight,
            },
            Arc::clone(&shared.admitting),
            Arc::clone(&shared.configured),
            Arc::clone(&keys),
        );
        let patience = config.ingest.drain.max(config.admin.drain) + AFTERGLOW;
        let sockets = (ingest.as_ref().map(Listener::socket), admin_listener.socket());
        let delivers = Arc::new(watch::Sender::new(true));
        let running = Running { shared, stopper, tasks, patience, sockets, delivers };
        running.tasks.spawn("keeper of rejected requests", keeper.run());
        running.tasks.spawn("fetcher of keys", fetcher.run());
        if let Some(sender) = sender {
            let (admitting, configured) = (&running.shared.admitting, &running.shared.configured);
            let (admitting, configured) = (Arc::clone(admitting), Arc::clone(configured));
            let consumers = Consumers::new(admitting, configured, Arc::clone(&keys), sender);
            running
                .tasks
                .spawn("sources that take from queues", consumers.run(running.stopper.stop()));
        }
        let admin = admin(&running.shared, keys);
        if let Some(ingest) = ingest {
            running.listen("ingest", ingest, Arc::new(handler));
        }
        running.listen("admin", admin_listener, admin);
        Ok(running)
    }
}

/// Whether the listeners could be opened now: each is, and closed again.
///
/// # Errors
/// [`StartError::Listen`].
pub fn can_listen(config: &NodeConfig) -> Result<(), StartError> {
    let receives = config.roles.has(Role::Ingest);
    let ingest = receives.then(|| bind("ingest", config.ingest.clone())).transpose()?;
    let admin = bind("admin", config.admin.clone())?;
    drop((ingest, admin));
    Ok(())
}

fn bind(which: &'static str, config: ListenConfig) -> Result<Listener, StartError> {
    Listener::bind(config).map_err(|source| StartError::Listen { which, source: Box::new(source) })
}

/// A node that answers.
#[derive(Debug)]
pub struct Running {
    shared: Shared,
    stopper: Stopper,
    tasks: TaskSet,
    patience: Duration,
    /// Of ingest, where it receives, and of admin.
    sockets: (Option<Socket>, Socket),
    /// Whether dispatch runs.
    delivers: Arc<watch::Sender<bool>>,
}

/// Sockets that go on listening while no node answers: who calls meanwhile waits.
#[derive(Debug, Clone)]
pub struct Sockets {
    ingest: Option<Arc<TcpListener>>,
    admin: Arc<TcpListener>,
}

impl Sockets {
    /// The settings of a node that answers on these sockets.
    #[must_use]
    pub fn given_to(&self, mut config: NodeConfig) -> NodeConfig {
        config.ingest.socket.clone_from(&self.ingest);
        config.admin.socket = Some(Arc::clone(&self.admin));
        config
    }
}

impl Running {
    /// Where requests to sources arrive.
    #[must_use]
    pub const fn ingest_addr(&self) -> SocketAddr {
        self.shared.ingest_addr
    }

    /// Where API and dashboard are served.
    #[must_use]
    pub const fn admin_addr(&self) -> SocketAddr {
        self.shared.admin_addr
    }

    /// What the parts of the node share.
    #[must_use]
    pub const fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Starts a task that belongs to the node: a stop waits for it.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(name, task);
    }

    /// Starts what delivers.
    pub fn spawn_dispatch(&self, dispatch: impl Future<Output = ()> + Send + 'static) {
        let delivers = Arc::clone(&self.delivers);
        self.spawn("dispatch", async move {
            dispatch.await;
            delivers.send_replace(false);
        });
    }

    /// Begins no further try at a delivery, and waits for those under way, at most that long. Everything else goes on.
    pub async fn rest(&self, patience: Duration) {
        self.stopper.advance(Stage::Resting);
        let mut delivers = self.delivers.subscribe();
        // Whoever is not done by then is cut off when the node leaves.
        drop(tokio::time::timeout(patience, delivers.wait_for(|delivers| !*delivers)).await);
    }

    /// The sockets, for a node that comes after this one.
    ///
    /// # Errors
    /// When no more files can be opened.
    pub fn sockets(&self) -> io::Result<Sockets> {
        let (ingest, admin) = &self.sockets;
        Ok(Sockets { ingest: ingest.as_ref().map(Socket::keep).transpose()?, admin: admin.keep()? })
    }

    /// Ends, with what is under way cut off after that time, and leaves the store open. No change of the configuration is
    /// under way when this returns.
    pub async fn end_for_another(self, patience: Duration) {
        self.stopper.advance(Stage::Draining);
        drop(self.tasks.join(patience).await);
        self.stopper.advance(Stage::Halting);
        self.shared.configured.settled().await;
    }

    /// Resolves when the store can promise nothing any more: then the process must end.
    pub async fn broken(&self) -> String {
        self.shared.admitting.store.broken().await
    }

    fn listen<H: Handler>(&self, name: &'static str, listener: Listener, handler: Arc<H>) {
        let metrics = &self.shared.admitting.metrics;
        if let Some(tls) = listener.tls() {
            let watch = tls.watch(CERTIFICATES_EVERY, Arc::clone(metrics), self.stopper.stop());
            self.tasks.spawn("watch of certificates", watch);
        }
        self.tasks.spawn(name, listener.serve(handler, Arc::clone(metrics), self.stopper.stop()));
    }

    /// From now on `/readyz` says that this node is not to get requests; all else goes on, until [`Running::stop`].
    pub fn leave(&self) {
        self.stopper.advance(Stage::Leaving);
    }

    /// Stops: takes nothing new, finishes what is under way within its time, closes the store.
    ///
    /// # Errors
    /// Those of closing the store: what it had not written by then is not durable (and was not answered with 2xx).
    pub async fn stop(self) -> Result<(), StoreError> {
        self.stopper.advance(Stage::Draining);
        let broken = self.tasks.join(self.patience).await;
        let panicked = broken.iter().filter(|task| task.panicked).count();
        self.shared.admitting.metrics.add(Metric::TasksPanicked, panicked as u64);
        self.stopper.advance(Stage::Halting);
        self.shared.admitting.store.close().await
    }
}
