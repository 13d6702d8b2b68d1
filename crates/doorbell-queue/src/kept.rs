//! A connection that comes back by itself: whoever wants it gets the one there is, or one that is opened now, or is told at
//! once why there is none.

use crate::limits;
use crate::message::QueueError;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Opens connections of one kind.
pub(crate) trait Opener: Debug + Send + Sync + 'static {
    /// A connection; its clones are the same one.
    type Line: Debug + Clone + Send;

    fn open(&self) -> impl Future<Output = Result<Self::Line, QueueError>> + Send;

    /// Whether it still works, as far as is known.
    fn lives(line: &Self::Line) -> bool;
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Kept<O: Opener> {
    opener: O,
    state: Mutex<State<O::Line>>,
}

#[derive(Debug)]
struct State<L> {
    line: Option<L>,
    /// After failures: when to try again, and what the last one was.
    failed: Option<(Instant, QueueError)>,
    pause: Duration,
}

impl<O: Opener> Kept<O> {
    pub(crate) fn new(opener: O) -> Self {
        let state = State { line: None, failed: None, pause: limits::BACKOFF_MIN };
        Self { opener, state: Mutex::new(state) }
    }

    /// The connection that works.
    pub(crate) async fn line(&self) -> Result<O::Line, QueueError> {
        let mut state = self.state.lock().await;
        if let Some(line) = state.line.as_ref().filter(|line| O::lives(line)) {
            return Ok(line.clone());
        }
        state.line = None;
        if let Some((until, error)) = &state.failed
            && Instant::now() < *until
        {
            return Err(error.clone());
        }
        let opened = tokio::time::timeout(limits::OPEN, self.opener.open()).await;
        match opened.unwrap_or_else(|_| Err(QueueError::late())) {
            Ok(line) => {
                state.line = Some(line.clone());
                state.failed = None;
                state.pause = limits::BACKOFF_MIN;
                Ok(line)
            }
            Err(error) => {
                state.failed = Some((Instant::now() + state.pause, error.clone()));
                state.pause = (state.pause * 2).min(limits::BACKOFF_MAX);
                Err(error)
            }
        }
    }

    /// The connection that works, if there is one already.
    pub(crate) async fn present(&self) -> Option<O::Line> {
        self.state.lock().await.line.clone().filter(O::lives)
    }

    /// Lets go of the connection; the next who wants one opens it.
    pub(crate) async fn forget(&self) {
        self.state.lock().await.line = None;
    }

    pub(crate) const fn opener(&self) -> &O {
        &self.opener
    }
}
