//! Deliveries: shown, retried, cancelled.

use super::world::{START, World};
use bytes::Bytes;
use doorbell_core::attempt::{Answer, Attempt, Outcome, Timings, Trigger};
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::id::AttemptId;
use doorbell_core::request::Headers;
use doorbell_server::sender::{Script, Step};
use doorbell_store::{Claim, Settlement, Store as _};
use expect_test::expect_file;
use serde_json::Value;
use std::time::Duration;

fn failed() -> State {
    State::Failed { at: START, holds_key: false }
}

#[tokio::test]
async fn a_dead_letter_is_retried_and_a_waiting_one_cancelled() {
    let world = World::new().await;
    let endpoint = world.endpoint("app").await;
    world.publish("a").await;
    world.settle(endpoint, failed()).await;
    let page = world.get("/v1/deliveries?state=failed&endpoint=app").await.is(200);
    let id = page["data"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(page["data"][0]["endpoint_name"], "app");
    let path = |verb: &str| format!("/v1/deliveries/{id}{verb}");
    assert_eq!(world.get(&path("")).await.is(200)["state"], "failed");
    let again = world.call("POST", &path("/retry")).answer().await.is(202);
    assert_eq!(again["state"], "pending");
    assert_eq!(world.parts.admitting.store.stirred().await, [endpoint]);
    world.call("POST", "/v1/endpoints/app/pause").answer().await.is(200);
    assert_eq!(world.get(&path("")).await.is(200)["state"], "paused");
    let gone = world.call("POST", &path("/cancel")).answer().await.is(200);
    assert_eq!(
        (&gone["state"], &gone["discarded_because"]),
        (&"discarded".into(), &"cancelled".into())
    );
    world.call("POST", &path("/cancel")).answer().await.problem("state");
    world.call("POST", "/v1/endpoints/app/disable").answer().await.is(200);
    world.call("POST", &path("/retry")).answer().await.problem("state");
}

#[tokio::test]
async fn what_is_delivered_is_not_retried_and_the_answer_names_the_replay() {
    let world = World::new().await;
    let endpoint = world.endpoint("app").await;
    world.publish("a").await;
    world.settle(endpoint, State::Delivered { at: START }).await;
    let before = world.get("/v1/deliveries").await.is(200)["data"][0].clone();
    let (id, event) = (before["id"].as_str().unwrap(), before["event"].as_str().unwrap());
    let retry = format!("/v1/deliveries/{id}/retry");
    let told = format!("`doorbell replay run --event {event} --endpoint {endpoint}`");
    for status in ["enable", "pause", "disable"] {
        world.call("POST", &format!("/v1/endpoints/app/{status}")).answer().await.is(200);
        let problem = world.call("POST", &retry).answer().await.problem("state");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.starts_with("It is delivered") && detail.contains(&told), "{detail}");
    }
    assert_eq!(world.get("/v1/deliveries").await.is(200)["data"][0], before);
}

#[tokio::test]
async fn what_is_in_flight_is_left_alone_and_its_attempt_explains_itself() {
    let world = World::new().await;
    let endpoint = world.endpoint("app").await;
    world.publish("a").await;
    let lease_until = START.after(Duration::from_secs(60));
    let claim =
        Claim { endpoint, by_key: false, due_by: START, most: 1, event_bytes: 0, lease_until };
    let lent = world.home.claim(claim).await.unwrap().lent.remove(0);
    let id = lent.delivery.id;
    let path = |verb: &str| format!("/v1/deliveries/{id}{verb}");
    assert_eq!(world.get(&path("")).await.is(200)["state"], "pending", "it only waits in memory");
    assert!(world.home.begin(id, lent.lease));
    assert_eq!(world.get(&path("")).await.is(200)["state"], "in_flight");
    world.call("POST", &path("/retry")).answer().await.problem("in_flight");
    world.call("POST", &path("/cancel")).answer().await.problem("in_flight");

    let mut headers = Headers::default();
    headers.push("content-type", "text/plain");
    headers.push("set-cookie", "canary");
    let body = Bytes::from_static(b"no such user");
    let answer = Answer { status: 404, headers, body, truncated: false };
    let attempt = Attempt {
        id: AttemptId::new(START, 1),
        number: 1,
        at: START,
        trigger: Trigger::Initial,
        address: Some(([203, 0, 113, 7], 443).into()),
        timings: Timings { total: Duration::from_micros(12_345), ..Timings::default() },
        outcome: Outcome::Answered(answer),
    };
    let delivery = Delivery {
        attempts: 1,
        state: State::Waiting { due: START.after(Duration::from_secs(5)) },
        ..lent.delivery
    };
    let (lease, locator) = (lent.lease, lent.locator);
    let settlement = Settlement { lease, locator, delivery, attempt: Some(attempt), next: false };
    world.home.settle(settlement).await.unwrap();
    let shown = world.get(&path("")).await.is(200);
    assert_eq!((&shown["state"], &shown["last_status"]), (&"scheduled".into(), &404.into()));
    let attempts = world.get(&path("/attempts")).await.is(200);
    expect_file!["attempts.json"].assert_eq(&format!("{attempts:#}\n"));
}

/// What waits says for what and until when; the endpoint says how it stands.
#[tokio::test(start_paused = true)]
async fn a_waiting_delivery_and_its_endpoint_say_why() {
    let mut world = World::new().await;
    world.endpoint("app").await;
    for n in 0..30 {
        world.publish(&format!("n{n}")).await;
    }
    let _stopper = world.deliver(Script::by(|_| Step::status(503)));
    for _ in 0..10 {
        world.hand.advance(Duration::from_millis(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let endpoint = world.get("/v1/endpoints/app").await.is(200);
    let listed = world.get("/v1/endpoints").await.is(200)["data"][0].clone();
    let status = world.get("/v1/status").await.is(200)["endpoints"][0].clone();
    let standing = &endpoint["standing"];
    assert_eq!((standing, standing), (&listed["standing"], &status["standing"]));
    assert_eq!((&standing["breaker"], &standing["in_flight"]), (&"open".into(), &0.into()));
    let because = standing["breaker_because"].as_str().unwrap();
    assert!(because.contains("tries in a row failed, the last one with status 503"), "{because}");
    let waiting = world.get("/v1/deliveries?state=waiting&limit=100").await.is(200);
    let of = |what: &str| -> Vec<&Value> {
        waiting["data"].as_array().unwrap().iter().filter(|d| d["waits_for"] == what).collect()
    };
    let (due, held) = (of("due"), of("breaker"));
    assert_eq!((due.len() + held.len(), held.is_empty()), (30, false));
    assert_eq!(due[0]["waits_until"], due[0]["due_at"]);
    assert!(due[0]["waits_because"].as_str().unwrap().starts_with("Try 2 of 10 is due at"));
    assert_eq!(held[0]["waits_until"], standing["next_probe_at"]);
    assert!(held[0]["waits_because"].as_str().unwrap().contains(because));
    let retry = format!("/v1/deliveries/{}/retry", held[0]["id"].as_str().unwrap());
    let asked = world.call("POST", &retry).answer().await.is(202);
    assert!(asked["waits_because"].as_str().unwrap().contains("as the probe"), "{asked}");
    world.call("POST", "/v1/endpoints/app/pause").answer().await.is(200);
    let asked = world.call("POST", &retry).answer().await.is(202);
    assert_eq!((&asked["state"], &asked["waits_for"]), (&"paused".into(), &"paused".into()));
}
