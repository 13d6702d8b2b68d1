//! What holds for any bytes.

use proptest::prelude::*;
use webhook_signatures::{
    Incoming, Provider, Scheme, Secret, Signature, ToSign, all, describe, json, sign, verify,
    verify_and_describe,
};

const NOW: i64 = 1_767_225_600;

/// Secrets of every kind; the first that signs for a provider is the one to take.
pub(crate) fn secrets(provider: &Provider) -> Vec<Secret> {
    let standard = Secret::generate_standard([3; 32]);
    let pair = Secret::generate_ed25519([4; 32]).unwrap().0;
    let texts = [
        standard.expose(),
        "user:password",
        "00112233445566778899aabbccddeeff",
        include_str!("../data/rsa.pem"),
        include_str!("../data/p256.pem"),
        include_str!("../data/ed25519.pem"),
        &pair,
    ];
    texts.into_iter().filter_map(|text| Secret::parse(provider, text).ok()).collect()
}

/// The row with every setting set; any topic is taken, for the body has its own.
pub(crate) fn set_up(provider: &Provider) -> Provider {
    let mut own = provider.clone();
    for setting in &provider.settings {
        let value = if setting.name == "topic_arn" { "*" } else { "https://a.example/x" };
        assert!(own.set(&setting.name, value));
    }
    own
}

/// Bodies of which each provider takes at least one.
pub(crate) const BODIES: [&str; 5] = [
    r#"{"type":"a.b","timestamp":"2026-01-01T00:00:00Z","webhookTimestamp":1,"time_ms":1,"signature":{},"value":[{},{}]}"#,
    r#"{"Type":"Notification","Message":"m","MessageId":"1","Timestamp":"t","TopicArn":"arn:aws:sns:us-east-1:1:t"}"#,
    r#"{"notificationItems":[{"NotificationRequestItem":{"success":true,"additionalData":{}}},{"NotificationRequestItem":{"additionalData":{}}}]}"#,
    "<notification><kind>check</kind></notification>",
    "mandrill_events=%5B%5D&a=b",
];

/// Every provider whose scheme can be made from outside is signed for, and what is signed passes; in every scheme that
/// signs the body, another body does not.
#[test]
fn every_provider_accepts_what_is_signed_for_it() {
    let url = "https://hooks.example.com/in/x?a=%20b";
    let mut not_signed = Vec::new();
    for provider in all().iter().filter(|provider| !provider.is_open()) {
        let provider = set_up(provider);
        let mut done = 0;
        for (secret, body) in
            secrets(&provider).iter().flat_map(|secret| BODIES.map(|body| (secret, body)))
        {
            let kind: &[u8] = if body.contains('&') {
                b"application/x-www-form-urlencoded"
            } else {
                b"application/json"
            };
            let headers = [("Content-Type", kind)];
            let request = ToSign {
                id: "evt_1",
                now: NOW,
                url,
                method: "POST",
                headers: &headers,
                body: body.as_bytes(),
            };
            let Ok(signature) = sign(&provider, secret, &request) else { continue };
            done += 1;
            let sent = Sent::new(&signature, &request, &headers);
            let verdict = verify(&provider, std::slice::from_ref(secret), &sent.incoming(), NOW);
            assert!(verdict.is_ok(), "{}: {verdict:?} {signature:?}", provider.name);
        }
        if done == 0 {
            not_signed.push(provider.name.to_string());
        }
    }
    // SHA-1 with RSA is only ever verified.
    assert_eq!(not_signed, ["postal"]);
}

/// A signed request as it goes out.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) url: String,
    pub(crate) body: Vec<u8>,
}

impl Sent {
    pub(crate) fn new(
        signature: &Signature,
        request: &ToSign<'_>,
        given: &[(&str, &[u8])],
    ) -> Self {
        let own = signature
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone().into_bytes()));
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec()));
        let replaced =
            |name: &str| signature.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        Self {
            headers: own.chain(given.filter(|(name, _)| !replaced(name))).collect(),
            url: signature.url.clone().unwrap_or_else(|| request.url.to_owned()),
            body: signature.body.clone().unwrap_or_else(|| request.body.to_vec()),
        }
    }

    pub(crate) fn incoming(&self) -> Incoming<'_> {
        Incoming { method: "POST", url: &self.url, headers: &self.headers, body: &self.body }
    }
}

fn headers() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let names: Vec<String> = all()
        .iter()
        .flat_map(|provider| {
            format!("{provider:?}").split('"').map(str::to_owned).collect::<Vec<_>>()
        })
        .filter(|text| text.contains('-') && !text.contains(' ') && text.len() < 50)
        .collect();
    let value = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        "(t=[0-9]{10},)?v1[=,][A-Za-z0-9+/]{42,44}=?".prop_map(String::into_bytes),
        Just(NOW.to_string().into_bytes()),
    ];
    proptest::collection::vec((proptest::sample::select(names), value), 0..8)
}

proptest! {
    // Each case signs with RSA too, which is slow without optimisation.
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_is_signed_passes_and_a_changed_body_does_not(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        at in 0..1000_usize,
        bit in 0..8_u32,
    ) {
        let none: [(&str, &[u8]); 0] = [];
        let url = "https://hooks.example.com/in/x?a=%20b";
        for provider in all().iter().filter(|provider| !provider.is_open()) {
            let provider = set_up(provider);
            let secrets = secrets(&provider);
            let request = ToSign { id: "evt_1", now: NOW, url, method: "POST", headers: &none, body: &body };
            let signed = secrets.iter().find_map(|secret| Some((secret, sign(&provider, secret, &request).ok()?)));
            let Some((secret, signature)) = signed else { continue };
            let secret = std::slice::from_ref(secret);
            let sent = Sent::new(&signature, &request, &none);
            let verdict = verify(&provider, secret, &sent.incoming(), NOW);
            prop_assert!(verdict.is_ok(), "{}: {verdict:?}", provider.name);
            let both = verify_and_describe(&provider, secret, &sent.incoming(), NOW);
            prop_assert_eq!(both, verdict.map(|proof| (proof, describe(&provider, &sent.incoming()))));
            let mut changed = body.clone();
            let Some(index) = at.checked_rem(changed.len()) else { continue };
            changed[index] ^= 1 << bit;
            let incoming = Incoming { body: &changed, ..sent.incoming() };
            let passes = verify(&provider, secret, &incoming, NOW).is_ok();
            prop_assert!(!passes || !vouches_for_the_body(&provider), "{} passes another body", provider.name);
        }
    }
}

proptest! {
    #[test]
    fn any_request_is_answered(
        headers in headers(),
        body in proptest::collection::vec(any::<u8>(), 0..200),
        url in ".{0,60}",
    ) {
        let incoming = Incoming { method: "POST", url: &url, headers: &headers, body: &body };
        for provider in all() {
            let secrets = secrets(provider);
            let verdict = verify(provider, &secrets, &incoming, NOW);
            if let Err(refusal) = verdict {
                prop_assert!(!refusal.to_string().is_empty());
            }
            let described = describe(provider, &incoming);
            prop_assert!(described.event_id.is_none_or(|id| id.len() <= webhook_signatures::ID_MAX));
        }
    }

    #[test]
    fn json_is_found_where_serde_finds_it(value in json_value(), pointer in "(/[ab01]){0,3}") {
        let text = serde_json::to_vec(&value).unwrap();
        let want = value.pointer(&pointer);
        let found = json::find(&text, &pointer).map(|raw| serde_json::from_slice::<serde_json::Value>(raw).unwrap());
        prop_assert_eq!(found.as_ref(), want);
        if let Some(serde_json::Value::String(want)) = want {
            prop_assert_eq!(json::find_text(&text, &pointer).unwrap(), want.as_str());
        }
    }

    #[test]
    fn json_takes_any_bytes(body in proptest::collection::vec(prop_oneof![any::<u8>(), proptest::sample::select(br#"{}[]",:\u0 a1"#.to_vec())], 0..200), pointer in "(/[a01]?){0,4}") {
        if let Some(raw) = json::find(&body, &pointer) {
            prop_assert!(raw.len() <= body.len());
            let _text = json::text(raw);
        }
        prop_assert!(json::keys(&body, 5).len() <= 5);
    }

    #[test]
    fn quoted_text_reads_back(text in any::<String>()) {
        let quoted = json::quote(&text);
        prop_assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), text.as_str());
        prop_assert_eq!(json::text(quoted.as_bytes()).unwrap(), text);
    }
}

/// Tokens, passwords and some JWTs say who sent a request and not what.
fn vouches_for_the_body(provider: &Provider) -> bool {
    let shared = |scheme: &Scheme| matches!(scheme, Scheme::Token(_) | Scheme::Basic);
    let unbound = ["monday", "google-pubsub", "jwt"].contains(&provider.name.as_ref());
    !provider.schemes.iter().any(shared) && !unbound
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::hash_map("[ab\"\\\\é]{0,2}", inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}
