//! Which events are being taken in that may have been before: one that is on its way is in neither journal nor index.

use doorbell_core::id::EventId;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// Those that are on their way.
#[derive(Debug, Clone, Default)]
pub(super) struct Once(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    busy: Mutex<HashSet<EventId>>,
    freed: Notify,
    /// Who looks and hands in, one after the other: what is handed in keeps its order.
    turn: tokio::sync::Mutex<()>,
}

/// One that is on its way until this is dropped.
#[derive(Debug)]
pub(super) struct OnItsWay {
    once: Once,
    id: EventId,
}

impl Once {
    /// The turn of whoever asks, in the order of asking.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.turn.lock().await
    }

    /// When nobody else has it on its way.
    pub(super) async fn begin(&self, id: EventId) -> OnItsWay {
        loop {
            let freed = self.0.freed.notified();
            if self.busy().insert(id) {
                return OnItsWay { once: self.clone(), id };
            }
            freed.await;
        }
    }

    fn busy(&self) -> std::sync::MutexGuard<'_, HashSet<EventId>> {
        self.0.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.once.busy().remove(&self.id);
        self.once.0.freed.notify_waiters();
    }
}
