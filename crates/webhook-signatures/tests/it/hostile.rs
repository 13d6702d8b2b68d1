//! Tables of what must not pass, from incidents that others had.

use webhook_signatures::{
    Algorithm, Encoding, Generic, Headers, Incoming, KeyForm, Provider, Refusal, Scheme, Secret,
    SecretError, Signed, ToSign, Token, find, generic, sign, sign_all, verify,
};

const NOW: i64 = 1_767_225_600;
const BODY: &[u8] = b"{\"type\":\"a.b\"}\n\xff\x00";

fn secret(provider: &Provider, text: &str) -> Secret {
    Secret::parse(provider, text).unwrap()
}

fn incoming<'a>(headers: &'a dyn Headers, body: &'a [u8]) -> Incoming<'a> {
    Incoming { method: "POST", url: "https://hooks.example.com/in/a?b=c", headers, body }
}

/// The headers that `provider` puts on [`BODY`] at `now`.
fn signed(provider: &Provider, secrets: &[Secret], now: i64) -> Vec<(String, String)> {
    let none: [(&str, &[u8]); 0] = [];
    let request =
        ToSign { id: "msg_1", now, url: "https://x/", method: "POST", headers: &none, body: BODY };
    let signature = sign_all(provider, secrets, &request).unwrap();
    signature.headers.into_iter().map(|(name, value)| (name.into_owned(), value)).collect()
}

fn standard() -> (&'static Provider, Secret) {
    let provider = find("standard-webhooks").unwrap();
    (provider, Secret::generate_standard([7; 32]))
}

#[test]
fn header_forms() {
    let (provider, secret) = standard();
    let headers = signed(provider, std::slice::from_ref(&secret), NOW);
    let good = headers[2].1.clone();
    let text = good.strip_prefix("v1,").unwrap();
    let url_safe = format!("v1,{}", text.replace('+', "-").replace('/', "_").trim_end_matches('='));
    let check = |value: &str| {
        let mut headers = headers.clone();
        headers[2].1 = value.to_owned();
        verify(provider, std::slice::from_ref(&secret), &incoming(&headers, BODY), NOW)
    };
    let fine = [
        good.clone(),
        format!("v1a,AAAA v2,x {good}"),
        format!("v1,AAAA {good} v1,"),
        format!("  {good}  "),
    ];
    for value in fine {
        assert!(check(&value).is_ok(), "{value}");
    }
    let thousand =
        format!("{}{good}", "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= ".repeat(1000));
    let megabyte = "v1,".repeat(350_000);
    let bad = [
        "",
        "v1,",
        "v1",
        ",",
        " ",
        text,
        &format!("v1={text}"),
        &format!("v2,{text}"),
        &format!("v1a,{text}"),
        &format!("V1,{text}"),
        &url_safe,
        &good[..good.len() - 1],
        &good[..20],
        &format!("{good}A"),
        &thousand,
        &megabyte,
        &format!("v1,{}", Encoding::Hex.encode(text.as_bytes())),
    ];
    for value in bad {
        assert!(check(value).is_err(), "{value:.60}");
    }
}

#[test]
fn doubled_headers() {
    let (provider, secret) = standard();
    let headers = signed(provider, std::slice::from_ref(&secret), NOW);
    let check = |extra: (&str, &str)| {
        let mut headers = headers.clone();
        headers.insert(0, (extra.0.to_owned(), extra.1.to_owned()));
        verify(provider, std::slice::from_ref(&secret), &incoming(&headers, BODY), NOW)
    };
    assert!(
        check(("Webhook-Signature", "v1,AAAA")).is_ok(),
        "a second signature header is a second signature"
    );
    assert!(matches!(check(("webhook-id", "msg_1")), Err(Refusal::Repeated(_))));
    assert!(matches!(check(("WEBHOOK-TIMESTAMP", "1")), Err(Refusal::Repeated(_))));
}

#[test]
fn timestamps() {
    let (provider, secret) = standard();
    let verdict = |at: &str| {
        let mut headers = signed(provider, std::slice::from_ref(&secret), NOW);
        at.clone_into(
            &mut headers.iter_mut().find(|(name, _)| name == "webhook-timestamp").unwrap().1,
        );
        // Signed anew by hand, so that only the timestamp can be what is wrong.
        let by_hand = generic(Generic {
            header: "x".into(),
            encoding: Encoding::Base64,
            message: webhook_signatures::template(&format!("msg_1.{at}.{{body}}")).unwrap(),
            key: KeyForm::Standard,
            ..Generic::default()
        });
        let none: [(&str, &[u8]); 0] = [];
        let request =
            ToSign { id: "msg_1", now: NOW, url: "", method: "", headers: &none, body: BODY };
        let text =
            sign(&by_hand, &self::secret(&by_hand, secret.expose()), &request).unwrap().headers[0]
                .1
                .clone();
        headers.iter_mut().find(|(name, _)| name == "webhook-signature").unwrap().1 =
            format!("v1,{text}");
        verify(provider, std::slice::from_ref(&secret), &incoming(&headers, BODY), NOW)
    };
    let at = |offset: i64| verdict(&(NOW + offset).to_string());
    assert!(at(0).is_ok() && at(-300).is_ok() && at(300).is_ok());
    assert_eq!(at(-301), Err(Refusal::TooOld { age_s: 301, limit_s: 300 }));
    assert_eq!(at(301), Err(Refusal::InFuture { ahead_s: 301, limit_s: 300 }));
    for bad in [
        "",
        "+1767225600",
        " 1767225600",
        "1767225600.0",
        "1.7e9",
        "0x69",
        "-1",
        "9223372036854775807",
        "99999999999999999999",
    ] {
        assert!(
            matches!(verdict(bad), Err(Refusal::Time { .. } | Refusal::InFuture { .. })),
            "{bad}: {:?}",
            verdict(bad)
        );
    }
}

#[test]
fn stripe_takes_the_future_and_not_the_past() {
    let stripe = find("stripe").unwrap();
    let secret = secret(stripe, "whsec_test");
    let at = |offset| {
        let headers = signed(stripe, std::slice::from_ref(&secret), NOW + offset);
        verify(stripe, std::slice::from_ref(&secret), &incoming(&headers, BODY), NOW)
    };
    assert!(at(-300).is_ok() && at(3000).is_ok());
    assert_eq!(at(-301), Err(Refusal::TooOld { age_s: 301, limit_s: 300 }));
}

#[test]
fn blank_secrets_are_none() {
    for name in ["github", "stripe", "standard-webhooks", "token", "bearer", "basic", "none"] {
        let provider = find(name).unwrap();
        for text in ["", " ", "\t\n", "whsec_", " whsec_ ", "whpk_", "whsk_"] {
            assert_eq!(
                Secret::parse(provider, text).err(),
                Some(SecretError::Empty),
                "{name} {text:?}"
            );
        }
    }
    let standard = find("standard-webhooks").unwrap();
    assert!(Secret::parse(standard, "whsec_====").is_err());
    assert!(Secret::parse(standard, "whsec_not base64!").is_err());
    assert!(Secret::parse(standard, "whpk_AAAA").is_err());
    assert!(Secret::parse(find("basic").unwrap(), "nocolon").is_err());
    assert!(Secret::parse(find("token").unwrap(), "two\nlines").is_err());
}

#[test]
fn what_is_wrong_with_a_secret_is_said() {
    let wrong = |name: &str, text: &str| Secret::parse(find(name).unwrap(), text).err();
    let shared = generic(Generic { key: KeyForm::Standard, ..Generic::default() });
    for text in ["whsk_AAAA", "whpk_AAAA"] {
        let broken = SecretError::Form("a key of Standard Webhooks (whpk_… or whsk_…)");
        assert_eq!(wrong("svix", text), Some(broken), "{text}");
        let symmetric = SecretError::Form("a symmetric one (whsec_…)");
        assert_eq!(Secret::parse(&shared, text).err(), Some(symmetric), "{text}");
    }
    let public = "a public key: PEM, base64, hex, a JWK or a JWK set";
    assert_eq!(wrong("discord", "whpk_AAAA"), Some(SecretError::Form(public)));
    let mut signed = Signed::raw(Algorithm::Ed25519, "x-signature", Encoding::Base64);
    signed.key = KeyForm::StandardEd25519;
    let ours = Provider::new("ours", "Ours", Scheme::Signed(Box::new(signed)));
    let standard = SecretError::Form("a key of Standard Webhooks (whpk_… or whsk_…)");
    assert_eq!(Secret::parse(&ours, "AAAA").err(), Some(standard));
    assert_eq!(wrong("github", &"a".repeat(65_536)), None);
    assert_eq!(wrong("github", &"a".repeat(65_537)), Some(SecretError::TooLong));
}

#[test]
fn weak_secrets_are_taken_and_told() {
    let weakness = |name: &str, text: &str| secret(find(name).unwrap(), text).weakness();
    for (name, text, why) in [
        ("token", "short", "shorter"),
        ("github", "ééééééé", "shorter"),
        ("github", "long enough\n", "white space"),
        ("hmac", "Change-Me!", "everybody"),
        ("github", "It's a Secret to Everybody", "everybody"),
        ("standard-webhooks", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "everybody"),
        ("basic", "user:password", "everybody"),
        ("token", "--------", "everybody"),
        ("adyen", &"11".repeat(16), "everybody"),
        ("standard-webhooks", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7o=", "less than 24 bytes"),
    ] {
        let told = weakness(name, text);
        assert!(told.is_some_and(|told| told.contains(why)), "{text:?}: {told:?}");
    }
    let key = include_str!("../data/ed25519.pem");
    for (name, text) in [
        ("token", "long enough"),
        ("token", "--------x"),
        ("standard-webhooks", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
        ("discord", &format!("{key}\n")),
        ("token", "password of ours"),
    ] {
        assert_eq!(weakness(name, text), None, "{text:?}");
    }
}

#[test]
fn secrets_show_nothing() {
    let (provider, secret) = standard();
    let shown = format!("{secret:?} {:?}", [&secret]);
    assert!(!shown.contains("BwcH") && shown.contains("***"));
    let headers = signed(provider, std::slice::from_ref(&secret), NOW);
    let refusal =
        verify(provider, std::slice::from_ref(&secret), &incoming(&headers, b"other"), NOW)
            .unwrap_err();
    let told = format!("{refusal} {refusal:?}");
    assert!(!told.contains("BwcH") && !told.contains(&headers[2].1[3..20]));
}

/// The key decides between HMAC and Ed25519; a message cannot.
#[test]
fn algorithm_is_the_keys() {
    let (provider, symmetric) = standard();
    let (private, public) = Secret::generate_ed25519([9; 32]).unwrap();
    let (private, public) = (secret(provider, &private), secret(provider, &public));
    let by_pair = signed(provider, std::slice::from_ref(&private), NOW);
    let by_hmac = signed(provider, std::slice::from_ref(&symmetric), NOW);
    assert!(by_pair[2].1.starts_with("v1a,"));
    let passes = |headers: &Vec<(String, String)>, key: &Secret| {
        verify(provider, std::slice::from_ref(key), &incoming(headers, BODY), NOW).is_ok()
    };
    assert!(
        passes(&by_pair, &public) && passes(&by_pair, &private) && passes(&by_hmac, &symmetric)
    );
    assert!(!passes(&by_pair, &symmetric) && !passes(&by_hmac, &public));
    // An HMAC keyed by the public key's bytes, which everyone knows, is nothing.
    let forged = secret(provider, &public.expose().replace("whpk_", "whsec_"));
    let forged = signed(provider, std::slice::from_ref(&forged), NOW);
    assert!(!passes(&forged, &public));
    let mut retagged = forged;
    retagged[2].1 = retagged[2].1.replace("v1,", "v1a,");
    assert!(!passes(&retagged, &public));
    // sha1 does not pass where sha256 is the scheme.
    let (old, new) = (find("github-sha1").unwrap(), find("github").unwrap());
    let mut headers = signed(old, &[secret(old, "a secret")], NOW);
    assert!(verify(new, &[secret(new, "a secret")], &incoming(&headers, BODY), NOW).is_err());
    headers.push(("X-Hub-Signature-256".into(), headers[0].1.clone()));
    assert!(verify(new, &[secret(new, "a secret")], &incoming(&headers, BODY), NOW).is_err());
}

#[test]
fn rotation_in_either_order() {
    for name in ["standard-webhooks", "stripe"] {
        let provider = find(name).unwrap();
        let make = |byte: u8| secret(provider, Secret::generate_standard([byte; 32]).expose());
        let (old, new) = (make(1), make(2));
        for both in [[old.clone(), new.clone()], [new.clone(), old.clone()]] {
            let headers = signed(provider, &both, NOW);
            for one in &both {
                assert!(
                    verify(provider, std::slice::from_ref(one), &incoming(&headers, BODY), NOW)
                        .is_ok(),
                    "{name}"
                );
            }
            let headers = signed(provider, std::slice::from_ref(&new), NOW);
            let verified = verify(provider, &both, &incoming(&headers, BODY), NOW).unwrap();
            assert_eq!(both[verified.secret().unwrap()].expose(), new.expose());
        }
    }
}

#[test]
fn shared_secrets() {
    let check = |name: &str, headers: &[(&str, &[u8])], url: &str| {
        let provider = find(name).unwrap();
        let incoming = Incoming { method: "POST", url, headers: &headers, body: b"" };
        verify(provider, &[secret(provider, "us:er pass")], &incoming, NOW)
    };
    let auth = |value: &'static [u8]| [("AUTHORIZATION", value)];
    assert!(check("bearer", &auth(b"Bearer us:er pass"), "").is_ok());
    assert!(check("bearer", &auth(b"bearer us:er pass"), "").is_ok());
    assert!(check("basic", &auth(b"Basic dXM6ZXIgcGFzcw=="), "").is_ok());
    assert!(check("query-token", &[], "https://a/?x=1&token=us%3Aer+pass").is_ok());
    for value in [
        &b""[..],
        b"Bearer",
        b"Bearer ",
        b"Bearer us:er pas",
        b"Bearer us:er passx",
        b"us:er pass",
        b"Basic x",
    ] {
        assert!(check("bearer", &[("authorization", value)], "").is_err());
        assert!(check("basic", &[("authorization", value)], "").is_err());
    }
    assert!(matches!(check("token", &[], ""), Err(Refusal::Missing(_))));
    assert!(matches!(check("query-token", &[], "https://a/?token="), Err(Refusal::WrongToken)));
    let each = Provider::new(
        "graph",
        "",
        Scheme::Token(Token::Each { array: "/value".into(), pointer: "/clientState".into() }),
    );
    let passes = |body: &[u8]| {
        let none: [(&str, &[u8]); 0] = [];
        verify(&each, &[secret(&each, "state")], &incoming(&none, body), NOW).is_ok()
    };
    assert!(passes(br#"{"value":[{"clientState":"state"},{"clientState":"state"}]}"#));
    assert!(!passes(br#"{"value":[{"clientState":"state"},{}]}"#));
    assert!(!passes(br#"{"value":[{"clientState":"state"},{"clientState":"other"}]}"#));
    assert!(!passes(br#"{"value":[]}"#));
}

/// Only `none` lets everything pass.
#[test]
fn nothing_is_open_but_none() {
    let none: [(&str, &[u8]); 0] = [];
    for provider in webhook_signatures::all() {
        assert_eq!(provider.is_open(), provider.name == "none", "{}", provider.name);
        let verdict = verify(provider, &[], &incoming(&none, b""), NOW);
        assert_eq!(verdict.is_ok(), provider.name == "none", "{}", provider.name);
    }
}

/// Only some fields of an SNS message are signed: a second one beside a signed one must not pass.
#[test]
fn a_doubled_key_in_a_partly_signed_body_does_not_pass() {
    let mut seen = 0;
    for vector in crate::vectors::all().iter().filter(|vector| vector.is_valid()) {
        let extras = match vector.text("provider").unwrap() {
            "aws-sns" => {
                ["\"Message\":\"evil\"", "\"message\":\"evil\"", "\"Token\":\"1\",\"token\":\"2\""]
            }
            "adyen" => {
                ["\"notificationItems\":[]", "\"NotificationItems\":[]", "\"a\":{\"b\":1,\"b\":2}"]
            }
            _ => continue,
        };
        seen += 1;
        let provider = vector.provider();
        let secrets = vector.secrets(&provider);
        let text = String::from_utf8(vector.body.clone()).unwrap();
        for extra in extras {
            let doubled = text.replacen('{', &format!("{{{extra},"), 1);
            let incoming = Incoming { body: doubled.as_bytes(), ..vector.incoming() };
            let verdict = verify(&provider, &secrets, &incoming, vector.now());
            assert!(
                matches!(verdict, Err(Refusal::Malformed { .. })),
                "{}: {extra} {verdict:?}",
                vector.title()
            );
        }
    }
    assert_eq!(seen, 7);
}

/// What the proof says of itself: which scheme, which secret, and when it was signed.
#[test]
fn the_proof_names_scheme_secret_and_time() {
    let (provider, hmac) = standard();
    let (private, public) = Secret::generate_ed25519([9; 32]).unwrap();
    let ed25519 = secret(provider, &private);
    for (signer, scheme) in [(&hmac, 0), (&ed25519, 1)] {
        let headers = signed(provider, std::slice::from_ref(signer), NOW);
        let secrets = [secret(provider, &public), hmac.clone()];
        let proof = verify(provider, &secrets, &incoming(&headers, BODY), NOW + 7).unwrap();
        let told = (proof.scheme(), proof.secret(), proof.timestamp_ms());
        assert_eq!(told, (scheme, Some(1 - scheme), Some(NOW * 1000)));
    }
    let github = find("github").unwrap();
    let key = secret(github, "a secret of ours");
    let headers = signed(github, std::slice::from_ref(&key), NOW);
    let proof = verify(github, &[key], &incoming(&headers, BODY), NOW).unwrap();
    assert_eq!((proof.scheme(), proof.timestamp_ms()), (0, None), "nothing says when");
}

/// A list in which each element carries the token is looked at whole or not at all.
#[test]
fn no_element_of_a_list_is_overlooked() {
    let graph = find("microsoft-graph").unwrap();
    let key = [secret(graph, "a client state")];
    let right = r#"{"clientState":"a client state"}"#;
    let verdict = |elements: &[&str]| {
        let body = format!(r#"{{"value":[{}]}}"#, elements.join(","));
        let none: [(&str, &str); 0] = [];
        verify(graph, &key, &incoming(&none, body.as_bytes()), NOW).is_ok()
    };
    assert!(verdict(&[right]) && verdict(&[right; 1000]));
    let wrong = [&[right; 999][..], &[r#"{"clientState":"another"}"#]].concat();
    assert!(!verdict(&wrong), "the last of as many as are taken is wrong");
    for beyond in [r#"{"clientState":"another"}"#, right] {
        assert!(!verdict(&[&[right; 1000][..], &[beyond]].concat()), "one more than is taken");
    }
    assert!(!verdict(&[]) && !verdict(&["{}"]));
}
