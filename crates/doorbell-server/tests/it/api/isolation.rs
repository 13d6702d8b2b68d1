//! Every operation of the table: no token, the wrong scope, another tenant.

use super::world::{START, World};
use doorbell_core::configuration::Scope;
use doorbell_core::event::{Fate, Rejection, RejectionReason};
use doorbell_wire::api::v1::operation::{Input, Operation, Spec};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A body that the operation takes.
fn body(operation: Operation) -> Value {
    let bodies = [
        (Operation::CreateSource, json!({"name": "mine", "provider": "none"})),
        (Operation::CreateEndpoint, json!({"name": "mine", "url": "https://example.com/"})),
        (Operation::RotateSourceSecret, json!({"secret": "another secret of some length"})),
        (Operation::PublishEvent, json!({"type": "a", "data": 1})),
        (Operation::Apply, json!({"prune": true, "sources": [], "endpoints": []})),
        (Operation::CreateTenant, json!({"uid": "mine"})),
        (Operation::CreateToken, json!({"name": "mine", "scopes": ["read"]})),
        (Operation::MoveStore, json!({"to": "postgres://somewhere/else"})),
    ];
    let found = bodies.into_iter().find(|(one, _)| *one == operation);
    found.map_or(json!({}), |(_, body)| body)
}

/// Things of the default tenant, by the name that stands for them in paths.
async fn things(world: &World) -> BTreeMap<&'static str, String> {
    world.post("/v1/sources", json!({"name": "inbox", "provider": "none"})).await.is(201);
    let source = world.get("/v1/sources/inbox").await.is(200)["id"].clone();
    let endpoint = world.endpoint("app").await;
    let event = world.publish("canary.event").await;
    let detail = "canary".to_owned();
    let rejection = Rejection { reason: RejectionReason::Malformed, detail };
    world.received(Fate::Rejected(rejection), None).await;
    let replay = world.post("/v1/replays", json!({})).await.is(202)["id"].clone();
    let token = world.post("/v1/tokens", json!({"name": "canary", "scopes": ["read"]})).await;
    BTreeMap::from([
        ("source", source.as_str().unwrap().to_owned()),
        ("endpoint", endpoint.to_string()),
        ("event", event.to_string()),
        ("request", event.to_string().replace("evt_", "req_")),
        ("delivery", world.deliveries().await[0].delivery.id.to_string()),
        ("replay", replay.as_str().unwrap().to_owned()),
        ("tenant", "default".to_owned()),
        ("token", token.is(201)["id"].as_str().unwrap().to_owned()),
    ])
}

fn path(spec: &Spec, things: &BTreeMap<&str, String>) -> String {
    spec.path_names().fold(spec.path.to_owned(), |path, name| {
        path.replace(&format!("{{{name}}}"), &things[name])
    })
}

async fn ask(world: &World, operation: Operation, path: &str, token: &str) -> super::world::Answer {
    let spec = operation.spec();
    let path = if spec.id == "search" { format!("{path}?text=n") } else { path.to_owned() };
    let call = world.bare(spec.method.word(), &path);
    let call = if token.is_empty() { call } else { call.token(token) };
    let bare = matches!(spec.input, Input::Nothing);
    if bare { call } else { call.json(&body(operation)) }.answer().await
}

/// All but signing in.
fn with_token() -> impl Iterator<Item = Operation> {
    Operation::ALL.iter().copied().filter(|operation| operation.spec().scope.is_some())
}

#[tokio::test]
async fn no_operation_without_a_token() {
    let world = World::new().await;
    let things = things(&world).await;
    for (place, operation) in with_token().enumerate() {
        if place % 20 == 19 {
            world.hand.advance(std::time::Duration::from_secs(60));
        }
        let answer = ask(&world, operation, &path(&operation.spec(), &things), "").await;
        answer.problem("unauthorized");
    }
}

#[tokio::test]
async fn each_operation_wants_its_scope() {
    let world = World::new().await;
    let things = things(&world).await;
    for operation in with_token() {
        let spec = operation.spec();
        let needed = Scope::from(spec.scope.unwrap());
        let others: Vec<Scope> =
            Scope::ALL.into_iter().filter(|s| *s != needed && *s != Scope::Admin).collect();
        let token = world.token(&others, None).await;
        let answer = ask(&world, operation, &path(&spec, &things), &token).await;
        let problem = answer.problem("scope");
        assert!(problem["detail"].as_str().unwrap().contains(needed.word()), "{problem}");
    }
}

/// S27: what belongs to the default tenant is not there for another one, and none of its lists shows it. The live feed
/// never ends, and is looked at elsewhere.
#[tokio::test]
async fn another_tenants_things_are_not_there() {
    let world = World::new().await;
    let things = things(&world).await;
    world.post("/v1/tenants", json!({"uid": "other"})).await.is(201);
    let token = world.token(&[Scope::Admin], Some("other")).await;
    let before = world.home_text().await;
    let (mut named, mut lists) = (0, 0);
    for operation in Operation::ALL.iter().filter(|operation| **operation != Operation::Live) {
        let spec = operation.spec();
        let answer = ask(&world, *operation, &path(&spec, &things), &token).await;
        if spec.path_names().next().is_some() {
            assert_eq!(answer.status.as_u16(), 404, "{} {}", spec.id, answer.json());
            named += 1;
        } else if spec.method.word() == "GET" && spec.id != "metrics" {
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            for thing in things.values().map(String::as_str).chain(["canary"]) {
                assert!(thing == "default" || !text.contains(thing), "{}: {text}", spec.id);
            }
            lists += 1;
        }
    }
    let with_name = |operation: &&Operation| operation.spec().path_names().next().is_some();
    assert_eq!(named, Operation::ALL.iter().filter(with_name).count());
    assert!(lists >= 9, "{lists}");
    assert_eq!(world.home_text().await, before, "nothing of the default tenant was changed");
    for filter in ["endpoint=app", "source=inbox"] {
        let answer =
            world.bare("GET", &format!("/v1/events?{filter}")).token(&token).answer().await;
        answer.problem("not_found");
    }
    let by_id = format!("/v1/deliveries?endpoint={}", things["endpoint"]);
    let found = world.bare("GET", &by_id).token(&token).answer().await.is(200);
    assert_eq!(found["data"], json!([]));
    let replay = json!({"choice": {"events": [things["event"]]}, "to": things["endpoint"]});
    let replay = world.bare("POST", "/v1/replays/plan").token(&token).json(&replay).answer().await;
    assert_eq!(replay.problem("invalid")["errors"][0]["pointer"], "/to");
}

#[tokio::test]
async fn only_the_operator_acts_for_a_tenant() {
    let world = World::new().await;
    world.post("/v1/tenants", json!({"uid": "other", "name": "Other Ltd"})).await.is(201);
    world.post("/v1/tenants", json!({"uid": "other"})).await.problem("conflict");
    let of = |tenant| world.call("GET", "/v1/sources").header("doorbell-tenant", tenant).answer();
    of("other").await.is(200);
    of("nobody").await.problem("not_found");
    let token = world.token(&[Scope::Admin], Some("other")).await;
    for tenant in ["default", "other", "nobody"] {
        let call = world.bare("GET", "/v1/sources").token(&token);
        call.header("doorbell-tenant", tenant).answer().await.problem("not_found");
    }
    let own = world.bare("GET", "/v1/tenants").token(&token).answer().await.is(200);
    assert_eq!(own["data"].as_array().unwrap().len(), 1);
    let body = json!({"uid": "third"});
    world.bare("POST", "/v1/tenants").token(&token).json(&body).answer().await.problem("scope");
    let status = world.bare("GET", "/v1/status").token(&token).answer().await.is(200);
    assert_eq!(status["store"], Value::Null);
    assert_eq!(status["now"], START.to_string());
}

impl World {
    /// All that the default tenant has, as text.
    pub(super) async fn home_text(&self) -> String {
        let mut text = String::new();
        for list in ["sources", "endpoints", "requests", "deliveries", "tokens", "replays"] {
            text += &self.get(&format!("/v1/{list}")).await.is(200).to_string();
        }
        text
    }
}
