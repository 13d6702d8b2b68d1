//! Why a request does not verify, found out by trying: the debugger behind `verify` and `explain`.
//!
//! Each likely mistake is undone, one at a time, and the check is run again. A finding that made it pass is proved.
//! This is for operators, after the fact: it runs many checks, and what it says must not reach the sender.

use crate::check::Verified;
use crate::encoding::Encoding;
use crate::hash::Hash;
use crate::incoming::Incoming;
use crate::layout;
use crate::message::{self, Source};
use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::scheme::{Algorithm, KeyForm, Layout, Scheme, Signed, Text, Tolerance};
use crate::secret::Secret;
use crate::verify::verify;
use crate::{field, form, json};
use std::borrow::Cow;

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
    if let Err(refusal) = &verdict {
        trials.time(refusal);
        trials.secrets(known);
        trials.body();
        trials.url();
        trials.scheme();
        trials.looks(refusal);
    }
    let mut findings = trials.findings;
    findings.sort_by_key(|finding| finding.certainty != Certainty::Proved);
    let shown = shown(provider, secrets, incoming);
    let place = shown.as_ref().map_or_else(
        || provider.schemes.iter().find_map(Scheme::place),
        |shown| Some(shown.place.clone()),
    );
    let stamp_ms = verdict.as_ref().ok().and_then(Verified::timestamp_ms);
    let stamp_ms = stamp_ms.or_else(|| shown.as_ref().and_then(|shown| shown.stamp_ms));
    let skew_ms = stamp_ms.map(|stamp_ms| now.saturating_mul(1000).saturating_sub(stamp_ms));
    let (signed_text, received) =
        shown.map_or((None, None), |shown| (shown.signed, Some(shown.received)));
    Explanation { verdict, findings, signed_text, received, place, skew_ms }
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
        verify(&provider, secrets, incoming, self.now).is_ok()
    }

    fn proved(&mut self, code: &'static str, sentence: impl Into<String>) {
        self.add(code, Certainty::Proved, sentence);
    }

    fn add(&mut self, code: &'static str, certainty: Certainty, sentence: impl Into<String>) {
        if !self.findings.iter().any(|finding| finding.code == code) {
            self.findings.push(Finding { code, certainty, sentence: sentence.into() });
        }
    }

    fn time(&mut self, refusal: &Refusal) {
        let right = self.passes(self.provider, self.secrets, self.incoming);
        if let Refusal::TooOld { age_s, .. } = refusal {
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

fn secret_variants(text: &str) -> Vec<(&'static str, String, &'static str)> {
    let mut all = Vec::new();
    let trimmed = text.trim();
    if trimmed != text {
        all.push((
            "secret_white_space",
            trimmed.to_owned(),
            "The secret has white space at its beginning or end: take it away.",
        ));
    }
    let quotes = |c: char| c == '"' || c == '\'';
    if trimmed.trim_matches(quotes) != trimmed {
        all.push((
            "secret_quotes",
            trimmed.trim_matches(quotes).to_owned(),
            "The secret stands in quotes: take them away.",
        ));
    }
    match text.strip_prefix("whsec_") {
        Some(rest) => all.push((
            "whsec_prefix",
            rest.to_owned(),
            "The sender's secret has no `whsec_` before it: take the prefix away.",
        )),
        None => all.push((
            "whsec_prefix",
            format!("whsec_{text}"),
            "The prefix `whsec_` belongs to the secret: put it back.",
        )),
    }
    all.push((
        "secret_white_space",
        format!("{text}\n"),
        "The sender's secret ends with a line break: it was pasted so at the provider.",
    ));
    all
}

type BodyVariant = (&'static str, Vec<u8>, &'static str);

fn body_variants(body: &[u8]) -> Vec<BodyVariant> {
    let replaced =
        |from: &str, to: &str| String::from_utf8_lossy(body).replace(from, to).into_bytes();
    let line_end = "The body's line ends were changed on the way: pass its bytes on as they are.";
    let last = "The line break at the body's end is signed, and it was added or lost on the way.";
    let reserialised = "The body was parsed and written again on the way (its spacing differs): check the raw bytes.";
    let escapes = "The body was parsed and written again on the way (its \\u escapes differ): check the raw bytes.";
    let mut all: Vec<BodyVariant> = vec![
        ("trailing_newline", body.trim_ascii_end().to_vec(), last),
        ("trailing_newline", [body, b"\n"].concat(), last),
        ("trailing_newline", [body, b"\r\n"].concat(), last),
        ("line_ends", replaced("\r\n", "\n"), line_end),
        (
            "line_ends",
            replaced("\r\n", "\n")
                .split(|byte| *byte == b'\n')
                .collect::<Vec<_>>()
                .join(&b"\r\n"[..]),
            line_end,
        ),
        (
            "byte_order_mark",
            body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).to_vec(),
            "A byte order mark was put before the body on the way.",
        ),
        ("reserialised", json::minified(body), reserialised),
        ("reserialised", json::spaced(&json::minified(body)), reserialised),
        ("reserialised", pretty(body), reserialised),
        ("reserialised_escapes", json::escaped(body), escapes),
        ("reserialised_escapes", json::unescaped(body), escapes),
        ("reserialised_escapes", replaced("\\/", "/"), escapes),
        (
            "body_lost",
            Vec::new(),
            "The sender signed an empty body, or the request that it signed was another one.",
        ),
        (
            "wrapped_in_json",
            json::text(body.trim_ascii()).unwrap_or_default().into_owned().into_bytes(),
            "The body was wrapped into a JSON string on the way.",
        ),
    ];
    if let Some(decoded) = Encoding::Base64.decode(body.trim_ascii()) {
        all.push(("base64_body", decoded, "The body came as base64 (some serverless platforms do that): decode it before checking."));
    }
    if let Some(value) = form::value(body, "payload") {
        all.push(("form_for_json", value, "The body is a form and the sender signed JSON: set the webhook's content type to JSON."));
    }
    let as_form = [b"payload=".to_vec(), form::encode(body).into_bytes()].concat();
    all.push((
        "json_for_form",
        as_form,
        "The body is JSON and the sender signed a form: something on the way took the form apart.",
    ));
    all
}

/// Two blanks for each level, as `JSON.stringify(x, null, 2)` writes it.
fn pretty(body: &[u8]) -> Vec<u8> {
    json::indented(&json::minified(body), 2)
}

fn url_variants(incoming: &Incoming<'_>) -> Vec<String> {
    let url = incoming.url;
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let other = if scheme == "https" { "http" } else { "https" };
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let mut all = vec![format!("{other}://{rest}")];
    let (bare, query) = path.split_once('?').map_or((path, ""), |(bare, query)| (bare, query));
    let slashed = bare.strip_suffix('/').map_or_else(|| format!("{bare}/"), str::to_owned);
    let mark = if query.is_empty() { "" } else { "?" };
    all.push(format!("{scheme}://{host}{slashed}{mark}{query}"));
    all.push(format!("{scheme}://{host}{bare}"));
    let name = host.split(':').next().unwrap_or(host);
    all.push(format!("{scheme}://{name}{path}"));
    for port in [":443", ":80", ":8080"] {
        all.push(format!("{scheme}://{name}{port}{path}"));
    }
    for header in ["host", "x-forwarded-host", "x-original-host"] {
        if let Some(host) = incoming.header_str(header) {
            all.push(format!("{scheme}://{host}{path}"));
            all.push(format!("{other}://{host}{path}"));
        }
    }
    all
}

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
