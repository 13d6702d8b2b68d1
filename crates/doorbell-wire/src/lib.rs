//! Every format that leaves the process, versioned: what is stored, and what is said over the API.
//!
//! A core type crosses a border here and nowhere else. Formats do no I/O and decide nothing.

pub mod stored;
