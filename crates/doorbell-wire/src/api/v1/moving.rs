//! The store moves to a database while the server serves.

use super::text::Moment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the store is to go.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveIn {
    /// The database: `postgres://user:password@host/database`. It is never shown again with its password.
    pub to: String,
}

impl std::fmt::Debug for MoveIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MoveIn").finish_non_exhaustive()
    }
}

/// How a move stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MoveOut {
    /// Where it stands: `none` (nobody asked for one since the start), `preparing`, `copying` (the server serves), `switching`
    /// (it is stopped for a moment), `done` (it works on the database), `failed` or `cancelled` (it goes on as before).
    pub phase: String,
    /// Host and name of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// When it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// Events that were copied; one that changed meanwhile counts again.
    pub events: u64,
    /// Bytes of the journal that were read.
    pub bytes_read: u64,
    /// Bytes that there are.
    pub bytes: u64,
    /// Damaged records that were left behind; `doorbell doctor` tells of them.
    pub damaged: u64,
    /// For how long nothing was answered while the server changed over, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause_ms: Option<u64>,
    /// Why it failed, or what to mind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}
