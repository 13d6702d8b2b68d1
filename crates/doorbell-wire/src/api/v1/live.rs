//! The live feed: what happens, as it happens (Server-Sent Events; each event's data is one [`LiveLine`]). It is lossy: a
//! watcher that does not keep up is told how much it missed, and the lists have all of it.

use super::delivery::DeliveryState;
use super::event::RequestLine;
use super::text::Moment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to watch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LiveQuery {
    /// Only what this source received (name or id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Only tries at this endpoint (name or id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Only requests and events of a type that fits, with `*` for any run of characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LiveLine {
    /// A request or published event was taken in, or turned away.
    Received(Box<RequestLine>),
    /// A try at a delivery came to an end.
    Tried(TriedOut),
    /// The watcher was too slow.
    Missed(MissedOut),
}

/// A try at a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TriedOut {
    /// The delivery.
    pub delivery: String,
    /// Its event.
    pub event: String,
    /// The id of the endpoint.
    pub endpoint: String,
    /// The endpoint's name; `null` when the endpoint was removed.
    pub endpoint_name: Option<String>,
    /// Whether the endpoint was removed: its name is not known any more.
    #[serde(default)]
    pub endpoint_removed: bool,
    /// When the try ended.
    pub at: Moment,
    /// Which try it was, from 1.
    pub attempt: u32,
    /// The HTTP status, if one was answered.
    pub status: Option<u16>,
    /// The kind of failure, from a fixed list (`connection_refused`, `timeout_response`, `server_error`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Where the delivery stands now.
    pub state: DeliveryState,
    /// When it is due again, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Moment>,
}

/// How much a watcher missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MissedOut {
    /// So many happenings.
    pub count: u64,
}
