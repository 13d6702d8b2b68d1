//! Keys from the network and published tables of tokens and URL signatures.

use base64::Engine as _;
use serde_json::Value;
use webhook_signatures::{
    Encoding, Headers, Incoming, Provider, Refusal, Secret, Tolerance, Unit, Verified, all, find,
    verify,
};

const NOW: i64 = 1_767_225_600;

fn vector<'v>(vectors: &'v [crate::vectors::Vector], provider: &str) -> &'v crate::vectors::Vector {
    vectors
        .iter()
        .find(|vector| vector.text("provider") == Some(provider) && vector.is_valid())
        .unwrap()
}

/// Asks without any key, gives the one that is asked for, and asks again.
fn fetched(
    provider: &str,
    key: &dyn Fn(&crate::vectors::Vector) -> String,
) -> (String, Result<Verified, Refusal>) {
    let vectors = crate::vectors::all();
    let vector = vector(&vectors, provider);
    let mut provider = vector.provider();
    for (name, value) in [("client_id", "id"), ("api_secret", "very secret")] {
        let _is_plaid = provider.set(name, value);
    }
    let need = verify(&provider, &[], &vector.incoming(), vector.now()).unwrap_err();
    let Refusal::Need(request) = need else { panic!("{need:?}") };
    assert!(!request.is_again());
    assert!(!format!("{request:?}").contains("very secret"), "credentials are not shown");
    let secret = Secret::fetched(&provider, &request, key(vector).as_bytes()).unwrap();
    (request.url().to_owned(), verify(&provider, &[secret], &vector.incoming(), vector.now()))
}

#[test]
fn what_is_needed_is_asked_for() {
    let text = |name: &'static str| {
        move |vector: &crate::vectors::Vector| vector.text(name).unwrap().to_owned()
    };
    let json =
        |name: &'static str| move |vector: &crate::vectors::Vector| vector.field(name).to_string();
    let (url, verdict) = fetched("aws-sns", &text("certificate"));
    assert_eq!(
        url,
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0000000000000000000000.pem"
    );
    assert!(verdict.is_ok(), "{verdict:?}");
    let (url, verdict) = fetched("paypal", &text("certificate"));
    assert!(url.starts_with("https://api.paypal.com/v1/notifications/certs/"));
    assert!(verdict.is_ok(), "{verdict:?}");
    let (url, verdict) = fetched("fal", &json("jwks"));
    assert_eq!(url, "https://rest.alpha.fal.ai/.well-known/jwks.json");
    assert!(verdict.is_ok(), "{verdict:?}");
    let (url, verdict) = fetched("plaid", &|vector| format!("{{\"key\":{}}}", vector.field("jwk")));
    assert_eq!(url, "https://production.plaid.com/webhook_verification_key/get");
    assert!(verdict.is_ok(), "{verdict:?}");
    let kick = |vector: &crate::vectors::Vector| {
        serde_json::json!({ "data": { "public_key": vector.text("public_key") } }).to_string()
    };
    assert!(fetched("kick", &kick).1.is_ok());
}

/// From its first second to its last: the vectors' certificates are good from 2020 to 2040.
#[test]
fn a_certificate_is_believed_between_its_dates_only() {
    let (from, until) = (1_577_836_800, 2_208_988_800);
    let vectors = crate::vectors::all();
    for name in ["aws-sns", "paypal"] {
        let vector = vector(&vectors, name);
        let provider = vector.provider().with_tolerance(Tolerance::OFF);
        let incoming = vector.incoming();
        let Err(Refusal::Need(request)) = verify(&provider, &[], &incoming, NOW) else { panic!() };
        let pem = vector.text("certificate").unwrap();
        let fetched = Secret::fetched(&provider, &request, pem.as_bytes()).unwrap();
        for secret in [fetched, Secret::parse(&provider, pem).unwrap()] {
            let at = |now| verify(&provider, std::slice::from_ref(&secret), &incoming, now);
            assert!(at(from).is_ok() && at(until).is_ok(), "{name}");
            for now in [from - 1, until + 1] {
                let refusal = at(now).unwrap_err();
                assert_eq!(refusal, Refusal::Certificate { from, until }, "{name}");
                assert_eq!(refusal.code(), "certificate");
                assert!(refusal.to_string().contains("from 2020-01-01T00:00:00Z to 2040-01-01"));
            }
            let other = Incoming { body: b"{}", ..incoming };
            let forged = verify(&provider, std::slice::from_ref(&secret), &other, until + 1);
            assert!(!matches!(forged, Err(Refusal::Certificate { .. })), "told of right ones only");
        }
    }
}

#[test]
fn a_key_counts_only_for_the_address_it_came_from() {
    let vectors = crate::vectors::all();
    let (sns, paypal) = (vector(&vectors, "aws-sns"), vector(&vectors, "paypal"));
    let provider = paypal.provider();
    let need = |vector: &crate::vectors::Vector| {
        let Err(Refusal::Need(request)) = verify(&vector.provider(), &[], &vector.incoming(), NOW)
        else {
            panic!()
        };
        request
    };
    // The same certificate, but fetched for another address.
    let other =
        Secret::fetched(&provider, &need(sns), paypal.text("certificate").unwrap().as_bytes())
            .unwrap();
    assert!(matches!(verify(&provider, &[other], &paypal.incoming(), NOW), Err(Refusal::Need(_))));
}

#[test]
fn a_named_key_elsewhere_is_refused() {
    let vectors = crate::vectors::all();
    let sns = vector(&vectors, "aws-sns");
    let body = String::from_utf8(sns.body.clone()).unwrap();
    for host in
        ["sns.us-west-2.amazonaws.com", "sns.us-east-1.amazonaws.com.evil.test", "evil.test"]
    {
        let body = body.replace(
            "https://sns.us-east-1.amazonaws.com/SimpleN",
            &format!("https://{host}/SimpleN"),
        );
        let incoming = Incoming { body: body.as_bytes(), ..sns.incoming() };
        assert!(
            matches!(verify(&sns.provider(), &[], &incoming, NOW), Err(Refusal::KeyAddress(_))),
            "{host}"
        );
    }
    let paypal = vector(&vectors, "paypal");
    let mut headers = paypal.headers.clone();
    for (name, value) in &mut headers {
        if name == "PAYPAL-CERT-URL" {
            *value = value.replace("paypal.com", "paypal.com.evil.test");
        }
    }
    let incoming = Incoming { headers: &headers, ..paypal.incoming() };
    assert!(matches!(verify(&paypal.provider(), &[], &incoming, NOW), Err(Refusal::KeyAddress(_))));
}

/// An unknown key id asks for the set again, and says so.
#[test]
fn a_rotated_key_is_asked_for_again() {
    let vectors = crate::vectors::all();
    let google = vector(&vectors, "google-pubsub");
    let provider = google.provider();
    let Err(Refusal::Need(request)) = verify(&provider, &[], &google.incoming(), NOW) else {
        panic!()
    };
    let n = Encoding::Base64Url.encode(&[0xc3; 256]);
    let set = format!(r#"{{"keys":[{{"kty":"RSA","kid":"another","n":"{n}","e":"AQAB"}}]}}"#);
    let secret = Secret::fetched(&provider, &request, set.as_bytes()).unwrap();
    let Err(Refusal::Need(again)) = verify(&provider, &[secret], &google.incoming(), NOW) else {
        panic!()
    };
    assert!(again.is_again() && again.url() == request.url());
}

fn table(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// 44 requests that MessageBird publishes for its libraries, 20 of them bad.
#[test]
fn messagebirds_own_table() {
    let provider = find("messagebird").unwrap();
    let table = table("messagebird.json");
    assert_eq!(table.len(), 44);
    for case in table {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let secrets: Vec<_> = Secret::parse(provider, text("secret")).into_iter().collect();
        let headers: [(&str, &[u8]); 1] = [("MessageBird-Signature-JWT", text("token").as_bytes())];
        let incoming = Incoming {
            method: text("method"),
            url: text("url"),
            headers: &headers,
            body: text("payload").as_bytes(),
        };
        let now = Unit::Iso8601.parse(text("timestamp").as_bytes()).unwrap() / 1000;
        let verdict = verify(provider, &secrets, &incoming, now);
        assert_eq!(
            verdict.is_ok(),
            case["valid"].as_bool().unwrap(),
            "{}: {verdict:?}",
            text("name")
        );
    }
}

fn token(header: &str, claims: &str, key: Option<&[u8]>) -> String {
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let signed = format!("{}.{}", engine.encode(header), engine.encode(claims));
    let hmac = |key| {
        ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key), signed.as_bytes())
    };
    let signature = key.map(|key| engine.encode(hmac(key))).unwrap_or_default();
    format!("{signed}.{signature}")
}

/// RFC 8725, section 2: `none`, and an HMAC keyed by the public key.
#[test]
fn algorithm_confusion() {
    let claims = r#"{"iss":"netlify","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}"#;
    let check = |provider: &Provider, name: &str, secret: &str, text: String| {
        let headers = [(name.to_owned(), text)];
        let headers: &dyn Headers = &headers;
        let incoming = Incoming { method: "POST", url: "https://a/", headers, body: b"" };
        verify(provider, &[Secret::parse(provider, secret).unwrap()], &incoming, NOW)
    };
    let netlify = find("netlify").unwrap();
    let with = |header: &str, key| {
        check(netlify, "x-webhook-signature", "right key", token(header, claims, key))
    };
    assert!(with(r#"{"alg":"HS256"}"#, Some(b"right key")).is_ok());
    assert!(with(r#"{"alg":"HS256"}"#, Some(b"wrong key")).is_err());
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":""}"#,
        "{}",
        r#"{"alg":"HS512"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":null}"#,
    ] {
        assert!(matches!(with(header, None), Err(Refusal::Algorithm { .. })), "{header}");
        assert!(
            matches!(with(header, Some(b"right key")), Err(Refusal::Algorithm { .. })),
            "{header}"
        );
    }
    assert!(with(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, Some(b"right key")).is_err());
    // The public key as the HMAC's key.
    let vectors = crate::vectors::all();
    let google = vector(&vectors, "google-pubsub");
    let pem = google.text("public_key").unwrap();
    let claims = r#"{"iss":"accounts.google.com","aud":"https://hooks.example.com/in/src_1","email":"push@p.iam.gserviceaccount.com","email_verified":true,"exp":9999999999}"#;
    let forged = format!("Bearer {}", token(r#"{"alg":"HS256"}"#, claims, Some(pem.as_bytes())));
    assert!(matches!(
        check(&google.provider(), "authorization", pem, forged),
        Err(Refusal::Algorithm { .. })
    ));
    let forged = format!("Bearer {}", token(r#"{"alg":"RS256"}"#, claims, Some(pem.as_bytes())));
    assert!(check(&google.provider(), "authorization", pem, forged).is_err());
    assert!(Secret::parse(netlify, pem).is_err(), "a public key is no shared secret");
}

#[test]
fn google_wants_the_right_audience_and_account() {
    let vectors = crate::vectors::all();
    let google = vector(&vectors, "google-pubsub");
    let check = |name: &'static str, value: &'static str, now: i64| {
        let mut provider = google.provider();
        assert!(provider.set(name, value));
        verify(&provider, &google.secrets(&provider), &google.incoming(), now)
    };
    assert!(matches!(check("audience", "https://other/", NOW), Err(Refusal::Claim { .. })));
    assert!(matches!(
        check("email", "evil@p.iam.gserviceaccount.com", NOW),
        Err(Refusal::Claim { .. })
    ));
    assert!(check("email", "push@p.iam.gserviceaccount.com", NOW).is_ok());
    assert!(matches!(
        check("email", "push@p.iam.gserviceaccount.com", NOW + 100_000_000),
        Err(Refusal::Claim { .. })
    ));
    assert!(matches!(
        verify(
            find("google-pubsub").unwrap(),
            &google.secrets(&google.provider()),
            &google.incoming(),
            NOW
        ),
        Err(Refusal::NotSet(_))
    ));
}

/// An unsigned body must not ride on the signed URL of another request.
#[test]
fn twilio_bodies_are_bound_to_their_urls() {
    let twilio = find("twilio").unwrap();
    let secrets = [Secret::parse(twilio, "12345").unwrap()];
    let sign = |message: &str| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, b"12345");
        base64::engine::general_purpose::STANDARD.encode(ring::hmac::sign(&key, message.as_bytes()))
    };
    let check = |url: &str, signature: &str, kind: &str, body: &[u8]| {
        let headers = [("X-Twilio-Signature", signature), ("Content-Type", kind)];
        verify(twilio, &secrets, &Incoming { method: "POST", url, headers: &headers, body }, NOW)
    };
    let body = br#"{"property":"value"}"#;
    let digest = Encoding::Hex.encode(&webhook_signatures::Hash::Sha256.of(body));
    let url = format!("https://mycompany.com/myapp?bodySHA256={digest}");
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    assert!(check(&url, &sign(&url), json, body).is_ok());
    assert_eq!(check(&url, &sign(&url), json, b"{}"), Err(Refusal::BodyHash));
    assert_eq!(check(&url, &sign(&url), form, b""), Err(Refusal::BodyHash));
    let bare = "https://mycompany.com/myapp";
    assert!(check(bare, &sign(bare), form, b"").is_ok());
    assert!(check(bare, &sign(bare), json, body).is_err());
    assert!(check(bare, &sign(bare), form, b"a=1").is_err());
    assert!(check(bare, &sign(&format!("{bare}a1b2")), form, b"b=2&a=1&a=1").is_ok());
    for (own, signed) in [
        ("https://a.b/c", "https://a.b:443/c"),
        ("https://a.b:443/c", "https://a.b/c"),
        ("http://a.b/c", "http://a.b:80/c"),
    ] {
        assert!(check(own, &sign(signed), form, b"").is_ok(), "{own} signed as {signed}");
    }
    assert!(check("https://a.b:8443/c", &sign("https://a.b/c"), form, b"").is_ok());
    assert!(check("https://a.b/c", &sign("https://a.b:8443/c"), form, b"").is_err());
}

/// Rows that could not work for anyone are caught here.
#[test]
fn every_row_is_whole() {
    let mut names = std::collections::HashSet::new();
    for provider in all() {
        let name = &provider.name;
        assert!(names.insert(name.clone()), "{name} stands twice");
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{name}"
        );
        assert!(!provider.title.is_empty() && !provider.schemes.is_empty(), "{name}");
        let generic =
            ["none", "token", "bearer", "query-token", "basic", "hmac"].contains(&name.as_ref());
        assert!(generic || provider.docs.starts_with("https://"), "{name} has no documentation");
        for scheme in &provider.schemes {
            if let Some(signed) = scheme.as_signed() {
                assert!(
                    !signed.message.is_empty() && !signed.signatures.is_empty(),
                    "{name} signs nothing"
                );
            }
            if let webhook_signatures::Scheme::Jwt(jwt) = scheme {
                let asymmetric =
                    jwt.algorithms.iter().filter(|algorithm| algorithm.is_asymmetric()).count();
                assert!(
                    asymmetric == 0 || asymmetric == jwt.algorithms.len(),
                    "{name} mixes kinds of keys"
                );
            }
        }
        assert!(matches!(provider.response.success, 200..=299), "{name}");
    }
    assert!(names.len() >= 110, "{} providers", names.len());
}

/// RFC 9421, B.2.5 and B.2.6; their bodies are not covered, so they are left out.
#[test]
fn rfc_9421_vectors() {
    let headers = |input: &'static str, signature: &'static str| {
        [
            ("Host", "example.com"),
            ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("Content-Type", "application/json"),
            ("Content-Length", "18"),
            ("Signature-Input", input),
            ("Signature", signature),
        ]
    };
    let check =
        |name: &str, key: &str, headers: &[(&'static str, &'static str)], body: &[u8], now| {
            let provider = find(name).unwrap();
            let incoming = Incoming {
                method: "POST",
                url: "https://example.com/foo?param=Value&Pet=dog",
                headers: &headers,
                body,
            };
            verify(provider, &[Secret::parse(provider, key).unwrap()], &incoming, now)
        };
    let ed25519 = headers(
        r#"sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#,
        "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
    );
    let key = "MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";
    let at = 1_618_884_473;
    let verdict = check("http-signature", key, &ed25519, b"", at);
    assert!(verdict.is_ok(), "{verdict:?}");
    assert!(matches!(
        check("http-signature", key, &ed25519, b"", at + 301),
        Err(Refusal::TooOld { .. })
    ));
    assert!(
        matches!(check("http-signature", key, &ed25519, b"{}", at), Err(Refusal::Missing(_))),
        "an uncovered body"
    );
    let hmac = headers(
        r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
        "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
    );
    let shared = base64::engine::general_purpose::STANDARD
        .decode("uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==")
        .unwrap();
    let mut provider = find("http-signature-hmac").unwrap().clone();
    for scheme in &mut provider.schemes {
        if let webhook_signatures::Scheme::HttpSignature(scheme) = scheme {
            scheme.key = webhook_signatures::KeyForm::Base64;
        }
    }
    let incoming =
        Incoming { method: "POST", url: "https://example.com/foo", headers: &hmac, body: b"" };
    let text = base64::engine::general_purpose::STANDARD.encode(shared);
    let verdict = verify(&provider, &[Secret::parse(&provider, &text).unwrap()], &incoming, at);
    assert!(verdict.is_ok(), "{verdict:?}");
}

#[test]
fn who_needs_a_secret() {
    use webhook_signatures::SecretNeed;
    for (name, need) in [
        ("github", SecretNeed::Required),
        ("telnyx", SecretNeed::Required),
        ("basic", SecretNeed::Required),
        ("notion", SecretNeed::HandedOut),
        ("asana", SecretNeed::HandedOut),
        ("aws-sns", SecretNeed::Fetched),
        ("paypal", SecretNeed::Fetched),
        ("google-pubsub", SecretNeed::Fetched),
        ("plaid", SecretNeed::Fetched),
        ("fusionauth", SecretNeed::OrSetting),
        ("http-signature", SecretNeed::OrSetting),
        ("none", SecretNeed::None),
    ] {
        assert_eq!(find(name).unwrap().secret_need(), need, "{name}");
    }
}
