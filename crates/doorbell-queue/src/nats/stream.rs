//! `JetStream`'s own questions and answers, which are JSON.

use super::driver::{Line, Request};
use super::protocol::Incoming;
use crate::address::Address;
use crate::message::{Message, QueueError, Taken, Token};
use bytes::Bytes;
use doorbell_core::time::Time;
use serde_json::{Value, json};
use std::time::Duration;

/// After so long without a word a message that was taken is given to somebody else.
pub(super) const ACK_WAIT: Duration = Duration::from_millis(1_500);
/// By what the server may give it later than that.
pub(super) const SLACK: Duration = Duration::from_millis(100);
/// For so long the server knows the ids of what was put.
const KNOWN: Duration = Duration::from_secs(120);

/// A stream, one of its consumers, and the subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    stream: String,
    consumer: String,
    subject: String,
}

impl Names {
    /// What the address says of a stream; `None` without one, or where it cannot be one.
    pub(super) fn of(address: &Address) -> Option<Self> {
        let fine = |name: &&str| !name.contains(['.', '*', '>', ' ', '/', '\\', '\t']);
        let stream = address.option("stream").filter(fine)?.to_owned();
        let consumer = address.option("consumer").filter(fine).unwrap_or("doorbell").to_owned();
        let subject = address.path().replace('/', ".");
        Some(Self { stream, consumer, subject })
    }

    pub(super) fn next(&self) -> String {
        format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, self.consumer)
    }
}

/// No stream takes this subject, or there is no `JetStream`.
pub(super) fn nobody() -> QueueError {
    QueueError::NoSuchQueue("no stream or consumer is there for it".to_owned())
}

fn answer(incoming: &Incoming) -> Result<Value, QueueError> {
    if let Some((503, _)) = incoming.status() {
        return Err(nobody());
    }
    let read: Result<Value, _> = serde_json::from_slice(&incoming.body);
    let value = read.map_err(|_| QueueError::odd("an answer that is no JSON"))?;
    match value.get("error") {
        None => Ok(value),
        Some(error) => Err(fault(error)),
    }
}

fn fault(error: &Value) -> QueueError {
    let number = |name: &str| error.get(name).and_then(Value::as_u64).unwrap_or_default();
    let text = error.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    match (number("code"), number("err_code")) {
        (404, _) => QueueError::NoSuchQueue(text),
        (_, 10054) => QueueError::TooLarge(text),
        (401 | 403, _) => QueueError::Refused(text),
        // Full by its own limits, out of storage, without a leader.
        (503, _) | (_, 10047 | 10077 | 10122 | 10167) => QueueError::Busy(text),
        (code, _) => QueueError::Failed(format!("{code} {text}")),
    }
}

/// Reads the answer to what was put: a stream has it (perhaps since before, by its id).
pub(super) fn kept(incoming: &Incoming) -> Result<(), QueueError> {
    let value = answer(incoming)?;
    let named = value.get("stream").and_then(Value::as_str).is_some();
    if named { Ok(()) } else { Err(QueueError::odd("an answer that is no confirmation")) }
}

async fn ask(line: &Line, subject: String, body: &Value) -> Result<Value, QueueError> {
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    answer(&line.ask(Request::Ask { subject, body }, None).await?)
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The stream and its consumer, made where they are missing.
pub(super) async fn declare(
    line: &Line,
    names: &Names,
    address: &Address,
    prefetch: usize,
) -> Result<(), QueueError> {
    let Names { stream, consumer, subject } = names;
    match info(line, names).await {
        Ok(_) => {}
        Err(QueueError::NoSuchQueue(_)) => {
            let replicas = address.option("replicas").and_then(|text| text.parse::<u8>().ok());
            let wanted = json!({
                "name": stream, "subjects": [subject, format!("{subject}.dead")], "storage": "file", "retention": "workqueue",
                "discard": "new", "duplicate_window": ns(KNOWN), "num_replicas": replicas.unwrap_or(1),
                "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_msg_size": -1,
            });
            ask(line, format!("$JS.API.STREAM.CREATE.{stream}"), &wanted).await?;
        }
        Err(error) => return Err(error),
    }
    let wanted = json!({"stream_name": stream, "config": {
        "durable_name": consumer, "deliver_policy": "all", "ack_policy": "explicit", "ack_wait": ns(ACK_WAIT),
        "max_deliver": -1, "max_ack_pending": prefetch.max(1) * 4, "filter_subject": subject, "replay_policy": "instant",
    }});
    let made = ask(line, format!("$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{consumer}"), &wanted);
    made.await.map(drop)
}

async fn info(line: &Line, names: &Names) -> Result<Value, QueueError> {
    ask(line, format!("$JS.API.STREAM.INFO.{}", names.stream), &Value::Null).await
}

/// How many were given to nobody yet, or to somebody who is not done with them.
pub(super) async fn messages(line: &Line, names: &Names) -> Result<u64, QueueError> {
    let info = consumer(line, names).await?;
    let number = |name: &str| info.get(name).and_then(Value::as_u64).unwrap_or_default();
    Ok(number("num_pending").saturating_add(number("num_ack_pending")))
}

/// What others have of a consumer's messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Others {
    /// How many were given to somebody who is not done with them.
    pub(super) taken: u64,
    /// How many requests for more wait at the server: whoever asks is alive.
    pub(super) asking: u64,
    /// When the last one was given away, by the server's clock.
    given: Option<Time>,
}

impl Others {
    /// Whether the time of all that was taken was over when the last message came into the stream: what was put in just now tells
    /// the server's time, whatever clock we have.
    pub(super) fn are_gone(self, stored: Option<Time>) -> bool {
        let over = |given: Time| stored.is_some_and(|now| now.since(given) >= ACK_WAIT + SLACK);
        self.asking == 0 && self.given.is_some_and(over)
    }
}

/// What others have.
pub(super) async fn others(line: &Line, names: &Names) -> Result<Others, QueueError> {
    let info = consumer(line, names).await?;
    let number = |name: &str| info.get(name).and_then(Value::as_u64).unwrap_or_default();
    Ok(Others {
        taken: number("num_ack_pending"),
        asking: number("num_waiting"),
        given: time(info.pointer("/delivered/last_active")),
    })
}

/// When the last message came into the stream, by the server's clock.
pub(super) async fn last_stored(line: &Line, names: &Names) -> Result<Option<Time>, QueueError> {
    Ok(time(info(line, names).await?.pointer("/state/last_ts")))
}

fn time(value: Option<&Value>) -> Option<Time> {
    value.and_then(Value::as_str).and_then(Time::parse_rfc3339)
}

async fn consumer(line: &Line, names: &Names) -> Result<Value, QueueError> {
    let subject = format!("$JS.API.CONSUMER.INFO.{}.{}", names.stream, names.consumer);
    ask(line, subject, &Value::Null).await
}

/// Whether what is confirmed may be lost with the power: by default a server writes to its disk and tells it to keep it
/// only every two minutes (`sync_interval`). A client cannot see how that is set; it sees how many copies there are, and
/// versions that know no other way.
pub(super) async fn doubt(
    line: &Line,
    names: &Names,
    address: &Address,
) -> Result<Option<String>, QueueError> {
    let info = info(line, names).await?;
    let field = |name: &str| info.get("config").and_then(|config| config.get(name));
    let copies = field("num_replicas").and_then(Value::as_u64).unwrap_or(1);
    let on_disk = field("storage").and_then(Value::as_str) == Some("file");
    let later = field("persist_mode").and_then(Value::as_str) == Some("async");
    let version = &line.version;
    Ok(if !on_disk {
        Some(format!(
            "the stream {} is kept in memory: a restart loses what was confirmed",
            names.stream
        ))
    } else if later {
        Some(format!("the stream {} confirms before it writes (persist_mode: async)", names.stream))
    } else if address.option("sync") == Some("always") || copies >= 3 {
        None
    } else if before_2_10(version) {
        Some(format!(
            "NATS {version} confirms what it has not flushed to its disk, and cannot be told to flush first: a power cut loses up to two \
             minutes of confirmed events. Use 2.10 or later with `sync_interval: always`, or a stream with 3 replicas"
        ))
    } else {
        Some(
            "NATS confirms before it flushes to its disk unless its `jetstream` section says `sync_interval: always`, and a client cannot \
             see that: a power cut may lose up to two minutes of confirmed events. Set it, and say so with `sync=always` in the address; \
             or use a stream with 3 replicas"
                .to_owned(),
        )
    })
}

fn before_2_10(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) < (2, 10)
}

/// Reads a message of a pull consumer.
pub(super) fn taken(incoming: Incoming) -> Option<Taken> {
    let reply = incoming.reply.clone()?;
    // $JS.ACK.stream.consumer.delivered.…, or with domain and account: $JS.ACK.domain.account.stream.consumer.delivered.…
    let parts: Vec<&str> = reply.split('.').collect();
    let at = if parts.len() >= 11 { 6 } else { 4 };
    let given: u32 = parts.get(at).and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut headers = incoming.headers();
    let mut pull_out = |wanted: &str| {
        let at = headers.iter().position(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        Some(headers.remove(at).1)
    };
    let (id, content_type) = (pull_out("Nats-Msg-Id"), pull_out("Content-Type"));
    // Who puts without an id: the place in the stream, and the time, since a stream that is made anew counts anew.
    let place = || Some(format!("{}.{}", parts.get(at + 1)?, parts.get(at + 3)?));
    let message = Message {
        key: incoming.subject,
        id: id.or_else(place).unwrap_or_default(),
        content_type,
        headers,
        body: incoming.body,
    };
    Some(Taken { message, token: Token(reply), tries: given.saturating_sub(1) })
}

#[cfg(test)]
mod tests {
    use super::{Others, before_2_10};
    use doorbell_core::time::Time;

    #[test]
    fn who_asks_no_more_and_has_let_all_time_pass_is_gone() {
        let given = Some(Time::from_ms(10_000));
        let others = Others { taken: 3, asking: 0, given };
        assert!(others.are_gone(Some(Time::from_ms(11_600))));
        assert!(!others.are_gone(Some(Time::from_ms(11_599))), "it may still be done with them");
        assert!(!others.are_gone(Some(Time::from_ms(9_000))), "nothing came since");
        assert!(!others.are_gone(None));
        assert!(!Others { asking: 1, ..others }.are_gone(Some(Time::from_ms(20_000))), "it asks");
        assert!(!Others { given: None, ..others }.are_gone(Some(Time::from_ms(20_000))));
    }

    #[test]
    fn versions() {
        assert!(before_2_10("2.9.25") && !before_2_10("2.10.0") && !before_2_10("3.0.0-dev"));
    }
}
