//! What is public is never taken for a secret, and a key of one kind never for one of another.

use webhook_signatures::{
    Encoding, Incoming, Provider, Refusal, Secret, SecretError, ToSign, find, sign, verify,
};

const NOW: i64 = 1_767_225_600;
const URL: &str = "https://hooks.example.com/in/x";
const ED25519: &str = include_str!("../data/ed25519.pem");
const P256: &str = include_str!("../data/p256.pem");
const RSA: &str = include_str!("../data/rsa.pem");

fn der(pem: &str) -> Vec<u8> {
    let inside: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    Encoding::Base64.decode(inside.as_bytes()).unwrap()
}

/// A `SubjectPublicKeyInfo` of the 32 bytes.
fn ed25519_spki(public: &[u8]) -> Vec<u8> {
    [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00], public].concat()
}

/// The same for Ed448, 57 bytes long.
fn ed448_spki() -> Vec<u8> {
    let head = [0x30, 0x43, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x71, 0x03, 0x3a, 0x00];
    [&head[..], &[9; 57]].concat()
}

fn openssh(public: &[u8], before: &str, behind: &str) -> String {
    let part = |bytes: &[u8]| [&[0, 0, 0, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    let base64 = Encoding::Base64.encode(&[part(b"ssh-ed25519"), part(public)].concat());
    format!("{before}{base64}{behind}")
}

fn wrapped(text: &str) -> String {
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    lines.join("\n")
}

/// The texts that a public key may be written as, each of which says that it is one.
fn public_texts() -> Vec<String> {
    let (_, whpk) = Secret::generate_ed25519([7; 32]).unwrap();
    let public = Encoding::Base64.decode(whpk.strip_prefix("whpk_").unwrap().as_bytes()).unwrap();
    let der = ed25519_spki(&public);
    let base64 = Encoding::Base64.encode(&der);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
    let x = Encoding::Base64Url.encode(&public);
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#);
    vec![
        whpk,
        base64.trim_end_matches('=').to_owned(),
        wrapped(&base64),
        base64.replace('+', "-").replace('/', "_"),
        Encoding::Hex.encode(&der),
        format!("# our key\n{pem}"),
        pem,
        format!(r#"{{"keys":[{jwk}]}}"#),
        format!("\"{jwk}\""),
        jwk,
        // Keys of kinds that are not checked here are keys all the same.
        r#"{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}"#.to_owned(),
        r#"{"keys":[{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}]}"#.to_owned(),
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}","kid":"oct"}}"#),
        format!(r#"{{"\u006bty":"OKP","crv":"Ed25519","x":"{x}"}}"#),
        format!(
            r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"}},{{"kty":"oct","k":"AAAA"}}]}}"#
        ),
        format!("whsec_{base64}"),
        wrapped(&openssh(&[7; 90], "ssh-ed25519 ", "")),
        Encoding::Base64.encode(&ed448_spki()),
        Encoding::Hex.encode(&ed448_spki()),
        openssh(&public, "ssh-ed25519 ", " us@example.com"),
        openssh(&public, "no-pty ssh-ed25519 ", ""),
        openssh(&public, "", ""),
        format!("---- BEGIN SSH2 PUBLIC KEY ----\n{}\n", openssh(&public, "", "")),
        format!("0x{}", Encoding::Hex.encode(&der)),
        format!("\"{base64}\""),
        Encoding::Base64.encode(format!("-----BEGIN PUBLIC KEY-----\n{base64}\n").as_bytes()),
    ]
}

/// Whether a signature passes that an HMAC makes whose key is this text's bytes, or what it stands for.
fn is_hmac_secret(provider: &Provider, text: &str) -> bool {
    let Ok(own) = Secret::parse(provider, text) else { return false };
    let headers = [("content-type", "application/json")];
    let request =
        ToSign { id: "m", now: NOW, url: URL, method: "POST", headers: &headers, body: b"{}" };
    // Only a shared secret signs: of a public key there is nothing to sign with.
    sign(provider, &own, &request).is_ok()
}

#[test]
fn a_public_key_is_no_secret_where_both_kinds_are_checked() {
    for name in ["openai", "polar", "bigcommerce", "standard-webhooks", "svix", "fusionauth"] {
        let provider = find(name).unwrap();
        for text in public_texts() {
            assert!(!is_hmac_secret(provider, &text), "{name} takes {text:?} as a secret");
        }
        let shared = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        assert!(is_hmac_secret(provider, shared), "{name}");
    }
    // 64 digits are a secret for an HMAC there, and not an Ed25519 key as well.
    let digits = "0123456789abcdef".repeat(4);
    assert!(is_hmac_secret(find("fusionauth").unwrap(), &digits));
    assert!(Secret::parse(find("discord").unwrap(), &digits).is_ok());
    for text in public_texts() {
        let read = Secret::parse(find("messagebird").unwrap(), &text);
        assert!(matches!(read, Err(SecretError::Form(_))), "{text:?}");
    }
}

#[test]
fn a_key_of_another_kind_is_refused_when_it_is_given() {
    for (name, right) in [
        ("discord", ED25519),
        ("sendgrid", P256),
        ("kick", RSA),
        ("fal", ED25519),
        ("fireblocks", RSA),
    ] {
        let provider = find(name).unwrap();
        for pem in [ED25519, P256, RSA] {
            let read = Secret::parse(provider, pem);
            match pem == right {
                true => assert!(read.is_ok(), "{name}"),
                false => assert!(matches!(read, Err(SecretError::Form(_))), "{name}: {read:?}"),
            }
        }
    }
    for (name, other, kind) in
        [("discord", RSA, "Ed25519"), ("sendgrid", RSA, "P-256"), ("aws-sns", P256, "RSA")]
    {
        let told = Secret::parse(find(name).unwrap(), other).unwrap_err().to_string();
        assert!(told.contains(kind), "{name}: {told}");
    }
    // What only begins like one is a secret.
    for text in ["ssh-webhook-secret-1", "ecdsa-sha2-is-not-a-key", r#"{"kty":"oct","k":"AAAA"}"#] {
        assert!(is_hmac_secret(find("polar").unwrap(), text), "{text}");
    }
    // Of a provider that has both kinds it is told about the kind that the text is of.
    let unknown = Encoding::Base64.encode(&ed448_spki());
    let told = Secret::parse(find("fusionauth").unwrap(), &unknown);
    let told = told.unwrap_err().to_string();
    assert!(told.contains("public key"), "{told}");
    // Too short for its algorithm: it would pass nothing.
    let modulus = Encoding::Base64Url.encode(&[0xc3; 128]);
    let short = format!(r#"{{"kty":"RSA","n":"{modulus}","e":"AQAB"}}"#);
    let told = Secret::parse(find("kick").unwrap(), &short).unwrap_err().to_string();
    assert!(told.contains("2048"), "{told}");
}

fn set() -> (Provider, Secret) {
    let mut row = find("security-events").unwrap().clone();
    for (name, value) in [
        ("issuer", "https://issuer.example"),
        ("audience", "us"),
        ("jwks_url", "https://k.example"),
    ] {
        assert!(row.set(name, value));
    }
    let secret = Secret::parse(&row, RSA).unwrap();
    (row, secret)
}

fn token(claims: &str) -> String {
    let key = ring::signature::RsaKeyPair::from_pkcs8(&der(RSA)).unwrap();
    let part = |text: &str| Encoding::Base64Url.encode(text.as_bytes());
    let signed = format!("{}.{}", part(r#"{"alg":"RS256","typ":"secevent+jwt"}"#), part(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    let rng = ring::rand::SystemRandom::new();
    let padding = &ring::signature::RSA_PKCS1_SHA256;
    key.sign(padding, &rng, signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", Encoding::Base64Url.encode(&signature))
}

/// RFC 8417, 2.2: `events` is what makes a token one of these. Without it whoever may sign in could post his own token.
#[test]
fn a_token_to_sign_in_with_is_no_security_event() {
    let (row, secret) = set();
    let check = |claims: &str, wrap: fn(String) -> String| {
        let body = wrap(token(claims));
        let nothing: [(&str, &str); 0] = [];
        let incoming =
            Incoming { method: "POST", url: URL, headers: &nothing, body: body.as_bytes() };
        let verdict = webhook_signatures::verify_and_describe(
            &row,
            std::slice::from_ref(&secret),
            &incoming,
            NOW,
        );
        assert_eq!(
            verdict.is_ok(),
            verify(&row, std::slice::from_ref(&secret), &incoming, NOW).is_ok()
        );
        verdict.map(|(_, said)| said.event_type)
    };
    let bare: fn(String) -> String = |token| token;
    let apples: fn(String) -> String = |token| format!(r#"{{"payload":"{token}"}}"#);
    let of_us = r#""iss":"https://issuer.example","aud":"us""#;
    for wrap in [bare, apples] {
        for events in ["null", "{}", "{ }", "[]", r#"["a"]"#, r#""""#, r#"" ""#, "false", "5"] {
            let refused = check(&format!(r#"{{{of_us},"events":{events}}}"#), wrap);
            assert!(matches!(refused, Err(Refusal::Claim { .. })), "{events}: {refused:?}");
            let refused = check(&format!("{{{of_us}}}"), wrap);
            assert_eq!(refused, Err(Refusal::Claim { claim: "events".into(), why: "is missing" }));
        }
        let gone = format!(r#"{{{of_us},"events":{{"https://a.example/gone":{{}}}}}}"#);
        assert_eq!(check(&gone, wrap), Ok(Some("https://a.example/gone".to_owned())));
        // Apple writes its one event as a string.
        let apple = r#"{\"type\":\"consent-revoked\",\"sub\":\"1\"}"#;
        let revoked = format!(r#"{{{of_us},"events":"{apple}"}}"#);
        assert_eq!(check(&revoked, wrap), Ok(Some("consent-revoked".to_owned())));
        assert!(check(&gone.replace("us\"", "others\""), wrap).is_err());
    }
}

/// What is read of a security event is what was signed, and of the body nothing else.
#[test]
fn a_security_events_id_and_type_are_the_signed_ones() {
    let (row, secret) = set();
    let read = |body: &str| {
        let nothing: [(&str, &str); 0] = [];
        let incoming =
            Incoming { method: "POST", url: URL, headers: &nothing, body: body.as_bytes() };
        let secret = std::slice::from_ref(&secret);
        let said = webhook_signatures::verify_and_describe(&row, secret, &incoming, NOW)
            .map(|(_, said)| said);
        let alone = webhook_signatures::describe(&row, &incoming);
        said.inspect(|said| assert_eq!(*said, alone)).map(|said| (said.event_id, said.event_type))
    };
    let claims =
        r#"{"iss":"https://issuer.example","aud":"us","jti":"real","events":{"revoked":{}}}"#;
    let genuine = token(claims);
    let right = Ok((Some("real".to_owned()), Some("revoked".to_owned())));
    assert_eq!(read(&genuine), right);
    let forged = Encoding::Base64Url.encode(br#"{"jti":"forged","events":{"account-delete":{}}}"#);
    for body in [
        format!(r#"{{"payload":"{genuine}"}}"#),
        format!(r#" {{"v":"1.0","payload":"{genuine}"}}"#),
        format!(r#"{{"x":".{forged}.","payload":"{genuine}"}}"#),
    ] {
        assert_eq!(read(&body), right, "{body}");
    }
    for body in [
        format!(r#"{{"payload":"{genuine}","payload":"a.{forged}.b"}}"#),
        format!(r#"{{"payload":"{genuine}","Payload":"a.{forged}.b"}}"#),
        format!(r#"{{"payload":"a.{forged}.b","payload":"{genuine}"}}"#),
    ] {
        assert!(read(&body).is_err(), "{body}");
    }
}
