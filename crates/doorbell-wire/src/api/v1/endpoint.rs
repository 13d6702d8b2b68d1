//! Endpoints: where events go.

use super::http::HeaderIn;
use super::policy::{OrderRule, RateRule, RetryRule};
use super::redact::{self, Veil, View};
use super::source::{masked, name, patterns};
use super::standing::StandingOut;
use super::text::{Moment, Span};
use crate::problem::Faults;
use doorbell_core::credentials::Credentials;
use doorbell_core::directory::Directory;
use doorbell_core::endpoint::{self, Endpoint, Policy, Status, Subscription};
use doorbell_core::endpoint_address::EndpointAddress;
use doorbell_core::endpoint_url::UrlPolicy;
use doorbell_core::filter::Filter;
use doorbell_core::header::{self, HeaderRefused};
use doorbell_core::id::{EndpointId, SourceId, TenantId};
use doorbell_core::limits;
use doorbell_core::queue_address;
use doorbell_core::secret::SecretText;
use doorbell_core::time::Time;
use doorbell_core::verifier::{Signer, signing_warnings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// An endpoint to be made, or the whole of what it is to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointIn {
    /// Its name: 1 to 64 of `a-z`, `0-9`, `-` and `_`. Unique within the tenant.
    pub name: String,
    /// Where requests go, such as `https://example.com/webhooks`; or a place on a message broker that the operator has named,
    /// such as `queue://rabbit/orders` (see docs/queues.md).
    pub url: String,
    /// Whether it gets anything; `enabled` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<EndpointStatus>,
    /// Names or ids of the sources whose events it gets. Empty: all, and what is published.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// Event types it gets, with `*` for any run of characters. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_types: Vec<String>,
    /// It gets events of at least one of these channels. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// It gets only events for which this filter holds: an object that says where to look (`body`, `headers`, `query`, …)
    /// and what must be there, with `$eq`, `$in`, `$exist`, `$and`, `$or`, `$not` and their like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Value>,
    /// Header lines that are added to each request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderIn>,
    /// The secret that signs each request: `whsec_` and the base64 of 24 to 64 bytes (v1), or `whsk_…` (v1a). One is
    /// made unless it is given. A change of it needs the operation `rotate-secret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// One deadline over DNS, connect, TLS, request and response; `15s` unless said, 100ms to 2m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Deliveries in flight at once; 16 unless said, 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// At most so many deliveries in some time; no limit unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateRule>,
    /// When a failed delivery is tried again.
    #[serde(default)]
    pub retry: RetryRule,
    /// Whether deliveries go in order; no unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderRule>,
    /// A signature by another scheme, beside that of Standard Webhooks: for a receiver that checks GitHub's, Stripe's,
    /// HTTP Message Signatures, or one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_signature: Option<ExtraSignature>,
}

/// How requests are signed beside Standard Webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtraSignature {
    /// Whose scheme: `github`, `stripe`, `slack`, `http-signature`, `hmac` with options, or any other provider whose
    /// signature stands in header lines.
    pub provider: String,
    /// Its options, as a source has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// The secret, or the private key in PEM. In answers it is masked.
    pub secret: String,
}

impl ExtraSignature {
    fn read(&self, faults: &mut Faults) -> Option<endpoint::ExtraSignature> {
        let secret = faults.take("/extra_signature/secret", SecretText::parse(&self.secret))?;
        let options = self.options.iter().map(|(name, value)| (name.clone(), value.clone()));
        let extra = endpoint::ExtraSignature {
            provider: self.provider.clone(),
            options: options.collect(),
            secret,
        };
        faults.take("/extra_signature", Signer::new(&extra))?;
        Some(extra)
    }

    fn hidden(mut self) -> Self {
        if let Ok(secret) = SecretText::parse(&self.secret) {
            self.secret = masked(&secret);
        }
        self
    }
}

impl From<&endpoint::ExtraSignature> for ExtraSignature {
    fn from(extra: &endpoint::ExtraSignature) -> Self {
        Self {
            provider: extra.provider.clone(),
            options: extra.options.iter().cloned().collect(),
            secret: extra.secret.reveal().to_owned(),
        }
    }
}

/// Whether an endpoint gets anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointStatus {
    /// It gets its events.
    Enabled,
    /// Its events wait until it is enabled again.
    Paused,
    /// Its events are recorded as discarded; they can be replayed.
    Disabled,
}

/// What an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointKind {
    /// It is called by HTTP.
    Http,
    /// Its events are put on a message broker.
    Queue,
}

impl EndpointKind {
    /// The kind of this address.
    #[must_use]
    pub fn of(url: &str) -> Self {
        if url.starts_with(queue_address::SCHEME) { Self::Queue } else { Self::Http }
    }
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointOut {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where requests go; credentials in its query are `***` unless the token's scope is `admin`.
    pub url: String,
    /// What it is: something that is called by HTTP, or a queue.
    pub kind: EndpointKind,
    /// Whether it gets anything.
    pub status: EndpointStatus,
    /// Since when it is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Moment>,
    /// Why it is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_because: Option<String>,
    /// Names of the sources whose events it gets. Empty: all, and what is published.
    pub sources: Vec<String>,
    /// Event types it gets. Empty: all.
    pub event_types: Vec<String>,
    /// Its channels. Empty: all.
    pub channels: Vec<String>,
    /// Its filter.
    pub filter: Option<Value>,
    /// Header lines that are added to each request; the values of credentials are `***`.
    pub headers: Vec<HeaderIn>,
    /// The secrets that sign, newest first, masked.
    pub secrets: Vec<SecretOut>,
    /// One deadline over the whole exchange.
    pub timeout: Span,
    /// Deliveries in flight at once.
    pub concurrency: u32,
    /// At most so many deliveries in some time.
    pub rate: Option<RateRule>,
    /// When a failed delivery is tried again.
    pub retry: RetryRule,
    /// Whether deliveries go in order.
    pub order: Option<OrderRule>,
    /// The signature beside that of Standard Webhooks, its secret masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_signature: Option<ExtraSignature>,
    /// What is weak about it though it works, such as a signing secret that can be guessed; each a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// When it was made.
    pub created_at: Moment,
    /// When it was last changed.
    pub updated_at: Moment,
    /// How its deliveries stand; only where endpoints are listed or shown, and only while dispatch answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingOut>,
    /// The secret that was made or set just now, whole: only in the answers that make the endpoint or rotate its secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// A signing secret, masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretOut {
    /// Its beginning and end, such as `whsec_…abcd`.
    pub hint: String,
    /// It signs until then; `null`: for good.
    pub expires_at: Option<Moment>,
}

/// A change of an endpoint's secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointSecretIn {
    /// The new secret; one is made unless it is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// How long the secrets so far sign beside it; `24h` unless said, 7 days at most, `0s`: no longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Span>,
}

/// How long old secrets sign beside a new one unless said, and at most.
pub const OVERLAP_DEFAULT: Duration = Duration::from_secs(24 * 3600);
/// See [`OVERLAP_DEFAULT`].
pub const OVERLAP_MAX: Duration = Duration::from_secs(7 * 86_400);

/// What was made to test an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestOut {
    /// The event, of type `doorbell.ping`.
    pub event: String,
    /// Its delivery to this endpoint alone.
    pub delivery: String,
}

/// Reads a source's name or id.
pub trait SourceNames {
    /// The source of that name or id, within the tenant.
    fn source(&self, name_or_id: &str) -> Option<SourceId>;
}

impl<F: Fn(&str) -> Option<SourceId>> SourceNames for F {
    fn source(&self, name_or_id: &str) -> Option<SourceId> {
        self(name_or_id)
    }
}

/// What an endpoint is checked against.
#[derive(Debug)]
pub struct Gates<'a, S> {
    /// The sources that it may name.
    pub sources: &'a S,
    /// What the operator lets URLs be.
    pub policy: &'a UrlPolicy,
    /// The `uid` of the tenant whose it is to be.
    pub tenant: &'a str,
}

impl EndpointIn {
    /// The endpoint that is asked for, without secrets.
    pub fn read(
        &self,
        (id, tenant): (EndpointId, TenantId),
        now: Time,
        gates: &Gates<'_, impl SourceNames>,
        faults: &mut Faults,
    ) -> Option<Endpoint> {
        let label = faults.take("/name", name(&self.name));
        let url =
            faults.take("/url", EndpointAddress::parse(&self.url, gates.policy, gates.tenant));
        let subscription = self.subscription(gates.sources, faults);
        let headers = self.headers(faults);
        let policy = self.policy(faults);
        Some(Endpoint {
            id,
            tenant,
            name: label?,
            status: self.status.unwrap_or(EndpointStatus::Enabled).at(now),
            subscription: subscription?,
            url: url?.as_str().to_owned(),
            headers: headers?,
            secrets: Vec::new(),
            policy: policy?,
            created: now,
            updated: now,
        })
    }

    fn headers(&self, faults: &mut Faults) -> Option<Vec<(String, String)>> {
        if self.headers.len() > limits::ENDPOINT_HEADERS {
            faults.add("/headers", HeaderRefused::TooMany);
            return None;
        }
        let read = self.headers.iter().enumerate().map(|(place, line)| {
            let refused = header::may_add(&line.name, &line.value);
            faults.take(format!("/headers/{place}"), refused)?;
            Some((line.name.clone(), line.value.clone()))
        });
        read.collect::<Vec<_>>().into_iter().collect()
    }

    fn subscription(
        &self,
        sources: &impl SourceNames,
        faults: &mut Faults,
    ) -> Option<Subscription> {
        let mut ids = Some(Vec::new());
        for (place, text) in self.sources.iter().enumerate() {
            match (sources.source(text), &mut ids) {
                (Some(id), Some(list)) => list.push(id),
                (Some(_), None) => {}
                (None, _) => {
                    faults.add(format!("/sources/{place}"), "there is no such source");
                    ids = None;
                }
            }
        }
        let event_types = patterns("/event_types", &self.event_types, faults);
        let channels = channels("/channels", &self.channels, faults);
        let filter = self.filter.as_ref().map(Value::to_string);
        if let Some(text) = &filter {
            faults.take("/filter", Filter::parse(text));
        }
        Some(Subscription { sources: ids?, event_types: event_types?, channels: channels?, filter })
    }

    fn policy(&self, faults: &mut Faults) -> Option<Policy> {
        let usual = Policy::default();
        let timeout = self.timeout.map_or(usual.timeout, |span| span.0);
        if !(limits::TIMEOUT_MIN..=limits::TIMEOUT_MAX).contains(&timeout) {
            faults.add("/timeout", "between 100ms and 2m");
        }
        let concurrency = self.concurrency.unwrap_or(usual.concurrency);
        if !(1..=limits::CONCURRENCY_MAX).contains(&concurrency) {
            faults.add("/concurrency", format_args!("between 1 and {}", limits::CONCURRENCY_MAX));
        }
        let order = match &self.order {
            None => Some(None),
            Some(order) => order.read(faults).map(Some),
        };
        let extra_signature = match &self.extra_signature {
            None => Some(None),
            Some(extra) => extra.read(faults).map(Some),
        };
        Some(Policy {
            timeout,
            concurrency,
            rate: self.rate.as_ref().map(|rate| rate.read(faults)),
            retry: self.retry.read(faults)?,
            order: order?,
            extra_signature: extra_signature?,
        })
    }
}

/// The most channels of an event or endpoint, and the longest one in bytes.
pub const CHANNELS: usize = 20;
/// See [`CHANNELS`].
pub const CHANNEL_LEN: usize = 128;

/// Channels, checked: 1 to 128 printable characters without spaces and commas each.
pub fn channels(pointer: &str, texts: &[String], faults: &mut Faults) -> Option<Vec<String>> {
    if texts.len() > CHANNELS {
        faults.add(pointer, format_args!("at most {CHANNELS} channels"));
        return None;
    }
    let bad = |text: &String| {
        !(1..=CHANNEL_LEN).contains(&text.len())
            || text.chars().any(|c| c.is_whitespace() || c.is_control() || c == ',')
    };
    let mut good = true;
    for (place, _) in texts.iter().enumerate().filter(|(_, text)| bad(text)) {
        faults.add(
            format!("{pointer}/{place}"),
            format_args!("1 to {CHANNEL_LEN} bytes without spaces and commas"),
        );
        good = false;
    }
    good.then(|| texts.to_vec())
}

impl EndpointStatus {
    fn at(self, now: Time) -> Status {
        match self {
            Self::Enabled => Status::Enabled,
            Self::Paused => Status::Paused,
            Self::Disabled => Status::Disabled { at: now, why: "by the operator".to_owned() },
        }
    }
}

impl From<&Status> for EndpointStatus {
    fn from(status: &Status) -> Self {
        match status {
            Status::Enabled => Self::Enabled,
            Status::Paused => Self::Paused,
            Status::Disabled { .. } => Self::Disabled,
        }
    }
}

impl EndpointIn {
    /// As the endpoint would be asked for, without its secrets; what `PATCH` changes.
    #[must_use]
    pub fn of(endpoint: &Endpoint, directory: &Directory) -> Self {
        let wanted = &endpoint.subscription;
        let source = |id: &SourceId| {
            directory.source_name(*id).map_or_else(|| id.to_string(), ToString::to_string)
        };
        Self {
            name: endpoint.name.to_string(),
            url: endpoint.url.clone(),
            status: Some(EndpointStatus::from(&endpoint.status)),
            sources: wanted.sources.iter().map(source).collect(),
            event_types: wanted.event_types.iter().map(ToString::to_string).collect(),
            channels: wanted.channels.clone(),
            filter: wanted.filter.as_deref().and_then(|text| serde_json::from_str(text).ok()),
            headers: endpoint.headers.iter().map(HeaderIn::from).collect(),
            secret: None,
            timeout: Some(Span(endpoint.policy.timeout)),
            concurrency: Some(endpoint.policy.concurrency),
            rate: endpoint.policy.rate.as_ref().map(RateRule::from),
            retry: RetryRule::from(&endpoint.policy.retry),
            order: endpoint.policy.order.as_ref().map(OrderRule::from),
            extra_signature: endpoint.policy.extra_signature.as_ref().map(ExtraSignature::from),
        }
    }
}

/// An endpoint's URL as it is shown: credentials in its query are hidden, as those of requests are.
#[must_use]
pub fn shown_url(view: View, url: &str) -> String {
    if EndpointKind::of(url) == EndpointKind::Queue {
        // There is no credential in such an address: the broker's stand in the settings.
        return url.to_owned();
    }
    redact::query_of(Veil::of(view, &Credentials::NONE), url)
}

impl EndpointOut {
    /// The same as this viewer may see it.
    #[must_use]
    pub fn seen(self, view: View) -> Self {
        let url = shown_url(view, &self.url);
        let disabled_because = self.disabled_because.map(|why| why.replace(&self.url, &url));
        Self { url, disabled_because, ..self }
    }

    /// An endpoint as it is shown: secrets masked, credentials in its headers hidden.
    #[must_use]
    pub fn of(endpoint: &Endpoint, directory: &Directory) -> Self {
        let written = EndpointIn::of(endpoint, directory);
        let (disabled_at, disabled_because) = match &endpoint.status {
            Status::Disabled { at, why } => (Some(Moment(*at)), Some(why.clone())),
            Status::Enabled | Status::Paused => (None, None),
        };
        Self {
            id: endpoint.id.to_string(),
            name: written.name,
            kind: EndpointKind::of(&written.url),
            url: written.url,
            status: EndpointStatus::from(&endpoint.status),
            disabled_at,
            disabled_because,
            sources: written.sources,
            event_types: written.event_types,
            channels: written.channels,
            filter: written.filter,
            headers: written.headers.into_iter().map(HeaderIn::hidden).collect(),
            secrets: endpoint.secrets.iter().map(SecretOut::from).collect(),
            timeout: Span(endpoint.policy.timeout),
            concurrency: endpoint.policy.concurrency,
            rate: written.rate,
            retry: written.retry,
            order: written.order,
            extra_signature: written.extra_signature.map(ExtraSignature::hidden),
            warnings: signing_warnings(&endpoint.secrets),
            created_at: Moment(endpoint.created),
            updated_at: Moment(endpoint.updated),
            standing: None,
            secret: None,
        }
    }
}

impl From<&endpoint::SigningSecret> for SecretOut {
    fn from(signing: &endpoint::SigningSecret) -> Self {
        Self { hint: masked(&signing.secret), expires_at: signing.expires.map(Moment) }
    }
}
