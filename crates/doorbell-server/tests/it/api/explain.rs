//! Explaining requests: by their ids, and captured elsewhere.

use super::world::{START, World};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorbell_core::attempt::{Answer, Outcome};
use doorbell_core::configuration::Scope;
use doorbell_core::event::{Fate, Rejection, RejectionReason};
use doorbell_core::id::SourceId;
use doorbell_core::request::Headers;
use doorbell_server::keys::Wanted;
use doorbell_server::sender::{Script, Step};
use serde_json::{Value, json};
use webhook_signatures::{Incoming, Refusal, Secret, ToSign, find, sign, verify};

const SECRET: &str = "It's a Secret to Everybody";
/// GitHub's published example.
const SIGNED: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

async fn world() -> World {
    let world = World::new().await;
    let github =
        json!({"name": "github", "provider": "github", "secrets": ["an older secret", SECRET]});
    world.post("/v1/sources", github).await.is(201);
    let other =
        json!({"name": "other", "provider": "github", "secrets": ["the secret of another"]});
    world.post("/v1/sources", other).await.is(201);
    world
}

async fn explain(world: &World, source: &str, body: Value) -> Value {
    world.post(&format!("/v1/sources/{source}/explain"), body).await.is(200)
}

fn hello(body: &str) -> Value {
    json!({"headers": [{"name": "X-Hub-Signature-256", "value": SIGNED}], "body": body})
}

#[tokio::test]
async fn which_secret_it_was_but_never_its_text() {
    let world = world().await;
    let found = explain(&world, "github", hello("Hello, World!")).await;
    assert_eq!((&found["verified"], &found["secret"]["number"]), (&json!(true), &json!(2)));
    assert_eq!(found["place"], "the header x-hub-signature-256");
    assert_eq!((&found["refusal"], &found["findings"]), (&Value::Null, &json!([])));
    assert_eq!(
        (&found["at"], &found["signed_text"]),
        (&json!(START.to_string()), &json!("Hello, World!"))
    );
    let found = explain(&world, "other", hello("Hello, World!")).await;
    assert_eq!(found["refusal"]["code"], "no_match");
    assert_eq!(
        (&found["findings"][0]["code"], &found["findings"][0]["proved"]),
        (&json!("other_secret"), &json!(true))
    );
    assert!(found["findings"][0]["detail"].as_str().unwrap().contains("`github`"));
    assert!(!found.to_string().contains(SECRET));
}

#[tokio::test]
async fn what_was_done_to_the_body_is_found_out() {
    let world = world().await;
    let found = explain(&world, "github", hello("Hello, World!\n")).await;
    assert_eq!(found["findings"][0]["code"], "trailing_newline");
    assert_eq!((&found["received"], &found["verified"]), (&json!(SIGNED), &json!(false)));
    let mut bytes = hello("");
    bytes["body"] = Value::Null;
    bytes["body_base64"] =
        base64::engine::general_purpose::STANDARD.encode(b"Hello, World!").into();
    assert_eq!(explain(&world, "github", bytes).await["verified"], true);
}

#[tokio::test]
async fn a_time_is_judged_as_of_the_moment_that_is_named() {
    let world = world().await;
    let stripe = json!({"name": "shop", "provider": "stripe", "secrets": ["whsec_of_the_shop"]});
    world.post("/v1/sources", stripe).await.is(201);
    let row = find("stripe").unwrap();
    let nothing: [(&str, &str); 0] = [];
    let then = START.unix_seconds() - 3_600;
    let request = ToSign {
        id: "",
        now: then,
        url: "https://x/",
        method: "POST",
        headers: &nothing,
        body: b"{}",
    };
    let signature = sign(row, &Secret::parse(row, "whsec_of_the_shop").unwrap(), &request).unwrap();
    let headers: Vec<Value> = signature
        .headers
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let mut asked = json!({"headers": headers, "body": "{}"});
    let found = explain(&world, "shop", asked.clone()).await;
    assert_eq!(
        (&found["refusal"]["code"], &found["skew_ms"]),
        (&json!("too_old"), &json!(3_600_000))
    );
    assert_eq!(found["findings"][0]["code"], "old_timestamp");
    asked["at"] =
        json!(doorbell_core::time::Time::from_ms(u64::try_from(then).unwrap() * 1000).to_string());
    assert_eq!(explain(&world, "shop", asked).await["verified"], true);
}

#[tokio::test]
async fn a_received_request_by_its_id() {
    let world = world().await;
    let detail = "canary".to_owned();
    let rejection = Rejection { reason: RejectionReason::Verification, detail };
    let id = world.received(Fate::Rejected(rejection), None).await;
    let id = id.to_string().replace("evt_", "req_");
    let gone = world.get(&format!("/v1/requests/{id}/explain")).await;
    gone.problem("state");
    let found = explain(&world, "github", json!({"request": id})).await;
    assert_eq!(
        (&found["refusal"]["code"], &found["source"]),
        (&json!("missing"), &json!("github"))
    );
    let published = world.publish("a.b").await.to_string().replace("evt_", "req_");
    world.get(&format!("/v1/requests/{published}/explain")).await.problem("state");
    explain(&world, "github", json!({"request": published})).await;
    world
        .post("/v1/sources/github/explain", json!({"request": "req_none"}))
        .await
        .problem("not_found");
}

/// A key of the provider's own is used if some request had it fetched; to explain one, nobody is called.
#[tokio::test]
async fn by_the_providers_key_if_it_is_known() {
    let mut world = world().await;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
    let jwks = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": x}]}).to_string();
    let (headers, body) = (Headers::default(), jwks.into());
    let served = Answer { status: 200, headers, body, truncated: false };
    let script = Script::by(move |_| Step::Now(Outcome::Answered(served.clone())));
    world.fetch(script.clone());
    let url = "https://keys.example.com/jwks.json";
    let signed =
        json!({"name": "signed", "provider": "http-signature", "options": {"jwks_url": url}});
    world.post("/v1/sources", signed).await.is(201);

    let mut row = find("http-signature").unwrap().clone();
    assert!(row.set("keyid", "k1") && row.set("jwks_url", url));
    let (called, now) = ("https://x/in/signed", START.unix_seconds());
    let nothing: [(&str, &str); 0] = [];
    let request =
        ToSign { id: "", now, url: called, method: "POST", headers: &nothing, body: b"{}" };
    let secret = Secret::parse(&row, &pair.serialize_pem()).unwrap();
    let lines = sign(&row, &secret, &request).unwrap().headers;
    let headers: Vec<Value> =
        lines.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let asked = json!({"headers": headers, "body": "{}", "url": called});
    let found = explain(&world, "signed", asked.clone()).await;
    assert_eq!(found["refusal"]["code"], "need_key");
    assert_eq!(script.carried().len(), 0);

    let incoming = Incoming { method: "POST", url: called, headers: &lines, body: b"{}" };
    let Err(Refusal::Need(key)) = verify(&row, &[], &incoming, now) else { panic!("no key named") };
    let wanted = Wanted { provider: &row, key: &key, source: SourceId::new(START, 1) };
    world.parts.keys.get(wanted, None).await.unwrap();
    let found = explain(&world, "signed", asked.clone()).await;
    assert_eq!((&found["verified"], &found["secret"]), (&json!(true), &Value::Null), "{found}");
    let mut other = asked;
    other["body"] = "{} ".into();
    let found = explain(&world, "signed", other).await;
    assert_eq!(
        (&found["verified"], &found["refusal"]["code"]),
        (&json!(false), &json!("body_hash"))
    );
    assert_eq!(script.carried().len(), 1);
}

#[tokio::test]
async fn faults_are_named_and_signatures_hidden_from_readers() {
    let world = world().await;
    let bad = json!({"headers": [{"name": "x", "value_base64": "?"}], "body_base64": "?"});
    let problem = world.post("/v1/sources/github/explain", bad).await.problem("invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/headers/0/value_base64");
    assert_eq!(problem["errors"][1]["pointer"], "/body_base64");
    let token = world.token(&[Scope::Read], None).await;
    let mut asked = hello("Hello, World!");
    asked["url"] = "https://hooks.example.com/in/github?token=abc".into();
    let call = world.bare("POST", "/v1/sources/github/explain").token(&token).json(&asked);
    let found = call.answer().await.is(200);
    assert_eq!((&found["received"], &found["verified"]), (&json!("***"), &json!(true)));
    assert_eq!(found["url"], "https://hooks.example.com/in/github?token=***");
}
