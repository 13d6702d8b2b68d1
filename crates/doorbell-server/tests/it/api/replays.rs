//! Replays: planned, made at a rate, cancelled, and taken up again without a delivery made twice.

use super::world::{START, World};
use doorbell_core::delivery::{DiscardReason, State};
use doorbell_core::event::{Fate, Rejection, RejectionReason};
use doorbell_core::id::{EndpointId, EventId, RequestId};
use doorbell_store::{Amendment, NewDelivery, Store as _, StoreError};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Events in their order of arrival, each delivered once to `app`.
async fn delivered(world: &World, count: usize) -> (EndpointId, Vec<EventId>) {
    let endpoint = world.endpoint("app").await;
    let mut events = Vec::new();
    for _ in 0..count {
        events.push(world.publish("a.b").await);
        world.hand.advance(Duration::from_millis(1));
    }
    world.settle(endpoint, State::Delivered { at: START }).await;
    (endpoint, events)
}

/// Steps until nothing is under way, moving the clock as the engine asks.
async fn run(world: &World) -> u32 {
    let mut engine = world.engine();
    let mut steps = 0;
    while let Some(next) = engine.step().await {
        let now = world.now();
        world.hand.advance(next.since(now));
        steps += 1;
        assert!(steps < 10_000, "it does not end");
    }
    steps
}

/// The events of the deliveries that replays made, oldest delivery first.
async fn replayed(world: &World) -> Vec<EventId> {
    let mut rows = world.deliveries().await;
    rows.retain(|row| row.delivery.replay.is_some());
    rows.reverse();
    rows.iter().map(|row| row.delivery.event).collect()
}

async fn shown(world: &World, id: &Value) -> Value {
    world.get(&format!("/v1/replays/{}", id.as_str().unwrap())).await.is(200)
}

#[tokio::test]
async fn a_plan_counts_and_makes_nothing() {
    let world = World::new().await;
    delivered(&world, 5).await;
    let plan = async |body: Value| world.post("/v1/replays/plan", body).await.is(200);
    let all = json!({"deliveries": 5, "events": 5, "complete": true});
    assert_eq!(plan(json!({})).await, all);
    assert_eq!(plan(json!({"choice": {"state": "delivered", "endpoint": "app"}})).await, all);
    assert_eq!(plan(json!({"choice": {"state": "failed"}})).await["deliveries"], 0);
    assert_eq!(plan(json!({"choice": {"event_type": "x.*"}})).await["deliveries"], 0);
    assert!(replayed(&world).await.is_empty());
    for (body, place) in [
        (json!({"to": "nowhere"}), "/to"),
        (json!({"rate_per_second": 0}), "/rate_per_second"),
        (json!({"choice": {"state": "odd"}}), "/choice/state"),
        (json!({"choice": {"events": ["x"]}}), "/choice/events/0"),
        (json!({"choice": {"source": "nowhere"}}), "/choice/source"),
    ] {
        let problem = world.post("/v1/replays", body).await.problem("invalid");
        assert_eq!(problem["errors"][0]["pointer"], place);
    }
}

#[tokio::test]
async fn it_makes_each_delivery_once_oldest_first_at_its_rate() {
    let world = World::new().await;
    let (endpoint, events) = delivered(&world, 450).await;
    let made = world.post("/v1/replays", json!({"rate_per_second": 100})).await.is(202);
    assert_eq!((&made["state"], &made["planned"]), (&json!("running"), &Value::Null));
    let began = world.now();
    run(&world).await;
    let took = world.now().since(began);
    assert!((4_000..=5_000).contains(&took.as_millis()), "{took:?}");
    let done = shown(&world, &made["id"]).await;
    assert_eq!(
        (&done["state"], &done["planned"], &done["made"]),
        (&json!("done"), &json!(450), &json!(450))
    );
    let rows = world.deliveries().await;
    let again: BTreeSet<EventId> = replayed(&world).await.into_iter().collect();
    assert_eq!(again, events.iter().copied().collect());
    assert_eq!(rows.len(), 900);
    let mut waiting: Vec<_> = rows
        .iter()
        .filter_map(|row| match row.delivery.state {
            State::Waiting { due } => Some((row.delivery.event, due)),
            State::Delivered { .. } | State::Failed { .. } | State::Discarded { .. } => None,
        })
        .collect();
    waiting.sort_unstable();
    assert!(waiting.windows(2).all(|pair| pair[0].1 <= pair[1].1), "older events are due first");
    assert_eq!(world.home.stirred().await, [endpoint]);
    let path = format!("/v1/deliveries?replay={}&limit=1", made["id"].as_str().unwrap());
    let listed = world.get(&path);
    assert_eq!(listed.await.is(200)["data"][0]["replay"], made["id"]);
}

#[tokio::test]
async fn it_goes_to_another_endpoint_and_leaves_out_what_is_closed() {
    let world = World::new().await;
    let (app, events) = delivered(&world, 3).await;
    let other = world.endpoint("other").await;
    let chosen = [events[2], events[0]].map(|event| event.to_string());
    let body = json!({"choice": {"events": chosen}, "to": "other"});
    world.post("/v1/replays", body).await.is(202);
    run(&world).await;
    let made: Vec<_> = world.deliveries().await;
    let made: BTreeSet<_> = made
        .iter()
        .map(|row| &row.delivery)
        .filter(|d| d.endpoint == other)
        .map(|d| d.event)
        .collect();
    assert_eq!(made, BTreeSet::from([events[0], events[2]]));
    world.call("POST", "/v1/endpoints/app/disable").answer().await.is(200);
    let plan =
        world.post("/v1/replays/plan", json!({"choice": {"endpoint": app.to_string()}})).await;
    assert_eq!(plan.is(200)["deliveries"], 0);
    world.post("/v1/replays", json!({"to": "app"})).await.problem("invalid");
}

/// Of what became no event nothing is made, and whoever asks for it hears why; what went nowhere goes where it is sent.
#[tokio::test]
async fn what_cannot_be_made_says_why() {
    let world = World::new().await;
    let (_, events) = delivered(&world, 1).await;
    let rejection = Rejection { reason: RejectionReason::Verification, detail: "wrong".to_owned() };
    let rejected = world.received(Fate::Rejected(rejection), None).await;
    let repeated = world.received(Fate::Duplicate { of: events[0] }, None).await;
    let filtered = world.received(Fate::Filtered, None).await;
    let nowhere = world.received(Fate::NoEndpoint, None).await;
    let gone = EventId::new(START, 99);
    let request = format!("doorbell request explain {}", RequestId::from(rejected));
    let repeats = format!("it only repeats {}", events[0]);
    for (event, why) in [
        (rejected, request.as_str()),
        (repeated, repeats.as_str()),
        (filtered, "name one (`to`"),
        (nowhere, "name one (`to`"),
        (gone, "not there"),
    ] {
        let body = json!({"choice": {"events": [event.to_string()]}});
        let problem = world.post("/v1/replays", body.clone()).await.problem("invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/choice/events/0");
        let said = problem["detail"].as_str().unwrap();
        assert!(said.contains(why) && said.contains(&event.to_string()), "{said}");
        let plan = world.post("/v1/replays/plan", body).await.is(200);
        assert_eq!(
            (&plan["deliveries"], &plan["left_out"][0]["event"]),
            (&json!(0), &json!(event.to_string()))
        );
    }
    let both = json!({"choice": {"events": [rejected.to_string(), events[0].to_string()]}});
    world.post("/v1/replays", both).await.is(202);
    let ids = [RequestId::from(filtered).to_string(), nowhere.to_string()];
    world.post("/v1/replays", json!({"choice": {"events": ids}, "to": "app"})).await.is(202);
    run(&world).await;
    let made: BTreeSet<EventId> = replayed(&world).await.into_iter().collect();
    assert_eq!(made, BTreeSet::from([events[0], filtered, nowhere]));
    world.call("POST", "/v1/endpoints/app/disable").answer().await.is(200);
    let body = json!({"choice": {"events": [events[0].to_string()]}});
    let problem = world.post("/v1/replays", body).await.problem("invalid");
    assert!(problem["detail"].as_str().unwrap().contains("gone or disabled"), "{problem}");
}

#[tokio::test]
async fn it_is_cancelled_and_what_it_made_stays() {
    let world = World::new().await;
    delivered(&world, 50).await;
    let made = world.post("/v1/replays", json!({"rate_per_second": 10})).await.is(202);
    let path = format!("/v1/replays/{}/cancel", made["id"].as_str().unwrap());
    let mut engine = world.engine();
    for _ in 0..4 {
        engine.step().await;
        world.hand.advance(Duration::from_millis(100));
    }
    let cancelled = world.call("POST", &path).answer().await.is(200);
    assert_eq!((&cancelled["state"], &cancelled["made"]), (&json!("cancelled"), &json!(3)));
    assert_eq!(engine.step().await, None);
    assert_eq!(replayed(&world).await.len(), 3);
    world.call("POST", &path).answer().await.problem("state");
    assert_eq!(world.get("/v1/replays").await.is(200)["data"][0]["state"], "cancelled");
}

/// A node that stops at any step, without a word, and a new one that goes on: each delivery is made once.
#[tokio::test]
async fn it_goes_on_after_a_restart_without_doubles() {
    for steps in 0..14 {
        let world = World::new().await;
        let (endpoint, events) = delivered(&world, 230).await;
        let made = world.post("/v1/replays", json!({"rate_per_second": 500})).await.is(202);
        let mut engine = world.engine();
        for _ in 0..steps {
            engine.step().await;
            world.hand.advance(Duration::from_secs(1));
        }
        drop(engine);
        let before = replayed(&world).await.len();
        let gone = State::Discarded { at: START, why: DiscardReason::Cancelled };
        world.settle(endpoint, gone).await;
        let again = World::over(world.home.clone()).await;
        run(&again).await;
        let untouched =
            again.deliveries().await.iter().filter(|r| r.delivery.state == gone).count();
        assert_eq!(untouched, before, "what was there was not made again, after {steps} steps");
        let mut replayed = replayed(&again).await;
        assert_eq!(replayed.len(), events.len(), "after {steps} steps");
        replayed.sort_unstable();
        assert_eq!(replayed, events, "after {steps} steps");
        let done = shown(&again, &made["id"]).await;
        assert_eq!((&done["state"], &done["made"]), (&json!("done"), &json!(230)), "{steps}");
    }
}

/// The store says that a batch failed, and yet it was made (here: by another node that knows nothing of this one).
#[tokio::test]
async fn a_batch_in_doubt_is_not_made_twice() {
    let world = World::new().await;
    let (endpoint, _) = delivered(&world, 5).await;
    let made = world.post("/v1/replays", json!({"rate_per_second": 10_000})).await.is(202);
    let mut engine = world.engine();
    engine.step().await;
    world.home.fail_with(Some(StoreError::Busy));
    let next = engine.step().await.unwrap();
    assert_eq!(next.since(world.now()), Duration::from_secs(1), "it waits for the store");
    world.home.fail_with(None);
    run(&World::over(world.home.clone()).await).await;
    assert_eq!(replayed(&world).await.len(), 5);
    let gone = State::Discarded { at: START, why: DiscardReason::Cancelled };
    world.settle(endpoint, gone).await;
    world.hand.advance(Duration::from_secs(1));
    assert_eq!(engine.step().await, None);
    let rows = world.deliveries().await;
    assert_eq!(rows.len(), 10);
    let untouched = rows.iter().filter(|row| row.delivery.state == gone).count();
    assert_eq!(untouched, 5, "what was there was not made again");
    assert_eq!(shown(&world, &made["id"]).await["made"], 5);
}

/// Order keys travel, and an event that is gone meanwhile is left out.
#[tokio::test]
async fn order_keys_travel() {
    let world = World::new().await;
    let body = json!({
        "name": "ordered", "url": "https://example.com/",
        "order": {"key": {"pointer": "/n"}},
    });
    let made = world.post("/v1/endpoints", body).await.is(201);
    let endpoint: EndpointId = made["id"].as_str().unwrap().parse().unwrap();
    let event = world.publish("a").await;
    world.settle(endpoint, State::Delivered { at: START }).await;
    world.hand.advance(Duration::from_millis(1));
    world.post("/v1/replays", json!({})).await.is(202);
    run(&world).await;
    let rows = world.deliveries().await;
    assert_eq!(rows.len(), 2);
    assert!(rows[0].delivery.order_key.is_some());
    assert_eq!(rows[0].delivery.order_key, rows[1].delivery.order_key);
    let gone = Amendment::Redeliver {
        tenant: rows[0].delivery.tenant,
        event: EventId::new(START, 99),
        deliveries: Vec::<NewDelivery>::new(),
    };
    let answer = world.home.amend(vec![gone]).await.unwrap();
    assert_eq!(answer, [doorbell_store::Amended::Unknown]);
    assert_eq!(rows[0].delivery.event, event);
}
