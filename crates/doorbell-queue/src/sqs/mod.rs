//! Amazon SQS: its JSON protocol over HTTP/1.1, signed with Signature Version 4. Standard queues and FIFO queues (whose name
//! ends with `.fifo`).

mod form;

mod http;

use crate::address::Address;
use crate::aws;
use crate::dial::Dialer;
use crate::limits;
use crate::message::{Message, QueueError, Taken, Token};
use crate::room::{Held, Room};
use form::BATCH;
use http::Client;
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// After so long a message that was taken is given to somebody else, unless it is held. Short, since who was killed while he
/// asked is still given a message, as long as SQS waits for him: so late it comes, and on FIFO queues all behind it.
const VISIBILITY: Duration = Duration::from_secs(6);
/// How soon it is held again: twice well within [`VISIBILITY`].
const HELD_AGAIN: Duration = Duration::from_millis(1_500);
/// The longest that SQS waits for messages.
const LONG_POLL: Duration = Duration::from_secs(20);
/// Batches on their way at once; one on FIFO queues, whose order is that of what was put.
const AT_ONCE: usize = 8;
/// What a queue takes where we may not ask: what every queue took before 2025-08.
const LARGEST: usize = 256 << 10;

#[derive(Debug)]
struct Item {
    message: Message,
    _held: Held,
    answer: oneshot::Sender<Result<(), QueueError>>,
}

/// A queue that is put into.
#[derive(Debug)]
pub(crate) struct Outlet {
    queue: Arc<Queue>,
    room: Room,
    items: OnceLock<mpsc::Sender<Item>>,
}

/// A queue, and what is known of it.
#[derive(Debug)]
struct Queue {
    client: Client,
    url: String,
    fifo: bool,
    largest: OnceCell<usize>,
}

impl Queue {
    fn new(address: Address, dialer: Dialer) -> Self {
        let scheme = if address.is_tls() { "https" } else { "http" };
        let host = aws::host(address.site());
        let url = format!("{scheme}://{host}/{}", address.path());
        let fifo = address.path().ends_with(".fifo");
        Self { client: Client::new(address, dialer), url, fifo, largest: OnceCell::new() }
    }

    async fn ask(
        &self,
        action: &str,
        mut body: Value,
        wait: Duration,
    ) -> Result<Value, QueueError> {
        if let Some(fields) = body.as_object_mut() {
            fields.insert("QueueUrl".to_owned(), json!(self.url));
        }
        let answered = self.client.ask(action, &body, wait + limits::ANSWER).await?;
        Ok(answered)
    }

    /// Bytes of a message, and of a batch, that it takes.
    async fn largest(&self) -> Result<usize, QueueError> {
        let asking = async {
            let names = json!({"AttributeNames": ["MaximumMessageSize"]});
            match self.ask("GetQueueAttributes", names, Duration::ZERO).await {
                Ok(answer) => Ok(form::attribute(&answer, "MaximumMessageSize").unwrap_or(LARGEST)),
                Err(QueueError::Refused(text)) if text.contains("AccessDenied") => Ok(LARGEST),
                Err(error) => Err(error),
            }
        };
        self.largest.get_or_try_init(|| asking).await.copied()
    }
}

impl Outlet {
    pub(crate) fn new(address: Address, dialer: Dialer) -> Self {
        Self {
            queue: Arc::new(Queue::new(address, dialer)),
            room: Room::default(),
            items: OnceLock::new(),
        }
    }

    pub(crate) async fn put(&self, message: Message) -> Result<(), QueueError> {
        let size = form::check(&message)?;
        let largest = self.queue.largest().await?;
        if size > largest {
            return Err(QueueError::TooLarge(format!(
                "{size} bytes as it would be sent, and {largest} are the most"
            )));
        }
        let held = self.room.hold(&message).await?;
        let (answer, answered) = oneshot::channel();
        let item = Item { message, _held: held, answer };
        let items = self.items.get_or_init(|| gather(Arc::clone(&self.queue)));
        items.send(item).await.map_err(|_| QueueError::ended())?;
        answered.await.unwrap_or_else(|_| Err(QueueError::ended()))
    }
}

/// Starts the task that sends together what has come together.
fn gather(queue: Arc<Queue>) -> mpsc::Sender<Item> {
    let (items, mut coming) = mpsc::channel::<Item>(limits::IN_FLIGHT);
    tokio::spawn(async move {
        let at_once = Arc::new(Semaphore::new(if queue.fifo { 1 } else { AT_ONCE }));
        let mut next: Option<Item> = None;
        loop {
            let Ok(place) = Arc::clone(&at_once).acquire_owned().await else { return };
            let Some(first) = (match next.take() {
                Some(item) => Some(item),
                None => coming.recv().await,
            }) else {
                return;
            };
            let largest = queue.largest.get().copied().unwrap_or(LARGEST);
            let mut bytes = form::size(&first.message);
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(item) = coming.try_recv()
            {
                bytes += form::size(&item.message);
                if bytes > largest {
                    next = Some(item);
                    break;
                }
                batch.push(item);
            }
            let queue = Arc::clone(&queue);
            tokio::spawn(async move {
                send(&queue, batch).await;
                drop(place);
            });
        }
    });
    items
}

async fn send(queue: &Queue, batch: Vec<Item>) {
    let entries: Vec<Value> = batch
        .iter()
        .enumerate()
        .map(|(at, item)| form::entry(at, &item.message, queue.fifo))
        .collect();
    let body = json!({"Entries": entries});
    let answered = queue.ask("SendMessageBatch", body, Duration::ZERO).await;
    for (at, item) in batch.into_iter().enumerate() {
        let result = match &answered {
            Ok(answer) => form::result(answer, at),
            Err(error) => Err(error.clone()),
        };
        drop(item.answer.send(result));
    }
}

/// A queue that is taken from.
#[derive(Debug)]
pub(crate) struct Tap {
    queue: Queue,
    /// When it was last said what is being worked on.
    held: Mutex<Option<Instant>>,
}

impl Tap {
    pub(crate) fn new(address: Address, dialer: Dialer) -> Self {
        Self { queue: Queue::new(address, dialer), held: Mutex::default() }
    }

    /// At most ten at once; SQS knows no more.
    pub(crate) async fn take(&self, most: usize, wait: Duration) -> Result<Vec<Taken>, QueueError> {
        let wait = wait.min(LONG_POLL);
        let body = json!({
            "MaxNumberOfMessages": most.clamp(1, BATCH),
            "WaitTimeSeconds": wait.as_secs(),
            "VisibilityTimeout": VISIBILITY.as_secs(),
            // The first of them under its old name, too: some stand-ins know only that.
            "AttributeNames": ["ApproximateReceiveCount", "MessageGroupId"],
            "MessageSystemAttributeNames": ["ApproximateReceiveCount", "MessageGroupId"],
            "MessageAttributeNames": ["All"],
        });
        let answer = self.queue.ask("ReceiveMessage", body, wait).await?;
        form::taken(&answer)
    }

    pub(crate) async fn done(&self, tokens: &[Token]) -> Result<(), QueueError> {
        self.each(tokens, "DeleteMessageBatch", None).await
    }

    pub(crate) async fn back(&self, tokens: &[Token]) -> Result<(), QueueError> {
        self.each(tokens, "ChangeMessageVisibilityBatch", Some(Duration::ZERO)).await
    }

    /// These are still being worked on.
    pub(crate) async fn hold(&self, tokens: &[Token]) -> Result<(), QueueError> {
        // Each ten of them are a question that costs money: it is asked in good time, not each time.
        let mut held = self.held.lock().await;
        let now = Instant::now();
        if held.is_some_and(|held| now < held + HELD_AGAIN) {
            return Ok(());
        }
        self.each(tokens, "ChangeMessageVisibilityBatch", Some(VISIBILITY)).await?;
        *held = Some(now);
        Ok(())
    }

    async fn each(
        &self,
        tokens: &[Token],
        action: &str,
        visible_in: Option<Duration>,
    ) -> Result<(), QueueError> {
        for tokens in tokens.chunks(BATCH) {
            let entries = tokens.iter().enumerate().map(|(at, token)| {
                let mut entry = json!({"Id": at.to_string(), "ReceiptHandle": token.0});
                if let (Some(time), Some(fields)) = (visible_in, entry.as_object_mut()) {
                    fields.insert("VisibilityTimeout".to_owned(), json!(time.as_secs()));
                }
                entry
            });
            let body = json!({"Entries": entries.collect::<Vec<_>>()});
            let answer = self.queue.ask(action, body, Duration::ZERO).await?;
            (0..tokens.len()).try_for_each(|at| form::result(&answer, at))?;
        }
        Ok(())
    }

    /// Messages in the queue, about, those that were taken and not done included.
    pub(crate) async fn waiting(&self) -> Result<u64, QueueError> {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let body = json!({"AttributeNames": names});
        let answer = self.queue.ask("GetQueueAttributes", body, Duration::ZERO).await?;
        Ok(names.iter().filter_map(|name| form::attribute::<u64>(&answer, name)).sum())
    }
}
