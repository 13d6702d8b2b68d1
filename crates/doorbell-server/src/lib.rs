//! The running gateway: it receives requests, keeps what they tell, delivers it, and shows what happened.
//!
//! Decisions are `doorbell-core`'s, durability is `doorbell-store`'s; here are the sockets, the tasks and the clock that
//! they need. The modules stand in the order in which they rest on each other.

pub mod clock;
mod seldom;
pub mod metrics;
pub mod tasks;
pub mod roles;
pub mod live;
pub mod traces;
pub mod health;
pub mod desk;
pub mod configured;
pub mod admitting;
pub mod inbox;
pub mod listen;
pub mod sender;
pub mod keys;
pub mod hubs;
pub mod standings;
pub mod census;
pub mod dispatch;
pub mod ingest;
pub mod replay;
pub mod moving;
mod dashboard;
pub mod api;
pub mod node;
pub mod gateway;
pub mod relocate;
