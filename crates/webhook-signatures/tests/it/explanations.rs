//! The debugger: each usual mistake, made on purpose, is found out.

use webhook_signatures::{
    Certainty, Encoding, Explanation, Generic, Incoming, Known, Provider, Refusal, Secret, ToSign,
    explain, find, generic, sign, verify,
};

const NOW: i64 = 1_767_225_600;
const URL: &str = "https://hooks.example.com/in/a?b=c";
const BODY: &[u8] = b"{\"type\": \"a.b\", \"name\": \"\xc3\xa9\"}";

/// A request as `provider` signs it, and the headers of it.
fn signed(provider: &Provider, secret: &str, body: &[u8], url: &str) -> Vec<(String, String)> {
    let secret = Secret::parse(provider, secret).unwrap();
    let none: [(&str, &[u8]); 0] = [];
    let request = ToSign { id: "msg_1", now: NOW, url, method: "POST", headers: &none, body };
    let signature = sign(provider, &secret, &request).unwrap();
    signature.headers.into_iter().map(|(name, value)| (name.into_owned(), value)).collect()
}

struct Case<'a> {
    provider: &'a Provider,
    secret: &'a str,
    headers: &'a [(String, String)],
    url: &'a str,
    body: &'a [u8],
    now: i64,
}

impl<'a> Case<'a> {
    fn new(provider: &'a Provider, secret: &'a str, headers: &'a [(String, String)]) -> Self {
        Self { provider, secret, headers, url: URL, body: BODY, now: NOW }
    }

    fn explained(&self, known: &[Known<'_>]) -> Explanation {
        let secrets = [Secret::parse(self.provider, self.secret).unwrap()];
        let incoming =
            Incoming { method: "POST", url: self.url, headers: &self.headers, body: self.body };
        let explanation = explain(self.provider, &secrets, known, &incoming, self.now);
        assert_eq!(explanation.verdict, verify(self.provider, &secrets, &incoming, self.now));
        explanation
    }

    fn finds(&self, code: &str) {
        self.finds_with(code, &[]);
    }

    fn finds_with(&self, code: &str, known: &[Known<'_>]) {
        let explanation = self.explained(known);
        assert!(explanation.verdict.is_err(), "{code}: the request passes");
        let found: Vec<_> = explanation.findings.iter().map(|finding| finding.code).collect();
        assert_eq!(
            explanation.findings.first().map(|finding| finding.certainty),
            Some(Certainty::Proved),
            "{code}: {found:?}"
        );
        assert_eq!(found.first(), Some(&code), "{found:?}");
        let told = format!("{explanation:?}");
        assert!(!told.contains(self.secret.trim()), "the secret is told");
    }
}

#[test]
fn where_it_stands_and_how_old_it_is() {
    let slack = find("slack").unwrap();
    let secrets = [Secret::parse(slack, "a secret of slack's").unwrap()];
    let headers = [("X-Slack-Signature", "v0=00"), ("X-Slack-Request-Timestamp", "1767225590")];
    let incoming =
        Incoming { method: "POST", url: "https://x.example/", headers: &headers, body: b"{}" };
    let found = explain(slack, &secrets, &[], &incoming, 1_767_225_600);
    assert_eq!(found.place.as_deref(), Some("the header x-slack-signature"));
    assert_eq!(found.skew_ms, Some(10_000), "though the signature is wrong");
    assert_eq!(found.signed_text.as_deref(), Some("v0:1767225590:{}"));
    let none: [(&str, &str); 0] = [];
    let bare = Incoming { headers: &none, ..incoming };
    for (name, place) in [
        ("slack", Some("the header x-slack-signature")),
        ("telegram", Some("the header x-telegram-bot-api-secret-token")),
        ("basic", Some("the header authorization")),
        ("netlify", Some("the header x-webhook-signature")),
        ("query-token", Some("the query parameter token")),
        ("microsoft-graph", Some("the body's field /clientState of each of /value")),
        ("http-signature", Some("the header signature")),
        ("none", None),
    ] {
        let found = explain(find(name).unwrap(), &[], &[], &bare, 0);
        assert_eq!((found.place.as_deref(), found.skew_ms), (place, None), "{name}");
    }
}

#[test]
fn what_passes_has_no_findings() {
    let github = find("github").unwrap();
    let headers = signed(github, "a long secret", BODY, URL);
    let explanation = Case::new(github, "a long secret", &headers).explained(&[]);
    assert!(explanation.verdict.is_ok() && explanation.findings.is_empty());
    assert_eq!(explanation.signed_text.unwrap().as_bytes(), BODY);
    assert_eq!(explanation.received.unwrap(), headers[0].1);
}

#[test]
fn bodies_that_were_changed() {
    let github = find("github").unwrap();
    for (original, code) in [
        (&b"{\"type\":\"a.b\",\"name\":\"\xc3\xa9\"}"[..], "reserialised"),
        (b"{\n  \"type\": \"a.b\",\n  \"name\": \"\xc3\xa9\"\n}", "reserialised"),
        (b"{\"type\": \"a.b\", \"name\": \"\\u00e9\"}", "reserialised_escapes"),
        (b"{\"type\": \"a.b\", \"name\": \"\xc3\xa9\"}\n", "trailing_newline"),
        (b"", "body_lost"),
        (b"payload=%7B%22type%22%3A+%22a.b%22%2C+%22name%22%3A+%22%C3%A9%22%7D", "json_for_form"),
    ] {
        let headers = signed(github, "a long secret", original, URL);
        Case::new(github, "a long secret", &headers).finds(code);
    }
    for (came, code) in [
        (&b"eyJ0eXBlIjogImEuYiIsICJuYW1lIjogIsOpIn0="[..], "base64_body"),
        (b"payload=%7B%22type%22%3A+%22a.b%22%2C+%22name%22%3A+%22%C3%A9%22%7D", "form_for_json"),
        (b"\xef\xbb\xbf{\"type\": \"a.b\", \"name\": \"\xc3\xa9\"}", "byte_order_mark"),
        (b"{\"type\": \"a.b\", \"name\": \"\\u00e9\"}", "reserialised_escapes"),
        (b"{\"type\": \"a.b\", \"name\": \"\xc3\xa9\"}\r\n", "trailing_newline"),
    ] {
        let headers = signed(github, "a long secret", BODY, URL);
        Case { body: came, ..Case::new(github, "a long secret", &headers) }.finds(code);
    }
}

/// What programs write who read JSON and write it again, each in its own way.
#[test]
fn bodies_that_were_written_again() {
    let github = find("github").unwrap();
    let came = "{\"a\":\"\u{e9}\",\"b\":[\"x/y\",\"<&>\"]}".as_bytes();
    for (program, signed_body) in [
        ("Python", "{\"a\": \"\\u00e9\", \"b\": [\"x/y\", \"<&>\"]}"),
        ("Python, compact", "{\"a\":\"\\u00e9\",\"b\":[\"x/y\",\"<&>\"]}"),
        (
            "Python, indent=4",
            "{\n    \"a\": \"\u{e9}\",\n    \"b\": [\n        \"x/y\",\n        \"<&>\"\n    ]\n}",
        ),
        ("PHP", "{\"a\":\"\u{e9}\",\"b\":[\"x\\/y\",\"<&>\"]}"),
        ("Go", "{\"a\":\"\u{e9}\",\"b\":[\"x/y\",\"\\u003c\\u0026\\u003e\"]}"),
    ] {
        let headers = signed(github, "a long secret", signed_body.as_bytes(), URL);
        let case = Case { body: came, ..Case::new(github, "a long secret", &headers) };
        let found = case.explained(&[]).findings;
        assert!(
            found.iter().any(|one| one.code.starts_with("reserialised")),
            "{program}: {found:?}"
        );
    }
    // And the other way round: what came is Python's.
    let python = b"{\"a\": \"\\u00e9\"}";
    let headers = signed(github, "a long secret", "{\"a\":\"\u{e9}\"}".as_bytes(), URL);
    let case = Case { body: python, ..Case::new(github, "a long secret", &headers) };
    case.finds("reserialised_escapes");
}

/// A handshake is signed by nobody: why it is refused is told, and not that a header is missing.
#[test]
fn a_refused_handshake_is_told_as_one() {
    let meta = find("meta").unwrap();
    let secrets = [Secret::parse(meta, "a long secret").unwrap()];
    let told = |query: &str| {
        let url = format!("https://hooks.example.com/in/m?{query}");
        let nothing: [(&str, &str); 0] = [];
        let incoming = Incoming { method: "GET", url: &url, headers: &nothing, body: b"" };
        explain(meta, &secrets, &[], &incoming, NOW).findings
    };
    let found = told("hub.mode=subscribe&hub.challenge=1&hub.verify_token=wrong");
    assert_eq!(found.iter().map(|one| one.code).collect::<Vec<_>>(), ["handshake"]);
    assert!(found[0].sentence.contains("hub.verify_token"), "{found:?}");
    assert!(told("a=b").iter().all(|one| one.code != "handshake"));
}

/// Compact JSON without its last line break is also what a reader of JSON would write: that is one mistake, not two.
#[test]
fn one_change_is_one_finding() {
    let github = find("github").unwrap();
    let compact = b"{\"type\":\"a.b\"}";
    let headers = signed(github, "a long secret", compact, URL);
    let came = [&compact[..], b"\n"].concat();
    let case = Case { body: &came, ..Case::new(github, "a long secret", &headers) };
    let codes: Vec<_> = case.explained(&[]).findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, ["trailing_newline"]);
}

#[test]
fn secrets_that_are_not_right() {
    let (github, stripe, standard) =
        (find("github").unwrap(), find("stripe").unwrap(), find("standard-webhooks").unwrap());
    let headers = signed(github, "a long secret", BODY, URL);
    Case::new(github, "a long secret\n", &headers).finds("secret_white_space");
    Case::new(github, "\"a long secret\"", &headers).finds("secret_quotes");
    let known =
        [Known { name: "billing", text: "another" }, Known { name: "shop", text: "a long secret" }];
    Case::new(github, "the secret of someone", &headers).finds_with("other_secret", &known);
    let headers = signed(github, "a long secret\n", BODY, URL);
    Case::new(github, "a long secret", &headers).finds("secret_white_space");
    let headers = signed(stripe, "whsec_abcdefgh", BODY, URL);
    Case::new(stripe, "abcdefgh", &headers).finds("whsec_prefix");
    let headers = signed(stripe, "abcdefgh", BODY, URL);
    Case::new(stripe, "whsec_abcdefgh", &headers).finds("whsec_prefix");
    let text = Secret::generate_standard([8; 32]).expose().to_owned();
    let raw = find("polar").unwrap();
    let headers = signed(raw, text.strip_prefix("whsec_").unwrap(), BODY, URL);
    Case::new(standard, &text, &headers).finds("key_encoding");
}

/// Where the signature is right and only its time is wrong, nothing else is told: undoing anything else would seem to help, too.
#[test]
fn only_the_time_is_told_where_only_it_is_wrong() {
    let slack = find("slack").unwrap();
    let text = "a long secret";
    let headers = signed(slack, text, BODY, URL);
    let known = [Known { name: "other", text }];
    let codes = |case: &Case<'_>| {
        let found = case.explained(&known);
        let codes: Vec<_> = found.findings.iter().map(|finding| finding.code).collect();
        (codes, found.skew_ms)
    };
    let late = Case { now: NOW + 4000, ..Case::new(slack, text, &headers) };
    assert_eq!(codes(&late), (vec!["old_timestamp"], Some(4_000_000)));
    let zoom = find("zoom").unwrap();
    for (row, header, prefix) in
        [(slack, "x-slack-request-timestamp", "v0"), (zoom, "x-zm-request-timestamp", "v0")]
    {
        let mut headers = signed(row, text, BODY, URL);
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, text.as_bytes());
        for time in [format!("{NOW}000"), "soon".to_owned()] {
            let message = [format!("{prefix}:{time}:").as_bytes(), BODY].concat();
            let tag = Encoding::Hex.encode(ring::hmac::sign(&key, &message).as_ref());
            for (name, value) in &mut headers {
                if name.eq_ignore_ascii_case(header) {
                    value.clone_from(&time);
                } else if value.starts_with("v0=") {
                    *value = format!("v0={tag}");
                }
            }
            let (codes, skew_ms) = codes(&Case::new(row, text, &headers));
            assert_eq!(
                codes,
                [if time == "soon" { "timestamp" } else { "timestamp_unit" }],
                "{time}"
            );
            assert_eq!(skew_ms, None, "{} {time}", row.name);
        }
    }
}

#[test]
fn times_addresses_and_rows() {
    let (slack, square) = (find("slack").unwrap(), find("square").unwrap());
    let headers = signed(slack, "a long secret", BODY, URL);
    Case { now: NOW + 4000, ..Case::new(slack, "a long secret", &headers) }.finds("old_timestamp");
    Case { now: NOW - 4000, ..Case::new(slack, "a long secret", &headers) }
        .finds("future_timestamp");
    for signed_url in [
        "http://hooks.example.com/in/a?b=c",
        "https://hooks.example.com:8080/in/a?b=c",
        "https://hooks.example.com/in/a/?b=c",
    ] {
        let headers = signed(square, "a long secret", BODY, signed_url);
        Case::new(square, "a long secret", &headers).finds("public_url");
    }
    let mut headers = signed(square, "a long secret", BODY, "https://public.example/in/a?b=c");
    headers.push(("Host".into(), "public.example".into()));
    Case::new(square, "a long secret", &headers).finds("public_url");

    let ours = |encoding, hash, prefix: &'static str| {
        generic(Generic {
            header: "x-sig".into(),
            encoding,
            hash,
            prefix: prefix.into(),
            ..Generic::default()
        })
    };
    use webhook_signatures::{
        Encoding::{Base64, Hex},
        Hash::{Sha1, Sha256},
    };
    let right = ours(Hex, Sha256, "");
    let headers = signed(&right, "a long secret", BODY, URL);
    Case::new(&ours(Base64, Sha256, ""), "a long secret", &headers).finds("signature_encoding");
    Case::new(&ours(Hex, Sha1, ""), "a long secret", &headers).finds("hash");
    Case::new(&ours(Hex, Sha256, "sha256="), "a long secret", &headers).finds("prefix");
}

#[test]
fn another_providers_request_is_recognised() {
    let headers = signed(find("stripe").unwrap(), "a long secret", BODY, URL);
    let explanation = Case::new(find("github").unwrap(), "a long secret", &headers).explained(&[]);
    assert!(matches!(explanation.verdict, Err(Refusal::Missing(_))));
    let finding = explanation.findings.first().unwrap();
    assert_eq!((finding.code, finding.certainty), ("other_provider", Certainty::Likely));
    assert!(finding.sentence.contains("stripe"));
    let headers = signed(find("github").unwrap(), "a long secret", b"another body altogether", URL);
    let explanation = Case::new(find("github").unwrap(), "a long secret", &headers).explained(&[]);
    assert_eq!(explanation.findings.first().unwrap().code, "secret_or_body");
}
