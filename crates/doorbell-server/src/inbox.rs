//! From the inbox into the store: one node at a time moves what waits, in its order, and confirms it to the broker only when
//! the store has it. What comes again (a node died in between) the store knows by its id.

use crate::admitting::{Admitting, admission};
use crate::configured::Configured;
use crate::metrics::Metric;
use crate::tasks::{Stage, Stop};
use doorbell_core::intake;
use doorbell_queue::limits::HOLD_EVERY;
use doorbell_queue::{Inbox, Taken, Token};
use doorbell_store::{Admission, Store as _, StoreError};
use doorbell_wire::stored::{self, Received};
use futures_util::future::join_all;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// What stands for the inbox among the things that one node looks after.
const ITSELF: [u8; 16] = *b"doorbell's inbox";
/// How long is waited for something to come.
const WAIT: Duration = Duration::from_secs(1);
/// After a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// How often it is looked whether it is still another node that empties it: where that one has died, everything waits for this.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is asked how much waits.
const COUNT: Duration = Duration::from_secs(5);

/// Empties the inbox.
#[derive(Debug)]
pub struct Drain {
    inbox: Arc<Inbox>,
    admitting: Arc<Admitting>,
    configured: Arc<Configured>,
    /// The store did not take what was last handed to it.
    away: bool,
    /// How often in a row it refused the first one although it seems to work.
    refusals: u32,
    counted: Option<Duration>,
}

/// So often the store may refuse an event while it works.
const REFUSALS: u32 = 20;

async fn pause(span: Duration, stop: &mut Stop) {
    tokio::select! {
        () = stop.reached(Stage::Draining) => {}
        () = tokio::time::sleep(span) => {}
    }
}

/// A letter that was read.
struct Letter {
    taken: Taken,
    received: Received,
}

impl Drain {
    /// One that empties this inbox.
    #[must_use]
    pub fn new(inbox: Arc<Inbox>, admitting: Arc<Admitting>, configured: Arc<Configured>) -> Self {
        Self { inbox, admitting, configured, away: false, refusals: 0, counted: None }
    }

    /// Runs until the node drains.
    pub async fn run(mut self, mut stop: Stop) {
        self.doubt().await;
        let (mut ours, mut left) = (false, Vec::new());
        while stop.stage() == Stage::Running {
            if !self.admitting.store.owns(ITSELF) {
                if std::mem::take(&mut ours) {
                    self.let_go(Vec::new()).await;
                }
                pause(LOOK, &mut stop).await;
                continue;
            }
            ours = true;
            let taken = tokio::select! {
                () = stop.reached(Stage::Draining) => break,
                taken = self.inbox.take(WAIT) => taken,
            };
            match taken {
                Ok(taken) => left = self.carry(taken, &mut stop).await,
                Err(error) => {
                    tracing::warn!(%error, "nothing can be taken from the inbox; trying again");
                    self.admitting.metrics.count(Metric::InboxStuck);
                    pause(PAUSE, &mut stop).await;
                }
            }
            self.count().await;
        }
        if ours {
            self.let_go(left).await;
        }
    }

    /// Says, once, why the broker's word may not be worth much.
    async fn doubt(&self) {
        match self.inbox.doubt().await {
            Ok(Some(words)) => tracing::warn!("THE INBOX MAY LOSE EVENTS: {words}"),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the inbox does not answer yet"),
        }
    }

    /// Others go on with what is left.
    async fn let_go(&self, left: Vec<Letter>) {
        self.admitting.metrics.set(Metric::InboxWaiting, 0);
        if let Err(error) =
            self.inbox.close(left.into_iter().map(|letter| letter.taken).collect()).await
        {
            tracing::debug!(%error, "what was taken from the inbox comes to others later");
        }
    }

    async fn count(&mut self) {
        let now = self.admitting.clock.monotonic();
        if self.counted.is_some_and(|at| now < at + COUNT) {
            return;
        }
        self.counted = Some(now);
        if let Ok(Some(waiting)) = self.inbox.waiting().await {
            self.admitting.metrics.set(Metric::InboxWaiting, waiting);
        }
    }

    /// Moves letters into the store, all of them or until the node drains; what is left.
    async fn carry(&mut self, taken: Vec<Taken>, stop: &mut Stop) -> Vec<Letter> {
        let mut left = self.read(taken).await;
        while !left.is_empty() {
            // While the store is away one tries for all: the others must not get there before it.
            let count = if self.away { 1 } else { left.len() };
            let admissions: Vec<Admission> =
                left.iter().take(count).map(|letter| self.admission(letter)).collect();
            let all = tokens(&left);
            let kept = join_all(admissions.into_iter().map(|one| self.admitting.admit(one)));
            let kept = self.holding(&all, kept).await;
            let failed = kept.iter().find_map(|one| one.as_ref().err().cloned());
            let mut results = kept.into_iter();
            let (done, rest): (Vec<Letter>, Vec<Letter>) =
                left.into_iter().partition(|_| results.next().is_some_and(|one| one.is_ok()));
            left = rest;
            self.confirm(&done).await;
            self.tell(failed.as_ref());
            if self.is_hopeless(failed.as_ref(), count).await && !left.is_empty() {
                let first = left.remove(0).taken;
                self.set_aside(first, "the store never takes it").await;
                continue;
            }
            if failed.is_some() {
                let all = tokens(&left);
                self.holding(&all, pause(PAUSE, &mut stop.clone())).await;
                if stop.stage() != Stage::Running {
                    break;
                }
            }
        }
        left
    }

    /// The letters that can be read; the others are set aside.
    async fn read(&self, taken: Vec<Taken>) -> Vec<Letter> {
        let mut letters = Vec::with_capacity(taken.len());
        for taken in taken {
            match stored::read_letter(&taken.message.body) {
                Ok(received) => letters.push(Letter { taken, received }),
                Err(error) => {
                    let why = format!("it cannot be read: {error}");
                    self.set_aside(taken, &why).await;
                }
            }
        }
        letters
    }

    async fn set_aside(&self, taken: Taken, why: &str) {
        let id = taken.message.id.clone();
        tracing::error!(why, id, "an event in the inbox is set aside");
        self.admitting.metrics.count(Metric::InboxSetAside);
        if let Err(error) = self.inbox.set_aside(taken).await {
            tracing::warn!(%error, id, "it could not be set aside, and comes again");
        }
    }

    /// Whether the store works and still refuses this one, again and again: the others cannot wait for it for ever.
    async fn is_hopeless(&mut self, failed: Option<&StoreError>, count: usize) -> bool {
        let refused = count == 1
            && matches!(
                failed,
                Some(StoreError::Failed(_) | StoreError::Corrupt(_) | StoreError::Conflict(_))
            );
        self.refusals = if refused { self.refusals + 1 } else { 0 };
        if self.refusals < REFUSALS || self.admitting.store.stats().await.is_err() {
            return false;
        }
        self.refusals = 0;
        true
    }

    /// With the deliveries that it has by what is configured now.
    fn admission(&self, letter: &Letter) -> Admission {
        let Received { event, fate, dedupe_window, .. } = letter.received.clone();
        let directory = self.configured.directory();
        let resumed = intake::resume(&directory, event, fate, dedupe_window);
        Admission { once: true, ..admission(resumed, &self.admitting.clock) }
    }

    async fn confirm(&self, done: &[Letter]) {
        self.admitting.metrics.add(Metric::InboxMoved, done.len() as u64);
        if let Err(error) = self.inbox.done(&tokens(done)).await {
            tracing::debug!(%error, "what was moved comes again, and the store knows it");
        }
    }

    fn tell(&mut self, failed: Option<&StoreError>) {
        let before = std::mem::replace(&mut self.away, failed.is_some());
        match failed {
            Some(error) => {
                self.admitting.metrics.count(Metric::InboxStuck);
                if !before {
                    tracing::warn!(%error, "the store takes nothing; events wait in the inbox");
                }
            }
            None if before => tracing::info!("the store takes events from the inbox again"),
            None => {}
        }
    }

    /// Awaits it, and tells the broker meanwhile that these are worked on.
    async fn holding<T>(&self, tokens: &[Token], work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(HOLD_EVERY) => {
                    if let Err(error) = self.inbox.hold(tokens).await {
                        tracing::debug!(%error, "what is worked on may come to another, too");
                    }
                }
            }
        }
    }
}

fn tokens(letters: &[Letter]) -> Vec<Token> {
    letters.iter().map(|letter| letter.taken.token.clone()).collect()
}
