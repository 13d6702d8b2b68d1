//! What can be asked for: lists, searches, their pages and rows.

use bytes::Bytes;
use doorbell_core::attempt::Ending;
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::event::{Event, Fate};
use doorbell_core::id::{EndpointId, EventId, ReplayId, SourceId, TenantId};
use doorbell_core::limits;
use doorbell_core::name::{EventType, EventTypePattern};
use doorbell_core::time::Time;
use std::time::Duration;

/// Where the next page begins; opaque to everyone but the home that made it.
pub type Cursor = String;

/// One page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None`: this is the last.
    pub next: Option<Cursor>,
}

/// The word of a [`Fate`], for filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FateWord {
    /// See [`Fate::Accepted`].
    Accepted,
    /// See [`Fate::NoEndpoint`].
    NoEndpoint,
    /// See [`Fate::Filtered`].
    Filtered,
    /// See [`Fate::Duplicate`].
    Duplicate,
    /// See [`Fate::Rejected`].
    Rejected,
}

impl FateWord {
    /// The word of this fate.
    #[must_use]
    pub const fn of(fate: &Fate) -> Self {
        match fate {
            Fate::Accepted => Self::Accepted,
            Fate::NoEndpoint => Self::NoEndpoint,
            Fate::Filtered => Self::Filtered,
            Fate::Duplicate { .. } => Self::Duplicate,
            Fate::Rejected(_) => Self::Rejected,
        }
    }
}

/// The word of a [`State`], for filters. `Waiting` covers pending, scheduled, in flight and paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StateWord {
    /// See [`State::Waiting`].
    Waiting,
    /// See [`State::Delivered`].
    Delivered,
    /// See [`State::Failed`].
    Failed,
    /// See [`State::Discarded`].
    Discarded,
}

impl StateWord {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Delivered, Self::Failed, Self::Discarded];

    /// The word of this state.
    #[must_use]
    pub const fn of(state: &State) -> Self {
        match state {
            State::Waiting { .. } => Self::Waiting,
            State::Delivered { .. } => Self::Delivered,
            State::Failed { .. } => Self::Failed,
            State::Discarded { .. } => Self::Discarded,
        }
    }
}

/// Asks for requests and events.
#[derive(Debug, Clone)]
pub struct EventQuery {
    /// Whose.
    pub tenant: TenantId,
    /// Received by this source.
    pub source: Option<SourceId>,
    /// Of a type that fits.
    pub event_type: Option<EventTypePattern>,
    /// With one of these fates. Empty: any.
    pub fates: Vec<FateWord>,
    /// With a delivery to this endpoint.
    pub endpoint: Option<EndpointId>,
    /// With a delivery in this state; together with `endpoint`: with one to that endpoint in this state.
    pub state: Option<StateWord>,
    /// Received at or after.
    pub since: Option<Time>,
    /// Received before.
    pub until: Option<Time>,
    /// Where to go on.
    pub cursor: Option<Cursor>,
    /// At most so many, 1 to [`doorbell_core::limits::PAGE_MAX`].
    pub limit: usize,
}

impl EventQuery {
    /// The first page of everything of this tenant.
    #[must_use]
    pub const fn of(tenant: TenantId) -> Self {
        Self {
            tenant,
            source: None,
            event_type: None,
            fates: Vec::new(),
            endpoint: None,
            state: None,
            since: None,
            until: None,
            cursor: None,
            limit: limits::PAGE_DEFAULT,
        }
    }
}

/// One line of a list of requests and events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// The id.
    pub id: EventId,
    /// When it was received.
    pub at: Time,
    /// The source, where there is one.
    pub source: Option<SourceId>,
    /// Its type.
    pub event_type: Option<EventType>,
    /// What became of it.
    pub fate: Fate,
    /// The method.
    pub method: String,
    /// The body's length in bytes.
    pub body_len: u64,
    /// How its deliveries stand.
    pub tally: Tally,
}

/// How many deliveries stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Waiting.
    pub waiting: u64,
    /// Delivered.
    pub delivered: u64,
    /// Failed.
    pub failed: u64,
    /// Discarded.
    pub discarded: u64,
}

impl Tally {
    /// Counts `count` more deliveries in that state.
    pub const fn add(&mut self, state: StateWord, count: u64) {
        match state {
            StateWord::Waiting => self.waiting += count,
            StateWord::Delivered => self.delivered += count,
            StateWord::Failed => self.failed += count,
            StateWord::Discarded => self.discarded += count,
        }
    }
}

/// A request or event, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventDetail {
    /// The event (the body of a rejected request may be cut to [`doorbell_core::limits::REJECTED_BODY_KEPT`]).
    pub event: Event,
    /// What became of it.
    pub fate: Fate,
    /// How its deliveries stand.
    pub tally: Tally,
}

/// Asks for deliveries.
#[derive(Debug, Clone)]
pub struct DeliveryQuery {
    /// Whose.
    pub tenant: TenantId,
    /// Of this event.
    pub event: Option<EventId>,
    /// To this endpoint.
    pub endpoint: Option<EndpointId>,
    /// In this state.
    pub state: Option<StateWord>,
    /// Made by this replay.
    pub replay: Option<ReplayId>,
    /// Whose event was received at or after.
    pub since: Option<Time>,
    /// Whose event was received before.
    pub until: Option<Time>,
    /// Where to go on.
    pub cursor: Option<Cursor>,
    /// At most so many, 1 to [`doorbell_core::limits::PAGE_MAX`].
    pub limit: usize,
}

impl DeliveryQuery {
    /// The first page of everything of this tenant.
    #[must_use]
    pub const fn of(tenant: TenantId) -> Self {
        Self {
            tenant,
            event: None,
            endpoint: None,
            state: None,
            replay: None,
            since: None,
            until: None,
            cursor: None,
            limit: limits::PAGE_DEFAULT,
        }
    }
}

/// One line of a list of deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The delivery.
    pub delivery: Delivery,
    /// Whether it is lent out (in flight) just now.
    pub in_flight: bool,
    /// Its event's type.
    pub event_type: Option<EventType>,
    /// When its event was received.
    pub at: Time,
    /// When it was last settled, if ever.
    pub updated: Option<Time>,
    /// What came of the last attempt, if there was one.
    pub last: Option<Ending>,
}

/// What to look for in payloads.
#[derive(Debug, Clone)]
pub struct Search {
    /// Which events to look at; its cursor and limit hold for the hits.
    pub among: EventQuery,
    /// These bytes stand in the body, a header value or the query. Empty: anything.
    pub text: Bytes,
    /// The JSON value at this pointer (RFC 6901) exists, and equals the text if one is given with it.
    pub pointer: Option<(String, Option<String>)>,
    /// Look for at most this long; then return what was found with a cursor.
    pub budget: Duration,
}

/// A payload in which it was found.
#[derive(Debug, Clone)]
pub struct SearchHit {
    /// The event.
    pub row: EventRow,
    /// The bytes around the find, at most 200.
    pub excerpt: Bytes,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct SearchPage {
    /// The hits, newest first.
    pub hits: Vec<SearchHit>,
    /// Where to go on; `None`: everything was looked at.
    pub next: Option<Cursor>,
    /// How far back was looked.
    pub reached: Option<Time>,
    /// How many events were looked at.
    pub scanned: u64,
}
