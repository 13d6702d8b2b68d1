//! The bounded hand-over to dispatch, as the receiving side sees it: is there room for one more delivery?

use doorbell_core::id::EndpointId;
use std::fmt;
use std::sync::Arc;

/// Asks dispatch for room.
#[derive(Clone)]
pub struct Desk(Option<Arc<dyn Window>>);

/// Who has the room.
pub trait Window: Send + Sync {
    /// Takes room for one delivery to this endpoint; `false` when there is none, and it waits in the store.
    fn reserve(&self, endpoint: EndpointId) -> bool;
    /// Gives the room back: the delivery did not come about.
    fn unreserve(&self, endpoint: EndpointId);
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("open", &self.0.is_some()).finish()
    }
}

impl Desk {
    /// A desk at which dispatch sits.
    pub fn new(window: Arc<dyn Window>) -> Self {
        Self(Some(window))
    }

    /// Nobody sits there: every delivery waits in the store.
    #[must_use]
    pub const fn closed() -> Self {
        Self(None)
    }

    /// Takes room for one delivery to this endpoint, if there is some.
    #[must_use]
    pub fn reserve(&self, endpoint: EndpointId) -> bool {
        self.0.as_ref().is_some_and(|window| window.reserve(endpoint))
    }

    /// Gives it back.
    pub fn unreserve(&self, endpoint: EndpointId) {
        if let Some(window) = &self.0 {
            window.unreserve(endpoint);
        }
    }
}
