//! Reading connections, a bounded number of them, kept open for the next question.

use super::Error;
use super::checkpoint::partition_file;
use super::schema;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Connections in use at once; whoever comes later waits.
const AT_ONCE: usize = 8;
/// Connections that are kept open when no one uses them.
const KEPT: usize = 16;

/// The connections.
#[derive(Debug)]
pub(super) struct Readers {
    dir: PathBuf,
    state: Mutex<State>,
    returned: Condvar,
}

/// The right to ask; given back when it is dropped.
struct Slot<'a>(&'a Readers);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.lock().in_use -= 1;
        self.0.returned.notify_one();
    }
}

#[derive(Debug, Default)]
struct State {
    in_use: usize,
    /// Free ones with the partition they read, the last used at the end.
    free: Vec<(u64, Connection)>,
}

impl Readers {
    pub(super) const fn new(dir: PathBuf) -> Self {
        let state = State { in_use: 0, free: Vec::new() };
        Self { dir, state: Mutex::new(state), returned: Condvar::new() }
    }

    /// Asks a partition; all of the question sees it at the same moment. Blocks while too many ask.
    pub(super) fn read<T>(
        &self,
        first: u64,
        question: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let taken = self.take(first);
        let _slot = Slot(self);
        let db = match taken {
            Some(db) => db,
            None => schema::open_reader(&partition_file(&self.dir, first))?,
        };
        let snapshot = db.unchecked_transaction()?;
        let answer = question(&snapshot)?;
        snapshot.finish()?;
        self.keep(first, db);
        Ok(answer)
    }

    fn keep(&self, first: u64, db: Connection) {
        let mut state = self.lock();
        state.free.push((first, db));
        if state.free.len() > KEPT {
            state.free.remove(0);
        }
    }

    fn take(&self, first: u64) -> Option<Connection> {
        let mut state = self.lock();
        while state.in_use >= AT_ONCE {
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.in_use += 1;
        let at = state.free.iter().rposition(|(of, _)| *of == first)?;
        Some(state.free.remove(at).1)
    }

    /// Closes what reads a partition that is gone.
    pub(super) fn close(&self, first: u64) {
        self.lock().free.retain(|(of, _)| *of != first);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
