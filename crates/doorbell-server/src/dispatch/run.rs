//! The loop that owns all lanes: it takes in what was lent, claimed, ended or changed, and starts what may start.
//!
//! It decides and starts; it never waits for a delivery, the store or the network itself.

mod taking;
mod claiming;
mod starting;

use crate::clock::Clock;
use crate::configured::{Changes, Configured};
use crate::desk::Desk;
use crate::dispatch::deliver::Deliverer;
use crate::dispatch::give_back::give_back;
use crate::dispatch::lane::Lane;
use crate::dispatch::message::Message;
use crate::dispatch::settling::Done;
use crate::metrics::Metric;
use crate::standings::{Found, Question, Questions};
use crate::tasks::{Stage, Stop};
use doorbell_core::body_room::BodyRoom;
use doorbell_core::directory::Directory;
use doorbell_core::event::Event;
use doorbell_core::id::{DeliveryId, EndpointId};
use doorbell_core::places::Places;
use doorbell_core::standing::Standing;
use doorbell_core::time::Time;
use doorbell_store::{AnyStore, Lent, Store};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// What an event costs beside its body, roughly.
const PAYLOAD_OVERHEAD: usize = 2 << 10;
/// The clock is looked at at least so often, so that a jump of the wall clock delays nothing for longer.
const TICK: Duration = Duration::from_secs(1);
/// How often all lanes are looked at: which delivery is the oldest, and who holds too many.
const ROUND_EVERY: Duration = Duration::from_secs(1);
/// When a claim failed, the store is asked again after this.
const CLAIM_RETRY: Duration = Duration::from_secs(1);

/// The loop's state.
pub(crate) struct Run {
    store: Arc<AnyStore>,
    deliverer: Arc<Deliverer>,
    desk: Desk,
    configured: Arc<Configured>,
    changed: Changes,
    clock: Clock,
    directory: Arc<Directory>,
    lanes: HashMap<EndpointId, Lane>,
    /// Lanes whose breaker is not closed.
    open: HashSet<EndpointId>,
    /// Lanes that may start something, each once; served in turn.
    ring: VecDeque<EndpointId>,
    /// Lanes that could start something, were their share larger; each once.
    squeezed: VecDeque<EndpointId>,
    /// Lanes whose next body is a large one, each once.
    heavy: VecDeque<EndpointId>,
    /// When to look at a lane again. An alarm that no longer matters only costs a look.
    alarms: BinaryHeap<Reverse<(Time, EndpointId)>>,
    places: Places,
    bodies: BodyRoom,
    /// Bytes of bodies in tries that are out, small ones left out.
    bodies_out: u64,
    /// Deliveries that were started and are not settled: so many places are taken.
    in_flight: usize,
    /// Since when.
    begun: HashMap<DeliveryId, Time>,
    /// When all lanes were last looked at.
    rounded: Time,
    /// What is being written down. The loop waits for all of it itself: the store answers a whole batch with one wake-up.
    settling: FuturesUnordered<BoxFuture<'static, Done>>,
    /// Bytes of events that wait in memory.
    payloads: usize,
    claims: usize,
    /// Lanes whose claim waits until fewer are under way, each once.
    claim_queue: VecDeque<EndpointId>,
    tell: mpsc::Sender<Message>,
}

impl Run {
    pub(crate) fn new(
        store: Arc<AnyStore>,
        deliverer: Arc<Deliverer>,
        (configured, desk): (Arc<Configured>, Desk),
        clock: Clock,
        (places, bodies, tell): (Places, BodyRoom, mpsc::Sender<Message>),
    ) -> Self {
        // In this order: what changes in between is taken over once more.
        let changed = configured.watch();
        Self {
            store,
            deliverer,
            desk,
            directory: configured.directory(),
            configured,
            changed,
            clock,
            lanes: HashMap::new(),
            open: HashSet::new(),
            ring: VecDeque::new(),
            squeezed: VecDeque::new(),
            heavy: VecDeque::new(),
            alarms: BinaryHeap::new(),
            places,
            bodies,
            bodies_out: 0,
            in_flight: 0,
            begun: HashMap::new(),
            rounded: Time::EPOCH,
            settling: FuturesUnordered::new(),
            payloads: 0,
            claims: 0,
            claim_queue: VecDeque::new(),
            tell,
        }
    }

    /// Runs until the node rests or drains, then until nothing is in flight any more.
    pub(crate) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<Message>,
        mut questions: Questions,
        mut stop: Stop,
    ) {
        tokio::select! {
            () = self.take_backlog() => {}
            () = stop.reached(Stage::Resting) => return,
        }
        let mut messages = Vec::with_capacity(256);
        loop {
            self.turn();
            let wait = self.until_next_alarm();
            tokio::select! {
                _ = inbox.recv_many(&mut messages, 256) => {}
                lent = self.store.lent() => self.take_lent(lent),
                stirred = self.store.stirred() => self.take_stirred(&stirred),
                Some(done) = self.settling.next() => self.take_settled(done),
                Some(touched) = self.changed.next() => self.take_touched(&touched),
                question = questions.next() => self.answer(question),
                () = stop.reached(Stage::Resting) => break,
                () = tokio::time::sleep(wait) => {}
            }
            self.take_messages(&mut messages);
            self.measure();
            self.now_and_then();
        }
        // Whoever asks from now on is answered at once, with nothing.
        drop(questions);
        self.store.lend_from_others(None);
        self.drain(inbox).await;
    }

    fn answer(&self, Question { endpoints, tell }: Question) {
        let now = self.clock.now();
        let standing =
            |id: &EndpointId| self.lanes.get(id).map_or(Standing::IDLE, |lane| lane.standing(now));
        let found: Found = endpoints.into_iter().map(|id| (id, standing(&id))).collect();
        // Who asked may have gone.
        drop(tell.send(found));
    }

    fn measure(&self) {
        let metrics = &self.deliverer.metrics;
        metrics.set(Metric::DeliveriesInFlight, self.in_flight as u64);
        metrics.set(Metric::BodyBytesOut, self.bodies_out);
        metrics.set(Metric::DeliveriesInMemory, self.desk.used() as u64);
        metrics.set(Metric::BreakersOpen, self.open.len() as u64);
    }

    /// What goes from lane to lane, and so not at every turn.
    fn now_and_then(&mut self) {
        let now = self.clock.now();
        if now.since(self.rounded) < ROUND_EVERY && self.rounded <= now {
            return;
        }
        self.rounded = now;
        self.relieve();
        self.measure_ages(now);
        self.tell_where_there_is_room();
    }

    /// What other nodes take in may be lent to this one, while there is room, but for lanes of which others wait in the store: these
    /// go first.
    fn tell_where_there_is_room(&self) {
        let spilled = self.lanes.iter().filter(|(_, lane)| lane.window.is_spilled());
        let shut = spilled.map(|(endpoint, _)| *endpoint);
        self.store.lend_from_others((!self.desk.is_crowded()).then(|| shut.collect()));
    }

    /// Which deliveries are the oldest.
    fn measure_ages(&self, now: Time) {
        let (mut waiting, mut held) = (None::<Time>, None::<Time>);
        for (due, is_held) in self.lanes.values().filter_map(|lane| lane.oldest(now)) {
            let oldest = if is_held { &mut held } else { &mut waiting };
            *oldest = Some(oldest.map_or(due, |oldest| oldest.min(due)));
        }
        let in_flight = self.begun.values().copied().min();
        self.deliverer.metrics.oldest([waiting, held, in_flight]);
    }

    /// Lets what is in flight end, and gives the rest back meanwhile.
    async fn drain(&mut self, mut inbox: mpsc::Receiver<Message>) {
        let store = Arc::clone(&self.store);
        let waiting: Vec<Lent> = self.lanes.values_mut().flat_map(|lane| lane.give_up(0)).collect();
        let mut backs = FuturesUnordered::from_iter([give_back(&store, waiting)]);
        while self.in_flight > 0 || self.claims > 0 || !backs.is_empty() {
            let message = tokio::select! {
                Some(_) = self.settling.next() => {
                    self.in_flight = self.in_flight.saturating_sub(1);
                    continue;
                }
                Some(()) = backs.next() => continue,
                message = inbox.recv() => message,
            };
            match message {
                Some(Message::Tried(tried)) => self.take_tried(*tried, false),
                Some(Message::Claimed { claims, .. }) => {
                    self.claims = self.claims.saturating_sub(1);
                    let lent = claims.map(|claims| claims.lent).unwrap_or_default();
                    backs.push(give_back(&store, lent));
                }
                None => return,
            }
        }
    }

    fn lane(&mut self, endpoint: EndpointId) -> &mut Lane {
        let (directory, desk) = (&self.directory, &self.desk);
        self.lanes.entry(endpoint).or_insert_with(|| {
            Lane::new(directory.endpoint(endpoint).cloned(), desk.window(endpoint))
        })
    }
}

/// What the payload of a lent delivery weighs in memory.
fn weight(lent: &Lent) -> usize {
    lent.payload.as_ref().map_or(0, |event| weight_of(event))
}

/// What an event weighs in memory.
fn weight_of(event: &Event) -> usize {
    event.request.body.len() + PAYLOAD_OVERHEAD
}
