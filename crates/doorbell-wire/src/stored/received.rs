//! A request that came in: the event, its fate, its deliveries.

use super::DecodeError;
use super::bytes::{Reader, put_bytes, put_count, put_option, put_text, put_time, put_varint};
use super::codes::{rejection_code, rejection_of};
use super::delivery::{put_deliveries, read_deliveries};
use bytes::Bytes;
use doorbell_core::delivery::Delivery;
use doorbell_core::event::{Event, Fate, Origin, Rejection};
use doorbell_core::id::{EventId, SourceId, TenantId};
use doorbell_core::name::EventType;
use doorbell_core::request::{Headers, Request};
use doorbell_core::time::Time;
use std::net::IpAddr;
use std::time::Duration;

const ORIGIN_API: u8 = 0;
const ORIGIN_SOURCE: u8 = 1;

const ACCEPTED: u8 = 1;
const NO_ENDPOINT: u8 = 2;
const FILTERED: u8 = 3;
const DUPLICATE: u8 = 4;
const REJECTED: u8 = 5;

const PEER_V4: u8 = 4;
const PEER_V6: u8 = 6;

/// A request that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The event (or the request that became none).
    pub event: Event,
    /// What became of it.
    pub fate: Fate,
    /// For how long its dedupe key counts, from its own time, in whole milliseconds.
    pub dedupe_window: Duration,
    /// Its deliveries, as they started; their tenant and event are those of `event`.
    pub deliveries: Vec<Delivery>,
}

/// A [`Received`] that is about to be written, without giving the event away.
#[derive(Debug, Clone, Copy)]
pub struct ReceivedRef<'a> {
    /// See [`Received::event`].
    pub event: &'a Event,
    /// See [`Received::fate`].
    pub fate: &'a Fate,
    /// See [`Received::dedupe_window`].
    pub dedupe_window: Duration,
    /// See [`Received::deliveries`].
    pub deliveries: &'a [Delivery],
}

/// What the index and the dedupe table need of a [`Received`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedHead {
    /// The event's id.
    pub id: EventId,
    /// Whose it is.
    pub tenant: TenantId,
    /// When it was received.
    pub at: Time,
    /// Where it came from.
    pub origin: Origin,
    /// Its type.
    pub event_type: Option<EventType>,
    /// Its dedupe key.
    pub dedupe_key: Option<Bytes>,
    /// For how long that key counts.
    pub dedupe_window: Duration,
    /// What became of it.
    pub fate: Fate,
    /// The request's method.
    pub method: String,
    /// The body's length in bytes.
    pub body_len: u64,
    /// Its deliveries, as they started.
    pub deliveries: Vec<Delivery>,
}

impl Received {
    /// The same, borrowed.
    #[must_use]
    pub fn borrow(&self) -> ReceivedRef<'_> {
        ReceivedRef {
            event: &self.event,
            fate: &self.fate,
            dedupe_window: self.dedupe_window,
            deliveries: &self.deliveries,
        }
    }

    pub(super) fn read(from: &mut Reader<'_>, payload: &Bytes) -> Result<Self, DecodeError> {
        let head = ReceivedHead::read(from)?;
        let path = from.text()?.to_owned();
        let query = from.option(|from| from.text().map(str::to_owned))?;
        let channels = read_channels(from)?;
        let peer = read_peer(from)?;
        let headers = read_headers(from, payload)?;
        let body_len = usize::try_from(head.body_len).map_err(|_| DecodeError::Short)?;
        let body = payload.slice_ref(from.take(body_len)?);
        let request = Request { method: head.method, path, query, headers, body, peer };
        let event = Event {
            id: head.id,
            tenant: head.tenant,
            at: head.at,
            origin: head.origin,
            event_type: head.event_type,
            dedupe_key: head.dedupe_key,
            channels,
            request,
        };
        Ok(Self {
            event,
            fate: head.fate,
            dedupe_window: head.dedupe_window,
            deliveries: head.deliveries,
        })
    }
}

impl ReceivedRef<'_> {
    /// Appends the payload to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let event = self.event;
        let request = &event.request;
        out.reserve(self.size_hint());
        out.extend_from_slice(&event.id.bytes());
        out.extend_from_slice(&event.tenant.bytes());
        put_time(out, event.at);
        put_origin(out, event.origin);
        put_option(out, event.event_type.as_ref(), |out, name| put_text(out, name.as_str()));
        put_option(out, event.dedupe_key.as_ref(), |out, key| put_bytes(out, key));
        put_varint(out, u64::try_from(self.dedupe_window.as_millis()).unwrap_or(u64::MAX));
        put_fate(out, self.fate);
        put_text(out, &request.method);
        put_count(out, request.body.len());
        put_deliveries(out, self.deliveries);
        put_text(out, &request.path);
        put_option(out, request.query.as_deref(), put_text);
        put_count(out, event.channels.len());
        for channel in &event.channels {
            put_text(out, channel);
        }
        put_peer(out, request.peer);
        put_headers(out, &request.headers);
        out.extend_from_slice(&request.body);
    }

    /// About how many bytes the payload takes: enough that encoding seldom allocates twice.
    fn size_hint(&self) -> usize {
        let request = &self.event.request;
        let lines: usize = request.headers.iter().map(|(n, v)| n.len() + v.len() + 4).sum();
        192 + lines + request.body.len() + request.path.len() + 64 * self.deliveries.len()
    }
}

impl ReceivedHead {
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let id = EventId::from_bytes(from.array()?);
        let tenant = TenantId::from_bytes(from.array()?);
        Ok(Self {
            id,
            tenant,
            at: from.time()?,
            origin: read_origin(from)?,
            event_type: from.option(read_event_type)?,
            dedupe_key: from.option(|from| from.bytes().map(Bytes::copy_from_slice))?,
            dedupe_window: Duration::from_millis(from.varint()?),
            fate: read_fate(from)?,
            method: from.text()?.to_owned(),
            body_len: from.varint()?,
            deliveries: read_deliveries(from, tenant, id)?,
        })
    }
}

fn put_origin(out: &mut Vec<u8>, origin: Origin) {
    match origin {
        Origin::Api => out.push(ORIGIN_API),
        Origin::Source(source) => {
            out.push(ORIGIN_SOURCE);
            out.extend_from_slice(&source.bytes());
        }
    }
}

fn read_origin(from: &mut Reader<'_>) -> Result<Origin, DecodeError> {
    match from.byte()? {
        ORIGIN_API => Ok(Origin::Api),
        ORIGIN_SOURCE => from.array().map(|id| Origin::Source(SourceId::from_bytes(id))),
        code => Err(DecodeError::Code { what: "an origin", code }),
    }
}

fn read_event_type(from: &mut Reader<'_>) -> Result<EventType, DecodeError> {
    EventType::parse(from.text()?).map_err(|_| DecodeError::Value("an event type"))
}

fn put_fate(out: &mut Vec<u8>, fate: &Fate) {
    match fate {
        Fate::Accepted => out.push(ACCEPTED),
        Fate::NoEndpoint => out.push(NO_ENDPOINT),
        Fate::Filtered => out.push(FILTERED),
        Fate::Duplicate { of } => {
            out.push(DUPLICATE);
            out.extend_from_slice(&of.bytes());
        }
        Fate::Rejected(rejection) => {
            out.push(REJECTED);
            out.push(rejection_code(rejection.reason));
            put_text(out, &rejection.detail);
        }
    }
}

fn read_fate(from: &mut Reader<'_>) -> Result<Fate, DecodeError> {
    match from.byte()? {
        ACCEPTED => Ok(Fate::Accepted),
        NO_ENDPOINT => Ok(Fate::NoEndpoint),
        FILTERED => Ok(Fate::Filtered),
        DUPLICATE => Ok(Fate::Duplicate { of: EventId::from_bytes(from.array()?) }),
        REJECTED => {
            let reason = rejection_of(from.byte()?)?;
            Ok(Fate::Rejected(Rejection { reason, detail: from.text()?.to_owned() }))
        }
        code => Err(DecodeError::Code { what: "a fate", code }),
    }
}

fn read_channels(from: &mut Reader<'_>) -> Result<Vec<String>, DecodeError> {
    let count = from.count(1)?;
    (0..count).map(|_| from.text().map(str::to_owned)).collect()
}

fn put_peer(out: &mut Vec<u8>, peer: Option<IpAddr>) {
    put_option(out, peer, put_ip);
}

pub(super) fn put_ip(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            out.push(PEER_V4);
            out.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            out.push(PEER_V6);
            out.extend_from_slice(&address.octets());
        }
    }
}

fn read_peer(from: &mut Reader<'_>) -> Result<Option<IpAddr>, DecodeError> {
    from.option(read_ip)
}

pub(super) fn read_ip(from: &mut Reader<'_>) -> Result<IpAddr, DecodeError> {
    match from.byte()? {
        PEER_V4 => from.array::<4>().map(IpAddr::from),
        PEER_V6 => from.array::<16>().map(IpAddr::from),
        code => Err(DecodeError::Code { what: "an address", code }),
    }
}

pub(super) fn put_headers(out: &mut Vec<u8>, headers: &Headers) {
    put_count(out, headers.len());
    for (name, value) in headers.iter() {
        put_text(out, name);
        put_bytes(out, value);
    }
}

pub(super) fn read_headers(from: &mut Reader<'_>, payload: &Bytes) -> Result<Headers, DecodeError> {
    let count = from.count(2)?;
    let mut headers = Headers::with_capacity(count);
    for _ in 0..count {
        let name = from.text()?;
        headers.push(name, from.shared(payload)?);
    }
    Ok(headers)
}
