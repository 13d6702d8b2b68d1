//! What is to be, declared whole: sources and endpoints by name, compared with what is there, and made so in one go.

use super::endpoint::EndpointIn;
use super::source::SourceIn;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The sources and endpoints that are to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyIn {
    /// The sources. One that is declared without secrets keeps those that it has, unless its provider changes.
    #[serde(default)]
    pub sources: Option<Vec<SourceIn>>,
    /// The endpoints. They may name sources that are declared beside them. One that is declared without a secret keeps its
    /// own, or gets a new one; another secret than its own takes its place, and the old one signs beside it for 24h. One
    /// that is declared without a status keeps the status that it has.
    #[serde(default)]
    pub endpoints: Option<Vec<EndpointIn>>,
    /// Whether what is not declared is removed. Then both lists are given, an empty one where all is to go.
    #[serde(default)]
    pub prune: bool,
    /// Whether to tell only what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was done, or would be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApplyOut {
    /// Whether it was only told.
    pub dry_run: bool,
    /// Each source and endpoint that was declared, in that order, then those that were not: removed with `prune`, else left
    /// alone.
    pub changes: Vec<AppliedOut>,
}

/// What becomes of one source or endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedOut {
    /// What it is.
    pub kind: AppliedKind,
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub action: AppliedAction,
    /// What an update changes.
    pub fields: Vec<AppliedField>,
    /// How many deliveries wait for an endpoint that is removed, and are discarded with it; at most 1,000 are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
    /// The secret of a new endpoint that was made for it, whole, this one time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// What is weak about it though it works, such as a secret that can be guessed; each a sentence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A field that is changed. Secrets are masked, the values of headers that hold credentials are `***`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppliedField {
    /// Its name.
    pub name: String,
    /// What it was; `null` where there was nothing.
    pub from: Value,
    /// What it is to be; `null` where there is to be nothing.
    pub to: Value,
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppliedKind {
    /// A source.
    Source,
    /// An endpoint.
    Endpoint,
}

/// What becomes of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppliedAction {
    /// It is made.
    Create,
    /// Some of its fields are changed.
    Update,
    /// It is removed: it was not declared.
    Delete,
    /// It was not declared, and is left alone.
    Undeclared,
    /// It is as it was declared.
    Unchanged,
}
