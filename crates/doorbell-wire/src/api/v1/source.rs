//! Sources: named addresses that receive.

use super::common::KeyRule;
use super::text::{Moment, Span};
use crate::problem::Faults;
use doorbell_core::id::{SourceId, TenantId};
use doorbell_core::limits;
use doorbell_core::name::{EventTypePattern, Label};
use doorbell_core::secret::SecretText;
use doorbell_core::source::{self, Dedupe, HubSubscription, Source, Verification};
use doorbell_core::time::Time;
use doorbell_core::verifier::warnings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A source to be made, or the whole of what it is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceIn {
    /// Its name, the `{source}` of `/in/{source}`: 1 to 64 of `a-z`, `0-9`, `-` and `_`. Unique.
    pub name: String,
    /// Who sends: a provider such as `github` or `stripe`, a generic scheme such as `hmac`, or `none`, which believes
    /// everyone and so has to be written out.
    pub provider: String,
    /// Settings of a generic scheme (`header`, `algorithm`, `encoding`, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// The secrets that are good, newest first. At least one, unless the provider needs none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The address under which the provider knows this source, for schemes that sign the URL. What stands behind `?` is left
    /// out: each request brings its own query, and that is what is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Whether it receives; yes unless said.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Methods it takes, such as `POST`. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Event types it wants, with `*` for any run of characters. Empty: all. Others are acknowledged, recorded as
    /// filtered, and delivered to no one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub event_types: Vec<String>,
    /// Where the event type stands, when not where the provider says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_rule: Option<KeyRule>,
    /// How duplicates are known.
    #[serde(default)]
    pub dedupe: DedupeRule,
    /// Largest body, in bytes; 32 MiB unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_max: Option<u64>,
    /// What the caller gets on success, when not what the provider wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseRule>,
    /// A queue whose messages become requests of this source too, on a message broker that the operator has named, such as
    /// `queue://rabbit/incoming` (see docs/queues.md).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

const fn yes() -> bool {
    true
}

/// How duplicates are known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DedupeRule {
    /// How long a key is remembered; `0s` switches it off, `72h` unless said, 30 days at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Span>,
    /// Where the key stands, when not where the provider says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyRule>,
}

/// The longest dedupe window that can be asked for.
pub const DEDUPE_WINDOW_MAX: Duration = Duration::from_secs(30 * 86_400);

/// A fixed answer to the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResponseRule {
    /// 200 to 299.
    pub status: u16,
    /// Its content type; `text/plain` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Its body, at most 16 KiB.
    #[serde(default)]
    pub body: String,
}

/// The longest body of a fixed answer, in bytes.
pub const RESPONSE_MAX: usize = 16 << 10;

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceOut {
    /// Its id.
    pub id: String,
    /// Its name, the `{source}` of `/in/{source}`.
    pub name: String,
    /// Who sends.
    pub provider: String,
    /// Settings of a generic scheme.
    pub options: BTreeMap<String, String>,
    /// The secrets that are good, newest first, masked.
    pub secrets: Vec<String>,
    /// The address under which the provider knows this source.
    pub public_url: Option<String>,
    /// Whether it receives.
    pub enabled: bool,
    /// Methods it takes. Empty: all.
    pub methods: Vec<String>,
    /// Event types it wants. Empty: all.
    pub event_types: Vec<String>,
    /// Where the event type stands, when not where the provider says.
    pub type_rule: Option<KeyRule>,
    /// How duplicates are known.
    pub dedupe: DedupeRule,
    /// Largest body, in bytes.
    pub body_max: u64,
    /// What the caller gets on success, when not what the provider wants.
    pub response: Option<ResponseRule>,
    /// How its subscription at a WebSub hub stands, where it has the options `hub` and `topic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<HubOut>,
    /// The queue whose messages become its requests too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What is weak about it though it works, such as a secret that can be guessed; each a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Where its requests come in: the path on the ingest address.
    pub path: String,
    /// When it was made.
    pub created_at: Moment,
    /// When it was last changed.
    pub updated_at: Moment,
}

/// How a subscription at a WebSub hub stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HubOut {
    /// In a word.
    pub state: HubState,
    /// The hub's address, once it is known.
    pub url: Option<String>,
    /// The topic under the name that the hub knows.
    pub topic: String,
    /// It is subscribed until then, unless the hub is asked again before: that is done after four fifths of the time.
    pub subscribed_until: Option<Moment>,
    /// When the hub is asked next.
    pub next_at: Moment,
    /// Why it failed last.
    pub error: Option<String>,
}

/// How a subscription at a WebSub hub stands, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HubState {
    /// The hub said that it sends.
    Subscribed,
    /// The hub was asked and has not asked back yet.
    Asked,
    /// It did not work and is tried again.
    Failing,
}

impl From<&HubSubscription> for HubOut {
    fn from(state: &HubSubscription) -> Self {
        let word = match state {
            HubSubscription { error: Some(_), .. } => HubState::Failing,
            HubSubscription { until: Some(_), .. } => HubState::Subscribed,
            HubSubscription { .. } => HubState::Asked,
        };
        Self {
            state: word,
            url: Some(state.hub.clone()).filter(|hub| !hub.is_empty()),
            topic: state.topic.clone(),
            subscribed_until: state.until.map(Moment),
            next_at: Moment(state.next),
            error: state.error.clone(),
        }
    }
}

/// A new secret for a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceSecretIn {
    /// The new secret, as the provider shows it.
    pub secret: String,
    /// How many of the secrets so far stay good beside it; 1 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<u8>,
}

/// A secret that the provider handed out, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceSecretOut {
    /// The newest secret.
    pub secret: String,
}

/// A secret with all but its beginning and end hidden: enough to tell two apart, and nothing of short ones.
#[must_use]
pub fn masked(secret: &SecretText) -> String {
    let text = secret.reveal();
    let prefix = ["whsec_", "whsk_", "whpk_"].into_iter().find(|p| text.starts_with(p));
    let prefix = prefix.unwrap_or_default();
    let tail: String = if text.chars().count() >= 20 {
        text.chars().skip(text.chars().count() - 4).collect()
    } else {
        String::new()
    };
    format!("{prefix}…{tail}")
}

impl SourceIn {
    /// The source that is asked for. The provider's own demands (its options, its secrets' form) are not looked at here.
    pub fn read(
        &self,
        id: SourceId,
        tenant: TenantId,
        now: Time,
        faults: &mut Faults,
    ) -> Option<Source> {
        let name = faults.take("/name", name(&self.name));
        let verification = self.verification(faults);
        let methods = self.methods(faults);
        let event_types = patterns("/event_types", &self.event_types, faults);
        let type_rule = rule("/type_rule", self.type_rule.as_ref(), faults);
        let dedupe = self.dedupe(faults);
        let body_max = self.body_max(faults);
        let response = self.response.as_ref().map(|rule| rule.read(faults));
        Some(Source {
            id,
            tenant,
            name: name?,
            enabled: self.enabled,
            verification: verification?,
            methods: methods?,
            event_types: event_types?,
            type_rule: type_rule?,
            dedupe: dedupe?,
            body_max: body_max?,
            response: match response {
                Some(read) => Some(read?),
                None => None,
            },
            hub: None,
            from: self.from.clone(),
            created: now,
            updated: now,
        })
    }

    fn verification(&self, faults: &mut Faults) -> Option<Verification> {
        if self.options.len() > 50 {
            faults.add("/options", "at most 50 options");
        }
        Some(Verification {
            provider: self.provider.clone(),
            options: self.options.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
            secrets: secrets("/secrets", &self.secrets, faults)?,
            public_url: match &self.public_url {
                Some(text) => Some(faults.take("/public_url", Verification::public_url(text))?),
                None => None,
            },
        })
    }

    fn methods(&self, faults: &mut Faults) -> Option<Vec<String>> {
        let mut good = Some(Vec::with_capacity(self.methods.len().min(20)));
        for (place, method) in self.methods.iter().take(20).enumerate() {
            let fits = (1..=20).contains(&method.len())
                && method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
            if fits {
                if let Some(list) = &mut good {
                    list.push(method.to_ascii_uppercase());
                }
            } else {
                faults.add(format!("/methods/{place}"), "not an HTTP method, such as POST");
                good = None;
            }
        }
        if self.methods.len() > 20 {
            faults.add("/methods", "at most 20 methods");
        }
        good
    }

    fn dedupe(&self, faults: &mut Faults) -> Option<Dedupe> {
        let window = self.dedupe.window.map_or(limits::DEDUPE_WINDOW, |span| span.0);
        if window > DEDUPE_WINDOW_MAX {
            faults.add("/dedupe/window", "at most 30d");
        }
        Some(Dedupe { window, key: rule("/dedupe/key", self.dedupe.key.as_ref(), faults)? })
    }

    fn body_max(&self, faults: &mut Faults) -> Option<usize> {
        let Some(asked) = self.body_max else { return Some(limits::BODY_DEFAULT) };
        let fits = usize::try_from(asked).ok().filter(|max| (1..=limits::BODY_MAX).contains(max));
        if fits.is_none() {
            faults.add("/body_max", format_args!("between 1 and {} bytes", limits::BODY_MAX));
        }
        fits
    }
}

impl ResponseRule {
    fn read(&self, faults: &mut Faults) -> Option<source::Response> {
        let content_type = self.content_type.as_deref().unwrap_or("text/plain");
        let visible = |b: u8| b.is_ascii_graphic() || b == b' ';
        if !(200..300).contains(&self.status) {
            faults.add("/response/status", "between 200 and 299");
        } else if content_type.is_empty()
            || content_type.len() > 200
            || !content_type.bytes().all(visible)
        {
            faults.add("/response/content_type", "1 to 200 printable ASCII characters");
        } else if self.body.len() > RESPONSE_MAX {
            faults.add("/response/body", format_args!("at most {RESPONSE_MAX} bytes"));
        } else {
            return Some(source::Response {
                status: self.status,
                content_type: content_type.to_owned(),
                body: self.body.clone(),
            });
        }
        None
    }
}

/// A name that cannot be taken for an id where either may stand.
pub(crate) fn name(text: &str) -> Result<Label, String> {
    if ["src_", "ep_", "tnt_"].iter().any(|prefix| text.starts_with(prefix)) {
        return Err("a name must not begin like an id (src_, ep_, tnt_)".to_owned());
    }
    Label::parse(text).map_err(|error| error.to_string())
}

/// The most patterns of one list.
const PATTERNS: usize = 200;

pub(crate) fn patterns(
    pointer: &str,
    texts: &[String],
    faults: &mut Faults,
) -> Option<Vec<EventTypePattern>> {
    if texts.len() > PATTERNS {
        faults.add(pointer, format_args!("at most {PATTERNS} patterns"));
        return None;
    }
    let read = texts.iter().enumerate().map(|(place, text)| {
        faults.take(format!("{pointer}/{place}"), EventTypePattern::parse(text))
    });
    read.collect::<Vec<_>>().into_iter().collect()
}

pub(crate) fn secrets(
    pointer: &str,
    texts: &[String],
    faults: &mut Faults,
) -> Option<Vec<SecretText>> {
    if texts.len() > limits::SECRETS {
        faults.add(pointer, format_args!("at most {} secrets", limits::SECRETS));
        return None;
    }
    let read = texts
        .iter()
        .enumerate()
        .map(|(place, text)| faults.take(format!("{pointer}/{place}"), SecretText::parse(text)));
    read.collect::<Vec<_>>().into_iter().collect()
}

/// `Some(None)`: there is no rule. `None`: it is wrong.
pub(crate) fn rule(
    pointer: &str,
    rule: Option<&KeyRule>,
    faults: &mut Faults,
) -> Option<Option<source::KeyRule>> {
    match rule {
        None => Some(None),
        Some(rule) => faults.take(pointer, rule.read()).map(Some),
    }
}

/// As a source would be asked for; what `PATCH` changes. Its secrets are whole, so it never leaves the process.
impl From<&Source> for SourceIn {
    fn from(source: &Source) -> Self {
        let verification = &source.verification;
        Self {
            name: source.name.to_string(),
            provider: verification.provider.clone(),
            options: verification.options.iter().cloned().collect(),
            secrets: verification.secrets.iter().map(|s| s.reveal().to_owned()).collect(),
            public_url: verification.public_url.clone(),
            enabled: source.enabled,
            methods: source.methods.clone(),
            event_types: source.event_types.iter().map(ToString::to_string).collect(),
            type_rule: source.type_rule.as_ref().map(KeyRule::from),
            dedupe: DedupeRule::from(&source.dedupe),
            body_max: u64::try_from(source.body_max).ok(),
            response: source.response.as_ref().map(ResponseRule::from),
            from: source.from.clone(),
        }
    }
}

impl From<&Dedupe> for DedupeRule {
    fn from(dedupe: &Dedupe) -> Self {
        Self { window: Some(Span(dedupe.window)), key: dedupe.key.as_ref().map(KeyRule::from) }
    }
}

impl From<&source::Response> for ResponseRule {
    fn from(response: &source::Response) -> Self {
        Self {
            status: response.status,
            content_type: Some(response.content_type.clone()),
            body: response.body.clone(),
        }
    }
}

impl SourceOut {
    /// A source as it is shown, where sources receive under `/{prefix}/`.
    #[must_use]
    pub fn of(source: &Source, prefix: &Label) -> Self {
        let written = SourceIn::from(source);
        Self {
            id: source.id.to_string(),
            path: format!("/{prefix}/{}", written.name),
            name: written.name,
            provider: written.provider,
            options: written.options,
            secrets: source.verification.secrets.iter().map(masked).collect(),
            public_url: written.public_url,
            enabled: written.enabled,
            methods: written.methods,
            event_types: written.event_types,
            type_rule: written.type_rule,
            dedupe: written.dedupe,
            body_max: u64::try_from(source.body_max).unwrap_or(u64::MAX),
            response: written.response,
            hub: source.hub.as_ref().map(HubOut::from),
            from: written.from,
            warnings: warnings(&source.verification),
            created_at: Moment(source.created),
            updated_at: Moment(source.updated),
        }
    }
}
