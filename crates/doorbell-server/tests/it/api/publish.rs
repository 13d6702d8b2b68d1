//! Publishing: the bytes are kept as they came, and a key makes one event.

use super::world::World;
use doorbell_core::configuration::Scope;
use doorbell_core::event::{Fate, Rejection, RejectionReason};
use doorbell_core::id::{EventId, TenantId};
use doorbell_store::Store as _;
use serde_json::{Value, json};

async fn stored(world: &World, id: &Value) -> doorbell_core::event::Event {
    let id: EventId = id.as_str().unwrap().parse().unwrap();
    world.home.event(TenantId::DEFAULT, id).await.unwrap().unwrap().event
}

#[tokio::test]
async fn the_bytes_of_data_are_kept() {
    let world = World::new().await;
    world.endpoint("app").await;
    let data = "{ \"b\" : 1.0e0,\t\"a\":\"\\u00e9\" , \"a\" : 2}";
    let body = format!("{{\"type\":\"invoice.paid\",\"channels\":[\"eu\"], \"data\": {data} }}");
    let made = world.call("POST", "/v1/events").raw("application/json; charset=utf-8", body);
    let made = made.answer().await.is(202);
    assert_eq!((&made["type"], &made["fate"]), (&json!("invoice.paid"), &json!("accepted")));
    assert_eq!(made["deliveries"], 1);
    let event = stored(&world, &made["id"]).await;
    assert_eq!(event.request.body, data.as_bytes());
    assert_eq!(event.channels, ["eu"]);
    let headers: Vec<_> = event.request.headers.iter().collect();
    assert_eq!(headers, [("content-type", b"application/json".as_slice())], "no token goes on");
}

#[tokio::test]
async fn any_other_body_is_published_as_it_is() {
    let world = World::new().await;
    for (content_type, body) in [
        ("application/xml", b"<a>\r\n</a>".as_slice()),
        ("application/octet-stream", &[0, 0xff, 0xfe]),
        ("application/json", b"{\"type\": 1}"),
        ("text/plain", b""),
    ] {
        let call = world.call("POST", "/v1/events").raw(content_type, body);
        let made = call.header("doorbell-event-type", "doc.made").answer().await.is(202);
        assert_eq!(made["fate"], "no_endpoint");
        let event = stored(&world, &made["id"]).await;
        assert_eq!(event.request.body, body);
        assert_eq!(event.request.headers.text("content-type"), Some(content_type));
        let served = world.get(&format!("/v1/events/{}/body", made["id"].as_str().unwrap())).await;
        assert_eq!(served.body, body);
    }
    let call = world.call("POST", "/v1/events?type=doc.made&channels=a,b").raw("text/csv", "1;2");
    let made = call.answer().await.is(202);
    assert_eq!(stored(&world, &made["id"]).await.channels, ["a", "b"]);
    world.call("POST", "/v1/events").raw("text/csv", "1").answer().await.problem("media_type");
}

#[tokio::test]
async fn the_same_key_makes_one_event() {
    let world = World::new().await;
    world.endpoint("app").await;
    let body = json!({"type": "a.b", "data": {"n": 1}});
    let publish = |body: &Value| {
        world.call("POST", "/v1/events").json(body).header("idempotency-key", "k1").answer()
    };
    let first = publish(&body).await.is(202);
    assert_eq!(publish(&body).await.is(200), first);
    assert_eq!(world.deliveries().await.len(), 1);
    let other = publish(&json!({"type": "a.b", "data": {"n": 2}})).await;
    assert!(other.problem("key_reused")["detail"].as_str().unwrap().contains("evt_"));
    publish(&json!({"type": "a.c", "data": {"n": 1}})).await.problem("key_reused");
    let own = json!({"type": "a.b", "data": {"n": 1}, "dedupe_key": "k1"});
    assert_eq!(world.post("/v1/events", own).await.is(200), first);
    let two = json!({"type": "a.b", "data": 1, "dedupe_key": "other"});
    assert_eq!(publish(&two).await.problem("invalid")["errors"][0]["pointer"], "/dedupe_key");
    assert_eq!(world.deliveries().await.len(), 1);
}

/// Whoever reads the list can tell a key that was used for two events from an event that was sent twice.
#[tokio::test]
async fn a_reused_key_is_listed_with_its_reason() {
    let world = World::new().await;
    for n in [1, 1, 2] {
        let body = json!({"type": "a.b", "data": n, "dedupe_key": "k1"});
        world.post("/v1/events", body).await;
    }
    let listed = world.get("/v1/requests").await.is(200);
    let [other, again, first] = listed["data"].as_array().unwrap().as_slice() else { panic!() };
    let fates = [&other["fate"], &again["fate"], &first["fate"]];
    assert_eq!(fates, ["rejected", "duplicate", "no_endpoint"]);
    assert_eq!(again["duplicate_of"], first["event"]);
    assert_eq!(other["rejection"]["reason"], "key_reused");
    let detail = other["rejection"]["detail"].as_str().unwrap();
    assert!(detail.contains(first["event"].as_str().unwrap()), "{detail}");
}

/// An event and the request that told of it share their letters: either id opens either, where it is there.
#[tokio::test]
async fn the_id_of_a_request_opens_its_event() {
    let world = World::new().await;
    let id = world.received(Fate::NoEndpoint, None).await.to_string();
    let (own, other) = (format!("/v1/events/{id}"), id.replace("evt_", "req_"));
    assert_eq!(
        world.get(&format!("/v1/events/{other}")).await.is(200),
        world.get(&own).await.is(200)
    );
    let own = world.get(&format!("/v1/requests/{id}")).await.is(200);
    assert_eq!((&own["id"], &own["event"]), (&json!(other), &json!(id)));
    world.get("/v1/requests/dlv_00000000000000000000000000").await.problem("not_found");
}

#[tokio::test]
async fn an_envelope_is_checked() {
    let world = World::new().await;
    for (body, code, place) in [
        (json!({"data": 1}), "malformed", "/type"),
        (json!({"type": "a"}), "malformed", "/data"),
        (json!({"type": "a", "data": 1, "dta": 2}), "malformed", "/dta"),
        (json!({"type": "a b", "data": 1}), "invalid", "/type"),
        (json!({"type": "a", "data": 1, "channels": ["a,b"]}), "invalid", "/channels/0"),
        (json!({"type": "a", "data": 1, "dedupe_key": ""}), "invalid", "/dedupe_key"),
    ] {
        let problem = world.post("/v1/events", body).await.problem(code);
        assert_eq!(problem["errors"][0]["pointer"], place, "{problem}");
    }
}

#[tokio::test]
async fn an_endpoint_is_tested_alone() {
    let world = World::new().await;
    let body = json!({"name": "app", "url": "https://example.com/", "event_types": ["never"]});
    world.post("/v1/endpoints", body).await.is(201);
    world.endpoint("other").await;
    let made = world.call("POST", "/v1/endpoints/app/test").answer().await.is(202);
    let rows = world.deliveries().await;
    assert_eq!((rows.len(), json!(rows[0].delivery.id.to_string())), (1, made["delivery"].clone()));
    let event = stored(&world, &made["event"]).await;
    assert_eq!(event.event_type.unwrap().as_str(), "doorbell.ping");
    serde_json::from_slice::<Value>(&event.request.body).unwrap();
    world.call("POST", "/v1/endpoints/app/disable").answer().await.is(200);
    world.call("POST", "/v1/endpoints/app/test").answer().await.problem("state");
}

#[tokio::test]
async fn events_and_requests_are_listed_and_shown() {
    let world = World::new().await;
    let endpoint = world.endpoint("app").await;
    let accepted = world.received(Fate::Accepted, Some(endpoint)).await;
    let detail = "the signature is of another secret".to_owned();
    let reason = RejectionReason::Verification;
    let rejected = world.received(Fate::Rejected(Rejection { reason, detail }), None).await;
    let published = world.publish("invoice.paid").await;

    let ids = |page: Value| -> Vec<String> {
        let items = page["data"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    let list = async |query: &str| ids(world.get(&format!("/v1/events?{query}")).await.is(200));
    assert_eq!(list("").await, [published.to_string(), accepted.to_string()]);
    assert_eq!(list("event_type=invoice.*").await, [published.to_string()]);
    assert_eq!(list("endpoint=app&state=waiting").await.len(), 2);
    assert_eq!(list("state=failed").await, [""; 0]);
    assert_eq!(list("fate=filtered,no_endpoint").await, [""; 0]);
    world.get("/v1/events?fate=accepted,rejected").await.problem("parameter");
    assert_eq!(list("until=2026-11-24T06:00:00Z").await, [""; 0]);
    let requests = world.get("/v1/requests?fate=rejected").await.is(200);
    assert_eq!(requests["data"][0]["rejection"]["reason"], "verification_failed");
    world.get("/v1/events?state=odd").await.problem("parameter");
    world.get("/v1/events?since=yesterday").await.problem("parameter");
    world.get("/v1/events?cursor=odd").await.problem("parameter");
    world.get("/v1/events?source=nowhere").await.problem("not_found");

    let path = format!("/v1/requests/{}", rejected.to_string().replace("evt_", "req_"));
    let shown = world.get(&path).await.is(200);
    assert_eq!((&shown["event"], &shown["fate"]), (&Value::Null, &json!("rejected")));
    assert!(shown["explanation"].as_str().unwrap().contains("another secret"));
    let problem = world.get(&format!("/v1/events/{rejected}")).await.problem("not_found");
    assert!(problem["detail"].as_str().unwrap().contains(&path), "{problem}");
    world.get(&format!("/v1/events/{rejected}/body")).await.problem("not_found");

    let reader = world.token(&[Scope::Read], None).await;
    let path = format!("/v1/events/{accepted}");
    let hidden = world.bare("GET", &path).token(&reader).answer().await.is(200);
    assert_eq!(hidden["request"]["headers"][0]["value"], "***");
    let whole = world.get(&path).await.is(200);
    assert_eq!(whole["request"]["headers"][0]["value"], "Bearer canary");
}

/// S19: bytes from outside never become a page of ours.
#[tokio::test]
async fn bodies_are_served_so_that_nothing_runs_them() {
    let world = World::new().await;
    let id = world.received(Fate::NoEndpoint, None).await;
    let request = id.to_string().replace("evt_", "req_");
    for path in [format!("/v1/events/{id}/body"), format!("/v1/requests/{request}/body")] {
        let body = world.get(&path).await;
        assert_eq!(body.body, "<script>alert(1)</script>");
        assert_eq!(body.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(body.header("x-content-type-options"), "nosniff");
        assert!(body.header("content-disposition").starts_with("attachment; filename="));
        assert_eq!(body.header("content-security-policy"), "default-src 'none'; sandbox");
    }
}
