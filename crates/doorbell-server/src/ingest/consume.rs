//! Sources that take messages from queues: each message becomes a request of its source and goes the way of every request;
//! the broker is told that it is done only when what became of it is durable.
//!
//! One node takes for a source. What is rejected is kept as a rejected request and is done with: it would be rejected again.
//! What we could not judge or keep (no store, no key, a source that is set up wrongly) goes back and is taken again. What
//! comes twice is known by the id that the broker gave it, as far as it gives one.

use super::keyed::{self, Asked};
use crate::admitting::{Admitting, admission};
use crate::configured::Configured;
use crate::keys::Keys;
use crate::metrics::Metric;
use crate::sender::AnySender;
use crate::tasks::{Stage, Stop};
use doorbell_core::directory::ReadySource;
use doorbell_core::event::Fate;
use doorbell_core::id::{EventId, SourceId};
use doorbell_core::intake::{Birth, Intake, Reply};
use doorbell_core::key;
use doorbell_core::queue_address::QueueAddress;
use doorbell_core::request::{Headers, Request};
use doorbell_queue::limits::HOLD_EVERY;
use doorbell_queue::{Message, QueueError, Taken, Tap, Token};
use doorbell_store::{Admission, Store as _};
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Messages that a source has in hand at once; each may be as large as the broker allows.
const PREFETCH: usize = 32;
/// How long one question waits for messages (SQS counts whole seconds, and each question).
const WAIT: Duration = Duration::from_secs(10);
/// How often it is looked whether this node is still the one that takes.
const LOOK: Duration = Duration::from_secs(1);
/// After a failure; it doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// See [`PAUSE_MIN`].
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The status of a request that we could not judge.
const OURS: u16 = 503;

/// Takes messages for all sources that have a queue.
#[derive(Debug)]
pub struct Consumers {
    parts: Parts,
    running: BTreeMap<SourceId, Running>,
}

#[derive(Debug, Clone)]
struct Parts {
    admitting: Arc<Admitting>,
    configured: Arc<Configured>,
    keys: Arc<Keys>,
    sender: AnySender,
}

/// One that takes.
#[derive(Debug)]
struct Running {
    from: QueueAddress,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Consumers {
    /// Ready to run.
    #[must_use]
    pub fn new(
        admitting: Arc<Admitting>,
        configured: Arc<Configured>,
        keys: Arc<Keys>,
        sender: AnySender,
    ) -> Self {
        let parts = Parts { admitting, configured, keys, sender };
        Self { parts, running: BTreeMap::new() }
    }

    /// Takes until the node drains; what is in hand then is finished.
    pub async fn run(mut self, mut stop: Stop) {
        let mut changes = self.parts.configured.watch();
        loop {
            self.reconcile();
            tokio::select! {
                () = stop.reached(Stage::Draining) => break,
                changed = changes.next() => if changed.is_none() { break },
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        let ending = std::mem::take(&mut self.running).into_values().map(end);
        join_all(ending.collect::<Vec<_>>()).await;
    }

    /// Starts those that should take here and do not yet, and ends the others.
    fn reconcile(&mut self) {
        let wanted = self.wanted();
        let over: Vec<SourceId> = self
            .running
            .iter()
            .filter(|(id, one)| wanted.get(id) != Some(&one.from) || one.task.is_finished())
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            if let Some(one) = self.running.remove(&id) {
                one.stop.send_replace(true);
            }
        }
        for (id, from) in wanted {
            if !self.running.contains_key(&id) {
                let one = self.start(id, from);
                self.running.insert(id, one);
            }
        }
    }

    fn wanted(&self) -> BTreeMap<SourceId, QueueAddress> {
        let directory = self.parts.configured.directory();
        let enabled = directory.sources().filter(|source| source.enabled && source.from.is_some());
        let ours = enabled.filter(|source| self.parts.admitting.store.owns(source.id.bytes()));
        let from = |id: SourceId| match directory.source(id)?.from()? {
            Ok(from) => Some((id, from.clone())),
            Err(_) => None,
        };
        ours.filter_map(|source| from(source.id)).collect()
    }

    fn start(&self, id: SourceId, from: QueueAddress) -> Running {
        let (stop, stopped) = watch::channel(false);
        let one = Consumer { parts: self.parts.clone(), source: id, stopped };
        let task = tokio::spawn(one.run(from.clone()));
        Running { from, stop, task }
    }
}

async fn end(one: Running) {
    one.stop.send_replace(true);
    drop(one.task.await);
}

/// Takes for one source.
#[derive(Debug)]
struct Consumer {
    parts: Parts,
    source: SourceId,
    stopped: watch::Receiver<bool>,
}

impl Consumer {
    async fn run(mut self, from: QueueAddress) {
        let client = format!("doorbell-{}", self.source);
        let tap = match self.parts.sender.tap(&from, &client, PREFETCH) {
            Ok(tap) => tap,
            Err(error) => {
                return tracing::error!(queue = %from.as_str(), %error, "no messages are taken");
            }
        };
        let (mut pause, mut told) = (PAUSE_MIN, None);
        while !*self.stopped.borrow() {
            let done = tokio::select! {
                _ = self.stopped.changed() => break,
                taken = tap.take(PREFETCH, WAIT) => taken,
            };
            let done = match done {
                Ok(taken) if taken.is_empty() => Ok(()),
                Ok(taken) => self.work(&tap, taken).await,
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => (pause, told) = (PAUSE_MIN, None),
                Err(error) => {
                    self.parts.admitting.metrics.count(Metric::QueueTakesFailed);
                    if told.as_ref() != Some(&error) {
                        tracing::warn!(queue = %from.as_str(), %error, "messages cannot be taken; trying again");
                        told = Some(error);
                    }
                    self.pause(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
        if let Err(error) = tap.close(Vec::new()).await {
            tracing::debug!(queue = %from.as_str(), %error, "what was taken is given to others later");
        }
    }

    async fn pause(&mut self, pause: Duration) {
        tokio::select! {
            _ = self.stopped.changed() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Makes these durable, holding them meanwhile; those that could not be go back.
    async fn work(&self, tap: &Tap, taken: Vec<Taken>) -> Result<(), QueueError> {
        let tokens: Vec<Token> = taken.iter().map(|one| one.token.clone()).collect();
        self.parts.admitting.metrics.add(Metric::QueueMessagesTaken, tokens.len() as u64);
        let kept = self.keep_and_hold(tap, &taken, &tokens).await?;
        let done =
            tokens.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(token, _)| token.clone());
        let done: Vec<Token> = done.collect();
        let all = done.len() == tokens.len();
        if !done.is_empty() {
            tap.done(&done).await?;
        }
        if all {
            return Ok(());
        }
        let back = taken.into_iter().zip(&kept).filter(|(_, kept)| !**kept).map(|(one, _)| one);
        tap.back(back.collect()).await?;
        Err(QueueError::Busy("we could not keep what was taken, and gave it back".to_owned()))
    }

    /// As [`Consumer::keep`]; meanwhile the broker is told that they are being worked on.
    async fn keep_and_hold(
        &self,
        tap: &Tap,
        taken: &[Taken],
        tokens: &[Token],
    ) -> Result<Vec<bool>, QueueError> {
        let mut keeping = std::pin::pin!(self.keep(taken));
        loop {
            tokio::select! {
                kept = &mut keeping => return Ok(kept),
                () = tokio::time::sleep(HOLD_EVERY) => tap.hold(tokens).await?,
            }
        }
    }

    /// Whether each of these is dealt with, for good. They are decided, and handed to the store, in their order.
    async fn keep(&self, taken: &[Taken]) -> Vec<bool> {
        let directory = self.parts.configured.directory();
        let Some(ready) = directory.source(self.source) else { return vec![false; taken.len()] };
        let mut admissions = Vec::with_capacity(taken.len());
        for one in taken {
            let clock = &self.parts.admitting.clock;
            let now = clock.now();
            let birth = Birth { id: EventId::new(now, clock.dice()), now };
            let asked = Asked { directory: &directory, ready, birth };
            let intake = keyed::decide(&self.parts.keys, clock, asked, request(&one.message)).await;
            admissions.push(self.admission(ready, intake, &one.message));
        }
        join_all(admissions.into_iter().map(|admission| self.admit(admission))).await
    }

    fn admission(&self, ready: &ReadySource, intake: Intake, message: &Message) -> Decided {
        match intake {
            Intake::Accept(mut accepted, _) => {
                let id = Some(&message.id).filter(|id| !id.is_empty());
                if let (None, Some(id)) = (&accepted.event.dedupe_key, id) {
                    let from = ready.source().from.as_deref().unwrap_or_default();
                    Arc::make_mut(&mut accepted.event).dedupe_key =
                        Some(key::dedupe(format!("{from} {id}").as_bytes()));
                }
                Decided::Keep(Box::new(admission(accepted, &self.parts.admitting.clock)))
            }
            Intake::Refuse(_, Reply { status: OURS, .. }) | Intake::Call(_) | Intake::Need(_) => {
                Decided::Back
            }
            Intake::Refuse(refused, _) => Decided::Keep(Box::new(Admission {
                event: refused.event,
                fate: Fate::Rejected(refused.rejection),
                dedupe_window: Duration::ZERO,
                deliveries: Vec::new(),
                once: false,
            })),
            // A provider's question, which nobody waits for here.
            Intake::Answer(_) => Decided::Done,
        }
    }

    async fn admit(&self, decided: Decided) -> bool {
        match decided {
            Decided::Keep(admission) => self.parts.admitting.admit(*admission).await.is_ok(),
            Decided::Back => false,
            Decided::Done => true,
        }
    }
}

/// What is to become of a message.
enum Decided {
    /// It is to be made durable, and is done then.
    Keep(Box<Admission>),
    /// It goes back.
    Back,
    /// It is done.
    Done,
}

/// A message as the request that it stands for.
fn request(message: &Message) -> Request {
    let mut headers = Headers::with_capacity(message.headers.len() + 3);
    if let Some(kind) = &message.content_type {
        headers.push("content-type", kind.clone());
    }
    let ours = ["doorbell-queue-id", "doorbell-queue-key"];
    for (name, value) in message.headers.iter().filter(|(name, value)| is_line(name, value)) {
        let name = name.to_ascii_lowercase();
        let said = name == "content-type" && message.content_type.is_some();
        if !said && !ours.contains(&name.as_str()) {
            headers.push(&name, value.clone());
        }
    }
    for (name, value) in ours.into_iter().zip([&message.id, &message.key]) {
        if !value.is_empty() && is_line(name, value) {
            headers.push(name, value.clone());
        }
    }
    Request {
        method: "POST".to_owned(),
        path: String::new(),
        query: None,
        headers,
        body: message.body.clone(),
        peer: None,
    }
}

/// Whether HTTP could carry it (RFC 9110, section 5): what could not stays out of the request, as it would for every other.
fn is_line(name: &str, value: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok()
        && http::HeaderValue::from_str(value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_message_is_a_request() {
        let line = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let message = Message {
            key: "orders.eu".to_owned(),
            id: "m1".to_owned(),
            content_type: Some("application/json".to_owned()),
            headers: vec![
                line("X-Kind", "a"),
                line("bad name", "a"),
                line("x-lines", "a\r\nb: c"),
                line("Content-Type", "text/html"),
                line("doorbell-queue-key", "forged"),
            ],
            body: Bytes::from_static(b"\xff{"),
        };
        let request = request(&message);
        let lines: Vec<_> = request
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
            .collect();
        let wanted = [
            "content-type: application/json",
            "x-kind: a",
            "doorbell-queue-id: m1",
            "doorbell-queue-key: orders.eu",
        ];
        assert_eq!(lines, wanted);
        assert_eq!((request.method.as_str(), &request.body[..]), ("POST", &b"\xff{"[..]));
    }
}
