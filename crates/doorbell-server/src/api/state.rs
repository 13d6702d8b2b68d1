//! What the handlers work with.

use super::auth::Failures;
use crate::clock::Clock;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::replay::Replays;
use crate::settings::Settings;
use doorbell_core::endpoint_url::UrlPolicy;
use doorbell_core::id::EndpointId;
use doorbell_core::limits;
use doorbell_core::time::Time;
use doorbell_store::AnyStore;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How the API tells dispatch what it did.
#[derive(Clone)]
pub struct Dispatch {
    /// Whether a delivery to this endpoint that is accepted now may be lent as it is accepted.
    pub lend: Arc<dyn Fn(EndpointId) -> bool + Send + Sync>,
    /// Something changed for this endpoint: look at its backlog and its settings.
    pub wake: Arc<dyn Fn(EndpointId) + Send + Sync>,
}

impl fmt::Debug for Dispatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dispatch")
    }
}

/// What a node gives to its API.
#[derive(Debug)]
pub struct Parts {
    /// Where everything is kept.
    pub store: Arc<AnyStore>,
    /// What is configured.
    pub settings: Arc<Settings>,
    /// The replays.
    pub replays: Replays,
    /// Who delivers.
    pub dispatch: Dispatch,
    /// The clock and the dice.
    pub clock: Clock,
    /// What the operator lets endpoints be.
    pub policy: UrlPolicy,
    /// What happens.
    pub live: Live,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// SHA-256 of the root token's text: the operator's, good for everything.
    pub root_token: Option<[u8; 32]>,
}

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct ApiState(Arc<Inner>);

/// See [`ApiState`].
#[derive(Debug)]
pub struct Inner {
    /// What the node gave.
    pub parts: Parts,
    /// When the node started.
    pub(super) started: Time,
    /// Requests with bad tokens.
    pub(super) failures: Failures,
    /// KiB of published bodies that may still come into memory.
    pub(super) room: Arc<Semaphore>,
}

/// KiB of published bodies that may be in memory at once; an eighth of what the receiving side may have.
const ROOM_KIB: usize = (limits::BODIES_IN_FLIGHT / 8) >> 10;

impl ApiState {
    /// The state of a node that starts now.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            started: parts.clock.now(),
            failures: Failures::default(),
            room: Arc::new(Semaphore::new(ROOM_KIB)),
            parts,
        }))
    }
}

impl Deref for ApiState {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}

impl ApiState {
    pub(super) fn started(&self) -> Time {
        self.0.started
    }

    pub(super) fn failures(&self) -> &Failures {
        &self.0.failures
    }

    pub(super) fn room(&self) -> &Arc<Semaphore> {
        &self.0.room
    }
}
