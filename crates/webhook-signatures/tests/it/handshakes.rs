//! The questions of providers, from their vectors; and what must not be answered.

use crate::vectors::{Vector, all};
use serde_json::Value;
use webhook_signatures::{Answer, Handshake, Headers, Incoming, Provider, Secret, find, handshake};

const NOW: i64 = 1_767_225_600;

fn answer(handshake: Handshake) -> Answer {
    match handshake {
        Handshake::Answer(answer) | Handshake::Fetch { answer, .. } => answer,
        Handshake::StoreSecret(new) => new.answer,
        other @ (Handshake::Refuse { .. } | Handshake::Need(_)) => panic!("{other:?}"),
    }
}

fn asked(vector: &Vector) -> Option<Handshake> {
    let provider = vector.provider();
    handshake(&provider, &vector.secrets(&provider), &vector.incoming(), vector.now())
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer
        .headers
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

#[test]
fn each_question_is_answered_as_its_vector_says() {
    let mut count = 0;
    for vector in all().iter().filter(|vector| vector.field("handshake").is_object()) {
        count += 1;
        let want = vector.field("handshake");
        let title = vector.title();
        if vector.text("provider") == Some("xero") {
            // Its question is an ordinary signed request: right ones want 200, wrong ones 401, both without a body.
            let response = vector.provider().response;
            assert_eq!(
                (response.success, response.bad_signature, response.body.as_ref()),
                (200, 401, "")
            );
            continue;
        }
        let handshake = asked(vector).unwrap_or_else(|| panic!("{title} was not answered"));
        if let Some(url) = want["then_GET"].as_str() {
            assert!(
                matches!(&handshake, Handshake::Fetch { url: found, .. } if found == url),
                "{title}"
            );
        }
        if let Some(stored) = want.get("store_as_secret") {
            let Handshake::StoreSecret(new) = &handshake else { panic!("{title}: {handshake:?}") };
            let body: Value = serde_json::from_slice(&vector.body).unwrap();
            let secret = stored.as_str().map_or_else(
                || vector.headers[0].1.clone(),
                |key| body[key].as_str().unwrap().to_owned(),
            );
            assert_eq!(new.secret, secret, "{title}");
        }
        let answer = answer(handshake);
        if let Some(status) = want["expect_status"].as_u64() {
            assert_eq!(u64::from(answer.status), status, "{title}");
        }
        let body = String::from_utf8(answer.body.clone()).unwrap();
        if !want["expect_json"].is_null() {
            assert_eq!(
                serde_json::from_str::<Value>(&body).unwrap(),
                want["expect_json"],
                "{title}"
            );
            assert_eq!(header(&answer, "content-type"), Some("application/json"), "{title}");
        }
        if let Some(text) = want["expect_body"].as_str() {
            assert_eq!(body, text, "{title}");
        }
        if let Some(text) = want["expect_body_contains"].as_str() {
            assert!(body.contains(text), "{title}: {body}");
        }
        for (name, value) in want["expect_headers"].as_object().into_iter().flatten() {
            assert_eq!(header(&answer, name), value.as_str(), "{title}");
        }
        for name in want["expect_header_present"].as_array().into_iter().flatten() {
            assert!(header(&answer, name.as_str().unwrap()).is_some(), "{title} {name}");
        }
        if header(&answer, "content-type").is_some() {
            assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"), "{title}");
        }
    }
    assert!(count >= 22, "only {count} questions");
}

/// An address that echoes for everybody is a reflector.
#[test]
fn no_provider_answers_anothers_question() {
    let shared = [
        ("meta", "strava"),
        ("strava", "meta"),
        ("websub", "meta"),
        ("meta", "websub"),
        ("strava", "websub"),
        ("websub", "strava"),
        ("dropbox", "x"),
        ("azure-event-grid", "cloudevents"),
        ("cloudevents", "azure-event-grid"),
        ("ebay", "x"),
        ("slack", "twitch"),
    ];
    for vector in all().iter().filter(|vector| {
        vector.field("handshake").is_object() && vector.text("method") != Some("HEAD")
    }) {
        let own = vector.text("provider").unwrap();
        for other in webhook_signatures::all().iter().filter(|other| other.name != own) {
            if shared.contains(&(own, other.name.as_ref()))
                || (own == "aws-sns" && other.name == "aws-sns-v2")
            {
                continue;
            }
            let secrets: Vec<_> = Secret::parse(other, "user:another secret").into_iter().collect();
            let found = handshake(other, &secrets, &vector.incoming(), vector.now());
            let echoes = match &found {
                None => false,
                Some(Handshake::Answer(answer)) => {
                    !answer.body.is_empty() || !answer.headers.is_empty()
                }
                Some(_) => true,
            };
            assert!(!echoes, "{} answers {}: {found:?}", other.name, vector.title());
        }
    }
}

#[test]
fn a_wrong_signature_gets_no_answer() {
    for vector in all().iter().filter(|vector| vector.field("handshake").is_object()) {
        if !["slack", "zoom", "discord", "twitch"].contains(&vector.text("provider").unwrap()) {
            continue;
        }
        let provider = vector.provider();
        let mut body = vector.body.clone();
        body.push(b' ');
        let incoming = Incoming { body: &body, ..vector.incoming() };
        assert_eq!(
            handshake(&provider, &vector.secrets(&provider), &incoming, vector.now()),
            None,
            "{}",
            vector.title()
        );
        assert_eq!(
            handshake(&provider, &[], &vector.incoming(), vector.now()),
            None,
            "{}",
            vector.title()
        );
    }
}

#[test]
fn a_secret_that_is_there_is_never_replaced() {
    for vector in
        all().iter().filter(|vector| vector.field("handshake").get("store_as_secret").is_some())
    {
        let provider = vector.provider();
        let secrets = [Secret::parse(&provider, "the secret that is there").unwrap()];
        let found = handshake(&provider, &secrets, &vector.incoming(), vector.now());
        assert!(matches!(found, Some(Handshake::Refuse { .. })), "{}: {found:?}", vector.title());
    }
}

fn get(provider: &Provider, secrets: &[Secret], url: &str) -> Option<Handshake> {
    let headers: [(&str, &[u8]); 0] = [];
    ask(provider, secrets, ("GET", url), &headers)
}

fn ask(
    provider: &Provider,
    secrets: &[Secret],
    (method, url): (&str, &str),
    headers: &dyn Headers,
) -> Option<Handshake> {
    handshake(provider, secrets, &Incoming { method, url, headers, body: b"" }, NOW)
}

#[test]
fn wrong_tokens_topics_and_origins_are_refused() {
    let meta = find("meta").unwrap();
    let secrets = [Secret::parse(meta, "app secret").unwrap()];
    let url = |token: &str| {
        format!("https://a/?hub.mode=subscribe&hub.challenge=1&hub.verify_token={token}")
    };
    assert!(matches!(
        get(meta, &secrets, &url("wrong")),
        Some(Handshake::Refuse { status: 403, .. })
    ));
    assert!(matches!(get(meta, &[], &url("")), Some(Handshake::Refuse { status: 403, .. })));
    assert!(matches!(get(meta, &secrets, &url("app%20secret")), Some(Handshake::Answer(_))));
    let mut own = meta.clone();
    assert!(own.set("verify_token", "mine"));
    assert!(matches!(get(&own, &secrets, &url("mine")), Some(Handshake::Answer(_))));
    assert!(matches!(
        get(&own, &secrets, &url("app%20secret")),
        Some(Handshake::Refuse { status: 403, .. })
    ));

    let mut websub = find("websub").unwrap().clone();
    assert!(websub.set("topic", "https://a/feed"));
    let url = |topic: &str| {
        format!(
            "https://a/?hub.mode=subscribe&hub.challenge=1&hub.lease_seconds=60&hub.topic={topic}"
        )
    };
    assert!(matches!(
        get(&websub, &[], &url("https://b")),
        Some(Handshake::Refuse { status: 404, .. })
    ));
    assert_eq!(answer(get(&websub, &[], &url("https://a/feed")).unwrap()).lease_s, Some(60));

    let mut events = find("cloudevents").unwrap().clone();
    assert!(events.set("origin", "good.example"));
    let from = |origin: &'static str| {
        ask(&events, &[], ("OPTIONS", ""), &[("WebHook-Request-Origin", origin)])
    };
    assert!(matches!(from("evil.example"), Some(Handshake::Refuse { status: 405, .. })));
    assert!(matches!(from("good.example"), Some(Handshake::Answer(_))));
}

#[test]
fn echoes_are_bounded_and_inert() {
    let dropbox = find("dropbox").unwrap();
    let long = format!("https://a/?challenge={}", "x".repeat(webhook_signatures::ECHO_MAX + 1));
    assert_eq!(get(dropbox, &[], &long), None);
    let script = answer(get(dropbox, &[], "https://a/?challenge=%3Cscript%3E").unwrap());
    assert_eq!(script.body, b"<script>");
    assert_eq!(header(&script, "content-type"), Some("text/plain"));
    let okta = find("okta").unwrap();
    let found = ask(okta, &[], ("GET", ""), &[("x-okta-verification-challenge", "</script>")]);
    assert_eq!(answer(found.unwrap()).body, br#"{"verification":"\u003c/script\u003e"}"#);
    let split = ask(
        find("smartsheet").unwrap(),
        &[],
        ("POST", ""),
        &[("smartsheet-hook-challenge", "a\r\nset-cookie: x")],
    );
    assert_eq!(split, None);
}

/// Mailchimp tests the address that was registered, and the token stands in it.
#[test]
fn a_probe_may_carry_the_token_of_its_address() {
    let mailchimp = find("mailchimp").unwrap();
    let secrets = [Secret::parse(mailchimp, "s3cret").unwrap()];
    for url in ["https://a/in/x", "https://a/in/x?token=s3cret", "https://a/in/x?token=old"] {
        let found = answer(get(mailchimp, &secrets, url).unwrap());
        assert_eq!((found.status, found.body.len()), (200, 0), "{url}");
    }
    for url in ["https://a/in/x?token=s3cret&more=1", "https://a/in/x?other=s3cret"] {
        assert_eq!(get(mailchimp, &secrets, url), None, "{url}");
    }
    let mandrill = find("mandrill").unwrap();
    assert_eq!(get(mandrill, &[], "https://a/in/x?token=s3cret"), None);
}
