//! Tasks that live as long as the node: each has a name, an owner and an end.
//!
//! The end is a [`Stop`]: where it is asked for, *leaving* (go on, but say that it ends), then *draining* (finish what is under way, take nothing new), then *halting* (leave). A task
//! that panics is noticed by name and counted; it never takes the node down. Connections are not in here: they belong
//! to their listener, which bounds and counts them.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

/// How far the end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Everything goes on.
    Running,
    /// Everything goes on, but whoever asks is told to send elsewhere.
    Leaving,
    /// Events are taken in, but no try begins any more; those under way are finished.
    Resting,
    /// Nothing new is taken; what is under way is finished.
    Draining,
    /// Everything is left as it is.
    Halting,
}

/// Tells the stages to everyone who holds a [`Stop`].
#[derive(Debug)]
pub struct Stopper(watch::Sender<Stage>);

/// Knows how far the end has come.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Stage>);

impl Default for Stopper {
    fn default() -> Self {
        Self(watch::Sender::new(Stage::Running))
    }
}

impl Stopper {
    /// A listener to the stages.
    #[must_use]
    pub fn stop(&self) -> Stop {
        Stop(self.0.subscribe())
    }

    /// Moves on to `stage`; never back.
    pub fn advance(&self, stage: Stage) {
        self.0.send_if_modified(|now| {
            let forward = *now < stage;
            *now = (*now).max(stage);
            forward
        });
    }
}

impl Stop {
    /// How far it is now.
    #[must_use]
    pub fn stage(&self) -> Stage {
        *self.0.borrow()
    }

    /// Waits until `stage` is reached (or the [`Stopper`] is gone).
    pub async fn reached(&mut self, stage: Stage) {
        // An error means that nobody is left who could say so: then it is the end, too.
        drop(self.0.wait_for(|now| *now >= stage).await);
    }
}

/// A set of named tasks.
#[derive(Debug, Default)]
pub struct TaskSet(Mutex<Tasks>);

#[derive(Debug, Default)]
struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

/// A task that did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub task: &'static str,
    /// Whether it panicked; otherwise it was still running when its time was up.
    pub panicked: bool,
}

impl TaskSet {
    /// Starts a task.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = tasks.running.spawn(task).id();
        tasks.names.insert(id, name);
    }

    /// Waits for all tasks to end, at most for `patience`; those that have not ended by then are cut off. The tasks that
    /// panicked or were cut off are returned.
    pub async fn join(&self, patience: Duration) -> Vec<Broken> {
        let tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let Tasks { mut running, mut names } = tasks;
        let mut broken = Vec::new();
        let all = async {
            while let Some(ended) = running.join_next_with_id().await {
                let (id, panicked) = match ended {
                    Ok((id, ())) => (id, false),
                    Err(e) => (e.id(), e.is_panic()),
                };
                let name = names.remove(&id).unwrap_or("unnamed");
                if panicked {
                    tracing::error!(task = name, "a task panicked");
                    broken.push(Broken { task: name, panicked });
                }
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            for name in names.into_values() {
                tracing::warn!(task = name, "a task was cut off");
                broken.push(Broken { task: name, panicked: false });
            }
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_end_by_themselves_or_are_told_of() {
        let (stopper, tasks) = (Stopper::default(), TaskSet::default());
        let mut stop = stopper.stop();
        tasks.spawn("obedient", async move { stop.reached(Stage::Draining).await });
        tasks.spawn("panicking", async { panic!("as asked") });
        tasks.spawn("deaf", std::future::pending());
        stopper.advance(Stage::Draining);
        let mut broken = tasks.join(Duration::from_millis(200)).await;
        broken.sort_by_key(|task| task.task);
        let expected = [
            Broken { task: "deaf", panicked: false },
            Broken { task: "panicking", panicked: true },
        ];
        assert_eq!(broken, expected);
    }

    #[tokio::test]
    async fn stages_only_go_forward() {
        let stopper = Stopper::default();
        let mut stop = stopper.stop();
        stopper.advance(Stage::Leaving);
        assert_eq!(stop.stage(), Stage::Leaving);
        stopper.advance(Stage::Halting);
        stopper.advance(Stage::Draining);
        assert_eq!(stop.stage(), Stage::Halting);
        stop.reached(Stage::Draining).await;
        drop(stopper);
        stop.reached(Stage::Halting).await;
    }
}
