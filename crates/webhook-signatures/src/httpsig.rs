//! HTTP Message Signatures (RFC 9421) with Content-Digest (RFC 9530): as much of them as webhooks use.
//!
//! Derived components `@method`, `@target-uri`, `@authority`, `@scheme`, `@path`, `@query` and `@request-target`, and
//! plain header fields; no component parameters. A body that is not empty must be covered by its digest, whatever else
//! the sender signed.

use crate::check::{Check, Verified, supported, within};
use crate::encoding::Encoding;
use crate::hash::{self, Hash};
use crate::incoming::Incoming;
use crate::message;
use crate::refusal::Refusal;
use crate::scheme::{Algorithm, HttpSignature};
use crate::secret::Key;
use std::borrow::Cow;

/// The registered name of an algorithm (RFC 9421, section 6.2.2).
pub(crate) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hmac(Hash::Sha256) => "hmac-sha256",
        Algorithm::Ed25519 => "ed25519",
        Algorithm::EcdsaP256Fixed => "ecdsa-p256-sha256",
        Algorithm::RsaSha256 => "rsa-v1_5-sha256",
        // Not registered; a name that no request carries keeps them out.
        Algorithm::Hmac(_)
        | Algorithm::Digest(_)
        | Algorithm::EcdsaP256
        | Algorithm::RsaSha1
        | Algorithm::RsaSha512 => "\0",
    }
}

/// One member of `Signature-Input`.
struct Input<'a> {
    label: &'a str,
    /// The inner list with its parameters, as sent: what `@signature-params` stands for.
    raw: &'a str,
    components: Vec<&'a str>,
    parameters: Vec<(&'a str, &'a str)>,
}

/// How many signatures of one request, and components of one signature, are looked at.
const MOST: usize = 10;
const COMPONENTS_MAX: usize = 32;

pub(crate) fn verify(check: Check<'_>, scheme: &HttpSignature) -> Result<Verified, Refusal> {
    let input = joined(check.incoming, "signature-input")?;
    let signatures = joined(check.incoming, "signature")?;
    let mut furthest: Option<Refusal> = None;
    for member in members(&input).take(MOST) {
        match one(check, scheme, member, &signatures) {
            Ok(verified) => return Ok(verified),
            Err(refusal) => furthest = Some(refusal.or_further(furthest)),
        }
    }
    Err(furthest
        .unwrap_or_else(|| bad("Signature-Input", "there is no signature in it that can be read")))
}

fn one(
    check: Check<'_>,
    scheme: &HttpSignature,
    member: &str,
    signatures: &str,
) -> Result<Verified, Refusal> {
    let input =
        parse(member).ok_or_else(|| bad("Signature-Input", "it is not a list of components"))?;
    let signature = signature_of(signatures, input.label)
        .ok_or_else(|| Refusal::Missing("the signature itself".into()))?;
    if !check.incoming.body.is_empty() && !input.components.contains(&"content-digest") {
        return Err(Refusal::Missing("the body's digest among the signed components".into()));
    }
    if let Some(missing) =
        scheme.covered.iter().find(|name| !input.components.contains(&name.as_ref()))
    {
        return Err(Refusal::Missing(Cow::Owned(format!("{missing} among the signed components"))));
    }
    let base = base(check.incoming, &input)?;
    let kid = input.parameter("keyid").map(|text| text.trim_matches('"'));
    let keys = check.keys_from(&scheme.source, check.incoming.body, kid)?;
    let named = input.parameter("alg").map(|text| text.trim_matches('"'));
    let algorithms =
        scheme.algorithms.iter().filter(|own| named.is_none_or(|named| named == name(**own)));
    let mut tried = 0;
    for algorithm in algorithms {
        supported(*algorithm)?;
        tried += 1;
        let found =
            keys.iter().find(|(_, _, key)| matches(key, *algorithm, (&base, &signature), kid));
        if let Some((at, _, _)) = found {
            digest(check.incoming, &input)?;
            return check.passed(*at, Some(times(check.now, scheme, &input)?));
        }
    }
    match (tried, named) {
        (0, Some(named)) => Err(Refusal::Algorithm { found: named.chars().take(16).collect() }),
        _ => Err(Refusal::NoMatch { signatures: 1, secrets: keys.len() }),
    }
}

fn bad(what: &'static str, why: &'static str) -> Refusal {
    Refusal::Malformed { what: what.into(), why }
}

/// All values of a header as one list (RFC 8941, section 4.2).
fn joined<'a>(incoming: &Incoming<'a>, name: &str) -> Result<Cow<'a, str>, Refusal> {
    let shown = || Cow::Owned(format!("the header {name}"));
    let bad = |_| Refusal::Malformed { what: shown(), why: "it is not text" };
    let mut values = incoming.values(name);
    let first = values.next().ok_or_else(|| Refusal::Missing(shown()))?;
    let mut whole = Cow::Borrowed(std::str::from_utf8(first).map_err(bad)?);
    for value in values {
        let whole = whole.to_mut();
        whole.push_str(", ");
        whole.push_str(std::str::from_utf8(value).map_err(bad)?);
    }
    Ok(whole)
}

/// The members of a dictionary: parted by commas outside quotes and parentheses.
fn members(text: &str) -> impl Iterator<Item = &str> {
    split(text, b',')
}

fn split(text: &str, at: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    let parts = std::iter::from_fn(move || {
        let text = rest?;
        let (part, after) = text.split_at_checked(end(text.as_bytes(), at))?;
        rest = after.get(1..);
        Some(part)
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// Where `at` stands first outside quotes and parentheses, or the end.
fn end(text: &[u8], at: u8) -> usize {
    if memchr::memchr(at, text).is_none() {
        return text.len();
    }
    let (mut quoted, mut depth) = (false, 0_i32);
    let found = text.iter().position(|byte| {
        match byte {
            b'"' => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth -= 1,
            _ => {}
        }
        *byte == at && !quoted && depth == 0
    });
    found.unwrap_or(text.len())
}

fn parse(member: &str) -> Option<Input<'_>> {
    let (label, raw) = member.split_once('=')?;
    let (list, parameters) = raw.strip_prefix('(')?.split_once(')')?;
    let components: Option<Vec<&str>> = list.split_ascii_whitespace().map(unquoted).collect();
    let components = components.filter(|all| all.len() <= COMPONENTS_MAX)?;
    let pairs = split(parameters, b';').map(|part| part.split_once('=').unwrap_or((part, "")));
    Some(Input { label, raw, components, parameters: pairs.collect() })
}

/// A component's name. One with parameters (`"a";sf`) is none that is known here.
fn unquoted(text: &str) -> Option<&str> {
    text.strip_prefix('"')?.strip_suffix('"').filter(|name| !name.contains('"') && !name.is_empty())
}

impl<'a> Input<'a> {
    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(own, _)| *own == name).map(|(_, value)| *value)
    }
}

/// The bytes under `label` in `Signature`.
fn signature_of(signatures: &str, label: &str) -> Option<Vec<u8>> {
    let found = members(signatures).find_map(|member| {
        let (own, value) = member.split_once('=')?;
        (own == label).then_some(value)
    })?;
    Encoding::Base64.decode(found.strip_prefix(':')?.strip_suffix(':')?.as_bytes())
}

/// The signature base (RFC 9421, section 2.5).
fn base(incoming: &Incoming<'_>, input: &Input<'_>) -> Result<Vec<u8>, Refusal> {
    let mut whole = Vec::with_capacity(BASE_USUAL);
    for (index, component) in input.components.iter().enumerate() {
        if input.components.iter().take(index).any(|other| other == component) {
            return Err(bad("Signature-Input", "a component stands twice in it"));
        }
        whole.push(b'"');
        whole.extend_from_slice(component.as_bytes());
        whole.extend_from_slice(b"\": ");
        match component.strip_prefix('@') {
            Some(name) => whole.extend_from_slice(derived(incoming, name)?.as_bytes()),
            None => push_header(&mut whole, incoming, component)?,
        }
        whole.push(b'\n');
    }
    whole.extend_from_slice(b"\"@signature-params\": ");
    whole.extend_from_slice(input.raw.as_bytes());
    Ok(whole)
}

/// Room for the signature base of an ordinary request, in bytes.
const BASE_USUAL: usize = 512;

/// The value of `@name` (RFC 9421, section 2.2).
fn derived<'a>(incoming: &Incoming<'a>, name: &str) -> Result<Cow<'a, str>, Refusal> {
    let url = incoming.url.split('#').next().unwrap_or_default();
    let target = message::path(url);
    Ok(Cow::Borrowed(match name {
        "method" => incoming.method,
        "target-uri" => url,
        "authority" => return Ok(Cow::Owned(authority(url))),
        "scheme" => url.split_once("://").map_or("https", |(scheme, _)| scheme),
        "path" => target.split('?').next().unwrap_or_default(),
        "query" => target.find('?').and_then(|at| target.get(at..)).unwrap_or("?"),
        "request-target" => target,
        _ => return Err(bad("Signature-Input", "a derived component is not known here")),
    }))
}

/// Host and port in lower case, without the scheme's own port.
fn authority(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let default = if scheme == "http" { ":80" } else { ":443" };
    let authority = rest.split(['/', '?']).next().unwrap_or_default().to_ascii_lowercase();
    authority.strip_suffix(default).unwrap_or(&authority).to_owned()
}

/// All values of a header as one (RFC 9421, section 2.1).
fn push_header(whole: &mut Vec<u8>, incoming: &Incoming<'_>, name: &str) -> Result<(), Refusal> {
    let mut values = incoming.values(name).map(<[u8]>::trim_ascii);
    let missing = || Refusal::Missing(Cow::Owned(format!("the signed header {name}")));
    whole.extend_from_slice(values.next().ok_or_else(missing)?);
    for value in values {
        whole.extend_from_slice(b", ");
        whole.extend_from_slice(value);
    }
    Ok(())
}

fn matches(
    key: &Key,
    algorithm: Algorithm,
    (base, signature): (&[u8], &[u8]),
    kid: Option<&str>,
) -> bool {
    match (algorithm, key) {
        (Algorithm::Hmac(hash), key) => {
            key.hmac(hash).is_some_and(|key| key.tag(&[base]).is(signature))
        }
        (algorithm, Key::Asymmetric(keys)) if algorithm.is_asymmetric() => {
            keys.candidates(kid).any(|key| key.verifies(algorithm, base, signature))
        }
        _ => false,
    }
}

/// Where the digest is covered, it must be of this body; one of SHA-256 and SHA-512 is enough.
fn digest(incoming: &Incoming<'_>, input: &Input<'_>) -> Result<(), Refusal> {
    if !input.components.contains(&"content-digest") {
        return Ok(());
    }
    let text = joined(incoming, "content-digest")?;
    let mut right = false;
    for member in members(&text) {
        let Some((name, value)) = member.split_once('=') else {
            return Err(bad("Content-Digest", "it is no list"));
        };
        let hash = match name {
            "sha-256" => Hash::Sha256,
            "sha-512" => Hash::Sha512,
            _ => continue,
        };
        let said = value.strip_prefix(':').and_then(|value| value.strip_suffix(':'));
        let said =
            said.and_then(|said| Encoding::Base64.decode(said.as_bytes())).unwrap_or_default();
        if !hash::same(&said, &hash.of(incoming.body)) {
            return Err(Refusal::BodyHash);
        }
        right = true;
    }
    if right { Ok(()) } else { Err(bad("Content-Digest", "it has neither sha-256 nor sha-512")) }
}

/// `created` must be there and near the clock, and `expires` not be over. Milliseconds of `created`.
fn times(now: i64, scheme: &HttpSignature, input: &Input<'_>) -> Result<i64, Refusal> {
    let time = |name: &str| -> Result<Option<i64>, Refusal> {
        let Some(text) = input.parameter(name) else { return Ok(None) };
        let seconds = crate::time::digits(text.as_bytes());
        seconds.map(Some).ok_or_else(|| bad("a time in Signature-Input", "it is no number"))
    };
    let created = time("created")?.ok_or(Refusal::Missing("created in Signature-Input".into()))?;
    let created_ms = created.saturating_mul(1000);
    within(created_ms, now, scheme.tolerance)?;
    if time("expires")?.is_some_and(|expires| expires < now) {
        return Err(Refusal::Claim { claim: "expires".into(), why: "is in the past" });
    }
    Ok(created_ms)
}

/// `Content-Digest` of a body.
pub(crate) fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", Encoding::Base64.encode(&Hash::Sha256.of(body)))
}

/// The signature base for components that are to be signed, with the text of `@signature-params`.
pub(crate) fn base_to_sign(
    incoming: &Incoming<'_>,
    components: &[&str],
    parameters: &str,
) -> Result<(String, Vec<u8>), Refusal> {
    let list: Vec<String> = components.iter().map(|component| format!("\"{component}\"")).collect();
    let raw = format!("({}){parameters}", list.join(" "));
    let input =
        Input { label: "", raw: &raw, components: components.to_vec(), parameters: Vec::new() };
    let base = base(incoming, &input)?;
    Ok((raw, base))
}
