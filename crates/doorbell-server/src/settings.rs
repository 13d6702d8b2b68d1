//! What is configured, as every part of the node sees it: one snapshot, changed by one change at a time.
//!
//! A change is planned against the snapshot of the moment, made durable, and only then published; whoever watches gets
//! the new snapshot. Replays are configuration too, but they change all the time and route nothing: they have a home of
//! their own ([`crate::replay`]).

use doorbell_core::configuration::{Change, Configuration, Resource, ResourceId, Token};
use doorbell_core::endpoint::Endpoint;
use doorbell_core::id::{EndpointId, SourceId, TenantId};
use doorbell_core::source::Source;
use doorbell_store::{AnyStore, Store, StoreError};
use doorbell_wire::api::v1::common::Names;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// Everything that is configured at one moment, with what is looked up often.
#[derive(Debug)]
pub struct Snapshot {
    /// All of it.
    pub configuration: Configuration,
    /// The names of sources and endpoints, for lists.
    pub names: Names,
    endpoints: BTreeMap<EndpointId, usize>,
    tokens: BTreeMap<[u8; 32], usize>,
}

impl Snapshot {
    /// The snapshot of a configuration.
    #[must_use]
    pub fn of(configuration: Configuration) -> Self {
        let places = configuration.endpoints.iter().enumerate();
        let tokens = configuration.tokens.iter().enumerate();
        Self {
            names: Names::of(&configuration),
            endpoints: places.map(|(place, endpoint)| (endpoint.id, place)).collect(),
            tokens: tokens.map(|(place, token)| (token.hash, place)).collect(),
            configuration,
        }
    }

    /// The tenant's source of that name or id.
    #[must_use]
    pub fn source(&self, tenant: TenantId, name_or_id: &str) -> Option<&Source> {
        let id = name_or_id.parse::<SourceId>().ok();
        let mut own = self.configuration.sources.iter().filter(|source| source.tenant == tenant);
        own.find(|source| id.map_or(source.name.as_str() == name_or_id, |id| source.id == id))
    }

    /// The tenant's endpoint of that name or id.
    #[must_use]
    pub fn endpoint(&self, tenant: TenantId, name_or_id: &str) -> Option<&Endpoint> {
        let found = match name_or_id.parse() {
            Ok(id) => self.endpoint_by_id(id),
            Err(_) => self
                .configuration
                .endpoints
                .iter()
                .find(|e| e.tenant == tenant && e.name.as_str() == name_or_id),
        };
        found.filter(|endpoint| endpoint.tenant == tenant)
    }

    /// The endpoint of that id, whoever's it is.
    #[must_use]
    pub fn endpoint_by_id(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(&id).and_then(|place| self.configuration.endpoints.get(*place))
    }

    /// The token whose text has that SHA-256. The time this takes may depend on the hash, which tells nothing of a text
    /// of 256 random bits.
    #[must_use]
    pub fn token(&self, hash: &[u8; 32]) -> Option<&Token> {
        self.tokens.get(hash).and_then(|place| self.configuration.tokens.get(*place))
    }
}

/// The configuration of a running node.
#[derive(Debug)]
pub struct Settings {
    store: Arc<AnyStore>,
    one_at_a_time: Mutex<()>,
    current: watch::Sender<Arc<Snapshot>>,
}

impl Settings {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn open(store: Arc<AnyStore>) -> Result<Self, StoreError> {
        let snapshot = Arc::new(Snapshot::of(store.configuration().await?));
        Ok(Self { store, one_at_a_time: Mutex::new(()), current: watch::Sender::new(snapshot) })
    }

    /// The snapshot of this moment.
    #[must_use]
    pub fn now(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.borrow())
    }

    /// Tells of each new snapshot.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.current.subscribe()
    }

    /// Plans changes against the snapshot of the moment, with no other change in between, and makes them.
    ///
    /// # Errors
    /// What the plan says, or the store; then nothing was changed.
    pub async fn change<T, E: From<StoreError>>(
        &self,
        plan: impl FnOnce(&Snapshot) -> Result<(Vec<Change>, T), E>,
    ) -> Result<T, E> {
        let _turn = self.one_at_a_time.lock().await;
        let before = self.now();
        let (changes, value) = plan(&before)?;
        self.store.configure(changes.clone()).await?;
        let after = changes.into_iter().fold(before.configuration.clone(), changed);
        self.current.send_replace(Arc::new(Snapshot::of(after)));
        Ok(value)
    }
}

/// The configuration after a change that the store has taken.
fn changed(mut all: Configuration, change: Change) -> Configuration {
    match change {
        Change::Put(Resource::Tenant(new)) => put(&mut all.tenants, new, |t| t.id),
        Change::Put(Resource::Source(new)) => put(&mut all.sources, new, |s| s.id),
        Change::Put(Resource::Endpoint(new)) => put(&mut all.endpoints, new, |e| e.id),
        Change::Put(Resource::Token(new)) => put(&mut all.tokens, new, |t| t.id),
        Change::Put(Resource::Replay(new)) => put(&mut all.replays, new, |r| r.id),
        Change::Delete(ResourceId::Tenant(id)) => all.tenants.retain(|t| t.id != id),
        Change::Delete(ResourceId::Source(id)) => all.sources.retain(|s| s.id != id),
        Change::Delete(ResourceId::Endpoint(id)) => all.endpoints.retain(|e| e.id != id),
        Change::Delete(ResourceId::Token(id)) => all.tokens.retain(|t| t.id != id),
        Change::Delete(ResourceId::Replay(id)) => all.replays.retain(|r| r.id != id),
    }
    all
}

fn put<T, K: PartialEq>(all: &mut Vec<T>, new: T, key: impl Fn(&T) -> K) {
    match all.iter_mut().find(|one| key(one) == key(&new)) {
        Some(one) => *one = new,
        None => all.push(new),
    }
}
