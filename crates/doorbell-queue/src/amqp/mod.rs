//! `RabbitMQ`: AMQP 0-9-1 with publisher confirms, `mandatory`, and consumers with prefetch. One channel on one connection:
//! what closes a channel is a fault of the address, and then both are made anew.

mod codec;

mod frames;

mod open;

mod driver;

use crate::address::Address;
use crate::dial::Dialer;
use crate::kept::{Kept, Opener};
use crate::limits;
use crate::message::{Message, QueueError, Taken, Token};
use crate::room::Room;
use driver::{Command, Line};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// `RabbitMQ` 4 takes no more unless told to, and closes the channel on it.
const LARGEST: usize = 16 << 20;

/// What a connection is for.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// To put.
    Put,
    /// To take from the queue, so many at once.
    Take(u16),
}

#[derive(Debug)]
pub(crate) struct Connecting {
    dialer: Dialer,
    address: Address,
    purpose: Purpose,
    number: AtomicU64,
}

impl Opener for Connecting {
    type Line = Line;

    async fn open(&self) -> Result<Line, QueueError> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let opened = open::open(&self.dialer, &self.address, &self.purpose).await?;
        Ok(driver::start(opened, number))
    }

    fn lives(line: &Line) -> bool {
        !line.commands.is_closed()
    }
}

impl Connecting {
    fn kept(address: Address, dialer: Dialer, purpose: Purpose) -> Kept<Self> {
        Kept::new(Self { dialer, address, purpose, number: AtomicU64::new(1) })
    }
}

/// An exchange, or the queue of the default exchange.
#[derive(Debug)]
pub(crate) struct Outlet {
    kept: Kept<Connecting>,
    room: Room,
    exchange: Arc<str>,
    key: String,
    largest: usize,
}

impl Outlet {
    pub(crate) fn new(address: Address, dialer: Dialer) -> Self {
        let exchange = address.option("exchange").unwrap_or_default().into();
        let key = address.option("key").or_else(|| address.option("queue")).unwrap_or_default();
        let (key, largest) = (key.to_owned(), largest(&address));
        let kept = Connecting::kept(address, dialer, Purpose::Put);
        Self { kept, room: Room::default(), exchange, key, largest }
    }

    pub(crate) async fn open(&self) -> Result<(), QueueError> {
        self.kept.line().await.map(drop)
    }

    pub(crate) async fn put(&self, message: Message) -> Result<(), QueueError> {
        if message.body.len() > self.largest {
            return Err(QueueError::TooLarge(format!("{} bytes are the most", self.largest)));
        }
        let key = if message.key.is_empty() { self.key.clone() } else { message.key.clone() };
        if key.len() > 255 {
            return Err(QueueError::Failed("a routing key has at most 255 bytes".to_owned()));
        }
        let held = self.room.hold(&message).await?;
        let line = self.kept.line().await?;
        let (answer, answered) = oneshot::channel();
        let exchange = Arc::clone(&self.exchange);
        line.tell(Command::Publish { message, exchange, key, held, answer }).await?;
        answered.await.unwrap_or_else(|_| Err(line.why()))
    }
}

fn largest(address: &Address) -> usize {
    address.option("max_bytes").and_then(|text| text.parse().ok()).unwrap_or(LARGEST)
}

/// A queue that is consumed from.
#[derive(Debug)]
pub(crate) struct Tap {
    kept: Kept<Connecting>,
}

impl Tap {
    pub(crate) fn new(address: Address, dialer: Dialer, prefetch: usize) -> Self {
        let prefetch = u16::try_from(prefetch.max(1)).unwrap_or(u16::MAX);
        Self { kept: Connecting::kept(address, dialer, Purpose::Take(prefetch)) }
    }

    pub(crate) async fn take(&self, most: usize, wait: Duration) -> Result<Vec<Taken>, QueueError> {
        let line = self.kept.line().await?;
        let mut deliveries = line.deliveries.lock().await;
        let mut taken = Vec::new();
        match tokio::time::timeout(wait, deliveries.recv_many(&mut taken, most)).await {
            Ok(0) if most > 0 => Err(line.why()),
            Ok(_) | Err(_) => Ok(taken),
        }
    }

    /// Lets go of the connection, and with it of what came and nobody took.
    pub(crate) async fn close(&self) {
        self.kept.forget().await;
    }

    pub(crate) async fn done(&self, tokens: &[Token]) -> Result<(), QueueError> {
        self.say(tokens, |tag| Command::Ack { tag }).await
    }

    pub(crate) async fn back(&self, tokens: &[Token]) -> Result<(), QueueError> {
        self.say(tokens, |tag| Command::Back { tag }).await
    }

    async fn say(
        &self,
        tokens: &[Token],
        what: impl Fn(u64) -> Command + Send,
    ) -> Result<(), QueueError> {
        let line = self.kept.present().await.ok_or_else(QueueError::ended)?;
        for token in tokens {
            let (number, tag) = token.0.split_once(':').unwrap_or_default();
            let (Ok(number), Ok(tag)) = (number.parse::<u64>(), tag.parse()) else {
                return Err(QueueError::Failed("this token is none of RabbitMQ's".to_owned()));
            };
            if number != line.number {
                // Taken over a connection that ended: the broker gives it to somebody again.
                return Err(QueueError::ended());
            }
            line.tell(what(tag)).await?;
        }
        Ok(())
    }

    /// Messages that wait in the queue and were given to nobody.
    pub(crate) async fn waiting(&self) -> Result<u64, QueueError> {
        let line = self.kept.line().await?;
        let queue = self.kept.opener().address.option("queue").unwrap_or_default().to_owned();
        let (answer, answered) = oneshot::channel();
        line.tell(Command::Count { queue, answer }).await?;
        let counted = tokio::time::timeout(limits::ANSWER, answered).await;
        counted.map_err(|_| QueueError::late())?.map_err(|_| line.why())
    }
}

impl Line {
    async fn tell(&self, command: Command) -> Result<(), QueueError> {
        self.commands.send(command).await.map_err(|_| self.why())
    }

    /// Why it ended.
    fn why(&self) -> QueueError {
        self.ended.get().cloned().unwrap_or_else(QueueError::ended)
    }
}

/// What was assembled is one message more than its body.
fn fits(body: u64) -> bool {
    usize::try_from(body).is_ok_and(|body| body <= limits::MESSAGE)
}
