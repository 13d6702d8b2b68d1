//! Frames, and the methods in them that we say (section 4.2 of the specification).

use super::codec::{Reader, Value, long, short, table};
use crate::message::{Message, QueueError};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

pub(super) const METHOD: u8 = 1;
pub(super) const HEADER: u8 = 2;
pub(super) const BODY: u8 = 3;
pub(super) const HEARTBEAT: u8 = 8;
const END: u8 = 0xCE;
/// Kind, channel, size; and the end.
pub(super) const AROUND: usize = 8;

/// The one channel that we use.
pub(super) const CHANNEL: u16 = 1;
/// The class of messages.
pub(super) const BASIC: u16 = 60;

/// A frame that came.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) payload: Bytes,
}

/// The next frame, when it is whole.
pub(super) fn next(came: &mut BytesMut, most: usize) -> Result<Option<Frame>, QueueError> {
    let mut head = Reader(came);
    let Some((kind, _, size)) = (|| Some((head.u8()?, head.u16()?, head.u32()?)))() else {
        return Ok(None);
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > most || !matches!(kind, METHOD | HEADER | BODY | HEARTBEAT) {
        return Err(QueueError::odd("a frame that is none"));
    }
    if came.len() < size + AROUND {
        return Ok(None);
    }
    came.advance(AROUND - 1);
    let payload = came.split_to(size).freeze();
    if came.get_u8() != END {
        return Err(QueueError::odd("a frame without its end"));
    }
    Ok(Some(Frame { kind, payload }))
}

/// Writes a frame.
pub(super) fn frame(out: &mut BytesMut, kind: u8, channel: u16, payload: &[u8]) {
    out.reserve(payload.len() + AROUND);
    out.put_u8(kind);
    out.put_u16(channel);
    out.put_u32(u32::try_from(payload.len()).unwrap_or_default());
    out.put_slice(payload);
    out.put_u8(END);
}

/// Writes a method with its arguments.
pub(super) fn method(
    out: &mut BytesMut,
    channel: u16,
    (class, method): (u16, u16),
    arguments: impl FnOnce(&mut BytesMut),
) {
    let mut payload = BytesMut::new();
    payload.put_u16(class);
    payload.put_u16(method);
    arguments(&mut payload);
    frame(out, METHOD, channel, &payload);
}

/// Writes a message: the method, its properties, its body in frames of at most `frame_max`.
pub(super) fn publish(
    out: &mut BytesMut,
    (exchange, key): (&str, &str),
    message: &Message,
    frame_max: usize,
) {
    method(out, CHANNEL, (BASIC, 40), |out| {
        out.put_u16(0);
        short(out, exchange);
        short(out, key);
        out.put_u8(1); // mandatory
    });
    let mut head = BytesMut::new();
    head.put_u16(BASIC);
    head.put_u16(0);
    head.put_u64(u64::try_from(message.body.len()).unwrap_or(u64::MAX));
    properties(&mut head, message);
    frame(out, HEADER, CHANNEL, &head);
    for part in message.body.chunks(frame_max.saturating_sub(AROUND).max(1)) {
        frame(out, BODY, CHANNEL, part);
    }
}

const CONTENT_TYPE: u16 = 1 << 15;
const ENCODING: u16 = 1 << 14;
const HEADERS: u16 = 1 << 13;
const DELIVERY_MODE: u16 = 1 << 12;
const PRIORITY: u16 = 1 << 11;
const CORRELATION: u16 = 1 << 10;
const REPLY_TO: u16 = 1 << 9;
const EXPIRATION: u16 = 1 << 8;
const MESSAGE_ID: u16 = 1 << 7;

fn properties(out: &mut BytesMut, message: &Message) {
    let kind = message.content_type.as_deref();
    out.put_u16(
        HEADERS | DELIVERY_MODE | MESSAGE_ID | if kind.is_some() { CONTENT_TYPE } else { 0 },
    );
    if let Some(kind) = kind {
        short(out, kind);
    }
    let headers = message.headers.iter();
    let headers: Vec<_> =
        headers.map(|(name, value)| (name.as_str(), Value::Text(value))).collect();
    table(out, &headers);
    out.put_u8(2); // persistent
    short(out, &message.id);
}

/// What a header frame says of the message whose body follows.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) body: u64,
    pub(super) id: String,
    pub(super) content_type: Option<String>,
    pub(super) headers: Vec<(String, String)>,
}

/// Reads a header frame.
pub(super) fn head(payload: &[u8]) -> Option<Head> {
    let mut reader = Reader(payload);
    let (_class, _weight, body, flags) =
        (reader.u16()?, reader.u16()?, reader.u64()?, reader.u16()?);
    let has = |flag: u16| flags & flag != 0;
    let mut head = Head { body, ..Head::default() };
    if has(CONTENT_TYPE) {
        head.content_type = Some(reader.short()?);
    }
    if has(ENCODING) {
        head.headers.push(("content-encoding".to_owned(), reader.short()?));
    }
    if has(HEADERS) {
        head.headers.extend(reader.table()?);
    }
    for flag in [DELIVERY_MODE, PRIORITY] {
        if has(flag) {
            reader.u8()?;
        }
    }
    for flag in [CORRELATION, REPLY_TO, EXPIRATION] {
        if has(flag) {
            reader.short()?;
        }
    }
    if has(MESSAGE_ID) {
        head.id = reader.short()?;
    }
    Some(head)
}

/// What a Close says, of a connection or a channel, as an error.
pub(super) fn closed(arguments: &[u8]) -> QueueError {
    let mut reader = Reader(arguments);
    let code = reader.u16().unwrap_or_default();
    let text = reader.short().unwrap_or_default();
    match code {
        403 | 530 => QueueError::Refused(text),
        404 | 312 => QueueError::NoSuchQueue(text),
        311 => QueueError::TooLarge(text),
        320 | 541 => QueueError::Unreachable(text),
        405 | 506 => QueueError::Busy(text),
        _ => QueueError::Failed(format!("{code} {text}")),
    }
}

/// Declares a queue; `passive` only asks whether it is there.
pub(super) fn declare(
    out: &mut BytesMut,
    queue: &str,
    passive: bool,
    arguments: &[(&str, Value<'_>)],
) {
    method(out, CHANNEL, (50, 10), |out| {
        out.put_u16(0);
        short(out, queue);
        out.put_u8(if passive { 1 } else { 2 }); // else durable
        table(out, arguments);
    });
}

/// The answer to a login.
pub(super) fn start_ok(out: &mut BytesMut, user: &str, password: &str) {
    method(out, 0, (10, 11), |out| {
        let abilities = [
            "publisher_confirms",
            "consumer_cancel_notify",
            "basic.nack",
            "connection.blocked",
            "authentication_failure_close",
        ];
        let abilities = abilities.map(|ability| (ability, Value::Yes)).to_vec();
        let us = [("product", Value::Text("doorbell")), ("capabilities", Value::Table(abilities))];
        table(out, &us);
        short(out, "PLAIN");
        long(out, format!("\0{user}\0{password}").as_bytes());
        short(out, "en_US");
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let message = Message {
            key: "k".to_owned(),
            id: "msg_1".to_owned(),
            content_type: Some("application/json".to_owned()),
            headers: vec![("x-a".to_owned(), "b".to_owned())],
            body: Bytes::from(vec![7; 10_000]),
        };
        let mut out = BytesMut::new();
        publish(&mut out, ("e", "k"), &message, 4096);
        let mut kinds = Vec::new();
        let mut body = Vec::new();
        while let Some(frame) = next(&mut out, 4096).unwrap() {
            kinds.push(frame.kind);
            if frame.kind == HEADER {
                let head = head(&frame.payload).unwrap();
                assert_eq!((head.body, head.id.as_str()), (10_000, "msg_1"));
                assert_eq!(
                    (head.content_type, head.headers),
                    (message.content_type.clone(), message.headers.clone())
                );
            } else if frame.kind == BODY {
                body.extend_from_slice(&frame.payload);
            }
        }
        assert_eq!((kinds, body.len()), (vec![METHOD, HEADER, BODY, BODY, BODY], 10_000));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            head(&bytes);
            closed(&bytes);
            drop(next(&mut BytesMut::from(&bytes[..]), 100));
        }
    }
}
