//! Subscriptions at hubs: when they are asked for, what is asked, what is answered.

use crate::world::{NOW, source};
use bytes::Bytes;
use doorbell_core::attempt::{Answer, ErrorClass, Fault, Outcome};
use doorbell_core::configuration::Configuration;
use doorbell_core::directory::{Directory, ReadySource, Settings};
use doorbell_core::hub::{self, Question, Unwanted};
use doorbell_core::limits;
use doorbell_core::request::Headers;
use doorbell_core::source::{HubSubscription, Source};
use doorbell_core::time::Time;
use std::sync::Arc;
use std::time::Duration;
use webhook_signatures::Incoming;

const HUB: &str = "https://hub.example/";
const TOPIC: &str = "https://news.example/feed";
const DAY: Duration = Duration::from_secs(86_400);

fn news() -> Source {
    let mut source = source(1, "news", "websub", &["a secret"]);
    let option = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    source.verification.options = vec![option("hub", HUB), option("topic", TOPIC)];
    source.verification.public_url = Some("https://in.example/in/news".to_owned());
    source
}

fn ready(source: &Source) -> Arc<ReadySource> {
    let of = Configuration { sources: vec![source.clone()], ..Configuration::default() };
    Arc::clone(Directory::new(of, Settings::default()).source(source.id).unwrap())
}

/// The state in which the source's hub is being asked.
fn asking(source: &Source, now: Time) -> HubSubscription {
    let ready = ready(source);
    let wanted = hub::wanted(&ready).unwrap().unwrap();
    hub::asking(source.hub.as_ref(), &wanted, "t0ken".to_owned(), now)
}

fn due(source: &Source) -> Time {
    let ready = ready(source);
    hub::due(source.hub.as_ref(), &hub::wanted(&ready).unwrap().unwrap())
}

fn asked() -> Source {
    let mut source = news();
    source.hub = Some(asking(&source, NOW));
    source
}

#[test]
fn a_lease_is_renewed_after_four_fifths_of_it() {
    let mut source = news();
    assert!(due(&source) <= NOW, "a new source asks at once");
    source.hub = Some(asking(&source, NOW));
    assert_eq!(due(&source), NOW.after(limits::HUB_PATIENCE));
    let cases = [
        (Some(5 * 86_400), 5 * DAY, 4 * DAY),
        (Some(100), Duration::from_secs(100), Duration::from_secs(80)),
        // Nothing said, nothing, and a century.
        (None, limits::HUB_LEASE, limits::HUB_LEASE * 4 / 5),
        (Some(0), limits::HUB_LEASE_MIN, limits::HUB_LEASE_MIN * 4 / 5),
        (Some(u64::MAX), limits::HUB_LEASE, limits::HUB_LEASE * 4 / 5),
    ];
    for (lease_s, lasts, renewed) in cases {
        let state = hub::granted(source.hub.as_ref().unwrap(), lease_s, NOW);
        assert_eq!((state.until, state.asked), (Some(NOW.after(lasts)), None), "{lease_s:?}");
        let source = Source { hub: Some(state), ..source.clone() };
        assert_eq!(due(&source), NOW.after(renewed), "{lease_s:?}");
    }
}

#[test]
fn a_renewal_keeps_the_address_and_the_lease_until_it_is_confirmed() {
    let mut source = asked();
    let lease = hub::granted(source.hub.as_ref().unwrap(), Some(1000), NOW);
    source.hub = Some(lease.clone());
    let later = NOW.after(Duration::from_secs(800));
    let renewing = asking(&source, later);
    assert_eq!(renewing.until, lease.until);
    assert_eq!((renewing.asked, renewing.token), (Some(later), lease.token));
    assert_eq!((renewing.failures, renewing.error), (0, None));
}

#[test]
fn what_changes_at_the_source_is_asked_for_anew() {
    let mut source = asked();
    source.hub = Some(hub::granted(source.hub.as_ref().unwrap(), None, NOW));
    assert!(due(&source) > NOW);
    let changes: [fn(&mut Source); 4] = [
        |source| source.verification.options[0].1 = "https://other.example/".to_owned(),
        |source| source.verification.options[1].1 = "https://news.example/other".to_owned(),
        |source| source.verification.public_url = Some("https://b.example/in/news".to_owned()),
        |source| {
            source.verification.secrets =
                crate::world::source(2, "x", "websub", &["b"]).verification.secrets
        },
    ];
    for change in changes {
        let mut changed = source.clone();
        change(&mut changed);
        assert!(due(&changed) <= NOW);
        assert_eq!(asking(&changed, NOW).until, None, "another subscription begins");
    }
    let mut other = source.clone();
    other.updated = NOW.after(DAY);
    other.body_max = 1;
    assert!(due(&other) > NOW, "this is nothing to the hub");
}

#[test]
fn failures_wait_longer_and_longer_and_say_why() {
    let mut state = asking(&news(), NOW);
    let mut waits = Vec::new();
    for dice in 0..10 {
        state = hub::failed(&state, "the hub answered 500: out\nof order", NOW, dice);
        waits.push(state.next.since(NOW));
    }
    assert_eq!(state.error.as_deref(), Some("the hub answered 500: out of order"));
    assert_eq!(state.failures, 10);
    let near = |wait: Duration, planned: Duration| {
        wait >= planned * 84 / 100 && wait <= planned * 116 / 100
    };
    assert!(near(waits[0], limits::HUB_AGAIN_MIN) && near(waits[1], limits::HUB_AGAIN_MIN * 2));
    assert!(near(waits[9], limits::HUB_AGAIN_MAX), "{waits:?}");
    let long = hub::failed(&state, &"ü".repeat(1000), NOW, 0);
    assert!(long.error.unwrap().len() <= limits::HUB_SAID);
    assert_eq!(hub::granted(&state, None, NOW).failures, 0);
}

#[test]
fn a_hub_that_never_asks_back_is_a_failure_that_is_told() {
    let source = asked();
    let again = asking(&source, NOW.after(limits::HUB_PATIENCE));
    assert_eq!(again.failures, 1);
    assert!(again.error.unwrap().contains("has not asked back"));
}

#[test]
fn a_source_that_cannot_be_subscribed_says_why() {
    let why = |change: fn(&mut Source)| {
        let mut source = news();
        change(&mut source);
        hub::wanted(&ready(&source)).map(|wanted| wanted.map(drop))
    };
    let long = |source: &mut Source| {
        source.verification.secrets =
            crate::world::source(2, "x", "websub", &[&"x".repeat(200)]).verification.secrets;
    };
    assert_eq!(why(|source| source.verification.public_url = None), Some(Err(Unwanted::Address)));
    assert_eq!(why(|source| source.verification.secrets.clear()), Some(Err(Unwanted::Secret)));
    assert_eq!(why(long), Some(Err(Unwanted::SecretTooLong)));
    assert_eq!(why(|source| source.enabled = false), None);
    assert_eq!(why(|source| _ = source.verification.options.remove(0)), None);
    assert_eq!(why(|_| ()), Some(Ok(())));
}

#[test]
fn the_form_says_what_the_standard_wants() {
    let source = news();
    let (state, ready) = (asking(&source, NOW), ready(&source));
    let form = hub::form(&state, &hub::wanted(&ready).unwrap().unwrap());
    let pairs = webhook_signatures::form::pairs(form.as_bytes(), 10);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| (text(name), text(value))).collect();
    let want = [
        ("hub.callback", "https://in.example/in/news/t0ken"),
        ("hub.mode", "subscribe"),
        ("hub.topic", TOPIC),
        ("hub.lease_seconds", "864000"),
        ("hub.secret", "a secret"),
        ("hub.verify", "async"),
    ];
    assert_eq!(pairs, want.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Outcome {
    let headers: Headers = headers.iter().map(|(n, v)| (n, Bytes::from(v.to_string()))).collect();
    let body = Bytes::from(body.to_owned());
    Outcome::Answered(Answer { status, headers, body, truncated: false })
}

#[test]
fn what_the_hub_answers_is_told() {
    for status in [200, 202, 204] {
        assert_eq!(hub::taken(&answer(status, &[], "")), Ok(()));
    }
    let why = |outcome| hub::taken(&outcome).unwrap_err();
    assert_eq!(why(answer(400, &[], " bad topic\n")), "the hub answered 400: bad topic");
    let moved = why(answer(308, &[("location", "https://new.example/")], ""));
    assert!(moved.contains("https://new.example/") && moved.contains("option hub"), "{moved}");
    let fault = Fault { class: ErrorClass::ConnectionRefused, detail: "refused".to_owned() };
    assert!(why(Outcome::Failed(fault)).contains("refused"));
    let state = hub::failed(&asking(&news(), NOW), "x", NOW, 0);
    let patient = hub::patience(state.clone(), &answer(429, &[("retry-after", "600")], ""), NOW);
    assert_eq!(patient.next, NOW.after(Duration::from_secs(600)));
    assert_eq!(hub::patience(state.clone(), &answer(400, &[], ""), NOW), state);
}

#[test]
fn a_topic_names_its_hub_in_link_headers() {
    let found = |lines: &[&str]| {
        hub::discovered(
            &lines.iter().map(|line| ("link", Bytes::from((*line).to_owned()))).collect(),
        )
    };
    let both = Some((HUB.to_owned(), Some(TOPIC.to_owned())));
    assert_eq!(found(&[&format!("<{HUB}>; rel=\"hub\", <{TOPIC}>; rel=\"self\"")]), both);
    assert_eq!(
        found(&[&format!("<{TOPIC}>;rel=self"), &format!("<{HUB}>; title=x; REL=hub")]),
        both
    );
    assert_eq!(found(&[&format!("<{HUB}>; rel=\"alternate HUB\"")]), Some((HUB.to_owned(), None)));
    for none in
        ["", "<", "<>", "<https://a>", "<https://a>; rel=self", "</hub>; rel=hub", "<x>; rel"]
    {
        assert_eq!(found(&[none]), None, "{none}");
    }
}

fn ask(source: &Source, path: &str, query: &str) -> Option<Question> {
    let none: [(&str, &str); 0] = [];
    let url = format!("https://in.example/in/news{path}?{query}");
    let incoming = Incoming { method: "GET", url: &url, headers: &none, body: b"" };
    hub::question(source, path, &incoming, (NOW, 7))
}

#[test]
fn only_the_hub_that_was_asked_is_told_yes() {
    let source = asked();
    let right =
        format!("hub.mode=subscribe&hub.topic={TOPIC}&hub.challenge=c%26&hub.lease_seconds=500");
    let Some(Question::Confirm { state, echo }) = ask(&source, "/t0ken", &right) else {
        panic!("no")
    };
    assert_eq!((echo.as_str(), state.until), ("c&", Some(NOW.after(Duration::from_secs(500)))));
    let refused = |source: &Source, path: &str, query: &str| {
        matches!(ask(source, path, query), Some(Question::Refuse(_)))
    };
    assert!(refused(&source, "/t0kem", &right) && refused(&source, "", &right));
    assert!(refused(&news(), "/t0ken", &right), "nobody was asked");
    let unable = Source { hub: hub::unable(&source, Unwanted::Address), ..source.clone() };
    assert!(refused(&unable, "/", &right) && refused(&unable, "", &right));
    for (from, to) in [
        ("news.example", "evil.example"),
        ("=subscribe", "=unsubscribe"),
        ("=subscribe", "=publish"),
        ("c%26", ""),
        ("c%26", &"x".repeat(1025)),
        ("&hub.topic", "&topic"),
    ] {
        assert!(refused(&source, "/t0ken", &right.replace(from, to)), "{to:.40}");
    }
    assert_eq!(ask(&source, "/t0ken", "a=b"), None, "no question of a hub's");
    let mut own = source.clone();
    own.verification.options.remove(0);
    assert_eq!(ask(&own, "/t0ken", &right), None, "its operator subscribes by himself");
}

#[test]
fn a_hub_that_denies_is_believed_and_asked_again_later() {
    let mut source = asked();
    source.hub = Some(hub::granted(source.hub.as_ref().unwrap(), None, NOW));
    let denied = format!("hub.mode=denied&hub.topic={TOPIC}&hub.reason=not+you");
    let Some(Question::Denied { state }) = ask(&source, "/t0ken", &denied) else { panic!("no") };
    assert_eq!(state.until, None);
    assert_eq!(state.error.as_deref(), Some("the hub denied it: not you"));
    assert!(state.next > NOW);
    assert!(matches!(ask(&source, "", &denied), Some(Question::Refuse(_))));
}
