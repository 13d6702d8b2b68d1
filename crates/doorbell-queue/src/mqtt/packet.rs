//! Packets of MQTT 5 (OASIS, 2019-03-07), as far as we speak it.

use super::{KEEP_ALIVE, SESSION};
use crate::address::Credentials;
use crate::limits;
use crate::message::{Message, QueueError};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

pub(super) const CONNACK: u8 = 2;
pub(super) const PUBLISH: u8 = 3;
pub(super) const PUBACK: u8 = 4;
pub(super) const SUBACK: u8 = 9;
pub(super) const DISCONNECT: u8 = 14;

// Properties (section 2.2.2.2).
const CONTENT_TYPE: u8 = 0x03;
const SESSION_EXPIRY: u8 = 0x11;
const RECEIVE_MAXIMUM: u8 = 0x21;
const USER: u8 = 0x26;
const MAXIMUM_PACKET: u8 = 0x27;
/// The user property in which the id of a message goes.
const ID: &str = "doorbell-id";

/// A packet that came: its first byte's halves, and the rest.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) rest: Bytes,
}

/// The next packet, when it is whole.
pub(super) fn next(came: &mut BytesMut) -> Result<Option<Packet>, QueueError> {
    let mut reader = Reader(came);
    let Some(first) = reader.u8() else { return Ok(None) };
    let before = reader.0.len();
    let Some(length) = reader.variable() else {
        let odd = before >= 4;
        return if odd { Err(QueueError::odd("a length that is none")) } else { Ok(None) };
    };
    if length > limits::MESSAGE {
        return Err(QueueError::odd("a packet that is too large"));
    }
    let head = came.len() - reader.0.len();
    if reader.0.len() < length {
        return Ok(None);
    }
    came.advance(head);
    Ok(Some(Packet { kind: first >> 4, flags: first & 0x0F, rest: came.split_to(length).freeze() }))
}

/// Reads one after the other; `None` where the bytes are none of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.bytes(1)?.first().copied()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.bytes(2)?.try_into().ok()?))
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.bytes(4)?.try_into().ok()?))
    }

    /// Section 1.5.5.
    fn variable(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn binary(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.bytes(length.into())
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.binary()?.to_vec()).ok()
    }

    /// The properties that we know something to do with.
    fn properties(&mut self) -> Option<Properties> {
        let length = self.variable()?;
        let mut inner = Self(self.bytes(length)?);
        let mut found = Properties::default();
        while let Some(kind) = inner.u8() {
            match kind {
                CONTENT_TYPE => found.content_type = Some(inner.text()?),
                USER => found.user.push((inner.text()?, inner.text()?)),
                RECEIVE_MAXIMUM => found.receive = Some(inner.u16()?),
                MAXIMUM_PACKET => found.packet = Some(inner.u32()?),
                // One byte, two, four, text or bytes, a variable number.
                0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => drop(inner.u8()?),
                0x13 | 0x22 | 0x23 => drop(inner.u16()?),
                0x02 | 0x11 | 0x18 => drop(inner.u32()?),
                0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => drop(inner.binary()?),
                0x0B => drop(inner.variable()?),
                _ => return None,
            }
        }
        Some(found)
    }
}

#[derive(Debug, Default)]
pub(super) struct Properties {
    content_type: Option<String>,
    user: Vec<(String, String)>,
    pub(super) receive: Option<u16>,
    pub(super) packet: Option<u32>,
}

fn variable(out: &mut BytesMut, mut value: usize) {
    loop {
        let byte = u8::try_from(value & 0x7F).unwrap_or_default();
        value >>= 7;
        out.put_u8(if value > 0 { byte | 0x80 } else { byte });
        if value == 0 {
            return;
        }
    }
}

fn binary(out: &mut BytesMut, bytes: &[u8]) {
    // Whatever is written here was found to be short before.
    let cut = bytes.get(..usize::from(u16::MAX)).unwrap_or(bytes);
    out.put_u16(u16::try_from(cut.len()).unwrap_or_default());
    out.put_slice(cut);
}

fn packet(out: &mut BytesMut, first: u8, inner: &[u8]) {
    out.put_u8(first);
    variable(out, inner.len());
    out.put_slice(inner);
}

/// Who we are. A tap's session outlives its connection.
pub(super) fn connect(
    out: &mut BytesMut,
    who: Option<&Credentials>,
    client: &str,
    receive: Option<u16>,
) {
    let mut inner = BytesMut::new();
    binary(&mut inner, b"MQTT");
    inner.put_u8(5);
    let password = who.and_then(|who| who.password.as_ref());
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    inner.put_u8(
        flag(who.is_some(), 0x80) | flag(password.is_some(), 0x40) | flag(receive.is_none(), 0x02),
    );
    inner.put_u16(u16::try_from(KEEP_ALIVE.as_secs()).unwrap_or_default());
    let mut properties = BytesMut::new();
    if let Some(receive) = receive {
        properties.put_u8(SESSION_EXPIRY);
        properties.put_u32(SESSION);
        properties.put_u8(RECEIVE_MAXIMUM);
        properties.put_u16(receive);
    }
    variable(&mut inner, properties.len());
    inner.put_slice(&properties);
    binary(&mut inner, client.as_bytes());
    if let Some(who) = who {
        binary(&mut inner, who.user.as_bytes());
    }
    if let Some(password) = password {
        binary(&mut inner, password.reveal().as_bytes());
    }
    packet(out, 0x10, &inner);
}

/// Reads CONNACK: what the broker allows.
pub(super) fn connected(rest: &[u8]) -> Result<Properties, QueueError> {
    let mut reader = Reader(rest);
    let odd = || QueueError::odd("a CONNACK that is none");
    let (_, code) = (reader.u8().ok_or_else(odd)?, reader.u8().ok_or_else(odd)?);
    if code >= 0x80 {
        return Err(reason(code));
    }
    // A broker that knows only MQTT 3.1.1 sends no properties, and a code below 0x80 that is not 0.
    if code != 0 {
        return Err(QueueError::Failed(format!("it does not speak MQTT 5 (code {code})")));
    }
    reader.properties().ok_or_else(odd)
}

/// A reason code (section 2.4) that says no.
pub(super) fn reason(code: u8) -> QueueError {
    let text = format!("reason code 0x{code:02x}");
    match code {
        0x10 => QueueError::NoSuchQueue(format!("{text}, nobody subscribes to the topic")),
        0x86 | 0x87 | 0x8A | 0x8C => QueueError::Refused(format!("{text}, not authorized")),
        0x95 => QueueError::TooLarge(format!("{text}, packet too large")),
        0x8F | 0x90 => QueueError::NoSuchQueue(format!("{text}, not a valid topic")),
        0x88 | 0x89 | 0x8B | 0x8D | 0x8E | 0x98 | 0x9C | 0x9D => QueueError::Unreachable(text),
        0x93 | 0x96 | 0x97 | 0x9F => QueueError::Busy(format!("{text}, quota exceeded")),
        0x84 => QueueError::Failed(format!("{text}, it does not speak MQTT 5")),
        _ => QueueError::Failed(text),
    }
}

/// Writes PUBLISH with `QoS` 1; says how large it is.
pub(super) fn publish(topic: &str, number: u16, message: &Message) -> BytesMut {
    let mut properties = BytesMut::new();
    if let Some(kind) = &message.content_type {
        properties.put_u8(CONTENT_TYPE);
        binary(&mut properties, kind.as_bytes());
    }
    let ours = [(ID.to_owned(), message.id.clone())];
    for (name, value) in ours.iter().chain(&message.headers) {
        properties.put_u8(USER);
        binary(&mut properties, name.as_bytes());
        binary(&mut properties, value.as_bytes());
    }
    let mut inner = BytesMut::with_capacity(message.body.len() + properties.len() + 64);
    binary(&mut inner, topic.as_bytes());
    inner.put_u16(number);
    variable(&mut inner, properties.len());
    inner.put_slice(&properties);
    inner.put_slice(&message.body);
    let mut out = BytesMut::with_capacity(inner.len() + 8);
    packet(&mut out, 0x32, &inner);
    out
}

/// Reads PUBLISH: its number, which only `QoS` 0 lacks, and the message.
pub(super) fn published(packet: &Packet) -> Option<(Option<u16>, Message)> {
    let mut reader = Reader(&packet.rest);
    let topic = reader.text()?;
    let number = if packet.flags & 0x06 == 0 { None } else { Some(reader.u16()?) };
    let properties = reader.properties()?;
    let mut headers = properties.user;
    let id = headers.iter().position(|(name, _)| name == ID).map(|at| headers.remove(at).1);
    let message = Message {
        key: topic,
        id: id.unwrap_or_default(),
        content_type: properties.content_type,
        headers,
        body: packet.rest.slice_ref(reader.0),
    };
    Some((number, message))
}

/// Writes PUBACK.
pub(super) fn puback(out: &mut BytesMut, number: u16) {
    packet(out, 0x40, &number.to_be_bytes());
}

/// Reads PUBACK: of what, and a reason code.
pub(super) fn acked(rest: &[u8]) -> Option<(u16, u8)> {
    let mut reader = Reader(rest);
    Some((reader.u16()?, reader.u8().unwrap_or(0)))
}

/// Writes SUBSCRIBE with `QoS` 1.
pub(super) fn subscribe(out: &mut BytesMut, filter: &str) {
    let mut inner = BytesMut::new();
    inner.put_u16(1);
    variable(&mut inner, 0);
    binary(&mut inner, filter.as_bytes());
    inner.put_u8(1);
    packet(out, 0x82, &inner);
}

/// Reads SUBACK of one filter.
pub(super) fn subscribed(rest: &[u8]) -> Result<(), QueueError> {
    let odd = || QueueError::odd("a SUBACK that is none");
    let mut reader = Reader(rest);
    reader.u16().ok_or_else(odd)?;
    reader.properties().ok_or_else(odd)?;
    match reader.u8().ok_or_else(odd)? {
        code if code >= 0x80 => Err(reason(code)),
        _ => Ok(()),
    }
}

pub(super) fn ping(out: &mut BytesMut) {
    packet(out, 0xC0, &[]);
}

pub(super) fn disconnect(out: &mut BytesMut) {
    packet(out, 0xE0, &[]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let message = Message {
            key: "a/b".to_owned(),
            id: "m".to_owned(),
            content_type: Some("text/plain".to_owned()),
            headers: vec![("x".to_owned(), "y".to_owned())],
            body: Bytes::from(vec![1; 300]),
        };
        let mut out = publish("a/b", 7, &message);
        let packet = next(&mut out).unwrap().unwrap();
        assert_eq!((packet.kind, published(&packet)), (PUBLISH, Some((Some(7), message))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(Some(packet)) = next(&mut BytesMut::from(&bytes[..])) {
                published(&packet);
            }
            drop((connected(&bytes), subscribed(&bytes), acked(&bytes)));
        }
    }
}
