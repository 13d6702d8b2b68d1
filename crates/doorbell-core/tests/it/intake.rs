//! What becomes of a request to a source.

use crate::world::{NOW, directory, endpoint, event, lines, request, source, types};
use bytes::Bytes;
use doorbell_core::delivery::{DiscardReason, State};
use doorbell_core::directory::Directory;
use doorbell_core::endpoint::{OnDead, Order, Status};
use doorbell_core::event::{Event, Fate, Origin, Rejection, RejectionReason};
use doorbell_core::id::EventId;
use doorbell_core::intake::{self, Accepted, Answer, Birth, Intake, NoKey, Refused, Reply};
use doorbell_core::limits;
use doorbell_core::name::EventTypePattern;
use doorbell_core::outgoing;
use doorbell_core::request::Request;
use doorbell_core::source::{KeyRule, Response, Source};
use proptest::prelude::*;
use std::time::Duration;
use webhook_signatures::{Secret, ToSign, find, sign};

const BIRTH: Birth = Birth { id: EventId::from_bytes([3; 16]), now: NOW };

fn decide(directory: &Directory, request: Request) -> Intake {
    intake::decide(directory, directory.source_at("in").unwrap(), request, BIRTH)
}

fn accepted(directory: &Directory, request: Request) -> (Accepted, Reply) {
    match decide(directory, request) {
        Intake::Accept(accepted, reply) => (accepted, reply),
        other @ (Intake::Refuse(..) | Intake::Answer(_) | Intake::Call(_) | Intake::Need(_)) => {
            panic!("not accepted: {other:?}")
        }
    }
}

fn refused(directory: &Directory, request: Request) -> (Refused, Reply) {
    match decide(directory, request) {
        Intake::Refuse(refused, reply) => (refused, reply),
        other @ (Intake::Accept(..) | Intake::Answer(_) | Intake::Call(_) | Intake::Need(_)) => {
            panic!("not refused: {other:?}")
        }
    }
}

fn only(source: Source) -> Directory {
    directory(&[source], &[])
}

/// A request signed as the provider would.
fn signed(provider: &str, secret: &str, headers: &[(&str, &str)], body: &str) -> Request {
    let provider = find(provider).unwrap();
    let mut request = request(headers, body);
    let to_sign = ToSign {
        id: "msg_1",
        now: NOW.unix_seconds(),
        url: "https://hooks.example.com/in/in",
        method: "POST",
        headers: &request.headers,
        body: &request.body,
    };
    let signature = sign(provider, &Secret::parse(provider, secret).unwrap(), &to_sign).unwrap();
    for (name, value) in signature.headers {
        request.headers.push(&name, value);
    }
    request
}

#[test]
fn a_push_from_github_becomes_an_event_with_its_deliveries() {
    let directory = directory(
        &[source(1, "in", "github", &["secret"])],
        &[endpoint(1, types(&["push"])), endpoint(2, types(&["issues.*"]))],
    );
    let headers = [
        ("X-GitHub-Event", "push"),
        ("X-GitHub-Delivery", "72d3162e"),
        ("Content-Type", "application/json"),
    ];
    let sent = signed("github", "secret", &headers, r#"{ "ref":"refs/heads/main" }"#);
    let (accepted, reply) = accepted(&directory, sent.clone());
    assert_eq!(accepted.event.request, sent);
    assert_eq!(accepted.event.event_type.as_ref().unwrap().as_str(), "push");
    assert_eq!(accepted.event.dedupe_key, Some(Bytes::from_static(b"72d3162e")));
    assert_eq!(
        (accepted.fate, accepted.dedupe_window, accepted.event.id),
        (Fate::Accepted, limits::DEDUPE_WINDOW, BIRTH.id)
    );
    let [delivery] = accepted.deliveries.as_slice() else { panic!("{:?}", accepted.deliveries) };
    assert_eq!(
        (delivery.endpoint, delivery.state),
        (endpoint(1, types(&[])).id, State::Waiting { due: NOW })
    );
    assert_eq!((reply.status, reply.body.len()), (202, 0));
}

#[test]
fn no_endpoint_and_filtered_are_events_too() {
    let mut picky = source(1, "in", "none", &[]);
    picky.event_types = vec![EventTypePattern::parse("invoice.*").unwrap()];
    let directory = directory(&[picky], &[endpoint(1, types(&["invoice.paid"]))]);
    let fate = |body| accepted(&directory, request(&[], body)).0.fate;
    assert_eq!(fate(r#"{"type":"invoice.paid"}"#), Fate::Accepted);
    assert_eq!(fate(r#"{"type":"invoice.due"}"#), Fate::NoEndpoint);
    assert_eq!(fate(r#"{"type":"customer.created"}"#), Fate::Filtered);
    assert_eq!(fate("no type at all"), Fate::Filtered);
}

#[test]
fn what_is_not_believed_is_kept_with_its_reason_and_answered_without_one() {
    let directory = only(source(1, "in", "github", &["secret"]));
    let wrong = signed("github", "another", &[], "{}");
    let (of_wrong, to_wrong) = refused(&directory, wrong.clone());
    let (of_none, to_none) = refused(&directory, request(&[], "{}"));
    assert_eq!(to_wrong, to_none);
    assert_eq!((to_wrong.status, to_wrong.body.len(), to_wrong.headers.len()), (401, 0, 0));
    assert_eq!(of_wrong.event.request, wrong);
    for (refused, part) in [(of_wrong, "no signature matches"), (of_none, "is missing")] {
        assert_eq!(refused.rejection.reason, RejectionReason::Verification);
        assert!(refused.rejection.detail.contains(part), "{}", refused.rejection.detail);
    }
}

/// RFC 8935, 2.3: who pushes a security event is told in JSON that it was not accepted, and nothing of why.
#[test]
fn a_security_event_is_refused_as_its_rfc_says() {
    let mut source = source(1, "in", "security-events", &[include_str!("data/rsa_public.pem")]);
    source.verification.options =
        [("issuer", "https://i.example"), ("audience", "us"), ("jwks_url", "https://k.example/")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
    for body in ["", "a.b.c", "{}"] {
        let (_, reply) = refused(&only(source.clone()), request(&[], body));
        assert_eq!(
            (reply.status, reply.headers.text("content-type")),
            (400, Some("application/json"))
        );
        let said: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(said["err"], "invalid_request");
        assert!(said["description"].is_string());
    }
}

#[test]
fn a_source_that_is_not_set_up_rightly_asks_to_come_again() {
    for source in [source(1, "in", "github", &[]), source(1, "in", "no-such-provider", &["s"])] {
        let (refused, reply) = refused(&only(source), signed("github", "secret", &[], "{}"));
        assert_eq!((reply.status, reply.headers.text("retry-after")), (503, Some("60")));
        assert!(
            refused.rejection.detail.starts_with("the source is not set up rightly"),
            "{}",
            refused.rejection.detail
        );
    }
}

#[test]
fn what_the_source_does_not_take() {
    let mut strict = source(1, "in", "none", &[]);
    strict.methods = vec!["POST".to_owned(), "PUT".to_owned()];
    strict.body_max = 4;
    let directory = only(strict.clone());
    let (of, reply) = refused(&directory, Request { method: "GET".to_owned(), ..request(&[], "") });
    assert_eq!(
        (reply.status, reply.headers.text("allow"), of.rejection.reason),
        (405, Some("POST, PUT"), RejectionReason::Method)
    );
    assert_eq!(accepted(&directory, request(&[], "1234")).1.status, 202);
    let (of, reply) = refused(&directory, request(&[], "12345"));
    assert_eq!((reply.status, of.rejection.reason), (413, RejectionReason::BodyTooLarge));
    strict.enabled = false;
    let (of, reply) = refused(&only(strict), request(&[], ""));
    assert_eq!((reply.status, of.rejection.reason), (404, RejectionReason::SourceDisabled));
}

/// Each Doorbell on the way adds a line of its own; a few one after the other are fine, a circle ends.
#[test]
fn what_goes_round_in_a_circle_ends() {
    let ours = endpoint(1, types(&[]));
    let directory = directory(&[source(1, "in", "none", &[])], std::slice::from_ref(&ours));
    let mut request = request(&[("content-type", "application/json")], "{}");
    for hop in 0..=limits::HOPS {
        let (accepted, _) = accepted(&directory, request.clone());
        assert_eq!(accepted.fate, Fate::Accepted, "after {hop} hops");
        let ready = directory.endpoint(ours.id).unwrap();
        let sent = outgoing::write(&accepted.event, ready, (1, None), NOW).unwrap();
        request.headers = sent.headers;
    }
    const { assert!(limits::HOPS >= 3) };
    let joined = ["1"; limits::HOPS + 1].join(", ");
    let joined = self::request(&[("doorbell-original-doorbell-attempt", joined.as_str())], "{}");
    for request in [request, joined] {
        let (refused, reply) = refused(&directory, request);
        // No 5xx: the Doorbell before would take its endpoint for ill, and hold back what others sent.
        assert_eq!((refused.rejection.reason, reply.status), (RejectionReason::Malformed, 400));
        assert!(refused.rejection.detail.contains("6 Doorbells"), "{}", refused.rejection.detail);
    }
}

#[test]
fn a_refused_body_is_cut() {
    let directory = only(source(1, "in", "github", &["secret"]));
    let (kept, _) = refused(&directory, request(&[], &"x".repeat(limits::REJECTED_BODY_KEPT + 1)));
    assert_eq!(kept.event.request.body.len(), limits::REJECTED_BODY_KEPT);
    let rejection = Rejection {
        reason: RejectionReason::Malformed,
        detail: "the chunks are broken".to_owned(),
    };
    let (refused, reply) = intake::refuse(
        directory.source_at("in").unwrap(),
        request(&[], "x"),
        BIRTH,
        rejection.clone(),
    );
    assert_eq!((refused.rejection, reply.status), (rejection, 400));
}

#[test]
fn the_users_rules_go_over_the_providers() {
    let mut own = source(1, "in", "none", &[]);
    own.type_rule = Some(KeyRule::Header("x-kind".to_owned()));
    own.dedupe.key = Some(KeyRule::Pointer("/data/id".to_owned()));
    let directory = only(own);
    let (accepted_, _) = accepted(
        &directory,
        request(&[("X-Kind", "order created")], r#"{"type":"other","id":"1","data":{"id":7}}"#),
    );
    assert_eq!(accepted_.event.event_type.as_ref().unwrap().as_str(), "order_created");
    assert_eq!(accepted_.event.dedupe_key, Some(Bytes::from_static(b"7")));
    let (accepted, _) = accepted(&directory, request(&[], r#"{"type":"other","id":"1"}"#));
    assert_eq!((&accepted.event.event_type, &accepted.event.dedupe_key), (&None, &None));
}

#[test]
fn the_sources_own_answer() {
    let mut own = source(1, "in", "none", &[]);
    own.response = Some(Response {
        status: 200,
        content_type: "text/xml".to_owned(),
        body: "<ok/>".to_owned(),
    });
    let (_, reply) = accepted(&only(own), request(&[], ""));
    assert_eq!(
        (reply.status, reply.headers, reply.body),
        (200, lines(&[("content-type", "text/xml")]), Bytes::from_static(b"<ok/>"))
    );
}

#[test]
fn how_deliveries_begin() {
    let (mut paused, mut disabled, mut ordered) =
        (endpoint(1, types(&[])), endpoint(2, types(&[])), endpoint(3, types(&[])));
    paused.status = Status::Paused;
    disabled.status = Status::Disabled { at: NOW, why: "by the operator".to_owned() };
    ordered.policy.order =
        Some(Order { key: KeyRule::Pointer("/customer".to_owned()), on_dead: OnDead::Block });
    let order = ordered.policy.order.clone().unwrap();
    let directory = directory(&[source(1, "in", "none", &[])], &[paused, disabled, ordered]);
    let (accepted, _) = accepted(&directory, request(&[], r#"{"customer":"c1"}"#));
    let mut deliveries = accepted.deliveries.clone();
    deliveries.sort_unstable_by_key(|planned| planned.endpoint);
    let states: Vec<_> = deliveries.iter().map(|planned| planned.state).collect();
    let waiting = State::Waiting { due: NOW };
    assert_eq!(
        states,
        [waiting, State::Discarded { at: NOW, why: DiscardReason::EndpointDisabled }, waiting]
    );
    let keys: Vec<_> = deliveries.iter().map(|planned| planned.order_key).collect();
    assert_eq!(
        keys,
        [None, None, Some(doorbell_core::key::order(&order.key, &accepted.event.request))]
    );
}

#[test]
fn the_first_try_may_be_made_to_wait() {
    let mut patient = endpoint(1, types(&[]));
    patient.policy.retry.schedule = [60, 300].map(Duration::from_secs).to_vec();
    let planned = intake::planned(&patient, &event(Origin::Api, None));
    assert_eq!(planned.state, State::Waiting { due: NOW.after(Duration::from_secs(60)) });
    patient.policy.retry.schedule = Vec::new();
    assert_eq!(
        intake::planned(&patient, &event(Origin::Api, None)).state,
        State::Waiting { due: NOW }
    );
}

#[test]
fn a_published_event_is_planned_alike() {
    let directory = directory(&[], &[endpoint(1, types(&["a"])), endpoint(2, types(&["b"]))]);
    let published =
        intake::publish(&directory, event(Origin::Api, Some("a")), limits::DEDUPE_WINDOW);
    assert_eq!((published.fate, published.deliveries.len()), (Fate::Accepted, 1));
    let published =
        intake::publish(&directory, event(Origin::Api, Some("c")), limits::DEDUPE_WINDOW);
    assert_eq!((published.fate, published.deliveries.len()), (Fate::NoEndpoint, 0));
}

#[test]
fn the_fan_out_is_bounded() {
    let endpoints: Vec<_> =
        (0..=u16::try_from(limits::FANOUT).unwrap()).map(|n| endpoint(n, types(&[]))).collect();
    let published = intake::publish(
        &directory(&[], &endpoints),
        event(Origin::Api, None),
        limits::DEDUPE_WINDOW,
    );
    assert_eq!(published.deliveries.len(), limits::FANOUT);
}

fn asked(directory: &Directory, request: Request) -> Answer {
    match decide(directory, request) {
        Intake::Answer(answer) => answer,
        other @ (Intake::Accept(..) | Intake::Refuse(..) | Intake::Call(_) | Intake::Need(_)) => {
            panic!("not answered: {other:?}")
        }
    }
}

#[test]
fn questions_are_answered_and_are_no_events() {
    let mut slack = source(1, "in", "slack", &["secret"]);
    let question = r#"{"type":"url_verification","challenge":"3eZbrw1aB"}"#;
    let answer = asked(&only(slack.clone()), signed("slack", "secret", &[], question));
    assert_eq!(
        (answer.secret, answer.reply.status, answer.reply.body),
        (None, 200, Bytes::from_static(b"3eZbrw1aB"))
    );
    let (_, reply) = refused(&only(slack.clone()), request(&[], question));
    assert_eq!((reply.status, reply.body.len()), (401, 0));
    slack.enabled = false;
    assert_eq!(refused(&only(slack), signed("slack", "secret", &[], question)).1.status, 404);
}

#[test]
fn a_question_is_answered_whatever_the_methods() {
    let mut meta = source(1, "in", "meta", &["secret"]);
    meta.methods = vec!["POST".to_owned()];
    let query =
        Some("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=secret".to_owned());
    let question = Request { method: "GET".to_owned(), query, ..request(&[], "") };
    assert_eq!(
        asked(&only(meta.clone()), question.clone()).reply.body,
        Bytes::from_static(b"1158201444")
    );
    let (refused, reply) = refused(&only(meta), Request { query: None, ..question });
    assert_eq!((reply.status, refused.rejection.reason), (405, RejectionReason::Method));
}

#[test]
fn a_secret_that_the_provider_hands_out_is_kept_first_and_once() {
    let hello = request(&[("X-Hook-Secret", "b537207f20cbfa02357cf448134da559")], "");
    let answer = asked(&only(source(1, "in", "asana", &[])), hello.clone());
    let secret = answer.secret.unwrap().secret;
    assert_eq!(secret.reveal(), "b537207f20cbfa02357cf448134da559");
    assert_eq!(answer.reply.headers.text("x-hook-secret"), Some(secret.reveal()));
    assert_eq!(
        refused(&only(source(1, "in", "asana", &["its secret already"])), hello).1.status,
        409
    );
    assert_eq!(refused(&only(source(1, "in", "asana", &[])), request(&[], "{}")).1.status, 503);
}

fn sns(cert: &str) -> Request {
    let body = format!(
        r#"{{"Type":"Notification","MessageId":"1","TopicArn":"arn:aws:sns:us-east-1:1:t","Message":"m","Timestamp":"t",
        "SignatureVersion":"1","Signature":"{}","SigningCertURL":"{cert}"}}"#,
        "AAAA".repeat(86)
    );
    request(&[], &body)
}

fn sns_source() -> Source {
    let mut source = source(1, "in", "aws-sns", &[]);
    source.verification.options = vec![("topic_arn".to_owned(), "*".to_owned())];
    source
}

#[test]
fn a_key_is_asked_for_only_at_its_owner() {
    let directory = only(sns_source());
    let pem = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a.pem";
    let Intake::Need(needed) = decide(&directory, sns(pem)) else { panic!("no key is needed") };
    assert_eq!((needed.key.url(), needed.key.post()), (pem, None));
    assert_eq!(needed.request, sns(pem));
    let (refused, reply) = refused(&directory, sns("https://evil.example/a.pem"));
    assert_eq!((reply.status, refused.rejection.reason), (401, RejectionReason::Verification));
}

#[test]
fn without_its_key_a_request_is_refused_and_by_whose_fault_is_told_apart() {
    let directory = only(sns_source());
    let ready = directory.source_at("in").unwrap();
    let pem = "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0a.pem";
    let given_up = |why: NoKey| {
        let Intake::Need(needed) = decide(&directory, sns(pem)) else { panic!("no key is needed") };
        let (refused, reply) = intake::give_up(ready, needed.request, BIRTH, why);
        (
            reply.status,
            reply.headers.text("retry-after").map(str::to_owned),
            refused.rejection.detail,
        )
    };
    let away = NoKey::Unavailable("it was away".to_owned());
    assert_eq!(given_up(away), (503, Some("60".to_owned()), "it was away".to_owned()));
    let (status, again, detail) = given_up(NoKey::Unknown(pem.to_owned()));
    assert_eq!((status, again), (401, None));
    assert!(detail.contains(pem), "{detail}");
}

fn kept(intake: &Intake) -> Option<&Event> {
    match intake {
        Intake::Accept(accepted, _) => Some(&accepted.event),
        Intake::Refuse(refused, _) => Some(&refused.event),
        Intake::Answer(_) | Intake::Call(_) | Intake::Need(_) => None,
    }
}

proptest! {
    /// Whatever is sent to a source with a secret by someone who does not know it: refused, kept as it came, no panic.
    #[test]
    fn noise_is_refused_and_kept(
        provider in prop::sample::select(webhook_signatures::all().iter().filter(|row| !row.is_open()).collect::<Vec<_>>()),
        headers in prop::collection::vec((prop::sample::select(vec!["x-hub-signature-256", "stripe-signature", "webhook-signature",
            "webhook-id", "webhook-timestamp", "authorization", "x-webhook-token", "content-type", "x-signature"]), "\\PC{0,40}"), 0..6),
        body: Vec<u8>, query in prop::option::of("[!-~]{0,20}"),
    ) {
        let secret = ["it is a secret", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "aXQgaXMgYSBzZWNyZXQ="]
            .into_iter().find(|secret| Secret::parse(provider, secret).is_ok());
        prop_assume!(secret.is_some());
        let directory = only(source(1, "in", &provider.name, &[secret.unwrap()]));
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let sent = Request { body: body.into(), query, ..request(&headers, "") };
        let intake = decide(&directory, sent.clone());
        prop_assert!(matches!(&intake, Intake::Refuse(_, reply) if reply.body.is_empty()), "{:?}", intake);
        prop_assert_eq!(kept(&intake).map(|event| &event.request), Some(&sent));
    }
}
