//! Placeholder paragraph; see ARCHITECTURE.md.

pub mod clock;
pub mod sender;
