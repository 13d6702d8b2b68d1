//! Sources, endpoints, tokens and tenants: made, changed, guarded.

use super::world::World;
use doorbell_core::configuration::{ResourceId, Scope};
use doorbell_core::source::HubSubscription;
use doorbell_server::configured::Touched;
use doorbell_store::Store as _;
use doorbell_store::StoreError;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn a_source_lives() {
    let world = World::new().await;
    let body =
        json!({"name": "github", "provider": "github", "secrets": ["a long enough secret 0123"]});
    let made = world.post("/v1/sources", body).await.is(201);
    assert_eq!((&made["path"], &made["secrets"]), (&json!("/in/github"), &json!(["…0123"])));
    let directory = world.parts.configured.directory();
    assert!(directory.source_at("github").is_some(), "requests see it at once");
    world.hand.advance(Duration::from_secs(1));

    let patch = json!({"event_types": ["push"], "dedupe": {"window": "1h"}});
    let changed = world.call("PATCH", "/v1/sources/github").json(&patch).answer().await.is(200);
    assert_eq!(changed["event_types"], json!(["push"]));
    assert_eq!((&changed["id"], &changed["created_at"]), (&made["id"], &made["created_at"]));
    assert_ne!(changed["updated_at"], made["updated_at"]);
    assert_eq!(changed["secrets"], made["secrets"], "a change of a part keeps the secret");

    let rotate = json!({"secret": "another long secret 4567"});
    let rotated = world.post("/v1/sources/github/rotate-secret", rotate).await.is(200);
    assert_eq!(rotated["secrets"], json!(["…4567", "…0123"]));
    let id = rotated["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("/v1/sources/{id}")).await.is(200), rotated);
    world.call("DELETE", "/v1/sources/github").answer().await.is(204);
    world.get("/v1/sources/github").await.problem("not_found");
    assert_eq!(world.get("/v1/sources").await.is(200)["data"], json!([]));
}

#[tokio::test]
async fn a_weak_secret_is_taken_with_a_warning() {
    let world = World::new().await;
    let body = json!({"name": "hook", "provider": "github", "secrets": ["changeme"]});
    let made = world.post("/v1/sources", body).await.is(201);
    let warning = made["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("secret number 1 is weak: "), "{warning}");
    let rotate = json!({"secret": "a long enough secret 0123"});
    let rotated = world.post("/v1/sources/hook/rotate-secret", rotate).await.is(200);
    assert!(rotated["warnings"][0].as_str().unwrap().starts_with("secret number 2 "));
    let other = json!({"name": "other", "provider": "token", "secrets": ["0123456789abcdef"]});
    assert!(world.post("/v1/sources", other).await.is(201).get("warnings").is_none());
    let file = json!({"dry_run": true, "sources": [
        {"name": "hook", "provider": "github"},
        {"name": "new", "provider": "token", "secrets": ["short"]},
    ]});
    let told = world.post("/v1/apply", file).await.is(200);
    for at in [0, 1] {
        assert_eq!(told["changes"][at]["warnings"].as_array().unwrap().len(), 1, "{told}");
    }
}

#[tokio::test]
async fn a_source_that_could_believe_nobody_is_refused() {
    let world = World::new().await;
    for (body, pointer) in [
        (json!({"name": "a", "provider": "github"}), "/secrets"),
        (json!({"name": "a", "provider": "github", "secrets": [" "]}), "/secrets/0"),
        (json!({"name": "a", "provider": "nobody", "secrets": ["x"]}), "/provider"),
        (
            json!({"name": "a", "provider": "github", "secrets": ["x"], "options": {"x": "y"}}),
            "/options/x",
        ),
        (json!({"name": "Ä", "provider": "none"}), "/name"),
    ] {
        let problem = world.post("/v1/sources", body).await.problem("invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let wrong_shape = world.post("/v1/sources", json!({"name": 5, "provider": "none"})).await;
    assert_eq!(wrong_shape.problem("malformed")["errors"][0]["pointer"], "/name");
    world.post("/v1/sources", json!({"name": "open", "provider": "none"})).await.is(201);
    world
        .post("/v1/sources", json!({"name": "open", "provider": "none"}))
        .await
        .problem("conflict");
}

#[tokio::test]
async fn a_source_in_use_stays() {
    let world = World::new().await;
    world.post("/v1/sources", json!({"name": "inbox", "provider": "none"})).await.is(201);
    let body = json!({"name": "app", "url": "https://example.com/", "sources": ["inbox"]});
    let made = world.post("/v1/endpoints", body).await.is(201);
    assert_eq!(made["sources"], json!(["inbox"]));
    let kept = world.call("DELETE", "/v1/sources/inbox").answer().await;
    assert!(kept.problem("conflict")["detail"].as_str().unwrap().contains("app"));
}

#[tokio::test]
async fn an_endpoint_lives_and_shows_its_secret_once() {
    let world = World::new().await;
    let body = json!({
        "name": "app", "url": "https://example.com/hook",
        "headers": [{"name": "x-api-key", "value": "canary"}],
    });
    let made = world.post("/v1/endpoints", body).await.is(201);
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && secret.len() > 40);
    let shown = world.get("/v1/endpoints/app").await.is(200);
    assert_eq!((&shown["secret"], &shown["headers"][0]["value"]), (&Value::Null, &json!("***")));
    assert!(!shown.to_string().contains(secret));

    let patch = json!({"timeout": "3s", "headers": [{"name": "X-Api-Key", "value": "***"}]});
    let changed = world.call("PATCH", "/v1/endpoints/app").json(&patch).answer().await.is(200);
    assert_eq!(changed["timeout"], "3s");
    let stored = world.home.configuration().await.unwrap().endpoints.remove(0);
    assert_eq!(stored.headers, [("X-Api-Key".to_owned(), "canary".to_owned())]);
    assert_eq!(stored.secrets[0].secret.reveal(), secret);

    let id = world.parts.configured.directory().endpoints().next().unwrap().id;
    let mut changes = world.parts.configured.watch();
    for (verb, status) in [("pause", "paused"), ("enable", "enabled"), ("disable", "disabled")] {
        let path = format!("/v1/endpoints/app/{verb}");
        assert_eq!(world.call("POST", &path).answer().await.is(200)["status"], status);
        let touched = Touched::These([ResourceId::Endpoint(id)].into());
        assert_eq!(changes.next().await, Some(touched), "whoever delivers is told");
    }
    world.call("DELETE", "/v1/endpoints/app").answer().await.is(204);
    world.get("/v1/endpoints/app").await.problem("not_found");
}

#[tokio::test]
async fn rotated_secrets_overlap() {
    let world = World::new().await;
    let old = world
        .post("/v1/endpoints", json!({"name": "app", "url": "https://example.com/"}))
        .await
        .is(201);
    let rotated = world.call("POST", "/v1/endpoints/app/rotate-secret").answer().await.is(200);
    assert_ne!(rotated["secret"], old["secret"]);
    let secrets = rotated["secrets"].as_array().unwrap();
    assert_eq!((&secrets[0]["expires_at"], secrets.len()), (&Value::Null, 2));
    assert_eq!(secrets[1]["expires_at"], "2026-11-25T06:00:00.000Z");
    let now = world.post("/v1/endpoints/app/rotate-secret", json!({"overlap": "0s"})).await.is(200);
    assert_eq!(now["secrets"].as_array().unwrap().len(), 1);
    for (body, pointer) in [
        (json!({"secret": "whsec_"}), "/secret"),
        (json!({"secret": "short"}), "/secret"),
        (json!({"overlap": "8d"}), "/overlap"),
    ] {
        let refused = world.post("/v1/endpoints/app/rotate-secret", body).await;
        assert_eq!(refused.problem("invalid")["errors"][0]["pointer"], pointer);
    }
}

#[tokio::test]
async fn a_url_that_could_never_be_delivered_to_is_refused() {
    let world = World::new().await;
    for url in
        ["http://169.254.169.254/", "http://10.0.0.1/", "ftp://example.com/", "https://a b/", ""]
    {
        let refused = world.post("/v1/endpoints", json!({"name": "x", "url": url})).await;
        let problem = refused.problem("invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/url", "{url}");
    }
    let loopback = json!({"name": "x", "url": "http://127.0.0.1:9000/hook"});
    world.post("/v1/endpoints", loopback).await.is(201);
}

#[tokio::test]
async fn lists_are_pages_newest_first() {
    let world = World::new().await;
    for name in ["a", "b", "c"] {
        world.endpoint(name).await;
        world.hand.advance(Duration::from_millis(1));
    }
    let first = world.get("/v1/endpoints?limit=2").await.is(200);
    let names = |page: &Value| -> Vec<String> {
        let items = page["data"].as_array().unwrap().iter();
        items.map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&first), ["c", "b"]);
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = world.get(&format!("/v1/endpoints?limit=2&cursor={cursor}")).await.is(200);
    assert_eq!((names(&second), &second["next_cursor"]), (vec!["a".to_owned()], &Value::Null));
    for (query, place) in [
        ("limit=0", "?limit"),
        ("limit=1001", "?limit"),
        ("limit=x", "?limit"),
        ("cursor=x", "?cursor"),
        ("colour=red", "?"),
    ] {
        let problem = world.get(&format!("/v1/endpoints?{query}")).await.problem("parameter");
        assert!(problem["errors"][0]["pointer"].as_str().unwrap().starts_with(place), "{problem}");
    }
}

#[tokio::test]
async fn tokens_are_shown_once_and_end() {
    let world = World::new().await;
    let body = json!({"name": "ci", "scopes": ["read"], "expires_in": "1h"});
    let made = world.post("/v1/tokens", body).await.is(201);
    let text = made["token"].as_str().unwrap();
    assert!(text.starts_with("db_live_"));
    assert!(!world.get("/v1/tokens").await.is(200).to_string().contains(text));
    let with = |path| world.bare("GET", path).token(text).answer();
    with("/v1/sources").await.is(200);
    world.hand.advance(Duration::from_secs(3600));
    with("/v1/sources").await.problem("unauthorized");

    let text = world.token(&[Scope::Read], None).await;
    let id = world.get("/v1/tokens?limit=1").await.is(200)["data"][0]["id"].clone();
    world.bare("GET", "/v1/status").token(&text).answer().await.is(200);
    let path = format!("/v1/tokens/{}", id.as_str().unwrap());
    world.call("DELETE", &path).answer().await.is(204);
    world.bare("GET", "/v1/status").token(&text).answer().await.problem("unauthorized");
    let useless = world.post("/v1/tokens", json!({"name": "", "scopes": []})).await;
    assert_eq!(useless.problem("invalid")["errors"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn no_token_makes_one_that_outlives_it() {
    let world = World::new().await;
    let text = |made: Value| made["token"].as_str().unwrap().to_owned();
    let body = json!({"name": "short", "scopes": ["admin"], "expires_in": "1h"});
    let made = world.post("/v1/tokens", body).await.is(201);
    let (ends, short) = (made["expires_at"].clone(), text(made));
    let make = |body: Value| {
        let call = world.bare("POST", "/v1/tokens").token(&short).json(&body);
        async move { call.answer().await }
    };
    let longer = make(json!({"name": "a", "scopes": ["read"], "expires_in": "2h"})).await;
    let why = longer.problem("invalid")["errors"][0].clone();
    assert_eq!(why["pointer"], "/expires_in");
    assert!(why["detail"].as_str().unwrap().contains(ends.as_str().unwrap()), "{why}");
    let same = make(json!({"name": "a", "scopes": ["admin"]})).await.is(201);
    assert_eq!(same["expires_at"], ends, "where nothing is said, it ends with its maker");
    make(json!({"name": "b", "scopes": ["read"], "expires_in": "1h"})).await.is(201);
    let child = text(same);
    let body = json!({"name": "c", "scopes": ["read"], "expires_in": "61m"});
    let grandchild = world.bare("POST", "/v1/tokens").token(&child).json(&body).answer().await;
    grandchild.problem("invalid");
    for scope in [Scope::Publish, Scope::Read, Scope::Write, Scope::Replay] {
        let token = world.token(&[scope], None).await;
        let body = json!({"name": "more", "scopes": ["admin"]});
        let more = world.bare("POST", "/v1/tokens").token(&token).json(&body).answer().await;
        more.problem("scope");
    }
}

/// Bodies that cannot be read: what is posted where (`s`: a field of a source, `e`: of an endpoint, `r`: a whole source),
/// the place that is named, and what is said of it.
const MISREAD: &str = r#"
s | "body_max": "1M"               | /body_max        | a text is given; a whole number that is not negative is expected
s | "body_max": -1                 | /body_max        | the number -1 is given; a whole number that is not negative is expected
s | "response": {"status": 70000}  | /response/status | the number 70000 is given; a whole number from 0 to 65535 is expected
s | "enabled": "yes"               | /enabled         | a text is given; true or false is expected
s | "enabled": null                | /enabled         | null is given; true or false is expected
s | "secrets": "hunter2hunter2"    | /secrets         | a text is given; a list is expected
s | "secrets": ["x", 5]            | /secrets/1       | the number 5 is given; a text is expected
s | "options": []                  | /options         | a list is given; an object is expected
s | "dedupe": {"window": "1 day"}  | /dedupe/window   | not a duration: use whole numbers with ms, s, m, h or d, such as 15s or 1h30m
s | "dedupe": {"windw": "1d"}      | /dedupe/windw    | there is no such field; there are window, key
s | "type_rule": {"path": "/a"}    | /type_rule       | path is given; one of header, pointer is expected
e | "status": "on"                 | /status          | on is given; one of enabled, paused, disabled is expected
e | "status": 1                    | /status          | a value of this kind cannot stand here; a word is expected
e | "rate": {"per": "1s"}          | /rate/count      | it is missing, and has to be given
e | "concurrency": 1.5             | /concurrency     | the number 1.5 is given; a whole number from 0 to 4294967295 is expected
r | {"provider": "none"}           | /name            | it is missing, and has to be given
r | []                             |                  | an object is expected
r | {"name": "a", "name": "b"}     | /name            | it is given twice; once is expected
r | {"name": "a" "provider": 1}    |                  | this is not JSON: look for a quote, comma or bracket that is missing or too much before line 1, column 14
r | {'name': 1}                    |                  | this is not JSON: look for a quote, comma or bracket that is missing or too much before line 1, column 2
r | {"name": "a"                   |                  | this is not JSON: it breaks off at line 1, column 12
r |                                |                  | there is no body; JSON is expected
"#;

#[tokio::test]
async fn what_cannot_be_read_is_told_in_plain_words() {
    let world = World::new().await;
    for line in MISREAD.trim().lines() {
        let mut cells = line.splitn(4, '|').map(str::trim);
        let mut cell = || cells.next().unwrap();
        let (kind, text, pointer, detail) = (cell(), cell(), cell(), cell());
        let (path, body) = match kind {
            "s" => ("/v1/sources", format!(r#"{{"name": "a", "provider": "none", {text}}}"#)),
            "e" => ("/v1/endpoints", format!(r#"{{"name": "a", "url": "http://a/", {text}}}"#)),
            _ => ("/v1/sources", text.to_owned()),
        };
        let answer = world.call("POST", path).raw("application/json", body).answer().await;
        let problem = answer.problem("malformed");
        let wanted = json!([{"pointer": pointer, "detail": detail}]);
        assert_eq!(problem["errors"], wanted, "{line}");
        assert!(problem["remedy"].as_str().unwrap().contains("openapi.json"), "{problem}");
    }
    for (query, pointer, detail) in [
        ("limit=many", "?limit", "a whole number is expected"),
        ("limt=5", "?limt", "there is no such parameter; there are limit, cursor"),
        ("limit=99999999999", "?limit", "the number is too large"),
    ] {
        let problem = world.get(&format!("/v1/sources?{query}")).await.problem("parameter");
        let wanted = json!([{"pointer": pointer, "detail": detail}]);
        assert_eq!(problem["errors"], wanted, "{query}");
    }
}

/// What is wrong with a token never shows, and past a bound the answer is another one; a good token is not held up.
#[tokio::test]
async fn bad_tokens_get_one_answer() {
    let world = World::new().await;
    let mut answers = Vec::new();
    let almost = format!("{}x", &world.root[..world.root.len() - 1]);
    let other = doorbell_server::api::TokenText::new([8; 32]);
    for line in
        ["", "Bearer", "Bearer ", "Basic abc", &almost, &format!("Bearer {}", other.reveal())]
    {
        let answer = world.bare("GET", "/v1/sources").header("authorization", line).answer().await;
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"doorbell\"");
        answers.push(answer.problem("unauthorized"));
    }
    let twice = world.call("GET", "/v1/sources").token(&world.root).answer().await;
    answers.push(twice.problem("unauthorized"));
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    for _ in answers.len()..20 {
        world.bare("GET", "/v1/sources").answer().await.problem("unauthorized");
    }
    let limited = world.bare("GET", "/v1/sources").answer().await;
    limited.problem("too_many");
    assert_eq!(limited.header("retry-after"), "60");
    world.get("/v1/sources").await.is(200);
    world.hand.advance(Duration::from_secs(60));
    world.bare("GET", "/v1/sources").answer().await.problem("unauthorized");
}

#[tokio::test]
async fn what_the_store_cannot_take_is_503_with_retry_after() {
    let world = World::new().await;
    let body = json!({"name": "x", "provider": "none"});
    for (error, code) in [
        (StoreError::Busy, "busy"),
        (StoreError::Full, "full"),
        (StoreError::Failed("canary".to_owned()), "unavailable"),
        (StoreError::Broken("canary".to_owned()), "unavailable"),
    ] {
        world.home.fail_with(Some(error));
        let answer = world.post("/v1/sources", body.clone()).await;
        answer.problem(code);
        assert_eq!(answer.status.as_u16(), 503);
        assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
        assert!(!String::from_utf8_lossy(&answer.body).contains("canary"));
        let answer = world.post("/v1/events", json!({"type": "a", "data": 1})).await;
        assert_eq!(answer.status.as_u16(), 503);
    }
    world.home.fail_with(None);
    world.post("/v1/sources", body).await.is(201);
}

#[tokio::test]
async fn bodies_are_bounded_and_typed() {
    let world = World::new().await;
    let large =
        world.call("POST", "/v1/sources").raw("application/json", vec![b' '; (1 << 20) + 1]);
    large.answer().await.problem("too_large");
    let form = world.call("POST", "/v1/sources").raw("application/x-www-form-urlencoded", "a=b");
    form.answer().await.problem("media_type");
    let torn = world.call("POST", "/v1/sources").raw("application/json", "{\"name\": ");
    torn.answer().await.problem("malformed");
    let deep = "[".repeat(100_000);
    let deep = world.call("POST", "/v1/sources").raw("application/json", deep);
    deep.answer().await.problem("malformed");
    world.get("/v2/sources").await.problem("not_found");
    let put = world.call("PUT", "/v1/sources").answer().await;
    put.problem("method");
    assert_eq!(put.status.as_u16(), 405);
    assert!(put.header("allow").contains("POST"), "{:?}", put.headers);
}

#[tokio::test]
async fn the_document_is_served_and_the_status_tells() {
    let world = World::new().await;
    let document = world.bare("GET", "/v1/openapi.json").answer().await.is(200);
    assert_eq!(document["openapi"], "3.1.0");
    world.endpoint("app").await;
    let status = world.get("/v1/status").await.is(200);
    assert_eq!(status["endpoints"][0]["name"], "app");
    assert_eq!(status["store"]["events"], 0);
    let metrics = world.get("/metrics").await;
    assert!(String::from_utf8_lossy(&metrics.body).contains("doorbell_requests_total"));
}

#[tokio::test]
async fn a_signature_of_another_scheme_is_kept_and_never_shown() {
    let world = World::new().await;
    let extra = json!({"provider": "github", "secret": "a secret of theirs"});
    let body = json!({"name": "legacy", "url": "https://example.com/", "extra_signature": extra});
    let made = world.post("/v1/endpoints", body.clone()).await.is(201);
    assert_eq!(made["extra_signature"]["provider"], "github");
    let patched = world.call("PATCH", "/v1/endpoints/legacy").json(&json!({"timeout": "5s"}));
    let patched = patched.answer().await.is(200);
    assert!(!format!("{made}{patched}").contains("a secret of theirs"));
    let directory = world.parts.configured.directory();
    let kept = directory.endpoints().next().unwrap().policy.extra_signature.clone().unwrap();
    assert_eq!((kept.provider.as_str(), kept.secret.reveal()), ("github", "a secret of theirs"));
    let none = world.call("PATCH", "/v1/endpoints/legacy").json(&json!({"extra_signature": null}));
    assert_eq!(none.answer().await.is(200)["extra_signature"], Value::Null);
    for (extra, pointer) in [
        (
            json!({"provider": "hmac", "options": {"header": "host"}, "secret": "abcdef"}),
            "/extra_signature",
        ),
        (json!({"provider": "adyen", "secret": "abcdef"}), "/extra_signature"),
        (json!({"provider": "github", "secret": " "}), "/extra_signature/secret"),
        (
            json!({"provider": "hmac", "options": {"algorithm": "md5"}, "secret": "x"}),
            "/extra_signature",
        ),
    ] {
        let mut body = body.clone();
        body["extra_signature"] = extra;
        body["name"] = "another".into();
        let problem = world.post("/v1/endpoints", body).await.problem("invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test]
async fn only_a_secret_that_was_handed_out_is_shown() {
    let world = World::new().await;
    world.post("/v1/sources", json!({"name": "pages", "provider": "notion"})).await.is(201);
    let reveal =
        |source: &str| world.call("POST", &format!("/v1/sources/{source}/reveal-secret")).answer();
    reveal("pages").await.problem("state");
    let id = world.parts.configured.directory().sources().next().unwrap().id;
    let secret = doorbell_core::secret::SecretText::parse("secret_from_notion").unwrap();
    world.parts.configured.adopt_secret(id, secret, world.now()).await.unwrap();
    assert_eq!(reveal("pages").await.is(200), json!({"secret": "secret_from_notion"}));
    let github = json!({"name": "code", "provider": "github", "secrets": ["one of our own"]});
    world.post("/v1/sources", github).await.is(201);
    reveal("code").await.problem("state");
}

fn news(options: &Value) -> Value {
    json!({"name": "news", "provider": "websub", "secrets": ["a secret"], "options": options})
}

#[tokio::test]
async fn a_hub_and_its_topic_pass_the_gate_of_endpoints() {
    let world = World::new().await;
    let feed = "https://news.example/feed";
    for (options, pointer) in [
        (json!({"hub": "https://hub.example/"}), "/options/topic"),
        (json!({"hub": "nowhere", "topic": feed}), "/options/hub"),
        (json!({"hub": "https://169.254.169.254/", "topic": feed}), "/options/hub"),
        (json!({"hub": "discover", "topic": "https://169.254.169.254/"}), "/options/topic"),
    ] {
        let problem = world.post("/v1/sources", news(&options)).await.problem("invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let options = json!({"hub": "discover", "topic": feed});
    world.post("/v1/sources", news(&options)).await.is(201);
}

#[tokio::test]
async fn a_subscription_stays_as_long_as_the_source_wants_one() {
    let world = World::new().await;
    let options = json!({"hub": "https://hub.example/", "topic": "https://news.example/feed"});
    let made = world.post("/v1/sources", news(&options)).await.is(201);
    assert!(made.get("hub").is_none(), "{made}");
    let configured = &world.parts.configured;
    let id = configured.directory().source_named("news").unwrap().id;
    let state = HubSubscription {
        wanted: "ab".to_owned(),
        token: "k3".to_owned(),
        hub: "https://hub.example/".to_owned(),
        topic: "https://news.example/feed".to_owned(),
        asked: None,
        until: Some(world.now()),
        next: world.now(),
        failures: 0,
        error: None,
    };
    configured.keep_hub(id, |_| Some(state.clone())).await.unwrap();
    let hub = json!({
        "state": "subscribed", "url": "https://hub.example/", "topic": "https://news.example/feed",
        "subscribed_until": "2026-11-24T06:00:00.000Z", "next_at": "2026-11-24T06:00:00.000Z", "error": null,
    });
    let shown = world.get("/v1/sources/news").await.is(200);
    assert_eq!(shown["hub"], hub);
    assert!(!shown.to_string().contains("k3"), "the address is a secret between us and the hub");
    let patch = async |patch: Value| {
        world.call("PATCH", "/v1/sources/news").json(&patch).answer().await.is(200)
    };
    let changed = patch(json!({"body_max": 1000})).await;
    assert_eq!(changed["hub"], hub);
    let mut declared = news(&options);
    declared["body_max"] = 2000.into();
    world.post("/v1/apply", json!({"sources": [declared]})).await.is(200);
    assert_eq!(world.get("/v1/sources/news").await.is(200)["hub"], hub);
    let changed = patch(json!({"options": {"hub": null}})).await;
    assert!(changed.get("hub").is_none(), "{changed}");
    assert_eq!(configured.directory().source_named("news").unwrap().hub, None);
}

#[tokio::test]
async fn the_address_of_keys_passes_the_gate_of_endpoints() {
    let world = World::new().await;
    let create = async |provider: &str, url: &str| {
        let options = if provider == "hmac" {
            json!({"jwks_url": url, "algorithm": "ed25519"})
        } else {
            json!({"jwks_url": url})
        };
        let body = json!({"name": "keyed", "provider": provider, "options": options});
        world.post("/v1/sources", body).await
    };
    for provider in ["http-signature", "hmac"] {
        for (url, said) in [
            ("https://169.254.169.254/x", "169.254.169.254"),
            ("https://10.0.0.1/x", "10.0.0.1"),
            ("https://user:pw@keys.example.com/x", "user name or password"),
            ("https://keys.example.com:25/x", "25"),
            ("https://keys.example.com/x#a", "#"),
        ] {
            let problem = create(provider, url).await.problem("invalid");
            assert_eq!(problem["errors"][0]["pointer"], "/options/jwks_url", "{problem}");
            assert!(problem["errors"][0]["detail"].as_str().unwrap().contains(said), "{problem}");
        }
    }
    create("http-signature", "https://keys.example.com/jwks.json").await.is(201);
}
