//! The HTTP API, by version. `v1` is Doorbell's own.

pub mod v1;
