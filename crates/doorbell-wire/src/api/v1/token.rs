//! Bearer tokens of the API. A token's text is in the answer that makes it, and nowhere else.

use super::text::{Moment, Span};
use doorbell_core::configuration::{self, Token};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a token may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Publish events.
    Publish,
    /// Look at everything but secrets; credentials in requests are hidden.
    Read,
    /// Change sources and endpoints.
    Write,
    /// Retry, cancel and replay deliveries.
    Replay,
    /// Everything, tokens and secrets included.
    Admin,
}

impl From<Scope> for configuration::Scope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Publish => Self::Publish,
            Scope::Read => Self::Read,
            Scope::Write => Self::Write,
            Scope::Replay => Self::Replay,
            Scope::Admin => Self::Admin,
        }
    }
}

impl From<configuration::Scope> for Scope {
    fn from(scope: configuration::Scope) -> Self {
        match scope {
            configuration::Scope::Publish => Self::Publish,
            configuration::Scope::Read => Self::Read,
            configuration::Scope::Write => Self::Write,
            configuration::Scope::Replay => Self::Replay,
            configuration::Scope::Admin => Self::Admin,
        }
    }
}

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenIn {
    /// A name for people, 1 to 100 bytes.
    pub name: String,
    /// What it may do; at least one.
    pub scopes: Vec<Scope>,
    /// For how long it is good, at most as long as the token that makes it; just as long unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<Span>,
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenOut {
    /// Its id.
    pub id: String,
    /// A name for people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Until when it is good; `null`: for ever.
    pub expires_at: Option<Moment>,
    /// When it was made.
    pub created_at: Moment,
    /// Its text, only in the answer that makes it: keep it now, for it cannot be shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl From<&Token> for TokenOut {
    fn from(token: &Token) -> Self {
        Self {
            id: token.id.to_string(),
            name: token.name.clone(),
            scopes: token.scopes.iter().map(|scope| Scope::from(*scope)).collect(),
            expires_at: token.expires.map(Moment),
            created_at: Moment(token.created),
            token: None,
        }
    }
}
