//! HTTP Message Signatures: each rule, and what lies just past it. The signature bases are written out by hand.

use webhook_signatures::{
    Encoding, HttpSignature, Incoming, Provider, Refusal, Scheme, Secret, ToSign, Verified, find,
    sign, verify,
};

const NOW: i64 = 1_767_225_600;
const KEY: &str = "a secret of ours";
const URL: &str = "https://hooks.example.com/in/x?a=b";

fn row() -> &'static Provider {
    find("http-signature-hmac").unwrap()
}

fn secret(provider: &Provider) -> Secret {
    Secret::parse(provider, KEY).unwrap()
}

/// The row with something else about its scheme.
fn changed(change: impl FnOnce(&mut HttpSignature)) -> Provider {
    let mut provider = row().clone();
    let Some(Scheme::HttpSignature(scheme)) = provider.schemes.first_mut() else { panic!() };
    change(scheme);
    provider
}

/// A member of each of the two headers: the components with what each stands for, and the parameters.
fn member(label: &str, components: &[(&str, &str)], parameters: &str) -> (String, String) {
    let names: Vec<String> = components.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let input = format!("({}){parameters}", names.join(" "));
    let lines = components.iter().map(|(name, value)| format!("\"{name}\": {value}\n"));
    let base = format!("{}\"@signature-params\": {input}", lines.collect::<String>());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, KEY.as_bytes());
    let tag = Encoding::Base64.encode(ring::hmac::sign(&key, base.as_bytes()).as_ref());
    (format!("{label}={input}"), format!("{label}=:{tag}:"))
}

/// One that is well formed and was made with another key.
fn forged(label: &str) -> (String, String) {
    let (input, _) = member(label, &[("@method", "POST")], &created());
    (input, format!("{label}=:{}:", Encoding::Base64.encode(&[0; 32])))
}

fn created() -> String {
    format!(";created={NOW}")
}

/// A request with these members, which have the headers, address and body that follow.
struct Sent<'a> {
    provider: &'a Provider,
    members: Vec<(String, String)>,
    headers: &'a [(&'a str, &'a str)],
    url: &'a str,
    body: &'a [u8],
}

impl Sent<'_> {
    fn new(members: Vec<(String, String)>) -> Self {
        Self { provider: row(), members, headers: &[], url: URL, body: b"" }
    }

    fn verdict(&self) -> Result<Verified, Refusal> {
        let (inputs, signatures): (Vec<_>, Vec<_>) = self.members.iter().cloned().unzip();
        let (inputs, signatures) = (inputs.join(", "), signatures.join(", "));
        let own = [("Signature-Input", inputs.as_str()), ("Signature", signatures.as_str())];
        let headers = [&own[..], self.headers].concat();
        let incoming =
            Incoming { method: "POST", url: self.url, headers: &headers, body: self.body };
        verify(self.provider, &[secret(self.provider)], &incoming, NOW)
    }
}

/// What becomes of one signature over these components.
fn one(components: &[(&str, &str)], parameters: &str) -> Result<Option<i64>, Refusal> {
    Sent::new(vec![member("sig", components, parameters)])
        .verdict()
        .map(|proof| proof.timestamp_ms())
}

fn is_malformed<T>(verdict: &Result<T, Refusal>) -> bool {
    matches!(verdict, Err(Refusal::Malformed { .. }))
}

fn is_missing<T>(verdict: &Result<T, Refusal>) -> bool {
    matches!(verdict, Err(Refusal::Missing(_)))
}

#[test]
fn derived_components() {
    let secure = "https://A.example:443/p/q?x=1&y#z";
    let plain = "http://a.example:80";
    for (url, component, value) in [
        (secure, "@method", "POST"),
        (secure, "@target-uri", "https://A.example:443/p/q?x=1&y"),
        (secure, "@authority", "a.example"),
        (secure, "@scheme", "https"),
        (secure, "@path", "/p/q"),
        (secure, "@query", "?x=1&y"),
        (secure, "@request-target", "/p/q?x=1&y"),
        (plain, "@authority", "a.example"),
        (plain, "@scheme", "http"),
        (plain, "@path", "/"),
        (plain, "@query", "?"),
        ("http://a.example:443/", "@authority", "a.example:443"),
        ("https://a.example:80/", "@authority", "a.example:80"),
        ("https://a.example?x", "@authority", "a.example"),
    ] {
        let sent = |value| Sent {
            url,
            ..Sent::new(vec![member("sig", &[(component, value)], &created())])
        };
        let verdict = sent(value).verdict();
        assert!(verdict.is_ok(), "{component} of {url}: {verdict:?}");
        assert!(sent("another").verdict().is_err(), "{component} of {url}");
    }
    assert!(is_malformed(&one(&[("@status", "200")], &created())));
}

#[test]
fn plain_headers_are_joined() {
    let members = vec![member("sig", &[("x-a", "1, 2"), ("x-b", "")], &created())];
    let headers = [("X-A", " 1 "), ("x-b", ""), ("x-a", "2")];
    assert!(Sent { headers: &headers, ..Sent::new(members.clone()) }.verdict().is_ok());
    assert!(is_missing(&Sent::new(members).verdict()));
    let twice = [("@method", "POST"), ("@path", "/in/x"), ("@method", "POST")];
    assert!(is_malformed(&one(&twice, &created())));
    for name in ["@method\";sf", "", "a\"b"] {
        assert!(is_malformed(&one(&[(name, "POST")], &created())), "{name}");
    }
}

#[test]
fn as_many_components_as_are_looked_at() {
    let names: Vec<String> = (0..33).map(|index| format!("x-{index}")).collect();
    let headers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
    let check = |count: usize| {
        let members = vec![member("sig", &headers[..count], &created())];
        Sent { headers: &headers, ..Sent::new(members) }.verdict()
    };
    assert!(check(32).is_ok());
    assert!(is_malformed(&check(33)));
}

/// What parts members and parameters elsewhere does not part them within quotes.
#[test]
fn quoted_signs_part_nothing() {
    let path = [("@path", "/in/x")];
    for keyid in ["a,b", "a;b", "a(b", "a)b", "a=b", "((", "))", ""] {
        let good = member("two", &path, &format!(";created={NOW};keyid=\"{keyid}\""));
        let (input, _) = member("one", &path, &format!(";keyid=\"{keyid}\";created={NOW}"));
        let other = (input, "one=:AAAA:".to_owned());
        for members in [vec![good.clone()], vec![good.clone(), other.clone()], vec![other, good]] {
            let verdict = Sent::new(members).verdict();
            assert!(verdict.is_ok(), "{keyid}: {verdict:?}");
        }
    }
}

#[test]
fn any_of_ten_signatures_may_be_the_right_one() {
    let check = |before: usize| {
        let mut members: Vec<_> = (0..before).map(|index| forged(&format!("f{index}"))).collect();
        members.push(member("sig", &[("@method", "POST")], &created()));
        Sent::new(members).verdict()
    };
    assert!(check(0).is_ok() && check(1).is_ok() && check(9).is_ok());
    assert!(check(10).is_err());
}

/// Each input has its signature under the same label.
#[test]
fn labels_go_together() {
    let (input, signature) = member("sig", &[("@method", "POST")], &created());
    let relabelled = signature.replacen("sig", "gis", 1);
    let check = |signature: &str| Sent::new(vec![(input.clone(), signature.to_owned())]).verdict();
    assert!(check(&signature).is_ok());
    assert!(check(&format!("other=:AAAA:, {signature}")).is_ok());
    assert!(is_missing(&check(&relabelled)));
    for form in [signature.replace(':', ""), signature.replace(":", "\""), "sig".into()] {
        assert!(is_missing(&check(&form)), "{form}");
    }
    let no_match = Err(Refusal::NoMatch { signatures: 1, secrets: 1 });
    assert_eq!(check(&forged("sig").1), no_match);
}

#[test]
fn headers_that_cannot_be_read() {
    let check = |headers: &[(&str, &[u8])]| {
        let incoming = Incoming { method: "POST", url: URL, headers: &headers, body: b"" };
        verify(row(), &[secret(row())], &incoming, NOW)
    };
    let shown = Err(Refusal::Missing("the header signature-input".into()));
    assert_eq!(check(&[("signature", b"sig=:AAAA:")]), shown);
    let input = b"sig=(\"@method\");created=1";
    let shown = Err(Refusal::Missing("the header signature".into()));
    assert_eq!(check(&[("signature-input", input)]), shown);
    for input in [&b"\xff"[..], b"", b"sig", b"sig=", b"sig=(\"@method\"", b"sig=\"@method\")"] {
        let verdict = check(&[("signature-input", input), ("signature", b"sig=:AAAA:")]);
        assert!(is_malformed(&verdict), "{input:?}: {verdict:?}");
    }
}

#[test]
fn what_must_be_covered() {
    let provider = changed(|scheme| scheme.covered = vec!["@method".into(), "@path".into()]);
    let (method, path) = (("@method", "POST"), ("@path", "/in/x"));
    let check = |components: &[(&str, &str)]| {
        let sent = Sent::new(vec![member("sig", components, &created())]);
        Sent { provider: &provider, ..sent }.verdict()
    };
    assert!(check(&[path, method]).is_ok());
    assert!(
        is_missing(&check(&[method])) && is_missing(&check(&[path])) && is_missing(&check(&[]))
    );
}

/// One of the two hashes is enough, and none of them may be wrong.
#[test]
fn the_bodys_digest() {
    let (body, other) = (&b"{}"[..], &b"[]"[..]);
    let sha256 = |body: &[u8]| {
        let hash = webhook_signatures::Hash::Sha256.of(body);
        format!("sha-256=:{}:", Encoding::Base64.encode(&hash))
    };
    let sha512 = |body: &[u8]| {
        let hash = webhook_signatures::Hash::Sha512.of(body);
        format!("sha-512=:{}:", Encoding::Base64.encode(&hash))
    };
    let check = |digest: &str, body: &[u8]| {
        let members = vec![member("sig", &[("content-digest", digest)], &created())];
        let headers = [("Content-Digest", digest)];
        Sent { headers: &headers, body, ..Sent::new(members) }.verdict().map(|_| ())
    };
    for digest in [sha256(body), sha512(body), format!("md5=:AA:, {}", sha256(body))] {
        assert_eq!(check(&digest, body), Ok(()), "{digest}");
        assert_eq!(check(&digest, other), Err(Refusal::BodyHash), "{digest}");
        assert_eq!(check(&digest, b""), Err(Refusal::BodyHash), "{digest}");
    }
    for digest in [
        format!("{}, {}", sha256(body), sha512(other)),
        format!("{}, {}", sha256(other), sha512(body)),
        "sha-256=".into(),
        sha256(body).replace(':', ""),
    ] {
        assert_eq!(check(&digest, body), Err(Refusal::BodyHash), "{digest}");
    }
    assert!(is_malformed(&check("md5=:AA:", body)) && is_malformed(&check("sha-256", body)));
}

#[test]
fn a_body_must_be_covered() {
    let method = [("@method", "POST")];
    let sent = |body, headers| {
        let members = vec![member("sig", &method, &created())];
        Sent { body, headers, ..Sent::new(members) }.verdict()
    };
    assert!(sent(b"", &[]).is_ok());
    assert!(sent(b"", &[("content-digest", "sha-256=:AA:")]).is_ok(), "it is not signed");
    assert!(is_missing(&sent(b"{}", &[])));
    assert!(is_missing(&sent(b"{}", &[("content-digest", "sha-256=:AA:")])));
}

#[test]
fn times_of_a_signature() {
    let method = [("@method", "POST")];
    let at = |offset: i64| one(&method, &format!(";created={}", NOW + offset));
    assert_eq!(at(0), Ok(Some(NOW * 1000)));
    assert_eq!(at(-300), Ok(Some((NOW - 300) * 1000)));
    assert_eq!(at(-301), Err(Refusal::TooOld { age_s: 301, limit_s: 300 }));
    assert_eq!(at(301), Err(Refusal::InFuture { ahead_s: 301, limit_s: 300 }));
    assert!(is_missing(&one(&method, "")));
    assert!(is_malformed(&one(&method, ";created=soon")));
    let until = |offset: i64| one(&method, &format!(";created={NOW};expires={}", NOW + offset));
    assert!(until(0).is_ok() && until(1).is_ok());
    let over = Refusal::Claim { claim: "expires".into(), why: "is in the past" };
    assert_eq!(until(-1), Err(over));
}

#[test]
fn an_algorithm_that_is_named_must_be_allowed() {
    let method = [("@method", "POST")];
    let named = |name: &str| format!(";created={NOW};alg=\"{name}\"");
    assert!(one(&method, &named("hmac-sha256")).is_ok());
    for (name, found) in
        [("ed25519", "ed25519"), ("", ""), ("a name of many letters", "a name of many l")]
    {
        let refusal = Refusal::Algorithm { found: found.into() };
        assert_eq!(one(&method, &named(name)), Err(refusal), "{name}");
    }
    let (input, _) = member("sig", &method, &named("hmac-sha256"));
    let verdict = Sent::new(vec![(input, forged("sig").1)]).verdict();
    assert_eq!(verdict, Err(Refusal::NoMatch { signatures: 1, secrets: 1 }));
}

/// The registered names (RFC 9421, 6.2.2), as a signer writes them; and a digest that covers the body.
#[test]
fn what_is_signed_names_its_algorithm() {
    let row = find("http-signature").unwrap();
    let none: [(&str, &str); 0] = [];
    let request =
        ToSign { id: "evt_1", now: NOW, url: URL, method: "POST", headers: &none, body: b"{}" };
    for (name, key) in [
        ("rsa-v1_5-sha256", include_str!("../data/rsa.pem")),
        ("ecdsa-p256-sha256", include_str!("../data/p256.pem")),
        ("ed25519", include_str!("../data/ed25519.pem")),
    ] {
        let secret = Secret::parse(row, key).unwrap();
        let headers = sign(row, &secret, &request).unwrap().headers;
        let input = &headers.iter().find(|(name, _)| name == "signature-input").unwrap().1;
        assert!(input.contains(&format!("alg=\"{name}\"")), "{input}");
        let incoming = Incoming { method: "POST", url: URL, headers: &headers, body: b"{}" };
        assert!(verify(row, std::slice::from_ref(&secret), &incoming, NOW).is_ok(), "{name}");
        let incoming = Incoming { body: b"[]", ..incoming };
        assert_eq!(verify(row, &[secret], &incoming, NOW), Err(Refusal::BodyHash), "{name}");
    }
}
