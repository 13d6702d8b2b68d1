//! The document of an endpoint.

use super::source::{KeyRule, secret};
use super::{VERSION, ms, texts, word, words};
use crate::stored_config::DocumentError;
use doorbell_core::endpoint::{self, OnDead as CoreOnDead, Status as CoreStatus};
use doorbell_core::time::Time;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::stored_config) struct Endpoint {
    v: u32,
    id: String,
    tenant: String,
    name: String,
    status: Status,
    subscription: Subscription,
    url: String,
    headers: Vec<(String, String)>,
    secrets: Vec<SigningSecret>,
    policy: Policy,
    created_ms: u64,
    updated_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Status {
    Enabled,
    Paused,
    Disabled { at_ms: u64, why: String },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subscription {
    sources: Vec<String>,
    event_types: Vec<String>,
    channels: Vec<String>,
    filter: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SigningSecret {
    secret: String,
    expires_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    timeout_ms: u64,
    concurrency: u32,
    rate: Option<Rate>,
    retry: Retry,
    order: Option<Order>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extra_signature: Option<ExtraSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtraSignature {
    provider: String,
    options: Vec<(String, String)>,
    secret: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    count: u32,
    per_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retry {
    schedule_ms: Vec<u64>,
    never: Vec<(u16, u16)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    key: KeyRule,
    on_dead: OnDead,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OnDead {
    Block,
    Skip,
}

impl From<&CoreStatus> for Status {
    fn from(status: &CoreStatus) -> Self {
        match status {
            CoreStatus::Enabled => Self::Enabled,
            CoreStatus::Paused => Self::Paused,
            CoreStatus::Disabled { at, why } => Self::Disabled { at_ms: at.ms(), why: why.clone() },
        }
    }
}

impl From<Status> for CoreStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Enabled => Self::Enabled,
            Status::Paused => Self::Paused,
            Status::Disabled { at_ms, why } => Self::Disabled { at: Time::from_ms(at_ms), why },
        }
    }
}

impl From<&endpoint::Policy> for Policy {
    fn from(policy: &endpoint::Policy) -> Self {
        Self {
            timeout_ms: ms(policy.timeout),
            concurrency: policy.concurrency,
            rate: policy.rate.map(|rate| Rate { count: rate.count, per_ms: ms(rate.per) }),
            retry: Retry {
                schedule_ms: policy.retry.schedule.iter().copied().map(ms).collect(),
                never: policy.retry.never.clone(),
            },
            order: policy.order.as_ref().map(|order| Order {
                key: KeyRule::from(&order.key),
                on_dead: match order.on_dead {
                    CoreOnDead::Block => OnDead::Block,
                    CoreOnDead::Skip => OnDead::Skip,
                },
            }),
            extra_signature: policy.extra_signature.as_ref().map(|extra| ExtraSignature {
                provider: extra.provider.clone(),
                options: extra.options.clone(),
                secret: extra.secret.reveal().to_owned(),
            }),
        }
    }
}

impl TryFrom<Policy> for endpoint::Policy {
    type Error = DocumentError;

    fn try_from(stored: Policy) -> Result<Self, DocumentError> {
        let schedule = stored.retry.schedule_ms.into_iter().map(Duration::from_millis).collect();
        let extra = |extra: ExtraSignature| -> Result<_, DocumentError> {
            let ExtraSignature { provider, options, secret: text } = extra;
            Ok(endpoint::ExtraSignature { provider, options, secret: secret(&text)? })
        };
        Ok(Self {
            timeout: Duration::from_millis(stored.timeout_ms),
            concurrency: stored.concurrency,
            rate: stored.rate.map(|rate| endpoint::Rate {
                count: rate.count,
                per: Duration::from_millis(rate.per_ms),
            }),
            retry: endpoint::Retry { schedule, never: stored.retry.never },
            order: stored.order.map(|order| endpoint::Order {
                key: order.key.into(),
                on_dead: match order.on_dead {
                    OnDead::Block => CoreOnDead::Block,
                    OnDead::Skip => CoreOnDead::Skip,
                },
            }),
            extra_signature: stored.extra_signature.map(extra).transpose()?,
        })
    }
}

impl From<&endpoint::Endpoint> for Endpoint {
    fn from(endpoint: &endpoint::Endpoint) -> Self {
        let subscription = &endpoint.subscription;
        let signing = |secret: &endpoint::SigningSecret| SigningSecret {
            secret: secret.secret.reveal().to_owned(),
            expires_ms: secret.expires.map(Time::ms),
        };
        Self {
            v: VERSION,
            id: endpoint.id.to_string(),
            tenant: endpoint.tenant.to_string(),
            name: endpoint.name.to_string(),
            status: Status::from(&endpoint.status),
            subscription: Subscription {
                sources: texts(&subscription.sources),
                event_types: texts(&subscription.event_types),
                channels: subscription.channels.clone(),
                filter: subscription.filter.clone(),
            },
            url: endpoint.url.clone(),
            headers: endpoint.headers.clone(),
            secrets: endpoint.secrets.iter().map(signing).collect(),
            policy: Policy::from(&endpoint.policy),
            created_ms: endpoint.created.ms(),
            updated_ms: endpoint.updated.ms(),
        }
    }
}

impl TryFrom<Endpoint> for endpoint::Endpoint {
    type Error = DocumentError;

    fn try_from(stored: Endpoint) -> Result<Self, DocumentError> {
        let signing = |stored: &SigningSecret| -> Result<_, DocumentError> {
            let expires = stored.expires_ms.map(Time::from_ms);
            Ok(endpoint::SigningSecret { secret: secret(&stored.secret)?, expires })
        };
        Ok(Self {
            id: word(&stored.id, "id")?,
            tenant: word(&stored.tenant, "tenant")?,
            name: word(&stored.name, "name")?,
            status: stored.status.into(),
            subscription: endpoint::Subscription {
                sources: words(&stored.subscription.sources, "source")?,
                event_types: words(&stored.subscription.event_types, "event type")?,
                channels: stored.subscription.channels,
                filter: stored.subscription.filter,
            },
            url: stored.url,
            headers: stored.headers,
            secrets: stored.secrets.iter().map(signing).collect::<Result<_, _>>()?,
            policy: stored.policy.try_into()?,
            created: Time::from_ms(stored.created_ms),
            updated: Time::from_ms(stored.updated_ms),
        })
    }
}
