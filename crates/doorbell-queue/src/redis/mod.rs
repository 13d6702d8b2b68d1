//! Redis streams: XADD puts, a consumer group takes. What is answered is in Redis' memory; whether it is on its disk is set
//! there (`appendfsync always`).

mod resp;

mod driver;

use crate::address::Address;
use crate::dial::Dialer;
use crate::kept::{Kept, Opener};
use crate::limits;
use crate::message::{Message, QueueError, Taken, Token};
use crate::room::Room;
use bytes::Bytes;
use driver::Line;
use resp::Reply;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::Mutex;

/// What was taken and not done by one who says nothing any more is given to another after so long.
const ABANDONED: Duration = Duration::from_secs(60);
/// The fields beside the headers.
const ID: &str = "id";
const CONTENT_TYPE: &str = "content-type";
const BODY: &str = "body";

#[derive(Debug)]
pub(crate) struct Connecting {
    dialer: Dialer,
    address: Address,
    /// Makes the consumer group.
    group: bool,
}

impl Connecting {
    fn stream(&self) -> &str {
        self.address.option("stream").unwrap_or("doorbell")
    }

    fn group(&self) -> &str {
        self.address.option("group").unwrap_or("doorbell")
    }

    fn consumer(&self) -> &str {
        self.address.option("consumer").unwrap_or("doorbell")
    }
}

impl Opener for Connecting {
    type Line = Line;

    async fn open(&self) -> Result<Line, QueueError> {
        let line = driver::start(self.dialer.open(self.address.site()).await?);
        if let Some(who) = self.address.credentials() {
            let mut auth = vec!["AUTH"];
            if !who.user.is_empty() {
                auth.push(&who.user);
            }
            auth.extend(who.password.as_ref().map(|secret| secret.reveal()));
            line.ask(&auth).await?;
        }
        if !self.address.path().is_empty() {
            line.ask(&["SELECT", self.address.path()]).await?;
        }
        if self.group {
            let create = ["XGROUP", "CREATE", self.stream(), self.group(), "0", "MKSTREAM"];
            match line.ask(&create).await {
                Err(QueueError::Failed(text)) if text.starts_with("BUSYGROUP") => {}
                made => drop(made?),
            }
        } else {
            line.ask(&["PING"]).await?;
        }
        Ok(line)
    }

    fn lives(line: &Line) -> bool {
        line.lives()
    }
}

/// A stream that is added to.
#[derive(Debug)]
pub(crate) struct Outlet {
    kept: Kept<Connecting>,
    room: Room,
}

impl Outlet {
    pub(crate) fn new(address: Address, dialer: Dialer) -> Self {
        Self {
            kept: Kept::new(Connecting { dialer, address, group: false }),
            room: Room::default(),
        }
    }

    pub(crate) async fn put(&self, message: Message) -> Result<(), QueueError> {
        let _held = self.room.hold(&message).await?;
        let line = self.kept.line().await?;
        let connecting = self.kept.opener();
        let mut words: Vec<Bytes> = Vec::new();
        let mut word = |text: &str| words.push(Bytes::copy_from_slice(text.as_bytes()));
        word("XADD");
        word(connecting.stream());
        if let Some(most) = connecting.address.option("maxlen") {
            ["MAXLEN", "~", most].into_iter().for_each(&mut word);
        }
        ["*", ID, &message.id].into_iter().for_each(&mut word);
        if let Some(kind) = &message.content_type {
            [CONTENT_TYPE, kind].into_iter().for_each(&mut word);
        }
        let ours = |name: &str| [ID, CONTENT_TYPE, BODY].contains(&name);
        for (name, value) in message.headers.iter().filter(|(name, _)| !ours(name)) {
            [name, value.as_str()].into_iter().for_each(&mut word);
        }
        word(BODY);
        words.push(message.body.clone());
        line.ask_words(&words, limits::ANSWER).await.map(drop)
    }
}

/// A consumer in a group.
#[derive(Debug)]
pub(crate) struct Tap {
    /// A question that waits holds up its connection, so that what is done is told on another.
    asking: Kept<Connecting>,
    telling: Kept<Connecting>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Given back to us.
    returned: VecDeque<Taken>,
    /// Whether what this consumer had before was looked for, over which connection.
    resumed: Option<u64>,
    /// From where on to look for what others abandoned.
    round: u32,
}

impl Tap {
    pub(crate) fn new(address: Address, dialer: &Dialer) -> Self {
        let connecting =
            |address| Kept::new(Connecting { dialer: dialer.clone(), address, group: true });
        Self {
            asking: connecting(address.clone()),
            telling: connecting(address),
            state: Mutex::default(),
        }
    }

    pub(crate) async fn take(&self, most: usize, wait: Duration) -> Result<Vec<Taken>, QueueError> {
        let mut state = self.state.lock().await;
        if !state.returned.is_empty() {
            let count = most.min(state.returned.len());
            return Ok(state.returned.drain(..count).collect());
        }
        let line = self.asking.line().await?;
        let first = state.resumed.replace(line.number) != Some(line.number);
        state.round = state.round.wrapping_add(1);
        if first || state.round.is_multiple_of(16) {
            let found = self.abandoned(&line, most, first).await?;
            if !found.is_empty() {
                // There may be more of it.
                state.resumed = if first { None } else { state.resumed };
                return Ok(found);
            }
        }
        self.newest(&line, most, wait).await
    }

    async fn newest(
        &self,
        line: &Line,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Taken>, QueueError> {
        let it = self.asking.opener();
        let (count, block) = (most.to_string(), wait.as_millis().max(1).to_string());
        let read = [
            "XREADGROUP",
            "GROUP",
            it.group(),
            it.consumer(),
            "COUNT",
            &count,
            "BLOCK",
            &block,
            "STREAMS",
            it.stream(),
            ">",
        ];
        let reply = line.ask_within(&read, wait + limits::ANSWER).await?;
        // Stream by stream; there is one.
        let entries = reply
            .into_items()
            .into_iter()
            .next()
            .and_then(|one| one.into_items().into_iter().nth(1));
        Ok(entries.map(|entries| taken(it.stream(), entries, 0)).unwrap_or_default())
    }

    /// What this consumer (by its name) or, after a while, another one had taken and was not done with.
    async fn abandoned(
        &self,
        line: &Line,
        most: usize,
        ours: bool,
    ) -> Result<Vec<Taken>, QueueError> {
        let it = self.asking.opener();
        let count = most.to_string();
        if ours {
            let read = [
                "XREADGROUP",
                "GROUP",
                it.group(),
                it.consumer(),
                "COUNT",
                &count,
                "STREAMS",
                it.stream(),
                "0",
            ];
            let reply = line.ask(&read).await?;
            let entries = reply
                .into_items()
                .into_iter()
                .next()
                .and_then(|one| one.into_items().into_iter().nth(1));
            return Ok(entries.map(|entries| taken(it.stream(), entries, 1)).unwrap_or_default());
        }
        let idle = ABANDONED.as_millis().to_string();
        let claim =
            ["XAUTOCLAIM", it.stream(), it.group(), it.consumer(), &idle, "0-0", "COUNT", &count];
        let reply = line.ask(&claim).await?;
        let entries = reply.into_items().into_iter().nth(1);
        Ok(entries.map(|entries| taken(it.stream(), entries, 1)).unwrap_or_default())
    }

    pub(crate) async fn done(&self, tokens: &[Token]) -> Result<(), QueueError> {
        if tokens.is_empty() {
            return Ok(());
        }
        let line = self.telling.line().await?;
        let it = self.telling.opener();
        let mut words = vec!["XACK", it.stream(), it.group()];
        words.extend(tokens.iter().map(|token| token.0.as_str()));
        line.ask(&words).await.map(drop)
    }

    /// Redis knows no giving back: it is kept here and taken again, and by others when we say nothing any more.
    pub(crate) async fn back(&self, taken: Vec<Taken>) {
        self.state.lock().await.returned.extend(taken);
    }
}

/// Entries as messages. Those that were deleted meanwhile have no fields.
fn taken(stream: &str, entries: Reply, tries: u32) -> Vec<Taken> {
    entries.into_items().into_iter().filter_map(|entry| one(stream, entry, tries)).collect()
}

fn one(stream: &str, entry: Reply, tries: u32) -> Option<Taken> {
    let mut parts = entry.into_items().into_iter();
    let at = parts.next()?.text()?;
    let mut message = Message { key: stream.to_owned(), ..Message::default() };
    let mut fields = parts.next()?.into_items().into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match name.text()?.as_str() {
            ID => message.id = value.text()?,
            CONTENT_TYPE => message.content_type = value.text(),
            BODY => message.body = value.bytes()?,
            name => message.headers.extend(value.text().map(|value| (name.to_owned(), value))),
        }
    }
    if message.id.is_empty() {
        message.id.clone_from(&at);
    }
    Some(Taken { message, token: Token(at), tries })
}
