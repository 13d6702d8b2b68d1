//! A delivery that was tried, or changed on purpose.

use super::DecodeError;
use super::bytes::{
    Reader, put_bytes, put_duration, put_option, put_text, put_time, put_u64, put_varint,
};
use super::codes::{class_code, class_of, trigger_code, trigger_of};
use super::delivery::{put_delivery, read_delivery};
use super::received::{put_headers, put_ip, read_headers, read_ip};
use bytes::Bytes;
use doorbell_core::attempt::{Answer, Attempt, Ending, Fault, Outcome, Timings, Trigger};
use doorbell_core::delivery::Delivery;
use doorbell_core::id::{AttemptId, EventId, TenantId};
use doorbell_core::time::Time;
use std::net::SocketAddr;

const ANSWERED: u8 = 1;
const FAILED: u8 = 2;
const CONFIRMED: u8 = 3;

/// A delivery was tried, or changed on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The position of the event's record.
    pub event_at: u64,
    /// The position of the record that holds this delivery's previous attempt: attempts form a chain.
    pub previous: Option<u64>,
    /// When, where that is known: putting a delivery off has no time of its own.
    pub at: Option<Time>,
    /// The delivery as it is from now on.
    pub delivery: Delivery,
    /// The try; `None` when an operator (or a policy) changed the delivery without one.
    pub attempt: Option<Attempt>,
}

/// What the index needs of a [`Settled`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledHead {
    /// See [`Settled::event_at`].
    pub event_at: u64,
    /// See [`Settled::previous`].
    pub previous: Option<u64>,
    /// See [`Settled::at`].
    pub at: Option<Time>,
    /// See [`Settled::delivery`].
    pub delivery: Delivery,
    /// The beginning of [`Settled::attempt`].
    pub attempt: Option<AttemptHead>,
}

/// What the index needs of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptHead {
    /// Its id.
    pub id: AttemptId,
    /// From 1.
    pub number: u32,
    /// When it began.
    pub at: Time,
    /// Why it was made.
    pub trigger: Trigger,
    /// What came of it.
    pub outcome: Ending,
}

impl Settled {
    /// Appends the payload to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_u64(out, self.event_at);
        put_option(out, self.previous, put_u64);
        put_option(out, self.at, put_time);
        out.extend_from_slice(&self.delivery.tenant.bytes());
        out.extend_from_slice(&self.delivery.event.bytes());
        put_delivery(out, &self.delivery);
        put_option(out, self.attempt.as_ref(), put_attempt);
    }

    pub(super) fn read(from: &mut Reader<'_>, payload: &Bytes) -> Result<Self, DecodeError> {
        let SettledHead { event_at, previous, at, delivery, attempt } = SettledHead::read(from)?;
        let attempt = match attempt {
            None => None,
            Some(head) => Some(read_attempt(head, from, payload)?),
        };
        Ok(Self { event_at, previous, at, delivery, attempt })
    }
}

impl SettledHead {
    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let event_at = from.u64()?;
        let previous = from.option(Reader::u64)?;
        let at = from.option(Reader::time)?;
        let tenant = TenantId::from_bytes(from.array()?);
        let event = EventId::from_bytes(from.array()?);
        let delivery = read_delivery(from, tenant, event)?;
        let attempt = from.option(AttemptHead::read)?;
        Ok(Self { event_at, previous, at, delivery, attempt })
    }
}

impl AttemptHead {
    fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            id: AttemptId::from_bytes(from.array()?),
            number: from.u32()?,
            at: from.time()?,
            trigger: trigger_of(from.byte()?)?,
            outcome: match from.byte()? {
                ANSWERED => Ending::Answered(from.u16()?),
                CONFIRMED => Ending::Confirmed,
                FAILED => Ending::Failed(class_of(from.byte()?)?),
                code => return Err(DecodeError::Code { what: "an outcome", code }),
            },
        })
    }
}

fn put_attempt(out: &mut Vec<u8>, attempt: &Attempt) {
    out.extend_from_slice(&attempt.id.bytes());
    put_varint(out, u64::from(attempt.number));
    put_time(out, attempt.at);
    out.push(trigger_code(attempt.trigger));
    match &attempt.outcome {
        Outcome::Answered(answer) => {
            out.push(ANSWERED);
            put_varint(out, u64::from(answer.status));
        }
        Outcome::Confirmed => out.push(CONFIRMED),
        Outcome::Failed(fault) => out.extend_from_slice(&[FAILED, class_code(fault.class)]),
    }
    put_option(out, attempt.address, |out, address| {
        put_ip(out, address.ip());
        put_varint(out, u64::from(address.port()));
    });
    put_timings(out, attempt.timings);
    match &attempt.outcome {
        Outcome::Answered(answer) => {
            put_headers(out, &answer.headers);
            out.push(u8::from(answer.truncated));
            put_bytes(out, &answer.body);
        }
        Outcome::Confirmed => {}
        Outcome::Failed(fault) => put_text(out, &fault.detail),
    }
}

fn read_attempt(
    head: AttemptHead,
    from: &mut Reader<'_>,
    payload: &Bytes,
) -> Result<Attempt, DecodeError> {
    let address = from.option(|from| Ok(SocketAddr::new(read_ip(from)?, from.u16()?)))?;
    let timings = read_timings(from)?;
    let outcome = match head.outcome {
        Ending::Answered(status) => {
            let headers = read_headers(from, payload)?;
            let truncated = from.option(|_| Ok(()))?.is_some();
            let body = from.shared(payload)?;
            Outcome::Answered(Answer { status, headers, body, truncated })
        }
        Ending::Confirmed => Outcome::Confirmed,
        Ending::Failed(class) => Outcome::Failed(Fault { class, detail: from.text()?.to_owned() }),
    };
    let AttemptHead { id, number, at, trigger, outcome: _ } = head;
    Ok(Attempt { id, number, at, trigger, address, timings, outcome })
}

fn put_timings(out: &mut Vec<u8>, timings: Timings) {
    put_option(out, timings.dns, put_duration);
    put_option(out, timings.connect, put_duration);
    put_option(out, timings.tls, put_duration);
    put_option(out, timings.first_byte, put_duration);
    put_duration(out, timings.total);
}

fn read_timings(from: &mut Reader<'_>) -> Result<Timings, DecodeError> {
    Ok(Timings {
        dns: from.option(Reader::duration)?,
        connect: from.option(Reader::duration)?,
        tls: from.option(Reader::duration)?,
        first_byte: from.option(Reader::duration)?,
        total: from.duration()?,
    })
}
