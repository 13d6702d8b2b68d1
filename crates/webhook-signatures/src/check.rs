//! What every scheme's check shares: the request with its secrets, where keys come from, and how old is too old.

use crate::der::Validity;
use crate::incoming::Incoming;
use crate::key::KeyRequest;
use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::scheme::{Algorithm, KeySource, Stamp, Tolerance};
use crate::secret::{Key, Secret};
use crate::survey::{Sought, survey};
use crate::{field, urls};
use std::borrow::Cow;

/// The proof that a request passed its provider's check. Only [`crate::verify()`] makes one.
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

    /// The signed time in milliseconds since the Unix epoch, where the scheme has one.
    #[must_use]
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.stamp_ms
    }
}

/// A secret with its place in the list and what it is to a scheme.
pub(crate) type Usable<'a> = (usize, &'a Secret, &'a Key);

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
    /// For the scheme that checks nothing.
    pub(crate) fn open(self) -> Verified {
        Verified { scheme: self.index, secret: None, stamp_ms: None }
    }

    /// For a right signature by the secret at this place, unless the key stands in a certificate that is not good now.
    pub(crate) fn passed(self, secret: usize, stamp_ms: Option<i64>) -> Result<Verified, Refusal> {
        let key = self.secrets.get(secret).and_then(|secret| secret.key(self.index));
        if let Some(Key::Asymmetric(keys)) = key
            && let Some(Validity { from, until }) = keys.out_of_date(self.now)
        {
            return Err(Refusal::Certificate { from, until });
        }
        Ok(Verified { scheme: self.index, secret: Some(secret), stamp_ms })
    }

    /// The secrets that the operator gave for this scheme, with their places.
    pub(crate) fn keys(self) -> impl Iterator<Item = Usable<'a>> {
        let Self { secrets, index, .. } = self;
        let given = secrets.iter().enumerate().filter(|(_, secret)| secret.from().is_none());
        given.filter_map(move |(at, secret)| Some((at, secret, secret.key(index)?)))
    }

    /// The keys to check with: what the operator gave, else what was fetched from the one place that this request's
    /// key must come from.
    pub(crate) fn keys_from(
        self,
        source: &KeySource,
        body: &[u8],
        kid: Option<&str>,
    ) -> Result<Vec<Usable<'a>>, Refusal> {
        let given: Vec<_> = self.keys().collect();
        if !given.is_empty() {
            return Ok(given);
        }
        let request = match source {
            KeySource::Given => return Err(Refusal::NoSecret),
            KeySource::Fixed(url) => urls::get(url),
            KeySource::Setting(name) => {
                urls::get(self.provider.setting(name).ok_or_else(|| Refusal::NotSet(name.clone()))?)
            }
            KeySource::Named { at, rule } => {
                let url = field::read(at, self.incoming, body)
                    .ok_or_else(|| Refusal::Missing(at.shown()))?;
                urls::named(*rule, &String::from_utf8_lossy(&url), body)?
            }
            KeySource::Plaid => {
                urls::plaid(self.provider, kid.ok_or(Refusal::Missing("the token's kid".into()))?)?
            }
        };
        let fetched = self.secrets.iter().enumerate().filter(|(_, secret)| {
            secret.from().is_some_and(|from| from.url == request.url && from.post == request.post)
        });
        let fetched: Vec<_> = fetched
            .filter_map(|(at, secret)| Some((at, secret, secret.key(self.index)?)))
            .collect();
        let known = |key: &Key| match key {
            Key::Asymmetric(keys) => keys.candidates(kid).next().is_some(),
            Key::Text | Key::Hmac(_) | Key::Hmacs(_) => false,
        };
        if fetched.iter().any(|(_, _, key)| known(key)) {
            return Ok(fetched);
        }
        Err(Refusal::Need(KeyRequest { again: !fetched.is_empty(), ..request }))
    }

    /// The signed time, once it is found to be near enough to the clock. It must be a time even where none is too old: else
    /// who has one signed request could pass a part of its body off as time, and the rest as the body.
    pub(crate) fn fresh(
        self,
        stamp: Option<&Stamp>,
        text: Option<&[u8]>,
    ) -> Result<Option<i64>, Refusal> {
        let (Some(stamp), Some(text)) = (stamp, text) else { return Ok(None) };
        let why = "its time is not written as this provider writes it";
        let at_ms = stamp.unit.parse(text).ok_or(Refusal::Time { why })?;
        let Tolerance { past, future } = stamp.tolerance;
        if (past.is_none() || future.is_none()) && !is_plausible(at_ms) {
            let why = "its time is not between the years 2001 and 2286: it may be in milliseconds where seconds are meant, \
                       or the other way round";
            return Err(Refusal::Time { why });
        }
        within(at_ms, self.now, stamp.tolerance)?;
        Ok(Some(at_ms))
    }
}

/// Whether a time in milliseconds since the epoch has ten digits in seconds. Where a time is signed with nothing between it
/// and the body, it must not be possible to move a digit from one to the other.
pub(crate) fn is_plausible(at_ms: i64) -> bool {
    (1_000_000_000_000..10_000_000_000_000).contains(&at_ms)
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

/// For a body of which some is signed and the rest is not.
pub(crate) const TWICE: Refusal = Refusal::Malformed {
    what: Cow::Borrowed("the body"),
    why: "a key stands twice in it, so it is not clear which one was signed",
};

/// Refuses a JSON body in which a key stands twice.
pub(crate) fn unambiguous(body: &[u8]) -> Result<(), Refusal> {
    let nothing = Sought { each: None, pointers: &[], parts_max: 1 };
    survey(body, nothing).map(drop).ok_or(TWICE)
}

/// Public-key signatures are a feature of the build.
pub(crate) fn supported(algorithm: Algorithm) -> Result<(), Refusal> {
    if algorithm.is_asymmetric() && cfg!(not(feature = "asymmetric")) {
        return Err(Refusal::Unsupported("public-key signatures (the feature `asymmetric`)"));
    }
    Ok(())
}

/// Whether a decoded signature has the length that this algorithm's signatures have.
pub(crate) fn fits(algorithm: Algorithm, signature: &[u8]) -> bool {
    match algorithm {
        Algorithm::Hmac(hash) | Algorithm::Digest(hash) => signature.len() == hash.length(),
        Algorithm::Ed25519 | Algorithm::EcdsaP256Fixed => signature.len() == 64,
        Algorithm::EcdsaP256 => (8..=72).contains(&signature.len()),
        Algorithm::RsaSha1 | Algorithm::RsaSha256 | Algorithm::RsaSha512 => {
            (128..=1024).contains(&signature.len())
        }
    }
}

/// `Bearer x` → `x`, the word in any case.
pub(crate) fn after_word<'a>(value: &'a [u8], word: &str) -> Option<&'a [u8]> {
    let (head, rest) = value.split_at_checked(word.len())?;
    let rest = rest.strip_prefix(b" ")?.trim_ascii();
    (head.eq_ignore_ascii_case(word.as_bytes()) && !rest.is_empty()).then_some(rest)
}
