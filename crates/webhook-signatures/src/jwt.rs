//! JSON Web Tokens and detached JWS, with the algorithm pinned: what the token names must be allowed by the scheme
//! and fit the kind of key, so neither `none` nor an HMAC keyed by a public key can pass.

use crate::check::{Check, Verified, after_word, fits, supported, unambiguous, within};
use crate::encoding::Encoding;
use crate::hash::Hash;
use crate::json::{self, Known};
use crate::message::{self, Source};
use crate::refusal::Refusal;
use crate::scheme::{Algorithm, Claims, Field, Jwt, Tolerance};
use crate::secret::Key;

use crate::field::{self, Seen};
use std::borrow::Cow;

/// What `alg` calls an algorithm (RFC 7518, 3.1; RFC 8037).
pub(crate) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Hmac(Hash::Sha256) => "HS256",
        Algorithm::Hmac(Hash::Sha384) => "HS384",
        Algorithm::Hmac(Hash::Sha512) => "HS512",
        Algorithm::RsaSha256 => "RS256",
        Algorithm::RsaSha512 => "RS512",
        Algorithm::EcdsaP256Fixed => "ES256",
        Algorithm::Ed25519 => "EdDSA",
        // No JWT has these; a name that no token carries keeps them out.
        Algorithm::Hmac(Hash::Sha1)
        | Algorithm::Digest(_)
        | Algorithm::EcdsaP256
        | Algorithm::RsaSha1 => "\0",
    }
}

/// A token taken apart; nothing of it is verified yet.
struct Token<'a> {
    /// Header, dot and payload as they are signed.
    signed: Cow<'a, [u8]>,
    /// In base64url, as it stands there.
    header: &'a [u8],
    claims: Vec<u8>,
    signature: Vec<u8>,
}

/// The longest token that is read, in bytes.
const TOKEN_MAX: usize = 16_384;

pub(crate) fn verify<'a>(check: Check<'a>, jwt: &'a Jwt) -> Result<(Verified, Seen<'a>), Refusal> {
    let body = check.incoming.body;
    let text = field::read(&jwt.at, check.incoming, body)
        .ok_or_else(|| Refusal::Missing(jwt.at.shown()))?;
    if matches!(jwt.at, Field::Json(_)) {
        unambiguous(body)?;
    }
    let text = after_word(&text, "bearer").unwrap_or(&text);
    let payload = detached(check, jwt)?;
    let token = take_apart(text, payload.as_deref())?;
    let Header { algorithm, kid } = header(token.header, jwt)?;
    if !fits(algorithm, &token.signature) {
        return Err(bad("the token", "its signature has another length than its algorithm's"));
    }
    let keys = check.keys_from(&jwt.source, check.incoming.body, kid.as_deref())?;
    let found = keys.iter().find(|(_, _, key)| matches(key, algorithm, &token, kid.as_deref()));
    let (at, _, _) = found.ok_or(Refusal::NoMatch { signatures: 1, secrets: keys.len() })?;
    let stamp_ms = match jwt.detached {
        Some(_) => fresh(check, jwt)?,
        None => claims(check, &jwt.claims, &token.claims)?,
    };
    let verified = check.passed(*at, stamp_ms)?;
    let claims = jwt.detached.is_none().then_some((&jwt.at, token.claims));
    Ok((verified, Seen { claims, ..Seen::default() }))
}

fn bad(what: &'static str, why: &'static str) -> Refusal {
    Refusal::Malformed { what: what.into(), why }
}

fn take_apart<'a>(text: &'a [u8], detached: Option<&'a str>) -> Result<Token<'a>, Refusal> {
    let (header, payload, signature) =
        three_parts(text).ok_or_else(|| bad("the token", "it has not three parts"))?;
    if text.len() > TOKEN_MAX {
        return Err(bad("the token", "it is longer than 16 KiB"));
    }
    if detached.is_some() && !payload.is_empty() {
        return Err(bad("the token", "it has a payload where a detached one has none"));
    }
    let signed = match detached {
        Some(payload) => Cow::Owned([header, b".", payload.as_bytes()].concat()),
        None => Cow::Borrowed(text.get(..header.len() + 1 + payload.len()).unwrap_or_default()),
    };
    let payload = detached.map_or(payload, str::as_bytes);
    Ok(Token { signed, header, claims: decode(payload)?, signature: decode(signature)? })
}

fn decode(part: &[u8]) -> Result<Vec<u8>, Refusal> {
    Encoding::Base64Url.decode(part).ok_or_else(|| bad("the token", "a part is not base64url"))
}

/// What of a token's header counts.
struct Header {
    algorithm: Algorithm,
    kid: Option<String>,
}

/// `{"alg":"HS256","typ":"JWT"}` and the same the other way round: the headers of nearly all tokens that are signed so
/// need not be decoded and walked over.
const HS256: [&[u8]; 2] =
    [b"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", b"eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9"];

fn header(part: &[u8], jwt: &Jwt) -> Result<Header, Refusal> {
    if HS256.contains(&part) {
        return Ok(Header {
            algorithm: allowed(name(Algorithm::Hmac(Hash::Sha256)), jwt)?,
            kid: None,
        });
    }
    let text = decode(part)?;
    let said = Known::of(["/alg", "/crit", "/kid"], &text);
    let algorithm = allowed(&said.text("/alg").unwrap_or_default(), jwt)?;
    if said.raw("/crit").is_some() {
        return Err(bad("the token", "it has critical extensions, and none is known here"));
    }
    Ok(Header { algorithm, kid: said.text("/kid").map(Cow::into_owned) })
}

fn allowed(named: &str, jwt: &Jwt) -> Result<Algorithm, Refusal> {
    let algorithm = jwt.algorithms.iter().copied().find(|algorithm| name(*algorithm) == named);
    let algorithm =
        algorithm.ok_or_else(|| Refusal::Algorithm { found: named.chars().take(16).collect() })?;
    supported(algorithm)?;
    Ok(algorithm)
}

fn three_parts(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let mut dots = memchr::memchr_iter(b'.', text);
    let (first, second) = (dots.next()?, dots.next()?);
    let is_last = dots.next().is_none();
    let parts = (text.get(..first)?, text.get(first + 1..second)?, text.get(second + 1..)?);
    is_last.then_some(parts)
}

fn matches(key: &Key, algorithm: Algorithm, token: &Token<'_>, kid: Option<&str>) -> bool {
    match (algorithm, key) {
        (Algorithm::Hmac(hash), key) => {
            key.hmac(hash).is_some_and(|key| key.tag(&[&token.signed]).is(&token.signature))
        }
        (algorithm, Key::Asymmetric(keys)) if algorithm.is_asymmetric() => {
            keys.candidates(kid).any(|key| key.verifies(algorithm, &token.signed, &token.signature))
        }
        _ => false,
    }
}

/// The payload that a detached JWS signs, in base64url.
fn detached(check: Check<'_>, jwt: &Jwt) -> Result<Option<String>, Refusal> {
    let Some(pieces) = &jwt.detached else { return Ok(None) };
    let incoming = check.incoming;
    let stamp = jwt
        .stamp
        .as_ref()
        .and_then(|stamp| field::read(stamp.at.as_ref()?, incoming, incoming.body));
    let source = Source {
        provider: check.provider,
        message: pieces,
        id: None,
        body_hash_query: None,
        incoming,
        body: incoming.body,
        values: None,
        url: incoming.url,
        stamp: stamp.as_deref(),
        names: None,
        secret: "",
    };
    let payload: Vec<u8> = message::parts(source)?.concat();
    Ok(Some(Encoding::Base64Url.encode(&payload)))
}

fn fresh(check: Check<'_>, jwt: &Jwt) -> Result<Option<i64>, Refusal> {
    let incoming = check.incoming;
    let stamp = jwt.stamp.as_ref();
    let text = stamp.and_then(|stamp| field::read(stamp.at.as_ref()?, incoming, incoming.body));
    check.fresh(stamp, text.as_deref())
}

/// Clocks may differ by this much when `exp` and `nbf` are checked, in seconds.
const LEEWAY_S: i64 = 1;

fn claims(check: Check<'_>, wanted: &Claims, claims: &[u8]) -> Result<Option<i64>, Refusal> {
    let mut claimed = claimed(wanted, claims).in_order();
    let [issuer, exp, nbf, iat] = std::array::from_fn(|_| claimed.next().flatten());
    if !wanted.issuers.is_empty() {
        let issuer = issuer.and_then(json::text);
        if !wanted.issuers.iter().any(|known| Some(known.as_ref()) == issuer.as_deref()) {
            return Err(wrong("iss", "is not the provider's"));
        }
    }
    for (claim, setting) in &wanted.equal {
        let value =
            check.provider.setting(setting).ok_or_else(|| Refusal::NotSet(setting.clone()))?;
        if !claimed.next().flatten().is_some_and(|raw| is_or_has(raw, value)) {
            return Err(wrong(claim, "is not the configured value"));
        }
    }
    for claim in &wanted.truths {
        if claimed.next().flatten() != Some(b"true") {
            return Err(wrong(claim, "is not true"));
        }
    }
    for claim in &wanted.present {
        let raw = claimed.next().flatten().unwrap_or_default();
        let is_text =
            json::text(raw).is_some_and(|text| raw.starts_with(b"\"") && !text.trim().is_empty());
        if !is_text && json::keys(raw, 1).is_empty() {
            return Err(wrong(claim, "is missing"));
        }
    }
    hashes(check, wanted, claimed)?;
    times(check.now, wanted, [exp, nbf, iat])
}

/// All that a scheme looks at, found in one walk, in the order in which it is looked at.
fn claimed<'a, 'p>(wanted: &'p Claims, claims: &'a [u8]) -> Known<'a, 'p> {
    let equal = wanted.equal.iter().map(|(claim, _)| claim);
    let body_hash = wanted.body_hash.iter().map(|(claim, _)| claim);
    let others = equal.chain(&wanted.truths).chain(&wanted.present);
    let others = others.chain(body_hash).chain(&wanted.url_hash);
    let pointers = ["/iss", "/exp", "/nbf", "/iat"].into_iter().chain(others.map(AsRef::as_ref));
    Known::of(pointers, claims)
}

/// A claim that is this text, or a list with it (`aud`, RFC 7519, 4.1.3).
fn is_or_has(raw: &[u8], value: &str) -> bool {
    match json::elements(raw, 20) {
        Some(elements) => {
            elements.into_iter().filter_map(json::text).any(|element| element == value)
        }
        None => json::text(raw).is_some_and(|text| text == value),
    }
}

fn wrong(claim: &str, why: &'static str) -> Refusal {
    Refusal::Claim { claim: Cow::Owned(claim.trim_start_matches('/').to_owned()), why }
}

/// The claims that are hashes of the body and of the public URL.
fn hashes<'a>(
    check: Check<'_>,
    wanted: &Claims,
    mut claimed: impl Iterator<Item = Option<&'a [u8]>>,
) -> Result<(), Refusal> {
    if let Some((claim, encoding)) = &wanted.body_hash {
        let body = check.incoming.body;
        let said = claimed.next().flatten().filter(|said| *said != b"null");
        let may_lack = wanted.body_may_be_empty && body.is_empty();
        match said {
            Some(said) if !is_hash_of(body, said, *encoding) => return Err(Refusal::BodyHash),
            None if !may_lack => return Err(wrong(claim, "is missing")),
            Some(_) | None => {}
        }
    }
    let url = check.incoming.url.as_bytes();
    if wanted.url_hash.is_some()
        && !claimed.next().flatten().is_some_and(|said| is_hash_of(url, said, Encoding::Hex))
    {
        return Err(Refusal::Claim { claim: "url_hash".into(), why: "is not of this public URL" });
    }
    Ok(())
}

/// Whether a claim is the SHA-256 of these bytes.
fn is_hash_of(bytes: &[u8], claim: &[u8], encoding: Encoding) -> bool {
    // No digit needs an escape, so most can be read as they stand there.
    let plain = claim.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\""));
    let said = plain.and_then(|text| encoding.decode(text));
    let said = said.or_else(|| encoding.decode(json::text(claim)?.as_bytes()));
    said.is_some_and(|said| Hash::Sha256.tag(&[bytes]).is(&said))
}

/// `exp`, `nbf` and `iat`; the time of `iat` in milliseconds.
fn times(
    now: i64,
    wanted: &Claims,
    [exp, nbf, iat]: [Option<&[u8]>; 3],
) -> Result<Option<i64>, Refusal> {
    let time = |raw: Option<&[u8]>| -> Result<Option<i64>, Refusal> {
        let Some(raw) = raw else { return Ok(None) };
        // A NumericDate may have a fraction (RFC 7519, 2); whole seconds are enough here.
        let whole = raw.split(|byte| *byte == b'.').next().unwrap_or_default();
        crate::time::digits(whole)
            .map(Some)
            .ok_or_else(|| bad("a time in the token", "it is no number"))
    };
    match time(exp)? {
        Some(exp) if now >= exp.saturating_add(LEEWAY_S) => {
            return Err(Refusal::Claim { claim: "exp".into(), why: "is in the past" });
        }
        None if wanted.expires => {
            return Err(Refusal::Claim { claim: "exp".into(), why: "is missing" });
        }
        _ => {}
    }
    if time(nbf)?.is_some_and(|nbf| nbf > now.saturating_add(LEEWAY_S)) {
        return Err(Refusal::Claim { claim: "nbf".into(), why: "is in the future" });
    }
    let issued_ms = time(iat)?.map(|iat| iat.saturating_mul(1000));
    match (wanted.issued.unwrap_or(Tolerance::OFF), issued_ms) {
        (Tolerance::OFF, _) => {}
        (_, None) => return Err(Refusal::Claim { claim: "iat".into(), why: "is missing" }),
        (tolerance, Some(at_ms)) => within(at_ms, now, tolerance)?,
    }
    Ok(issued_ms)
}
