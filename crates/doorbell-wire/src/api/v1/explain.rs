//! Why a request verifies or not: the debugger of signatures. Nothing of it ever reaches the sender.

use super::redact::Veil;
use super::source::masked;
use super::text::Moment;
use crate::problem::{Faults, FieldError};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorbell_core::examine::Examined;
use doorbell_core::limits;
use doorbell_core::request::{Headers, Request};
use doorbell_core::source::Source;
use doorbell_core::time::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use webhook_signatures::Certainty;

/// A request to be explained: one that was received, by its id, or one that was captured elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainIn {
    /// The id of a request that any source received; the other fields are then not for it, but `url` and `at`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The captured request's method; `POST` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The whole URL that the provider called; that of the source unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its header lines, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<CapturedHeader>,
    /// Its body, where that is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Its body in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// When it came in; the moment of a received request, else now, unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Moment>,
}

/// A header line of a captured request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CapturedHeader {
    /// Its name.
    pub name: String,
    /// Its value, where that is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its value in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
}

impl ExplainIn {
    /// The captured request. Its path and query stand in `url`.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(&self) -> Result<Request, Vec<FieldError>> {
        let mut faults = Faults::new();
        let mut headers = Headers::default();
        if self.headers.len() > limits::HEADER_COUNT {
            faults.add("/headers", format!("at most {} lines", limits::HEADER_COUNT));
        }
        for (at, line) in self.headers.iter().take(limits::HEADER_COUNT).enumerate() {
            let place = format!("/headers/{at}/value_base64");
            let value = bytes((&line.value, &line.value_base64), &place, &mut faults);
            headers.push(&line.name, value);
        }
        let body = bytes((&self.body, &self.body_base64), "/body_base64", &mut faults);
        let method = self.method.clone().unwrap_or_else(|| "POST".to_owned());
        let request = Request {
            method,
            path: String::new(),
            query: None,
            headers,
            body: body.into(),
            peer: None,
        };
        faults.finish(Some(request))
    }
}

fn bytes(
    (text, base64): (&Option<String>, &Option<String>),
    place: &str,
    faults: &mut Faults,
) -> Vec<u8> {
    let Some(base64) = base64 else { return text.clone().unwrap_or_default().into_bytes() };
    STANDARD.decode(base64).unwrap_or_else(|_| {
        faults.add(place, "base64 with padding (RFC 4648, section 4)");
        Vec::new()
    })
}

/// What was found about a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainOut {
    /// The name of the source that it was checked for.
    pub source: String,
    /// The source's provider.
    pub provider: String,
    /// Whether it verifies.
    pub verified: bool,
    /// The secret by which it does; nothing where that is a key which the provider serves.
    pub secret: Option<SecretHint>,
    /// Why it does not.
    pub refusal: Option<RefusalOut>,
    /// What happened and what to do about it, the proved ones first.
    pub findings: Vec<FindingOut>,
    /// Where the signature stands, such as `the header x-hub-signature-256`.
    pub place: Option<String>,
    /// The signature as it was sent; `***` for tokens without the scope `admin`.
    pub received: Option<String>,
    /// The exact text that is signed, at most 4 KiB; a secret in it is shown as `***`, and all of it for tokens without the
    /// scope `admin`: headers may be part of it.
    pub signed_text: Option<String>,
    /// How far the clock is ahead of the request's own time, in milliseconds.
    pub skew_ms: Option<i64>,
    /// The moment for which it was checked.
    pub at: Moment,
    /// The URL that was taken for the called one: the source's public one, or else one made of the request's `Host`, for
    /// which `https` is assumed.
    pub url: String,
    /// Whether the provider signs the URL; otherwise it does not matter.
    #[serde(default)]
    pub url_signed: bool,
    /// The event type that it tells.
    pub event_type: Option<String>,
    /// The event's id that it tells.
    pub event_id: Option<String>,
    /// What of the request is not there, so that the rest may be wrong.
    pub doubt: Option<String>,
}

/// One of the source's secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretHint {
    /// Its place among the source's secrets, from 1.
    pub number: u64,
    /// The secret, masked.
    pub hint: String,
}

/// Why a request does not verify.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusalOut {
    /// A short stable name, such as `no_match`.
    pub code: String,
    /// A sentence.
    pub detail: String,
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingOut {
    /// A short stable name, such as `reserialised`.
    pub code: String,
    /// Whether the request verifies once this is undone; otherwise it is only likely.
    pub proved: bool,
    /// What happened and what to do about it.
    pub detail: String,
}

impl ExplainOut {
    /// What was found, as it is shown.
    #[must_use]
    pub fn of(source: &Source, found: Examined, at: Time, veil: Veil<'_>) -> Self {
        let Examined { url, url_signed, explanation, described, doubt } = found;
        let number = explanation.verdict.as_ref().ok().and_then(|verified| verified.secret());
        let secret = number.and_then(|number| source.verification.secrets.get(number));
        Self {
            source: source.name.to_string(),
            provider: source.verification.provider.clone(),
            verified: explanation.verdict.is_ok(),
            secret: number.zip(secret).map(|(number, secret)| SecretHint {
                number: u64::try_from(number).unwrap_or(u64::MAX).saturating_add(1),
                hint: masked(secret),
            }),
            refusal: explanation
                .verdict
                .err()
                .map(|why| RefusalOut { code: why.code().to_owned(), detail: why.to_string() }),
            findings: explanation
                .findings
                .into_iter()
                .map(|f| FindingOut::of(f, &url, veil))
                .collect(),
            place: explanation.place.map(|place| place.to_string()),
            received: explanation.received.map(|text| veil.text(text)),
            signed_text: explanation.signed_text.map(|text| veil.text(text)),
            skew_ms: explanation.skew_ms,
            at: Moment(at),
            url: super::redact::query_of(veil, &url),
            url_signed,
            event_type: described.event_type,
            event_id: described.event_id,
            doubt,
        }
    }
}

impl FindingOut {
    /// A sentence may name the URL, with a query that is hidden in part.
    fn of(finding: webhook_signatures::Finding, url: &str, veil: Veil<'_>) -> Self {
        let detail = match url.split_once('?') {
            Some((_, raw)) if !raw.is_empty() => {
                finding.sentence.replace(raw, &super::redact::query(veil, raw))
            }
            Some(_) | None => finding.sentence,
        };
        let proved = finding.certainty == Certainty::Proved;
        Self { code: finding.code.to_owned(), proved, detail }
    }
}
