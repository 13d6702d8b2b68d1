//! The `Store` interface and its words: what is taken in ([`Admission`]), lent out ([`Lent`], [`Claim`]) and settled, changed
//! ([`Amendment`]) and listed ([`Page`]). Plain data only; how it is kept is the homes' affair.

mod admission;
mod amendment;
mod lease;
mod list;

pub use admission::{Admission, Admitted, NewDelivery};
pub use amendment::{Amended, Amendment};
pub use lease::{Backlog, Claim, Claims, Lease, Lent, Locator, Settled, Settlement, WaitingCount};
pub use list::{
    Cursor, DeliveryQuery, DeliveryRow, EventDetail, EventQuery, EventRow, FateWord, Page, Search,
    SearchHit, SearchPage, StateWord, Tally,
};

use crate::vitals::Vitals;
use doorbell_core::attempt::Attempt;
use doorbell_core::configuration::{Change, Configuration};
use doorbell_core::event::Event;
use doorbell_core::id::{DeliveryId, EndpointId, EventId, TenantId};
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
    /// with [`Fate::Duplicate`](doorbell_core::event::Fate::Duplicate) or, where it only has the key of the first one
    /// ([`Event::is_repeated_by`]), with [`Fate::key_reused`](doorbell_core::event::Fate::key_reused); it is answered only
    /// when the first one is durable. Deliveries with `lend` come out of [`Store::lent`] once durable, in commit order. An
    /// event that is to come [`once`](Admission::once) and is kept already changes nothing, however many bring it at the
    /// same time.
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

    /// What other nodes take in for endpoints that this one looks after may be lent to it as it is accepted, and then comes out
    /// of [`Store::lent`], but for these endpoints; `None` (as at the beginning): nothing may. It may go on for a moment. A home
    /// of one process has no others.
    fn lend_from_others(&self, _but: Option<Vec<EndpointId>>) {}

    /// Waits until another node may have changed the configuration. Whoever waits again goes by what [`Store::configuration`]
    /// gave first since: deliveries are lent under it. A home of one process never says so. Cancel safe.
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
