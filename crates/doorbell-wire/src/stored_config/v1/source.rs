//! The document of a source.

use super::{VERSION, ms, texts, word, words};
use crate::stored_config::DocumentError;
use doorbell_core::secret::SecretText;
use doorbell_core::source::{self, KeyRule as CoreKeyRule};
use doorbell_core::time::Time;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::stored_config) struct Source {
    v: u32,
    id: String,
    tenant: String,
    name: String,
    enabled: bool,
    verification: Verification,
    methods: Vec<String>,
    event_types: Vec<String>,
    type_rule: Option<KeyRule>,
    dedupe: Dedupe,
    body_max: u64,
    response: Option<Response>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hub: Option<Hub>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    created_ms: u64,
    updated_ms: u64,
}

/// How a subscription at a WebSub hub stands.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Hub {
    wanted: String,
    token: String,
    hub: String,
    topic: String,
    asked_ms: Option<u64>,
    until_ms: Option<u64>,
    next_ms: u64,
    failures: u32,
    error: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Verification {
    provider: String,
    options: Vec<(String, String)>,
    secrets: Vec<String>,
    public_url: Option<String>,
}

/// Where a key stands.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeyRule {
    Header(String),
    Pointer(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dedupe {
    window_ms: u64,
    key: Option<KeyRule>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Response {
    status: u16,
    content_type: String,
    body: String,
}

impl From<&CoreKeyRule> for KeyRule {
    fn from(rule: &CoreKeyRule) -> Self {
        match rule {
            CoreKeyRule::Header(name) => Self::Header(name.clone()),
            CoreKeyRule::Pointer(pointer) => Self::Pointer(pointer.clone()),
        }
    }
}

impl From<KeyRule> for CoreKeyRule {
    fn from(rule: KeyRule) -> Self {
        match rule {
            KeyRule::Header(name) => Self::Header(name),
            KeyRule::Pointer(pointer) => Self::Pointer(pointer),
        }
    }
}

pub(super) fn secret(text: &str) -> Result<SecretText, DocumentError> {
    SecretText::parse(text).map_err(|_| DocumentError::Value("secret"))
}

impl From<&source::HubSubscription> for Hub {
    fn from(state: &source::HubSubscription) -> Self {
        Self {
            wanted: state.wanted.clone(),
            token: state.token.clone(),
            hub: state.hub.clone(),
            topic: state.topic.clone(),
            asked_ms: state.asked.map(Time::ms),
            until_ms: state.until.map(Time::ms),
            next_ms: state.next.ms(),
            failures: state.failures,
            error: state.error.clone(),
        }
    }
}

impl From<Hub> for source::HubSubscription {
    fn from(stored: Hub) -> Self {
        Self {
            wanted: stored.wanted,
            token: stored.token,
            hub: stored.hub,
            topic: stored.topic,
            asked: stored.asked_ms.map(Time::from_ms),
            until: stored.until_ms.map(Time::from_ms),
            next: Time::from_ms(stored.next_ms),
            failures: stored.failures,
            error: stored.error,
        }
    }
}

impl From<&source::Source> for Source {
    fn from(source: &source::Source) -> Self {
        let verification = &source.verification;
        Self {
            v: VERSION,
            id: source.id.to_string(),
            tenant: source.tenant.to_string(),
            name: source.name.to_string(),
            enabled: source.enabled,
            verification: Verification {
                provider: verification.provider.clone(),
                options: verification.options.clone(),
                secrets: verification.secrets.iter().map(|s| s.reveal().to_owned()).collect(),
                public_url: verification.public_url.clone(),
            },
            methods: source.methods.clone(),
            event_types: texts(&source.event_types),
            type_rule: source.type_rule.as_ref().map(KeyRule::from),
            dedupe: Dedupe {
                window_ms: ms(source.dedupe.window),
                key: source.dedupe.key.as_ref().map(KeyRule::from),
            },
            body_max: source.body_max as u64,
            response: source.response.as_ref().map(|response| Response {
                status: response.status,
                content_type: response.content_type.clone(),
                body: response.body.clone(),
            }),
            hub: source.hub.as_ref().map(Hub::from),
            from: source.from.clone(),
            created_ms: source.created.ms(),
            updated_ms: source.updated.ms(),
        }
    }
}

impl TryFrom<Source> for source::Source {
    type Error = DocumentError;

    fn try_from(stored: Source) -> Result<Self, DocumentError> {
        let verification = stored.verification;
        let secrets = verification.secrets.iter().map(|text| secret(text));
        let body_max = usize::try_from(stored.body_max);
        Ok(Self {
            id: word(&stored.id, "id")?,
            tenant: word(&stored.tenant, "tenant")?,
            name: word(&stored.name, "name")?,
            enabled: stored.enabled,
            verification: source::Verification {
                provider: verification.provider,
                options: verification.options,
                secrets: secrets.collect::<Result<_, _>>()?,
                public_url: verification.public_url,
            },
            methods: stored.methods,
            event_types: words(&stored.event_types, "event type")?,
            type_rule: stored.type_rule.map(CoreKeyRule::from),
            dedupe: source::Dedupe {
                window: Duration::from_millis(stored.dedupe.window_ms),
                key: stored.dedupe.key.map(CoreKeyRule::from),
            },
            body_max: body_max.map_err(|_| DocumentError::Value("body limit"))?,
            response: stored.response.map(|response| source::Response {
                status: response.status,
                content_type: response.content_type,
                body: response.body,
            }),
            hub: stored.hub.map(source::HubSubscription::from),
            from: stored.from,
            created: Time::from_ms(stored.created_ms),
            updated: Time::from_ms(stored.updated_ms),
        })
    }
}
