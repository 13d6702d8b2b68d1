//! Doorbell's decisions: what an event is, who gets it, when it is tried again, what a failure means.
//!
//! Nothing in here does I/O, reads a clock, rolls dice, awaits or serialises: time, randomness and configuration are
//! arguments, effects are returned as data. The modules stand in the order in which they rest on each other; each may
//! use those above it. Formats belong to `doorbell-wire`, durability to `doorbell-store`, sockets to `doorbell-server`.

pub mod time;
pub mod id;
pub mod limits;
pub mod name;
pub mod secret;
pub mod request;
pub mod event;
pub mod attempt;
pub mod trace;
pub mod delivery;
pub mod past;
pub mod source;
pub mod endpoint;
pub mod configuration;

pub mod address;
pub mod template;
pub mod queue_address;
pub mod endpoint_url;
pub mod endpoint_address;
pub mod retry;
pub mod breaker;
pub mod pace;
pub mod body_room;
pub mod places;
pub mod settle;
pub mod explain;
pub mod standing;
pub mod header;
pub mod key;
mod document;
pub mod filter;
mod own_scheme;
mod own_token;
pub mod verifier;
mod ready;
mod routes;
pub mod directory;
pub mod hub;
pub mod intake;
pub mod examine;
pub mod credentials;
pub mod outgoing;
pub mod cloud_event;
pub mod queue_message;
