//! The request that carries an event to an endpoint.

use crate::world::{NOW, WHSEC, directory, endpoint, event, lines, types};
use bytes::Bytes;
use doorbell_core::attempt::{ErrorClass, Fault};
use doorbell_core::endpoint::{Endpoint, ExtraSignature, SigningSecret};
use doorbell_core::event::{Event, Origin};
use doorbell_core::limits;
use doorbell_core::outgoing::{self, Outgoing};
use doorbell_core::secret::SecretText;
use doorbell_core::time::Time;
use std::time::Duration;
use webhook_signatures::{Incoming, Secret, find, verify};

fn write(event: &Event, endpoint: Endpoint, number: u32, now: Time) -> Result<Outgoing, Fault> {
    let id = endpoint.id;
    let directory = directory(&[], &[endpoint]);
    outgoing::write(event, directory.endpoint(id).unwrap(), (number, None), now)
}

fn pushed() -> Event {
    let mut event = event(Origin::Api, Some("push"));
    event.request.headers = lines(&[
        ("Host", "in.example.com"),
        ("X-Hub-Signature-256", "sha256=ab"),
        ("Connection", "close"),
        ("Content-Length", "9"),
        ("Content-Type", "application/json"),
        ("X-Dup", "1"),
        ("X-Dup", "2"),
        ("Authorization", "Basic eDp5"),
        ("webhook-id", "msg_1"),
        ("webhook-signature", "v1,abc"),
        ("User-Agent", "GitHub-Hookshot/1"),
    ]);
    event.request.body = Bytes::from_static(b"{ \"a\":\xff}");
    event
}

fn shown(outgoing: &Outgoing) -> Vec<String> {
    outgoing
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
        .collect()
}

/// Whether a receiver with this secret believes it.
fn believed(outgoing: &Outgoing, secret: &str, now: Time) -> bool {
    let standard = find("standard-webhooks").unwrap();
    let incoming = Incoming {
        method: &outgoing.method,
        url: outgoing.url.as_str(),
        headers: &outgoing.headers,
        body: &outgoing.body,
    };
    verify(standard, &[Secret::parse(standard, secret).unwrap()], &incoming, now.unix_seconds())
        .is_ok()
}

#[test]
fn what_came_in_goes_on_signed() {
    let sent = write(&pushed(), endpoint(1, types(&[])), 3, NOW).unwrap();
    let lines = shown(&sent);
    let (signature, others) = lines.split_last().unwrap();
    assert_eq!(
        others,
        [
            "x-hub-signature-256: sha256=ab",
            "content-type: application/json",
            "x-dup: 1",
            "x-dup: 2",
            "authorization: Basic eDp5",
            "doorbell-original-webhook-id: msg_1",
            "doorbell-original-webhook-signature: v1,abc",
            "user-agent: GitHub-Hookshot/1",
            "doorbell-attempt: 3",
            "doorbell-event-type: push",
            "webhook-id: evt_09144gj289144gj289144gj289",
            "webhook-timestamp: 1800000000",
        ]
    );
    assert!(signature.starts_with("webhook-signature: v1,"));
    assert_eq!((sent.method.as_str(), &sent.body[..]), ("POST", &b"{ \"a\":\xff}"[..]));
    assert_eq!(
        (sent.url.as_str(), sent.timeout),
        ("https://app.example.com/hooks", Duration::from_secs(15))
    );
    assert!(
        believed(&sent, WHSEC, NOW)
            && !believed(&sent, "whsec_CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC", NOW)
    );
}

fn extra(provider: &str, options: &[(&str, &str)], secret: &str) -> Endpoint {
    let mut endpoint = endpoint(1, types(&[]));
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    endpoint.policy.extra_signature = Some(ExtraSignature {
        provider: provider.to_owned(),
        options: options.collect(),
        secret: SecretText::parse(secret).unwrap(),
    });
    endpoint
}

/// An Ed25519 key pair: RFC 8410, section 10.3, and RFC 9421, B.1.4.
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----";

#[test]
fn another_scheme_signs_beside_standard_webhooks() {
    for (provider, secret) in [
        ("github", "a secret of theirs"),
        ("stripe", "whsec_of_theirs"),
        ("slack", "a secret of theirs"),
        ("shopify", "a secret of theirs"),
        ("http-signature-hmac", "a secret of theirs"),
        ("http-signature", PEM),
    ] {
        let sent = write(&pushed(), extra(provider, &[], secret), 2, NOW).unwrap();
        assert!(believed(&sent, WHSEC, NOW), "{provider}");
        let row = find(provider).unwrap();
        let (Outgoing { method, url, headers, body, .. }, key) =
            (&sent, Secret::parse(row, secret));
        let incoming = Incoming { method, url: url.as_str(), headers, body };
        let verdict = verify(row, &[key.unwrap()], &incoming, NOW.unix_seconds());
        assert!(verdict.is_ok(), "{provider}: {verdict:?}");
        let names: Vec<&str> = headers.iter().map(|(name, _)| name).collect();
        let twice = |name: &&str| {
            let name = *name;
            name != "x-dup" && names.iter().filter(|other| **other == name).count() > 1
        };
        assert!(!names.iter().any(twice), "{names:?}");
    }
}

#[test]
fn a_scheme_of_ones_own_signs_too() {
    let options = [
        ("header", "X-Sig"),
        ("prefix", "v0="),
        ("template", "v0:{timestamp}:{body}"),
        ("timestamp_header", "X-Time"),
    ];
    let sent = write(&pushed(), extra("hmac", &options, "theirs"), 1, NOW).unwrap();
    assert_eq!(sent.headers.text("x-time"), Some("1800000000"));
    assert!(sent.headers.text("x-sig").unwrap().starts_with("v0="));
}

#[test]
fn what_cannot_sign_says_so() {
    for (provider, sentence) in [
        ("githup", "there is no provider"),
        ("adyen", "does not stand in header lines"),
        ("none", "does not stand in header lines"),
        ("paypal", "the option webhook_id must be given"),
        ("http-signature", "secret number 1 does not fit"),
        ("discord", "requests cannot be signed as discord signs"),
    ] {
        let secret = if provider == "discord" { "b7".repeat(32) } else { "abcdef".to_owned() };
        let fault = write(&pushed(), extra(provider, &[], &secret), 1, NOW).unwrap_err();
        assert_eq!(fault.class, ErrorClass::RequestInvalid);
        assert!(fault.detail.contains(sentence), "{provider}: {}", fault.detail);
    }
}

#[test]
fn each_try_has_its_own_time_and_the_same_id() {
    let later = NOW.after(Duration::from_secs(3600));
    let (first, second) = (
        write(&pushed(), endpoint(1, types(&[])), 1, NOW).unwrap(),
        write(&pushed(), endpoint(1, types(&[])), 2, later).unwrap(),
    );
    assert_eq!(first.headers.first("webhook-id"), second.headers.first("webhook-id"));
    assert_ne!(first.headers.first("webhook-signature"), second.headers.first("webhook-signature"));
    assert!(believed(&second, WHSEC, later) && !believed(&first, WHSEC, later));
}

#[test]
fn every_live_secret_signs() {
    let secret =
        |text: &str, expires| SigningSecret { secret: SecretText::parse(text).unwrap(), expires };
    let (other, old) =
        ("whsec_CCCCCCCCCCCCCCCCCCCCCCCCCCCCCCCC", "whsec_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB");
    let mut rotating = endpoint(1, types(&[]));
    rotating.secrets = vec![
        secret(other, None),
        secret(WHSEC, Some(NOW.after(Duration::from_secs(1)))),
        secret(old, Some(NOW)),
    ];
    let sent = write(&pushed(), rotating.clone(), 1, NOW).unwrap();
    assert!(
        believed(&sent, other, NOW) && believed(&sent, WHSEC, NOW) && !believed(&sent, old, NOW)
    );
    rotating.secrets = vec![secret(old, Some(NOW))];
    let fault = write(&pushed(), rotating.clone(), 1, NOW).unwrap_err();
    assert_eq!(fault.detail, "all signing secrets of the endpoint have expired: give it a new one");
    rotating.secrets = Vec::new();
    let unsigned = write(&pushed(), rotating, 1, NOW).unwrap();
    assert_eq!(
        (
            unsigned.headers.first("webhook-signature"),
            unsigned.headers.first("webhook-id").is_some()
        ),
        (None, true)
    );
}

#[test]
fn an_ed25519_key_signs() {
    let (private, public) = Secret::generate_ed25519([7; 32]).unwrap();
    let mut asymmetric = endpoint(1, types(&[]));
    asymmetric.secrets =
        vec![SigningSecret { secret: SecretText::parse(&private).unwrap(), expires: None }];
    let sent = write(&pushed(), asymmetric, 1, NOW).unwrap();
    assert!(sent.headers.text("webhook-signature").unwrap().starts_with("v1a,"));
    assert!(believed(&sent, &public, NOW));
}

#[test]
fn own_lines_take_the_place_of_passed_ones() {
    let mut own = endpoint(1, types(&[]));
    own.headers = vec![
        ("Authorization".to_owned(), "Bearer mine".to_owned()),
        ("X-New".to_owned(), "ü".to_owned()),
    ];
    let sent = write(&pushed(), own.clone(), 1, NOW).unwrap();
    let of = |name: &str| {
        shown(&sent).into_iter().filter(|line| line.starts_with(name)).collect::<Vec<_>>()
    };
    assert_eq!(
        (of("authorization"), of("x-new")),
        (vec!["authorization: Bearer mine".to_owned()], vec!["x-new: ü".to_owned()])
    );
    own.headers = vec![("Host".to_owned(), "evil".to_owned())];
    assert_eq!(write(&pushed(), own, 1, NOW).unwrap_err().class, ErrorClass::RequestInvalid);
}

#[test]
fn query_and_path_of_the_original() {
    let mut event = pushed();
    event.request.method = "GET".to_owned();
    event.request.path = "/../admin".to_owned();
    event.request.query = Some("a=%20b&c".to_owned());
    let sent = write(&event, endpoint(1, types(&[])), 1, NOW).unwrap();
    assert_eq!(
        (sent.method.as_str(), sent.url.as_str()),
        ("GET", "https://app.example.com/hooks?a=%20b&c")
    );
    assert_eq!(sent.headers.text("doorbell-path"), Some("/../admin"));
    event.request.query = Some(String::new());
    assert_eq!(
        write(&event, endpoint(1, types(&[])), 1, NOW).unwrap().url.as_str(),
        "https://app.example.com/hooks"
    );
}

#[test]
fn what_cannot_be_used_is_an_outcome_with_a_sentence() {
    let with = |change: fn(&mut Endpoint)| {
        let mut endpoint = endpoint(1, types(&[]));
        change(&mut endpoint);
        let fault = write(&pushed(), endpoint, 1, NOW).unwrap_err();
        assert_eq!(fault.class, ErrorClass::RequestInvalid);
        fault.detail
    };
    assert_eq!(
        with(|endpoint| endpoint.url = "http://10.0.0.1/".to_owned()),
        "the endpoint's URL cannot be used: 10.0.0.1 is a private address (10.0.0.0/8); only public addresses are called, unless the operator lists it in allow_private"
    );
    assert_eq!(
        with(|endpoint| endpoint.subscription.filter = Some("{}}".to_owned())),
        "the endpoint's filter cannot be used: the filter is not JSON: trailing characters at line 1 column 3"
    );
    assert_eq!(
        with(|endpoint| endpoint.secrets =
            vec![SigningSecret { secret: SecretText::parse("whsec_").unwrap(), expires: None }]),
        "signing secret number 1 cannot be used: the secret is empty"
    );
}

#[test]
fn the_timeout_is_bounded() {
    for (set, used) in [(0, limits::TIMEOUT_MIN), (3_600_000, limits::TIMEOUT_MAX)] {
        let mut slow = endpoint(1, types(&[]));
        slow.policy.timeout = Duration::from_millis(set);
        assert_eq!(write(&pushed(), slow, 1, NOW).unwrap().timeout, used);
    }
}
