//! The configuration in use: an immutable snapshot that everyone looks things up in, replaced when something changes.
//!
//! A change is planned against the snapshot of the moment, made durable, and only then seen; there is one change at a
//! time. Replays are configuration too, but they change all the time and route nothing, so they have a home of their own.

use doorbell_core::configuration::{Change, Configuration, Resource, ResourceId};
use doorbell_core::directory::{Directory, Settings};
use doorbell_core::endpoint::Endpoint;
use doorbell_core::id::{EndpointId, SourceId, TenantId};
use doorbell_core::secret::SecretText;
use doorbell_core::source::Source;
use doorbell_core::time::Time;
use doorbell_store::{AnyStore, Store as _, StoreError};
use doorbell_wire::api::v1::common::Names;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// Everything that is configured at one moment: as it is written, and as it is used.
#[derive(Debug)]
pub struct Snapshot {
    /// As it is written.
    pub configuration: Configuration,
    /// As it is used.
    pub directory: Arc<Directory>,
    /// The names of sources and endpoints, for lists.
    pub names: Names,
}

impl Snapshot {
    fn new(configuration: Configuration, settings: &Settings, before: Option<&Directory>) -> Self {
        let directory = Arc::new(Directory::new(&configuration, settings, before));
        Self { names: Names::of(&configuration), directory, configuration }
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
        let id = name_or_id.parse::<EndpointId>().ok();
        let mut own = self.configuration.endpoints.iter().filter(|e| e.tenant == tenant);
        own.find(|e| id.map_or(e.name.as_str() == name_or_id, |id| e.id == id))
    }
}

/// The snapshot in use and how to change it.
#[derive(Debug)]
pub struct Configured {
    store: Arc<AnyStore>,
    settings: Settings,
    current: watch::Sender<Arc<Snapshot>>,
    /// One change at a time, so that an older reading cannot replace a newer one.
    changing: Mutex<()>,
}

impl Configured {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn load(store: Arc<AnyStore>, settings: Settings) -> Result<Self, StoreError> {
        let snapshot = Snapshot::new(store.configuration().await?, &settings, None);
        let current = watch::Sender::new(Arc::new(snapshot));
        Ok(Self { store, settings, current, changing: Mutex::default() })
    }

    /// The snapshot in use. Hold it for one request, not longer.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current.borrow())
    }

    /// The directory of the snapshot in use.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.snapshot().directory)
    }

    /// Tells of each new snapshot; whoever delivers looks then which endpoints were paused, enabled or removed.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.current.subscribe()
    }

    /// What the node's own settings say about sources and endpoints.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Plans changes against the snapshot of the moment, with no other change in between, and makes them; when this
    /// returns, requests see them.
    ///
    /// # Errors
    /// What the plan says: then nothing was changed. Those of the store: then nothing is promised.
    pub async fn change<T, E: From<StoreError>>(
        &self,
        plan: impl FnOnce(&Snapshot) -> Result<(Vec<Change>, T), E>,
    ) -> Result<T, E> {
        let _one = self.changing.lock().await;
        let before = self.snapshot();
        let (changes, value) = plan(&before)?;
        if changes.is_empty() {
            return Ok(value);
        }
        self.store.configure(changes.clone()).await?;
        let after = changes.into_iter().fold(before.configuration.clone(), changed);
        self.take_up(after);
        Ok(value)
    }

    /// Takes up what other nodes have changed.
    ///
    /// # Errors
    /// Those of reading; the snapshot in use stays.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let _one = self.changing.lock().await;
        let configuration = self.store.configuration().await?;
        if configuration != self.snapshot().configuration {
            self.take_up(configuration);
        }
        Ok(())
    }

    /// Gives a source that has no secret this one, which its provider handed out. A source that has one by now keeps it:
    /// what comes in unsigned must never replace what signatures are checked with.
    ///
    /// # Errors
    /// Those of [`doorbell_store::Store::configure`]; nothing is changed.
    pub async fn adopt_secret(
        &self,
        source: SourceId,
        secret: SecretText,
        now: Time,
    ) -> Result<Adopted, StoreError> {
        let plan = |snapshot: &Snapshot| {
            let ready = snapshot.directory.source(source).map(|ready| ready.source());
            let bare = ready.filter(|source| source.verification.secrets.is_empty());
            let Some(mut source) = bare.cloned() else { return Ok((Vec::new(), Adopted::No)) };
            source.verification.secrets = vec![secret];
            source.updated = now;
            Ok((vec![Change::Put(Resource::Source(source))], Adopted::Yes))
        };
        self.change(plan).await
    }

    fn take_up(&self, configuration: Configuration) {
        let new = Snapshot::new(configuration, &self.settings, Some(&self.directory()));
        self.current.send_replace(Arc::new(new));
    }
}

/// Whether a source took the secret that it was handed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// It did, durably, and requests are checked with it from now on.
    Yes,
    /// It has one already, or is gone.
    No,
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
