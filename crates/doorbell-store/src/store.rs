//! The `Store` interface and its words.

use crate::vitals::Vitals;
use bytes::Bytes;
use doorbell_core::attempt::{Attempt, Ending};
use doorbell_core::configuration::{Change, Configuration};
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::event::{Event, Fate};
use doorbell_core::id::{DeliveryId, EndpointId, EventId, ReplayId, SourceId, TenantId};
use doorbell_core::limits;
use doorbell_core::name::{EventType, EventTypePattern};
use doorbell_core::time::Time;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// What Doorbell remembers. Each verb is atomic and, when it returns `Ok`, durable.
///
/// Verbs may be called from many tasks at once; a home commits what has come together in one go, in the order in which
/// it was submitted.
pub trait Store: Send + Sync + 'static {
    /// Takes an event in with its deliveries, or says that it was seen before.
    ///
    /// A repeat (same source or tenant, same dedupe key, within the window) is recorded as a request without deliveries,
    /// with [`Fate::Duplicate`] or, where it only has the key of the first one ([`Event::is_repeated_by`]), with
    /// [`Fate::key_reused`]; it is answered only when the first one is durable. Deliveries with
    /// `lend` come out of [`Store::lent`] once durable, in commit order. An event that is to come [`once`](Admission::once)
    /// and is kept already changes nothing, however many bring it at the same time.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when the queue to the disk is full or reading has fallen far behind, [`StoreError::Full`] when the disk is,
    /// [`StoreError::Broken`] after a failed fsync. In each case nothing was promised.
    fn accept(
        &self,
        admission: Admission,
    ) -> impl Future<Output = Result<Admitted, StoreError>> + Send;

    /// Waits for deliveries that were lent as they were accepted or retried. One caller at a time; in commit order. Cancel
    /// safe: dropping the future loses nothing.
    fn lent(&self) -> impl Future<Output = Vec<Lent>> + Send;

    /// Waits for endpoints at which something changed that only a claim can find: deliveries were accepted or replayed
    /// without being lent, retried, cancelled (which may free an order key), or given back untried. Each endpoint is named
    /// once, after the change is durable; nothing is ever missed. One caller at a time. Cancel safe.
    fn stirred(&self) -> impl Future<Output = Vec<EndpointId>> + Send;

    /// Lends out waiting deliveries of one endpoint that are due, oldest first. With [`Claim::by_key`] only the first
    /// unsettled delivery of each order key may be lent (in the order in which the events were accepted; a failed one
    /// that holds its key counts as unsettled), and which keys go first when there are more than `most` is the home's
    /// affair, as long as each has its turn. Deliveries without a key are not held back.
    ///
    /// # Errors
    /// Those of reading.
    fn claim(&self, claim: Claim) -> impl Future<Output = Result<Claims, StoreError>> + Send;

    /// A try at a lent delivery begins: from here on it is in flight, and nobody else may change it until it is settled.
    /// Whether the lease holds; where it does not, the delivery was taken away while it waited ([`Store::amend`]), and
    /// whoever held it drops it. Asked before every try, so it neither writes nor waits. To ask again changes nothing.
    fn begin(&self, delivery: DeliveryId, lease: Lease) -> bool;

    /// Writes down what came of a try (or that there was none: `attempt` is `None`), if the lease still holds. The lease
    /// ends with it. Without an attempt and with the delivery unchanged it only gives the delivery back, which needs no
    /// write.
    ///
    /// # Errors
    /// As [`Store::accept`]; the caller keeps the settlement and tries again while its lease lasts.
    fn settle(
        &self,
        settlement: Settlement,
    ) -> impl Future<Output = Result<Settled, StoreError>> + Send;

    /// Changes deliveries at someone's request: retry, cancel, replay. One answer for each, in order. One that is lent and
    /// whose try has not begun is taken back for it: its lease ends.
    ///
    /// # Errors
    /// As [`Store::accept`].
    fn amend(
        &self,
        amendments: Vec<Amendment>,
    ) -> impl Future<Output = Result<Vec<Amended>, StoreError>> + Send;

    /// Changes the configuration, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a name is taken; otherwise those of writing.
    fn configure(
        &self,
        changes: Vec<Change>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Everything that is configured.
    ///
    /// # Errors
    /// Those of reading.
    fn configuration(&self) -> impl Future<Output = Result<Configuration, StoreError>> + Send;

    /// Waits until another node may have changed the configuration. A home of one process never says so. Cancel safe.
    fn reconfigured(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// Whether this node is the one that looks after what has this id (an endpoint, a replay): what only one node may do
    /// is that one's affair. A home of one process looks after everything.
    fn owns(&self, _id: [u8; 16]) -> bool {
        true
    }

    /// Which endpoints have waiting deliveries that are not lent, and when the first of each is due.
    ///
    /// # Errors
    /// Those of reading.
    fn backlog(&self) -> impl Future<Output = Result<Vec<Backlog>, StoreError>> + Send;

    /// How many deliveries wait for each endpoint, lent ones included; of the endpoints that this node looks after. Of
    /// very many it may be fewer than there are: for people, not for decisions.
    ///
    /// # Errors
    /// Those of reading.
    fn waiting_counts(&self) -> impl Future<Output = Result<Vec<WaitingCount>, StoreError>> + Send;

    /// Requests and events, newest first. What was accepted before the call is seen.
    ///
    /// # Errors
    /// Those of reading.
    fn events(
        &self,
        query: EventQuery,
    ) -> impl Future<Output = Result<Page<EventRow>, StoreError>> + Send;

    /// One request or event, whole.
    ///
    /// # Errors
    /// Those of reading.
    fn event(
        &self,
        tenant: TenantId,
        id: EventId,
    ) -> impl Future<Output = Result<Option<EventDetail>, StoreError>> + Send;

    /// The event of a lent delivery.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when its bytes are damaged; otherwise those of reading.
    fn event_at(
        &self,
        locator: Locator,
    ) -> impl Future<Output = Result<Arc<Event>, StoreError>> + Send;

    /// Deliveries, those of the newest event first, and of one event the last made first. What was settled before the
    /// call is seen.
    ///
    /// # Errors
    /// Those of reading.
    fn deliveries(
        &self,
        query: DeliveryQuery,
    ) -> impl Future<Output = Result<Page<DeliveryRow>, StoreError>> + Send;

    /// One delivery.
    ///
    /// # Errors
    /// Those of reading.
    fn delivery(
        &self,
        tenant: TenantId,
        id: DeliveryId,
    ) -> impl Future<Output = Result<Option<DeliveryRow>, StoreError>> + Send;

    /// All attempts of one delivery, oldest first.
    ///
    /// # Errors
    /// Those of reading.
    fn attempts(
        &self,
        tenant: TenantId,
        id: DeliveryId,
    ) -> impl Future<Output = Result<Vec<Attempt>, StoreError>> + Send;

    /// Looks for text or a JSON path in payloads, newest first; returns after a bounded piece of work, with a cursor.
    ///
    /// # Errors
    /// Those of reading.
    fn search(&self, search: Search)
    -> impl Future<Output = Result<SearchPage, StoreError>> + Send;

    /// Sizes and counts.
    ///
    /// # Errors
    /// Those of reading.
    fn stats(&self) -> impl Future<Output = Result<Stats, StoreError>> + Send;

    /// What the home measures of itself. It neither waits nor reads.
    fn vitals(&self) -> Vitals;

    /// Forgets what retention allows, never what is still waiting; a bounded piece of work for each call.
    ///
    /// # Errors
    /// Those of writing.
    fn prune(
        &self,
        now: Time,
        retention: Retention,
    ) -> impl Future<Output = Result<Pruned, StoreError>> + Send;

    /// Resolves when the home can no longer promise anything (a failed fsync): the process must exit.
    fn broken(&self) -> impl Future<Output = String> + Send;

    /// Writes out what is pending and stops; afterwards every verb answers [`StoreError::Broken`].
    ///
    /// # Errors
    /// Those of writing.
    fn close(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Why a home could not do what was asked. Each variant is a branch that callers take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting to be written; try again soon.
    #[error("the store is busy")]
    Busy,
    /// No space is left (or only what deliveries in flight need); it recovers when space returns.
    #[error("the store has no space left")]
    Full,
    /// A write or fsync failed and nothing more can be promised; the process must exit.
    #[error("the store is broken: {0}")]
    Broken(String),
    /// Stored bytes are damaged; the rest stays readable.
    #[error("stored bytes are damaged: {0}")]
    Corrupt(String),
    /// A name is taken, or an id belongs to another.
    #[error("{0}")]
    Conflict(String),
    /// The cursor is none of this list; nothing was read.
    #[error("this is no cursor of this list; begin again without one")]
    BadCursor,
    /// Reading or writing failed for another reason.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// An event to be taken in.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The event (or the request that was not to become one).
    pub event: Arc<Event>,
    /// What is to become of it, unless it turns out to be a duplicate.
    pub fate: Fate,
    /// For how long its dedupe key counts, from its own time; zero or no key: not at all.
    pub dedupe_window: Duration,
    /// Its deliveries, at most [`doorbell_core::limits::FANOUT`].
    pub deliveries: Vec<NewDelivery>,
    /// It may have been taken in before, by whoever: then nothing is done ([`Admitted::Again`]). Asked for by those who
    /// bring what a queue gives at least once; it costs more.
    pub once: bool,
}

/// A delivery to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Its id.
    pub id: DeliveryId,
    /// Where it goes.
    pub endpoint: EndpointId,
    /// The hash of its order key.
    pub order_key: Option<u64>,
    /// Where it starts: waiting, or discarded because the endpoint is disabled.
    pub state: State,
    /// The replay that makes it.
    pub replay: Option<ReplayId>,
    /// Whether the caller takes it at once, without a claim.
    pub lend: bool,
}

/// What came of an acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admitted {
    /// It is durable.
    New,
    /// It repeats this event, which is durable.
    Repeat(EventId),
    /// It was published with the key of this event, which is another one and durable; it is kept as rejected.
    KeyReused(EventId),
    /// This very event (by its id) is durable since before; nothing was changed. Only where it was asked for
    /// ([`Admission::once`]).
    Again,
}

impl Admitted {
    /// What became of it in place of what was planned ([`Admission::fate`]), if it was not new.
    #[must_use]
    pub fn fate(self) -> Option<Fate> {
        match self {
            Self::New | Self::Again => None,
            Self::Repeat(of) => Some(Fate::Duplicate { of }),
            Self::KeyReused(of) => Some(Fate::key_reused(of)),
        }
    }
}

/// Where a home finds an event; opaque to everyone else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Locator(pub u64);

/// The right to settle a delivery: a fencing token. A home that lends again gives a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease(pub u64);

/// A delivery that was lent out.
#[derive(Debug, Clone)]
pub struct Lent {
    /// The delivery, in state waiting.
    pub delivery: Delivery,
    /// Where its event is.
    pub locator: Locator,
    /// The right to settle it.
    pub lease: Lease,
    /// Bytes of its event's body.
    pub body_len: u64,
    /// The event, where the home had it at hand.
    pub payload: Option<Arc<Event>>,
}

/// Asks for waiting deliveries of one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Of which endpoint.
    pub endpoint: EndpointId,
    /// Only the first unsettled delivery of each order key.
    pub by_key: bool,
    /// Due at or before.
    pub due_by: Time,
    /// At most so many.
    pub most: usize,
    /// Bytes of bodies that may come along ([`Lent::payload`]): the first deliveries' events, as far as they fit. What was
    /// not brought is read by its locator.
    pub event_bytes: usize,
    /// The lease ends by itself then (homes of one process may ignore it: their leases end with the process).
    pub lease_until: Time,
}

/// What was lent on a claim.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    /// The deliveries, oldest due first.
    pub lent: Vec<Lent>,
    /// When the earliest waiting delivery that was not lent, and does not wait for its key, is due. It may be past: then
    /// there is more to claim, or (by key) more to look at, and the next claim goes on there.
    /// `None`: nothing else of this endpoint waits in the store.
    pub next_due: Option<Time>,
}

/// An endpoint's waiting deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Of which endpoint.
    pub endpoint: EndpointId,
    /// When the first that is not lent is due.
    pub next_due: Time,
}

/// How many deliveries wait for an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingCount {
    /// For which endpoint.
    pub endpoint: EndpointId,
    /// How many; more than none.
    pub deliveries: u64,
}

/// What came of a try.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The right to say so.
    pub lease: Lease,
    /// Where the delivery's event is.
    pub locator: Locator,
    /// The delivery as it is from now on (`attempts` and `state` are what changed).
    pub delivery: Delivery,
    /// The try; `None` when the delivery is only given back, put off or discarded.
    pub attempt: Option<Attempt>,
    /// Where it is settled for good, the next of its order key may be lent with the same write ([`Settled::Next`]), if it is
    /// due and no other of the key goes before it or is out. A home may leave that to a claim.
    pub next: bool,
}

impl Settlement {
    /// The order key whose next delivery may be lent, and by when that must be due.
    #[must_use]
    pub fn frees(&self) -> Option<(u64, Time)> {
        let at = match self.delivery.state {
            State::Delivered { at }
            | State::Failed { at, holds_key: false }
            | State::Discarded { at, .. } => at,
            State::Failed { holds_key: true, .. } | State::Waiting { .. } => return None,
        };
        self.delivery.order_key.filter(|_| self.next).map(|key| (key, at))
    }

    /// Whether nothing was tried and the delivery goes on waiting: a claim that came meanwhile passed over it.
    #[must_use]
    pub const fn gives_back(&self) -> bool {
        self.attempt.is_none() && !self.delivery.state.is_settled()
    }

    /// When it happened, as far as it says so itself: the time of the state it leads to, else the end of the try.
    #[must_use]
    pub fn at(&self) -> Option<Time> {
        match self.delivery.state {
            State::Delivered { at } | State::Failed { at, .. } | State::Discarded { at, .. } => {
                Some(at)
            }
            State::Waiting { .. } => self.attempt.as_ref().map(|a| a.at.after(a.timings.total)),
        }
    }

    /// What came of the try, if there was one.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.attempt.as_ref().map(|attempt| attempt.outcome.ending())
    }
}

/// Whether a settlement was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It was.
    Kept,
    /// It was, and the next of its order key comes out of [`Store::lent`].
    Next,
    /// Someone else holds the delivery by now; nothing was changed.
    LeaseLost,
}

/// A change of deliveries at someone's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amendment {
    /// Makes a delivery wait again (or be due earlier), whatever its state.
    Retry {
        /// Whose.
        tenant: TenantId,
        /// Which.
        delivery: DeliveryId,
        /// From when on.
        due: Time,
        /// Whether the caller takes it at once, without a claim, if none of its order key goes before it: it comes out of
        /// [`Store::lent`].
        lend: bool,
    },
    /// Discards a delivery that waits or failed.
    Cancel {
        /// Whose.
        tenant: TenantId,
        /// Which.
        delivery: DeliveryId,
        /// When.
        at: Time,
    },
    /// Gives a stored event new deliveries (a replay).
    Redeliver {
        /// Whose.
        tenant: TenantId,
        /// Of which event.
        event: EventId,
        /// The new deliveries.
        deliveries: Vec<NewDelivery>,
    },
}

/// What came of an amendment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amended {
    /// It is done; for a retry or cancel, whose endpoint should be looked at.
    Done(Option<EndpointId>),
    /// There is no such delivery or event (or it is another tenant's).
    Unknown,
    /// The delivery is being tried just now; ask again when it is settled.
    InFlight,
    /// The delivery's state does not allow it (a delivered one cannot be cancelled).
    NotAllowed,
}

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

/// Sizes and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Requests and events that are kept.
    pub events: u64,
    /// Deliveries that wait.
    pub waiting: u64,
    /// Deliveries that failed and are kept.
    pub failed: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Bytes free on that disk.
    pub bytes_free: u64,
    /// The oldest request or event.
    pub oldest: Option<Time>,
    /// Rejected requests that were taken since the start and then could not be written (the disk was full).
    pub unkept: u64,
}

/// What may be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// What is older; `None`: nothing for its age.
    pub age: Option<Duration>,
    /// The oldest beyond so many bytes; `None`: nothing for its size.
    pub bytes: Option<u64>,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Events.
    pub events: u64,
    /// Bytes.
    pub bytes: u64,
}
