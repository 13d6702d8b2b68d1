//! What is put and taken, and what can go wrong.

use bytes::Bytes;

/// A message for a broker, or one that came from it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Where it goes within what the outlet is connected to: the routing key (AMQP), the subject (NATS), the topic (MQTT),
    /// the message group (SQS FIFO). Empty: what the address says. Redis and SQS standard have nothing of the kind.
    pub key: String,
    /// Its id, by which a broker that can drops repeats: unique, never empty, at most 128 bytes of printable ASCII.
    pub id: String,
    /// What the body is.
    pub content_type: Option<String>,
    /// Names and values beside the body, as far as the broker knows such things. SQS carries ten at most.
    pub headers: Vec<(String, String)>,
    /// The body, as it is. SQS carries text only: what is none goes as Base64, and `doorbell-encoding` says so.
    pub body: Bytes,
}

/// A message that was taken and is to be [`Tap::done`](crate::Tap::done) with, or given [`Tap::back`](crate::Tap::back).
#[derive(Debug, Clone)]
pub struct Taken {
    /// The message.
    pub message: Message,
    /// Under what it is told to be done.
    pub token: Token,
    /// How often it was given to someone before, as far as the broker says.
    pub tries: u32,
}

/// Names a taken message to its broker; opaque, and good for the [`Tap`](crate::Tap) that took it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub(crate) String);

/// Why a broker did not do what was asked. Each variant is a branch that callers take; the text is the broker's own word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// There is no connection: it could not be opened, or broke before the broker answered. What was put may have arrived.
    #[error("the broker cannot be reached: {0}")]
    Unreachable(String),
    /// The broker knows us not, or this is not allowed to us: somebody has to change something.
    #[error("the broker refused: {0}")]
    Refused(String),
    /// There is no such queue, stream or exchange, or nothing is bound to where the message goes.
    #[error("the broker has no place for it: {0}")]
    NoSuchQueue(String),
    /// More bytes than the broker takes.
    #[error("it is too large for the broker: {0}")]
    TooLarge(String),
    /// The broker takes nothing more at present, or did not answer in time. What was put may have arrived.
    #[error("the broker is busy: {0}")]
    Busy(String),
    /// Something that should not be: the broker says what it must not, or refuses for another reason.
    #[error("the broker failed: {0}")]
    Failed(String),
}

impl QueueError {
    /// Whether to try again later may help, without anybody changing anything.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Busy(_))
    }

    pub(crate) fn ended() -> Self {
        Self::Unreachable("the connection ended before it answered".to_owned())
    }

    pub(crate) fn late() -> Self {
        Self::Busy("it did not answer in time".to_owned())
    }

    pub(crate) fn odd(what: &str) -> Self {
        Self::Failed(format!("it said what was not to be expected: {what}"))
    }
}
