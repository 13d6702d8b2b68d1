//! Taking events in: what has come together goes to the database as one statement.
//!
//! The statement is atomic by itself, so there is no BEGIN and no COMMIT, and one round trip. When the connection breaks
//! nobody knows whether it took effect; the places of its events, which nobody else can have, tell it afterwards.

use super::away::{Put, Shelf};
use super::batch::{self, Batch, Load, NOBODY, Repeats};
use super::kinds::Kind;
use super::leases::Hold;
use super::line::Open;
use super::partitions::Days;
use super::parts::Parts;
use super::place::Places;
use super::ticks;
use crate::store::{Admission, Admitted, Lent, Locator, StoreError};
use doorbell_core::id::EndpointId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Events that may wait to be taken in, and their bytes.
const WAITING: usize = 8_192;
const WAITING_KIB: usize = 256 << 10;
/// How long a batch tries to be taken in while the database is away.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

type Answer = Result<Admitted, StoreError>;

/// An event that waits to be taken in.
#[derive(Debug)]
struct Item {
    admission: Admission,
    answer: oneshot::Sender<Answer>,
    body: Put,
    _room: OwnedSemaphorePermit,
}

/// Where events are handed in.
#[derive(Debug)]
pub(super) struct Door {
    items: mpsc::Sender<Item>,
    room: Arc<Semaphore>,
    bodies: Option<Arc<Shelf>>,
}

impl Door {
    /// Hands an event in and waits until it is durable.
    pub(super) async fn accept(&self, admission: Admission) -> Answer {
        let kib = admission.event.request.body.len() / 1024 + 1;
        let permits = u32::try_from(kib.min(WAITING_KIB)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(permits);
        let room = room.map_err(|_| StoreError::Busy)?;
        let body = Put::of(self.bodies.as_ref(), &admission).await;
        let (answer, answered) = oneshot::channel();
        self.items
            .try_send(Item { admission, answer, body, _room: room })
            .map_err(|_| StoreError::Busy)?;
        answered.await.unwrap_or(Err(StoreError::Busy))
    }
}

/// Starts the task that takes events in, behind the place `last`; it ends when the door is gone.
pub(super) fn start(parts: Arc<Parts>, last: i64, days: Arc<Days>) -> Door {
    let (items, from) = mpsc::channel(WAITING);
    let room = Arc::new(Semaphore::new(WAITING_KIB));
    let bodies = parts.bodies.clone();
    tokio::spawn(
        Writer { parts, days, places: Places::behind(last), from, behind: VecDeque::new() }.run(),
    );
    Door { items, room, bodies }
}

/// What became of the deliveries of a batch.
#[derive(Debug, Default)]
struct Lending {
    here: Vec<Lent>,
    /// The places of their events, by node.
    elsewhere: BTreeMap<i64, Vec<i64>>,
    /// Endpoints for which others wait.
    stirred: BTreeSet<EndpointId>,
}

struct Writer {
    parts: Arc<Parts>,
    days: Arc<Days>,
    places: Places,
    from: mpsc::Receiver<Item>,
    /// Came before what is in `from`: did not fit into the last batch, or was kept when others were refused.
    behind: VecDeque<Item>,
}

impl Writer {
    async fn run(mut self) {
        while let Some(mut items) = self.gather().await {
            for item in &mut items {
                item.body.end().await;
            }
            let began = ticks::now();
            let done = match self.parts.check() {
                Ok(()) => self.commit(&items).await,
                Err(closed) => Err(closed),
            };
            self.parts.commits.observe(began.elapsed());
            match done {
                Ok(answers) => {
                    for (item, answer) in items.into_iter().zip(answers) {
                        drop(item.answer.send(Ok(answer)));
                    }
                }
                Err(fault) => {
                    if items.iter().any(|item| item.admission.once) {
                        self.refuse_behind(&fault);
                    }
                    for item in items {
                        drop(item.answer.send(Err(fault.clone())));
                    }
                }
            }
        }
    }

    /// All that is there, as far as it fits into one statement: no key twice.
    async fn gather(&mut self) -> Option<Vec<Item>> {
        let first = match self.behind.pop_front() {
            Some(item) => item,
            None => self.from.recv().await?,
        };
        let mut load = Load::default();
        load.add(&first.admission);
        let mut items = vec![first];
        while let Some(item) = self.next() {
            if !load.takes(&item.admission) {
                self.behind.push_front(item);
                break;
            }
            load.add(&item.admission);
            items.push(item);
        }
        Some(items)
    }

    fn next(&mut self) -> Option<Item> {
        self.behind.pop_front().or_else(|| self.from.try_recv().ok())
    }

    /// What comes from a queue keeps its order: what was handed in behind some that were not taken is not taken before
    /// them.
    fn refuse_behind(&mut self, fault: &StoreError) {
        let mut kept = VecDeque::new();
        while let Some(item) = self.next() {
            if item.admission.once {
                drop(item.answer.send(Err(fault.clone())));
            } else {
                kept.push_back(item);
            }
        }
        self.behind = kept;
    }

    /// Takes a batch in, again and again while the database is away, but not for long: whoever sent an event waits.
    async fn commit(&mut self, items: &[Item]) -> Result<Vec<Admitted>, StoreError> {
        let begin = ticks::now();
        let (mut batch, mut tries): (Option<Batch>, u32) = (None, 0);
        loop {
            let done = self.attempt(items, &mut batch).await;
            tries += 1;
            match done {
                Err(StoreError::Busy) if begin.elapsed() < PATIENCE => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(fault) => {
                    // What it lends may be lent, and nobody was given it.
                    self.parts.doubt.fetch_or(batch.is_some(), Ordering::SeqCst);
                    return Err(fault);
                }
                Ok(repeats) => {
                    let Some(batch) = batch else { return Err(StoreError::Busy) };
                    let answers = self.settle(items, &batch, &repeats).await;
                    // The try before may have been done after all while this one found that all is there: then nobody was
                    // given what it lent.
                    self.parts.doubt.fetch_or(tries > 1, Ordering::SeqCst);
                    return Ok(answers);
                }
            }
        }
    }

    /// One try. Where a batch was made, the one before may have taken effect.
    async fn attempt(
        &mut self,
        items: &[Item],
        batch: &mut Option<Batch>,
    ) -> Result<Repeats, StoreError> {
        let line = self.parts.accepter.open().await?;
        if let Some(made) = batch {
            if let Some(repeats) = made.look(&line).await? {
                return Ok(repeats);
            }
        } else {
            self.places.reserve(items.len(), &line).await?;
            *batch = Some(self.batch(items, &line).await?);
        }
        let Some(made) = batch else { return Err(StoreError::Busy) };
        self.days.ensure(made.days(), &line).await?;
        made.insert(&line, &self.days).await
    }

    async fn batch(&mut self, items: &[Item], line: &Open) -> Result<Batch, StoreError> {
        let wanted: Vec<Kind> =
            items.iter().flat_map(|item| batch::kinds_of(&item.admission)).collect();
        let numbers = self.parts.kinds.numbers(&wanted, line).await?;
        let mut batch = Batch::new(self.parts.node());
        for Item { admission, body, .. } in items {
            let Some(seq) = self.places.next(admission.event.at) else {
                return Err(StoreError::Busy);
            };
            batch.add((seq, body.is_away()), admission, &numbers, &self.parts);
        }
        Ok(batch)
    }

    /// It is durable: lends what is to be lent, tells of the rest, and says what is to be answered.
    async fn settle(&self, items: &[Item], batch: &Batch, repeats: &Repeats) -> Vec<Admitted> {
        let Lending { here, elsewhere, stirred } = self.lend(items, batch, repeats);
        self.parts.deliver_lent(here);
        self.parts.tell_of_lent(&elsewhere).await;
        self.parts.wake(stirred).await;
        let answer = |seq| repeats.get(seq).copied().unwrap_or(Admitted::New);
        batch.places().iter().map(answer).collect()
    }

    /// What the database has lent as it was accepted, and for which endpoints other deliveries wait.
    fn lend(&self, items: &[Item], batch: &Batch, repeats: &Repeats) -> Lending {
        let mut lending = Lending::default();
        let mut holders = batch.holders().iter();
        let mut leases = self.parts.leases();
        for (item, seq) in items.iter().zip(batch.places()) {
            let event = &item.admission.event;
            for (nth, new) in (0_i32..).zip(&item.admission.deliveries) {
                let holder = holders.next().copied().unwrap_or(NOBODY);
                if repeats.contains_key(seq) || new.state.is_settled() {
                    continue;
                }
                if holder == NOBODY {
                    lending.stirred.insert(new.endpoint);
                    continue;
                }
                if holder != batch.node {
                    let places = lending.elsewhere.entry(holder).or_default();
                    if places.last() != Some(seq) {
                        places.push(*seq);
                    }
                    continue;
                }
                lending.here.push(Lent {
                    delivery: batch::made(event, new),
                    locator: Locator(seq.cast_unsigned()),
                    lease: leases.lend(new.id, Hold::new(1, nth, batch.node)),
                    body_len: event.request.body.len() as u64,
                    payload: Some(Arc::clone(event)),
                });
            }
        }
        lending
    }
}
