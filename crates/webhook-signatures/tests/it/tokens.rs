//! JSON Web Tokens and detached JWS: each rule, and what lies just past it.

use webhook_signatures::{
    Algorithm, Claims, Encoding, Field, Hash, Incoming, Jwt, KeyForm, KeySource, Piece, Provider,
    Refusal, Scheme, Secret, Setting, Stamp, ToSign, Tolerance, Unit, Verified, describe, find,
    sign, verify, verify_and_describe,
};

const NOW: i64 = 1_767_225_600;
const KEY: &str = "a secret of ours";
const URL: &str = "https://hooks.example.com/in/x?a=b";
const HEADER: &str = r#"{"alg":"HS256"}"#;

fn row(change: impl FnOnce(&mut Jwt)) -> Provider {
    let mut jwt = Jwt {
        at: Field::header("x-token"),
        algorithms: vec![Algorithm::Hmac(Hash::Sha256)],
        key: KeyForm::Utf8,
        source: KeySource::Given,
        detached: None,
        stamp: None,
        claims: Claims::default(),
    };
    change(&mut jwt);
    Provider::new("ours", "Ours", Scheme::Jwt(Box::new(jwt)))
}

fn secret(provider: &Provider) -> Secret {
    Secret::parse(provider, KEY).unwrap()
}

fn claiming(change: impl FnOnce(&mut Claims)) -> Provider {
    row(|jwt| change(&mut jwt.claims))
}

fn part(text: impl AsRef<[u8]>) -> String {
    Encoding::Base64Url.encode(text.as_ref())
}

fn signature(algorithm: ring::hmac::Algorithm, signed: &str) -> String {
    let key = ring::hmac::Key::new(algorithm, KEY.as_bytes());
    part(ring::hmac::sign(&key, signed.as_bytes()))
}

fn token(header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", part(header), part(claims));
    format!("{signed}.{}", signature(ring::hmac::HMAC_SHA256, &signed))
}

fn with_token(provider: &Provider, token: &str, body: &[u8]) -> Result<Verified, Refusal> {
    let headers = [("x-token", token)];
    let incoming = Incoming { method: "POST", url: URL, headers: &headers, body };
    verify(provider, &[secret(provider)], &incoming, NOW)
}

/// What becomes of a request with a token of these claims; of a proof the time.
fn verdict(provider: &Provider, claims: &str, body: &[u8]) -> Result<Option<i64>, Refusal> {
    with_token(provider, &token(HEADER, claims), body).map(|proof| proof.timestamp_ms())
}

fn claim<T>(name: &'static str, why: &'static str) -> Result<T, Refusal> {
    Err(Refusal::Claim { claim: name.into(), why })
}

#[test]
fn a_token_has_three_parts() {
    let provider = row(|_| {});
    let right = token(HEADER, "{}");
    assert!(with_token(&provider, &right, b"").is_ok());
    assert!(with_token(&provider, &format!("bearer {right}"), b"").is_ok());
    let (header, rest) = right.split_once('.').unwrap();
    for wrong in [
        header.to_owned(),
        format!("{header}.{}", part("{}")),
        format!("{right}."),
        format!("{right}.{header}"),
        format!("{header}={rest}"),
        format!("*{right}"),
        format!("{right}A"),
        right[..right.len() - 4].to_owned(),
    ] {
        let verdict = with_token(&provider, &wrong, b"");
        assert!(matches!(verdict, Err(Refusal::Malformed { .. })), "{wrong}: {verdict:?}");
    }
    let four = with_token(&provider, &format!("{right}.{header}"), b"");
    let why = "it has not three parts";
    assert_eq!(four, Err(Refusal::Malformed { what: "the token".into(), why }));
    let other = format!("{header}.{}.{}", part(r#"{"a":1}"#), right.rsplit('.').next().unwrap());
    let verdict = with_token(&provider, &other, b"");
    assert_eq!(verdict, Err(Refusal::NoMatch { signatures: 1, secrets: 1 }));
    let critical = token(r#"{"alg":"HS256","crit":["b64"]}"#, "{}");
    assert!(matches!(with_token(&provider, &critical, b""), Err(Refusal::Malformed { .. })));
}

#[test]
fn a_token_is_read_up_to_its_longest() {
    let provider = row(|_| {});
    let padded = |header: usize, claims: usize| {
        let header = format!(r#"{{"alg":"HS256"{}}}"#, " ".repeat(header));
        token(&header, &format!("{{{}}}", " ".repeat(claims)))
    };
    let of_length = |length: usize| {
        let fillings = (0..3).flat_map(|header| (12_230..12_250).map(move |body| (header, body)));
        fillings
            .map(|(header, body)| padded(header, body))
            .find(|text| text.len() == length)
            .unwrap()
    };
    assert!(with_token(&provider, &of_length(16_384), b"").is_ok());
    let long = with_token(&provider, &of_length(16_385), b"");
    assert!(matches!(long, Err(Refusal::Malformed { .. })), "{long:?}");
}

/// The two headers that are known as they stand there count for what they say, like any other spelling of it.
#[test]
fn a_usual_header_is_a_header() {
    let usual = [r#"{"alg":"HS256","typ":"JWT"}"#, r#"{"typ":"JWT","alg":"HS256"}"#];
    let others = [r#"{"alg": "HS256", "typ": "JWT"}"#, r#"{"typ":"JWT","alg":"HS256","kid":"1"}"#];
    let other_algorithm = row(|jwt| jwt.algorithms = vec![Algorithm::Hmac(Hash::Sha512)]);
    for header in usual.into_iter().chain(others) {
        assert!(with_token(&row(|_| {}), &token(header, "{}"), b"").is_ok(), "{header}");
        let refused = with_token(&other_algorithm, &token(header, "{}"), b"");
        assert_eq!(refused, Err(Refusal::Algorithm { found: "HS256".into() }), "{header}");
        let altered = token(header, "{}").replacen(&part("{}"), &part("[]"), 1);
        let refused = with_token(&row(|_| {}), &altered, b"");
        assert_eq!(refused, Err(Refusal::NoMatch { signatures: 1, secrets: 1 }), "{header}");
    }
    for header in [r#"{"alg":"none","typ":"JWT"}"#, r#"{"typ":"JWT","alg":"HS384"}"#] {
        let refused = with_token(&row(|_| {}), &token(header, "{}"), b"");
        assert!(matches!(refused, Err(Refusal::Algorithm { .. })), "{header}: {refused:?}");
    }
}

/// Each HMAC under its own name, and only where the row allows it.
#[test]
fn a_token_names_an_allowed_algorithm() {
    let hashes = [
        ("HS256", Hash::Sha256, ring::hmac::HMAC_SHA256),
        ("HS384", Hash::Sha384, ring::hmac::HMAC_SHA384),
        ("HS512", Hash::Sha512, ring::hmac::HMAC_SHA512),
    ];
    for (name, _, algorithm) in hashes {
        let signed = format!("{}.{}", part(format!(r#"{{"alg":"{name}"}}"#)), part("{}"));
        let token = format!("{signed}.{}", signature(algorithm, &signed));
        for (own, hash, _) in hashes {
            let provider = row(|jwt| jwt.algorithms = vec![Algorithm::Hmac(hash)]);
            let verdict = with_token(&provider, &token, b"");
            match own == name {
                true => assert!(verdict.is_ok(), "{name}: {verdict:?}"),
                false => assert_eq!(verdict, Err(Refusal::Algorithm { found: name.into() })),
            }
        }
    }
    let long = token(r#"{"alg":"a name of many letters"}"#, "{}");
    let found = "a name of many l".into();
    assert_eq!(with_token(&row(|_| {}), &long, b""), Err(Refusal::Algorithm { found }));
}

/// A token by each kind of key says its algorithm's registered name, and passes (RFC 7518, 3.1; RFC 8037).
#[test]
fn public_key_algorithms_have_their_names() {
    let (rsa, p256) = (include_str!("../data/rsa.pem"), include_str!("../data/p256.pem"));
    for (algorithm, name, key) in [
        (Algorithm::RsaSha256, "RS256", rsa),
        (Algorithm::RsaSha512, "RS512", rsa),
        (Algorithm::EcdsaP256Fixed, "ES256", p256),
        (Algorithm::Ed25519, "EdDSA", include_str!("../data/ed25519.pem")),
    ] {
        let provider = row(|jwt| {
            jwt.algorithms = vec![algorithm];
            jwt.key = KeyForm::Public;
        });
        let token = signed(&provider, key, b"").0;
        let header = Encoding::Base64Url.decode(token.split('.').next().unwrap().as_bytes());
        let header: serde_json::Value = serde_json::from_slice(&header.unwrap()).unwrap();
        assert_eq!(header["alg"], name);
        let headers = [("x-token", &token)];
        let incoming = Incoming { method: "POST", url: URL, headers: &headers, body: b"" };
        let secret = Secret::parse(&provider, key).unwrap();
        assert!(verify(&provider, &[secret], &incoming, NOW).is_ok(), "{name}");
    }
}

/// The token that a row's signer makes, with the other headers.
fn signed(provider: &Provider, key: &str, body: &[u8]) -> (String, Vec<(String, String)>) {
    let none: [(&str, &str); 0] = [];
    let request = ToSign { id: "evt_1", now: NOW, url: URL, method: "POST", headers: &none, body };
    let secret = Secret::parse(provider, key).unwrap();
    let headers = sign(provider, &secret, &request).unwrap().headers;
    let mut others: Vec<_> =
        headers.into_iter().map(|(name, value)| (name.into_owned(), value)).collect();
    let at = others.iter().position(|(name, _)| name == "x-token").unwrap();
    (others.remove(at).1, others)
}

#[test]
fn a_detached_payload_is_the_bodys_and_not_the_tokens() {
    let provider = row(|jwt| jwt.detached = Some(vec![Piece::Body]));
    let (token, _) = signed(&provider, KEY, b"{}");
    assert!(with_token(&provider, &token, b"{}").is_ok());
    assert!(matches!(with_token(&provider, &token, b"[]"), Err(Refusal::NoMatch { .. })));
    let attached = token.replace("..", &format!(".{}.", part("{}")));
    let verdict = with_token(&provider, &attached, b"{}");
    assert!(matches!(verdict, Err(Refusal::Malformed { .. })), "{verdict:?}");
    let plain = row(|_| {});
    assert!(with_token(&plain, &attached, b"[]").is_ok(), "the same token where it is its own");
    assert!(matches!(with_token(&plain, &token, b"{}"), Err(Refusal::NoMatch { .. })));
}

#[test]
fn a_time_beside_a_detached_token_is_checked() {
    let provider = row(|jwt| {
        let (at, tolerance) = (Some(Field::header("x-at")), Tolerance::both(300));
        jwt.stamp = Some(Stamp { at, unit: Unit::Millis, tolerance });
        jwt.detached = Some(vec![Piece::Timestamp, Piece::Body]);
    });
    let (token, others) = signed(&provider, KEY, b"{}");
    let secrets = [secret(&provider)];
    let headers = [others, vec![("x-token".to_owned(), token.clone())]].concat();
    let at = |now| {
        let incoming = Incoming { method: "POST", url: URL, headers: &headers, body: b"{}" };
        verify(&provider, &secrets, &incoming, now).map(|proof| proof.timestamp_ms())
    };
    assert_eq!(at(NOW + 300), Ok(Some(NOW * 1000)));
    assert_eq!(at(NOW + 301), Err(Refusal::TooOld { age_s: 301, limit_s: 300 }));
    assert!(matches!(with_token(&provider, &token, b"{}"), Err(Refusal::Missing(_))));
}

#[test]
fn issuers_and_truths() {
    let provider = claiming(|claims| {
        claims.issuers = vec!["one".into(), "two".into()];
        claims.truths = vec!["/verified".into()];
    });
    let check = |text: &str| verdict(&provider, text, b"");
    assert_eq!(check(r#"{"iss":"one","verified":true}"#), Ok(None));
    assert_eq!(check(r#"{"iss":"two","verified":true}"#), Ok(None));
    for claims in [r#"{"iss":"three","verified":true}"#, r#"{"verified":true}"#] {
        assert_eq!(check(claims), claim("iss", "is not the provider's"));
    }
    for value in [
        r#"{"iss":"one"}"#,
        r#"{"iss":"one","verified":"true"}"#,
        r#"{"iss":"one","verified":false}"#,
    ] {
        assert_eq!(check(value), claim("verified", "is not true"), "{value}");
    }
    assert_eq!(verdict(&row(|_| {}), r#"{"iss":"anyone"}"#, b""), Ok(None));
}

/// A claim that is the configured text, or a list with it.
#[test]
fn the_audience_is_ours() {
    let mut provider = claiming(|claims| claims.equal = vec![("/aud".into(), "audience".into())]);
    let unset = verdict(&provider, r#"{"aud":"us"}"#, b"");
    assert_eq!(unset, Err(Refusal::NotSet("audience".into())));
    let value = Some("us".into());
    let name = "audience".into();
    provider.settings = vec![Setting { name, title: "".into(), required: true, value }];
    for aud in [r#""us""#, r#"["us"]"#, r#"["others","us"]"#] {
        assert_eq!(verdict(&provider, &format!(r#"{{"aud":{aud}}}"#), b""), Ok(None), "{aud}");
    }
    let wrong = claim("aud", "is not the configured value");
    for aud in [r#""them""#, r#""us,them""#, "[]", r#"["them"]"#, r#"["them","they"]"#, "null"] {
        assert_eq!(verdict(&provider, &format!(r#"{{"aud":{aud}}}"#), b""), wrong, "{aud}");
    }
    assert_eq!(verdict(&provider, "{}", b""), wrong);
}

#[test]
fn the_bodys_hash_is_claimed() {
    let hash = |body: &[u8]| Encoding::Hex.encode(&Hash::Sha256.of(body));
    let check = |may_be_empty: bool, hashed: Option<&[u8]>, body: &[u8]| {
        let provider = claiming(|claims| {
            claims.body_hash = Some(("/hash".into(), Encoding::Hex));
            claims.body_may_be_empty = may_be_empty;
        });
        let claims =
            hashed.map_or("{}".to_owned(), |body| format!(r#"{{"hash":"{}"}}"#, hash(body)));
        verdict(&provider, &claims, body)
    };
    for may_be_empty in [false, true] {
        assert_eq!(check(may_be_empty, Some(b"{}"), b"{}"), Ok(None));
        assert_eq!(check(may_be_empty, Some(b"[]"), b"{}"), Err(Refusal::BodyHash));
        assert_eq!(check(may_be_empty, None, b"{}"), claim("hash", "is missing"));
    }
    assert_eq!(check(true, None, b""), Ok(None), "left out where the body is empty");
    assert_eq!(check(true, Some(b""), b""), Ok(None), "or there all the same");
    assert_eq!(check(true, Some(b"{}"), b""), Err(Refusal::BodyHash), "it was taken out");
    assert_eq!(check(false, Some(b""), b""), Ok(None));
    assert_eq!(check(false, None, b""), claim("hash", "is missing"));
}

/// A claimed hash is a JSON text, however it is spelt.
#[test]
fn a_claimed_hash_may_be_escaped() {
    let provider = claiming(|claims| {
        claims.body_hash = Some(("/hash".into(), Encoding::Hex));
        claims.url_hash = Some("/url".into());
    });
    let hash = |bytes: &[u8]| Encoding::Hex.encode(&Hash::Sha256.of(bytes));
    let escaped = |text: &str| format!("\\u00{:02x}{}", text.as_bytes()[0], &text[1..]);
    let (body, url) = (hash(b"{}"), hash(URL.as_bytes()));
    let check = |body: &str, url: &str| {
        verdict(&provider, &format!(r#"{{"hash":{body},"url":{url}}}"#), b"{}")
    };
    let quoted = |text: &str| format!("\"{text}\"");
    for body in [body.clone(), body.to_uppercase(), escaped(&body)] {
        for url in [url.clone(), url.to_uppercase(), escaped(&url)] {
            assert_eq!(check(&quoted(&body), &quoted(&url)), Ok(None), "{body} {url}");
        }
        let missing = claim("hash", "is missing");
        assert_eq!(check("null", &quoted(&url)), missing);
        for other in ["1", "{}", "\"", "\"\"", &quoted(&body[1..]), &quoted(&url)] {
            assert_eq!(check(other, &quoted(&url)), Err(Refusal::BodyHash), "{other}");
        }
        let wrong = claim("url_hash", "is not of this public URL");
        assert_eq!(check(&quoted(&body), &quoted(&escaped(&body))), wrong);
    }
}

/// Whatever else a scheme asks for, each claim is held against its own rule.
#[test]
fn each_claim_has_its_own_place() {
    let mut provider = claiming(|claims| {
        claims.issuers = vec!["us".into()];
        claims.equal = vec![("/aud".into(), "a".into()), ("/sub".into(), "b".into())];
        claims.truths = vec!["/one".into(), "/two".into()];
        claims.body_hash = Some(("/hash".into(), Encoding::Hex));
        claims.url_hash = Some("/url".into());
        claims.issued = Some(Tolerance::both(300));
        claims.expires = true;
    });
    let setting = |(name, value): (&'static str, &'static str)| Setting {
        name: name.into(),
        title: "".into(),
        required: true,
        value: Some(value.into()),
    };
    provider.settings = [("a", "A"), ("b", "B")].map(setting).to_vec();
    let hash = |bytes: &[u8]| format!("\"{}\"", Encoding::Hex.encode(&Hash::Sha256.of(bytes)));
    let right = [
        ("url", hash(URL.as_bytes())),
        ("two", "true".into()),
        ("aud", "\"A\"".into()),
        ("iat", NOW.to_string()),
        ("iss", "\"us\"".into()),
        ("hash", hash(b"{}")),
        ("exp", (NOW + 60).to_string()),
        ("sub", "\"B\"".into()),
        ("nbf", NOW.to_string()),
        ("one", "true".into()),
    ];
    let check = |claims: &[(&str, String)]| {
        let claims: Vec<_> = claims.iter().map(|(name, raw)| format!("\"{name}\":{raw}")).collect();
        verdict(&provider, &format!("{{{}}}", claims.join(",")), b"{}")
    };
    assert_eq!(check(&right), Ok(Some(NOW * 1000)));
    for at in 0..right.len() {
        for value in ["\"other\"", "[]"] {
            let mut wrong = right.clone();
            wrong[at].1 = value.into();
            assert!(check(&wrong).is_err(), "{} {value}", right[at].0);
        }
        let mut without = right.to_vec();
        without.remove(at);
        assert_eq!(check(&without).is_ok(), right[at].0 == "nbf", "{}", right[at].0);
    }
}

#[test]
fn the_urls_hash_is_claimed() {
    let provider = claiming(|claims| claims.url_hash = Some("/url".into()));
    let hashed = |url: &str| Encoding::Hex.encode(&Hash::Sha256.of(url.as_bytes()));
    let check = |url: &str| verdict(&provider, &format!(r#"{{"url":"{}"}}"#, hashed(url)), b"");
    assert_eq!(check(URL), Ok(None));
    let wrong = claim("url_hash", "is not of this public URL");
    assert_eq!(check("https://elsewhere.example/"), wrong);
    assert_eq!(verdict(&provider, "{}", b""), wrong);
}

/// Clocks may differ by a second; the rest is as RFC 7519 has it.
#[test]
fn times_of_a_token() {
    let any = row(|_| {});
    let expiring = claiming(|claims| claims.expires = true);
    let issued = claiming(|claims| claims.issued = Some(Tolerance::both(300)));
    let check = |provider: &Provider, name: &str, offset: i64| {
        verdict(provider, &format!(r#"{{"{name}":{}}}"#, NOW + offset), b"")
    };
    for provider in [&any, &expiring] {
        assert_eq!(check(provider, "exp", 0), Ok(None));
        assert_eq!(check(provider, "exp", -1), claim("exp", "is in the past"));
    }
    assert_eq!(verdict(&any, "{}", b""), Ok(None));
    assert_eq!(verdict(&expiring, "{}", b""), claim("exp", "is missing"));
    assert_eq!(check(&any, "nbf", 1), Ok(None));
    assert_eq!(check(&any, "nbf", 2), claim("nbf", "is in the future"));
    assert_eq!(check(&any, "iat", 5000), Ok(Some((NOW + 5000) * 1000)));
    assert_eq!(check(&issued, "iat", -300), Ok(Some((NOW - 300) * 1000)));
    assert_eq!(check(&issued, "iat", -301), Err(Refusal::TooOld { age_s: 301, limit_s: 300 }));
    assert_eq!(check(&issued, "iat", 301), Err(Refusal::InFuture { ahead_s: 301, limit_s: 300 }));
    assert_eq!(verdict(&issued, "{}", b""), claim("iat", "is missing"));
    let fraction = format!(r#"{{"exp":{NOW}.75,"iat":{NOW}.25}}"#);
    assert_eq!(verdict(&expiring, &fraction, b""), Ok(Some(NOW * 1000)));
    for text in [r#""soon""#, "null", "-1", "1e9"] {
        let verdict = verdict(&any, &format!(r#"{{"exp":{text}}}"#), b"");
        assert!(matches!(verdict, Err(Refusal::Malformed { .. })), "{text}: {verdict:?}");
    }
}

/// Plaid's keys come from one address; which of them is asked for stands in the question.
#[test]
fn a_fetched_key_counts_only_for_the_id_it_was_asked_for() {
    let vectors = crate::vectors::all();
    let plaid = vectors
        .iter()
        .find(|vector| vector.text("provider") == Some("plaid") && vector.is_valid())
        .unwrap();
    let mut provider = plaid.provider();
    for (name, value) in [("client_id", "id"), ("api_secret", "very secret")] {
        assert!(provider.set(name, value));
    }
    let need = |headers: &Vec<(String, String)>, secrets: &[Secret]| {
        let incoming = Incoming { headers, ..plaid.incoming() };
        match verify(&provider, secrets, &incoming, plaid.now()) {
            Err(Refusal::Need(request)) => Some(request),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        }
    };
    let renamed = |(name, value): &(String, String)| {
        let (_, rest) = value.split_once('.').unwrap_or_default();
        let header = part(r#"{"alg":"ES256","kid":"another"}"#);
        let is_token = name.eq_ignore_ascii_case("plaid-verification");
        let value = if is_token { format!("{header}.{rest}") } else { value.clone() };
        (name.clone(), value)
    };
    let other: Vec<_> = plaid.headers.iter().map(renamed).collect();
    let key = format!("{{\"key\":{}}}", plaid.field("jwk"));
    let fetched = |headers| {
        let request = need(headers, &[]).unwrap();
        Secret::fetched(&provider, &request, key.as_bytes()).unwrap()
    };
    assert!(need(&plaid.headers, &[fetched(&plaid.headers)]).is_none());
    let again = need(&plaid.headers, &[fetched(&other)]).unwrap();
    assert!(!again.is_again(), "this one was never asked for");
}

/// What a check has read of one token is not taken for another's.
#[test]
fn an_event_may_be_named_by_another_token() {
    let named = |header: &'static str| {
        let pointer = "/jti".into();
        let event_id = Some(Field::Claim { header: header.into(), pointer });
        Provider { event_id, ..row(|_| {}) }
    };
    let [one, other] = ["one", "other"].map(|id| token(HEADER, &format!(r#"{{"jti":"{id}"}}"#)));
    let headers = [("x-token", one.as_str()), ("x-other", other.as_str())];
    let incoming = Incoming { method: "POST", url: URL, headers: &headers, body: b"" };
    for (header, id) in [("x-token", "one"), ("x-other", "other")] {
        let provider = named(header);
        let (_, told) =
            verify_and_describe(&provider, &[secret(&provider)], &incoming, NOW).unwrap();
        assert_eq!(told.event_id.as_deref(), Some(id));
        assert_eq!(told, describe(&provider, &incoming));
    }
}

/// By its id a repetition is known, so it must be the token's own, wherever that stands.
#[test]
fn a_token_says_its_events_id_and_type() {
    let token = token(HEADER, r#"{"jti":"evt_1","events":{"https://a.example/gone":{"x":1}}}"#);
    let told = |name: &str, headers: &[(&str, &str)], body: &str| {
        let body = body.as_bytes();
        let incoming = Incoming { method: "POST", url: URL, headers: &headers, body };
        let described = describe(find(name).unwrap(), &incoming);
        (described.event_id, described.event_type)
    };
    let id = Some("evt_1".to_owned());
    for value in [&token, &format!("Bearer {token}")] {
        assert_eq!(told("vonage", &[("Authorization", value)], "{}").0, id);
    }
    let signed = [("messagebird-signature-jwt", token.as_str())];
    let kind = Some("created".to_owned());
    assert_eq!(told("messagebird", &signed, r#"{"type":"created"}"#), (id.clone(), kind));
    let set = told("security-events", &[], &token);
    assert_eq!(set, (id, Some("https://a.example/gone".to_owned())));
    for broken in ["", ".", "x", "a.!.b", &part("{}")] {
        assert_eq!(told("vonage", &[("authorization", broken)], "{}"), (None, None), "{broken}");
        assert_eq!(told("security-events", &[], broken), (None, None), "{broken}");
    }
}
