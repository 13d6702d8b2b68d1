//! The parts of an embedded store, as its verbs use them.

use super::config::Config;
use super::engine::Engine;
use super::index::Index;
use super::once::Once;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What it is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) engine: Engine,
    pub(super) index: Arc<Index>,
    pub(super) config: Config,
    pub(super) searches: Semaphore,
    pub(super) once: Once,
}
