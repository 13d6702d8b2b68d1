//! Sources and endpoints declared whole.

use super::world::World;
use doorbell_store::Store as _;
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use std::time::Duration;

fn declared() -> Value {
    json!({
        "sources": [
            {"name": "github", "provider": "github", "secrets": ["a long enough secret 0123"]},
            {"name": "open", "provider": "none"},
        ],
        "endpoints": [
            {"name": "app", "url": "https://example.com/hook", "sources": ["github"],
             "headers": [{"name": "x-api-key", "value": "canary"}], "timeout": "3s"},
            {"name": "own", "url": "https://example.com/own", "secret": OWN},
        ],
    })
}

const OWN: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const OTHER: &str = "whsec_YTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// What was told, a line for each thing.
fn lines(answer: &Value) -> Vec<String> {
    let line = |change: &Value| {
        let fields = change["fields"].as_array().unwrap().iter();
        let fields: Vec<&str> = fields.map(|field| field["name"].as_str().unwrap()).collect();
        let word = |name: &str| change[name].as_str().unwrap().to_owned();
        let text =
            format!("{} {} {} {}", word("action"), word("kind"), word("name"), fields.join(","));
        text.trim_end().to_owned()
    };
    answer["changes"].as_array().unwrap().iter().map(line).collect()
}

async fn applied(world: &World, body: &Value) -> Vec<String> {
    lines(&world.post("/v1/apply", body.clone()).await.is(200))
}

fn with(mut body: Value, name: &str, value: Value) -> Value {
    body[name] = value;
    body
}

const NEW: [&str; 4] =
    ["create source github", "create source open", "create endpoint app", "create endpoint own"];
const SAME: [&str; 4] = [
    "unchanged source github",
    "unchanged source open",
    "unchanged endpoint app",
    "unchanged endpoint own",
];

#[tokio::test]
async fn twice_changes_nothing_and_a_dry_run_nothing_at_all() {
    let world = World::new().await;
    let empty = world.home_text().await;
    let told = world.post("/v1/apply", with(declared(), "dry_run", json!(true))).await.is(200);
    assert_eq!((lines(&told), &told["dry_run"]), (NEW.map(str::to_owned).to_vec(), &json!(true)));
    assert_eq!(told["changes"][2].get("secret"), None, "no secret was made");
    assert_eq!(world.home_text().await, empty);

    let made = world.post("/v1/apply", declared()).await.is(200);
    assert_eq!(lines(&made), NEW);
    assert!(made["changes"][2]["secret"].as_str().unwrap().starts_with("whsec_"));
    assert_eq!(made["changes"][3].get("secret"), None, "a secret that was given is not told");
    assert_eq!(world.get("/v1/endpoints/app").await.is(200)["sources"], json!(["github"]));
    assert!(world.parts.configured.directory().source_at("github").is_some(), "seen at once");

    let before = world.home_text().await;
    world.hand.advance(Duration::from_secs(5));
    let mut changes = world.parts.configured.watch();
    assert_eq!(applied(&world, &declared()).await, SAME);
    assert_eq!(applied(&world, &with(declared(), "prune", json!(true))).await, SAME);
    assert_eq!(world.home_text().await, before);
    assert_eq!(changes.next().now_or_never(), None, "nobody is woken");
}

#[tokio::test]
async fn only_what_differs_is_changed() {
    let world = World::new().await;
    applied(&world, &declared()).await;
    let before = world.home.configuration().await.unwrap();
    world.call("POST", "/v1/endpoints/app/pause").answer().await.is(200);
    world.hand.advance(Duration::from_secs(5));
    let mut body = declared();
    body["sources"][0]["secrets"] = json!(["another long secret 4567"]);
    body["sources"][1]["event_types"] = json!(["push"]);
    body["endpoints"][0]["url"] = json!("https://example.com/new");
    body["endpoints"][0]["headers"][0]["value"] = json!("***");
    body["endpoints"][1]["secret"] = json!(OTHER);
    let told = world.post("/v1/apply", body.clone()).await.is(200);
    let wanted = [
        "update source github secrets",
        "update source open event_types",
        "update endpoint app url",
        "update endpoint own secret",
    ];
    assert_eq!(lines(&told), wanted);
    let secrets = &told["changes"][0]["fields"][0];
    assert_eq!((&secrets["from"], &secrets["to"]), (&json!(["…0123"]), &json!(["…4567"])));
    let secret = &told["changes"][3]["fields"][0];
    assert_eq!(secret["to"], "whsec_…MDE=");
    let text = told.to_string();
    assert!(!text.contains("canary") && !text.contains(OTHER) && !text.contains("4567\"]}}"));

    let after = world.home.configuration().await.unwrap();
    let (old, new) = (&before.endpoints[0], &after.endpoints[0]);
    assert_eq!((&new.secrets, new.id, new.created), (&old.secrets, old.id, old.created));
    assert_eq!(new.headers, [("x-api-key".to_owned(), "canary".to_owned())]);
    assert_eq!(world.get("/v1/endpoints/app").await.is(200)["status"], "paused", "it stays so");
    let own: Vec<&str> = after.endpoints[1].secrets.iter().map(|s| s.secret.reveal()).collect();
    assert_eq!(own, [OTHER, OWN], "the old one signs beside it for a while");
    assert!(after.endpoints[1].secrets[1].expires.is_some());
    assert_eq!(applied(&world, &body).await, SAME);

    let mut quiet = declared();
    quiet["sources"][0].as_object_mut().unwrap().remove("secrets");
    quiet["endpoints"][1].as_object_mut().unwrap().remove("secret");
    let told = applied(&world, &quiet).await;
    assert_eq!((&told[0][..], &told[3][..]), (SAME[0], SAME[3]), "they keep their own secrets");
}

#[tokio::test]
async fn what_is_not_declared_goes_only_when_asked() {
    let world = World::new().await;
    applied(&world, &declared()).await;
    world.post("/v1/tenants", json!({"uid": "other"})).await.is(201);
    let theirs = world.call("POST", "/v1/sources").header("doorbell-tenant", "other");
    theirs.json(&json!({"name": "theirs", "provider": "none"})).answer().await.is(201);
    let less = json!({"endpoints": [{"name": "own", "url": "https://example.com/own"}]});
    let told = applied(&world, &less).await;
    let alone = ["undeclared endpoint app", "undeclared source github", "undeclared source open"];
    assert_eq!(told, [&["unchanged endpoint own"][..], &alone].concat());
    assert_eq!(applied(&world, &with(less.clone(), "dry_run", json!(true))).await, told);
    let before = world.home_text().await;
    let less = with(less, "prune", json!(true));
    let refused = world.post("/v1/apply", less.clone()).await.is(422);
    assert_eq!(refused["errors"][0]["pointer"], "/sources", "all sources would go: {refused}");
    assert_eq!(world.home_text().await, before);
    let told = applied(&world, &with(less, "sources", json!([]))).await;
    let gone = ["delete endpoint app", "delete source github", "delete source open"];
    assert_eq!(told, [&["unchanged endpoint own"][..], &gone].concat());
    let left = world.home.configuration().await.unwrap();
    let names: Vec<&str> = left.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!((names, left.endpoints.len(), left.tenants.len()), (vec!["theirs"], 1, 2));
}

#[tokio::test]
async fn all_faults_are_told_at_once_and_nothing_is_done() {
    let world = World::new().await;
    applied(&world, &declared()).await;
    world.post("/v1/tenants", json!({"uid": "other"})).await.is(201);
    let theirs = world.call("POST", "/v1/sources").header("doorbell-tenant", "other");
    theirs.json(&json!({"name": "theirs", "provider": "none"})).answer().await.is(201);
    let before = world.home_text().await;
    let body = json!({
        "prune": true,
        "sources": [
            {"name": "new", "provider": "none"},
            {"name": "new", "provider": "none"},
            {"name": "bare", "provider": "github"},
            {"name": "theirs", "provider": "none"},
        ],
        "endpoints": [
            {"name": "a", "url": "ftp://example.com", "sources": ["bare", "github"], "secret": "x"},
            {"name": "b", "url": "https://example.com/", "timeout": "1h"},
        ],
    });
    let problem = world.post("/v1/apply", body).await.problem("invalid");
    let places = problem["errors"].as_array().unwrap().iter();
    let places: Vec<&str> = places.map(|error| error["pointer"].as_str().unwrap()).collect();
    let wanted = [
        "/sources/1/name",
        "/sources/2/secrets",
        "/sources/3/name",
        "/endpoints/0/url",
        "/endpoints/0/sources/1",
        "/endpoints/0/secret",
        "/endpoints/1/timeout",
    ];
    assert_eq!(places, wanted, "{problem}");
    let unknown = json!({"endpoints": [{"name": "a", "url": "https://example.com/", "urll": 1}]});
    let problem = world.post("/v1/apply", unknown).await.problem("malformed");
    assert!(problem["errors"][0]["pointer"].as_str().unwrap().starts_with("/endpoints/0"));
    assert_eq!(world.home_text().await, before);
}

/// A part that cannot be read does not hide what is wrong with the others.
#[tokio::test]
async fn what_cannot_be_read_is_told_with_all_else() {
    let world = World::new().await;
    applied(&world, &declared()).await;
    let before = world.home_text().await;
    let body = json!({
        "sources": [
            {"name": "new", "provder": "none"},
            {"name": "bad", "provider": "nobody"},
        ],
        "endpoints": [
            {"name": "a", "url": "ftp://example.com", "urll": 1, "timeout": true, "sources": ["new"]},
            {"name": "b", "url": "https://example.com/", "order": {"key": {"pointr": "/a"}}},
            {"name": "c"},
            "d",
        ],
    });
    let problem = world.post("/v1/apply", body).await.problem("malformed");
    let places = problem["errors"].as_array().unwrap().iter();
    let mut places: Vec<&str> = places.map(|error| error["pointer"].as_str().unwrap()).collect();
    places.sort_unstable();
    let wanted = [
        "/endpoints/0/timeout",
        "/endpoints/0/url",
        "/endpoints/0/urll",
        "/endpoints/1/order/key",
        "/endpoints/2/url",
        "/endpoints/3",
        "/sources/0/provder",
        "/sources/0/provider",
        "/sources/1/provider",
    ];
    assert_eq!(places, wanted, "{problem}");
    let twice = world.call("POST", "/v1/apply");
    let twice = twice.raw("application/json", r#"{"endpoints": [{"name": "a", "name": "b"}]}"#);
    twice.answer().await.problem("malformed");
    assert_eq!(world.home_text().await, before);
}

/// Who removes an endpoint is told how much goes with it, before and after.
#[tokio::test]
async fn what_waits_is_counted_before_it_goes() {
    let world = World::new().await;
    world.endpoint("app").await;
    for _ in 0..3 {
        world.publish("a").await;
    }
    let body = json!({"sources": [], "endpoints": [], "prune": true});
    for dry_run in [true, false] {
        let told = world.post("/v1/apply", with(body.clone(), "dry_run", json!(dry_run))).await;
        let told = told.is(200);
        assert_eq!(
            (&told["changes"][0]["name"], &told["changes"][0]["waiting"]),
            (&json!("app"), &json!(3))
        );
    }
}

#[tokio::test]
async fn a_weak_signing_secret_is_told() {
    let world = World::new().await;
    let url = "https://example.com/";
    let weak = json!({"name": "weak", "url": url, "secret": "whsec_YWJj"});
    let made = world.post("/v1/endpoints", weak.clone()).await.is(201);
    assert!(made["warnings"][0].as_str().unwrap().contains("less than 24 bytes"), "{made}");
    let told = world.post("/v1/apply", json!({"endpoints": [weak]})).await.is(200);
    assert!(told["changes"][0]["warnings"][0].is_string(), "{told}");
    let made = world.post("/v1/endpoints", json!({"name": "good", "url": url})).await.is(201);
    assert_eq!(made.get("warnings"), None);
    let foo = json!({"name": "foo", "url": url, "secret": "foo!"});
    let problem = world.post("/v1/endpoints", foo).await.problem("invalid");
    let why = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(why.contains("whsec_") && why.contains("24 to 64"), "{why}");
}
