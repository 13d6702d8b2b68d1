//! Searching payloads. The answer is a stream of lines (NDJSON), newest event first, each line as soon as it is known.

use super::event::{EventQuery, RequestLine};
use super::http::BodyOut;
use super::text::{Moment, Span};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What to look for, and where. At least one of `text` and `pointer` is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    /// This text stands in the body, a header value or the query, at most 1024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The body is JSON and has a value at this pointer (RFC 6901), such as `/data/id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The value at the pointer is this text, or prints as it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// Received by this source (name or id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Of a type that fits, with `*` for any run of characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// With one of these fates, separated by commas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<String>,
    /// With a delivery to this endpoint (name or id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// With a delivery in this state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Received at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// Received before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// At most so many hits, 1 to 1000; 50 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next_cursor` of the search before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Look for at most this long, `30s` unless said, `5m` at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Span>,
}

impl SearchQuery {
    /// Among which events is looked: the part that a search has in common with a list.
    #[must_use]
    pub fn among(&self) -> EventQuery {
        EventQuery {
            source: self.source.clone(),
            event_type: self.event_type.clone(),
            fate: self.fate.clone(),
            endpoint: self.endpoint.clone(),
            state: self.state.clone(),
            since: self.since,
            until: self.until,
            limit: self.limit,
            cursor: self.cursor.clone(),
        }
    }
}

/// The longest text that is looked for, in bytes.
pub const TEXT_MAX: usize = 1_024;
/// How long is looked unless said, and at most.
pub const BUDGET_DEFAULT: Duration = Duration::from_secs(30);
/// See [`BUDGET_DEFAULT`].
pub const BUDGET_MAX: Duration = Duration::from_secs(300);

/// One line of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SearchLine {
    /// A payload in which it was found.
    Hit(Box<HitOut>),
    /// How far the search is; comes at least once a second.
    Progress(ProgressOut),
    /// The end of the search.
    Done(DoneOut),
    /// The search broke off.
    Problem(BrokenOff),
}

/// A payload in which it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HitOut {
    /// The request, and the event that it became.
    pub request: RequestLine,
    /// The bytes around the find.
    pub excerpt: BodyOut,
}

/// How far the search is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressOut {
    /// Events looked at so far.
    pub scanned: u64,
    /// How far back was looked.
    pub reached: Option<Moment>,
}

/// The end of a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoneOut {
    /// Events looked at.
    pub scanned: u64,
    /// Hits that were sent.
    pub hits: u64,
    /// How far back was looked.
    pub reached: Option<Moment>,
    /// Where the next search goes on; `null`: everything was looked at.
    pub next_cursor: Option<String>,
}

/// Why a search broke off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BrokenOff {
    /// The code of the problem.
    pub code: String,
    /// What happened.
    pub detail: String,
}
