//! The questions of providers, from their vectors; and what must not be answered.

use crate::vectors::{Vector, all};
use serde_json::Value;
use webhook_signatures::{
    Answer, Encoding, Handshake, Hash, Headers, Incoming, Provider, Refusal, Secret, ToSign, find,
    handshake, sign, verify,
};

type Lines = Vec<(String, String)>;

const NOW: i64 = 1_767_225_600;
const URL: &str = "https://hooks.example.com/in/x";

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
    // Anyone can ask a hub to end a subscription; who did not ask for it says so.
    for mode in ["unsubscribe", "denied", "Subscribe", ""] {
        let asked = format!("https://a/?hub.mode={mode}&hub.challenge=1&hub.topic=https://a/feed");
        let answered = get(&websub, &[], &asked);
        assert!(matches!(answered, Some(Handshake::Refuse { status: 404, .. })), "{mode}");
    }
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

/// X's question is answered by an HMAC of its token, and its events are signed by the same of their body: whoever asks could
/// have any event signed. So a token that could be an event is not answered, and a body that could be a token is not believed.
#[test]
fn a_handshakes_answer_signs_no_event() {
    let x = find("x-twitter").unwrap();
    let secrets = [Secret::parse(x, "a consumer secret of ours").unwrap()];
    let ask = |token: &str| {
        let url = format!("https://hooks.example.com/in/x?crc_token={}", form(token));
        let nothing: [(&str, &str); 0] = [];
        let incoming = Incoming { method: "GET", url: &url, headers: &nothing, body: b"" };
        let asked = handshake(x, &secrets, &incoming, NOW)?;
        if let Handshake::Refuse { status, .. } = asked {
            assert_eq!(status, 400);
            return None;
        }
        let answer: Value = serde_json::from_slice(&answer(asked).body).unwrap();
        Some(answer["response_token"].as_str().unwrap().to_owned())
    };
    for token in
        [r#"{"a":1}"#, " {}", "[1]", "\"a\"", "a b", "a\n", "\u{e9}", "a=1&b", &"a".repeat(257)]
    {
        assert_eq!(ask(token), None, "{token}");
    }
    for token in ["OWNiNmJiYjAtOTVh", "9b4507b3-9040-4669-9ca3-6b94edb50553", "1234", "a+/=_.~"] {
        let answer = ask(token).unwrap_or_else(|| panic!("{token} is not answered"));
        let headers = [("x-twitter-webhooks-signature", answer)];
        let incoming =
            Incoming { method: "POST", url: URL, headers: &headers, body: token.as_bytes() };
        let verdict = verify(x, &secrets, &incoming, NOW);
        assert_eq!(verdict, Err(Refusal::HandshakeToken), "{token}");
    }
    let body = br#"{"for_user_id":"1"}"#;
    let url = URL;
    let unsigned = ToSign { id: "1", now: NOW, url, method: "POST", headers: &Lines::new(), body };
    let signed = sign(x, &secrets[0], &unsigned).unwrap();
    let incoming = Incoming { method: "POST", url, headers: &signed.headers, body };
    assert!(verify(x, &secrets, &incoming, NOW).is_ok());
}

/// eBay hashes the address as it was registered, with what stands in its query, and adds its code behind that.
#[test]
fn ebay_is_answered_for_the_address_that_was_registered() {
    let row = find("ebay").unwrap();
    let secrets = [Secret::parse(row, "verify_token_0123456789_0123456789").unwrap()];
    let answer = |url: &str| {
        let nothing: [(&str, &str); 0] = [];
        let incoming = Incoming { method: "GET", url, headers: &nothing, body: b"" };
        let Some(Handshake::Answer(answer)) = handshake(row, &secrets, &incoming, NOW) else {
            panic!("{url}")
        };
        let answer: Value = serde_json::from_slice(&answer.body).unwrap();
        answer["challengeResponse"].as_str().unwrap().to_owned()
    };
    let hash = |address: &str| {
        let text = format!("a86verify_token_0123456789_0123456789{address}");
        Encoding::Hex.encode(&Hash::Sha256.of(text.as_bytes()))
    };
    for registered in [URL, "https://hooks.example.com/in/x?token=t", "https://h.example/?a&b=%20"]
    {
        let mark = if registered.contains('?') { '&' } else { '?' };
        let called = format!("{registered}{mark}challenge_code=a86");
        assert_eq!(answer(&called), hash(registered), "{called}");
    }
    let first = "https://hooks.example.com/in/x?challenge_code=a86&token=t";
    assert_eq!(answer(first), hash("https://hooks.example.com/in/x?token=t"));
}

/// The same of Braintree, whose events are XML in base64.
#[test]
fn braintrees_answer_signs_no_event() {
    let mut row = find("braintree").unwrap().clone();
    assert!(row.set("public_key", "public"));
    let secrets = [Secret::parse(&row, "a private key").unwrap()];
    let token = "0123456789abcdef01234567";
    let nothing: [(&str, &str); 0] = [];
    let url = format!("https://hooks.example.com/in/b?bt_challenge={token}");
    let incoming = Incoming { method: "GET", url: &url, headers: &nothing, body: b"" };
    let Some(Handshake::Answer(answer)) = handshake(&row, &secrets, &incoming, NOW) else {
        panic!()
    };
    let signature = String::from_utf8(answer.body).unwrap();
    let body = format!("bt_signature={}&bt_payload={token}", form(&signature));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let incoming = Incoming { method: "POST", url: &url, headers: &headers, body: body.as_bytes() };
    assert_eq!(verify(&row, &secrets, &incoming, NOW), Err(Refusal::HandshakeToken));
    // The signature is right: with the payload of an event the same way passes.
    let unsigned = ToSign {
        id: "1",
        now: NOW,
        url: &url,
        method: "POST",
        headers: &Lines::new(),
        body: b"<notification><kind>check</kind></notification>",
    };
    let signed = sign(&row, &secrets[0], &unsigned).unwrap();
    let incoming = Incoming { body: signed.body.as_deref().unwrap(), ..incoming };
    assert!(verify(&row, &secrets, &incoming, NOW).is_ok());
}

fn form(text: &str) -> String {
    webhook_signatures::form::encode(text.as_bytes())
}

/// A secret that nobody could use would lock out the true one.
#[test]
fn no_secret_of_zeros_is_taken_from_a_handshake() {
    let notion = find("notion").unwrap();
    let asked = |token: &str| {
        let body = format!(r#"{{"verification_token":"{token}"}}"#);
        let nothing: [(&str, &str); 0] = [];
        let incoming =
            Incoming { method: "POST", url: URL, headers: &nothing, body: body.as_bytes() };
        handshake(notion, &[], &incoming, NOW)
    };
    assert_eq!(asked(&"\\u0000".repeat(40)).map(|_| ()), None);
    assert_eq!(asked("secret_short").map(|_| ()), None);
    assert!(matches!(asked("secret_of_sixteen_and_more"), Some(Handshake::StoreSecret(_))));
}
