//! A move of the store is asked for, shown and stopped by the operator, and nobody is shown a password.

use super::world::World;
use doorbell_core::configuration::Scope;
use serde_json::{Value, json};

const TO: &str = "postgres://someone:their-secret@db.example:6432/doorbell";

#[tokio::test]
async fn the_operator_asks_for_a_move_and_stops_it() {
    let world = World::new().await;
    assert_eq!(world.get("/v1/move").await.is(200)["phase"], "none");
    world.post("/v1/move/cancel", Value::Null).await.problem("state");
    let asked = world.post("/v1/move", json!({"to": TO})).await.is(202);
    assert_eq!(asked["to"], "postgres://db.example:6432/doorbell");
    assert!(!asked.to_string().contains("secret"), "{asked}");
    let again = world.post("/v1/move", json!({"to": TO})).await.problem("state");
    assert!(again["detail"].as_str().unwrap().contains("under way"), "{again}");
    let mut order = world.parts.moving.ordered().await;
    assert_eq!(order.to.reveal(), TO);
    world.post("/v1/move/cancel", Value::Null).await.is(200);
    order.cancel.asked().await;
}

#[tokio::test]
async fn what_is_no_database_is_refused_at_once() {
    let world = World::new().await;
    for bad in ["", "mysql://u:their-secret@h/d", "postgres://u:their-secret@h:port/d"] {
        let problem = world.post("/v1/move", json!({"to": bad})).await.problem("invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/to");
        assert!(!problem.to_string().contains("secret"), "{problem}");
    }
    assert_eq!(world.get("/v1/move").await.is(200)["phase"], "none");
}

#[tokio::test]
async fn a_tenants_admin_moves_nothing() {
    let world = World::new().await;
    world.post("/v1/tenants", json!({"uid": "other"})).await.is(201);
    let token = world.token(&[Scope::Admin], Some("other")).await;
    for (method, path) in [("POST", "/v1/move"), ("GET", "/v1/move"), ("POST", "/v1/move/cancel")] {
        let call = world.bare(method, path).token(&token).json(&json!({"to": TO}));
        call.answer().await.problem("scope");
    }
}
