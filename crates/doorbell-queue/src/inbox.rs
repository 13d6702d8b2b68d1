//! The inbox: a queue that stands before the store, so that events are taken in while the store is away.

use crate::address::{Address, Engine};
use crate::any::{Outlet, Tap};
use crate::dial::Dialer;
use crate::limits;
use crate::message::{Message, QueueError, Taken, Token};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::Instant;

/// How a queue is called where the address does not say.
const NAME: &str = "doorbell.inbox";
/// As [`NAME`], where no dot may be.
const STREAM: &str = "doorbell-inbox";
/// What the body is.
const CONTENT_TYPE: &str = "application/vnd.doorbell.letter";
/// Before a put is tried again that found no connection.
const AGAIN: Duration = Duration::from_millis(50);

/// A queue of letters, each with the id of what is in it.
#[derive(Debug)]
pub struct Inbox {
    outlet: Outlet,
    tap: Tap,
    /// Where unreadable letters go.
    dead: Option<Outlet>,
    shown: String,
}

/// Why an address is none of an inbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InboxError {
    /// What cannot be one.
    #[error("{0} is no inbox: RabbitMQ, NATS JetStream and Amazon SQS are")]
    Engine(&'static str),
    /// An option that an inbox has not.
    #[error("an inbox on {0} has no option {1}; it has {2}")]
    Option(&'static str, String, &'static str),
    /// SQS makes no queue by itself.
    #[error("it names no queue: sqs://sqs.REGION.amazonaws.com/ACCOUNT/QUEUE")]
    NoQueue,
    /// This build has no such client.
    #[error(transparent)]
    Queue(#[from] QueueError),
}

/// The options of each engine.
const fn options(engine: Engine) -> Option<&'static [&'static str]> {
    match engine {
        Engine::Amqp => Some(&["queue", "delivery_limit"]),
        Engine::Nats => Some(&["stream", "consumer", "replicas", "sync"]),
        Engine::Sqs => Some(&["region", "dead"]),
        Engine::Redis | Engine::Mqtt => None,
    }
}

impl Inbox {
    /// An inbox at what the address names. The queue of `RabbitMQ` and the stream of NATS are made where they are missing;
    /// nothing is opened yet.
    ///
    /// # Errors
    /// [`InboxError`].
    pub fn new(address: &Address, dialer: &Dialer) -> Result<Self, InboxError> {
        let engine = address.engine();
        let known = options(engine).ok_or(InboxError::Engine(engine.name()))?;
        if let Some(other) = address.option_names().find(|name| !known.contains(name)) {
            let all = if engine == Engine::Amqp {
                "queue and delivery_limit"
            } else if engine == Engine::Nats {
                "stream, consumer, replicas and sync"
            } else {
                "region and dead"
            };
            return Err(InboxError::Option(engine.name(), other.to_owned(), all));
        }
        let (whole, dead) = match engine {
            Engine::Amqp => rabbit(address),
            Engine::Nats => nats(address),
            Engine::Sqs | Engine::Redis | Engine::Mqtt => {
                if address.path().split('/').filter(|part| !part.is_empty()).count() != 2 {
                    return Err(InboxError::NoQueue);
                }
                let dead = address.option("dead").map(|queue| address.clone().with_path(queue));
                (address.clone(), dead)
            }
        };
        let outlet = Outlet::new(whole.clone(), dialer.clone())?;
        let tap = Tap::new(whole, dialer.clone(), limits::INBOX_PREFETCH)?;
        let dead = dead.map(|dead| Outlet::new(dead, dialer.clone())).transpose()?;
        Ok(Self { outlet, tap, dead, shown: address.shown() })
    }

    /// Opens the connection over which letters are put, and makes queue or stream, so that the first sender need not wait for
    /// that. Within [`limits::OPEN`].
    ///
    /// # Errors
    /// [`QueueError`]; it is opened when something is put.
    pub async fn open(&self) -> Result<(), QueueError> {
        self.outlet.open().await
    }

    /// Which broker it is, for a log.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// Puts a letter; `Ok` means that the broker has it for good. A connection that is gone is made anew meanwhile, but
    /// not for longer than [`limits::INBOX_PATIENCE`]: whoever sent it waits.
    ///
    /// # Errors
    /// [`QueueError`]; nobody knows whether the broker has it, so to put it again under the same id is right.
    pub async fn put(&self, id: &str, letter: Bytes) -> Result<(), QueueError> {
        if letter.len() > limits::INBOX_LETTER {
            return Err(QueueError::TooLarge(format!(
                "{} bytes are the most",
                limits::INBOX_LETTER
            )));
        }
        let deadline = Instant::now() + limits::INBOX_PATIENCE;
        let message = Message {
            id: id.to_owned(),
            content_type: Some(CONTENT_TYPE.to_owned()),
            body: letter,
            ..Message::default()
        };
        loop {
            let putting = self.outlet.put(message.clone());
            let error = match tokio::time::timeout_at(deadline, putting).await {
                Ok(Err(error @ QueueError::Unreachable(_))) => error,
                Ok(done) => return done,
                Err(_) => return Err(QueueError::late()),
            };
            if Instant::now() + AGAIN >= deadline {
                return Err(error);
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Takes letters, in the order in which they were put as far as the broker has one; see [`Tap::take`].
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn take(&self, wait: Duration) -> Result<Vec<Taken>, QueueError> {
        self.tap.take(limits::INBOX_PREFETCH, wait).await
    }

    /// See [`Tap::done`].
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn done(&self, tokens: &[Token]) -> Result<(), QueueError> {
        self.tap.done(tokens).await
    }

    /// See [`Tap::hold`].
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn hold(&self, tokens: &[Token]) -> Result<(), QueueError> {
        self.tap.hold(tokens).await
    }

    /// Puts a letter that nobody can read where someone can look at it (`queue.dead`, `subject.dead`, SQS: the queue `dead`
    /// of the address; where there is none it is given back, for the queue's own redrive policy).
    ///
    /// # Errors
    /// [`QueueError`]; it comes again.
    pub async fn set_aside(&self, taken: Taken) -> Result<(), QueueError> {
        let Some(dead) = &self.dead else { return self.tap.back(vec![taken]).await };
        let mut message = taken.message;
        message.key.clear();
        dead.put(message).await?;
        self.tap.done(&[taken.token]).await
    }

    /// How many letters wait, those that were taken and are not done included as far as the broker counts them.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn waiting(&self) -> Result<Option<u64>, QueueError> {
        self.tap.waiting().await
    }

    /// See [`Tap::doubt`].
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn doubt(&self) -> Result<Option<String>, QueueError> {
        self.tap.doubt().await
    }

    /// See [`Tap::close`].
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn close(&self, left: Vec<Taken>) -> Result<(), QueueError> {
        self.tap.close(left).await
    }
}

/// The queue, and the one for what is set aside.
fn rabbit(address: &Address) -> (Address, Option<Address>) {
    let queue = address.option("queue").unwrap_or(NAME).to_owned();
    let whole = address.clone().with_option("queue", &queue).with_option("declare", "quorum");
    let dead = whole.clone().with_option("key", &format!("{queue}.dead"));
    (whole, Some(dead))
}

/// The stream, and a subject of it for what is set aside.
fn nats(address: &Address) -> (Address, Option<Address>) {
    let subject = if address.path().is_empty() { NAME } else { address.path() }.to_owned();
    let stream = address.option("stream").unwrap_or(STREAM).to_owned();
    let whole = address
        .clone()
        .with_path(&subject)
        .with_option("stream", &stream)
        .with_option("declare", "stream")
        .with_option("order", "strict");
    let dead = whole.clone().with_path(&format!("{subject}.dead")).with_option("declare", "");
    (whole, Some(dead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::Plain;
    use doorbell_core::time::Time;
    use std::sync::Arc;

    fn dialer() -> Dialer {
        Dialer::new(Arc::new(Plain), &[], Arc::new(|| Time::EPOCH)).unwrap()
    }

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn inbox(text: &str) -> Result<Inbox, InboxError> {
        Inbox::new(&address(text), &dialer())
    }

    #[test]
    fn what_is_an_inbox_and_what_is_none() {
        for fine in [
            "amqp://h/",
            "amqps://h/v?queue=q",
            "nats://h/",
            "nats://h/s?stream=x&sync=always",
            "sqs://sqs.eu-west-1.amazonaws.com/1/q",
        ] {
            assert!(inbox(fine).is_ok(), "{fine}");
        }
        assert!(matches!(inbox("redis://h/"), Err(InboxError::Engine("Redis streams"))));
        assert!(matches!(inbox("amqp://h/?exchange=e"), Err(InboxError::Option(..))));
        assert!(matches!(inbox("sqs://sqs.eu-west-1.amazonaws.com/"), Err(InboxError::NoQueue)));
    }
}
