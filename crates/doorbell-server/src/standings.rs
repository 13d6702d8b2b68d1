//! Asking dispatch how the deliveries of endpoints stand. Its loop owns what it knows and answers by message, so that
//! nothing is shared, and nothing is written down for a delivery because somebody might look.

use doorbell_core::id::EndpointId;
use doorbell_core::standing::Standing;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Questions that wait to be heard; who asks beyond waits for room.
const QUESTIONS: usize = 64;
/// Endpoints of one question, so that no answer holds up deliveries; who asks about more asks several.
const ASKED_AT_ONCE: usize = 1_000;
/// How long an answer is waited for. The loop hears nobody while it starts (the backlog is read) and when it ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// By endpoint; whoever is missing is unknown to dispatch, or dispatch did not answer.
pub(crate) type Found = HashMap<EndpointId, Standing>;

/// Who asks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Standings(mpsc::Sender<Question>);

/// What is asked; dispatch takes it.
#[derive(Debug)]
pub struct Questions(mpsc::Receiver<Question>);

/// How do the deliveries of these endpoints stand?
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) endpoints: Vec<EndpointId>,
    pub(crate) tell: oneshot::Sender<Found>,
}

impl Standings {
    /// Both ends.
    #[must_use]
    pub fn new() -> (Self, Questions) {
        let (ask, asked) = mpsc::channel(QUESTIONS);
        (Self(ask), Questions(asked))
    }

    /// How the deliveries of these endpoints stand; nothing when dispatch does not answer in time.
    pub async fn of(&self, endpoints: &[EndpointId]) -> HashMap<EndpointId, Standing> {
        let mut found = Found::new();
        let ask = async {
            for some in endpoints.chunks(ASKED_AT_ONCE) {
                found.extend(self.ask(some.to_vec()).await?);
            }
            Some(())
        };
        // What was told by then is shown; the rest is unknown.
        let _in_time = tokio::time::timeout(PATIENCE, ask).await;
        found
    }

    async fn ask(&self, endpoints: Vec<EndpointId>) -> Option<Found> {
        let (tell, told) = oneshot::channel();
        self.0.send(Question { endpoints, tell }).await.ok()?;
        told.await.ok()
    }
}

impl Questions {
    /// The next one; for ever pending when nobody can ask any more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Question {
        match self.0.recv().await {
            Some(question) => question,
            None => std::future::pending().await,
        }
    }
}
