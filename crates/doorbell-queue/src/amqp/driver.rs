//! The task of one connection: it owns the channel, and when it ends all that waits for it hears why.

use super::codec::Reader;
use super::fits;
use super::frames::{self, BODY, CHANNEL, Frame, HEADER, Head, METHOD, closed, method};
use super::open::Opened;
use crate::limits;
use crate::message::{Message, QueueError, Taken, Token};
use crate::room::Held;
use crate::wire::Wire;
use bytes::{BufMut as _, Bytes, BytesMut};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, interval};

/// Commands that wait for the task.
const COMMANDS: usize = 256;

type Answer = oneshot::Sender<Result<(), QueueError>>;

/// What a connection is told.
#[derive(Debug)]
pub(super) enum Command {
    Publish { message: Message, exchange: Arc<str>, key: String, held: Held, answer: Answer },
    Ack { tag: u64 },
    Back { tag: u64 },
    Count { queue: String, answer: oneshot::Sender<u64> },
}

/// A connection, as its users have it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(super) number: u64,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) deliveries: Arc<Mutex<mpsc::Receiver<Taken>>>,
    pub(super) ended: Arc<OnceLock<QueueError>>,
}

/// Something that was put and is not confirmed.
#[derive(Debug)]
struct Pending {
    id: String,
    since: Instant,
    /// The broker gave it back: nothing is bound to where it goes.
    returned: Option<QueueError>,
    answer: Answer,
    _held: Held,
}

/// A message of which not everything came yet.
#[derive(Debug)]
struct Coming {
    what: What,
    head: Option<Head>,
    body: BytesMut,
}

#[derive(Debug)]
enum What {
    Delivery { tag: u64, again: bool, key: String },
    Return { why: QueueError },
}

/// What a confirmation is about.
#[derive(Debug, Clone, Copy)]
enum Tags {
    One(u64),
    UpTo(u64),
}

#[derive(Debug)]
struct Driver {
    number: u64,
    wire: Wire,
    frame_max: usize,
    queue: String,
    deliveries: mpsc::Sender<Taken>,
    next_tag: u64,
    pending: BTreeMap<u64, Pending>,
    coming: Option<Coming>,
    counts: Vec<oneshot::Sender<u64>>,
    heard: Instant,
}

/// Starts the task.
pub(super) fn start(opened: Opened, number: u64) -> Line {
    let (commands, told) = mpsc::channel(COMMANDS);
    // Never more than the broker may send without an ack.
    let (deliveries, taken) = mpsc::channel(usize::from(opened.prefetch).max(1));
    let ended = Arc::new(OnceLock::new());
    let why = Arc::clone(&ended);
    let mut driver = Driver {
        number,
        wire: opened.wire,
        frame_max: opened.frame_max,
        queue: opened.queue,
        deliveries,
        next_tag: 1,
        pending: BTreeMap::new(),
        coming: None,
        counts: Vec::new(),
        heard: Instant::now(),
    };
    tokio::spawn(async move {
        let mut told = told;
        let error = driver.run(&mut told).await;
        drop(why.set(error.clone()));
        drop(told);
        for (_, pending) in std::mem::take(&mut driver.pending) {
            let error = pending.returned.unwrap_or_else(|| error.clone());
            drop(pending.answer.send(Err(error)));
        }
    });
    Line { number, commands, deliveries: Arc::new(Mutex::new(taken)), ended }
}

impl Driver {
    /// Until the connection ends: why.
    async fn run(&mut self, told: &mut mpsc::Receiver<Command>) -> QueueError {
        let mut beat = interval(limits::HEARTBEAT / 2);
        loop {
            match self.read_all() {
                Ok(()) => {}
                Err(error) => {
                    self.wire.finish().await;
                    return error;
                }
            }
            tokio::select! {
                turned = self.wire.turn() => match turned {
                    Ok(()) => {}
                    Err(error) => return error,
                },
                command = told.recv(), if self.wire.has_room() => match command {
                    Some(command) => self.obey(command),
                    None => {
                        self.goodbye().await;
                        return QueueError::ended();
                    }
                },
                now = beat.tick() => match self.beat(now) {
                    Ok(()) => {}
                    Err(error) => return error,
                },
            }
        }
    }

    /// Says that we live, and looks whether the other side does.
    fn beat(&mut self, now: Instant) -> Result<(), QueueError> {
        if now.duration_since(self.heard) > 2 * limits::HEARTBEAT {
            return Err(QueueError::Unreachable("nothing was heard of it any more".to_owned()));
        }
        let oldest = self.pending.values().next();
        if oldest.is_some_and(|oldest| now.duration_since(oldest.since) > limits::STALLED) {
            return Err(QueueError::Busy("it confirms nothing any more".to_owned()));
        }
        if self.wire.out.is_empty() {
            frames::frame(&mut self.wire.out, frames::HEARTBEAT, 0, &[]);
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) {
        let out = &mut self.wire.out;
        match command {
            Command::Publish { message, exchange, key, held, answer } => {
                if answer.is_closed() {
                    return;
                }
                frames::publish(out, (&exchange, &key), &message, self.frame_max);
                let (id, since) = (message.id, Instant::now());
                let pending = Pending { id, since, returned: None, answer, _held: held };
                self.pending.insert(self.next_tag, pending);
                self.next_tag += 1;
            }
            Command::Ack { tag } => method(out, CHANNEL, (60, 80), |out| {
                out.put_u64(tag);
                out.put_u8(0);
            }),
            Command::Back { tag } => method(out, CHANNEL, (60, 120), |out| {
                out.put_u64(tag);
                out.put_u8(2); // requeue
            }),
            Command::Count { queue, answer } => {
                frames::declare(out, &queue, true, &[]);
                self.counts.push(answer);
            }
        }
    }

    async fn goodbye(&mut self) {
        method(&mut self.wire.out, 0, (10, 50), |out| {
            out.put_u16(200);
            super::codec::short(out, "bye");
            out.put_u32(0);
        });
        self.wire.finish().await;
    }

    /// Everything that came whole.
    fn read_all(&mut self) -> Result<(), QueueError> {
        while let Some(frame) = frames::next(&mut self.wire.came, self.frame_max)? {
            self.heard = Instant::now();
            self.read(&frame)?;
        }
        Ok(())
    }

    fn read(&mut self, frame: &Frame) -> Result<(), QueueError> {
        let odd = || QueueError::odd("a frame that cannot be read");
        match frame.kind {
            METHOD => {
                let mut reader = Reader(&frame.payload);
                let said = (reader.u16().ok_or_else(odd)?, reader.u16().ok_or_else(odd)?);
                self.method(said, reader)
            }
            HEADER => {
                let head = frames::head(&frame.payload).ok_or_else(odd)?;
                let coming = self.coming.as_mut().ok_or_else(odd)?;
                coming.head = Some(head);
                self.whole()
            }
            BODY => {
                let coming = self.coming.as_mut().ok_or_else(odd)?;
                let left = coming.head.as_ref().ok_or_else(odd)?.body;
                let kept =
                    u64::try_from(coming.body.len() + frame.payload.len()).unwrap_or(u64::MAX);
                if kept > left || !fits(left) {
                    return Err(QueueError::odd("a message that is too large"));
                }
                coming.body.extend_from_slice(&frame.payload);
                self.whole()
            }
            _ => Ok(()),
        }
    }

    fn method(&mut self, said: (u16, u16), mut reader: Reader<'_>) -> Result<(), QueueError> {
        let odd = || QueueError::odd("a method that cannot be read");
        match said {
            (60, 80 | 120) => {
                let (tag, flags) = (reader.u64().ok_or_else(odd)?, reader.u8().ok_or_else(odd)?);
                // Multiple: this one and all before it.
                let to = if flags & 1 == 1 { Tags::UpTo(tag) } else { Tags::One(tag) };
                self.confirmed(to, said.1 == 80);
            }
            (60, 60) => {
                let read = (|| {
                    reader.short()?;
                    let (tag, again) = (reader.u64()?, reader.u8()? & 1 == 1);
                    reader.short()?;
                    Some(What::Delivery { tag, again, key: reader.short()? })
                })();
                self.begin(read.ok_or_else(odd)?);
            }
            (60, 50) => {
                // A code and its text, as in a Close.
                let why = closed(reader.0);
                let why = if matches!(why, QueueError::NoSuchQueue(_)) {
                    why
                } else {
                    QueueError::NoSuchQueue(why.to_string())
                };
                self.begin(What::Return { why });
            }
            (60, 30) => {
                let text = format!("the queue {} is gone", self.queue);
                return Err(QueueError::NoSuchQueue(text));
            }
            (50, 11) => {
                reader.short().ok_or_else(odd)?;
                let count = reader.u32().ok_or_else(odd)?;
                if !self.counts.is_empty() && self.counts.remove(0).send(count.into()).is_err() {
                    tracing::trace!("nobody waits for the count any more");
                }
            }
            (10, 50) => {
                method(&mut self.wire.out, 0, (10, 51), |_| {});
                return Err(closed(reader.0));
            }
            (20, 40) => return Err(closed(reader.0)),
            // Blocked, unblocked, and answers to what we did not ask.
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, what: What) {
        self.coming = Some(Coming { what, head: None, body: BytesMut::new() });
    }

    fn confirmed(&mut self, tags: Tags, taken: bool) {
        let one = |(_, pending): (u64, Pending)| {
            let refused = || QueueError::Busy("it did not take the message".to_owned());
            let result = match pending.returned {
                Some(why) => Err(why),
                None if taken => Ok(()),
                None => Err(refused()),
            };
            drop(pending.answer.send(result));
        };
        match tags {
            Tags::UpTo(tag) => {
                let rest = self.pending.split_off(&(tag.saturating_add(1)));
                std::mem::replace(&mut self.pending, rest).into_iter().for_each(one);
            }
            Tags::One(tag) => {
                if let Some(pending) = self.pending.remove(&tag) {
                    one((tag, pending));
                }
            }
        }
    }

    /// When everything of the coming message is there: hands it on.
    fn whole(&mut self) -> Result<(), QueueError> {
        let Some(Coming { head: Some(head), body, .. }) = &self.coming else { return Ok(()) };
        if u64::try_from(body.len()).unwrap_or(u64::MAX) < head.body {
            return Ok(());
        }
        let Some(Coming { what, head: Some(head), body }) = self.coming.take() else {
            return Ok(());
        };
        match what {
            What::Return { why } => {
                let mut waiting = self.pending.values_mut();
                if let Some(put) = waiting.find(|put| put.returned.is_none() && put.id == head.id) {
                    put.returned = Some(why);
                }
                Ok(())
            }
            What::Delivery { tag, again, key } => {
                let taken = self.taken(tag, again, key, (head, body.freeze()));
                let full = |_| QueueError::odd("more messages than it was asked for");
                self.deliveries.try_send(taken).map_err(full)
            }
        }
    }

    fn taken(&self, tag: u64, again: bool, key: String, (head, body): (Head, Bytes)) -> Taken {
        let Head { id, content_type, headers, .. } = head;
        let counted = headers.iter().find(|(name, _)| name == "x-delivery-count");
        let tries = counted.and_then(|(_, count)| count.parse().ok()).unwrap_or(u32::from(again));
        let message = Message { key, id, content_type, headers, body };
        Taken { message, token: Token(format!("{}:{tag}", self.number)), tries }
    }
}
