//! Telling those who wait what came of it. Each of them is a task of the runtime, and waking one from a thread that is not
//! the runtime's costs a call to the kernel and a change of threads; so the commit thread wakes one task for a batch, and
//! that one tells the others.

use super::item::Done;
use crate::store::{Admitted, Settled, StoreError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// Up to so many are told at once: for them the detour costs more than it saves.
const FEW: usize = 2;

/// What came of something, and whom to tell; he may have gone, and the record stands all the same.
#[derive(Debug)]
pub(crate) enum Answer {
    Admitted(Done<Admitted>, Result<Admitted, StoreError>),
    Settled(Done<Settled>, Result<Settled, StoreError>),
    Done(Done<()>, Result<(), StoreError>),
}

impl Answer {
    pub(crate) fn give(self) {
        match self {
            Self::Admitted(done, what) => drop(done.send(what)),
            Self::Settled(done, what) => drop(done.send(what)),
            Self::Done(done, what) => drop(done.send(what)),
        }
    }
}

/// The answers that are on their way.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    state: Mutex<State>,
    came: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Answer>,
    /// A task is there to give them.
    attended: bool,
}

impl Answers {
    /// Gives the answers of a batch, by way of the task where there is one.
    pub(crate) fn put(&self, mut batch: Vec<Answer>) {
        {
            let mut state = self.lock();
            if state.attended && batch.len() > FEW {
                state.waiting.append(&mut batch);
                drop(state);
                self.came.notify_one();
                return;
            }
        }
        batch.into_iter().for_each(Answer::give);
    }

    /// Starts the task, if the caller is on a runtime. It ends with that, or by the handle; then nothing is left ungiven.
    pub(crate) fn attend(self: &Arc<Self>) -> Option<AbortHandle> {
        let runtime = Handle::try_current().ok()?;
        self.lock().attended = true;
        let attendant = Attendant(Arc::clone(self));
        Some(runtime.spawn(async move { attendant.work().await }).abort_handle())
    }

    fn take(&self) -> Vec<Answer> {
        std::mem::take(&mut self.lock().waiting)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task, and what it leaves when it ends.
struct Attendant(Arc<Answers>);

impl Attendant {
    async fn work(&self) {
        loop {
            self.0.came.notified().await;
            self.0.take().into_iter().for_each(Answer::give);
        }
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.0.lock().attended = false;
        self.0.take().into_iter().for_each(Answer::give);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    type Told = oneshot::Receiver<Result<(), StoreError>>;

    fn batch(count: usize) -> (Vec<Answer>, Vec<Told>) {
        let one = |_| {
            let (done, told) = oneshot::channel();
            (Answer::Done(done, Ok(())), told)
        };
        (0..count).map(one).unzip()
    }

    #[test]
    fn without_a_runtime_all_are_told_at_once() {
        let answers = Arc::new(Answers::default());
        assert!(answers.attend().is_none());
        let (batch, told) = batch(FEW + 5);
        answers.put(batch);
        assert!(told.into_iter().all(|mut told| told.try_recv().is_ok()));
    }

    #[tokio::test]
    async fn a_batch_is_told_by_the_task() {
        let answers = Arc::new(Answers::default());
        assert!(answers.attend().is_some());
        let (batch, mut told) = batch(FEW + 5);
        answers.put(batch);
        assert!(
            told.iter_mut().all(|told| told.try_recv().is_err()),
            "not before the task has run"
        );
        for told in told {
            told.await.unwrap().unwrap();
        }
    }

    #[test]
    fn what_a_runtime_leaves_is_told_all_the_same() {
        let answers = Arc::new(Answers::default());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { answers.attend() });
        let (first, told) = batch(FEW + 5);
        answers.put(first);
        drop(runtime);
        assert!(told.into_iter().all(|mut told| told.try_recv().is_ok()));
        let (second, told) = batch(FEW + 5);
        answers.put(second);
        assert!(
            told.into_iter().all(|mut told| told.try_recv().is_ok()),
            "nor does a later batch wait"
        );
    }
}
