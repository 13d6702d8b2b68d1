//! How many bytes of large events tries may hold, in all and to one endpoint: receivers of large bodies that are slow cost
//! time, not the node's memory. Small events need no room; there can be only so many of them as there are places for tries.

use doorbell_core::limits::{BODIES_OUT, BODIES_OUT_PER_ENDPOINT, BODY_SMALL};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Events that are read at once, before their size is known.
const READS: usize = 16;

/// What one endpoint may have, in KiB.
#[expect(clippy::cast_possible_truncation, reason = "a small constant")]
const PER_ENDPOINT: u32 = (BODIES_OUT_PER_ENDPOINT >> 10) as u32;

/// The room for tries' bodies.
#[derive(Debug)]
pub(crate) struct Bodies {
    all: Arc<Semaphore>,
    /// Turns to read an event.
    pub(crate) reads: Semaphore,
}

/// What one endpoint may take of it.
#[derive(Debug, Clone)]
pub(crate) struct Share(Arc<Semaphore>);

/// Room for one body, until it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held for what happens when they are dropped")]
pub(crate) struct Room(OwnedSemaphorePermit, OwnedSemaphorePermit);

impl Default for Bodies {
    fn default() -> Self {
        let all = Arc::new(Semaphore::new(BODIES_OUT >> 10));
        Self { all, reads: Semaphore::new(READS) }
    }
}

impl Default for Share {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PER_ENDPOINT as usize)))
    }
}

impl Bodies {
    /// Whether a body of so many bytes goes without asking.
    pub(crate) const fn is_small(bytes: usize) -> bool {
        bytes <= BODY_SMALL
    }

    /// Room for a body, if there is some now.
    pub(crate) fn room_now(&self, share: &Share, bytes: usize) -> Option<Room> {
        let kib = kib(bytes);
        let own = Arc::clone(&share.0).try_acquire_many_owned(kib).ok()?;
        Some(Room(own, Arc::clone(&self.all).try_acquire_many_owned(kib).ok()?))
    }

    /// Room for a body, as soon as there is some: of the endpoint's share first, so that who waits there holds nothing
    /// of the others'. Cancel safe; `None` never comes, as nobody closes them.
    pub(crate) async fn room(&self, share: &Share, bytes: usize) -> Option<Room> {
        let kib = kib(bytes);
        let own = Arc::clone(&share.0).acquire_many_owned(kib).await.ok()?;
        Some(Room(own, Arc::clone(&self.all).acquire_many_owned(kib).await.ok()?))
    }
}

/// In KiB, and at most what one endpoint may have: a body that is larger goes alone.
fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(1 << 10)).unwrap_or(PER_ENDPOINT).min(PER_ENDPOINT)
}
