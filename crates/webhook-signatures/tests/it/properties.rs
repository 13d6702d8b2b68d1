//! What holds for any bytes.

use proptest::prelude::*;
use webhook_signatures::{Incoming, Provider, Secret, ToSign, all, describe, json, sign, verify};

const NOW: i64 = 1_767_225_600;

/// A secret that fits the provider, if one can be made up.
pub(crate) fn secret(provider: &Provider) -> Option<Secret> {
    let standard = Secret::generate_standard([3; 32]);
    let texts = [standard.expose(), "user:password", "00112233445566778899aabbccddeeff"];
    texts.into_iter().find_map(|text| Secret::parse(provider, text).ok())
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
    #[test]
    fn what_is_signed_passes_and_a_changed_body_does_not(
        body in proptest::collection::vec(any::<u8>(), 0..300),
        at in 0..1000_usize,
        bit in 0..8_u32,
    ) {
        let none: [(&str, &[u8]); 0] = [];
        let url = "https://hooks.example.com/in/x?a=%20b";
        for provider in all().iter().filter(|provider| !provider.is_open()) {
            let Some(secret) = secret(provider) else { continue };
            let request = ToSign { id: "evt_1", now: NOW, url, method: "POST", headers: &none, body: &body };
            let Ok(signature) = sign(provider, &secret, &request) else { continue };
            let headers: Vec<_> = signature.headers.into_iter().map(|(n, v)| (n.into_owned(), v)).collect();
            let url = signature.url.as_deref().unwrap_or(url);
            let sent = signature.body.as_deref().unwrap_or(&body);
            let incoming = Incoming { method: "POST", url, headers: &headers, body: sent };
            let verdict = verify(provider, std::slice::from_ref(&secret), &incoming, NOW);
            prop_assert!(verdict.is_ok(), "{}: {verdict:?}", provider.name);
            let mut changed = body.clone();
            let Some(index) = at.checked_rem(changed.len()) else { continue };
            changed[index] ^= 1 << bit;
            let incoming = Incoming { body: &changed, ..incoming };
            let shared = matches!(provider.schemes.first(), Some(webhook_signatures::Scheme::Token(_) | webhook_signatures::Scheme::Basic));
            prop_assert_eq!(verify(provider, std::slice::from_ref(&secret), &incoming, NOW).is_ok(), shared, "{}", provider.name);
        }
    }

    #[test]
    fn any_request_is_answered(
        headers in headers(),
        body in proptest::collection::vec(any::<u8>(), 0..200),
        url in ".{0,60}",
    ) {
        let incoming = Incoming { method: "POST", url: &url, headers: &headers, body: &body };
        for provider in all() {
            let secrets: Vec<_> = secret(provider).into_iter().collect();
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
