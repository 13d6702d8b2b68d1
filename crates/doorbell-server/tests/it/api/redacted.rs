//! What a token with the scope `read` sees of the secrets that sources check.

use super::world::{Answer, PEER, START, World};
use bytes::Bytes;
use doorbell_core::configuration::Scope;
use doorbell_core::event::{Event, Fate, Origin};
use doorbell_core::id::{EventId, RequestId, SourceId, TenantId};
use doorbell_core::request::{Headers, Request};
use doorbell_store::{Admission, Store as _};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const SECRET: &str = "canary-7311";

/// A request that came to a source with these options.
struct Case<'a> {
    provider: &'a str,
    options: Value,
    query: Option<&'a str>,
    header: (&'a str, &'a str),
    body: &'a str,
}

const PLAIN: (&str, &str) = ("x-kind", "ordinary");

async fn source(world: &World, case: &Case<'_>) -> SourceId {
    let body = json!({
        "name": case.provider, "provider": case.provider, "options": case.options, "secrets": [SECRET],
    });
    world.post("/v1/sources", body).await.is(201)["id"].as_str().unwrap().parse().unwrap()
}

async fn received(world: &World, case: &Case<'_>, source: SourceId) -> EventId {
    let id = EventId::new(START, 99);
    let mut headers = Headers::default();
    headers.push(case.header.0, case.header.1);
    let event = Event {
        id,
        tenant: TenantId::DEFAULT,
        at: START,
        origin: Origin::Source(source),
        event_type: None,
        dedupe_key: None,
        channels: Vec::new(),
        request: Request {
            method: "POST".to_owned(),
            path: String::new(),
            query: case.query.map(str::to_owned),
            headers,
            body: Bytes::copy_from_slice(case.body.as_bytes()),
            peer: Some(PEER),
        },
    };
    let admission = Admission {
        event: Arc::new(event),
        fate: Fate::NoEndpoint,
        dedupe_window: Duration::ZERO,
        deliveries: Vec::new(),
        once: false,
    };
    world.home.accept(admission).await.unwrap();
    id
}

/// Everything that shows parts of a request.
async fn seen(world: &World, id: EventId, token: &str) -> Vec<(String, Answer)> {
    let request = RequestId::from(id);
    let mut seen = Vec::new();
    for path in [
        format!("/v1/events/{id}"),
        format!("/v1/events/{id}/body"),
        format!("/v1/requests/{request}"),
        format!("/v1/requests/{request}/body"),
        format!("/v1/requests/{request}/explain"),
        "/v1/search?text=canary".to_owned(),
        "/v1/search?pointer=/key".to_owned(),
        "/v1/search?text=ordinary".to_owned(),
    ] {
        let answer = world.bare("GET", &path).token(token).answer().await;
        seen.push((path, answer));
    }
    seen
}

fn holds(answer: &Answer) -> bool {
    String::from_utf8_lossy(&answer.body).contains(SECRET)
}

async fn hidden_from_readers(case: Case<'_>) {
    let world = World::new().await;
    let source = source(&world, &case).await;
    let id = received(&world, &case, source).await;
    let reader = world.token(&[Scope::Read], None).await;
    for (path, answer) in seen(&world, id, &reader).await {
        assert!(!holds(&answer), "{path}: {}", String::from_utf8_lossy(&answer.body));
        if path.contains("canary") || path.contains("pointer") {
            assert!(!String::from_utf8_lossy(&answer.body).contains("\"hit\""), "{path}");
        }
    }
    let root = world.root.clone();
    let whole = seen(&world, id, &root).await;
    assert!(whole.iter().any(|(_, answer)| holds(answer)), "an admin sees it");
    world.call("DELETE", &format!("/v1/sources/{source}")).answer().await.is(204);
    for (path, answer) in seen(&world, id, &reader).await {
        assert!(!holds(&answer), "the source is gone: {path}");
    }
}

#[tokio::test]
async fn a_secret_in_the_query() {
    let query = Some("a=ordinary&t=canary-7311");
    let options = json!({"parameter": "t"});
    hidden_from_readers(Case {
        provider: "query-token",
        options,
        query,
        header: PLAIN,
        body: "{}",
    })
    .await;
}

#[tokio::test]
async fn a_secret_in_a_header_of_ones_own() {
    let (options, header) = (json!({"header": "X-Tok"}), ("x-tok", SECRET));
    hidden_from_readers(Case { provider: "token", options, query: None, header, body: "{}" }).await;
}

#[tokio::test]
async fn a_secret_in_the_body() {
    let (options, body) = (json!({"pointer": "/key"}), r#"{"key":"canary-7311"}"#);
    let case = Case { provider: "token", options, query: None, header: PLAIN, body };
    let world = World::new().await;
    let source = source(&world, &case).await;
    let id = received(&world, &case, source).await;
    let reader = world.token(&[Scope::Read], None).await;
    let shown =
        world.bare("GET", &format!("/v1/events/{id}")).token(&reader).answer().await.is(200);
    assert_eq!(shown["request"]["body"]["hidden"], true);
    let raw = world.bare("GET", &format!("/v1/events/{id}/body")).token(&reader).answer().await;
    assert!(raw.problem("scope")["detail"].as_str().unwrap().contains("`admin`"));
    hidden_from_readers(case).await;
}

#[tokio::test]
async fn headers_that_are_part_of_the_signed_text() {
    let options = json!({"header": "X-Sig", "template": "{header:authorization}{body}"});
    let header = ("authorization", "Bearer canary-7311");
    hidden_from_readers(Case { provider: "hmac", options, query: None, header, body: "{}" }).await;
}

#[tokio::test]
async fn the_rest_can_be_searched_and_read() {
    let world = World::new().await;
    let case = Case {
        provider: "query-token",
        options: json!({"parameter": "t"}),
        query: Some("a=ordinary&t=canary-7311"),
        header: PLAIN,
        body: r#"{"key":1}"#,
    };
    let source = source(&world, &case).await;
    let id = received(&world, &case, source).await;
    let reader = world.token(&[Scope::Read], None).await;
    let all = seen(&world, id, &reader).await;
    let text = |at: usize| String::from_utf8_lossy(&all[at].1.body).into_owned();
    assert!(text(0).contains("a=ordinary&t=***") && text(1) == case.body, "{}", text(0));
    assert!(text(6).contains("\"hit\"") && text(7).contains("a=ordinary&t=***"), "{}", text(7));
}

#[tokio::test]
async fn credentials_in_the_url_of_an_endpoint() {
    let world = World::new().await;
    let url = "https://example.com/hook?token=canary-7311&a=1";
    let shown = "https://example.com/hook?token=***&a=1";
    world.post("/v1/endpoints", json!({"name": "app", "url": url})).await.is(201);
    let reader = world.token(&[Scope::Read, Scope::Write], None).await;
    for path in ["/v1/endpoints", "/v1/endpoints/app"] {
        let answer = world.bare("GET", path).token(&reader).answer().await;
        assert!(!holds(&answer) && answer.status.as_u16() == 200, "{path}");
    }
    let patch = json!({"url": shown, "concurrency": 3});
    let answer =
        world.bare("PATCH", "/v1/endpoints/app").token(&reader).json(&patch).answer().await;
    assert_eq!(answer.is(200)["url"], shown);
    let whole = world.get("/v1/endpoints/app").await.is(200);
    assert_eq!((&whole["url"], &whole["concurrency"]), (&json!(url), &json!(3)), "it is kept");
    let change = json!({"endpoints": [{"name": "app", "url": format!("{url}2")}]});
    let answer = world.bare("POST", "/v1/apply").token(&reader).json(&change).answer().await;
    assert!(!holds(&answer) && answer.status.as_u16() == 200);
}
