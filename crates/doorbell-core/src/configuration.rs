//! Everything that is configured, as one value; a running node looks things up in a snapshot made of it.

use crate::endpoint::Endpoint;
use crate::id::{EndpointId, EventId, ReplayId, SourceId, TenantId, TokenId};
use crate::source::Source;
use crate::time::Time;
use std::collections::BTreeMap;

/// A customer of whoever runs Doorbell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// The caller's own id for it; unique. `default` exists from the start.
    pub uid: String,
    /// A name for people.
    pub name: String,
    /// When it was made.
    pub created: Time,
}

/// What a bearer token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Publish events.
    Publish,
    /// Look at everything but secrets.
    Read,
    /// Change sources and endpoints.
    Write,
    /// Retry, cancel and replay deliveries.
    Replay,
    /// Everything, tokens and secrets included.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Publish, Self::Read, Self::Write, Self::Replay, Self::Admin];

    /// The word used in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Read => "read",
            Self::Write => "write",
            Self::Replay => "replay",
            Self::Admin => "admin",
        }
    }
}

/// A bearer token; its text is shown once and only its SHA-256 kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// Whose it is.
    pub tenant: TenantId,
    /// A name for people.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// SHA-256 of its text.
    pub hash: [u8; 32],
    /// It is good until then; `None`: for good.
    pub expires: Option<Time>,
    /// When it was made.
    pub created: Time,
}

/// Many deliveries made again on purpose: what was planned and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// Its id.
    pub id: ReplayId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Which deliveries.
    pub choice: ReplayChoice,
    /// Where they go, when not to the endpoint of the first time.
    pub to: Option<EndpointId>,
    /// Deliveries made per second.
    pub rate_per_second: u32,
    /// How many were planned.
    pub planned: u64,
    /// How many have been made.
    pub made: u64,
    /// Where the next batch begins: the cursor of the list it walks.
    pub cursor: Option<String>,
    /// Where it stands.
    pub state: ReplayState,
    /// When it was asked for.
    pub created: Time,
    /// When it was last changed.
    pub updated: Time,
}

/// Which deliveries a replay makes again: those whose event fits all that is given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplayChoice {
    /// Only these events. Empty: all that fit the rest.
    pub events: Vec<EventId>,
    /// First delivered to this endpoint.
    pub endpoint: Option<EndpointId>,
    /// Received by this source.
    pub source: Option<SourceId>,
    /// Of a type that fits this pattern.
    pub event_type: Option<String>,
    /// With a delivery in this state (`failed`, `discarded`, `delivered`).
    pub state: Option<String>,
    /// Received at or after.
    pub since: Option<Time>,
    /// Received before.
    pub until: Option<Time>,
}

/// Where a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplayState {
    /// Deliveries are being made.
    Running,
    /// All are made.
    Done,
    /// Someone stopped it; what was made stays.
    Cancelled,
}

/// Everything that is configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configuration {
    /// All tenants.
    pub tenants: Vec<Tenant>,
    /// All sources.
    pub sources: Vec<Source>,
    /// All endpoints.
    pub endpoints: Vec<Endpoint>,
    /// All tokens.
    pub tokens: Vec<Token>,
    /// All replays that were not forgotten.
    pub replays: Vec<Replay>,
}

impl Configuration {
    /// All of it, kind by kind.
    pub fn resources(self) -> impl Iterator<Item = Resource> {
        let tenants = self.tenants.into_iter().map(Resource::Tenant);
        let sources = self.sources.into_iter().map(Resource::Source);
        let endpoints = self.endpoints.into_iter().map(Resource::Endpoint);
        let tokens = self.tokens.into_iter().map(Resource::Token);
        let replays = self.replays.into_iter().map(Resource::Replay);
        tenants.chain(sources).chain(endpoints).chain(tokens).chain(replays)
    }
}

/// One thing that is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A tenant.
    Tenant(Tenant),
    /// A source.
    Source(Source),
    /// An endpoint.
    Endpoint(Endpoint),
    /// A token.
    Token(Token),
    /// A replay.
    Replay(Replay),
}

impl Resource {
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> ResourceId {
        match self {
            Self::Tenant(tenant) => ResourceId::Tenant(tenant.id),
            Self::Source(source) => ResourceId::Source(source.id),
            Self::Endpoint(endpoint) => ResourceId::Endpoint(endpoint.id),
            Self::Token(token) => ResourceId::Token(token.id),
            Self::Replay(replay) => ResourceId::Replay(replay.id),
        }
    }
}

/// The id of one thing that is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceId {
    /// A tenant.
    Tenant(TenantId),
    /// A source.
    Source(SourceId),
    /// An endpoint.
    Endpoint(EndpointId),
    /// A token.
    Token(TokenId),
    /// A replay.
    Replay(ReplayId),
}

impl ResourceId {
    /// The id, if it is an endpoint's.
    #[must_use]
    pub const fn endpoint(&self) -> Option<EndpointId> {
        match self {
            Self::Endpoint(id) => Some(*id),
            Self::Tenant(_) | Self::Source(_) | Self::Token(_) | Self::Replay(_) => None,
        }
    }
}

/// One change of the configuration.
#[expect(clippy::large_enum_variant, reason = "made a few times an hour, never kept in bulk")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Makes it, or replaces the one with the same id.
    Put(Resource),
    /// Removes it; removing what is not there is no error.
    Delete(ResourceId),
}

impl Change {
    /// What it changes.
    #[must_use]
    pub const fn id(&self) -> ResourceId {
        match self {
            Self::Put(resource) => resource.id(),
            Self::Delete(id) => *id,
        }
    }
}

/// What comes of each thing that is changed, when the changes are made one after the other; `None`: it is removed.
pub fn last_words(
    changes: impl IntoIterator<Item = Change>,
) -> BTreeMap<ResourceId, Option<Resource>> {
    let word = |change: Change| match change {
        Change::Put(resource) => (resource.id(), Some(resource)),
        Change::Delete(id) => (id, None),
    };
    changes.into_iter().map(word).collect()
}
