//! The store moves to another home while the node serves: who asks for it, how far it is, and the copying.
//!
//! The API asks, and tells how it stands ([`Moving`]). Whoever runs the node does it: it copies (`Copy`), stops the node
//! for a moment, copies the rest and starts the node on the other home.

mod copy;

pub use copy::{Copied, Copy};

use doorbell_core::secret::SecretText;
use doorbell_core::time::Time;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Where a move stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nobody asked for one since the start.
    None,
    /// It was asked for, and the database is looked at.
    Preparing,
    /// What there is is copied, while the node serves.
    Copying,
    /// The node is stopped for a moment.
    Switching,
    /// The node works on the other home.
    Done,
    /// It failed; the node goes on as before.
    Failed,
    /// Somebody stopped it; the node goes on as before.
    Cancelled,
}

impl Phase {
    /// The word used in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Preparing => "preparing",
            Self::Copying => "copying",
            Self::Switching => "switching",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether something is under way.
    #[must_use]
    pub const fn is_under_way(self) -> bool {
        matches!(self, Self::Preparing | Self::Copying | Self::Switching)
    }
}

/// How a move stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Where it stands.
    pub phase: Phase,
    /// Where to, without a password.
    pub to: Option<String>,
    /// When it was asked for.
    pub since: Option<Time>,
    /// Events that were copied; one that changed meanwhile counts again.
    pub events: u64,
    /// Bytes of the journal that were read, of those that there are.
    pub bytes: (u64, u64),
    /// Records that are damaged and were left behind.
    pub damaged: u64,
    /// How long nothing was answered while the node changed homes.
    pub pause: Option<Duration>,
    /// Why it failed, or what to mind.
    pub why: Option<String>,
}

impl Standing {
    const NONE: Self = Self {
        phase: Phase::None,
        to: None,
        since: None,
        events: 0,
        bytes: (0, 0),
        damaged: 0,
        pause: None,
        why: None,
    };
}

/// Why a move cannot be begun or stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MovingError {
    /// The store is in a database already.
    #[error("This server's store is in a database already.")]
    Elsewhere,
    /// One is under way.
    #[error("A move is under way.")]
    UnderWay,
    /// There is none, or it is too late.
    #[error("No move can be stopped: none is under way, or the server is changing over already.")]
    Over,
}

/// A move that was asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// The address of the database, with its password.
    pub to: SecretText,
    /// Resolves when somebody stops it.
    pub cancel: Cancel,
}

/// Tells that somebody stopped a move.
#[derive(Debug, Clone)]
pub struct Cancel(watch::Receiver<bool>);

impl Cancel {
    /// Waits until somebody stops it.
    pub async fn asked(&mut self) {
        if self.0.wait_for(|cancelled| *cancelled).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether somebody has stopped it.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }
}

/// The handle that API and runner share; it outlives the node. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Moving(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    ordered: Notify,
}

#[derive(Debug)]
struct State {
    /// Whether the store can move at all.
    can: bool,
    standing: Standing,
    order: Option<Order>,
    cancel: watch::Sender<bool>,
}

impl Moving {
    /// The handle of a node whose store can move (or can not: it is in a database).
    #[must_use]
    pub fn new(can: bool) -> Self {
        let cancel = watch::Sender::new(false);
        let state = State { can, standing: Standing::NONE, order: None, cancel };
        Self(Arc::new(Inner { state: Mutex::new(state), ordered: Notify::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a move; `shown` is the address without its password.
    ///
    /// # Errors
    /// [`MovingError`].
    pub fn ask(&self, to: SecretText, shown: String, now: Time) -> Result<Standing, MovingError> {
        let mut state = self.state();
        if !state.can {
            return Err(MovingError::Elsewhere);
        }
        if state.standing.phase.is_under_way() {
            return Err(MovingError::UnderWay);
        }
        state.cancel = watch::Sender::new(false);
        let cancel = Cancel(state.cancel.subscribe());
        state.order = Some(Order { to, cancel });
        state.standing = Standing {
            phase: Phase::Preparing,
            to: Some(shown),
            since: Some(now),
            ..Standing::NONE
        };
        self.0.ordered.notify_one();
        Ok(state.standing.clone())
    }

    /// Stops a move that has not come to changing over; it ends a moment later.
    ///
    /// # Errors
    /// [`MovingError::Over`].
    pub fn cancel(&self) -> Result<Standing, MovingError> {
        let state = self.state();
        if !matches!(state.standing.phase, Phase::Preparing | Phase::Copying) {
            return Err(MovingError::Over);
        }
        state.cancel.send_replace(true);
        Ok(state.standing.clone())
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.state().standing.clone()
    }

    /// Waits until somebody asks for a move. Cancel safe.
    pub async fn ordered(&self) -> Order {
        loop {
            if let Some(order) = self.state().order.take() {
                return order;
            }
            self.0.ordered.notified().await;
        }
    }

    /// Writes down how it stands.
    pub fn note(&self, change: impl FnOnce(&mut Standing)) {
        change(&mut self.state().standing);
    }

    /// From here on nobody can stop it. `false`: somebody has.
    #[must_use]
    pub fn commit(&self) -> bool {
        let mut state = self.state();
        if *state.cancel.borrow() {
            return false;
        }
        state.standing.phase = Phase::Switching;
        true
    }

    /// The node works in the other home.
    pub fn done(&self, pause: Duration) {
        let mut state = self.state();
        state.can = false;
        (state.standing.phase, state.standing.pause) = (Phase::Done, Some(pause));
    }

    /// It came to nothing; the node goes on as before.
    pub fn failed(&self, phase: Phase, why: String) {
        self.note(|standing| (standing.phase, standing.why) = (phase, Some(why)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address() -> SecretText {
        SecretText::parse("postgres://u:p@h/d").unwrap()
    }

    fn ask(moving: &Moving) -> Result<Standing, MovingError> {
        moving.ask(address(), "h".to_owned(), Time::EPOCH)
    }

    #[tokio::test]
    async fn one_move_at_a_time_until_it_is_over() {
        let moving = Moving::new(true);
        assert_eq!(moving.cancel(), Err(MovingError::Over));
        assert_eq!(ask(&moving).map(|standing| standing.phase), Ok(Phase::Preparing));
        assert_eq!(ask(&moving), Err(MovingError::UnderWay));
        let mut order = moving.ordered().await;
        assert!(!order.cancel.is_asked());
        moving.cancel().unwrap();
        order.cancel.asked().await;
        assert!(!moving.commit(), "it was stopped first");
        moving.failed(Phase::Cancelled, "stopped".to_owned());
        ask(&moving).unwrap();
        assert!(!moving.ordered().await.cancel.is_asked(), "the next one is not stopped");
        assert!(moving.commit());
        assert_eq!(moving.cancel(), Err(MovingError::Over), "too late");
        moving.done(Duration::from_millis(300));
        assert_eq!(ask(&moving), Err(MovingError::Elsewhere));
        assert!(!format!("{moving:?}").contains("u:p@"));
    }
}
