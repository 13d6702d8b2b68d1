//! Signatures over pieces of a request: each rule, and what lies just past it.

use webhook_signatures::{
    Algorithm, Encoding, Field, Fields, Hash, Incoming, KeySource, Layout, Piece, Place, Provider,
    Refusal, Repeats, Scheme, Secret, Setting, Signed, Stamp, ToSign, Tolerance, Unit, UrlForms,
    Verified, find, sign, verify, verify_and_describe,
};

const NOW: i64 = 1_767_225_600;
const KEY: &str = "a secret of ours";
const URL: &str = "https://hooks.example.com/in/x?a=b";

type Lines = Vec<(String, Vec<u8>)>;

/// A row of our own: HMAC-SHA256 of the raw body in hex, but for what `change` says.
fn row(change: impl FnOnce(&mut Signed)) -> Provider {
    let mut signed = Signed::raw(Algorithm::Hmac(Hash::Sha256), "x-signature", Encoding::Hex);
    change(&mut signed);
    Provider::new("ours", "Ours", Scheme::Signed(Box::new(signed)))
}

fn secret(provider: &Provider) -> Secret {
    Secret::parse(provider, KEY).unwrap()
}

/// The row that signs this piece and nothing else.
fn signing(piece: Piece) -> Provider {
    row(|signed| signed.message = vec![piece])
}

fn tag(message: impl AsRef<[u8]>) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, KEY.as_bytes());
    Encoding::Hex.encode(ring::hmac::sign(&key, message.as_ref()).as_ref())
}

fn lines(headers: &[(&str, &str)]) -> Lines {
    headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect()
}

/// What becomes of a request with these headers beside the signature of `message`.
fn verdict(
    provider: &Provider,
    headers: &[(&str, &str)],
    body: &[u8],
    message: impl AsRef<[u8]>,
) -> Result<Verified, Refusal> {
    let mut headers = lines(headers);
    headers.push(("X-Signature".into(), tag(message).into_bytes()));
    at(provider, URL, &headers, body)
}

fn at(provider: &Provider, url: &str, headers: &Lines, body: &[u8]) -> Result<Verified, Refusal> {
    let secrets = [secret(provider)];
    verify(provider, &secrets, &Incoming { method: "POST", url, headers, body }, NOW)
}

#[test]
fn each_piece_stands_for_its_text() {
    let owned = [
        (Piece::Text("v0".into()), "v0"),
        (Piece::Body, "it's \"1\"\n"),
        (Piece::Method, "POST"),
        (Piece::Url, URL),
        (Piece::Path, "/in/x?a=b"),
        (Piece::PathEscaped, "/in/x?a%253Db"),
        (Piece::Header("x-a".into()), "1"),
        (Piece::Field(Field::Query("a".into())), "b"),
        (Piece::Field(Field::Query("z".into())), ""),
        (Piece::Secret, KEY),
        (Piece::BodySha256, "fc8ec3ec5a8bc0a16c6ac8ffd2dd32b2a4b5ea32b1e53cbb3e3b2cba2d1ab7fb"),
        (Piece::BodyBase64Url, "aXQncyAiMSIK"),
        (Piece::BodyQuoted, r#""it's \"1\"\n""#),
        (Piece::Names, ""),
    ];
    let body = b"it's \"1\"\n";
    for (piece, text) in owned {
        // The digest is the hash's own affair; here it only has to be the body's.
        let digest = Encoding::Hex.encode(&Hash::Sha256.of(body));
        let text = if piece == Piece::BodySha256 { digest.as_str() } else { text };
        let provider = signing(piece.clone());
        let right = verdict(&provider, &[("X-A", "1")], body, text);
        assert!(right.is_ok(), "{piece:?}: {right:?}");
        let wrong = verdict(&provider, &[("X-A", "1")], body, format!("{text}x"));
        assert_eq!(wrong, Err(Refusal::NoMatch { signatures: 1, secrets: 1 }), "{piece:?}");
    }
    assert!(verdict(&signing(Piece::BodyCrc32), &[], b"123456789", "3421780262").is_ok());
    let quoted = verdict(&signing(Piece::BodyQuoted), &[], b"\xff", "\"\u{fffd}\"");
    assert!(matches!(quoted, Err(Refusal::Malformed { .. })), "no text, so no such string");
}

#[test]
fn what_is_signed_must_be_there() {
    let header = signing(Piece::Header("x-a".into()));
    assert!(matches!(verdict(&header, &[], b"", ""), Err(Refusal::Missing(_))));
    let twice = [("x-a", "1"), ("X-A", "1")];
    assert!(matches!(verdict(&header, &twice, b"", "1"), Err(Refusal::Repeated(_))));
    assert!(matches!(verdict(&signing(Piece::Timestamp), &[], b"", ""), Err(Refusal::Missing(_))));
    for field in [Field::header("x-id"), Field::json("/id")] {
        let provider = row(|signed| {
            signed.id = Some(field);
            signed.message = vec![Piece::Id];
        });
        let verdict = |id: &str, body: &str| {
            verdict(&provider, &[("x-id", id)], body.as_bytes(), "evt_1").map(|_| ())
        };
        assert_eq!(verdict("evt_1", r#"{"id":"evt_1"}"#), Ok(()));
        assert!(matches!(verdict("", r#"{"id":""}"#), Err(Refusal::Missing(_))), "an empty id");
    }
    assert!(matches!(verdict(&signing(Piece::Id), &[], b"", ""), Err(Refusal::Missing(_))));
}

#[test]
fn a_setting_that_is_signed_must_be_set() {
    let mut provider = signing(Piece::Setting("account".into()));
    let unset = verdict(&provider, &[], b"", "");
    assert_eq!(unset, Err(Refusal::NotSet("account".into())));
    provider.settings = vec![setting("account", "acc_1")];
    assert!(verdict(&provider, &[], b"", "acc_1").is_ok());
}

fn setting(name: &'static str, value: &'static str) -> Setting {
    Setting { name: name.into(), title: "".into(), required: true, value: Some(value.into()) }
}

#[test]
fn a_key_of_many_accounts_counts_for_one() {
    let mut provider = row(|signed| {
        signed.only = Some((Field::header("x-account"), "account".into()));
    });
    let check = |provider: &Provider, account: &str| {
        verdict(provider, &[("x-account", account)], b"{}", "{}").map(|_| ())
    };
    assert_eq!(check(&provider, "acc_1"), Err(Refusal::NotSet("account".into())));
    provider.settings = vec![setting("account", "acc_1")];
    assert_eq!(check(&provider, "acc_1"), Ok(()));
    assert!(matches!(check(&provider, "acc_2"), Err(Refusal::NotOurs(_))));
    assert!(matches!(verdict(&provider, &[], b"{}", "{}"), Err(Refusal::NotOurs(_))));
    provider.settings = vec![setting("account", "*")];
    assert_eq!(check(&provider, "acc_2"), Ok(()));
}

#[test]
fn a_scheme_for_other_requests_does_not_apply() {
    let provider = row(|signed| signed.when = Some((Field::header("x-version"), "2".into())));
    assert!(verdict(&provider, &[("x-version", "2")], b"{}", "{}").is_ok());
    for headers in [&[("x-version", "1")][..], &[]] {
        let verdict = verdict(&provider, headers, b"{}", "{}");
        assert!(matches!(verdict, Err(Refusal::DoesNotApply(_))), "{verdict:?}");
    }
}

#[test]
fn without_a_secret_nothing_else_is_told() {
    let none: [(&str, &str); 0] = [];
    let incoming = Incoming { method: "POST", url: URL, headers: &none, body: b"" };
    let ours = row(|_| {});
    assert_eq!(verify(&ours, &[], &incoming, NOW), Err(Refusal::NoSecret));
    let fetched = row(|signed| signed.source = KeySource::Fixed("https://a.example/keys".into()));
    let verdict = verify(&fetched, &[], &incoming, NOW);
    assert!(matches!(verdict, Err(Refusal::Missing(_))), "no key is fetched for no signature");
}

#[test]
fn what_is_no_signature_is_not_compared() {
    let verdict = |text: &str| at(&row(|_| {}), URL, &lines(&[("x-signature", text)]), b"{}");
    assert!(verdict(&tag("{}")).is_ok());
    for text in ["", "zz", &tag("{}")[2..], &format!("{}00", tag("{}"))] {
        assert!(matches!(verdict(text), Err(Refusal::Malformed { .. })), "{text}");
    }
    assert_eq!(verdict(&tag("")), Err(Refusal::NoMatch { signatures: 1, secrets: 1 }));
}

/// Only where a part of a body is signed does it matter whether that part is there once.
#[test]
fn a_wholly_signed_body_may_have_a_key_twice() {
    let body = br#"{"a":1,"a":2}"#;
    assert!(verdict(&row(|_| {}), &[], body, body).is_ok());
    let part = signing(Piece::Field(Field::json("/a")));
    assert!(matches!(verdict(&part, &[], body, "1"), Err(Refusal::Malformed { .. })));
    assert!(verdict(&part, &[], br#"{"a":1}"#, "1").is_ok());
}

fn listed(algorithm: Algorithm, message: Vec<Piece>) -> Provider {
    row(|signed| {
        signed.algorithm = algorithm;
        signed.message = message;
        signed.signatures = vec![Place::fields("x-signature", Fields::listed(" ", ',', "v1"))];
    })
}

#[test]
fn any_of_several_signatures_may_be_the_right_one() {
    let hmac = listed(Algorithm::Hmac(Hash::Sha256), vec![Piece::Body]);
    let digest = listed(Algorithm::Digest(Hash::Sha256), vec![Piece::Secret, Piece::Body]);
    let digested = Encoding::Hex.encode(&Hash::Sha256.of(format!("{KEY}{{}}").as_bytes()));
    for (provider, right) in [(hmac, tag("{}")), (digest, digested)] {
        let wrong = tag("another");
        let passes = |texts: &[&String]| {
            let texts: Vec<_> = texts.iter().map(|text| format!("v1,{text}")).collect();
            at(&provider, URL, &lines(&[("x-signature", &texts.join(" "))]), b"{}").is_ok()
        };
        assert!(passes(&[&right]) && passes(&[&right, &right]));
        assert!(passes(&[&wrong, &right]) && passes(&[&right, &wrong]));
        assert!(!passes(&[&wrong]) && !passes(&[&wrong, &wrong]));
    }
}

/// However they are spread over headers, ten are looked at.
#[test]
fn ten_signatures_are_compared() {
    let provider = listed(Algorithm::Hmac(Hash::Sha256), vec![Piece::Body]);
    let passes = |counts: &[usize]| {
        let wrong = format!("v1,{} ", tag("another"));
        let mut headers: Lines = counts
            .iter()
            .map(|count| ("x-signature".into(), wrong.repeat(*count).into_bytes()))
            .collect();
        headers.last_mut().unwrap().1.extend_from_slice(format!("v1,{}", tag("{}")).as_bytes());
        at(&provider, URL, &headers, b"{}").is_ok()
    };
    assert!(passes(&[9]) && passes(&[5, 4]) && passes(&[1; 9]));
    assert!(!passes(&[10]) && !passes(&[10, 0]) && !passes(&[5, 5, 0]));
    assert!(!passes(&[0; 11]), "no more headers are read either");
}

#[test]
fn a_time_beside_the_signature_must_be_there() {
    let provider = row(|signed| {
        let tolerance = Tolerance::both(300);
        signed.stamp = Some(Stamp { at: None, unit: Unit::Seconds, tolerance });
        signed.message = vec![Piece::Timestamp, Piece::Body];
        signed.signatures = vec![Place::fields("x-signature", Fields::stamped(",", "t", "v1"))];
    });
    let verdict = |text: String| at(&provider, URL, &lines(&[("x-signature", &text)]), b"{}");
    let text = tag(format!("{NOW}{{}}"));
    let proof = verdict(format!("t={NOW},v1={text}")).unwrap();
    assert_eq!(proof.timestamp_ms(), Some(NOW * 1000));
    assert!(matches!(verdict(format!("v1={text}")), Err(Refusal::Missing(_))));
    let old = NOW - 301;
    let replayed = verdict(format!("t={old},v1={}", tag(format!("{old}{{}}"))));
    assert_eq!(replayed, Err(Refusal::TooOld { age_s: 301, limit_s: 300 }));
    let forged = verdict(format!("t={old},v1={text}"));
    assert!(matches!(forged, Err(Refusal::NoMatch { .. })), "its age is no news to a forger");
}

/// A time that may be as old as it likes is still a time, of ten digits in seconds.
#[test]
fn a_time_without_a_limit_is_a_time() {
    let provider = |unit, tolerance| {
        row(|signed| {
            let at = Some(Field::header("x-at"));
            signed.stamp = Some(Stamp { at, unit, tolerance });
            signed.message = vec![Piece::Timestamp, Piece::Body];
        })
    };
    let check = |unit, tolerance, time: &str, body: &str| {
        let signed = format!("{time}{body}");
        let headers = [("x-at", time)];
        verdict(&provider(unit, tolerance), &headers, body.as_bytes(), &signed)
            .map(|proof| proof.timestamp_ms())
    };
    let now = NOW.to_string();
    let late = (NOW + 86_400).to_string();
    let ahead = Tolerance { past: None, future: Some(300) };
    for tolerance in [Tolerance::OFF, Tolerance::past(300), Tolerance::both(300), ahead] {
        let check = |unit, time: &str, body| check(unit, tolerance, time, body);
        assert_eq!(check(Unit::Seconds, &now, "{}"), Ok(Some(NOW * 1000)));
        // What one signed request can be cut into otherwise.
        for (time, body) in [("", "1767225600{}"), ("17672256", "00{}"), ("176722560", "0{}")] {
            assert!(check(Unit::Seconds, time, body).is_err(), "{time:?} {body}");
        }
        for time in
            [&format!("{now}{{"), "soon", "-1", "1767225600 ", "1767225600.5", "99999999999"]
        {
            let refusal = check(Unit::Seconds, time, "}").unwrap_err();
            let is_about_time = matches!(refusal, Refusal::Time { .. } | Refusal::InFuture { .. });
            assert!(is_about_time, "{time}: {refusal:?}");
        }
        let zero = check(Unit::Seconds, "01767225600", "{}");
        assert!(matches!(zero, Err(Refusal::Time { .. })), "{zero:?}");
        let iso = "2026-01-01T00:00:00Z";
        assert_eq!(check(Unit::Iso8601, iso, "{}"), Ok(Some(NOW * 1000)));
        for (time, body) in [("2026-01-01T00:00:00", "Z{}"), ("2026-01-01T00:00:00Z{", "}")] {
            let refusal = check(Unit::Iso8601, time, body);
            assert!(matches!(refusal, Err(Refusal::Time { .. })), "{time}: {refusal:?}");
        }
    }
    assert_eq!(check(Unit::Seconds, Tolerance::OFF, &late, "{}"), Ok(Some((NOW + 86_400) * 1000)));
    let (first, last) = ("1000000000", "9999999999");
    for time in [first, last] {
        assert!(check(Unit::Seconds, Tolerance::OFF, time, "{}").is_ok(), "{time}");
    }
    let millis = check(Unit::Millis, Tolerance::OFF, "9999999999999", "{}");
    assert_eq!(millis, Ok(Some(9_999_999_999_999)));
    for time in ["999999999999", "10000000000000"] {
        assert!(check(Unit::Millis, Tolerance::OFF, time, "{}").is_err(), "{time}");
    }
}

#[test]
fn every_item_must_be_signed_and_a_hundred_are_looked_at() {
    let provider = row(|signed| {
        signed.each = Some("/items".into());
        let at = Field::json("/sig");
        signed.signatures = vec![Place { at, layout: Layout::Whole { prefix: "".into() } }];
        signed.message = vec![Piece::Field(Field::json("/a"))];
    });
    let good = format!(r#"{{"a":"x","sig":"{}"}}"#, tag("x"));
    let bad = format!(r#"{{"a":"y","sig":"{}"}}"#, tag("x"));
    let verdict = |elements: &[&str]| {
        let body = format!(r#"{{"items":[{}]}}"#, elements.join(","));
        at(&provider, URL, &lines(&[]), body.as_bytes())
    };
    let good = good.as_str();
    assert!(verdict(&[good]).is_ok() && verdict(&[good; 100]).is_ok());
    for index in [0, 50, 99] {
        let mut elements = [good; 100];
        elements[index] = &bad;
        assert!(matches!(verdict(&elements), Err(Refusal::NoMatch { .. })), "{index}");
    }
    for last in [good, &bad] {
        let beyond = verdict(&[&[good; 100][..], &[last]].concat());
        assert!(matches!(beyond, Err(Refusal::Malformed { .. })), "{beyond:?}");
    }
    assert!(matches!(verdict(&[]), Err(Refusal::Missing(_))));
    assert!(matches!(at(&provider, URL, &lines(&[]), b"{}"), Err(Refusal::Missing(_))));
}

#[test]
fn a_hundred_items_that_are_signed_whole_are_looked_at() {
    let provider = row(|signed| signed.each = Some("/items".into()));
    let verdict = |items: &[&str]| {
        verdict(&provider, &[], format!(r#"{{"items":[{}]}}"#, items.join(",")).as_bytes(), "1")
    };
    assert!(verdict(&["1"]).is_ok() && verdict(&["1"; 100]).is_ok());
    for last in ["1", "2"] {
        let beyond = verdict(&[&["1"; 100][..], &[last]].concat());
        assert!(matches!(beyond, Err(Refusal::Malformed { .. })), "{beyond:?}");
    }
}

/// A pointer's `/` leads from one object into the next. Read as part of a key, it would let someone keep what was signed
/// under a key of that name, and put something else where the application looks.
#[test]
fn a_key_that_reads_like_a_path_is_none() {
    let provider = row(|signed| {
        let field = |pointer| Piece::Field(Field::json(pointer));
        signed.message = vec![field("/amount/value"), Piece::Text(":".into()), field("/success")];
    });
    let check = |body: &str| verdict(&provider, &[], body.as_bytes(), "10:true");
    assert!(check(r#"{"amount":{"value":10},"success":true}"#).is_ok());
    for forged in [
        r#"{"amount/value":10,"amount":{"value":99999},"success":true}"#,
        r#"{"amount\/value":10,"amount":{"value":99999},"success":true}"#,
        r#"{"amount/value":10,"success":true}"#,
        r#"{"amount":{"value":99999},"amount/value":10,"success":true}"#,
        r#"{"":{"amount":{"value":10}},"amount":{"value":99999},"success":true}"#,
    ] {
        assert!(matches!(check(forged), Err(Refusal::NoMatch { .. })), "{forged}");
    }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");

/// Of two fields of one name one application reads the first, another the last, and PHP makes one name of several.
#[test]
fn a_signed_field_of_a_form_or_query_stands_once() {
    let signed = signing(Piece::Field(Field::Form("bt_payload".into())));
    let check = |body: &str| verdict(&signed, &[FORM], body.as_bytes(), "good").map(|_| ());
    for fine in ["bt_payload=good", "a=1&bt%5fpayload=%67ood&bt_payloads=2&payload=3&bt_=4&=5"] {
        assert_eq!(check(fine), Ok(()), "{fine}");
    }
    let second = [
        "bt_payload",
        "BT_Payload",
        "bt%5Fpayload",
        "bt.payload",
        "+bt+payload",
        "bt[payload",
        "bt_payload[]",
        "bt_payload%00x",
        "a=1;bt_payload",
    ];
    for name in second {
        for forged in
            [format!("bt_payload=good&{name}=evil"), format!("{name}=good&bt_payload=good")]
        {
            assert!(matches!(check(&forged), Err(Refusal::Repeated(_))), "{forged}");
        }
    }
    assert_eq!(check("BT_PAYLOAD=good"), Err(Refusal::NoMatch { signatures: 1, secrets: 1 }));
    let beside = |others| format!("bt_payload=good{}", "&a=1".repeat(others));
    assert_eq!(check(&beside(999)), Ok(()));
    for unseen in [beside(1000), format!("{}&bt_payload=evil", beside(5000)), "&".repeat(1000)] {
        assert!(matches!(check(&unseen), Err(Refusal::Repeated(_))), "{unseen:.40}");
    }
    let signed = signing(Piece::Field(Field::Query("a".into())));
    let check =
        |url: &str| at(&signed, url, &lines(&[("x-signature", &tag("b"))]), b"").map(|_| ());
    assert_eq!(check("https://a.example/?a=b&b=a"), Ok(()));
    assert!(matches!(check("https://a.example/?a=b&a=c"), Err(Refusal::Repeated(_))));
    let signed = signing(Piece::Field(Field::header("x-a")));
    let check =
        |second: &str| verdict(&signed, &[("X-A", "1"), (second, "2")], b"", "1").map(|_| ());
    assert_eq!(check("x-b"), Ok(()));
    assert!(matches!(check("x-a"), Err(Refusal::Repeated(_))));
}

#[test]
fn a_form_is_signed_sorted() {
    let keep = signing(Piece::SortedForm(Repeats::Keep));
    let once = signing(Piece::SortedForm(Repeats::Once));
    let body = b"b=2&a=2&a=1&b=2";
    assert!(verdict(&keep, &[FORM], body, "a1a2b2b2").is_ok());
    assert!(verdict(&once, &[FORM], body, "a1a2b2").is_ok());
    assert!(verdict(&keep, &[FORM], body, "a1a2b2").is_err());
    assert!(verdict(&once, &[FORM], body, "a1a2b2b2").is_err());
    assert!(verdict(&keep, &[], b"", "").is_ok(), "no form and no body");
    let unsigned = verdict(&keep, &[], body, "");
    assert!(matches!(unsigned, Err(Refusal::Malformed { .. })), "{unsigned:?}");
}

/// What lies past the last field that is read would be unsigned.
#[test]
fn a_form_of_more_than_a_thousand_fields_is_not_looked_at() {
    let provider = signing(Piece::SortedForm(Repeats::Keep));
    let check = |sent: usize, signed: usize| {
        let body = vec!["a=1"; sent].join("&");
        verdict(&provider, &[FORM], body.as_bytes(), "a1".repeat(signed))
    };
    assert!(check(1000, 1000).is_ok());
    for signed in [998, 999, 1000, 1001] {
        let beyond = check(1001, signed);
        assert!(matches!(beyond, Err(Refusal::Malformed { .. })), "{signed}: {beyond:?}");
    }
}

#[test]
fn urls_are_tried_in_their_spellings_and_no_other() {
    let provider = |url| {
        row(|signed| {
            signed.message = vec![Piece::Url];
            signed.url = url;
        })
    };
    let passes = |forms, own: &str, signed: &str| {
        let headers = lines(&[("x-signature", &tag(signed))]);
        at(&provider(forms), own, &headers, b"").is_ok()
    };
    let (coded, plain) = ("https://a.example/?x=%3A%2F%25", "https://a.example/?x=:/%25");
    assert!(passes(UrlForms::Decoded, coded, coded) && passes(UrlForms::Decoded, coded, plain));
    assert!(!passes(UrlForms::AsIs, coded, plain) && !passes(UrlForms::Ports, coded, plain));
    assert!(!passes(UrlForms::Decoded, plain, coded));
    assert!(passes(UrlForms::Ports, "https://a.example/", "https://a.example:443/"));
    assert!(!passes(UrlForms::AsIs, "https://a.example/", "https://a.example:443/"));
    let path = |piece, url: &str, text: &str| {
        at(&signing(piece), url, &lines(&[("x-signature", &tag(text))]), b"").is_ok()
    };
    assert!(path(Piece::Path, "https://a.example/p?q#f", "/p?q"));
    assert!(path(Piece::Path, "https://a.example", "/"));
    assert!(path(Piece::PathEscaped, "https://a.example/p%20q", "/p%2520q"));
    assert!(path(Piece::PathEscaped, "https://a.example/p%20q?x=%20", "/p%2520q?x%253D%252520"));
}

#[test]
fn headers_may_be_named_as_signed() {
    let listed = signing(Piece::ListedHeaders { list: "x-listed".into(), with: "x-b".into() });
    let two = [("x-b", " 2 "), ("X-A", "1")];
    let with = |names: &'static str| [("x-listed", names), two[0], two[1]];
    let all = "x-a:1;x-b:2;x-listed:x-B, x-a,,X-Listed";
    assert!(verdict(&listed, &with("x-B, x-a,,X-Listed"), b"", all).is_ok());
    let missing = verdict(&listed, &with("x-c,x-b,x-listed"), b"", "");
    assert!(matches!(missing, Err(Refusal::Missing(_))), "{missing:?}");
    assert!(matches!(verdict(&listed, &two, b"", ""), Err(Refusal::Missing(_))));
    // What a list without itself or the time signs may be another request's.
    for (names, text) in [
        ("x-b", "x-b:2"),
        ("x-a,x-listed", "x-a:1;x-listed:x-a,x-listed"),
        ("x-a,x-b", "x-a:1;x-b:2"),
        ("", ""),
        (&*format!("{}x-listed,x-b", "x-a,".repeat(50)), &*vec!["x-a:1"; 50].join(";")),
    ] {
        let headers = [("x-listed", names), two[0], two[1]];
        let refusal = verdict(&listed, &headers, b"", text);
        assert!(matches!(refusal, Err(Refusal::Malformed { .. })), "{names}: {refusal:?}");
    }
    let named = row(|signed| {
        let fields = Fields { names: Some("h".into()), ..Fields::listed(",", '=', "v1") };
        signed.signatures = vec![Place::fields("x-signature", fields)];
        signed.message = vec![Piece::NamedHeaders];
    });
    let check = |names: &str, text: &str| {
        let value = format!("h={names},v1={}", tag(text));
        let mut headers = lines(&two);
        headers.push(("x-signature".into(), value.into_bytes()));
        at(&named, URL, &headers, b"")
    };
    assert!(check("x-a  x-b", "x-a  x-b.1. 2 ").is_ok());
    assert!(matches!(check("x-a x-c", "x-a x-c.1."), Err(Refusal::Missing(_))));
    let unnamed = at(&named, URL, &lines(&[("x-signature", &format!("v1={}", tag("")))]), b"");
    assert!(matches!(unnamed, Err(Refusal::Missing(_))), "{unnamed:?}");
}

#[test]
fn what_amazon_sns_signs_is_all_there() {
    let provider = signing(Piece::Sns);
    let check = |body: &str, text: &str| verdict(&provider, &[], body.as_bytes(), text);
    let bare =
        r#"{"Type":"Notification","Message":"m","MessageId":"1","Timestamp":"t","TopicArn":"a"}"#;
    let text = "Message\nm\nMessageId\n1\nTimestamp\nt\nTopicArn\na\nType\nNotification\n";
    assert!(check(bare, text).is_ok(), "a subject may be missing");
    let about = bare.replace(r#""Timestamp""#, r#""Subject":"s","Timestamp""#);
    assert!(check(&about, &text.replace("Timestamp\n", "Subject\ns\nTimestamp\n")).is_ok());
    assert!(check(&about, text).is_err());
    let silent = bare.replace(r#""Message":"m","#, "");
    let verdict = check(&silent, &text.replace("Message\nm\n", ""));
    assert!(matches!(verdict, Err(Refusal::Missing(_))), "{verdict:?}");
    let confirmation = bare.replace("Notification", "SubscriptionConfirmation");
    assert!(matches!(check(&confirmation, text), Err(Refusal::Missing(_))), "it has no token");
    let whole =
        confirmation.replace(r#""Timestamp""#, r#""SubscribeURL":"u","Token":"k","Timestamp""#);
    let text = "Message\nm\nMessageId\n1\nSubscribeURL\nu\nTimestamp\nt\nToken\nk\nTopicArn\na\nType\nSubscriptionConfirmation\n";
    assert!(check(&whole, text).is_ok());
    let other = bare.replace("Notification", "Other");
    assert!(matches!(check(&other, ""), Err(Refusal::Malformed { .. })));
}

/// The word before a token is that word, and something follows it.
#[test]
fn the_word_before_a_token_counts() {
    let bearer = find("bearer").unwrap();
    let verdict = |value: &str| {
        at(bearer, URL, &lines(&[("authorization", value)]), b"").map(|proof| proof.secret())
    };
    assert_eq!(verdict(&format!("bEARER   {KEY} ")), Ok(Some(0)));
    for value in [format!("Beaver {KEY}"), format!("Bearer{KEY}"), "Bearer  ".into()] {
        assert!(matches!(verdict(&value), Err(Refusal::Missing(_))), "{value}");
    }
    assert_eq!(verdict("Bearer another"), Err(Refusal::WrongToken));
}

#[test]
fn a_refusal_counts_what_was_tried() {
    let said = |signatures, secrets| Refusal::NoMatch { signatures, secrets }.to_string();
    assert!(said(1, 1).ends_with("(tried: 1 signature with 1 secret)"), "{}", said(1, 1));
    assert!(said(2, 3).ends_with("(tried: 2 signatures with 3 secrets)"), "{}", said(2, 3));
}

/// Mailgun's routes send forms with the mail's attachments beside the fields.
#[test]
fn a_signature_may_stand_in_a_form_with_files() {
    let row = find("mailgun").unwrap();
    let secrets = [Secret::parse(row, "a signing key").unwrap()];
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"a signing key");
    let (token, time) = ("t0k3n", NOW.to_string());
    let tag = ring::hmac::sign(&key, format!("{time}{token}").as_bytes());
    let signature = Encoding::Hex.encode(tag.as_ref());
    let check = |fields: &[(&str, &str)]| {
        let field = |(name, value): &(&str, &str)| {
            format!("--b-1\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let file = "--b-1\r\nContent-Disposition: form-data; name=\"token\"; filename=\"a\"\r\n\r\nother\r\n";
        let body = format!("{file}{}--b-1--\r\n", fields.iter().map(field).collect::<String>());
        let headers = [("content-type", "multipart/form-data; boundary=\"b-1\"")];
        let incoming =
            Incoming { method: "POST", url: URL, headers: &headers, body: body.as_bytes() };
        verify_and_describe(row, &secrets, &incoming, NOW).map(|(_, said)| said.event_id)
    };
    let right = [("timestamp", &*time), ("token", token), ("signature", &*signature)];
    assert_eq!(check(&right), Ok(Some(token.to_owned())));
    let other = [right[0], ("token", "other"), right[2]];
    assert!(matches!(check(&other), Err(Refusal::NoMatch { .. })));
    for again in [("token", "other"), ("Token", "other"), ("token[]", "other")] {
        let twice = [right[0], right[1], right[2], again];
        assert!(matches!(check(&twice), Err(Refusal::Repeated(_))), "{again:?}");
    }
    assert!(check(&right[..2]).is_err() && check(&right[1..]).is_err());
    // Nobody else does, and of such a body applications read different fields.
    let braintree = find("braintree").unwrap();
    let secrets = [Secret::parse(braintree, "a private key").unwrap()];
    let sent =
        ToSign { id: "1", now: NOW, url: URL, method: "POST", headers: &lines(&[]), body: b"<a/>" };
    let signed = sign(braintree, &secrets[0], &sent).unwrap();
    let fields = webhook_signatures::form::pairs(signed.body.as_deref().unwrap(), 9);
    let field = |(name, value): &(Vec<u8>, Vec<u8>)| {
        let [name, value] = [name, value].map(|bytes| String::from_utf8_lossy(bytes));
        format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = fields.iter().map(field).collect::<String>() + "--b--";
    let headers = [("content-type", "multipart/form-data; boundary=b")];
    let incoming = Incoming { method: "POST", url: URL, headers: &headers, body: body.as_bytes() };
    let refused = verify_and_describe(braintree, &secrets, &incoming, NOW);
    assert!(matches!(refused, Err(Refusal::Missing(_))), "{refused:?}");
}
