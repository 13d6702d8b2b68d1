//! Replays: many deliveries made again on purpose, at a rate, oldest event first, each with the original bytes.
//!
//! **How it walks.** The store lists events newest first. A replay first walks the whole list, counts what it will make
//! and remembers where each page began; then it goes through the pages from the last to the first, and through each page
//! backwards. The list is pinned by `until`, so that what arrives meanwhile is not part of it.
//!
//! **No delivery twice.** The id of a new delivery is drawn from the replay, the event and the endpoint, so it is the same
//! however often it is worked out. Progress (the page under way, and what was made before it) is made durable at each
//! page's end. After a crash or a failed write the page under way is in doubt: then each of its deliveries is looked up
//! first, and what is there is not made again. When the page cannot be found again (retention, a changed filter result),
//! every page is in doubt.
//!
//! One task runs all replays, in small batches; nothing here waits for the network. What was delivered is dispatch's
//! affair and stands in the list of deliveries.

mod choose;
mod engine;

pub use choose::LeftOut;
pub use engine::{Engine, Plan};

use doorbell_core::configuration::{Change, Replay, ReplayState, Resource};
use doorbell_core::id::{ReplayId, TenantId};
use doorbell_core::time::Time;
use doorbell_store::{AnyStore, Store as _, StoreError};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as Turn, Notify};

/// All replays, as the API sees them. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Replays(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<AnyStore>,
    known: Mutex<BTreeMap<ReplayId, Replay>>,
    /// One change at a time, so that progress cannot undo a cancellation.
    changing: Turn<()>,
    news: Notify,
}

/// Why a replay could not be cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// There is none of that id, or it is another tenant's.
    #[error("there is no such replay")]
    Unknown,
    /// It is done or cancelled already.
    #[error("the replay is over")]
    Over,
    /// The store could not write it down.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Replays {
    /// Reads what is known of replays.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn load(store: Arc<AnyStore>) -> Result<Self, StoreError> {
        let known = store.configuration().await?.replays.into_iter().map(|r| (r.id, r)).collect();
        let (known, changing, news) = (Mutex::new(known), Turn::default(), Notify::new());
        Ok(Self(Arc::new(Shared { store, known, changing, news })))
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<ReplayId, Replay>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All replays of a tenant.
    #[must_use]
    pub fn of(&self, tenant: TenantId) -> Vec<Replay> {
        self.known().values().filter(|replay| replay.tenant == tenant).cloned().collect()
    }

    /// One replay of a tenant.
    #[must_use]
    pub fn one(&self, tenant: TenantId, id: ReplayId) -> Option<Replay> {
        self.known().get(&id).filter(|replay| replay.tenant == tenant).cloned()
    }

    /// How many are under way, of all tenants.
    #[must_use]
    pub fn running(&self) -> usize {
        self.known().values().filter(|replay| replay.state == ReplayState::Running).count()
    }

    /// Begins a replay; it is durable when this returns.
    ///
    /// # Errors
    /// Those of writing.
    pub async fn begin(&self, replay: Replay) -> Result<(), StoreError> {
        let _turn = self.0.changing.lock().await;
        self.write(replay).await?;
        self.0.news.notify_one();
        Ok(())
    }

    /// Takes up what other nodes have changed: of what this node runs, only that it was cancelled, since it knows more
    /// than the store of the page under way.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn reload(&self) -> Result<(), StoreError> {
        let _turn = self.0.changing.lock().await;
        let stored = self.0.store.configuration().await?.replays;
        let mut known = self.known();
        for replay in stored {
            let ours = self.0.store.owns(replay.id.bytes()) && known.contains_key(&replay.id);
            if !ours || replay.state != ReplayState::Running {
                known.insert(replay.id, replay);
            }
        }
        drop(known);
        self.0.news.notify_one();
        Ok(())
    }

    /// Stops a replay. What it made stays.
    ///
    /// # Errors
    /// [`CancelError`].
    pub async fn cancel(
        &self,
        tenant: TenantId,
        id: ReplayId,
        now: Time,
    ) -> Result<Replay, CancelError> {
        let _turn = self.0.changing.lock().await;
        let mut replay = self.one(tenant, id).ok_or(CancelError::Unknown)?;
        if replay.state != ReplayState::Running {
            return Err(CancelError::Over);
        }
        replay.state = ReplayState::Cancelled;
        replay.updated = now;
        self.write(replay.clone()).await?;
        self.0.news.notify_one();
        Ok(replay)
    }

    /// Makes a replay's new state durable, and only then known.
    async fn write(&self, replay: Replay) -> Result<(), StoreError> {
        let change = Change::Put(Resource::Replay(replay.clone()));
        self.0.store.configure(vec![change]).await?;
        self.known().insert(replay.id, replay);
        Ok(())
    }

    /// Changes a running replay and makes it durable; `None` when it is not running any more.
    async fn advance(
        &self,
        id: ReplayId,
        change: impl FnOnce(&mut Replay),
    ) -> Result<Option<Replay>, StoreError> {
        let _turn = self.0.changing.lock().await;
        let Some(mut replay) = self.running_one(id) else { return Ok(None) };
        change(&mut replay);
        self.write(replay.clone()).await?;
        Ok(Some(replay))
    }

    fn running_one(&self, id: ReplayId) -> Option<Replay> {
        self.known().get(&id).filter(|replay| replay.state == ReplayState::Running).cloned()
    }

    /// Shows progress within a page; it is made durable at the page's end.
    fn show_made(&self, id: ReplayId, made: u64, now: Time) {
        if let Some(replay) = self.known().get_mut(&id) {
            replay.made = made;
            replay.updated = now;
        }
    }
}
