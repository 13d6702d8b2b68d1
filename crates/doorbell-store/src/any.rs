//! Whichever home was chosen: forwards by `match`, so that nothing above carries a type parameter.

use crate::embedded::Embedded;
use crate::memory::Memory;
use crate::postgres::Postgres;
use crate::store::{
    Admission, Admitted, Amended, Amendment, Backlog, Claim, Claims, DeliveryQuery, DeliveryRow,
    EventDetail, EventQuery, EventRow, Lease, Lent, Locator, Page, Pruned, Retention, Search,
    SearchPage, Settled, Settlement, Stats, Store, StoreError, WaitingCount,
};
use crate::vitals::Vitals;
use doorbell_core::attempt::Attempt;
use doorbell_core::configuration::{Change, Configuration};
use doorbell_core::event::Event;
use doorbell_core::id::{DeliveryId, EndpointId, EventId, TenantId};
use doorbell_core::time::Time;
use std::sync::Arc;

/// One of the homes.
#[derive(Debug)]
pub enum AnyStore {
    /// The model, for tests.
    Memory(Memory),
    /// The default, in a directory.
    Embedded(Embedded),
    /// A node on a database that others share.
    Postgres(Postgres),
}

impl From<Memory> for AnyStore {
    fn from(home: Memory) -> Self {
        Self::Memory(home)
    }
}

impl From<Embedded> for AnyStore {
    fn from(home: Embedded) -> Self {
        Self::Embedded(home)
    }
}

impl From<Postgres> for AnyStore {
    fn from(home: Postgres) -> Self {
        Self::Postgres(home)
    }
}

macro_rules! forward {
    ($($verb:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Store for AnyStore {
            fn begin(&self, delivery: DeliveryId, lease: Lease) -> bool {
                match self {
                    Self::Memory(home) => home.begin(delivery, lease),
                    Self::Embedded(home) => home.begin(delivery, lease),
                    Self::Postgres(home) => home.begin(delivery, lease),
                }
            }

            fn vitals(&self) -> Vitals {
                match self {
                    Self::Memory(home) => home.vitals(),
                    Self::Embedded(home) => home.vitals(),
                    Self::Postgres(home) => home.vitals(),
                }
            }

            fn lend_from_others(&self, but: Option<Vec<EndpointId>>) {
                match self {
                    Self::Memory(home) => home.lend_from_others(but),
                    Self::Embedded(home) => home.lend_from_others(but),
                    Self::Postgres(home) => home.lend_from_others(but),
                }
            }

            fn owns(&self, id: [u8; 16]) -> bool {
                match self {
                    Self::Memory(home) => home.owns(id),
                    Self::Embedded(home) => home.owns(id),
                    Self::Postgres(home) => home.owns(id),
                }
            }
        $(
            async fn $verb(&self $(, $argument: $type)*) -> $answer {
                match self {
                    Self::Memory(home) => home.$verb($($argument),*).await,
                    Self::Embedded(home) => home.$verb($($argument),*).await,
                    // Larger than the others', and it goes over a network anyway.
                    Self::Postgres(home) => Box::pin(home.$verb($($argument),*)).await,
                }
            }
        )*}
    };
}

forward! {
    accept(admission: Admission) -> Result<Admitted, StoreError>;
    lent() -> Vec<Lent>;
    stirred() -> Vec<EndpointId>;
    claim(claim: Claim) -> Result<Claims, StoreError>;
    settle(settlement: Settlement) -> Result<Settled, StoreError>;
    amend(amendments: Vec<Amendment>) -> Result<Vec<Amended>, StoreError>;
    configure(changes: Vec<Change>) -> Result<(), StoreError>;
    configuration() -> Result<Configuration, StoreError>;
    reconfigured() -> ();
    backlog() -> Result<Vec<Backlog>, StoreError>;
    waiting_counts() -> Result<Vec<WaitingCount>, StoreError>;
    events(query: EventQuery) -> Result<Page<EventRow>, StoreError>;
    event(tenant: TenantId, id: EventId) -> Result<Option<EventDetail>, StoreError>;
    event_at(locator: Locator) -> Result<Arc<Event>, StoreError>;
    deliveries(query: DeliveryQuery) -> Result<Page<DeliveryRow>, StoreError>;
    delivery(tenant: TenantId, id: DeliveryId) -> Result<Option<DeliveryRow>, StoreError>;
    attempts(tenant: TenantId, id: DeliveryId) -> Result<Vec<Attempt>, StoreError>;
    search(search: Search) -> Result<SearchPage, StoreError>;
    stats() -> Result<Stats, StoreError>;
    prune(now: Time, retention: Retention) -> Result<Pruned, StoreError>;
    broken() -> String;
    close() -> Result<(), StoreError>;
}
