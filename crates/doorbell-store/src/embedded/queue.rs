//! What waits for the commit thread: bounded in number and in bytes, handed over all at once.

use super::item::Item;
use crate::store::StoreError;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long what nobody waits for may lie before it is written.
const PATIENCE: Duration = Duration::from_millis(200);
/// How many such records may lie.
const IDLE_MOST: usize = 512;

/// Whether somebody waits for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Somebody does.
    Now,
    /// Nobody does: it goes with the next batch.
    WithTheNext,
}

/// The queue.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    most_items: usize,
    most_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    items: Vec<Item>,
    bytes: usize,
    urgent: usize,
    /// The commit thread waits to be woken.
    asleep: bool,
    closed: Option<StoreError>,
}

impl Queue {
    pub(crate) fn new(most_items: usize, most_bytes: usize) -> Self {
        Self { state: Mutex::default(), arrived: Condvar::new(), most_items, most_bytes }
    }

    /// Puts an item at the end; the item comes back when it is refused. A single item larger than the whole queue is
    /// taken when it is alone.
    pub(crate) fn push(&self, item: Item, urgency: Urgency) -> Result<(), (Box<Item>, StoreError)> {
        let mut state = self.lock();
        if let Some(why) = &state.closed {
            let why = why.clone();
            return Err((Box::new(item), why));
        }
        let bytes = item.bytes();
        let crowded = state.bytes > 0 && state.bytes + bytes > self.most_bytes;
        if state.items.len() >= self.most_items || crowded {
            return Err((Box::new(item), StoreError::Busy));
        }
        state.bytes += bytes;
        state.items.push(item);
        if urgency == Urgency::Now || state.items.len() == IDLE_MOST {
            state.urgent += 1;
        }
        if state.asleep && (state.urgent > 0 || state.items.len() == 1) {
            state.asleep = false;
            drop(state);
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits for items and takes all there are, in order; `false` when the queue is closed and empty.
    pub(crate) fn take(&self, into: &mut Vec<Item>) -> bool {
        let mut state = self.lock();
        loop {
            let closed = state.closed.is_some();
            if state.urgent > 0 || (closed && !state.items.is_empty()) {
                break;
            }
            if closed {
                return false;
            }
            state.asleep = true;
            if state.items.is_empty() {
                state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.asleep = false;
                continue;
            }
            let (again, timeout) =
                self.arrived.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            state = again;
            state.asleep = false;
            if timeout.timed_out() {
                break;
            }
        }
        std::mem::swap(&mut state.items, into);
        state.bytes = 0;
        state.urgent = 0;
        true
    }

    /// How many items wait, and their bytes.
    pub(crate) fn depth(&self) -> (u64, u64) {
        let state = self.lock();
        (state.items.len() as u64, state.bytes as u64)
    }

    /// Refuses everything from now on; what waits is still taken.
    pub(crate) fn close(&self, why: StoreError) {
        self.lock().closed.get_or_insert(why);
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
