//! Why a request does not verify, found out by trying: the debugger behind `verify` and `explain`.
//!
//! Each likely mistake is undone, one at a time, and the check is run again. A finding that made it pass is proved.
//! This is for operators, after the fact: it runs many checks, and what it says must not reach the sender.

mod variants;

use crate::check::{Verified, is_plausible};
use crate::encoding::Encoding;
use crate::field;
use crate::handshake::{Handshake, handshake};
use crate::hash::Hash;
use crate::incoming::Incoming;
use crate::layout;
use crate::message::{self, Source};
use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::scheme::{Algorithm, KeyForm, Layout, Scheme, Signed, Text, Tolerance};
use crate::secret::Secret;
use crate::verify::verify;
use std::borrow::Cow;
use variants::{body_variants, secret_variants, url_variants};

/// What was found about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The verdict itself.
    pub verdict: Result<Verified, Refusal>,
    /// The findings, the proved ones first; empty when the request passes.
    pub findings: Vec<Finding>,
    /// The exact text that is signed, where the scheme has one: bytes that are no text are shown as U+FFFD, the secret
    /// as `***`, and at most [`SHOWN_MAX`] bytes.
    pub signed_text: Option<String>,
    /// The signature as it was sent.
    pub received: Option<String>,
    /// Where the proof stands, such as `the header x-signature`; the first place of those that the row has, where the
    /// request has none of them.
    pub place: Option<Text>,
    /// How far the clock is ahead of the request's own time, in milliseconds, where it has one that can be read.
    pub skew_ms: Option<i64>,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// A short stable name.
    pub code: &'static str,
    /// Whether undoing it made the request pass.
    pub certainty: Certainty,
    /// What happened and what to do about it.
    pub sentence: String,
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// With this undone the request passes.
    Proved,
    /// It is so, but whether it matters is not known.
    Likely,
}

/// A secret of another source, with the name to call it by.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// The other source.
    pub name: &'a str,
    /// Its secret's text.
    pub text: &'a str,
}

impl std::fmt::Debug for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Known({}, ***)", self.name)
    }
}

/// How much of the signed text is shown, in bytes.
pub const SHOWN_MAX: usize = 4096;
/// Bodies longer than this are not rewritten in trials, in bytes.
const REWRITTEN_MAX: usize = 1 << 20;

/// Tries the likely mistakes. `known` are the secrets of other sources, to find one that was mixed up.
#[must_use]
pub fn explain(
    provider: &Provider,
    secrets: &[Secret],
    known: &[Known<'_>],
    incoming: &Incoming<'_>,
    now: i64,
) -> Explanation {
    let verdict = verify(provider, secrets, incoming, now);
    let mut trials = Trials { provider, secrets, incoming, now, findings: Vec::new() };
    let shown = shown(provider, secrets, incoming);
    let stamp_ms = shown.as_ref().and_then(|shown| shown.stamp_ms);
    if let Err(refusal) = &verdict
        && !trials.question()
        && !trials.time(refusal, stamp_ms)
    {
        trials.secrets(known);
        trials.body();
        trials.url();
        trials.scheme();
        trials.looks(refusal);
    }
    let mut findings = trials.findings;
    findings.sort_by_key(|finding| finding.certainty != Certainty::Proved);
    let place = shown.as_ref().map_or_else(
        || provider.schemes.iter().find_map(Scheme::place),
        |shown| Some(shown.place.clone()),
    );
    let stamp_ms = verdict.as_ref().ok().and_then(Verified::timestamp_ms).or(stamp_ms);
    let skew_ms = stamp_ms
        .filter(|stamp_ms| is_plausible(*stamp_ms))
        .map(|stamp_ms| now.saturating_mul(1000).saturating_sub(stamp_ms));
    let (signed_text, received) =
        shown.map_or((None, None), |shown| (shown.signed, Some(shown.received)));
    Explanation { verdict, findings, signed_text, received, place, skew_ms }
}

/// Whether a time in milliseconds is none, and would be one if its unit were the other.
fn is_other_unit(stamp_ms: i64) -> bool {
    let others = [stamp_ms / 1000, stamp_ms.saturating_mul(1000)];
    !is_plausible(stamp_ms) && others.into_iter().any(is_plausible)
}

/// What a request shows of its signature, right or not.
struct Shown {
    place: Text,
    received: String,
    signed: Option<String>,
    stamp_ms: Option<i64>,
}

struct Trials<'a> {
    provider: &'a Provider,
    secrets: &'a [Secret],
    incoming: &'a Incoming<'a>,
    now: i64,
    findings: Vec<Finding>,
}

impl Trials<'_> {
    /// Whether the signature is right, its age aside.
    fn passes(&self, provider: &Provider, secrets: &[Secret], incoming: &Incoming<'_>) -> bool {
        let provider = provider.clone().with_tolerance(Tolerance::OFF);
        let verdict = verify(&provider, secrets, incoming, self.now);
        matches!(verdict, Ok(_) | Err(Refusal::Time { .. }))
    }

    fn proved(&mut self, code: &'static str, sentence: impl Into<String>) {
        self.add(code, Certainty::Proved, sentence);
    }

    fn add(&mut self, code: &'static str, certainty: Certainty, sentence: impl Into<String>) {
        if !self.findings.iter().any(|finding| finding.code == code) {
            self.findings.push(Finding { code, certainty, sentence: sentence.into() });
        }
    }

    /// Whether it is a handshake that is refused: nobody signs those.
    fn question(&mut self) -> bool {
        let asked = handshake(self.provider, self.secrets, self.incoming, self.now);
        let Some(Handshake::Refuse { why, .. }) = asked else { return false };
        self.proved(
            "handshake",
            format!(
                "It is what the provider asks when a webhook is made, and it is refused: {why}."
            ),
        );
        true
    }

    /// Whether the signature is right and only its time is wrong: then there is nothing else to look for.
    fn time(&mut self, refusal: &Refusal, stamp_ms: Option<i64>) -> bool {
        let right = self.passes(self.provider, self.secrets, self.incoming);
        if right && stamp_ms.is_some_and(is_other_unit) {
            self.proved(
                "timestamp_unit",
                "The signature is right, but its time is in milliseconds where seconds are meant, or the other way \
                 round. Of a provider of your own the option timestamp_format says which.",
            );
        } else if let Refusal::TooOld { age_s, .. } = refusal {
            self.proved(
                "old_timestamp",
                format!(
                    "The signature is right, but it was made {age_s} s ago: the request was sent again or held up, or \
                     this machine's clock is ahead. To check a stored request, give the time at which it came in."
                ),
            );
        } else if let Refusal::InFuture { ahead_s, .. } = refusal {
            self.proved(
                "future_timestamp",
                format!(
                    "The signature is right, but its time is {ahead_s} s ahead: this machine's clock is behind. \
                     Synchronise it."
                ),
            );
        } else if right {
            self.proved(
                "timestamp",
                "The signature is right and only its timestamp cannot be accepted.",
            );
        }
        right
    }

    fn secrets(&mut self, known: &[Known<'_>]) {
        if self.secrets.is_empty() {
            self.add(
                "no_secret",
                Certainty::Likely,
                "No secret is configured for this source: set the one that the provider shows.",
            );
        }
        for at in 0..self.secrets.len() {
            let Some(text) = self.secrets.get(at).map(|secret| secret.expose().to_owned()) else {
                continue;
            };
            for (code, variant, sentence) in secret_variants(&text) {
                if self.parses_and_passes(self.provider, &variant) {
                    self.proved(code, sentence);
                }
            }
            for (form, sentence) in KEY_FORMS {
                let provider = changed(self.provider, |signed| signed.key = form);
                let text = text.strip_prefix("whsec_").unwrap_or(&text);
                if self.parses_and_passes(&provider, text) {
                    self.proved("key_encoding", sentence);
                }
            }
        }
        for other in known {
            if self.parses_and_passes(self.provider, other.text) {
                let name = other.name;
                self.proved("other_secret", format!(
                    "The secret is that of `{name}`: the provider sends that endpoint's events here, or the two were mixed up."
                ));
            }
        }
    }

    fn parses_and_passes(&self, provider: &Provider, text: &str) -> bool {
        let secret = Secret::parse(provider, text);
        secret.is_ok_and(|secret| self.passes(provider, &[secret], self.incoming))
    }

    fn body(&mut self) {
        if self.incoming.body.len() > REWRITTEN_MAX {
            return;
        }
        // Several mistakes may lead to the same bytes (compact JSON without its last line break is also minified): the
        // first, which is the simplest, explains them.
        let mut explained: Vec<Vec<u8>> = Vec::new();
        for (code, body, sentence) in body_variants(self.incoming.body) {
            if body == self.incoming.body || explained.contains(&body) {
                continue;
            }
            let tried = Incoming { body: &body, ..*self.incoming };
            if self.passes(self.provider, self.secrets, &tried) {
                self.proved(code, sentence);
                explained.push(body);
            }
        }
    }

    fn url(&mut self) {
        for url in url_variants(self.incoming) {
            if url != self.incoming.url
                && self.passes(
                    self.provider,
                    self.secrets,
                    &Incoming { url: &url, ..*self.incoming },
                )
            {
                self.proved("public_url", format!(
                    "The sender signed the address {url}, and here it is {}: set the public URL to the one that is \
                     registered at the provider.", self.incoming.url
                ));
            }
        }
    }

    /// Another encoding, hash or prefix than the row has: for a private provider whose row is not right yet.
    fn scheme(&mut self) {
        let mut variants: Vec<(&'static str, Provider, &'static str)> = Vec::new();
        for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
            let provider = changed(self.provider, |signed| signed.encoding = encoding);
            let sentence = match encoding {
                Encoding::Hex => {
                    "The signature is written in hex, and another encoding is configured."
                }
                Encoding::Base64 => {
                    "The signature is written in base64, and another encoding is configured."
                }
                Encoding::Base64Url => {
                    "The signature is written in unpadded base64url, and another encoding is configured."
                }
            };
            variants.push(("signature_encoding", provider, sentence));
        }
        for hash in [Hash::Sha1, Hash::Sha256, Hash::Sha512] {
            let provider = changed(self.provider, |signed| {
                if matches!(signed.algorithm, Algorithm::Hmac(_)) {
                    signed.algorithm = Algorithm::Hmac(hash);
                }
            });
            let sentence = match hash {
                Hash::Sha1 => "The signature is made with SHA-1, and another hash is configured.",
                Hash::Sha512 => {
                    "The signature is made with SHA-512, and another hash is configured."
                }
                Hash::Sha256 | Hash::Sha384 => {
                    "The signature is made with SHA-256, and another hash is configured."
                }
            };
            variants.push(("hash", provider, sentence));
        }
        for prefix in ["", "sha256=", "sha1=", "sha512=", "v0=", "v1="] {
            let provider = changed(self.provider, |signed| {
                for place in &mut signed.signatures {
                    if let Layout::Whole { prefix: own } = &mut place.layout {
                        *own = prefix.into();
                    }
                }
            });
            variants.push((
                "prefix",
                provider,
                "Another prefix stands before the signature than the one configured.",
            ));
        }
        for (code, provider, sentence) in variants {
            if provider == *self.provider {
                continue;
            }
            let secrets: Vec<_> = self
                .secrets
                .iter()
                .filter_map(|secret| Secret::parse(&provider, secret.expose()).ok())
                .collect();
            if self.passes(&provider, &secrets, self.incoming) {
                self.proved(code, sentence);
            }
        }
    }

    /// What can be seen without a trial.
    fn looks(&mut self, refusal: &Refusal) {
        let likely = Certainty::Likely;
        if matches!(refusal, Refusal::Missing(_)) {
            let others = recognise(self.incoming);
            let others: Vec<&str> =
                others.into_iter().filter(|name| *name != self.provider.name).take(5).collect();
            if !others.is_empty() {
                self.add(
                    "other_provider",
                    likely,
                    format!(
                        "The headers look like those of {}: is the source's provider right?",
                        others.join(", ")
                    ),
                );
            }
        }
        if let Refusal::NoMatch { .. } = refusal
            && self.findings.is_empty()
        {
            self.add("secret_or_body", likely, "No usual mistake explains it: compare the secret with the one that the provider shows \
                 for exactly this endpoint, and make sure that nothing between rewrites the body.");
        }
        if self.incoming.body.is_empty()
            && self.incoming.header("content-length").is_some_and(|length| length != b"0")
        {
            self.add("body_lost", likely, "The body is empty though Content-Length is not 0: something before this read it and did not pass it on.");
        }
        if self.incoming.header("content-encoding").is_some() {
            self.add("content_encoding", likely, "The body is compressed. Providers sign the bytes as sent: a proxy that compresses or decompresses breaks the signature.");
        }
    }
}

/// The row with every signed scheme changed.
fn changed(provider: &Provider, change: impl Fn(&mut Signed)) -> Provider {
    let mut provider = provider.clone();
    for scheme in &mut provider.schemes {
        if let Scheme::Signed(signed) = scheme
            && !signed.algorithm.is_asymmetric()
        {
            change(signed);
        }
    }
    provider
}

const KEY_FORMS: [(KeyForm, &str); 3] = [
    (KeyForm::Utf8, "The secret is used as it is by the sender, not decoded."),
    (KeyForm::Base64, "The sender decodes the secret from base64 first."),
    (KeyForm::Hex, "The sender decodes the secret from hex first."),
];

/// The built-in providers whose signature header a request carries.
#[must_use]
pub fn recognise(incoming: &Incoming<'_>) -> Vec<&'static str> {
    let generic =
        ["none", "hmac", "standard-webhooks", "svix", "token", "bearer", "basic", "query-token"];
    let has = |provider: &&Provider| {
        let places = provider
            .schemes
            .iter()
            .filter_map(Scheme::as_signed)
            .flat_map(|signed| &signed.signatures);
        let mut names =
            places.filter_map(|place| place.at.as_header()).filter(|name| *name != "authorization");
        names.any(|name| incoming.header(name).is_some())
    };
    let all = crate::providers::all().iter();
    all.filter(|provider| !generic.contains(&provider.name.as_ref()))
        .filter(has)
        .map(|provider| provider.name.as_ref())
        .collect()
}

/// The signed text and the signature as sent, by the first scheme of the row that the request fits.
fn shown(provider: &Provider, secrets: &[Secret], incoming: &Incoming<'_>) -> Option<Shown> {
    let signed = provider.schemes.iter().filter_map(Scheme::as_signed).find(|signed| {
        signed
            .signatures
            .iter()
            .any(|place| field::read(&place.at, incoming, incoming.body).is_some())
    })?;
    let (place, text) = signed
        .signatures
        .iter()
        .find_map(|place| Some((place, field::read(&place.at, incoming, incoming.body)?)))?;
    let groups = layout::split(&place.layout, &text);
    let group = groups.first();
    let outside = signed
        .stamp
        .as_ref()
        .and_then(|stamp| field::read(stamp.at.as_ref()?, incoming, incoming.body));
    let stamp: Option<Cow<'_, [u8]>> =
        outside.or_else(|| group.and_then(|group| group.stamp.map(Cow::Borrowed)));
    let source = Source {
        provider,
        message: &signed.message,
        id: signed.id.as_ref(),
        body_hash_query: signed.body_hash_query.as_deref(),
        incoming,
        body: incoming.body,
        values: None,
        url: incoming.url,
        stamp: stamp.as_deref(),
        names: group.and_then(|group| group.names),
        secret: if secrets.is_empty() { "" } else { "***" },
    };
    let message = message::parts(source).ok().map(|parts| {
        let mut message = parts.concat();
        message.truncate(SHOWN_MAX);
        String::from_utf8_lossy(&message).into_owned()
    });
    let unit = signed.stamp.as_ref().map(|stamp| stamp.unit);
    Some(Shown {
        place: place.at.shown(),
        received: String::from_utf8_lossy(&text).into_owned(),
        signed: message,
        stamp_ms: unit.and_then(|unit| unit.parse(stamp.as_deref()?)),
    })
}
