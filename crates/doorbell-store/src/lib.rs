//! What Doorbell remembers: the [`Store`] and its homes.
//!
//! A home keeps events, deliveries, attempts and the configuration. The *policy* of a change travels as data that
//! `doorbell-core` computed (the next state of a delivery, when it is due), so the homes stay small and alike; all of
//! them pass the same contract tests. Each verb is atomic and, when it returns, durable. A home gathers concurrent
//! calls by itself (one fdatasync, one transaction): what is best to gather is its own affair.
//! No HTTP, no retry rule, no clock lives here.

mod ticks;

mod vitals;

mod store;

mod changes;
mod search;

pub mod bodies;

pub mod memory;

pub mod embedded;

pub mod postgres;

mod any;

#[cfg(feature = "contract")]
pub mod contract;

pub use any::AnyStore;
pub use store::{
    Admission, Admitted, Amended, Amendment, Backlog, Claim, Claims, Cursor, DeliveryQuery,
    DeliveryRow, EventDetail, EventQuery, EventRow, FateWord, Lease, Lent, Locator, NewDelivery,
    Page, Pruned, Retention, Search, SearchHit, SearchPage, Settled, Settlement, StateWord, Stats,
    Store, StoreError, Tally, WaitingCount,
};
pub use vitals::{BOUNDS_US, Counted, EmbeddedVitals, PostgresVitals, Timings, Vitals};
