//! The configuration in use: an immutable snapshot that everyone looks things up in, replaced when something changes.
//!
//! A change is planned against the snapshot of the moment, made durable, and only then seen; there is one change at a
//! time. Replays are configuration too, but they change all the time and route nothing, so they have a home of their own.

use doorbell_core::configuration::{Change, Resource, ResourceId};
use doorbell_core::directory::{Directory, Settings};
use doorbell_core::id::SourceId;
use doorbell_core::limits;
use doorbell_core::secret::SecretText;
use doorbell_core::source::{HubSubscription, Source};
use doorbell_core::time::Time;
use doorbell_store::{AnyStore, Store as _, StoreError};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Mutex, OwnedMutexGuard, broadcast};

/// The snapshot in use and how to change it.
#[derive(Debug)]
pub struct Configured {
    store: Arc<AnyStore>,
    settings: Settings,
    /// One change at a time, so that an older reading cannot replace a newer one.
    changing: Arc<Mutex<()>>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    current: RwLock<Arc<Directory>>,
    touched: broadcast::Sender<Arc<[ResourceId]>>,
}

impl Shared {
    fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Shows changes that the store has, and then tells of them.
    fn take_up(&self, changes: Vec<Change>) {
        let touched = changes.iter().map(Change::id).collect();
        let after = Arc::new(self.directory().changed(changes));
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = after;
        // Before anyone can see it: whoever watches has been told of all that he sees. There may be nobody.
        drop(self.touched.send(touched));
    }
}

impl Configured {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn load(store: Arc<AnyStore>, settings: Settings) -> Result<Self, StoreError> {
        let directory = Directory::new(store.configuration().await?, settings.clone());
        let (touched, _) = broadcast::channel(limits::CHANGES_KEPT);
        let shared = Shared { current: RwLock::new(Arc::new(directory)), touched };
        Ok(Self { store, settings, changing: Arc::default(), shared: Arc::new(shared) })
    }

    /// Takes up what others changed in the store: reads it whole, and tells of what differs.
    ///
    /// # Errors
    /// Those of reading; nothing is changed.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let _one = self.changing.lock().await;
        let changes = self.directory().difference(self.store.configuration().await?);
        if !changes.is_empty() {
            self.shared.take_up(changes);
        }
        Ok(())
    }

    /// The snapshot in use. Hold it for one request, not longer.
    #[must_use]
    pub fn directory(&self) -> Arc<Directory> {
        self.shared.directory()
    }

    /// Tells of each change from now on, once it can be seen.
    #[must_use]
    pub fn watch(&self) -> Changes {
        Changes(self.shared.touched.subscribe())
    }

    /// What the node's own settings say about sources and endpoints.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Plans changes against the snapshot of the moment, with no other change in between, and makes them; when this
    /// returns, requests see them. Whoever stops waiting for it ends nothing: what the store takes is seen.
    ///
    /// # Errors
    /// What the plan says: then nothing was changed. Those of the store: then nothing is promised.
    pub async fn change<T, E: From<StoreError>>(
        &self,
        plan: impl FnOnce(&Directory) -> Result<(Vec<Change>, T), E>,
    ) -> Result<T, E> {
        let one = Arc::clone(&self.changing).lock_owned().await;
        let (changes, value) = plan(&self.directory())?;
        if changes.is_empty() {
            return Ok(value);
        }
        let made =
            tokio::spawn(make(Arc::clone(&self.store), Arc::clone(&self.shared), changes, one));
        let ended =
            |_| Err(StoreError::Failed("the change of the configuration broke off".to_owned()));
        made.await.unwrap_or_else(ended)?;
        Ok(value)
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
        let plan = |directory: &Directory| {
            let ready = directory.source(source).map(|ready| ready.source());
            let bare = ready.filter(|source| source.verification.secrets.is_empty());
            let Some(mut source) = bare.cloned() else { return Ok((Vec::new(), Adopted::No)) };
            source.verification.secrets = vec![secret];
            source.updated = now;
            Ok((vec![Change::Put(Resource::Source(source))], Adopted::Yes))
        };
        self.change(plan).await
    }

    /// Keeps how a source's subscription at a hub stands: what `plan` makes of how it stands now. `None`: nothing to do.
    ///
    /// # Errors
    /// Those of [`doorbell_store::Store::configure`]; nothing is changed.
    pub async fn keep_hub(
        &self,
        source: SourceId,
        plan: impl FnOnce(&Source) -> Option<HubSubscription>,
    ) -> Result<Option<HubSubscription>, StoreError> {
        let plan = |directory: &Directory| {
            let there = directory.source(source).map(|ready| ready.source());
            let Some((before, hub)) = there.and_then(|source| Some((source, plan(source)?))) else {
                return Ok((Vec::new(), None));
            };
            if before.hub.as_ref() == Some(&hub) {
                return Ok((Vec::new(), Some(hub)));
            }
            let after = Source { hub: Some(hub.clone()), ..before.clone() };
            Ok((vec![Change::Put(Resource::Source(after))], Some(hub)))
        };
        self.change(plan).await
    }
}

/// Makes changes durable, and then seen.
async fn make(
    store: Arc<AnyStore>,
    shared: Arc<Shared>,
    changes: Vec<Change>,
    _one: OwnedMutexGuard<()>,
) -> Result<(), StoreError> {
    store.configure(changes.clone()).await?;
    shared.take_up(changes);
    Ok(())
}

/// Tells one who watches of changes.
#[derive(Debug)]
pub struct Changes(broadcast::Receiver<Arc<[ResourceId]>>);

/// What a change touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched {
    /// These, and nothing else.
    These(Arc<[ResourceId]>),
    /// There were more changes than are kept for one who is slow: anything may have changed.
    Anything,
}

impl Changes {
    /// What the next change touched, if there was one.
    pub fn try_next(&mut self) -> Option<Touched> {
        match self.0.try_recv() {
            Ok(these) => Some(Touched::These(these)),
            Err(broadcast::error::TryRecvError::Lagged(_)) => Some(Touched::Anything),
            Err(broadcast::error::TryRecvError::Empty | broadcast::error::TryRecvError::Closed) => {
                None
            }
        }
    }

    /// What the next change touched; `None`: there will be no more.
    pub async fn next(&mut self) -> Option<Touched> {
        match self.0.recv().await {
            Ok(these) => Some(Touched::These(these)),
            Err(broadcast::error::RecvError::Lagged(_)) => Some(Touched::Anything),
            Err(broadcast::error::RecvError::Closed) => None,
        }
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
