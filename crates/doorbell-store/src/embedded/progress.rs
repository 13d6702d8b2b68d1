//! How far the index is behind the journal, and who waits for it to catch up.
//!
//! The indexer is lazy: it lets a little time pass, so that a delivery that is done meanwhile costs one row instead of
//! three. Whoever reads says up to where he needs it, and it hurries.

use crate::store::StoreError;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// What the indexer and those who wait for it share.
#[derive(Debug)]
pub(crate) struct Progress {
    state: Mutex<State>,
    changed: Condvar,
    applied: watch::Sender<Applied>,
}

#[derive(Debug, Default)]
struct State {
    /// There is something new in the journal.
    grew: bool,
    /// Somebody needs what stands before this position.
    wanted: u64,
    /// The indexer waits for something new.
    idle: bool,
    end: End,
}

/// Whether the store goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum End {
    #[default]
    NotYet,
    Come,
}

/// How far the index is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Applied {
    upto: u64,
    /// Why it does not get any further, while it does not.
    fault: Option<StoreError>,
}

/// Why the indexer was woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// There is something to do.
    ToWork,
    /// The store closes.
    ToStop,
}

impl Progress {
    pub(crate) fn new(upto: u64) -> Self {
        let applied = watch::Sender::new(Applied { upto, fault: None });
        Self { state: Mutex::default(), changed: Condvar::new(), applied }
    }

    /// The journal has more durable records.
    pub(crate) fn grew(&self) {
        let mut state = self.lock();
        state.grew = true;
        if state.idle {
            state.idle = false;
            self.changed.notify_one();
        }
    }

    /// Waits until there is something new, and then for at most `lag` more unless somebody needs it or it closes.
    pub(crate) fn wait(&self, lag: Duration) -> Woken {
        let upto = self.upto();
        let mut state = self.lock();
        while !state.grew && state.end == End::NotYet {
            state.idle = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.idle = false;
        state.grew = false;
        let (state, _) = self
            .changed
            .wait_timeout_while(state, lag, |state| {
                state.end == End::NotYet && state.wanted <= upto
            })
            .unwrap_or_else(PoisonError::into_inner);
        if state.end == End::Come { Woken::ToStop } else { Woken::ToWork }
    }

    /// Waits before something is tried again.
    pub(crate) fn pause(&self, time: Duration) -> Woken {
        let waited =
            self.changed.wait_timeout_while(self.lock(), time, |state| state.end == End::NotYet);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.grew = true;
        if state.end == End::Come { Woken::ToStop } else { Woken::ToWork }
    }

    /// The index has applied everything before this position.
    pub(crate) fn applied(&self, upto: u64) {
        self.applied.send_replace(Applied { upto, fault: None });
    }

    /// Everything before this position is in the index.
    pub(crate) fn upto(&self) -> u64 {
        self.applied.borrow().upto
    }

    /// The index does not get any further.
    pub(crate) fn stuck(&self, fault: StoreError) {
        self.applied.send_modify(|applied| applied.fault = Some(fault));
    }

    /// Waits until the index has applied everything before `position`.
    ///
    /// # Errors
    /// Why it does not get that far.
    pub(crate) async fn reach(&self, position: u64) -> Result<(), StoreError> {
        if self.upto() >= position {
            return Ok(());
        }
        {
            let mut state = self.lock();
            state.wanted = state.wanted.max(position);
        }
        self.changed.notify_one();
        let mut applied = self.applied.subscribe();
        let reached = applied.wait_for(|a| a.upto >= position || a.fault.is_some()).await;
        match reached {
            Ok(at) if at.upto >= position => Ok(()),
            Ok(at) => Err(at.fault.clone().unwrap_or(StoreError::Busy)),
            Err(_) => Err(StoreError::Broken("the indexer is gone".to_owned())),
        }
    }

    /// Ends the indexer, and the waiting for it.
    pub(crate) fn close(&self, why: StoreError) {
        self.lock().end = End::Come;
        self.changed.notify_one();
        self.stuck(why);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
