//! Events and the requests that told of them, and publishing. An event and its request share their 26 characters.

use super::http::{BodyOut, HeaderOut, header_lines};
use super::redact::{self, Veil};
use super::text::Moment;
use doorbell_core::directory::Directory;
use doorbell_core::event::{self, Event};
use doorbell_core::explain;
use doorbell_core::id::{EventId, RequestId, SourceId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An event to be published, as JSON. Any other body is published as it is, with its type in the header
/// `doorbell-event-type`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishIn<'a> {
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its body: exactly these bytes are stored and delivered.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// Extra routing words.
    #[serde(default)]
    pub channels: Vec<String>,
    /// What tells it from a repetition.
    #[serde(default)]
    pub dedupe_key: Option<String>,
}

/// An event to be published, as its schema shows it and as a client writes it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "PublishIn")]
#[schemars(deny_unknown_fields)]
pub struct Publish {
    /// Its type, such as `invoice.paid`: 1 to 256 printable characters without spaces.
    #[serde(rename = "type")]
    pub event_type: String,
    /// Its body, any JSON: exactly these bytes are stored and delivered.
    pub data: serde_json::Value,
    /// Extra routing words: endpoints with channels get the event only if they share one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// What tells it from a repetition, at most 512 bytes. The header `Idempotency-Key` is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe_key: Option<String>,
}

/// Parameters of publishing, for bodies that are published as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishQuery {
    /// The event's type; the header `doorbell-event-type` is the same.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// Extra routing words, separated by commas; the header `doorbell-channels` is the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<String>,
}

/// What came of publishing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PublishOut {
    /// The event's id.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it was taken in.
    pub at: Moment,
    /// What became of it.
    pub fate: Fate,
    /// How many deliveries were planned.
    pub deliveries: u64,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It became an event, with at least one delivery.
    Accepted,
    /// It became an event that no endpoint subscribes to.
    NoEndpoint,
    /// The source does not want this event type: acknowledged, delivered to no one.
    Filtered,
    /// Seen before: acknowledged, delivered no second time.
    Duplicate,
    /// Not believed or not wanted; the caller got an error.
    Rejected,
}

impl From<&event::Fate> for Fate {
    fn from(fate: &event::Fate) -> Self {
        match fate {
            event::Fate::Accepted => Self::Accepted,
            event::Fate::NoEndpoint => Self::NoEndpoint,
            event::Fate::Filtered => Self::Filtered,
            event::Fate::Duplicate { .. } => Self::Duplicate,
            event::Fate::Rejected(_) => Self::Rejected,
        }
    }
}

/// Why a request was rejected. The sender never learns it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RejectionOut {
    /// The kind: `verification_failed`, `source_disabled`, `method_not_allowed`, `body_too_large`, `malformed` or `key_reused`.
    pub reason: String,
    /// What happened and what to do about it.
    pub detail: String,
}

/// The parts of a fate that only some have.
fn fate_details(fate: &event::Fate) -> (Option<String>, Option<RejectionOut>) {
    match fate {
        event::Fate::Duplicate { of } => (Some(of.to_string()), None),
        event::Fate::Rejected(rejection) => (
            None,
            Some(RejectionOut {
                reason: rejection.reason.word().to_owned(),
                detail: rejection.detail.clone(),
            }),
        ),
        event::Fate::Accepted | event::Fate::NoEndpoint | event::Fate::Filtered => (None, None),
    }
}

/// How an event's deliveries stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TallyOut {
    /// Pending, scheduled, in flight or paused.
    pub waiting: u64,
    /// The endpoint took them.
    pub delivered: u64,
    /// Given up: dead letters.
    pub failed: u64,
    /// Not to be tried, on purpose.
    pub discarded: u64,
}

/// One line of the list of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventLine {
    /// Its id.
    pub id: String,
    /// Its type, where one could be read.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// When it was received.
    pub at: Moment,
    /// The id of the source that received it; `null`: it was published.
    pub source: Option<String>,
    /// The source's name; `null` when it was published, or the source was removed.
    pub source_name: Option<String>,
    /// Whether the source was removed: its name is not known any more.
    #[serde(default)]
    pub source_removed: bool,
    /// What became of it.
    pub fate: Fate,
    /// Bytes of its body.
    pub body_len: u64,
    /// How its deliveries stand.
    pub deliveries: TallyOut,
}

/// One line of the list of requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestLine {
    /// Its id.
    pub id: String,
    /// The event that it became.
    pub event: Option<String>,
    /// When it was received.
    pub at: Moment,
    /// The id of the source that received it; `null`: it was published.
    pub source: Option<String>,
    /// The source's name; `null` when it was published, or the source was removed.
    pub source_name: Option<String>,
    /// Whether the source was removed: its name is not known any more.
    #[serde(default)]
    pub source_removed: bool,
    /// The event type that was read from it.
    pub event_type: Option<String>,
    /// The method.
    pub method: String,
    /// Bytes of its body.
    pub body_len: u64,
    /// What became of it.
    pub fate: Fate,
    /// The event that it repeats, where it is a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<String>,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<RejectionOut>,
}

/// What a list of events or requests says of one, whatever store it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// The id.
    pub id: EventId,
    /// When it was received.
    pub at: doorbell_core::time::Time,
    /// The source.
    pub source: Option<SourceId>,
    /// The type.
    pub event_type: Option<&'a doorbell_core::name::EventType>,
    /// The method.
    pub method: &'a str,
    /// What became of it.
    pub fate: &'a event::Fate,
    /// Bytes of the body.
    pub body_len: u64,
    /// How its deliveries stand.
    pub tally: TallyOut,
}

impl EventLine {
    /// A row as a line of the list of events.
    #[must_use]
    pub fn of(row: Row<'_>, directory: &Directory) -> Self {
        let (source, source_name, source_removed) = source_of(row.source, directory);
        Self {
            id: row.id.to_string(),
            event_type: row.event_type.map(ToString::to_string),
            at: Moment(row.at),
            source,
            source_name,
            source_removed,
            fate: Fate::from(row.fate),
            body_len: row.body_len,
            deliveries: row.tally,
        }
    }
}

impl RequestLine {
    /// A row as a line of the list of requests.
    #[must_use]
    pub fn of(row: Row<'_>, directory: &Directory) -> Self {
        let (source, source_name, source_removed) = source_of(row.source, directory);
        let (duplicate_of, rejection) = fate_details(row.fate);
        Self {
            id: RequestId::from(row.id).to_string(),
            event: row.fate.is_event().then(|| row.id.to_string()),
            at: Moment(row.at),
            source,
            source_name,
            source_removed,
            event_type: row.event_type.map(ToString::to_string),
            method: row.method.to_owned(),
            body_len: row.body_len,
            fate: Fate::from(row.fate),
            duplicate_of,
            rejection,
        }
    }
}

/// An event, whole; its body only from its beginning on (`/body` has all of it).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventOut {
    /// Its id.
    pub id: String,
    /// Its type, where one could be read.
    #[serde(rename = "type")]
    pub event_type: Option<String>,
    /// When it was received.
    pub at: Moment,
    /// The id of the source that received it; `null`: it was published.
    pub source: Option<String>,
    /// The source's name; `null` when it was published, or the source was removed.
    pub source_name: Option<String>,
    /// Whether the source was removed: its name is not known any more.
    #[serde(default)]
    pub source_removed: bool,
    /// What became of it.
    pub fate: Fate,
    /// What became of it, in a sentence, and what to do about it.
    pub explanation: String,
    /// What tells it from its duplicates; lossy where it is not UTF-8.
    pub dedupe_key: Option<String>,
    /// Extra routing words.
    pub channels: Vec<String>,
    /// How its deliveries stand.
    pub deliveries: TallyOut,
    /// The request that told of it.
    pub request: HttpRequestOut,
}

/// A request, whole, whatever became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestOut {
    /// Its id.
    pub id: String,
    /// The event that it became.
    pub event: Option<String>,
    /// When it was received.
    pub at: Moment,
    /// The id of the source that received it; `null`: it was published.
    pub source: Option<String>,
    /// The source's name; `null` when it was published, or the source was removed.
    pub source_name: Option<String>,
    /// Whether the source was removed: its name is not known any more.
    #[serde(default)]
    pub source_removed: bool,
    /// The event type that was read from it.
    pub event_type: Option<String>,
    /// What became of it.
    pub fate: Fate,
    /// The event that it repeats, where it is a duplicate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_of: Option<String>,
    /// Why it was rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<RejectionOut>,
    /// What became of it, in a sentence, and what to do about it.
    pub explanation: String,
    /// The request.
    pub request: HttpRequestOut,
}

/// An HTTP request as it arrived. Credentials in its headers and query are `***` unless the token's scope is `admin`: those
/// whose names tell it, and those that its source checks. A body in which such a one stands is hidden; of a request whose
/// source is gone, so are all values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpRequestOut {
    /// The method.
    pub method: String,
    /// What stood behind the source in the path.
    pub path: String,
    /// The raw query without its `?`; `null` where no `?` stood.
    pub query: Option<String>,
    /// The header lines, in order, duplicates included.
    pub headers: Vec<HeaderOut>,
    /// Who sent it.
    pub peer: Option<String>,
    /// The body.
    pub body: BodyOut,
}

impl HttpRequestOut {
    fn of(event: &Event, veil: Veil<'_>) -> Self {
        let request = &event.request;
        Self {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.as_deref().map(|raw| redact::query(veil, raw)),
            headers: header_lines(&request.headers, veil),
            peer: request.peer.map(|ip| ip.to_string()),
            body: BodyOut::veiled(&request.body, request.headers.text("content-type"), veil),
        }
    }
}

/// The source's id, its name, and whether it was removed.
fn source_of(
    source: Option<SourceId>,
    directory: &Directory,
) -> (Option<String>, Option<String>, bool) {
    let name = source.and_then(|id| directory.source_name(id)).map(ToString::to_string);
    let removed = source.is_some() && name.is_none();
    (source.map(|id| id.to_string()), name, removed)
}

impl EventOut {
    /// An event as it is shown.
    #[must_use]
    pub fn of(
        (event, fate): (&Event, &event::Fate),
        deliveries: TallyOut,
        directory: &Directory,
        veil: Veil<'_>,
    ) -> Self {
        let (source, source_name, source_removed) = source_of(event.origin.source(), directory);
        let key = event.dedupe_key.as_deref();
        Self {
            id: event.id.to_string(),
            event_type: event.event_type.as_ref().map(ToString::to_string),
            at: Moment(event.at),
            source,
            source_name,
            source_removed,
            fate: Fate::from(fate),
            explanation: explain::fate(fate),
            dedupe_key: key.map(|bytes| String::from_utf8_lossy(bytes).into_owned()),
            channels: event.channels.clone(),
            deliveries,
            request: HttpRequestOut::of(event, veil),
        }
    }
}

impl RequestOut {
    /// A request as it is shown.
    #[must_use]
    pub fn of(
        (event, fate): (&Event, &event::Fate),
        directory: &Directory,
        veil: Veil<'_>,
    ) -> Self {
        let (source, source_name, source_removed) = source_of(event.origin.source(), directory);
        let (duplicate_of, rejection) = fate_details(fate);
        Self {
            id: RequestId::from(event.id).to_string(),
            event: fate.is_event().then(|| event.id.to_string()),
            at: Moment(event.at),
            source,
            source_name,
            source_removed,
            event_type: event.event_type.as_ref().map(ToString::to_string),
            fate: Fate::from(fate),
            duplicate_of,
            rejection,
            explanation: explain::fate(fate),
            request: HttpRequestOut::of(event, veil),
        }
    }
}

/// Which events or requests to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Received by this source (name or id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Of a type that fits, with `*` for any run of characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// With one of these fates, separated by commas: `accepted`, `no_endpoint`, `filtered`, `duplicate`, `rejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<String>,
    /// With a delivery to this endpoint (name or id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// With a delivery in this state: `waiting`, `delivered`, `failed` or `discarded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Received at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// Received before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// At most so many items, 1 to 1000; 50 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
