//! What dispatch promises, over the model store, a scripted sender, and a clock that the tests move.

mod breakers;
mod changes;
mod fairness;
mod trouble;
mod waiting;

use bytes::Bytes;
use doorbell_core::attempt::{Outcome, Trigger};
use doorbell_core::body_room::BodyRoom;
use doorbell_core::breaker::Condition;
use doorbell_core::configuration::{Change, Resource, ResourceId};
use doorbell_core::delivery::{DiscardReason, State};
use doorbell_core::directory;
use doorbell_core::endpoint::{Endpoint, OnDead, Order, Policy, Rate, Retry, Status, Subscription};
use doorbell_core::event::{Event, Fate, Origin};
use doorbell_core::id::{DeliveryId, EndpointId, EventId, ReplayId, TenantId};
use doorbell_core::intake;
use doorbell_core::limits;
use doorbell_core::name::{EventType, Label};
use doorbell_core::places::Places;
use doorbell_core::request::{Headers, Request};
use doorbell_core::source::KeyRule;
use doorbell_core::time::Time;
use doorbell_server::admitting::Admitting;
use doorbell_server::clock::{Clock, ManualClock};
use doorbell_server::configured::Configured;
use doorbell_server::desk::Desk;
use doorbell_server::dispatch::{Parts, dispatch};
use doorbell_server::health::Health;
use doorbell_server::live::Live;
use doorbell_server::metrics::{Metric, Metrics};
use doorbell_server::sender::{AnySender, Script, Step};
use doorbell_server::standings::Standings;
use doorbell_server::tasks::{Stage, Stopper};
use doorbell_server::traces::Traces;
use doorbell_store::memory::Memory;
use doorbell_store::{
    Admission, Amended, Amendment, AnyStore, DeliveryQuery, DeliveryRow, NewDelivery, Store,
    StoreError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

const BEGIN: Time = Time::from_ms(1_767_225_600_000);
/// Of the node, for bodies that are out, in bytes.
const BODIES: u32 = 100_000;
/// Of the node, for tries.
const PLACES: usize = 2_048;
const SECOND: Duration = Duration::from_secs(1);

/// A node without sockets.
struct World {
    memory: Memory,
    store: Arc<AnyStore>,
    configured: Arc<Configured>,
    admitting: Admitting,
    standings: Standings,
    clock: ManualClock,
    stopper: Stopper,
    running: JoinHandle<()>,
}

impl World {
    async fn new(script: Script, endpoints: Vec<Endpoint>) -> Self {
        let memory = Memory::new();
        let store = Arc::new(AnyStore::from(memory.clone()));
        let puts = endpoints.into_iter().map(|e| Change::Put(Resource::Endpoint(e))).collect();
        store.configure(puts).await.unwrap();
        Self::over(memory, store, script).await
    }

    async fn over(memory: Memory, store: Arc<AnyStore>, script: Script) -> Self {
        Self::with_desk(Desk::default(), (memory, store), script).await
    }

    async fn with_desk(
        desk: Desk,
        (memory, store): (Memory, Arc<AnyStore>),
        script: Script,
    ) -> Self {
        let manual = ManualClock::new(BEGIN, 7);
        let clock = Clock::Manual(manual.clone());
        let limits = directory::Settings::default();
        let configured = Arc::new(Configured::load(Arc::clone(&store), limits).await.unwrap());
        let stopper = Stopper::default();
        let (metrics, live) = (Arc::new(Metrics::default()), Live::default());
        let (standings, questions) = Standings::new();
        let parts = Parts {
            store: Arc::clone(&store),
            sender: AnySender::Script(script),
            configured: Arc::clone(&configured),
            desk: desk.clone(),
            places: Places::new(PLACES),
            bodies: BodyRoom::new(BODIES.into()),
            clock: clock.clone(),
            live: live.clone(),
            traces: Traces::off(),
            metrics: Arc::clone(&metrics),
            questions,
        };
        let running = tokio::spawn(dispatch(parts, stopper.stop()));
        let health = Arc::new(Health::new(stopper.stop()));
        let traces = Traces::off();
        let admitting = Admitting {
            store: Arc::clone(&store),
            desk,
            live,
            traces,
            metrics,
            health,
            clock,
            inbox: None,
        };
        Self { memory, store, configured, admitting, standings, clock: manual, stopper, running }
    }

    /// Publishes an event with this body and order key.
    async fn publish(&self, body: &str, key: &str) -> EventId {
        let admission = self.admission(body, key);
        let id = admission.event.id;
        self.admitting.admit(admission).await.unwrap();
        id
    }

    fn admission(&self, body: &str, key: &str) -> Admission {
        let now = self.admitting.clock.now();
        let mut headers = Headers::default();
        headers.push("content-type", "application/json");
        headers.push("x-key", key);
        let event = Event {
            id: EventId::new(now, self.admitting.clock.dice()),
            tenant: TenantId::DEFAULT,
            at: now,
            origin: Origin::Api,
            event_type: EventType::parse("test.event").ok(),
            dedupe_key: None,
            channels: Vec::new(),
            request: Request {
                method: "POST".into(),
                path: String::new(),
                query: None,
                headers,
                body: Bytes::copy_from_slice(body.as_bytes()),
                peer: None,
            },
        };
        let accepted = intake::publish(&self.configured.directory(), event, Duration::ZERO);
        let deliveries = accepted.deliveries.iter().map(|planned| NewDelivery {
            id: DeliveryId::new(now, self.admitting.clock.dice()),
            endpoint: planned.endpoint,
            order_key: planned.order_key,
            state: planned.state,
            replay: None,
            lend: false,
        });
        assert_ne!(accepted.fate, Fate::NoEndpoint);
        Admission {
            event: Arc::clone(&accepted.event),
            fate: accepted.fate.clone(),
            dedupe_window: Duration::ZERO,
            deliveries: deliveries.collect(),
            once: false,
        }
    }

    /// Lets time pass, in steps that the loop can follow.
    async fn pass(&self, time: Duration) {
        self.pass_by(time, Duration::from_millis(250)).await;
    }

    async fn pass_by(&self, time: Duration, step: Duration) {
        for _ in 0..time.as_millis().div_ceil(step.as_millis().max(1)) {
            self.clock.advance(step);
            tokio::time::sleep(step).await;
        }
    }

    async fn deliveries(&self) -> Vec<DeliveryRow> {
        let mut all = Vec::new();
        let mut query = DeliveryQuery {
            tenant: TenantId::DEFAULT,
            event: None,
            endpoint: None,
            state: None,
            replay: None,
            since: None,
            until: None,
            cursor: None,
            limit: 1000,
        };
        loop {
            let page = self.store.deliveries(query.clone()).await.unwrap();
            all.extend(page.items);
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => return all,
            }
        }
    }

    async fn triggers(&self, delivery: DeliveryId) -> Vec<Trigger> {
        let attempts = self.store.attempts(TenantId::DEFAULT, delivery).await.unwrap();
        attempts.iter().map(|attempt| attempt.trigger).collect()
    }

    async fn states(&self) -> Vec<State> {
        self.deliveries().await.into_iter().map(|row| row.delivery.state).collect()
    }

    async fn change(&self, endpoint: Endpoint) {
        self.change_all(vec![endpoint]).await;
    }

    async fn delete(&self, endpoint: &Endpoint) {
        let delete = Change::Delete(ResourceId::Endpoint(endpoint.id));
        let plan = |_: &directory::Directory| -> Result<_, StoreError> { Ok((vec![delete], ())) };
        self.configured.change(plan).await.unwrap();
    }

    async fn change_all(&self, endpoints: Vec<Endpoint>) {
        let put = |_: &directory::Directory| -> Result<_, StoreError> {
            Ok((endpoints.into_iter().map(|e| Change::Put(Resource::Endpoint(e))).collect(), ()))
        };
        self.configured.change(put).await.unwrap();
    }
}

fn endpoint(n: u8) -> Endpoint {
    Endpoint {
        id: EndpointId::new(BEGIN, u128::from(n)),
        tenant: TenantId::DEFAULT,
        name: Label::parse(&format!("endpoint-{n}")).unwrap(),
        status: Status::Enabled,
        subscription: Subscription::default(),
        url: format!("https://e{n}.example.com/hook"),
        headers: Vec::new(),
        secrets: Vec::new(),
        policy: Policy::default(),
        created: BEGIN,
        updated: BEGIN,
    }
}

fn by_key(n: u8, on_dead: OnDead) -> Endpoint {
    let order = Some(Order { key: KeyRule::Header("x-key".into()), on_dead });
    Endpoint { policy: Policy { order, ..Policy::default() }, ..endpoint(n) }
}

fn delivered(state: &State) -> bool {
    matches!(state, State::Delivered { .. })
}

fn bodies(script: &Script) -> Vec<String> {
    script.carried().iter().map(|out| String::from_utf8_lossy(&out.body).into_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn an_accepted_event_is_delivered_at_once_and_its_try_is_kept() {
    let script = Script::steps([]);
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    let event = world.publish("{}", "a").await;
    world.pass(Duration::from_millis(250)).await;
    let row = world.deliveries().await.remove(0);
    assert!(delivered(&row.delivery.state) && row.delivery.attempts == 1);
    assert_eq!(script.carried()[0].headers.text("webhook-id"), Some(event.to_string().as_str()));
    let attempts = world.store.attempts(TenantId::DEFAULT, row.delivery.id).await.unwrap();
    assert_eq!((attempts.len(), attempts[0].number, attempts[0].trigger), (1, 1, Trigger::Initial));
}

#[tokio::test(start_paused = true)]
async fn a_failed_try_is_made_again_by_the_schedule() {
    let script = Script::steps([Step::status(500), Step::status(503)]);
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    world.publish("{}", "a").await;
    world.pass(SECOND).await;
    assert_eq!(script.carried().len(), 1);
    assert!(
        matches!(world.states().await[0], State::Waiting { due } if due > BEGIN.after(SECOND * 3))
    );
    world.pass(SECOND * 7).await;
    assert_eq!(script.carried().len(), 2);
    world.pass(SECOND * 400).await;
    assert_eq!(script.carried().len(), 3);
    assert!(delivered(&world.states().await[0]));
}

/// More endpoints want a claim than may have one at once, and some do not want it any more when it is their turn. The
/// pause comes at different moments of what the loop does.
#[tokio::test(start_paused = true)]
async fn a_claim_that_is_not_wanted_any_more_is_anothers() {
    let paused = |n| Endpoint { status: Status::Paused, ..endpoint(n) };
    for moment in 0..12 {
        let world = World::new(Script::steps([]), (0..100).map(paused).collect()).await;
        world.publish("{}", "a").await;
        world.pass(SECOND).await;
        world.change_all((0..100).map(endpoint).collect()).await;
        for _ in 0..moment {
            tokio::task::yield_now().await;
        }
        world.change_all((0..80).map(paused).collect()).await;
        world.pass(SECOND * 5).await;
        let rows = world.deliveries().await;
        let enabled = rows.iter().filter(|row| row.delivery.endpoint >= endpoint(80).id);
        let left = enabled.filter(|row| !delivered(&row.delivery.state)).count();
        assert_eq!(left, 0, "of those that are enabled, when the pause came at moment {moment}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_waits_in_the_store_and_is_delivered_once() {
    let script = Script::by(|_| Step::After(Duration::from_millis(50), ok()));
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    for n in 0..2_000 {
        world.publish(&n.to_string(), "a").await;
    }
    assert!(world.admitting.desk.used() <= 600, "{}", world.admitting.desk.used());
    world.pass(SECOND * 20).await;
    let mut seen = bodies(&script);
    assert_eq!(seen.len(), 2_000);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 2_000);
    assert!(world.states().await.iter().all(delivered));
    assert_eq!(world.admitting.desk.used(), 0);
}

fn ok() -> Outcome {
    match Step::status(200) {
        Step::Now(outcome) => outcome,
        Step::After(..) | Step::Hang => unreachable!(),
    }
}

#[tokio::test(start_paused = true)]
async fn the_rate_is_kept() {
    let script = Script::steps([]);
    let mut slow = endpoint(1);
    slow.policy.rate = Some(Rate { count: 5, per: SECOND });
    let world = World::new(script.clone(), vec![slow]).await;
    for n in 0..100 {
        world.publish(&n.to_string(), "a").await;
    }
    let step = Duration::from_millis(20);
    world.pass_by(SECOND * 10, step).await;
    assert!((45..=52).contains(&script.carried().len()), "{}", script.carried().len());
    world.pass_by(SECOND * 12, step).await;
    assert_eq!(script.carried().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn what_the_filter_does_not_want_is_discarded() {
    let script = Script::steps([]);
    let mut choosy = endpoint(1);
    choosy.subscription.filter = Some(r#"{"body":{"n":{"$gt":1}}}"#.into());
    let world = World::new(script.clone(), vec![choosy]).await;
    world.publish(r#"{"n":1}"#, "a").await;
    world.publish(r#"{"n":2}"#, "a").await;
    world.pass(SECOND).await;
    assert_eq!(bodies(&script), [r#"{"n":2}"#]);
    let discarded = State::Discarded { at: BEGIN, why: DiscardReason::Filtered };
    let states = world.states().await;
    assert!(std::mem::discriminant(&states[1]) == std::mem::discriminant(&discarded), "{states:?}");
}

#[tokio::test(start_paused = true)]
async fn a_settlement_waits_for_the_store_and_the_try_is_not_made_twice() {
    let script = Script::by(|_| Step::After(SECOND, ok()));
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    world.publish("{}", "a").await;
    world.memory.fail_with(Some(StoreError::Full));
    world.pass(SECOND * 30).await;
    world.memory.fail_with(None);
    world.pass(SECOND * 5).await;
    assert_eq!(script.carried().len(), 1);
    assert!(delivered(&world.states().await[0]));
}

#[tokio::test(start_paused = true)]
async fn a_retried_dead_letter_goes_out_at_once() {
    let script = Script::steps([Step::status(400)]);
    let mut once = endpoint(1);
    once.policy.retry = Retry { schedule: vec![Duration::ZERO], never: Vec::new() };
    let world = World::new(script.clone(), vec![once]).await;
    world.publish("{}", "a").await;
    world.pass(SECOND).await;
    let row = world.deliveries().await.remove(0);
    assert!(matches!(row.delivery.state, State::Failed { .. }));
    let (tenant, delivery, due) = (TenantId::DEFAULT, row.delivery.id, world.admitting.clock.now());
    world.store.amend(vec![Amendment::Retry { tenant, delivery, due, lend: false }]).await.unwrap();
    world.pass(SECOND).await;
    assert!(delivered(&world.states().await[0]));
    assert_eq!(world.triggers(delivery).await, [Trigger::Initial, Trigger::Manual]);
}

#[tokio::test(start_paused = true)]
async fn each_attempt_says_why_it_was_made() {
    let script = Script::by(|_| Step::status(500));
    let mut soon = endpoint(1);
    let schedule = vec![Duration::ZERO, SECOND * 10, SECOND * 1_000];
    soon.policy.retry = Retry { schedule, never: Vec::new() };
    let world = World::new(script, vec![soon]).await;
    let event = world.publish("{}", "a").await;
    world.pass(SECOND * 30).await;
    let (tenant, due) = (TenantId::DEFAULT, world.admitting.clock.now());
    let first = world.deliveries().await.remove(0).delivery.id;
    let again = NewDelivery {
        id: DeliveryId::new(due, 1),
        endpoint: endpoint(1).id,
        order_key: None,
        state: State::Waiting { due },
        replay: Some(ReplayId::new(due, 1)),
        lend: false,
    };
    let second = again.id;
    let amendments = vec![
        Amendment::Retry { tenant, delivery: first, due, lend: false },
        Amendment::Redeliver { tenant, event, deliveries: vec![again] },
    ];
    world.store.amend(amendments).await.unwrap();
    world.pass(SECOND * 30).await;
    let (initial, automatic) = (Trigger::Initial, Trigger::Automatic);
    assert_eq!(world.triggers(first).await, [initial, automatic, Trigger::Manual]);
    assert_eq!(world.triggers(second).await, [Trigger::Replay, automatic]);
}

/// However often someone asks in vain, a delivery has all tries of its schedule, and waits for them as long as ever.
#[tokio::test(start_paused = true)]
async fn tries_by_hand_use_up_nothing_of_the_schedule() {
    let mut soon = endpoint(1);
    let schedule = vec![Duration::ZERO, SECOND * 10, SECOND * 20];
    soon.policy.retry = Retry { schedule, never: Vec::new() };
    let world = World::new(Script::by(|_| Step::status(500)), vec![soon]).await;
    world.publish("{}", "a").await;
    world.pass(SECOND).await;
    let tenant = TenantId::DEFAULT;
    let delivery = world.deliveries().await.remove(0).delivery.id;
    for _ in 0..4 {
        let due = world.admitting.clock.now();
        let retry = Amendment::Retry { tenant, delivery, due, lend: false };
        world.store.amend(vec![retry]).await.unwrap();
        world.pass(SECOND * 2).await;
        let State::Waiting { due: next } = world.states().await[0] else { panic!("it is over") };
        assert!(next.since(due) <= SECOND * 14, "the same step again, not the next");
    }
    world.pass(SECOND * 60).await;
    assert!(matches!(world.states().await[0], State::Failed { .. }));
    let (automatic, manual) = (Trigger::Automatic, Trigger::Manual);
    assert_eq!(
        world.triggers(delivery).await,
        [Trigger::Initial, manual, manual, manual, manual, automatic, automatic]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_what_is_in_flight_end_and_the_next_start_finds_the_rest() {
    let script = Script::by(|_| Step::After(SECOND * 2, ok()));
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    for n in 0..100 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    world.stopper.advance(Stage::Draining);
    world.running.await.unwrap();
    let done = script.carried().len();
    assert_eq!(done, usize::try_from(Policy::default().concurrency).unwrap());
    let next = World::over(world.memory, world.store, script.clone()).await;
    next.pass(SECOND * 30).await;
    assert_eq!(script.carried().len(), 100);
    assert!(next.states().await.iter().all(delivered));
}
