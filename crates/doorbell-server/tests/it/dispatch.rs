//! What dispatch promises, over the model store, a scripted sender, and a clock that the tests move.

mod changes;
mod trouble;

use bytes::Bytes;
use doorbell_core::attempt::{Outcome, Trigger};
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
        let manual = ManualClock::new(BEGIN, 7);
        let clock = Clock::Manual(manual.clone());
        let limits = directory::Settings::default();
        let configured = Arc::new(Configured::load(Arc::clone(&store), limits).await.unwrap());
        let (desk, stopper) = (Desk::default(), Stopper::default());
        let (metrics, live) = (Arc::new(Metrics::default()), Live::default());
        let (standings, questions) = Standings::new();
        let parts = Parts {
            store: Arc::clone(&store),
            sender: AnySender::Script(script),
            configured: Arc::clone(&configured),
            desk: desk.clone(),
            places: Places::new(PLACES),
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
        let id = event.id;
        let accepted = intake::publish(&self.configured.directory(), event, Duration::ZERO);
        let deliveries = accepted.deliveries.iter().map(|planned| NewDelivery {
            id: DeliveryId::new(now, self.admitting.clock.dice()),
            endpoint: planned.endpoint,
            order_key: planned.order_key,
            state: planned.state,
            replay: None,
            lend: false,
        });
        let admission = Admission {
            event: Arc::new(accepted.event.clone()),
            fate: accepted.fate.clone(),
            dedupe_window: Duration::ZERO,
            deliveries: deliveries.collect(),
            once: false,
        };
        assert_ne!(accepted.fate, Fate::NoEndpoint);
        self.admitting.admit(admission).await.unwrap();
        id
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

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_costs_only_itself() {
    let dead = endpoint(1).url;
    let script = Script::by(
        move |out| {
            if out.url.as_str() == dead { Step::Hang } else { Step::status(200) }
        },
    );
    let world = World::new(script.clone(), vec![endpoint(1), endpoint(2)]).await;
    for n in 0..500 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    let good = script.carried().iter().filter(|out| out.url.as_str() == endpoint(2).url).count();
    assert_eq!(good, 500);
    world.pass(SECOND * 120).await;
    let to_dead = script.carried().len() - 500;
    assert!((16..100).contains(&to_dead), "the breaker lets few through: {to_dead}");
    let waiting = world.states().await.iter().filter(|state| !state.is_settled()).count();
    assert_eq!(waiting, 500, "and burns no tries");
}

/// However many endpoints are slow at once, each with as much out as it may: one that is not has its turn at once.
#[tokio::test(start_paused = true)]
async fn many_slow_endpoints_hold_up_no_other() {
    let quick = endpoint(255).url;
    let script = Script::by(
        move |out| {
            if out.url.as_str() == quick { Step::status(200) } else { Step::Hang }
        },
    );
    let world = World::new(script.clone(), (0..=254).map(endpoint).collect()).await;
    for n in 0..20 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    let held = script.carried().len();
    assert!(held >= 1_024, "more than half of all places are taken: {held}");
    world.change(endpoint(255)).await;
    world.publish("the quick one", "a").await;
    world.pass(SECOND).await;
    let quick = endpoint(255).url;
    let to_quick = script.carried().into_iter().filter(|out| out.url.as_str() == quick).count();
    assert_eq!(to_quick, 1);
    assert!(script.carried().len() <= 4_096);
}

/// What the slow ones leave free goes to whoever needs it, not by head.
#[tokio::test(start_paused = true)]
async fn a_busy_endpoint_has_what_it_needs_beside_many_slow_ones() {
    let policy = Policy { concurrency: 80, ..Policy::default() };
    let busy = Endpoint { policy, ..endpoint(255) };
    let script = Script::by(|_| Step::Hang);
    let world = World::new(script.clone(), (0..100).map(endpoint).collect()).await;
    for n in 0..16 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    assert_eq!(script.carried().len(), 1_600, "more than half of all places");
    world.change(busy.clone()).await;
    for n in 0..80 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    let to_busy = script.carried().into_iter().filter(|out| out.url.as_str() == busy.url).count();
    assert_eq!(to_busy, 80);
}

/// A lane's gate may open while the loop looks at it: it decides by one reading of the clock, and goes on.
#[tokio::test(start_paused = true)]
async fn a_gate_that_opens_under_the_loops_eyes_does_not_hold_it_up() {
    let rate = Some(Rate { count: 1, per: Duration::from_millis(10) });
    let limited = Endpoint { policy: Policy { rate, ..Policy::default() }, ..endpoint(1) };
    let world = World::new(Script::steps([]), vec![limited]).await;
    world.clock.tick(Duration::from_millis(7));
    for n in 0..50 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND * 10).await;
    assert!(world.states().await.iter().all(delivered));
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
async fn keys_go_in_order_even_through_failures() {
    let calls = Arc::new(AtomicUsize::new(0));
    let script = Script::by(move |_| {
        let n = calls.fetch_add(1, Ordering::SeqCst);
        if n % 5 == 3 { Step::status(500) } else { Step::After(Duration::from_millis(20), ok()) }
    });
    let world = World::new(script.clone(), vec![by_key(1, OnDead::Block)]).await;
    for n in 0..60 {
        world.publish(&format!("{}:{n:03}", n % 3), &(n % 3).to_string()).await;
    }
    world.pass(SECOND * 900).await;
    assert!(world.states().await.iter().all(delivered));
    for key in ["0:", "1:", "2:"] {
        let mut of_key: Vec<String> =
            bodies(&script).into_iter().filter(|b| b.starts_with(key)).collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
        of_key.dedup();
        assert_eq!(of_key.len(), 20);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_event_blocks_or_skips_its_key() {
    for (on_dead, expected) in [(OnDead::Block, 1), (OnDead::Skip, 4)] {
        let script = Script::by(|out| {
            if out.body.as_ref() == b"bad" { Step::status(400) } else { Step::status(200) }
        });
        let mut endpoint = by_key(1, on_dead);
        endpoint.policy.retry = Retry { schedule: vec![Duration::ZERO], never: Vec::new() };
        let world = World::new(script.clone(), vec![endpoint]).await;
        for body in ["bad", "1", "2", "3"] {
            world.publish(body, "k").await;
        }
        world.pass(SECOND * 5).await;
        assert_eq!(script.carried().len(), expected, "{on_dead:?}");
        if on_dead == OnDead::Block {
            let dead = world.deliveries().await.pop().unwrap().delivery.id;
            let (tenant, at) = (TenantId::DEFAULT, world.admitting.clock.now());
            world
                .store
                .amend(vec![Amendment::Cancel { tenant, delivery: dead, at }])
                .await
                .unwrap();
            world.pass(SECOND * 5).await;
            assert_eq!(bodies(&script), ["bad", "1", "2", "3"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_endpoint_gets_nothing_until_it_is_enabled() {
    let script = Script::steps([]);
    let paused = Endpoint { status: Status::Paused, ..endpoint(1) };
    let world = World::new(script.clone(), vec![paused]).await;
    for n in 0..20 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND * 5).await;
    assert_eq!(script.carried().len(), 0);
    assert!(world.deliveries().await.iter().all(|row| !row.in_flight), "they wait in the store");
    world.change(endpoint(1)).await;
    world.pass(SECOND * 2).await;
    assert_eq!(script.carried().len(), 20);
}

/// What a paused lane holds is given back; an endpoint that is enabled before that is done gets all of it all the same.
#[tokio::test(start_paused = true)]
async fn a_short_pause_strands_nothing() {
    let script = Script::by(|_| Step::After(SECOND, ok()));
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    for n in 0..200 {
        world.publish(&n.to_string(), "a").await;
    }
    world.change(Endpoint { status: Status::Paused, ..endpoint(1) }).await;
    world.memory.fail_with(Some(StoreError::Full));
    world.pass(SECOND / 2).await;
    world.memory.fail_with(None);
    world.change(endpoint(1)).await;
    world.pass(SECOND * 30).await;
    assert_eq!(script.carried().len(), 200);
}

/// Whatever was lent for it: what waits can be cancelled while the endpoint is paused.
#[tokio::test(start_paused = true)]
async fn a_paused_endpoint_holds_nothing() {
    let paused = Endpoint { status: Status::Paused, ..endpoint(1) };
    let world = World::new(Script::steps([]), vec![paused]).await;
    for n in 0..20 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    let rows = world.deliveries().await;
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| !row.in_flight));
}

/// One at a time is tried; the others wait in memory, and can be cancelled and retried there.
#[tokio::test(start_paused = true)]
async fn what_waits_for_its_turn_is_not_in_flight_and_can_be_cancelled() {
    let script = Script::by(|_| Step::After(SECOND * 10, ok()));
    let mut slow = endpoint(1);
    slow.policy.concurrency = 1;
    let world = World::new(script.clone(), vec![slow]).await;
    for n in 0..5 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    // Newest first: the last one is being tried.
    let rows = world.deliveries().await;
    let in_flight: Vec<bool> = rows.iter().map(|row| row.in_flight).collect();
    assert_eq!(in_flight, [false, false, false, false, true]);
    let (tenant, at) = (TenantId::DEFAULT, world.admitting.clock.now());
    let id = |n: usize| rows[n].delivery.id;
    let amendments = vec![
        Amendment::Cancel { tenant, delivery: id(3), at },
        Amendment::Cancel { tenant, delivery: id(2), at },
        Amendment::Retry { tenant, delivery: id(0), due: at, lend: false },
        Amendment::Cancel { tenant, delivery: id(4), at },
    ];
    let amended = world.store.amend(amendments).await.unwrap();
    let done = Amended::Done(Some(endpoint(1).id));
    assert_eq!(amended, [done, done, done, Amended::InFlight]);
    world.pass(SECOND * 60).await;
    let mut tried = bodies(&script);
    tried.sort_unstable();
    assert_eq!(tried, ["0", "3", "4"], "each once, and no cancelled one");
    assert_eq!(world.admitting.desk.used(), 0, "what was taken back holds no room");
}

/// A cancelled delivery costs nothing of the endpoint's rate.
#[tokio::test(start_paused = true)]
async fn what_was_cancelled_in_memory_takes_no_turn() {
    let script = Script::steps([]);
    let mut slow = endpoint(1);
    slow.policy.rate = Some(Rate { count: 1, per: SECOND * 60 });
    let world = World::new(script.clone(), vec![slow]).await;
    for n in 0..5 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    let rows = world.deliveries().await;
    let (tenant, at) = (TenantId::DEFAULT, world.admitting.clock.now());
    let cancel = |row: &DeliveryRow| Amendment::Cancel { tenant, delivery: row.delivery.id, at };
    world.store.amend(rows[1..4].iter().map(cancel).collect()).await.unwrap();
    world.pass(SECOND * 61).await;
    assert_eq!(bodies(&script), ["0", "4"]);
}

#[tokio::test(start_paused = true)]
async fn gone_disables_and_the_rest_is_discarded_but_kept() {
    let script = Script::steps([Step::status(410)]);
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    world.publish("first", "a").await;
    world.pass(SECOND).await;
    let status =
        world.configured.directory().endpoint(endpoint(1).id).unwrap().endpoint().status.clone();
    assert!(
        matches!(status, Status::Disabled { ref why, .. } if why.contains("410")),
        "{status:?}"
    );
    world.publish("second", "a").await;
    world.pass(SECOND).await;
    assert_eq!(script.carried().len(), 1);
    let why = DiscardReason::EndpointDisabled;
    assert!(matches!(world.states().await[0], State::Discarded { why: w, .. } if w == why));
}

#[tokio::test(start_paused = true)]
async fn the_backlog_of_a_disabled_endpoint_is_written_off() {
    let script = Script::steps([]);
    let paused = Endpoint { status: Status::Paused, ..endpoint(1) };
    let world = World::new(script.clone(), vec![paused]).await;
    for n in 0..700 {
        world.publish(&n.to_string(), "a").await;
    }
    let (at, why) = (BEGIN, "by the operator".to_owned());
    world.change(Endpoint { status: Status::Disabled { at, why }, ..endpoint(1) }).await;
    world.pass(SECOND * 5).await;
    assert_eq!(script.carried().len(), 0);
    assert!(world.states().await.iter().all(|state| matches!(state, State::Discarded { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_removed_endpoint_is_written_off_and_its_neighbour_is_not_disturbed() {
    let script = Script::steps([]);
    let paused = |n| Endpoint { status: Status::Paused, ..endpoint(n) };
    let world = World::new(script.clone(), vec![paused(1), paused(2)]).await;
    for n in 0..50 {
        world.publish(&n.to_string(), "a").await;
    }
    let gone = endpoint(1).id;
    let delete = |_: &directory::Directory| -> Result<_, StoreError> {
        Ok((vec![Change::Delete(ResourceId::Endpoint(gone))], ()))
    };
    world.configured.change(delete).await.unwrap();
    world.pass(SECOND * 5).await;
    for row in world.deliveries().await {
        let (state, to) = (row.delivery.state, row.delivery.endpoint);
        let written_off =
            matches!(state, State::Discarded { why: DiscardReason::EndpointDeleted, .. });
        assert_eq!(written_off, to == gone, "{state:?}");
    }
    world.change(endpoint(2)).await;
    world.pass(SECOND * 5).await;
    assert_eq!(script.carried().len(), 50);
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

/// An endpoint that refuses until it is `up`, its breaker open, with a backlog of its own in memory and in the store.
async fn shut(up: &Arc<AtomicBool>, endpoint: Endpoint) -> (World, Script) {
    let up = Arc::clone(up);
    let script =
        Script::by(move |_| Step::status(if up.load(Ordering::SeqCst) { 200 } else { 503 }));
    let world = World::new(script.clone(), vec![endpoint]).await;
    for n in 0..700 {
        world.publish(&n.to_string(), &n.to_string()).await;
    }
    world.pass(SECOND * 2).await;
    assert!(!matches!(world.breaker().await, Condition::Closed));
    (world, script)
}

impl World {
    async fn breaker(&self) -> Condition {
        self.standings.of(&[endpoint(1).id]).await[&endpoint(1).id].breaker
    }

    /// Retries the delivery of that place in the list (0: the newest event's), as the API would.
    async fn retry(&self, place: usize) -> DeliveryId {
        let delivery = self.deliveries().await[place].delivery.id;
        let (tenant, due) = (TenantId::DEFAULT, self.admitting.clock.now());
        let mut promises = self.admitting.desk.promises();
        let lend = promises.ask_first(endpoint(1).id);
        let amendment = Amendment::Retry { tenant, delivery, due, lend };
        self.store.amend(vec![amendment]).await.unwrap();
        delivery
    }
}

#[tokio::test(start_paused = true)]
async fn a_manual_retry_is_the_probe_of_an_open_breaker() {
    for endpoint in [endpoint(1), by_key(1, OnDead::Block)] {
        let up = Arc::new(AtomicBool::new(false));
        let (world, script) = shut(&up, endpoint).await;
        let before = script.carried().len();
        world.pass(SECOND).await;
        assert_eq!(script.carried().len(), before, "all wait");
        up.store(true, Ordering::SeqCst);
        let asked = world.retry(0).await;
        world.pass_by(Duration::from_millis(3), Duration::from_millis(1)).await;
        assert_eq!(bodies(&script)[before], "699", "the newest of all went first, and at once");
        assert_eq!(world.triggers(asked).await, [Trigger::Manual]);
        assert_eq!(world.breaker().await, Condition::Closed, "its result is the probe's");
        world.pass(SECOND * 30).await;
        assert!(script.carried().len() >= 700, "and the others follow");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_many_probes_one_at_a_time() {
    let up = Arc::new(AtomicBool::new(false));
    let (world, script) = shut(&up, endpoint(1)).await;
    let before = script.carried().len();
    for n in 0..100 {
        world.retry(n).await;
    }
    world.pass(SECOND * 3).await;
    let tried = u32::try_from(script.carried().len() - before).unwrap();
    assert!((1..=2).contains(&tried), "{tried} probes");
    let Condition::Open { why, .. } = world.breaker().await else { panic!("not open") };
    assert_eq!(why.failures, limits::BREAKER_FAILURES + tried, "each counted as the probe's");
}

/// While a probe is out, another one is not sent, whoever asks.
#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_the_probe_that_is_out() {
    let calls = Arc::new(AtomicUsize::new(0));
    let script = Script::by(move |_| {
        if calls.fetch_add(1, Ordering::SeqCst) < 16 { Step::status(500) } else { Step::Hang }
    });
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    for n in 0..100 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND * 2).await;
    let before = script.carried().len();
    world.retry(0).await;
    world.pass(SECOND).await;
    world.retry(1).await;
    world.pass(SECOND * 5).await;
    assert_eq!(script.carried().len(), before + 1);
    assert!(matches!(world.breaker().await, Condition::HalfOpen { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_retry_to_a_paused_endpoint_waits() {
    let script = Script::steps([]);
    let paused = Endpoint { status: Status::Paused, ..endpoint(1) };
    let world = World::new(script.clone(), vec![paused]).await;
    world.publish("{}", "a").await;
    world.retry(0).await;
    world.pass(SECOND * 5).await;
    assert_eq!(script.carried().len(), 0);
    assert_eq!(world.admitting.desk.used(), 0, "it holds no room");
    world.change(endpoint(1)).await;
    world.pass(SECOND).await;
    assert_eq!(script.carried().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn open_breakers_are_counted_and_tell_how_they_stand() {
    let up = Arc::new(AtomicBool::new(false));
    let (world, _) = shut(&up, endpoint(1)).await;
    let count = || world.admitting.metrics.value(Metric::BreakersOpen);
    let standing = world.standings.of(&[endpoint(1).id, endpoint(2).id]).await;
    assert_eq!(standing[&endpoint(2).id].breaker, Condition::Closed, "nothing goes there");
    let one = standing[&endpoint(1).id];
    assert_eq!((count(), one.in_flight), (1, 0));
    assert!(one.waiting > 0);
    up.store(true, Ordering::SeqCst);
    world.change(Endpoint { url: "https://new.example.com".to_owned(), ..endpoint(1) }).await;
    world.pass(SECOND).await;
    assert_eq!((count(), world.breaker().await), (0, Condition::Closed), "it moved");
    world.stopper.advance(Stage::Draining);
    world.running.await.unwrap();
    assert!(world.standings.of(&[endpoint(1).id]).await.is_empty(), "nobody answers");
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
