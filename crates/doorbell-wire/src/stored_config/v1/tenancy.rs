//! The documents of tenants, tokens and replays.

use super::{VERSION, maybe, texts, word, words};
use crate::stored_config::DocumentError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorbell_core::configuration::{
    self, ReplayChoice as CoreChoice, ReplayState as CoreState, Scope,
};
use doorbell_core::time::Time;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::stored_config) struct Tenant {
    v: u32,
    id: String,
    uid: String,
    name: String,
    created_ms: u64,
}

impl From<&configuration::Tenant> for Tenant {
    fn from(tenant: &configuration::Tenant) -> Self {
        Self {
            v: VERSION,
            id: tenant.id.to_string(),
            uid: tenant.uid.clone(),
            name: tenant.name.clone(),
            created_ms: tenant.created.ms(),
        }
    }
}

impl TryFrom<Tenant> for configuration::Tenant {
    type Error = DocumentError;

    fn try_from(stored: Tenant) -> Result<Self, DocumentError> {
        let created = Time::from_ms(stored.created_ms);
        Ok(Self { id: word(&stored.id, "id")?, uid: stored.uid, name: stored.name, created })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::stored_config) struct Token {
    v: u32,
    id: String,
    tenant: String,
    name: String,
    scopes: Vec<String>,
    sha256: String,
    expires_ms: Option<u64>,
    created_ms: u64,
}

impl From<&configuration::Token> for Token {
    fn from(token: &configuration::Token) -> Self {
        Self {
            v: VERSION,
            id: token.id.to_string(),
            tenant: token.tenant.to_string(),
            name: token.name.clone(),
            scopes: token.scopes.iter().map(|scope| scope.word().to_owned()).collect(),
            sha256: STANDARD.encode(token.hash),
            expires_ms: token.expires.map(Time::ms),
            created_ms: token.created.ms(),
        }
    }
}

impl TryFrom<Token> for configuration::Token {
    type Error = DocumentError;

    fn try_from(stored: Token) -> Result<Self, DocumentError> {
        let hash = STANDARD.decode(&stored.sha256).ok().and_then(|hash| hash.try_into().ok());
        Ok(Self {
            id: word(&stored.id, "id")?,
            tenant: word(&stored.tenant, "tenant")?,
            name: stored.name,
            scopes: stored.scopes.iter().map(|word| scope(word)).collect::<Result<_, _>>()?,
            hash: hash.ok_or(DocumentError::Value("hash"))?,
            expires: stored.expires_ms.map(Time::from_ms),
            created: Time::from_ms(stored.created_ms),
        })
    }
}

fn scope(word: &str) -> Result<Scope, DocumentError> {
    let known = Scope::ALL.into_iter().find(|scope| scope.word() == word);
    known.ok_or(DocumentError::Value("scope"))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::stored_config) struct Replay {
    v: u32,
    id: String,
    tenant: String,
    choice: Choice,
    to: Option<String>,
    rate_per_second: u32,
    planned: u64,
    made: u64,
    cursor: Option<String>,
    state: State,
    created_ms: u64,
    updated_ms: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    events: Vec<String>,
    endpoint: Option<String>,
    source: Option<String>,
    event_type: Option<String>,
    state: Option<String>,
    since_ms: Option<u64>,
    until_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Running,
    Done,
    Cancelled,
}

impl From<&CoreChoice> for Choice {
    fn from(choice: &CoreChoice) -> Self {
        Self {
            events: texts(&choice.events),
            endpoint: choice.endpoint.map(|id| id.to_string()),
            source: choice.source.map(|id| id.to_string()),
            event_type: choice.event_type.clone(),
            state: choice.state.clone(),
            since_ms: choice.since.map(Time::ms),
            until_ms: choice.until.map(Time::ms),
        }
    }
}

impl TryFrom<Choice> for CoreChoice {
    type Error = DocumentError;

    fn try_from(stored: Choice) -> Result<Self, DocumentError> {
        Ok(Self {
            events: words(&stored.events, "event")?,
            endpoint: maybe(stored.endpoint.as_ref(), "endpoint")?,
            source: maybe(stored.source.as_ref(), "source")?,
            event_type: stored.event_type,
            state: stored.state,
            since: stored.since_ms.map(Time::from_ms),
            until: stored.until_ms.map(Time::from_ms),
        })
    }
}

impl From<&configuration::Replay> for Replay {
    fn from(replay: &configuration::Replay) -> Self {
        Self {
            v: VERSION,
            id: replay.id.to_string(),
            tenant: replay.tenant.to_string(),
            choice: Choice::from(&replay.choice),
            to: replay.to.map(|id| id.to_string()),
            rate_per_second: replay.rate_per_second,
            planned: replay.planned,
            made: replay.made,
            cursor: replay.cursor.clone(),
            state: match replay.state {
                CoreState::Running => State::Running,
                CoreState::Done => State::Done,
                CoreState::Cancelled => State::Cancelled,
            },
            created_ms: replay.created.ms(),
            updated_ms: replay.updated.ms(),
        }
    }
}

impl TryFrom<Replay> for configuration::Replay {
    type Error = DocumentError;

    fn try_from(stored: Replay) -> Result<Self, DocumentError> {
        Ok(Self {
            id: word(&stored.id, "id")?,
            tenant: word(&stored.tenant, "tenant")?,
            choice: stored.choice.try_into()?,
            to: maybe(stored.to.as_ref(), "endpoint")?,
            rate_per_second: stored.rate_per_second,
            planned: stored.planned,
            made: stored.made,
            cursor: stored.cursor,
            state: match stored.state {
                State::Running => CoreState::Running,
                State::Done => CoreState::Done,
                State::Cancelled => CoreState::Cancelled,
            },
            created: Time::from_ms(stored.created_ms),
            updated: Time::from_ms(stored.updated_ms),
        })
    }
}
