//! The loop that owns all lanes: it takes in what was lent, claimed, ended or changed, and starts what may start.
//!
//! It decides and starts; it never waits for a delivery, the store or the network itself.

use crate::clock::Clock;
use crate::configured::{Changes, Configured, Touched};
use crate::desk::Desk;
use crate::dispatch::deliver::Deliverer;
use crate::dispatch::lane::{End, Held, Lane, Start, Wish};
use crate::dispatch::message::{CLAIMS_MAX, Message, Tried};
use crate::dispatch::settling::{self, Done};
use crate::metrics::{Metric, Timing};
use crate::standings::{Found, Question, Questions};
use crate::tasks::{Stage, Stop};
use doorbell_core::breaker::Condition;
use doorbell_core::configuration::ResourceId;
use doorbell_core::delivery::State;
use doorbell_core::directory::Directory;
use doorbell_core::id::{DeliveryId, EndpointId};
use doorbell_core::places::Places;
use doorbell_core::settle::{self, EndpointChange};
use doorbell_core::standing::{self, Standing};
use doorbell_core::time::Time;
use doorbell_store::{AnyStore, Claim, Claims, Lent, Settlement, Store, StoreError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Deliveries a lane may start before the next lane has its turn.
const BURST: usize = 8;
/// Bytes of events that wait in memory; what does not fit is read from the store again when its turn comes.
const PAYLOADS_MAX: usize = 32 << 20;
/// Bytes of events that one claim brings along.
const CLAIMED_EVENTS_MAX: usize = 2 << 20;
/// What an event costs beside its body, roughly.
const PAYLOAD_OVERHEAD: usize = 2 << 10;
/// How long a lease lasts: the longest timeout, and time to settle.
const LEASE: Duration = Duration::from_secs(300);
/// The clock is looked at at least so often, so that a jump of the wall clock delays nothing for longer.
const TICK: Duration = Duration::from_secs(1);
/// How often it is looked which delivery is the oldest.
const AGES_EVERY: Duration = Duration::from_secs(1);
/// Lanes that wait for a larger share and are looked at in one turn.
const SQUEEZED_LOOKS: usize = 64;
/// Deliveries that are given back at once.
const GIVE_BACKS_MAX: usize = 256;
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
    /// When to look at a lane again. An alarm that no longer matters only costs a look.
    alarms: BinaryHeap<Reverse<(Time, EndpointId)>>,
    places: Places,
    /// Deliveries that were started and are not settled: so many places are taken.
    in_flight: usize,
    /// Since when.
    begun: HashMap<DeliveryId, Time>,
    /// When it was last looked which delivery is the oldest.
    aged: Time,
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
        (places, tell): (Places, mpsc::Sender<Message>),
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
            alarms: BinaryHeap::new(),
            places,
            in_flight: 0,
            begun: HashMap::new(),
            aged: Time::EPOCH,
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
            self.measure_ages();
        }
        // Whoever asks from now on is answered at once, with nothing.
        drop(questions);
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
        metrics.set(Metric::DeliveriesInMemory, self.desk.used() as u64);
        metrics.set(Metric::BreakersOpen, self.open.len() as u64);
    }

    /// Which deliveries are the oldest; looked at now and then, since it goes from lane to lane.
    fn measure_ages(&mut self) {
        let now = self.clock.now();
        if now.since(self.aged) < AGES_EVERY && self.aged <= now {
            return;
        }
        self.aged = now;
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
        let waiting: Vec<Lent> = self.lanes.values_mut().flat_map(Lane::clear).collect();
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
                Some(Message::Tried(tried)) => self.take_tried(*tried),
                Some(Message::Claimed { claims, .. }) => {
                    self.claims = self.claims.saturating_sub(1);
                    let lent = claims.map(|claims| claims.lent).unwrap_or_default();
                    backs.push(give_back(&store, lent));
                }
                None => return,
            }
        }
    }

    /// At start: what waits in the store from before.
    async fn take_backlog(&mut self) {
        loop {
            match self.store.backlog().await {
                Ok(backlog) => {
                    self.take_directory();
                    for one in backlog {
                        let now = self.clock.now();
                        self.lane(one.endpoint).store_has(one.next_due, now);
                        self.look(one.endpoint);
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "the backlog could not be read; trying again");
                    tokio::time::sleep(CLAIM_RETRY).await;
                }
            }
        }
    }

    fn lane(&mut self, endpoint: EndpointId) -> &mut Lane {
        let (directory, desk) = (&self.directory, &self.desk);
        self.lanes.entry(endpoint).or_insert_with(|| {
            Lane::new(directory.endpoint(endpoint).cloned(), desk.window(endpoint))
        })
    }

    fn take_lent(&mut self, lent: Vec<Lent>) {
        self.take_directory();
        let now = self.clock.now();
        for mut one in lent {
            if weight(&one) > self.payload_room() {
                one.payload = None;
            }
            let (endpoint, weight) = (one.delivery.endpoint, weight(&one));
            let lane = self.lane(endpoint);
            if lane.push(one, now) == Held::Whole {
                self.payloads += weight;
            }
            let lane = self.lane(endpoint);
            let window = Arc::clone(&lane.window);
            self.desk.hold(&window, 1);
            self.empty_if_paused(endpoint);
            self.look(endpoint);
        }
    }

    fn take_stirred(&mut self, endpoints: &[EndpointId]) {
        self.take_directory();
        let now = self.clock.now();
        for endpoint in endpoints {
            self.lane(*endpoint).store_has(Time::EPOCH, now);
            self.look(*endpoint);
        }
    }

    /// Takes over the configuration if it has changed. What was accepted was accepted under the one of the moment or an
    /// earlier one: with an older one, a new endpoint would look like one that was deleted.
    fn take_directory(&mut self) {
        while let Some(touched) = self.changed.try_next() {
            self.take_touched(&touched);
        }
    }

    fn take_touched(&mut self, touched: &Touched) {
        self.directory = self.configured.directory();
        let now = self.clock.now();
        let endpoints: Vec<EndpointId> = match touched {
            Touched::These(ids) => ids.iter().filter_map(ResourceId::endpoint).collect(),
            Touched::Anything => self.lanes.keys().copied().collect(),
        };
        for endpoint in endpoints {
            if let Some(lane) = self.lanes.get_mut(&endpoint) {
                lane.configure(self.directory.endpoint(endpoint).cloned(), now);
                self.empty_if_paused(endpoint);
                self.look(endpoint);
            }
        }
    }

    /// A paused lane holds nothing: its deliveries wait in the store, where they can be cancelled, and which tells when
    /// it has them again.
    fn empty_if_paused(&mut self, endpoint: EndpointId) {
        let now = self.clock.now();
        let lane = self.lane(endpoint);
        if !lane.should_give_back() {
            return;
        }
        let waiting = lane.clear();
        let weight: usize = waiting.iter().map(weight).sum();
        lane.store_has(Time::EPOCH, now);
        let window = Arc::clone(&lane.window);
        self.desk.release(&window, waiting.len());
        self.payloads = self.payloads.saturating_sub(weight);
        let store = Arc::clone(&self.store);
        tokio::spawn(async move { give_back(&store, waiting.into()).await });
    }

    fn take_messages(&mut self, messages: &mut Vec<Message>) {
        self.take_directory();
        for message in messages.drain(..) {
            match message {
                Message::Tried(tried) => {
                    let endpoint = tried.settlement.delivery.endpoint;
                    self.take_tried(*tried);
                    self.look(endpoint);
                }
                Message::Claimed { endpoint, claims } => self.take_claims(endpoint, claims),
            }
        }
    }

    /// A try has ended: its place is free, and what came of it goes to the store.
    fn take_tried(&mut self, tried: Tried) {
        let Tried { endpoint, pass, dice, settlement, change } = tried;
        let (now, url) = (self.clock.now(), endpoint.endpoint().url.as_str());
        let outcome = settlement.attempt.as_ref().map(|attempt| &attempt.outcome);
        let lane = self.lane(settlement.delivery.endpoint);
        lane.tried(End { url, pass, outcome, dice }, now);
        self.settle(settlement, change);
    }

    fn settle(&mut self, settlement: Settlement, change: Option<EndpointChange>) {
        let deliverer = Arc::clone(&self.deliverer);
        self.settling.push(settling::settle(deliverer, settlement, change).boxed());
    }

    /// Takes this one and all others that are settled by now.
    fn take_settled(&mut self, done: Done) {
        self.take_directory();
        let mut next = Some(done);
        while let Some(done) = next {
            self.take_done(&done);
            next = self.settling.next().now_or_never().flatten();
        }
    }

    fn take_done(&mut self, done: &Done) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.begun.remove(&done.delivery);
        let now = self.clock.now();
        let lane = self.lane(done.endpoint);
        lane.settled();
        match done.state {
            Some(State::Waiting { due }) => lane.store_has(due, now),
            // Its key's next one may be lent now.
            Some(State::Delivered { .. } | State::Failed { .. } | State::Discarded { .. })
                if lane.keeps_order() =>
            {
                lane.store_has(Time::EPOCH, now);
            }
            Some(State::Delivered { .. } | State::Failed { .. } | State::Discarded { .. }) => {}
            // Not settled (lease lost, or the store gave up): the store knows better.
            None => lane.store_has(now.after(CLAIM_RETRY), now),
        }
        let window = Arc::clone(&lane.window);
        self.desk.release(&window, 1);
        self.look(done.endpoint);
    }

    fn take_claims(&mut self, endpoint: EndpointId, claims: Result<Claims, StoreError>) {
        self.claims = self.claims.saturating_sub(1);
        let now = self.clock.now();
        let lane = self.lane(endpoint);
        match claims {
            Ok(claims) => {
                let (window, count) = (Arc::clone(&lane.window), claims.lent.len());
                let weight: usize = claims.lent.iter().map(weight).sum();
                lane.claimed(claims, now);
                self.payloads += weight;
                self.desk.hold(&window, count);
            }
            Err(error) => {
                tracing::warn!(%endpoint, %error, "a claim failed; trying again");
                lane.claim_failed(now.after(CLAIM_RETRY));
            }
        }
        self.empty_if_paused(endpoint);
        // Those that wait go first.
        self.claim_next();
        self.look(endpoint);
    }

    /// As many of those that wait for their claim as may go on; some do not want it any more.
    fn claim_next(&mut self) {
        while self.claims < CLAIMS_MAX
            && let Some(next) = self.claim_queue.pop_front()
        {
            self.lane(next).lines.claims = false;
            self.look(next);
        }
    }

    /// After anything happened to a lane: into the ring, a claim, an alarm.
    fn look(&mut self, endpoint: EndpointId) {
        self.look_at(endpoint, self.clock.now());
    }

    fn look_at(&mut self, endpoint: EndpointId, now: Time) {
        let share = self.share();
        let may_claim = self.claims < CLAIMS_MAX;
        self.stand_in_line(endpoint, now, share);
        let lane = self.lane(endpoint);
        if may_claim {
            if let Some(wish) = lane.wish(now) {
                self.claim(endpoint, wish, now);
            }
        } else if !lane.lines.claims && lane.would_wish(now) {
            lane.lines.claims = true;
            self.claim_queue.push_back(endpoint);
        }
        if let Some(at) = self.lane(endpoint).new_alarm(now) {
            self.alarms.push(Reverse((at, endpoint)));
        }
        if let Some(condition) = self.lane(endpoint).breaker_news() {
            self.tell_of_breaker(endpoint, condition);
        }
        if self.lane(endpoint).is_over() {
            self.lanes.remove(&endpoint);
            self.open.remove(&endpoint);
            self.desk.forget(endpoint);
        }
    }

    /// Into the ring of those that may start something, or in line for a larger share.
    fn stand_in_line(&mut self, endpoint: EndpointId, now: Time, share: usize) {
        let lane = self.lane(endpoint);
        let lines = lane.lines;
        if !lines.ring && lane.is_ready(now, share) {
            lane.lines.ring = true;
            self.ring.push_back(endpoint);
        } else if !lines.ring && !lines.squeezed && lane.is_ready(now, usize::MAX) {
            lane.lines.squeezed = true;
            self.squeezed.push_back(endpoint);
        }
    }

    /// When there is room again, nobody else would look at those that got too small a share before.
    fn look_at_squeezed(&mut self, now: Time) {
        let looks = self.squeezed.len().min(SQUEEZED_LOOKS);
        if self.share() == 1 {
            return;
        }
        for endpoint in self.squeezed.drain(..looks).collect::<Vec<_>>() {
            if let Some(lane) = self.lanes.get_mut(&endpoint) {
                lane.lines.squeezed = false;
                self.look_at(endpoint, now);
            }
        }
    }

    fn tell_of_breaker(&mut self, endpoint: EndpointId, condition: Condition) {
        let name = self.lane(endpoint).configured().map(|endpoint| endpoint.name.to_string());
        let name = name.unwrap_or_default();
        match condition {
            Condition::Closed => {
                self.open.remove(&endpoint);
                tracing::info!(%endpoint, name, "a circuit breaker has closed");
            }
            Condition::Open { why, .. } | Condition::HalfOpen { why, .. } => {
                self.open.insert(endpoint);
                let because = standing::opened_because(&why);
                tracing::warn!(%endpoint, name, because, "a circuit breaker has opened");
            }
        }
    }

    fn claim(&mut self, endpoint: EndpointId, wish: Wish, now: Time) {
        let window = Arc::clone(&self.lane(endpoint).window);
        let most = self.desk.room(&window, wish.most);
        self.claims += 1;
        let claim = Claim {
            endpoint,
            by_key: wish.by_key,
            due_by: now,
            most,
            event_bytes: if wish.events { self.payload_room().min(CLAIMED_EVENTS_MAX) } else { 0 },
            lease_until: now.after(LEASE),
        };
        let (store, tell) = (Arc::clone(&self.store), self.tell.clone());
        let (clock, metrics) = (self.clock.clone(), Arc::clone(&self.deliverer.metrics));
        tokio::spawn(async move {
            let began = clock.monotonic();
            let claims = AssertUnwindSafe(store.claim(claim)).catch_unwind().await;
            metrics.took(Timing::Claim, clock.monotonic().saturating_sub(began));
            let panicked = |_| Err(StoreError::Failed("the claim panicked".to_owned()));
            let claims = claims.unwrap_or_else(panicked);
            if claims.is_err() {
                metrics.count(Metric::ClaimsFailed);
            }
            // The loop outlives its tasks; were it gone, the lease would end by itself.
            drop(tell.send(Message::Claimed { endpoint, claims }).await);
        });
    }

    fn payload_room(&self) -> usize {
        PAYLOADS_MAX.saturating_sub(self.payloads)
    }

    /// How many tries one lane may have out beside its own limit.
    const fn share(&self) -> usize {
        self.places.share(self.in_flight)
    }

    /// Starts what may start, lane by lane, a few at a time. All of a turn happens at one time: were a lane ready by one
    /// reading of the clock and not by another, it would come round for ever.
    fn turn(&mut self) {
        let now = self.clock.now();
        self.ring_alarms(now);
        self.look_at_squeezed(now);
        // Lanes that came back to the ring without having started anything, since the last that did.
        let mut idle = 0;
        while self.in_flight < self.places.most() && idle <= self.ring.len() {
            let Some(endpoint) = self.ring.pop_front() else { return };
            let before = self.in_flight;
            for _ in 0..BURST {
                let share = self.share();
                let Some(start) = self.next_start(endpoint, now, share) else { break };
                self.start(start, now);
            }
            self.lane(endpoint).lines.ring = false;
            self.look_at(endpoint, now);
            let back = self.lanes.get(&endpoint).is_some_and(|lane| lane.lines.ring);
            idle = if self.in_flight == before { idle + usize::from(back) } else { 0 };
        }
    }

    /// What the lane starts next. What was taken away from it meanwhile gives its room back.
    fn next_start(&mut self, endpoint: EndpointId, now: Time, share: usize) -> Option<Start> {
        let store = Arc::clone(&self.store);
        let (mut count, mut bytes) = (0, 0);
        let lane = self.lane(endpoint);
        let start = lane.start(
            (now, share),
            |lent| store.begin(lent.delivery.id, lent.lease),
            |lent| (count, bytes) = (count + 1, bytes + weight(&lent)),
        );
        if count > 0 {
            let window = Arc::clone(&lane.window);
            self.desk.release(&window, count);
            self.payloads = self.payloads.saturating_sub(bytes);
        }
        start
    }

    fn start(&mut self, start: Start, now: Time) {
        self.in_flight += 1;
        self.begun.insert(start.delivery(), now);
        match start {
            Start::Try(start) => {
                self.payloads = self.payloads.saturating_sub(weight(&start.lent));
                self.deliverer.spawn(start, self.tell.clone());
            }
            Start::Discard(lent, why) => {
                self.payloads = self.payloads.saturating_sub(weight(&lent));
                let Lent { delivery, locator, lease, payload: _ } = lent;
                let delivery = settle::discard(&delivery, why, now);
                self.settle(Settlement { lease, locator, delivery, attempt: None }, None);
            }
        }
    }

    fn ring_alarms(&mut self, now: Time) {
        while let Some(Reverse((at, endpoint))) = self.alarms.peek().copied() {
            if at > now {
                return;
            }
            self.alarms.pop();
            if let Some(lane) = self.lanes.get_mut(&endpoint) {
                lane.alarm_rang(at);
                self.look_at(endpoint, now);
            }
        }
    }

    fn until_next_alarm(&self) -> Duration {
        let next = self.alarms.peek().map_or(TICK, |Reverse((at, _))| at.since(self.clock.now()));
        next.clamp(Duration::from_millis(1), TICK)
    }
}

/// What the payload of a lent delivery weighs in memory.
fn weight(lent: &Lent) -> usize {
    lent.payload.as_ref().map_or(0, |event| event.request.body.len() + PAYLOAD_OVERHEAD)
}

/// Gives lent deliveries back unchanged, many at once, so that the store writes them together.
async fn give_back(store: &Arc<AnyStore>, waiting: Vec<Lent>) {
    let mut tasks = JoinSet::new();
    for Lent { delivery, locator, lease, payload: _ } in waiting {
        if tasks.len() >= GIVE_BACKS_MAX {
            tasks.join_next().await;
        }
        let settlement = Settlement { lease, locator, delivery, attempt: None };
        let store = Arc::clone(store);
        tasks.spawn(async move { give_one_back(&store, settlement).await });
    }
    while tasks.join_next().await.is_some() {}
}

/// Until the store has it: what nobody gave back would wait until the next start. A node that stops does not wait for
/// ever; its leases end with it.
async fn give_one_back(store: &AnyStore, settlement: Settlement) {
    loop {
        match store.settle(settlement.clone()).await {
            Err(StoreError::Busy | StoreError::Full | StoreError::Failed(_)) => {
                tokio::time::sleep(CLAIM_RETRY).await;
            }
            Ok(_) => return,
            Err(error) => return tracing::warn!(%error, "a delivery could not be given back"),
        }
    }
}
