//! What goes in is checked and told; what comes out keeps its shape and no secret.

use doorbell_core::credentials::Credentials;
use doorbell_core::directory::Directory;
use doorbell_core::endpoint::{Endpoint, SigningSecret};
use doorbell_core::endpoint_url::UrlPolicy;
use doorbell_core::event::{Event, Fate, Origin};
use doorbell_core::id::{EndpointId, EventId, SourceId, TenantId};
use doorbell_core::name::Label;
use doorbell_core::request::{Headers, Request};
use doorbell_core::secret::SecretText;
use doorbell_core::source::Source;
use doorbell_core::time::Time;
use doorbell_wire::api::v1::endpoint::{EndpointIn, EndpointOut, Gates};
use doorbell_wire::api::v1::event::{EventOut, TallyOut};
use doorbell_wire::api::v1::redact::Veil;
use doorbell_wire::api::v1::source::{SourceIn, SourceOut, masked};
use doorbell_wire::problem::{Code, Faults, FieldError, Problem};
use expect_test::{ExpectFile, expect_file};
use serde_json::json;

const NOW: Time = Time::from_ms(1_795_500_000_000);

/// What is read, or the places of the faults.
type Read<T> = Result<T, Vec<String>>;

fn places(all: Vec<FieldError>) -> Vec<String> {
    all.into_iter().map(|error| error.pointer).collect()
}

fn source(written: &SourceIn) -> Read<Source> {
    let mut faults = Faults::new();
    let id = SourceId::new(NOW, 1);
    let read = written.read(id, TenantId::DEFAULT, NOW, &mut faults);
    faults.finish(read).map_err(places)
}

fn endpoint(written: &EndpointIn) -> Read<Endpoint> {
    let mut faults = Faults::new();
    let ids = (EndpointId::new(NOW, 2), TenantId::DEFAULT);
    let inbox = |name: &str| (name == "inbox").then(|| SourceId::new(NOW, 1));
    let gates = Gates { sources: &inbox, policy: &UrlPolicy::default(), tenant: "default" };
    let read = written.read(ids, NOW, &gates, &mut faults);
    faults.finish(read).map_err(places)
}

fn written<T: serde::de::DeserializeOwned>(body: serde_json::Value) -> T {
    serde_json::from_value(body).unwrap()
}

fn shown(value: &impl serde::Serialize, expected: &ExpectFile) {
    expected.assert_eq(&format!("{}\n", serde_json::to_string_pretty(value).unwrap()));
}

#[test]
fn a_source_comes_out_as_it_went_in_with_its_secrets_masked() {
    let body = json!({
        "name": "billing", "provider": "stripe", "secrets": ["whsec_0123456789abcdefghijklmn", "short"],
        "dedupe": {"window": "24h", "key": {"pointer": "/id"}}, "methods": ["post"],
    });
    let source = source(&written(body)).unwrap();
    shown(
        &SourceOut::of(&source, &Label::parse("in").unwrap()),
        &expect_file!["snapshots/source.json"],
    );
    let again = serde_json::to_value(SourceIn::from(&source)).unwrap();
    let written: SourceIn = serde_json::from_value(again).unwrap();
    let read = written.read(source.id, source.tenant, NOW, &mut Faults::new());
    assert_eq!(read, Some(source));
}

#[test]
fn an_endpoint_comes_out_as_it_went_in() {
    let body = json!({
        "name": "app", "url": "https://example.com/hooks", "sources": ["inbox"],
        "event_types": ["invoice.*"], "filter": {"body": {"amount": {"$gte": 10}}},
        "headers": [{"name": "authorization", "value": "Bearer x"}, {"name": "x-env", "value": "prod"}],
        "rate": {"count": 5}, "retry": {"schedule": ["0s", "1m"], "never": ["400-404", "422"]},
        "order": {"key": {"header": "X-Key"}, "on_dead": "block"},
    });
    let mut endpoint = endpoint(&written(body)).unwrap();
    let secret = SecretText::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    endpoint.secrets = vec![SigningSecret { secret, expires: Some(NOW) }];
    let names = Directory::default();
    shown(&EndpointOut::of(&endpoint, &names), &expect_file!["snapshots/endpoint.json"]);
    let again = serde_json::to_value(EndpointIn::of(&endpoint, &names)).unwrap();
    let written: EndpointIn = serde_json::from_value(again).unwrap();
    let any = |_: &str| Some(SourceId::new(NOW, 1));
    let gates = Gates { sources: &any, policy: &UrlPolicy::default(), tenant: "default" };
    let read = written.read((endpoint.id, endpoint.tenant), NOW, &gates, &mut Faults::new());
    endpoint.secrets.clear();
    assert_eq!(read, Some(endpoint));
}

#[test]
fn all_faults_are_told_at_once() {
    let faults = endpoint(&written(json!({
        "name": "App", "url": "http://169.254.169.254/", "sources": ["inbox", "nowhere"],
        "event_types": ["a b"], "channels": ["x,y"], "timeout": "10m", "concurrency": 0,
        "rate": {"count": 0, "per": "2d"}, "retry": {"schedule": [], "never": ["abc"]},
        "order": {"key": {"pointer": "id"}}, "filter": {"bdoy": 1},
        "headers": [{"name": "Host", "value": "x"}],
    })));
    let places = faults.unwrap_err();
    assert_eq!(
        places,
        [
            "/name",
            "/url",
            "/sources/1",
            "/event_types/0",
            "/channels/0",
            "/filter",
            "/headers/0",
            "/timeout",
            "/concurrency",
            "/order/key",
            "/rate/count",
            "/rate/per",
            "/retry/schedule",
            "/retry/never/0",
        ]
    );
    let faults = source(&written(json!({
        "name": "src_x", "provider": "none", "secrets": [" "], "methods": ["P OST"],
        "type_rule": {"header": "a b"}, "dedupe": {"window": "31d"}, "body_max": 0,
        "response": {"status": 404},
    })));
    let places = faults.unwrap_err();
    assert_eq!(
        places,
        [
            "/name",
            "/secrets/0",
            "/methods/0",
            "/type_rule",
            "/dedupe/window",
            "/body_max",
            "/response/status"
        ]
    );
}

#[test]
fn unknown_and_missing_fields_are_refused() {
    for (body, word) in [
        (json!({"name": "a", "provider": "none", "secert": "x"}), "unknown field `secert`"),
        (json!({"name": "a"}), "missing field `provider`"),
    ] {
        let error = serde_json::from_value::<SourceIn>(body).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn short_secrets_show_nothing() {
    let mask = |text| masked(&SecretText::parse(text).unwrap());
    assert_eq!(mask("hunter2"), "…");
    assert_eq!(mask("whsec_short"), "whsec_…");
    assert_eq!(mask("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "whsec_…LaSw");
}

#[test]
fn credentials_are_hidden_without_the_admin_scope() {
    let mut headers = Headers::default();
    headers.push("Authorization", "Bearer canary");
    headers.push("X-Hub-Signature-256", "sha256=canary");
    headers.push("X-Bytes", vec![0xff_u8]);
    headers.push("Content-Type", "application/json");
    let event = Event {
        id: EventId::new(NOW, 3),
        tenant: TenantId::DEFAULT,
        at: NOW,
        origin: Origin::Source(SourceId::new(NOW, 1)),
        event_type: None,
        dedupe_key: None,
        channels: Vec::new(),
        request: Request {
            method: "POST".to_owned(),
            path: "/x".to_owned(),
            query: Some("token=canary&a=1".to_owned()),
            headers,
            body: "{}".into(),
            peer: None,
        },
    };
    let names = Directory::default();
    let event = |veil| EventOut::of((&event, &Fate::NoEndpoint), TallyOut::default(), &names, veil);
    let none = Credentials::NONE;
    let hidden = event(Veil::Over(&none));
    assert!(!serde_json::to_string(&hidden).unwrap().contains("canary"));
    assert_eq!(serde_json::to_string(&event(Veil::Nothing)).unwrap().matches("canary").count(), 3);
    shown(&hidden, &expect_file!["snapshots/event.json"]);
}

#[test]
fn a_problem_has_the_members_of_the_rfc() {
    let mut faults = Faults::new();
    faults.add("/url", "it is a private address");
    let problem = Problem::with_errors(Code::Invalid, faults.finish::<()>(None).unwrap_err());
    shown(&problem, &expect_file!["snapshots/problem.json"]);
}
