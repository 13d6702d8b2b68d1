//! What the verbs, the commit thread and the indexer share.

use super::answers::Answers;
use super::dedupe::keys::SegmentKeys;
use super::dedupe::load::Loaded;
use super::journal::read::Reader;
use super::journal::segment::Segment;
use super::journal::space;
use super::leases::Leases;
use super::progress::Progress;
use super::queue::Queue;
use crate::store::{Lent, StoreError};
use crate::vitals::{EmbeddedVitals, Timings};
use doorbell_core::id::EndpointId;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use tokio::sync::Notify;

/// Everything that is shared.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) secret: [u8; 16],
    pub(crate) reader: Reader,
    pub(crate) queue: Queue,
    pub(crate) leases: Leases,
    pub(crate) space: Space,
    /// Deliveries that were lent as they were accepted, in the order of the journal.
    pub(crate) outbox: Gathered<Vec<Lent>>,
    /// Endpoints at which something waits that only a claim can find.
    pub(crate) stirred: Gathered<BTreeSet<EndpointId>>,
    pub(crate) sealed: SealedKeys,
    pub(crate) keyed: Keyed,
    pub(crate) progress: Progress,
    pub(crate) trouble: Trouble,
    /// Records on their way to the disk for which nobody waits.
    pub(crate) unwatched: AtomicUsize,
    /// Such records that could not be written, since the start.
    pub(crate) unkept: AtomicU64,
    pub(crate) meters: Meters,
    pub(crate) answers: Arc<Answers>,
}

/// What is measured, since the start.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub(crate) syncs: Timings,
    /// Records that were written.
    pub(crate) written: AtomicU64,
    /// Of these, records that the index has.
    pub(crate) indexed: AtomicU64,
}

impl Shared {
    /// One of the records for which nobody waits is durable, or was refused.
    pub(crate) fn unwatched_done(&self, unwatched: bool) {
        if unwatched {
            self.unwatched.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// A rejected request that was taken could not be written. Nobody is told but whoever looks at the counts and the
    /// log, where the first, second, fourth, eighth and so on are noted.
    pub(crate) fn not_kept(&self, why: &StoreError) {
        let count = self.unkept.fetch_add(1, Ordering::Relaxed) + 1;
        if count.is_power_of_two() {
            tracing::warn!(count, %why, "rejected requests could not be kept");
        }
    }

    pub(crate) fn vitals(&self) -> EmbeddedVitals {
        let (queued, queued_bytes) = self.queue.depth();
        // In this order: what is indexed meanwhile was written before.
        let (shown, indexed) = (self.progress.upto(), self.meters.indexed.load(Ordering::Relaxed));
        let written = self.meters.written.load(Ordering::Relaxed);
        EmbeddedVitals {
            syncs: self.meters.syncs.counted(),
            queued,
            queued_bytes,
            lag_bytes: self.reader.segments().durable().saturating_sub(shown),
            lag_records: written.saturating_sub(indexed),
        }
    }

    /// From now on nothing is promised.
    pub(crate) fn break_down(&self, why: String) {
        tracing::error!(why, "the store is broken and the process must exit");
        self.queue.close(StoreError::Broken(why.clone()));
        self.progress.close(StoreError::Broken(why.clone()));
        self.trouble.tell(why);
    }

    /// What is answered after the end.
    pub(crate) fn why_closed(&self) -> StoreError {
        let why = self.trouble.why.get().cloned();
        why.map_or_else(closed, StoreError::Broken)
    }
}

/// Whether the disk is nearly full. With less room than the reserve nothing new is taken in; with less than half of it
/// nothing is written at all, for the other half is the index's: what it has not taken in cannot be read.
#[derive(Debug)]
pub(crate) struct Space {
    dir: PathBuf,
    reserve: u64,
    low: AtomicBool,
    last: AtomicBool,
}

impl Space {
    pub(crate) fn new(dir: PathBuf, reserve: u64) -> Self {
        Self { dir, reserve, low: AtomicBool::new(false), last: AtomicBool::new(false) }
    }

    /// Looks whether there is less room than the reserve. About a microsecond.
    pub(crate) fn check(&self) -> bool {
        // A disk that cannot be asked is found out by the write.
        let free = space::free(&self.dir).unwrap_or(u64::MAX);
        let low = free < self.reserve;
        self.low.store(low, Ordering::Relaxed);
        self.last.store(free < self.reserve / 2, Ordering::Relaxed);
        low
    }

    /// Whether nothing but the index's room was left when it was last looked.
    pub(crate) fn is_last(&self) -> bool {
        self.last.load(Ordering::Relaxed)
    }

    /// Whether there was too little room when it was last looked.
    pub(crate) fn was_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// Whether there was too little room when it was last looked, and still is.
    pub(crate) fn is_low(&self) -> bool {
        self.was_low() && self.check()
    }

    /// A write found no room.
    pub(crate) fn ran_out(&self) {
        self.low.store(true, Ordering::Relaxed);
    }

    /// Bytes that are free.
    pub(crate) fn free(&self) -> u64 {
        space::free(&self.dir).unwrap_or(0)
    }
}

/// What somebody waits for: it is gathered until he takes it.
#[derive(Debug, Default)]
pub(crate) struct Gathered<C> {
    items: Mutex<C>,
    came: Notify,
}

impl<T, C: Default + Extend<T> + IntoIterator<Item = T>> Gathered<C>
where
    for<'c> &'c C: IntoIterator,
{
    pub(crate) fn put(&self, items: impl IntoIterator<Item = T>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            self.items.lock().unwrap_or_else(PoisonError::into_inner).extend(items);
            self.came.notify_one();
        }
    }

    /// Waits for some and takes all. Nothing is lost when the caller goes before it has an answer.
    pub(crate) async fn take(&self) -> C {
        loop {
            let items =
                std::mem::take(&mut *self.items.lock().unwrap_or_else(PoisonError::into_inner));
            if (&items).into_iter().next().is_some() {
                return items;
            }
            self.came.notified().await;
        }
    }
}

/// The keys of segments that are full, on their way to the files beside them.
#[derive(Debug, Default)]
pub(crate) struct SealedKeys(Mutex<Vec<(Segment, SegmentKeys)>>);

impl SealedKeys {
    pub(crate) fn put(&self, segment: Segment, keys: SegmentKeys) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((segment, keys));
    }

    pub(crate) fn take(&self) -> Vec<(Segment, SegmentKeys)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The segments whose keys are in the table and in a file.
#[derive(Debug, Default)]
pub(crate) struct Keyed(Mutex<Vec<Loaded>>);

impl Keyed {
    pub(crate) fn new(loaded: Vec<Loaded>) -> Self {
        Self(Mutex::new(loaded))
    }

    pub(crate) fn put(&self, loaded: Loaded) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(loaded);
    }

    pub(crate) fn all(&self) -> Vec<Loaded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the segment was there.
    pub(crate) fn remove(&self, base: u64) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|loaded| loaded.segment.base != base);
        all.len() < before
    }
}

/// Why the store is broken, once it is.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    closed: AtomicBool,
    why: OnceLock<String>,
    told: Notify,
}

impl Trouble {
    fn tell(&self, why: String) {
        self.why.get_or_init(|| why);
        self.told.notify_waiters();
    }

    /// Waits until the store is broken.
    pub(crate) async fn wait(&self) -> String {
        loop {
            let told = self.told.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            if let Some(why) = self.why.get() {
                return why.clone();
            }
            told.await;
        }
    }

    /// From now on every verb is refused.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// # Errors
    /// [`StoreError::Broken`] when the store is broken.
    pub(crate) fn broken(&self) -> Result<(), StoreError> {
        self.why.get().map_or(Ok(()), |why| Err(StoreError::Broken(why.clone())))
    }

    /// # Errors
    /// [`StoreError::Broken`] when the store is broken or closed.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        self.broken()?;
        if self.closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }
}

/// What is answered when the store was closed in peace.
pub(crate) fn closed() -> StoreError {
    StoreError::Broken("the store is closed".to_owned())
}
