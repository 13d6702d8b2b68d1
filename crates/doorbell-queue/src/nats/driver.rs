//! The task of one connection.

use super::open::{self, Opened};
use super::protocol::{self, Incoming, Payload, Said};
use crate::limits;
use crate::message::QueueError;
use crate::room::Held;
use crate::wire::Wire;
use bytes::{BufMut as _, Bytes};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval};

const COMMANDS: usize = 256;
/// Answers that are awaited at once beside those to what was put, which has its own room.
const ASKED: usize = limits::IN_FLIGHT + 1_024;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Something to which one answer comes.
#[derive(Debug)]
pub(super) enum Request {
    Put { subject: String, payload: Payload },
    Ask { subject: String, body: Bytes },
}

#[derive(Debug)]
enum Command {
    Request { request: Request, held: Option<Held>, answer: oneshot::Sender<Incoming> },
    Pull { subject: String, body: Bytes, messages: mpsc::Sender<Incoming> },
    Say { subject: String, body: Bytes },
}

/// A connection, as its users have it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(super) number: u64,
    pub(super) version: Arc<str>,
    commands: mpsc::Sender<Command>,
    ended: Arc<OnceLock<QueueError>>,
    max_payload: usize,
}

impl Line {
    pub(super) fn lives(&self) -> bool {
        !self.commands.is_closed()
    }

    fn why(&self) -> QueueError {
        self.ended.get().cloned().unwrap_or_else(QueueError::ended)
    }

    async fn tell(&self, command: Command) -> Result<(), QueueError> {
        self.commands.send(command).await.map_err(|_| self.why())
    }

    /// The one answer that comes.
    pub(super) async fn ask(
        &self,
        request: Request,
        held: Option<Held>,
    ) -> Result<Incoming, QueueError> {
        let size = match &request {
            Request::Put { payload, .. } => payload.bytes.len(),
            Request::Ask { body, .. } => body.len(),
        };
        if size > self.max_payload {
            return Err(QueueError::TooLarge(format!("{} bytes are the most", self.max_payload)));
        }
        let (answer, answered) = oneshot::channel();
        self.tell(Command::Request { request, held, answer }).await?;
        match tokio::time::timeout(limits::ANSWER, answered).await {
            Ok(Ok(incoming)) => Ok(incoming),
            Ok(Err(_)) => Err(self.why()),
            Err(_) => Err(QueueError::late()),
        }
    }

    /// What comes until it is enough.
    pub(super) async fn pull(
        &self,
        subject: String,
        body: Bytes,
        messages: mpsc::Sender<Incoming>,
    ) -> Result<(), QueueError> {
        self.tell(Command::Pull { subject, body, messages }).await
    }

    pub(super) async fn say(&self, subject: String, body: Bytes) -> Result<(), QueueError> {
        self.tell(Command::Say { subject, body }).await
    }
}

#[derive(Debug)]
struct Driver {
    wire: Wire,
    inbox: String,
    next: u64,
    asked: HashMap<u64, Asked>,
    pull: Option<(u64, mpsc::Sender<Incoming>)>,
    heard: Instant,
}

#[derive(Debug)]
struct Asked {
    answer: oneshot::Sender<Incoming>,
    _held: Option<Held>,
}

pub(super) fn start(opened: Opened) -> Line {
    let (commands, mut told) = mpsc::channel(COMMANDS);
    let ended = Arc::new(OnceLock::new());
    let why = Arc::clone(&ended);
    let Opened { wire, max_payload, version, inbox } = opened;
    let mut driver =
        Driver { wire, inbox, next: 1, asked: HashMap::new(), pull: None, heard: Instant::now() };
    tokio::spawn(async move {
        let error = driver.run(&mut told).await;
        tracing::debug!(%error, "a connection to NATS ended");
        drop(why.set(error));
        drop(told);
    });
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    Line { number, version: version.into(), commands, ended, max_payload }
}

impl Driver {
    async fn run(&mut self, told: &mut mpsc::Receiver<Command>) -> QueueError {
        let mut beat = interval(limits::HEARTBEAT / 2);
        loop {
            if let Err(error) = self.read_all() {
                return error;
            }
            let room = self.wire.has_room() && self.asked.len() < ASKED;
            tokio::select! {
                turned = self.wire.turn() => match turned {
                    Ok(()) => {}
                    Err(error) => return error,
                },
                command = told.recv(), if room => match command {
                    Some(command) => self.obey(command),
                    None => {
                        self.wire.finish().await;
                        return QueueError::ended();
                    }
                },
                now = beat.tick() => {
                    if now.duration_since(self.heard) > 2 * limits::HEARTBEAT {
                        return QueueError::Unreachable("nothing was heard of it any more".to_owned());
                    }
                    self.asked.retain(|_, asked| !asked.answer.is_closed());
                    self.wire.out.put_slice(b"PING\r\n");
                }
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let reply = format!("{}{}", self.inbox, self.next);
        let plain = |body: Bytes| Payload { head: 0, bytes: body };
        match command {
            Command::Request { request, held, answer } => {
                if answer.is_closed() {
                    return;
                }
                let (subject, payload) = match request {
                    Request::Put { subject, payload } => (subject, payload),
                    Request::Ask { subject, body } => (subject, plain(body)),
                };
                protocol::publish(&mut self.wire.out, &subject, Some(&reply), &payload);
                self.asked.insert(self.next, Asked { answer, _held: held });
                self.next += 1;
            }
            Command::Pull { subject, body, messages } => {
                protocol::publish(&mut self.wire.out, &subject, Some(&reply), &plain(body));
                self.pull = Some((self.next, messages));
                self.next += 1;
            }
            Command::Say { subject, body } => {
                protocol::publish(&mut self.wire.out, &subject, None, &plain(body));
            }
        }
    }

    fn read_all(&mut self) -> Result<(), QueueError> {
        while let Some(said) = protocol::next(&mut self.wire.came)? {
            self.heard = Instant::now();
            match said {
                Said::Ping => self.wire.out.put_slice(b"PONG\r\n"),
                Said::Message(message) => self.message(message),
                Said::Error(text) => {
                    // What is not allowed to us is told of a subject, and the connection goes on; nobody answers that.
                    let error = open::error(text);
                    tracing::warn!(%error, "NATS");
                    return Err(error);
                }
                Said::Info(_) | Said::Pong | Said::Ok => {}
            }
        }
        Ok(())
    }

    fn message(&mut self, message: Incoming) {
        let number = message.subject.strip_prefix(&self.inbox).and_then(|text| text.parse().ok());
        let Some(number) = number else { return self.to_pull(message) };
        if let Some(asked) = self.asked.remove(&number) {
            drop(asked.answer.send(message));
        } else if self.pull.as_ref().is_some_and(|(pull, _)| *pull == number) {
            self.to_pull(message);
        }
    }

    fn to_pull(&self, message: Incoming) {
        // What does not fit (more than was asked for) is given again when its time is over.
        if let Some((_, messages)) = &self.pull {
            drop(messages.try_send(message));
        }
    }
}
