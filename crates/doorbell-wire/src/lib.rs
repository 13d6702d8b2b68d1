//! Every format that leaves the process, versioned: what is stored, and what is said over the API.
//!
//! A core type crosses a border here and nowhere else, by an explicit conversion, and a format carries its version in its
//! path (`api::v1`): a field is never renamed or reused within a version. Formats do no I/O and decide nothing.

pub mod stored;

pub mod stored_config;

pub mod problem;
pub mod misread;

pub mod otlp;

pub mod api;

pub mod export;
