//! Tells dispatch that something changed for an endpoint at someone's request: a delivery was retried or replayed, the
//! endpoint was enabled or removed. A hint: what is waiting stands in the store.

use doorbell_core::id::EndpointId;
use std::fmt;
use std::sync::Arc;

/// Wakes whoever delivers.
#[derive(Clone)]
pub struct Wake(Arc<dyn Fn(EndpointId) + Send + Sync>);

impl Wake {
    /// Calls `whom` with each endpoint for which something changed. It must be quick and not wait.
    pub fn new(whom: impl Fn(EndpointId) + Send + Sync + 'static) -> Self {
        Self(Arc::new(whom))
    }

    /// Something changed for this endpoint.
    pub fn endpoint(&self, endpoint: EndpointId) {
        (self.0)(endpoint);
    }
}

impl fmt::Debug for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wake")
    }
}
