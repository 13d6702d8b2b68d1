//! Search and the live feed.

use super::world::World;
use doorbell_core::configuration::Scope;
use doorbell_core::event::{Fate, Rejection, RejectionReason};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

async fn lines(world: &World, query: &str) -> Vec<Value> {
    let answer = world.get(&format!("/v1/search?{query}")).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn kinds(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["kind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn search_streams_hits_progress_and_an_end() {
    let world = World::new().await;
    for n in 0..3 {
        let body = json!({"type": "a.b", "data": {"user": {"id": n}, "text": "needle"}});
        world.post("/v1/events", body).await.is(202);
    }
    world.publish("other").await;
    let found = lines(&world, "text=needle").await;
    assert_eq!(kinds(&found), ["hit", "hit", "hit", "progress", "done"]);
    assert_eq!((&found[4]["scanned"], &found[4]["hits"]), (&json!(4), &json!(3)));
    assert!(found[0]["excerpt"]["text"].as_str().unwrap().contains("needle"));
    assert_eq!(found[0]["request"]["event_type"], "a.b");

    let one = lines(&world, "pointer=/user/id&equals=1").await;
    assert_eq!(kinds(&one), ["hit", "progress", "done"]);
    let first = lines(&world, "text=needle&limit=1").await;
    assert_eq!(kinds(&first), ["hit", "progress", "done"]);
    let cursor = first[2]["next_cursor"].as_str().unwrap();
    let rest = lines(&world, &format!("text=needle&cursor={cursor}")).await;
    assert_eq!(kinds(&rest), ["hit", "hit", "progress", "done"]);
    for query in ["", "text=", "pointer=x", "text=a&budget=6m", "text=a&limit=0"] {
        world.get(&format!("/v1/search?{query}")).await.problem("parameter");
    }
    let broken = lines(&world, "text=needle&cursor=odd").await;
    assert_eq!((kinds(&broken), &broken[0]["code"]), (vec!["problem"], &json!("parameter")));
}

/// What is found can be opened by the id that stands beside it, rejected requests too.
#[tokio::test]
async fn every_hit_can_be_opened() {
    let world = World::new().await;
    let reason = RejectionReason::Verification;
    let fate = Fate::Rejected(Rejection { reason, detail: "wrong".to_owned() });
    world.received(fate, None).await;
    world.received(Fate::NoEndpoint, None).await;
    for (hit, has_event) in lines(&world, "text=alert").await.iter().zip([true, false]) {
        let id = hit["request"]["id"].as_str().unwrap();
        assert_eq!(world.get(&format!("/v1/requests/{id}")).await.is(200)["id"], id);
        let event = hit["request"]["event"].as_str();
        assert_eq!(event.is_some(), has_event);
        if let Some(event) = event {
            world.get(&format!("/v1/events/{event}")).await.is(200);
        }
    }
}

async fn next(body: &mut axum::body::Body) -> String {
    let frame = body.frame().await.unwrap().unwrap();
    String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn the_live_feed_tells_a_tenant_its_own() {
    let world = World::new().await;
    world.post("/v1/tenants", json!({"uid": "other"})).await.is(201);
    let token = world.token(&[Scope::Read, Scope::Publish], Some("other")).await;
    let answer = world.call("GET", "/v1/live?event_type=a.*").open().await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    assert_eq!(next(&mut body).await, ": watching\n\n");

    let foreign = json!({"type": "a.foreign", "data": 1});
    world.bare("POST", "/v1/events").token(&token).json(&foreign).answer().await.is(202);
    world.publish("not.wanted").await;
    let id = world.publish("a.b").await;
    let told = next(&mut body).await;
    let line: Value =
        serde_json::from_str(told.strip_prefix("data: ").unwrap().trim_end()).unwrap();
    assert_eq!((&line["kind"], &line["event"]), (&json!("received"), &json!(id.to_string())));
    assert_eq!(line["fate"], "no_endpoint");
    assert!(told.ends_with("\n\n"));
    world.received(Fate::NoEndpoint, None).await;
    world.get("/v1/live?source=nowhere").await.problem("not_found");
}

#[tokio::test(start_paused = true)]
async fn the_live_feed_ends_with_its_token() {
    let world = World::new().await;
    let make = async |life: Option<&str>| {
        let name = life.unwrap_or("for good");
        let body = json!({"name": name, "scopes": ["read"], "expires_in": life});
        world.post("/v1/tokens", body).await.is(201)
    };
    let watch = async |token: &Value| {
        let token = token["token"].as_str().unwrap();
        let mut body = world.bare("GET", "/v1/live").token(token).open().await.into_body();
        assert_eq!(next(&mut body).await, ": watching\n\n");
        body
    };
    let (kept, short) = (make(None).await, make(Some("1h")).await);
    let (mut kept_feed, mut short_feed) = (watch(&kept).await, watch(&short).await);
    assert_eq!(next(&mut short_feed).await, ": still here\n\n");
    world.hand.advance(std::time::Duration::from_secs(3600));
    assert!(short_feed.frame().await.is_none(), "it expired");

    world.publish("a.b").await;
    assert!(next(&mut kept_feed).await.starts_with("data: "));
    let waiting = tokio::spawn(async move { kept_feed.frame().await.is_none() });
    tokio::task::yield_now().await;
    let path = format!("/v1/tokens/{}", kept["id"].as_str().unwrap());
    world.call("DELETE", &path).answer().await.is(204);
    let ended = tokio::time::timeout(std::time::Duration::from_secs(1), waiting);
    assert!(ended.await.unwrap().unwrap(), "it is gone, and no heartbeat was waited for");
}
