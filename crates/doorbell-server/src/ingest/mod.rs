//! The ingest route: requests to sources, from the socket to the 2xx.
//!
//! A request is read under its source's limits, decided upon in `doorbell_core::intake`, made durable, and only then
//! answered. Nothing else happens on this path: no JSON tree, no task of its own, and no lookup outside memory but for a
//! provider's key that is not known yet (`keyed`). Rejected
//! requests go to the store by a side door (`rejections`) that nobody waits for. Messages from queues become requests too
//! (`consume`).

mod answer;
mod body;
mod head;
mod keyed;
mod rejections;
mod target;
mod receive;
mod consume;

pub use consume::Consumers;
pub use receive::{Ingest, IngestConfig, Keeper};
