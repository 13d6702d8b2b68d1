//! How the server is.

use super::endpoint::EndpointStatus;
use super::standing::StandingOut;
use super::text::Moment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusOut {
    /// Its version.
    pub version: String,
    /// Its clock.
    pub now: Moment,
    /// When it started.
    pub started_at: Moment,
    /// The address that receives; `/` and a source's name follow.
    pub ingest_url: String,
    /// What is kept, of all tenants; only for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreOut>,
    /// The tenant's endpoints.
    pub endpoints: Vec<EndpointHealth>,
}

/// What is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StoreOut {
    /// Requests and events.
    pub events: u64,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Deliveries that failed.
    pub failed: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes free on that disk.
    pub bytes_free: u64,
    /// The oldest request or event.
    pub oldest: Option<Moment>,
}

/// How one endpoint is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointHealth {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether it gets anything.
    pub status: EndpointStatus,
    /// When the first of its deliveries that wait in the store is due; `null`: none waits there.
    pub next_due_at: Option<Moment>,
    /// How its deliveries stand; left out while dispatch does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<StandingOut>,
}
