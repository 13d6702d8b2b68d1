//! What a signer adds, what it replaces, and what it leaves as it was.

use crate::properties::{Sent, secrets, set_up};
use std::slice::from_ref;
use webhook_signatures::{
    Algorithm, Encoding, Field, Fields, Hash, Layout, Piece, Place, Provider, Scheme, Secret,
    SignError, Signature, Signed, ToSign, Token, find, sign, sign_all, verify,
};

const NOW: i64 = 1_767_225_600;
const URL: &str = "https://hooks.example.com/in/x";
const JSON: (&str, &[u8]) = ("content-type", b"application/json");
const FORM: (&str, &[u8]) = ("content-type", b"application/x-www-form-urlencoded");

type Given<'a> = &'a [(&'a str, &'a [u8])];

fn row(change: impl FnOnce(&mut Signed)) -> Provider {
    let mut signed = Signed::raw(Algorithm::Hmac(Hash::Sha256), "x-signature", Encoding::Hex);
    change(&mut signed);
    Provider::new("ours", "Ours", Scheme::Signed(Box::new(signed)))
}

fn request<'a>(headers: &'a Given<'a>, body: &'a [u8]) -> ToSign<'a> {
    ToSign { id: "evt_1", now: NOW, url: URL, method: "POST", headers, body }
}

fn secret(provider: &Provider, text: &str) -> Secret {
    Secret::parse(provider, text).unwrap()
}

/// What goes out, once it is found to pass.
fn sent(provider: &Provider, headers: Given<'_>, body: &[u8]) -> (Signature, Sent) {
    let request = request(&headers, body);
    let signed = |secret| Some((sign(provider, &secret, &request).ok()?, secret));
    let (signature, secret) = secrets(provider).into_iter().find_map(signed).unwrap();
    let sent = Sent::new(&signature, &request, headers);
    let verdict = verify(provider, &[secret], &sent.incoming(), NOW);
    assert!(verdict.is_ok(), "{}: {verdict:?} {sent:?}", provider.name);
    (signature, sent)
}

fn value<'s>(signature: &'s Signature, header: &str) -> Option<&'s str> {
    let mut headers = signature.headers.iter();
    headers.find(|(name, _)| name == header).map(|(_, value)| value.as_str())
}

#[test]
fn a_request_to_sign_shows_little_of_itself() {
    let headers: Given<'_> = &[("authorization", b"Bearer secret")];
    assert_eq!(format!("{:?}", request(&headers, b"{}")), "ToSign(evt_1, 2 bytes)");
}

#[test]
fn a_signed_id_is_of_letters_digits_and_two_signs() {
    let provider = find("standard-webhooks").unwrap();
    let secret = Secret::generate_standard([7; 32]);
    let headers: Given<'_> = &[];
    let sign = |id| sign(provider, &secret, &ToSign { id, ..request(&headers, b"{}") });
    for id in ["a", "Z", "0", "-", "_", "msg_2KWP-9z"] {
        assert_eq!(value(&sign(id).unwrap(), "webhook-id"), Some(id));
    }
    for id in ["", ".", "a.b", "a b", "a/b", "é", "a\n"] {
        assert_eq!(sign(id), Err(SignError::Id), "{id:?}");
    }
}

/// The hash is part of what a key is: tried with another's secret, nothing goes out rather than something that nobody takes.
#[test]
fn a_secret_of_another_kind_signs_nothing() {
    let headers: Given<'_> = &[];
    let request = request(&headers, b"{}");
    let (old, new) = (find("github-sha1").unwrap(), find("github").unwrap());
    assert_eq!(sign(new, &secret(old, "a secret"), &request), Err(SignError::Secret));
    assert_eq!(sign_all(new, &[], &request), Err(SignError::Secret));
    let standard = find("standard-webhooks").unwrap();
    let (private, public) = Secret::generate_ed25519([9; 32]).unwrap();
    assert!(sign(standard, &secret(standard, &private), &request).is_ok());
    assert_eq!(sign(standard, &secret(standard, &public), &request), Err(SignError::Secret));
}

/// HubSpot's older signatures: no HMAC, but a digest of a text with the secret in it.
#[test]
fn a_digest_with_the_secret_in_it_is_signed_too() {
    let provider = row(|signed| {
        signed.algorithm = Algorithm::Digest(Hash::Sha256);
        signed.message = vec![Piece::Secret, Piece::Body];
    });
    let headers: Given<'_> = &[];
    let signed = sign(&provider, &secret(&provider, "a secret"), &request(&headers, b"{}"));
    let digest = Encoding::Hex.encode(&Hash::Sha256.of(b"a secret{}"));
    assert_eq!(value(&signed.unwrap(), "x-signature"), Some(digest.as_str()));
    sent(&provider, &[], b"{}");
}

/// Two signatures behind one prefix would be read as one that is wrong.
#[test]
fn only_the_first_secret_signs_where_a_header_has_room_for_one() {
    let listed = |header| Place::fields(header, Fields::listed(" ", ',', "v1"));
    let whole = Place { at: Field::header("x-whole"), layout: Layout::Whole { prefix: "".into() } };
    let provider = row(|signed| signed.signatures = vec![whole, listed("x-listed")]);
    let [one, two] = ["a secret of ours", "another of ours"].map(|text| secret(&provider, text));
    let headers: Given<'_> = &[];
    let request = request(&headers, b"{}");
    let alone = sign(&provider, &one, &request).unwrap();
    assert_eq!(sign_all(&provider, &[one, two], &request), Ok(alone));
    let provider = row(|signed| signed.signatures = vec![listed("x-listed")]);
    let [one, two] = ["a secret of ours", "another of ours"].map(|text| secret(&provider, text));
    let of = |secrets: &[Secret]| {
        let signature = sign_all(&provider, secrets, &request).unwrap();
        value(&signature, "x-listed").unwrap().to_owned()
    };
    let (first, second) = (of(from_ref(&one)), of(from_ref(&two)));
    assert_eq!(of(&[one.clone(), two, one.clone()]), format!("{first} {second}"));
    assert_eq!(of(&[one.clone(), one]), first);
}

/// What stood there before is not signed beside what takes its place, in whatever case its name is; all else is seen.
#[test]
fn what_is_added_takes_the_place_of_what_was_given() {
    let provider = find("http-signature").unwrap();
    let old: &[u8] = b"sha-256=:AAAA:";
    for headers in [
        &[JSON][..],
        &[("x-a", b"1"), JSON],
        &[("Content-Digest", old), JSON],
        &[("x-a", b"1"), JSON, ("Webhook-Id", b"evt_0"), ("CONTENT-DIGEST", old)],
    ] {
        let (signature, _) = sent(provider, headers, b"{}");
        let input = value(&signature, "signature-input").unwrap();
        assert!(input.contains("\"webhook-id\" \"content-type\");"), "{input}");
    }
    let (signature, _) = sent(provider, &[("x-a", b"1")], b"{}");
    assert!(!value(&signature, "signature-input").unwrap().contains("content-type"));
    let twice = row(|signed| {
        signed.id = Some(Field::header("x-id"));
        signed.message = vec![
            Piece::Header("X-ID".into()),
            Piece::Header("x-a".into()),
            Piece::Header("x-b".into()),
        ];
    });
    sent(&twice, &[("x-a", b"1"), ("X-Id", b"old"), ("x-b", b"2")], b"{}");
    let (signature, sent) = sent(&twice, &[("x-a", b"1"), ("x-b", b"2")], b"{}");
    assert_eq!(value(&signature, "x-id"), Some("evt_1"));
    assert_eq!(sent.headers.iter().filter(|(name, _)| name == "x-id").count(), 1);
}

/// A receiver may compare what a field holds with what it was.
#[test]
fn a_field_of_json_stays_a_number_or_a_string() {
    let mailgun = find("mailgun").unwrap();
    let body = |stamp: &str| {
        let json =
            format!(r#"{{"signature":{{"timestamp":{stamp},"token":"t","signature":"s"}}}}"#);
        let signed = sent(mailgun, &[JSON], json.as_bytes()).1.body;
        serde_json::from_slice::<serde_json::Value>(&signed).unwrap()["signature"].clone()
    };
    assert_eq!(body("1")["timestamp"], NOW);
    assert_eq!(body(r#""1""#)["timestamp"], NOW.to_string());
    assert_eq!(body("null")["timestamp"], NOW);
    assert_eq!(body("1")["signature"].as_str().unwrap().len(), 64);
    let number = row(|signed| {
        let at = Field::json("/sig");
        signed.signatures = vec![Place { at, layout: Layout::Whole { prefix: "".into() } }];
        signed.message = vec![Piece::Field(Field::json("/a"))];
    });
    let (_, sent) = sent(&number, &[JSON], br#"{"a":1,"sig":0}"#);
    let read: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
    assert_eq!(read["sig"].as_str().unwrap().len(), 64, "what is no number is none");
}

#[test]
fn a_field_of_a_form_is_replaced_and_the_others_stay() {
    let mailgun = find("mailgun").unwrap();
    let body = b"a=1&signature=old&event=opened&timestamp=1&token=t&b=%26";
    let sent = sent(mailgun, &[FORM], body).1;
    let text = String::from_utf8(sent.body).unwrap();
    for field in ["a=1", "event=opened", "b=%26", &format!("timestamp={NOW}")] {
        assert!(text.split('&').any(|own| own == field), "{field}: {text}");
    }
    for name in ["signature=", "timestamp=", "token="] {
        assert_eq!(text.split('&').filter(|own| own.starts_with(name)).count(), 1, "{text}");
    }
}

/// Twilio's hash of the body is for bodies that are no form, where there is one and its hash is not there yet.
#[test]
fn the_bodys_hash_goes_into_the_query_where_it_is_wanted() {
    let twilio = find("twilio").unwrap();
    let url = |headers, body: &[u8]| sent(twilio, headers, body).0.url;
    let hash = Encoding::Hex.encode(&Hash::Sha256.of(b"{}"));
    assert_eq!(url(&[JSON], b"{}"), Some(format!("{URL}?bodySHA256={hash}")));
    assert_eq!(url(&[FORM], b"a=1"), None);
    assert_eq!(url(&[JSON], b""), None);
    assert_eq!(url(&[], b""), None);
    let own = format!("{URL}?a=b&bodySHA256={hash}");
    let headers: Given<'_> = &[JSON];
    let request = ToSign { url: &own, ..request(&headers, b"{}") };
    assert_eq!(sign(twilio, &secret(twilio, "a secret"), &request).unwrap().url, None);
}

/// Headers that stand there twice cannot be named: their values could not be told apart.
#[test]
fn signed_headers_are_named_where_they_stand_once() {
    let provider = find("coinbase-cdp").unwrap();
    let named = |headers| {
        let (signature, _) = sent(provider, headers, b"{}");
        let value = value(&signature, "x-hook0-signature").unwrap();
        let names = value.split(',').find_map(|part| part.strip_prefix("h=")).unwrap();
        names.to_owned()
    };
    assert_eq!(named(&[("x-a", b"1")]), "");
    assert_eq!(named(&[("X-Event-Id", b"1"), JSON]), "content-type x-event-id");
    assert_eq!(named(&[("x-event-id", b"1"), JSON, ("X-Event-Id", b"2")]), "content-type");
    let (signature, _) = sent(find("hygraph").unwrap(), &[JSON], b"{}");
    assert!(value(&signature, "gcms-signature").unwrap().contains("env=master"), "{signature:?}");
}

#[test]
fn a_payload_is_wrapped_once() {
    let provider = set_up(find("braintree").unwrap());
    let xml = b"<notification><kind>check</kind></notification>";
    let first = sent(&provider, &[], xml).1;
    assert!(first.body.starts_with(b"bt_payload=PG5vdGl"), "{first:?}");
    let again = sent(&provider, &[FORM], &first.body).1;
    assert_eq!(again.body, first.body);
}

/// A token goes where it is looked for first, and nothing else is touched.
#[test]
fn a_token_goes_into_its_place() {
    let with = |token| {
        let provider = Provider::new("ours", "", Scheme::Token(token));
        let headers: Given<'_> = &[JSON];
        let body = br#"{"t":"","all":[{},{"t":1}]}"#;
        let secret = secret(&provider, "a token");
        let signature = sign(&provider, &secret, &request(&headers, body))?;
        Ok((signature, secret.expose().to_owned()))
    };
    let of = |token: Token| with(token).map(|(signature, _): (Signature, String)| signature);
    let header = Token::Header("x-token".into());
    let signature = of(Token::AnyOf(vec![header, Token::Bearer])).unwrap();
    assert_eq!(signature.headers, [("x-token".into(), "a token".to_owned())]);
    assert_eq!(of(Token::AnyOf(vec![])), Err(SignError::Scheme));
    let query = of(Token::Query("t".into())).unwrap();
    assert_eq!(query.url.unwrap(), format!("{URL}?t=a+token"));
    let each = |array: &'static str| of(Token::Each { array: array.into(), pointer: "/t".into() });
    let body = each("/all").unwrap().body.unwrap();
    assert_eq!(body, br#"{"t":"","all":[{"t":"a token"},{"t":"a token"}]}"#);
    assert_eq!(each("/none"), Err(SignError::Body));
}

/// Of a form a thousand fields are looked at: what is signed must be among them, or it would not pass.
#[test]
fn a_form_that_is_full_is_not_signed() {
    let mailgun = find("mailgun").unwrap();
    let own = secret(mailgun, "a signing key");
    let body = |fields: usize| vec!["a=1"; fields].join("&");
    let headers: Given<'_> = &[FORM];
    let full = body(997);
    let signed = sign(mailgun, &own, &request(&headers, full.as_bytes())).unwrap();
    let sent = Sent::new(&signed, &request(&headers, full.as_bytes()), &[FORM]);
    assert!(verify(mailgun, from_ref(&own), &sent.incoming(), NOW).is_ok());
    for more in [998, 1000, 2000] {
        let body = body(more);
        let refused = sign(mailgun, &own, &request(&headers, body.as_bytes()));
        assert_eq!(refused.err(), Some(SignError::Body), "{more}");
    }
}
