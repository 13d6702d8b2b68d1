//! Placeholder paragraph; see ARCHITECTURE.md.
