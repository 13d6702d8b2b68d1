//! The durable half of the store: journal, dedupe, leases and the threads behind them. It knows nothing of the index but
//! that somebody wants to be fed.

use super::commit::Committer;
use super::dedupe::KeyHash;
use super::dedupe::keys::SegmentKeys;
use super::dedupe::load;
use super::home::Home;
use super::item::{Accept, Done, Item, Work};
use super::journal::frame::Frame;
use super::journal::read::{ReadError, Reader};
use super::journal::recover::{self, Damage};
use super::journal::segment::{Segment, Segments};
use super::journal::write::Writer;
use super::leases::Leases;
use super::open::{OpenError, Options};
use super::progress::Progress;
use super::queue::{Queue, Urgency};
use super::shared::{Gathered, Keyed, Meters, SealedKeys, Shared, Space, Trouble, closed};
use super::tail::{Tail, View};
use crate::store::{Admission, Admitted, NewDelivery, Settled, Settlement, StoreError};
use doorbell_core::delivery::Delivery;
use doorbell_core::event::{Event, Fate};
use doorbell_core::id::{EndpointId, EventId, TenantId};
use doorbell_core::time::Time;
use doorbell_wire::stored::{self, Kind, ReceivedRef, Record, RecordHead, Redelivered, VERSION};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

/// The durable half.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) shared: Arc<Shared>,
    pub(crate) home: Home,
    /// What was found damaged when the journal was opened.
    pub(crate) damage: Vec<Damage>,
    behind: Behind,
    threads: Mutex<Vec<JoinHandle<()>>>,
    answering: Option<AbortHandle>,
}

/// How far the index may be behind before new events are refused.
#[derive(Debug, Clone, Copy)]
struct Behind {
    /// Where the journal ended at the start.
    opened_at: u64,
    bytes: u64,
    settled: usize,
}

/// A journal that is open, before the threads run.
#[derive(Debug)]
pub(crate) struct Opened {
    engine: Engine,
    committer: Committer,
    options: Options,
}

impl Opened {
    /// Takes the directory and repairs the journal's end.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn open(home: Home, options: Options) -> Result<Self, OpenError> {
        let (dir, id, secret) = (home.journal(), home.id, home.key);
        let mut noted = Vec::new();
        let found = recover::recover(&dir, id, |frame| {
            let head = RecordHead::decode(frame.kind, frame.version, frame.payload);
            if let Ok(RecordHead::Received(head)) = head {
                noted.push((frame.position, head));
            }
        })?;
        let segments = Arc::new(Segments::new(found.segments.clone()));
        let reader = Reader::new(dir.clone(), id, Arc::clone(&segments));
        let sealed = sealed(&found.segments);
        let (mut table, loaded) = load::load(&reader, &secret, sealed, options.now)?;
        let writer =
            Writer::open(&dir, id, (options.segment_bytes, options.reserve_bytes), segments)?;
        let mut keys = SegmentKeys::default();
        for (position, head) in noted {
            keys.note(&secret, &head, position - writer.base());
        }
        for (hash, position) in keys.iter(writer.base()) {
            table.put(hash, position);
        }
        let shared = Arc::new(Shared {
            secret,
            reader,
            queue: Queue::new(options.queue_records, options.queue_bytes),
            leases: Leases::default(),
            space: Space::new(dir, options.reserve_bytes),
            outbox: Gathered::default(),
            stirred: Gathered::default(),
            sealed: SealedKeys::default(),
            keyed: Keyed::new(loaded),
            progress: Progress::new(0),
            trouble: Trouble::default(),
            unwatched: AtomicUsize::new(0),
            unkept: AtomicU64::new(0),
            meters: Meters::default(),
            answers: Arc::default(),
        });
        let committer = Committer {
            shared: Arc::clone(&shared),
            writer,
            table,
            keys,
            seed: id.seed(),
            unlooked: usize::MAX,
        };
        let behind = Behind {
            opened_at: shared.reader.segments().durable(),
            bytes: options.lag_bytes,
            settled: options.lag_settled,
        };
        let engine = Engine {
            shared,
            home,
            damage: found.damage,
            behind,
            threads: Mutex::default(),
            answering: None,
        };
        Ok(Self { engine, committer, options })
    }

    /// Where the journal ends.
    pub(crate) fn durable(&self) -> u64 {
        self.engine.durable()
    }

    /// Starts the threads; `view` is fed from where it is.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub(crate) fn start<V: View>(self, view: V) -> Result<Engine, OpenError> {
        let Self { mut engine, committer, options } = self;
        engine.answering = engine.shared.answers.attend();
        let tail = Tail::new(Arc::clone(&engine.shared), view, options.index_lag);
        engine.spawn("doorbell-commit", move || committer.run())?;
        engine.spawn("doorbell-index", move || tail.run())?;
        Ok(engine)
    }
}

impl Engine {
    /// Runs a thread without which nothing can be promised.
    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), OpenError> {
        let shared = Arc::clone(&self.shared);
        let builder = std::thread::Builder::new().name(name.to_owned());
        let told = name.to_owned();
        let thread = builder.spawn(move || {
            if catch_unwind(AssertUnwindSafe(run)).is_err() {
                shared.break_down(format!("the thread {told} panicked"));
            }
        });
        let thread = thread.map_err(|fault| OpenError::Failed(format!("{name}: {fault}")))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// The position behind the last durable record.
    pub(crate) fn durable(&self) -> u64 {
        self.shared.reader.segments().durable()
    }

    pub(crate) async fn accept(&self, admission: Admission) -> Result<Admitted, StoreError> {
        let Admission { event, fate, dedupe_window, deliveries, once: _ } = admission;
        let unwatched = matches!(fate, Fate::Rejected(_));
        self.refuse_new()?;
        let Newborn { deliveries, lend, stirs } = newborn(event.tenant, event.id, deliveries);
        let record =
            ReceivedRef { event: &event, fate: &fate, dedupe_window, deliveries: &deliveries };
        let frame = frame(Kind::Received, |out| record.encode(out))?;
        let counts = fate.is_event() && !dedupe_window.is_zero();
        let key = counts.then(|| KeyHash::of(&self.shared.secret, &event)).flatten();
        let mut accept = Box::new(Accept { event, dedupe_window, key, lend, stirs, done: None });
        if unwatched {
            self.shared.unwatched.fetch_add(1, Ordering::AcqRel);
            let item = Item { frame: Some(frame), work: Work::Accept(accept) };
            self.push(item, Urgency::WithTheNext)?;
            return Ok(Admitted::New);
        }
        let (done, told) = oneshot::channel();
        accept.done = Some(done);
        self.push(Item { frame: Some(frame), work: Work::Accept(accept) }, Urgency::Now)?;
        self.hear(told).await
    }

    pub(crate) async fn settle(&self, settlement: Settlement) -> Result<Settled, StoreError> {
        let stirs = settlement.gives_back().then_some(settlement.delivery.endpoint);
        self.change(settlement, stirs).await
    }

    /// As [`Engine::settle`]; when it is durable, whoever waits for it is told that this endpoint wants a claim.
    pub(crate) async fn change(
        &self,
        settlement: Settlement,
        stirs: Option<EndpointId>,
    ) -> Result<Settled, StoreError> {
        // Not one with the waiting: the future would hold room for all that only handing in needs.
        match self.hand_in(settlement, stirs)? {
            Some(told) => self.hear(told).await,
            None => Ok(Settled::LeaseLost),
        }
    }

    /// Where it will be said that it is durable; `None`: the lease was lost.
    fn hand_in(
        &self,
        settlement: Settlement,
        stirs: Option<EndpointId>,
    ) -> Result<Option<oneshot::Receiver<Result<Settled, StoreError>>>, StoreError> {
        let id = settlement.delivery.id;
        let began = self.shared.leases.lock().settle(id, settlement.lease);
        let Some(previous) = began else { return Ok(None) };
        let at = settlement.at();
        let Settlement { lease: _, locator, delivery, attempt, next: _ } = settlement;
        let record = stored::Settled { event_at: locator.0, previous, at, delivery, attempt };
        let built = frame(Kind::Settled, |out| record.encode(out));
        let frame = built.inspect_err(|_| self.shared.leases.lock().unsettled(id))?;
        let (done, told) = oneshot::channel();
        let work = Work::Settle { delivery: id, stirs, done };
        self.push(Item { frame: Some(frame), work }, Urgency::Now)?;
        Ok(Some(told))
    }

    pub(crate) async fn redeliver(
        &self,
        (tenant, event, (event_at, body_len)): (TenantId, EventId, (u64, u64)),
        deliveries: Vec<NewDelivery>,
        at: Time,
    ) -> Result<(), StoreError> {
        self.refuse_new()?;
        let Newborn { deliveries, lend, stirs } = newborn(tenant, event, deliveries);
        let record = Redelivered { event_at, at, tenant, event, deliveries };
        let frame = frame(Kind::Redelivered, |out| record.encode(out))?;
        self.push_and_hear(Some(frame), |done| Work::Redeliver {
            event_at,
            body_len,
            lend,
            stirs,
            done,
        })
        .await
    }

    /// Waits until everything that was accepted before is durable, also what nobody waits for.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        if self.shared.unwatched.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        self.barrier().await
    }

    /// Waits until everything that was handed in before is durable, also what somebody has stopped waiting for.
    pub(crate) async fn barrier(&self) -> Result<(), StoreError> {
        self.push_and_hear(None, Work::Flush).await
    }

    /// Waits until the index shows everything that was accepted and settled before.
    pub(crate) async fn catch_up(&self) -> Result<(), StoreError> {
        self.shared.trouble.check()?;
        self.flush().await?;
        self.shared.progress.reach(self.durable()).await
    }

    /// Everything that stands in the record at `position`.
    pub(crate) fn record(&self, position: u64) -> Result<Record, StoreError> {
        let stored = self.shared.reader.record(position).map_err(|fault| match fault {
            ReadError::Damaged(_) | ReadError::Missing(_) => StoreError::Corrupt(fault.to_string()),
            ReadError::Io(_) => StoreError::Failed(fault.to_string()),
        })?;
        Record::decode(stored.kind, stored.version, &stored.payload)
            .map_err(|fault| StoreError::Corrupt(format!("the record at {position}: {fault}")))
    }

    /// The event whose record stands at `position`, and its fate.
    pub(crate) fn event_at(&self, position: u64) -> Result<(Event, Fate), StoreError> {
        match self.record(position)? {
            Record::Received(received) => Ok((received.event, received.fate)),
            Record::Settled(_) | Record::Redelivered(_) => {
                Err(StoreError::Corrupt(format!("no event stands at position {position}")))
            }
        }
    }

    /// Writes out what waits, and ends the threads.
    pub(crate) fn close(&self) {
        self.shared.trouble.close();
        self.shared.queue.close(closed());
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let mut threads = threads.into_iter();
        // The commit thread first: it empties the queue.
        let commit = threads.next().map(JoinHandle::join);
        self.shared.progress.close(closed());
        self.answering.iter().for_each(AbortHandle::abort);
        let rest: Vec<_> = threads.map(JoinHandle::join).collect();
        if commit.into_iter().chain(rest).any(|ended| ended.is_err()) {
            tracing::error!("a thread of the store panicked");
        }
    }

    /// Nothing new comes in when the disk is nearly full, or while the index is too far behind: then what is settled
    /// would pile up in memory, and a claim would wait ever longer. What is on its way out goes on.
    fn refuse_new(&self) -> Result<(), StoreError> {
        if self.shared.space.is_low() {
            return Err(StoreError::Full);
        }
        let Behind { opened_at, bytes, settled } = self.behind;
        let known = self.shared.progress.upto().max(opened_at);
        let too_far = self.durable().saturating_sub(known) > bytes
            || self.shared.leases.lock().settled_count() > settled;
        if too_far { Err(StoreError::Busy) } else { Ok(()) }
    }

    async fn push_and_hear<T>(
        &self,
        frame: Option<Frame>,
        work: impl FnOnce(Done<T>) -> Work,
    ) -> Result<T, StoreError> {
        let (done, told) = oneshot::channel();
        self.push(Item { frame, work: work(done) }, Urgency::Now)?;
        self.hear(told).await
    }

    pub(crate) fn push(&self, item: Item, urgency: Urgency) -> Result<(), StoreError> {
        self.shared.queue.push(item, urgency).map_err(|(item, why)| {
            item.refuse(&self.shared, &why);
            why
        })
    }

    async fn hear<T>(
        &self,
        told: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        told.await.unwrap_or_else(|_| Err(self.shared.why_closed()))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

fn frame(kind: Kind, encode: impl FnOnce(&mut Vec<u8>)) -> Result<Frame, StoreError> {
    Frame::build(kind, VERSION, encode)
        .map_err(|_| StoreError::Failed("the record is too large for the journal".to_owned()))
}

/// New deliveries.
struct Newborn {
    /// All of them, as they start.
    deliveries: Vec<Delivery>,
    /// Those that are lent at once.
    lend: Vec<Delivery>,
    /// Where the others wait.
    stirs: Vec<EndpointId>,
}

fn newborn(tenant: TenantId, event: EventId, new: Vec<NewDelivery>) -> Newborn {
    let (mut lend, mut stirs) = (Vec::new(), Vec::new());
    let deliveries = new.into_iter().map(|new| {
        let delivery = Delivery {
            id: new.id,
            tenant,
            event,
            endpoint: new.endpoint,
            order_key: new.order_key,
            replay: new.replay,
            attempts: 0,
            by_hand: 0,
            state: new.state,
            asked: false,
        };
        match (new.state.is_settled(), new.lend) {
            (true, _) => {}
            (false, true) => lend.push(delivery.clone()),
            (false, false) => stirs.push(new.endpoint),
        }
        delivery
    });
    Newborn { deliveries: deliveries.collect(), lend, stirs }
}

/// The last segment is the one that is written to.
pub(crate) fn sealed(segments: &[Segment]) -> &[Segment] {
    segments.split_last().map_or(&[], |(_, sealed)| sealed)
}
