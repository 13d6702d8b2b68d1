//! How much may be in flight, in number and in bytes.

use crate::limits;
use crate::message::{Message, QueueError};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for messages whose confirmation is awaited.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    messages: Arc<Semaphore>,
    kib: Arc<Semaphore>,
}

/// Room that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _message: OwnedSemaphorePermit,
    _kib: OwnedSemaphorePermit,
}

impl Default for Room {
    fn default() -> Self {
        let kib = Semaphore::new(limits::IN_FLIGHT_KIB);
        Self { messages: Arc::new(Semaphore::new(limits::IN_FLIGHT)), kib: Arc::new(kib) }
    }
}

impl Room {
    /// Room for this message, when there is some.
    pub(crate) async fn hold(&self, message: &Message) -> Result<Held, QueueError> {
        let bytes = size(message);
        if bytes > limits::MESSAGE {
            let text = format!("{bytes} bytes, and {} are the most", limits::MESSAGE);
            return Err(QueueError::TooLarge(text));
        }
        let kib = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let ended = |_| QueueError::ended();
        Ok(Held {
            _message: Arc::clone(&self.messages).acquire_owned().await.map_err(ended)?,
            _kib: Arc::clone(&self.kib).acquire_many_owned(kib).await.map_err(ended)?,
        })
    }
}

/// Bytes of a message, about.
pub(crate) fn size(message: &Message) -> usize {
    let headers = message.headers.iter().map(|(name, value)| name.len() + value.len() + 8);
    message.body.len() + message.key.len() + message.id.len() + 64 + headers.sum::<usize>()
}

/// What no broker's protocol could carry, or what would be read as something else there, is refused before it is written.
pub(crate) fn check(message: &Message) -> Result<(), QueueError> {
    let plain = |text: &str| text.len() <= limits::TEXT && !text.chars().any(char::is_control);
    let id = !message.id.is_empty()
        && message.id.len() <= 128
        && message.id.bytes().all(|b| b.is_ascii_graphic());
    let fine = id
        && plain(&message.key)
        && message.content_type.as_deref().is_none_or(plain)
        && message.headers.len() <= limits::HEADERS
        && message.headers.iter().all(|(name, value)| {
            !name.is_empty()
                && name.len() <= 128
                && name.bytes().all(|b| b.is_ascii_graphic() && b != b':')
                && plain(value)
        });
    if fine {
        Ok(())
    } else {
        Err(QueueError::Failed("its key, id or headers cannot be sent".to_owned()))
    }
}
