//! The embedded home: *the journal is the truth, the index is a view of it.*
//!
//! An event with its deliveries is one record of the journal, a settlement is another; a verb that writes puts its
//! record into a queue, and the commit thread writes all that has come together, syncs once, and answers. The indexer
//! reads the journal's files behind it and feeds the index, which answers lists and claims; it can be deleted at any time.
//! Dedupe keys are in memory. No retry rule and no clock live here.

mod private;
pub(crate) mod journal;

mod open;

mod home;

pub(crate) mod dedupe;

mod leases;
mod progress;

mod item;
mod answers;

mod queue;

mod shared;

mod commit;

pub mod index;

mod tail;

pub(crate) mod engine;

pub mod config;

mod once;

mod parts;

mod amend;
mod take;
mod prune;
mod scan;
mod past;
mod moved;

mod doctor;

mod backup;

mod home_store;

#[cfg(test)]
mod tests;

pub use backup::{Backup, RestoreError, restore};
pub use doctor::{Inspected, inspect};
pub use home_store::Embedded;
pub use journal::recover::{Damage, DamageKind};
pub use open::{OpenError, Options};
pub use past::{Mark, Touched};
