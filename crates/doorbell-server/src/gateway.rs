//! A whole gateway: a node with its dispatch, its replays, its API and its retention, over a store that is open.

use crate::api::{Api, ApiState, Cookie, LoginCode, Parts as ApiParts};
use crate::census::Counter;
use crate::clock::Clock;
use crate::configured::Configured;
use crate::desk::Desk;
use crate::dispatch::{Parts, dispatch};
use crate::hubs::Hubs;
use crate::inbox::Drain;
use crate::keys::Keys;
use crate::listen::{Hosts, ListenConfig};
use crate::moving::Moving;
use crate::node::{Node, NodeConfig, Running, Shared, StartError};
use crate::replay::{Engine, Replays};
use crate::roles::Role;
use crate::sender::AnySender;
use crate::standings::{Questions, Standings};
use crate::tasks::{Stage, Stop};
use doorbell_core::configuration::{Change, Resource};
use doorbell_core::id::{SourceId, TenantId};
use doorbell_core::limits;
use doorbell_core::name::Label;
use doorbell_core::source::{Dedupe, Source, Verification};
use doorbell_queue::Inbox;
use doorbell_store::{AnyStore, Retention, Store as _, StoreError};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// How often retention looks for what may be forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(30);
/// When what another node changed could not be read: how soon it is tried again.
const RELOAD_AGAIN: Duration = Duration::from_secs(1);
/// The source that exists from the first start.
const FIRST_SOURCE: &str = "inbox";

/// What a gateway is made of.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// The version of the program, as it is shown.
    pub version: &'static str,
    /// Listeners and limits.
    pub node: NodeConfig,
    /// Host names under which the API answers, beside its address and localhost.
    pub admin_hosts: Vec<String>,
    /// SHA-256 of the operator's own token.
    pub root_token: Option<[u8; 32]>,
    /// A login code that is good from the start.
    pub first_login: Option<LoginCode>,
    /// What is older is forgotten.
    pub retention_age: Option<Duration>,
    /// Beyond so many bytes the oldest is forgotten.
    pub retention_bytes: Option<u64>,
    /// When no number of bytes is set: the share of the disk's free and our own bytes.
    pub retention_share: f64,
    /// By whom the store may be moved.
    pub moving: Moving,
}

/// Starts everything.
///
/// # Errors
/// [`StartError`]; nothing is left running.
pub async fn start(
    config: GatewayConfig,
    store: Arc<AnyStore>,
    sender: AnySender,
    clock: Clock,
) -> Result<Running, StartError> {
    first_source(&store, &clock).await?;
    let replays = Replays::load(Arc::clone(&store)).await?;
    let delivers = config.node.roles.has(Role::Deliver);
    let serves = config.node.roles.has(Role::Api);
    let desk = if delivers { Desk::default() } else { Desk::closed() };
    let (hosts, root_token) = (config.admin_hosts.clone(), config.root_token);
    let (version, moving) = (config.version, config.moving.clone());
    let (first_login, listeners) = (config.first_login.clone(), config.node.clone());
    let (api_replays, followed) = (replays.clone(), replays.clone());
    let (standings, questions) = Standings::new();
    let asked = standings.clone();
    let api = move |shared: &Shared, keys: Arc<Keys>| {
        let parts = ApiParts {
            admitting: Arc::clone(&shared.admitting),
            configured: Arc::clone(&shared.configured),
            keys,
            replays: api_replays,
            standings,
            moving,
            root_token,
            first_login,
            version,
            cookie: cookie(&listeners, shared),
            ingest_url: ingest_url(&listeners, shared),
            ingest_prefix: listeners.prefix.clone(),
        };
        let api = Api::new(ApiState::new(parts), Hosts::new(shared.admin_addr, hosts));
        Arc::new(if serves { api } else { api.for_operators_only() })
    };
    if config.node.roles.has(Role::Ingest) {
        open(config.node.inbox.as_deref()).await;
    }
    let mut parts = config.node.clone();
    parts.keys = parts.keys.or_else(|| Some(sender.clone()));
    let node = Node::start(parts, Arc::clone(&store), desk.clone(), clock.clone(), api).await?;
    let shared = node.shared().clone();
    let configured = Arc::clone(&shared.configured);
    let follow = follow(Arc::clone(&store), configured, followed, shared.stop);
    node.spawn("configuration of other nodes", follow);
    if delivers {
        let rest =
            Rest { config, store, sender, clock, replays, standings: asked, questions, desk };
        rest.start(&node);
    }
    Ok(node)
}

/// To declare a queue takes a broker its time; the first sender is not to wait for it, nor to be the one who finds out that
/// the login is wrong. A broker that is away stops no node: it may be back when somebody sends.
async fn open(inbox: Option<&Inbox>) {
    let Some(inbox) = inbox else { return };
    if let Err(error) = inbox.open().await {
        tracing::warn!(%error, inbox = inbox.shown(), "the inbox does not answer yet");
    }
}

/// What a node needs to deliver, and to do what only those do that look after endpoints.
struct Rest {
    config: GatewayConfig,
    store: Arc<AnyStore>,
    sender: AnySender,
    clock: Clock,
    replays: Replays,
    standings: Standings,
    questions: Questions,
    desk: Desk,
}

impl Rest {
    fn start(self, node: &Running) {
        let Self { config, store, sender, clock, replays, standings, questions, desk } = self;
        let shared = node.shared().clone();
        let hubs = Hubs::new(
            Arc::clone(&store),
            Arc::clone(&shared.configured),
            sender.clone(),
            clock.clone(),
        );
        node.spawn("subscriptions at hubs", hubs.run(shared.stop.clone()));
        let parts = Parts {
            store: Arc::clone(&store),
            sender,
            configured: Arc::clone(&shared.configured),
            desk,
            places: config.node.places,
            bodies: config.node.bodies,
            clock: clock.clone(),
            live: shared.admitting.live.clone(),
            traces: shared.admitting.traces.clone(),
            metrics: Arc::clone(&shared.admitting.metrics),
            questions,
        };
        let desk = parts.desk.clone();
        let dispatch = dispatch(parts, shared.stop.clone());
        node.spawn_dispatch(async move {
            dispatch.await;
            desk.close();
        });
        if let Some(inbox) = shared.admitting.inbox.clone() {
            let (admitting, configured) =
                (Arc::clone(&shared.admitting), Arc::clone(&shared.configured));
            let drain = Drain::new(inbox, admitting, configured);
            node.spawn("emptying of the inbox", drain.run(shared.stop.clone()));
        }
        let counter = Counter {
            store: Arc::clone(&store),
            configured: Arc::clone(&shared.configured),
            standings,
            metrics: Arc::clone(&shared.admitting.metrics),
            clock: clock.clone(),
        };
        node.spawn("census", counter.run(shared.stop.clone()));
        let engine =
            Engine::new(Arc::clone(&store), Arc::clone(&shared.configured), replays, clock.clone());
        node.spawn("replays", engine.run(shared.stop.clone()));
        node.spawn("retention", prune(config, store, clock, shared.stop));
    }
}

/// Takes up what other nodes on the same store change, until the node drains.
async fn follow(
    store: Arc<AnyStore>,
    configured: Arc<Configured>,
    replays: Replays,
    mut stop: Stop,
) {
    loop {
        tokio::select! {
            () = stop.reached(Stage::Draining) => return,
            () = store.reconfigured() => {}
        }
        while let Err(error) = take_up(&configured, &replays).await {
            tracing::warn!(%error, "what another node changed could not be read; trying again");
            tokio::select! {
                () = stop.reached(Stage::Draining) => return,
                () = tokio::time::sleep(RELOAD_AGAIN) => {}
            }
        }
    }
}

fn cookie(config: &NodeConfig, shared: &Shared) -> Cookie {
    if config.admin.tls.is_some() {
        Cookie::over_tls(shared.admin_addr)
    } else {
        Cookie::plain(shared.admin_addr)
    }
}

/// Where providers send to: the public address where one is set, else our own.
fn ingest_url(config: &NodeConfig, shared: &Shared) -> String {
    config.limits.ingest_url.clone().unwrap_or_else(|| {
        let base = local_url(&config.ingest, shared.ingest_addr);
        format!("{base}/{}", config.prefix)
    })
}

/// Where a listener that listens at this address is asked from this machine.
#[must_use]
pub fn local_url(listener: &ListenConfig, mut address: SocketAddr) -> String {
    let scheme = if listener.tls.is_some() { "https" } else { "http" };
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    format!("{scheme}://{address}")
}

/// On an empty configuration: a source that takes anything, so that the first webhook needs no set-up.
async fn first_source(store: &AnyStore, clock: &Clock) -> Result<(), StoreError> {
    let configuration = store.configuration().await?;
    let Ok(name) = Label::parse(FIRST_SOURCE) else { return Ok(()) };
    // The counts wait for the index, which after a crash takes its time: nobody else at the start may wait for it.
    if !configuration.sources.is_empty()
        || !configuration.endpoints.is_empty()
        || store.stats().await?.events > 0
    {
        return Ok(());
    }
    let now = clock.now();
    let source = Source {
        id: SourceId::new(now, clock.dice()),
        tenant: TenantId::DEFAULT,
        name,
        enabled: true,
        verification: Verification {
            provider: "none".to_owned(),
            options: Vec::new(),
            secrets: Vec::new(),
            public_url: None,
        },
        methods: Vec::new(),
        event_types: Vec::new(),
        type_rule: None,
        dedupe: Dedupe { window: limits::DEDUPE_WINDOW, key: None },
        body_max: limits::BODY_DEFAULT,
        response: None,
        hub: None,
        from: None,
        created: now,
        updated: now,
    };
    match store.configure(vec![Change::Put(Resource::Source(source))]).await {
        // Another node starts at the same time and was quicker.
        Err(StoreError::Conflict(_)) => Ok(()),
        done => done,
    }
}

async fn take_up(configured: &Configured, replays: &Replays) -> Result<(), StoreError> {
    configured.reload().await?;
    replays.reload().await
}

/// Forgets what retention allows, now and then, until the node drains.
async fn prune(config: GatewayConfig, store: Arc<AnyStore>, clock: Clock, mut stop: Stop) {
    loop {
        tokio::select! {
            () = stop.reached(Stage::Draining) => return,
            () = tokio::time::sleep(PRUNE_EVERY) => {}
        }
        if let Err(error) = prune_once(&config, &store, &clock).await {
            tracing::warn!(%error, "retention could not forget; trying again");
        }
    }
}

async fn prune_once(
    config: &GatewayConfig,
    store: &AnyStore,
    clock: &Clock,
) -> Result<(), StoreError> {
    let stats = store.stats().await?;
    let whole = stats.bytes.saturating_add(stats.bytes_free);
    let bytes = config.retention_bytes.unwrap_or_else(|| share(whole, config.retention_share));
    let retention = Retention { age: config.retention_age, bytes: Some(bytes) };
    let pruned = store.prune(clock.now(), retention).await?;
    if pruned.events > 0 {
        tracing::info!(events = pruned.events, bytes = pruned.bytes, "retention forgot the oldest");
    }
    Ok(())
}

/// A share of so many bytes, in thousandths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=1000")]
fn share(whole: u64, share: f64) -> u64 {
    whole / 1000 * (share.clamp(0.0, 1.0) * 1000.0) as u64
}
