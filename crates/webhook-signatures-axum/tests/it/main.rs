#![cfg(test)]
//! The extractor in a router.

use axum::body::Body;
use axum::routing::any;
use axum::{Router, extract::FromRef};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use tower::ServiceExt as _;
use webhook_signatures_axum::signatures::{Secret, ToSign, find, sign};
use webhook_signatures_axum::{Receiver, SetUpError, Webhook};

const SECRET: &str = "It's a Secret to Everybody";
/// GitHub's published example: `Hello, World!` signed with [`SECRET`].
const SIGNED: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
const NOW: i64 = 1_767_225_600;

async fn handler(webhook: Webhook) -> String {
    let secret = webhook.verified.secret();
    format!("{:?} {secret:?} {}", webhook.described.event_type, webhook.body.len())
}

/// A state of the application's own, with the receiver in it.
#[derive(Clone)]
struct App(Receiver);

impl FromRef<App> for Receiver {
    fn from_ref(app: &App) -> Self {
        app.0.clone()
    }
}

async fn call(receiver: Receiver, request: Request<Body>) -> (u16, String, Response<()>) {
    let app = Router::new().route("/hooks/x", any(handler)).with_state(App(receiver));
    let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    (parts.status.as_u16(), text, Response::from_parts(parts, ()))
}

fn github() -> Receiver {
    Receiver::new("github", &["an older one", SECRET]).unwrap()
}

fn post(lines: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method("POST").uri("/hooks/x?a=b");
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

#[tokio::test]
async fn only_what_is_signed_gets_to_the_handler() {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    let receiver = || github().on_refusal(|_| _ = TOLD.fetch_add(1, Ordering::SeqCst));
    let lines = [("x-hub-signature-256", SIGNED), ("x-github-event", "push")];
    let (status, text, _) = call(receiver(), post(&lines, "Hello, World!")).await;
    assert_eq!((status, text.as_str()), (200, "Some(\"push\") Some(1) 13"));
    assert_eq!(TOLD.load(Ordering::SeqCst), 0);
    for (lines, body) in [(&lines[..], "Hello, World?"), (&[], "Hello, World!")] {
        let (status, text, _) = call(receiver(), post(lines, body)).await;
        assert_eq!((status, text.as_str()), (401, ""), "nothing is said about why");
    }
    assert_eq!(TOLD.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn questions_are_answered_before_the_handler() {
    let meta = Receiver::new("meta", &["the verify token"]).unwrap();
    let ask = |token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
        Request::get(format!("/hooks/x?{query}")).body(Body::empty()).unwrap()
    };
    let (status, text, response) = call(meta.clone(), ask("the%20verify%20token")).await;
    assert_eq!((status, text.as_str()), (200, "1158201444"));
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    assert_eq!(call(meta, ask("another")).await.0, 403);
    let notion = Receiver::new("notion", &[]).unwrap();
    let token = r#"{"verification_token":"secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl"}"#;
    assert_eq!(call(notion, post(&[], token)).await.0, 503, "nobody keeps the secret here");
}

#[tokio::test]
async fn bodies_are_bytes_and_bounded() {
    let row = find("standard-webhooks").unwrap();
    let secret = Secret::generate_standard([7; 32]);
    let (body, none): (&[u8], [(&str, &str); 0]) = (b"\xff\0\xfe", []);
    let request =
        ToSign { id: "m", now: NOW, url: "https://x/", method: "POST", headers: &none, body };
    let signature = sign(row, &secret, &request).unwrap();
    let lines: Vec<(&str, &str)> =
        signature.headers.iter().map(|(name, value)| (&**name, value.as_str())).collect();
    let receiver = || {
        let receiver = Receiver::new("standard-webhooks", &[secret.expose()]).unwrap();
        receiver.with_clock(|| NOW).with_limit(3)
    };
    let (status, text, _) = call(receiver(), post(&lines, Bytes::from_static(body))).await;
    assert_eq!((status, text.as_str()), (200, "None Some(0) 3"));
    assert_eq!(call(receiver(), post(&lines, "four")).await.0, 413);
    let late = receiver().with_clock(|| NOW + 301);
    assert_eq!(call(late, post(&lines, Bytes::from_static(body))).await.0, 401);
}

#[tokio::test]
async fn a_signed_url_is_the_public_one_with_the_query_as_it_came() {
    let row = find("square").unwrap();
    let secret = Secret::parse(row, "a secret").unwrap();
    let url = "https://hooks.example.com/hooks/x?a=b";
    let none: [(&str, &str); 0] = [];
    let request = ToSign { id: "m", now: NOW, url, method: "POST", headers: &none, body: b"{}" };
    let signature = sign(row, &secret, &request).unwrap();
    let lines: Vec<(&str, &str)> =
        signature.headers.iter().map(|(name, value)| (&**name, value.as_str())).collect();
    let square = || Receiver::new("square", &["a secret"]).unwrap();
    let public = square().with_public_url("https://hooks.example.com/hooks/x");
    assert_eq!(call(public, post(&lines, "{}")).await.0, 200);
    assert_eq!(call(square(), post(&lines, "{}")).await.0, 401, "localhost was not signed");
}

#[tokio::test]
async fn a_refusal_has_the_body_that_the_provider_wants() {
    let mut row = find("github").unwrap().clone();
    row.response.bad_body = r#"{"err":"x"}"#.into();
    let (status, text, answer) = call(Receiver::of(row, &[SECRET]).unwrap(), post(&[], "{}")).await;
    assert_eq!((status, text.as_str()), (401, r#"{"err":"x"}"#));
    assert_eq!(answer.headers()["content-type"], "application/json");
    let (status, text, answer) = call(github(), post(&[], "{}")).await;
    assert_eq!((status, text.as_str()), (401, ""));
    assert!(!answer.headers().contains_key("content-type"));
}

#[tokio::test]
async fn what_is_not_set_up_believes_nobody() {
    let fault = Receiver::new("githup", &[]).unwrap_err();
    assert_eq!(fault.to_string(), "there is no provider \"githup\"");
    let fault = Receiver::new("standard-webhooks", &["whsec_AAAB", "whsec_"]).unwrap_err();
    assert!(matches!(fault, SetUpError::Secret(2, _)), "{fault}");
    let nobody = Receiver::new("github", &[]).unwrap();
    assert_eq!(call(nobody, post(&[], "{}")).await.0, 503, "a fault of ours");
    assert_eq!(format!("{:?}", github()), "Receiver(github, 2 secrets)");
}
