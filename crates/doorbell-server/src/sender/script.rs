//! A sender that carries nothing and answers by a script: for tests of what stands above.

use super::Carried;
use super::faults::fault;
use doorbell_core::attempt::{Answer, ErrorClass, Outcome, Timings};
use doorbell_core::outgoing::Outgoing;
use doorbell_core::request::Headers;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a scripted sender does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// This comes of it, at once.
    Now(Outcome),
    /// This comes of it, after so long (tokio's time), or the timeout if that is sooner.
    After(Duration, Outcome),
    /// Nothing comes of it before the timeout.
    Hang,
}

impl Step {
    /// An empty answer with this status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let (headers, body) = (Headers::default(), bytes::Bytes::new());
        Self::Now(Outcome::Answered(Answer { status, headers, body, truncated: false }))
    }
}

type Rule = dyn Fn(&Outgoing) -> Step + Send + Sync;

/// A sender that answers by a script, and remembers what it was given. Copies of it share the memory.
#[derive(Clone)]
pub struct Script {
    rule: Arc<Rule>,
    carried: Arc<Mutex<Vec<Outgoing>>>,
}

impl Script {
    /// Answers by this rule.
    pub fn by(rule: impl Fn(&Outgoing) -> Step + Send + Sync + 'static) -> Self {
        Self { rule: Arc::new(rule), carried: Arc::default() }
    }

    /// Takes these steps in turn, and answers 200 after the last.
    #[must_use]
    pub fn steps(steps: impl IntoIterator<Item = Step>) -> Self {
        let queue = Mutex::new(steps.into_iter().collect::<VecDeque<_>>());
        Self::by(move |_| {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            next.unwrap_or_else(|| Step::status(200))
        })
    }

    /// Everything that it was given so far, in order.
    #[must_use]
    pub fn carried(&self) -> Vec<Outgoing> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As [`super::Sender::carry`].
    pub async fn carry(&self, outgoing: Outgoing) -> Carried {
        let step = (self.rule)(&outgoing);
        let timeout = outgoing.timeout;
        self.carried.lock().unwrap_or_else(PoisonError::into_inner).push(outgoing);
        let (total, outcome) = match step {
            Step::Now(outcome) => (Duration::ZERO, outcome),
            Step::After(wait, outcome) if wait <= timeout => (wait, outcome),
            Step::After(..) | Step::Hang => (timeout, hung()),
        };
        if total > Duration::ZERO {
            tokio::time::sleep(total).await;
        }
        Carried { outcome, timings: Timings { total, ..Timings::default() }, address: None }
    }
}

fn hung() -> Outcome {
    Outcome::Failed(fault(ErrorClass::TimeoutResponse, "the script lets it hang".to_owned()))
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}
