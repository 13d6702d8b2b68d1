//! NATS `JetStream`: what is put is confirmed by the stream that keeps it; what is taken comes by a durable pull consumer.

mod protocol;

mod open;

mod driver;

mod stream;

use crate::address::Address;
use crate::dial::Dialer;
use crate::kept::{Kept, Opener};
use crate::limits;
use crate::message::{Message, QueueError, Taken, Token};
use crate::room::Room;
use bytes::Bytes;
use driver::{Line, Request};
use protocol::Incoming;
use std::time::Duration;
use stream::Names;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

#[derive(Debug)]
pub(crate) struct Connecting {
    dialer: Dialer,
    address: Address,
    /// Of the tap: how many may be out at once.
    prefetch: usize,
}

impl Opener for Connecting {
    type Line = Line;

    async fn open(&self) -> Result<Line, QueueError> {
        let line = driver::start(open::open(&self.dialer, &self.address).await?);
        let declare = self.address.option("declare");
        if let (Some("stream"), Some(names)) = (declare, Names::of(&self.address)) {
            stream::declare(&line, &names, &self.address, self.prefetch).await?;
        }
        Ok(line)
    }

    fn lives(line: &Line) -> bool {
        line.lives()
    }
}

/// A subject that a stream keeps.
#[derive(Debug)]
pub(crate) struct Outlet {
    kept: Kept<Connecting>,
    room: Room,
    subject: String,
}

impl Outlet {
    pub(crate) fn new(address: Address, dialer: Dialer, prefetch: usize) -> Self {
        let subject = address.path().replace('/', ".");
        Self {
            kept: Kept::new(Connecting { dialer, address, prefetch }),
            room: Room::default(),
            subject,
        }
    }

    pub(crate) async fn put(&self, message: Message) -> Result<(), QueueError> {
        let subject = if message.key.is_empty() { &self.subject } else { &message.key };
        let fits = subject.len() <= 256 && !subject.contains(['*', '>', ' ', '\t']);
        if !fits || subject.split('.').any(str::is_empty) {
            return Err(QueueError::Failed(format!("{subject:?} is no subject to put to")));
        }
        let held = self.room.hold(&message).await?;
        let line = self.kept.line().await?;
        let mut headers = vec![("Nats-Msg-Id", message.id.as_str())];
        headers.extend(message.content_type.iter().map(|kind| ("Content-Type", kind.as_str())));
        headers.extend(message.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let payload = protocol::with_headers(&headers, &message.body);
        let request = Request::Put { subject: subject.clone(), payload };
        let answer = line.ask(request, Some(held)).await?;
        stream::kept(&answer)
    }
}

/// A durable consumer of a stream.
#[derive(Debug)]
pub(crate) struct Tap {
    kept: Kept<Connecting>,
    pulled: Mutex<Option<Pulled>>,
    prefetch: usize,
}

/// What was asked for and did not all come yet.
#[derive(Debug)]
struct Pulled {
    line: u64,
    messages: mpsc::Receiver<Incoming>,
    left: usize,
    /// When the server ends it by itself, and when we believe that it did.
    until: Instant,
}

/// How long the server keeps a request for messages.
const PULL: Duration = Duration::from_secs(20);

impl Tap {
    pub(crate) fn new(address: Address, dialer: Dialer, prefetch: usize) -> Self {
        let prefetch = prefetch.max(1);
        let kept = Kept::new(Connecting { dialer, address, prefetch });
        Self { kept, pulled: Mutex::new(None), prefetch }
    }

    fn names(&self) -> Result<Names, QueueError> {
        let names = Names::of(&self.kept.opener().address);
        names.ok_or_else(|| {
            QueueError::NoSuchQueue("the address says no stream and consumer".to_owned())
        })
    }

    pub(crate) async fn take(&self, most: usize, wait: Duration) -> Result<Vec<Taken>, QueueError> {
        let deadline = Instant::now() + wait;
        let mut pulled = self.pulled.lock().await;
        loop {
            let line = self.kept.line().await?;
            if pulled.as_ref().is_none_or(|pull| {
                pull.line != line.number || pull.left == 0 || Instant::now() > pull.until
            }) {
                *pulled = Some(self.pull(&line).await?);
            }
            let Some(pull) = pulled.as_mut() else { return Ok(Vec::new()) };
            let mut came = Vec::new();
            let until = deadline.min(pull.until);
            let receiving = pull.messages.recv_many(&mut came, most);
            match tokio::time::timeout_at(until, receiving).await {
                Ok(0) if most > 0 => {
                    *pulled = None;
                    return Err(QueueError::ended());
                }
                Ok(_) => {}
                Err(_) if Instant::now() >= deadline => return Ok(Vec::new()),
                Err(_) => {}
            }
            let taken = read(pull, came)?;
            if !taken.is_empty() || most == 0 {
                return Ok(taken);
            }
        }
    }

    async fn pull(&self, line: &Line) -> Result<Pulled, QueueError> {
        let names = self.names()?;
        // One place more for the word that it ended.
        let (sender, messages) = mpsc::channel(self.prefetch + 1);
        let until = Instant::now() + PULL + limits::ANSWER;
        let subject = names.next();
        let asked = serde_json::json!({"batch": self.prefetch, "expires": u64::try_from(PULL.as_nanos()).unwrap_or_default()});
        line.pull(subject, Bytes::from(asked.to_string()), sender).await?;
        Ok(Pulled { line: line.number, messages, left: self.prefetch, until })
    }

    pub(crate) async fn done(&self, tokens: &[Token]) -> Result<(), QueueError> {
        self.say(tokens, b"+ACK").await
    }

    pub(crate) async fn back(&self, tokens: &[Token]) -> Result<(), QueueError> {
        self.say(tokens, b"-NAK").await
    }

    /// These are still being worked on.
    pub(crate) async fn hold(&self, tokens: &[Token]) -> Result<(), QueueError> {
        self.say(tokens, b"+WPI").await
    }

    async fn say(&self, tokens: &[Token], word: &'static [u8]) -> Result<(), QueueError> {
        let line = self.kept.line().await?;
        for token in tokens {
            line.say(token.0.clone(), Bytes::from_static(word)).await?;
        }
        Ok(())
    }

    /// Messages in the stream: those that nobody was done with.
    pub(crate) async fn waiting(&self) -> Result<u64, QueueError> {
        stream::messages(&self.kept.line().await?, &self.names()?).await
    }

    /// Whether the server may lose what it confirmed; in words.
    pub(crate) async fn doubt(&self) -> Result<Option<String>, QueueError> {
        stream::doubt(&self.kept.line().await?, &self.names()?, &self.kept.opener().address).await
    }
}

/// The messages among what came; a status says that no more come.
fn read(pull: &mut Pulled, came: Vec<Incoming>) -> Result<Vec<Taken>, QueueError> {
    let mut taken = Vec::with_capacity(came.len());
    for incoming in came {
        match incoming.status() {
            None => {
                pull.left = pull.left.saturating_sub(1);
                taken.extend(stream::taken(incoming));
            }
            // A sign of life.
            Some((100, _)) => {}
            // None there, or the time is over, or as many are out as may be.
            Some((404 | 408 | 409, text)) => {
                pull.left = 0;
                if text.contains("Consumer Deleted") {
                    return Err(QueueError::NoSuchQueue(text));
                }
            }
            Some((503, _)) => {
                pull.left = 0;
                if taken.is_empty() {
                    return Err(stream::nobody());
                }
            }
            Some((code, text)) => {
                pull.left = 0;
                if taken.is_empty() {
                    return Err(QueueError::Failed(format!("{code} {text}")));
                }
            }
        }
    }
    Ok(taken)
}
