//! A thing that happened, and what became of the request that told of it.

use crate::id::{EventId, SourceId, TenantId};
use crate::name::EventType;
use crate::request::Request;
use crate::time::Time;
use bytes::Bytes;

/// How an event was born. Everything after that is one pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A request to a source.
    Source(SourceId),
    /// Published through the API.
    Api,
}

impl Origin {
    /// The source, where there is one.
    #[must_use]
    pub const fn source(self) -> Option<SourceId> {
        match self {
            Self::Source(id) => Some(id),
            Self::Api => None,
        }
    }
}

/// An event with the request that carried it. A rejected request is kept in the same shape, with its [`Fate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its id; the request's id has the same bits.
    pub id: EventId,
    /// Whose it is.
    pub tenant: TenantId,
    /// When it was received.
    pub at: Time,
    /// Where it came from.
    pub origin: Origin,
    /// Its type, where one could be read.
    pub event_type: Option<EventType>,
    /// What tells it from its duplicates, where the provider or the caller gives that.
    pub dedupe_key: Option<Bytes>,
    /// Extra routing words given at publishing.
    pub channels: Vec<String>,
    /// The request, byte for byte.
    pub request: Request,
}

impl Event {
    /// Whether an event with the dedupe key of this one only repeats it. A provider may word it anew each time it sends it
    /// again; who publishes uses a key for one event.
    #[must_use]
    pub fn is_repeated_by(&self, other: &Self) -> bool {
        let same = || {
            self.request.body == other.request.body
                && self.event_type == other.event_type
                && self.channels == other.channels
        };
        self.origin.source().is_some() || same()
    }
}

/// What became of a request. Every request has exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It became an event, with at least one delivery.
    Accepted,
    /// It became an event that no endpoint subscribes to.
    NoEndpoint,
    /// The source does not want this event type: acknowledged, delivered to no one.
    Filtered,
    /// Seen before: acknowledged, delivered no second time.
    Duplicate {
        /// The event it repeats.
        of: EventId,
    },
    /// Not believed or not wanted; the caller got an error.
    Rejected(Rejection),
}

/// Why a request was rejected; the sentence for the operator stands beside it. The caller never learns which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The kind, from a fixed list.
    pub reason: RejectionReason,
    /// One sentence for the operator: what happened and what to do.
    pub detail: String,
}

/// The fixed list of reasons for a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectionReason {
    /// The signature, token or password did not hold.
    Verification,
    /// The source is switched off.
    SourceDisabled,
    /// The source does not take this method.
    Method,
    /// The body was over the source's limit.
    BodyTooLarge,
    /// The request could not be read (broken body, encoding, header).
    Malformed,
    /// It was published with the idempotency key of another event.
    KeyReused,
}

impl RejectionReason {
    /// All of them, for docs and decoding.
    pub const ALL: [Self; 6] = [
        Self::Verification,
        Self::SourceDisabled,
        Self::Method,
        Self::BodyTooLarge,
        Self::Malformed,
        Self::KeyReused,
    ];

    /// The word used in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Verification => "verification_failed",
            Self::SourceDisabled => "source_disabled",
            Self::Method => "method_not_allowed",
            Self::BodyTooLarge => "body_too_large",
            Self::Malformed => "malformed",
            Self::KeyReused => "key_reused",
        }
    }
}

impl Fate {
    /// The word used in the API.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::NoEndpoint => "no_endpoint",
            Self::Filtered => "filtered",
            Self::Duplicate { .. } => "duplicate",
            Self::Rejected(_) => "rejected",
        }
    }

    /// What became of what was published with the key of `of`, which is another event.
    #[must_use]
    pub fn key_reused(of: EventId) -> Self {
        let detail = format!(
            "its idempotency key was used before, for {of}, which is another event; use a new key for each event"
        );
        Self::Rejected(Rejection { reason: RejectionReason::KeyReused, detail })
    }

    /// Whether the request became an event.
    #[must_use]
    pub const fn is_event(&self) -> bool {
        matches!(self, Self::Accepted | Self::NoEndpoint | Self::Filtered)
    }
}
