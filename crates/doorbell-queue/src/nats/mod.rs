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
use std::collections::VecDeque;
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

    pub(crate) async fn open(&self) -> Result<(), QueueError> {
        self.kept.line().await.map(drop)
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
    state: Mutex<State>,
    prefetch: usize,
}

#[derive(Debug, Default)]
struct State {
    pulled: Option<Pulled>,
    /// What came and nobody took yet.
    ready: VecDeque<Incoming>,
    /// The connection over which it was looked what others had taken.
    looked: Option<u64>,
    /// Since when others are waited for.
    since: Option<Instant>,
    /// Until then nothing is asked for.
    quiet: Option<Instant>,
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
/// While others still have something.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// After a request that the server ended at once.
const PAUSE: Duration = Duration::from_millis(100);

impl Tap {
    pub(crate) fn new(address: Address, dialer: Dialer, prefetch: usize) -> Self {
        let prefetch = prefetch.max(1);
        let kept = Kept::new(Connecting { dialer, address, prefetch });
        Self { kept, state: Mutex::default(), prefetch }
    }

    fn names(&self) -> Result<Names, QueueError> {
        let names = Names::of(&self.kept.opener().address);
        names.ok_or_else(|| {
            QueueError::NoSuchQueue("the address says no stream and consumer".to_owned())
        })
    }

    pub(crate) async fn take(&self, most: usize, wait: Duration) -> Result<Vec<Taken>, QueueError> {
        let deadline = Instant::now() + wait;
        let mut state = self.state.lock().await;
        loop {
            let line = self.kept.line().await?;
            let now = Instant::now();
            if state.quiet.is_none_or(|quiet| quiet <= now) {
                self.look(&mut state, &line).await?;
            }
            if let Some(quiet) = state.quiet.filter(|quiet| *quiet > now) {
                tokio::time::sleep_until(deadline.min(quiet)).await;
                if quiet >= deadline {
                    return Ok(Vec::new());
                }
                continue;
            }
            let State { pulled, ready, .. } = &mut *state;
            let over = |pull: &Pulled| {
                pull.line != line.number || pull.left == 0 || Instant::now() > pull.until
            };
            if ready.is_empty() && pulled.as_ref().is_none_or(over) {
                *pulled = Some(self.pull(&line).await?);
            }
            if let Some(pull) = pulled {
                ready.extend(std::iter::from_fn(|| pull.messages.try_recv().ok()));
            }
            let taken = read(pulled.as_mut(), ready, most)?;
            if !taken.is_empty() {
                return Ok(taken);
            }
            let Some(pull) = pulled.as_mut().filter(|pull| pull.left > 0) else {
                state.quiet = Some(Instant::now() + PAUSE);
                continue;
            };
            match tokio::time::timeout_at(deadline.min(pull.until), pull.messages.recv()).await {
                Ok(Some(message)) => ready.push_back(message),
                Ok(None) => {
                    *pulled = None;
                    return Err(QueueError::ended());
                }
                Err(_) if Instant::now() >= deadline => return Ok(Vec::new()),
                Err(_) => {}
            }
        }
    }

    /// Where order is asked for: what another one had taken comes again only when its time is over, and nothing that is
    /// newer may come before it. One that died some time ago is not waited for.
    async fn look(&self, state: &mut State, line: &Line) -> Result<(), QueueError> {
        let ordered = self.kept.opener().address.option("order") == Some("strict");
        if !ordered || state.looked == Some(line.number) {
            return Ok(());
        }
        let now = Instant::now();
        let since = *state.since.get_or_insert(now);
        let names = self.names()?;
        let others = stream::others(line, &names).await?;
        let ours = u64::try_from(state.ready.len()).unwrap_or(u64::MAX);
        let wait = (others.taken > ours || others.asking > 0)
            && now < since + stream::ACK_WAIT + stream::SLACK
            && !others.are_gone(stream::last_stored(line, &names).await?);
        if wait {
            state.quiet = Some(now + LOOK_AGAIN);
        } else {
            (state.looked, state.since) = (Some(line.number), None);
        }
        Ok(())
    }

    async fn pull(&self, line: &Line) -> Result<Pulled, QueueError> {
        let names = self.names()?;
        // One place more for the word that it ended.
        let (sender, messages) = mpsc::channel(self.prefetch + 1);
        let until = Instant::now() + PULL + limits::ANSWER;
        let expires = u64::try_from(PULL.as_nanos()).unwrap_or_default();
        let asked = serde_json::json!({"batch": self.prefetch, "expires": expires});
        line.pull(names.next(), Bytes::from(asked.to_string()), sender).await?;
        Ok(Pulled { line: line.number, messages, left: self.prefetch, until })
    }

    /// Lets go of the connection. What was taken and not done comes to others when its time is over, and then in its order:
    /// what is given back one by one the server mixes with what it had on its way here.
    pub(crate) async fn close(&self) {
        let mut state = self.state.lock().await;
        *state = State::default();
        self.kept.forget().await;
    }

    pub(crate) async fn done(&self, tokens: &[Token]) -> Result<(), QueueError> {
        self.say(tokens, b"+ACK").await
    }

    pub(crate) async fn back(&self, tokens: &[Token]) -> Result<(), QueueError> {
        self.say(tokens, b"-NAK").await
    }

    /// These are still being worked on; what came and waits here is not given to others either.
    pub(crate) async fn hold(&self, tokens: &[Token]) -> Result<(), QueueError> {
        let mut state = self.state.lock().await;
        let State { pulled, ready, .. } = &mut *state;
        if let Some(pull) = pulled {
            ready.extend(std::iter::from_fn(|| pull.messages.try_recv().ok()));
        }
        let waiting = ready.iter().filter_map(|message| message.reply.clone().map(Token));
        let waiting: Vec<Token> = waiting.collect();
        drop(state);
        self.say(tokens, b"+WPI").await?;
        self.say(&waiting, b"+WPI").await
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

/// The messages among what came, at most so many; a status says that no more come.
fn read(
    mut pull: Option<&mut Pulled>,
    ready: &mut VecDeque<Incoming>,
    most: usize,
) -> Result<Vec<Taken>, QueueError> {
    let mut taken = Vec::new();
    while taken.len() < most
        && let Some(incoming) = ready.pop_front()
    {
        let status = incoming.status();
        if let Some(pull) = &mut pull {
            match status {
                None => pull.left = pull.left.saturating_sub(1),
                // A sign of life.
                Some((100, _)) => {}
                Some(_) => pull.left = 0,
            }
        }
        match status {
            None => taken.extend(stream::taken(incoming)),
            Some((409, text)) if text.contains("Consumer Deleted") => {
                return Err(QueueError::NoSuchQueue(text));
            }
            // None there, or the time is over, or as many are out as may be.
            Some((100 | 404 | 408 | 409, _)) => {}
            Some(_) if !taken.is_empty() => {}
            Some((503, _)) => return Err(stream::nobody()),
            Some((code, text)) => return Err(QueueError::Failed(format!("{code} {text}"))),
        }
    }
    Ok(taken)
}
