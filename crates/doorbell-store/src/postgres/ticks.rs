//! The one place here that reads a clock, and only to measure how long something took: whether this node may still be
//! taken for alive, and how long someone has waited.

use std::time::Instant;

#[expect(
    clippy::disallowed_methods,
    reason = "a node that slept too long must notice it by itself; nothing that is stored depends on this"
)]
pub(super) fn now() -> Instant {
    Instant::now()
}
