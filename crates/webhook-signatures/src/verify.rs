//! The check itself: a request, a provider and its secrets in; a proof or a reason out.

use crate::encoding::Encoding;
use crate::hash::{self, Hash};
use crate::incoming::Incoming;
use crate::layout::{self, Group, SIGNATURES_MAX};
use crate::message::{self, Parts, Source};
use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::scheme::{Algorithm, Piece, Place, Scheme, Signed, Stamp, Token, Tolerance};
use crate::secret::{Key, Secret};
use crate::{field, form, json};
use std::borrow::Cow;

/// The proof that a request passed its provider's check. Only [`verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    scheme: usize,
    secret: Option<usize>,
    stamp_ms: Option<i64>,
}

impl Verified {
    /// Which of the provider's schemes it was, counting from 0.
    #[must_use]
    pub fn scheme(&self) -> usize {
        self.scheme
    }

    /// Which of the secrets it was, counting from 0; `None` when the provider checks nothing (`none`).
    #[must_use]
    pub fn secret(&self) -> Option<usize> {
        self.secret
    }

    /// The signed time in milliseconds since the Unix epoch, where the scheme has one that can be read.
    #[must_use]
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.stamp_ms
    }
}

/// Checks a request. `now` is Unix time in seconds; for a stored request give the time at which it came in.
///
/// Every secret is tried, so that an old and a new one work side by side. With no secret that fits nothing passes.
/// The cost is one hash of the body for each secret tried; at most ten signatures are compared, in constant time.
///
/// # Errors
/// The furthest that any of the provider's schemes came. [`Refusal::Need`] is no verdict yet: fetch that key, add it
/// to `secrets` with [`Secret::fetched`], and ask again.
pub fn verify(
    provider: &Provider,
    secrets: &[Secret],
    incoming: &Incoming<'_>,
    now: i64,
) -> Result<Verified, Refusal> {
    let mut furthest = Refusal::NoSecret;
    for (index, scheme) in provider.schemes.iter().enumerate() {
        let check = Check { provider, secrets, incoming, now, index };
        match check.scheme(scheme) {
            Ok(verified) => return Ok(verified),
            Err(refusal) if refusal.rank() > furthest.rank() => furthest = refusal,
            Err(_) => {}
        }
    }
    Err(furthest)
}

/// One scheme's check of one request.
#[derive(Clone, Copy)]
pub(crate) struct Check<'a> {
    pub(crate) provider: &'a Provider,
    pub(crate) secrets: &'a [Secret],
    pub(crate) incoming: &'a Incoming<'a>,
    pub(crate) now: i64,
    /// Which of the provider's schemes this is.
    pub(crate) index: usize,
}

impl<'a> Check<'a> {
    fn scheme(self, scheme: &'a Scheme) -> Result<Verified, Refusal> {
        match scheme {
            Scheme::None => Ok(Verified { scheme: self.index, secret: None, stamp_ms: None }),
            Scheme::Signed(signed) => self.signed(signed),
            Scheme::Token(token) => self.shared(&sent_tokens(token, self.incoming)?),
            Scheme::Basic => self.shared(&[basic(self.incoming)?]),
        }
    }

    pub(crate) fn passed(self, secret: usize, stamp_ms: Option<i64>) -> Verified {
        Verified { scheme: self.index, secret: Some(secret), stamp_ms }
    }

    /// The secrets that this scheme can use, with their places.
    pub(crate) fn keys(self) -> impl Iterator<Item = (usize, &'a Secret, &'a Key)> {
        let Self { secrets, index, .. } = self;
        let given = secrets.iter().enumerate().filter(|(_, secret)| secret.from().is_none());
        given.filter_map(move |(at, secret)| Some((at, secret, secret.key(index)?)))
    }

    /// All that was sent must be one and the same secret.
    fn shared(self, sent: &[Vec<u8>]) -> Result<Verified, Refusal> {
        if self.keys().next().is_none() {
            return Err(Refusal::NoSecret);
        }
        for (at, secret, _) in self.keys() {
            if !sent.is_empty()
                && sent.iter().all(|token| hash::same(token, secret.expose().as_bytes()))
            {
                return Ok(self.passed(at, None));
            }
        }
        Err(Refusal::WrongToken)
    }

    fn signed(self, signed: &'a Signed) -> Result<Verified, Refusal> {
        if self.keys().next().is_none() {
            return Err(Refusal::NoSecret);
        }
        self.applies(signed)?;
        let body = self.incoming.body;
        let Some(array) = &signed.each else { return self.one(signed, body) };
        let elements =
            json::find(body, array).and_then(|array| json::elements(array, ELEMENTS_MAX + 1));
        let elements = elements.unwrap_or_default();
        if elements.len() > ELEMENTS_MAX {
            return Err(Refusal::Malformed {
                what: "the body".into(),
                why: "it has more than 100 signed items",
            });
        }
        let mut last = Err(Refusal::Missing("the array of signed items".into()));
        for element in elements {
            last = Ok(self.one(signed, element)?);
        }
        last
    }

    fn applies(self, signed: &Signed) -> Result<(), Refusal> {
        if let Some((wanted, value)) = &signed.when
            && field::read(wanted, self.incoming, self.incoming.body).as_deref()
                != Some(value.as_bytes())
        {
            return Err(Refusal::DoesNotApply(Cow::Owned(format!(
                "it is for requests that say {value:?}"
            ))));
        }
        if let Some(name) = &signed.body_hash_query
            && let Some(wanted) = self.incoming.query(name)
        {
            let wanted = Encoding::Hex.decode(&wanted).unwrap_or_default();
            if !hash::same(&Hash::Sha256.of(self.incoming.body), &wanted) {
                return Err(Refusal::BodyHash);
            }
        }
        Ok(())
    }

    /// The check of the body, or of one element of it.
    fn one(self, signed: &'a Signed, body: &'a [u8]) -> Result<Verified, Refusal> {
        let texts = signature_texts(&signed.signatures, self.incoming, body)?;
        let mut furthest = Refusal::Malformed {
            what: "the signature".into(),
            why: "it is not in the form expected",
        };
        let mut compared = 0;
        for group in texts.iter().flat_map(|(place, text)| layout::split(&place.layout, text)) {
            if compared >= SIGNATURES_MAX {
                break;
            }
            compared += group.signatures.len();
            match self.group(signed, body, &group) {
                Ok(verified) => return Ok(verified),
                Err(refusal) if refusal.rank() >= furthest.rank() => furthest = refusal,
                Err(_) => {}
            }
        }
        Err(furthest)
    }

    fn group(
        self,
        signed: &'a Signed,
        body: &'a [u8],
        group: &Group<'_>,
    ) -> Result<Verified, Refusal> {
        let length = signed.algorithm;
        let signatures: Vec<_> = group
            .signatures
            .iter()
            .filter_map(|text| signed.encoding.decode(text))
            .filter(|s| fits(length, s))
            .collect();
        if signatures.is_empty() {
            let why = "it is not in the encoding expected, or has another length";
            return Err(Refusal::Malformed { what: "the signature".into(), why });
        }
        let stamp = match &signed.stamp {
            Some(stamp) => Some(stamp_text(stamp, group, self.incoming, body)?),
            None => None,
        };
        let uses_url = signed.message.iter().any(|piece| matches!(piece, Piece::Url | Piece::Path));
        let urls = if uses_url {
            message::urls(self.incoming.url, signed.url)
        } else {
            vec![Cow::Borrowed("")]
        };
        let mut secrets = 0;
        for (at, secret, key) in self.keys() {
            secrets += 1;
            for url in &urls {
                let source = Source {
                    provider: self.provider,
                    signed,
                    incoming: self.incoming,
                    body,
                    url,
                    stamp: stamp.as_deref(),
                    names: group.names,
                    secret: secret.expose(),
                };
                if matches(signed.algorithm, key, &message::parts(source)?, &signatures) {
                    let stamp_ms = self.fresh(signed.stamp.as_ref(), stamp.as_deref())?;
                    return Ok(self.passed(at, stamp_ms));
                }
            }
        }
        Err(Refusal::NoMatch { signatures: signatures.len(), secrets })
    }

    /// The signed time, once it is found to be near enough to the clock.
    fn fresh(self, stamp: Option<&Stamp>, text: Option<&[u8]>) -> Result<Option<i64>, Refusal> {
        let (Some(stamp), Some(text)) = (stamp, text) else { return Ok(None) };
        let at_ms = stamp.unit.parse(text);
        if stamp.tolerance == Tolerance::OFF {
            return Ok(at_ms);
        }
        let at_ms = at_ms.ok_or(Refusal::Malformed {
            what: "the timestamp".into(),
            why: "it is no plain number or date",
        })?;
        within(at_ms, self.now, stamp.tolerance)?;
        Ok(Some(at_ms))
    }
}

/// Whether a time in milliseconds is within `tolerance` of `now` in seconds.
pub(crate) fn within(at_ms: i64, now: i64, tolerance: Tolerance) -> Result<(), Refusal> {
    let age_ms = now.saturating_mul(1000).saturating_sub(at_ms);
    if let Some(limit_s) = tolerance.past
        && age_ms > i64::from(limit_s) * 1000
    {
        return Err(Refusal::TooOld { age_s: age_ms / 1000, limit_s });
    }
    if let Some(limit_s) = tolerance.future
        && age_ms < -i64::from(limit_s) * 1000
    {
        return Err(Refusal::InFuture { ahead_s: age_ms / -1000, limit_s });
    }
    Ok(())
}

/// How many elements of an array may carry a signature of their own.
const ELEMENTS_MAX: usize = 100;

/// Whether a decoded signature has the length that this algorithm's signatures have.
fn fits(algorithm: Algorithm, signature: &[u8]) -> bool {
    match algorithm {
        Algorithm::Hmac(hash) | Algorithm::Digest(hash) => signature.len() == hash.length(),
        Algorithm::Ed25519 | Algorithm::EcdsaP256Fixed => signature.len() == 64,
        Algorithm::EcdsaP256 => (8..=72).contains(&signature.len()),
        Algorithm::RsaSha1 | Algorithm::RsaSha256 | Algorithm::RsaSha512 => {
            (128..=1024).contains(&signature.len())
        }
    }
}

fn matches(algorithm: Algorithm, key: &Key, parts: &Parts<'_>, signatures: &[Vec<u8>]) -> bool {
    let slices: Vec<&[u8]> = parts.iter().map(|part| &**part).collect();
    match (algorithm, key) {
        (Algorithm::Hmac(hash), Key::Hmac(key)) if key.hash() == hash => {
            let tag = key.tag(&slices);
            // No early end: how many were compared tells nothing.
            signatures.iter().fold(false, |found, signature| found | tag.is(signature))
        }
        (Algorithm::Digest(hash), Key::Text) => {
            let digest = hash.of_parts(&slices);
            signatures.iter().fold(false, |found, signature| found | hash::same(&digest, signature))
        }
        (algorithm, Key::Asymmetric(keys)) if algorithm.is_asymmetric() => {
            let message = slices.concat();
            signatures.iter().any(|signature| {
                keys.candidates(None).any(|key| key.verifies(algorithm, &message, signature))
            })
        }
        _ => false,
    }
}

/// The texts in which signatures may stand, each with its place.
type Texts<'a> = Vec<(&'a Place, Cow<'a, [u8]>)>;

fn signature_texts<'a>(
    places: &'a [Place],
    incoming: &Incoming<'a>,
    body: &'a [u8],
) -> Result<Texts<'a>, Refusal> {
    let mut texts = Vec::new();
    for place in places {
        if let Some(name) = place.at.as_header() {
            let values = incoming.values(name).take(SIGNATURES_MAX);
            texts.extend(values.map(|value| (place, Cow::Borrowed(value.trim_ascii()))));
        } else {
            texts.extend(field::read(&place.at, incoming, body).map(|text| (place, text)));
        }
    }
    if texts.is_empty() {
        let name = places.first().map_or(Cow::Borrowed("the signature"), |place| place.at.shown());
        return Err(Refusal::Missing(name));
    }
    Ok(texts)
}

fn stamp_text<'a>(
    stamp: &Stamp,
    group: &Group<'a>,
    incoming: &Incoming<'a>,
    body: &'a [u8],
) -> Result<Cow<'a, [u8]>, Refusal> {
    let Some(at) = &stamp.at else {
        return group
            .stamp
            .map(Cow::Borrowed)
            .ok_or(Refusal::Missing("the timestamp beside the signature".into()));
    };
    match at.as_header() {
        Some(name) => message::one_header(incoming, name).map(Cow::Borrowed),
        None => field::read(at, incoming, body).ok_or_else(|| Refusal::Missing(at.shown())),
    }
}

/// The tokens that a request carries; all of them must be right.
fn sent_tokens(token: &Token, incoming: &Incoming<'_>) -> Result<Vec<Vec<u8>>, Refusal> {
    let one = |token: Option<Vec<u8>>, name: Cow<'static, str>| {
        token.map(|t| vec![t]).ok_or(Refusal::Missing(name))
    };
    match token {
        Token::Header(name) => Ok(vec![message::one_header(incoming, name)?.to_vec()]),
        Token::Bearer => {
            let value = message::one_header(incoming, "authorization")?;
            one(after_word(value, "bearer").map(<[u8]>::to_vec), "the bearer token".into())
        }
        Token::Query(name) => {
            one(incoming.query(name), Cow::Owned(format!("the query parameter {name}")))
        }
        Token::Field(wanted) => {
            one(field::read(wanted, incoming, incoming.body).map(Cow::into_owned), wanted.shown())
        }
        Token::Each { array, pointer } => {
            let missing =
                || Refusal::Missing(Cow::Owned(format!("{pointer} in each element of {array}")));
            let array = json::find(incoming.body, array)
                .and_then(|array| json::elements(array, form::PAIRS_MAX + 1));
            let elements = array
                .filter(|all| !all.is_empty() && all.len() <= form::PAIRS_MAX)
                .ok_or_else(missing)?;
            let tokens = elements.into_iter().map(|element| json::find_text(element, pointer));
            tokens
                .map(|token| token.map(|t| t.into_owned().into_bytes()).ok_or_else(missing))
                .collect()
        }
        Token::AnyOf(tokens) => {
            let mut last = Err(Refusal::Missing("the token".into()));
            for token in tokens {
                last = sent_tokens(token, incoming);
                if last.is_ok() {
                    break;
                }
            }
            last
        }
    }
}

/// `Bearer x` → `x`, the word in any case.
pub(crate) fn after_word<'a>(value: &'a [u8], word: &str) -> Option<&'a [u8]> {
    let (head, rest) = value.split_at_checked(word.len())?;
    let rest = rest.strip_prefix(b" ")?.trim_ascii();
    (head.eq_ignore_ascii_case(word.as_bytes()) && !rest.is_empty()).then_some(rest)
}

/// `user:password` of HTTP Basic (RFC 7617).
fn basic(incoming: &Incoming<'_>) -> Result<Vec<u8>, Refusal> {
    let value = message::one_header(incoming, "authorization")?;
    let text =
        after_word(value, "basic").ok_or(Refusal::Missing("the Basic credentials".into()))?;
    Encoding::Base64.decode(text).ok_or(Refusal::Malformed {
        what: "the Basic credentials".into(),
        why: "they are not base64",
    })
}
