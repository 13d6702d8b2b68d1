//! The client protocol of NATS: lines, and messages with headers.

use crate::limits;
use crate::message::QueueError;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Longest line, INFO included.
const LINE: usize = 64 << 10;
const VERSION: &str = "NATS/1.0";

/// What a server says.
#[derive(Debug)]
pub(super) enum Said {
    Info(Bytes),
    Message(Incoming),
    Ping,
    Pong,
    Ok,
    Error(String),
}

/// A message that came.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) subject: String,
    pub(super) reply: Option<String>,
    pub(super) head: Bytes,
    pub(super) body: Bytes,
}

impl Incoming {
    /// The status in the first line of the headers, where there is one.
    pub(super) fn status(&self) -> Option<(u16, String)> {
        let text = str::from_utf8(&self.head).ok()?;
        let line = text.lines().next()?.strip_prefix(VERSION)?.trim();
        let (code, word) = line.split_at_checked(3)?;
        Some((code.parse().ok()?, word.trim().to_owned()))
    }

    /// The headers, in their order.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let text = String::from_utf8_lossy(&self.head);
        let lines = text.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
    }
}

/// What comes next, when it is whole.
pub(super) fn next(came: &mut BytesMut) -> Result<Option<Said>, QueueError> {
    let Some(end) = memchr::memchr(b'\n', came) else {
        let fits = came.len() <= LINE;
        return if fits { Ok(None) } else { Err(QueueError::odd("a line without an end")) };
    };
    let line = came.get(..end).unwrap_or_default();
    let text = String::from_utf8_lossy(line).trim_end().to_owned();
    let (word, rest) = text.split_once([' ', '\t']).unwrap_or((&text, ""));
    let said = match word.to_ascii_uppercase().as_str() {
        "MSG" => return message(came, end + 1, (rest, false)),
        "HMSG" => return message(came, end + 1, (rest, true)),
        "PING" => Said::Ping,
        "PONG" => Said::Pong,
        "+OK" => Said::Ok,
        "INFO" => Said::Info(Bytes::copy_from_slice(rest.as_bytes())),
        "-ERR" => Said::Error(rest.trim_matches('\'').to_owned()),
        _ => return Err(QueueError::odd("a line that is none of NATS")),
    };
    came.advance(end + 1);
    Ok(Some(said))
}

/// `subject sid [reply] [head] total`, and then the bytes.
fn message(
    came: &mut BytesMut,
    line: usize,
    (rest, with_head): (&str, bool),
) -> Result<Option<Said>, QueueError> {
    let words: Vec<&str> = rest.split_ascii_whitespace().collect();
    let sizes = if with_head { 2 } else { 1 };
    let odd = || QueueError::odd("a message that cannot be read");
    let (names, sizes) =
        words.split_at_checked(words.len().saturating_sub(sizes)).ok_or_else(odd)?;
    let size = |at: usize| sizes.get(at).and_then(|text| text.parse::<usize>().ok());
    let total = size(sizes.len().saturating_sub(1)).ok_or_else(odd)?;
    let head = if with_head { size(0).ok_or_else(odd)? } else { 0 };
    if head > total || total > limits::MESSAGE {
        return Err(QueueError::odd("a message that is too large"));
    }
    let (subject, reply) = match names {
        [subject, _] => (*subject, None),
        [subject, _, reply] => (*subject, Some(*reply)),
        _ => return Err(odd()),
    };
    if came.len() < line + total + 2 {
        return Ok(None);
    }
    let (subject, reply) = (subject.to_owned(), reply.map(str::to_owned));
    came.advance(line);
    let head = came.split_to(head).freeze();
    let body = came.split_to(total - head.len()).freeze();
    came.advance(2);
    Ok(Some(Said::Message(Incoming { subject, reply, head, body })))
}

/// Bytes before which their headers stand, and where these end.
#[derive(Debug)]
pub(super) struct Payload {
    pub(super) head: usize,
    pub(super) bytes: Bytes,
}

pub(super) fn with_headers(headers: &[(&str, &str)], body: &[u8]) -> Payload {
    let mut bytes = BytesMut::with_capacity(body.len() + 256);
    bytes.put_slice(VERSION.as_bytes());
    bytes.put_slice(b"\r\n");
    for (name, value) in headers {
        bytes.put_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.put_slice(b"\r\n");
    let head = bytes.len();
    bytes.put_slice(body);
    Payload { head, bytes: bytes.freeze() }
}

/// Writes a message.
pub(super) fn publish(out: &mut BytesMut, subject: &str, reply: Option<&str>, payload: &Payload) {
    let verb = if payload.head == 0 { "PUB" } else { "HPUB" };
    let reply = reply.map(|reply| format!(" {reply}")).unwrap_or_default();
    let head = if payload.head == 0 { String::new() } else { format!(" {}", payload.head) };
    out.put_slice(format!("{verb} {subject}{reply}{head} {}\r\n", payload.bytes.len()).as_bytes());
    out.put_slice(&payload.bytes);
    out.put_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_comes_as_it_was_sent() {
        let payload = with_headers(&[("Nats-Msg-Id", "m1"), ("A", "b: c")], b"hello");
        let mut out = BytesMut::new();
        publish(&mut out, "a.b", Some("r.1"), &payload);
        let text = String::from_utf8(out.to_vec()).unwrap();
        let came = text.replacen("HPUB a.b", "HMSG a.b 1", 1);
        let mut came = BytesMut::from(came.as_bytes());
        let Some(Said::Message(message)) = next(&mut came).unwrap() else { panic!("no message") };
        assert_eq!((message.subject.as_str(), message.reply.as_deref()), ("a.b", Some("r.1")));
        assert_eq!((&message.body[..], message.status()), (&b"hello"[..], None));
        assert_eq!(message.headers()[1], ("A".to_owned(), "b: c".to_owned()));
        assert!(came.is_empty());
    }

    #[test]
    fn a_status_is_read() {
        let mut came =
            BytesMut::from(&b"HMSG x 1 28 28\r\nNATS/1.0 408 Request Time\r\n\r\n\r\n"[..]);
        let Some(Said::Message(message)) = next(&mut came).unwrap() else { panic!("no message") };
        assert_eq!(message.status().map(|(code, _)| code), Some(408));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in "(MSG|HMSG|INFO|-ERR|X)?( [a-z0-9]{1,20}){0,5}\r\n.{0,60}") {
            let mut came = BytesMut::from(bytes.as_bytes());
            while let Ok(Some(Said::Message(message))) = next(&mut came) {
                message.status();
                message.headers();
            }
        }
    }
}
