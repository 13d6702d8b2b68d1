//! The one place here that reads a clock, and only to measure how long something took: whether a node may still be taken
//! for alive, how long someone has waited, how long a disk or a database took.

use std::time::Instant;

#[expect(
    clippy::disallowed_methods,
    reason = "only how long something took is measured; nothing that is stored depends on this"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
