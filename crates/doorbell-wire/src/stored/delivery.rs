//! A delivery inside a record. Its tenant and event stand in the record, once for all.

use super::DecodeError;
use super::bytes::{Reader, put_count, put_option, put_time, put_u64, put_varint};
use super::codes::{discard_code, discard_of};
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::id::{DeliveryId, EndpointId, EventId, ReplayId, TenantId};
use doorbell_core::time::Time;

const WAITING: u8 = 1;
const DELIVERED: u8 = 2;
const FAILED: u8 = 3;
const FAILED_HOLDS_KEY: u8 = 4;
const DISCARDED: u8 = 5;
/// Waiting, and someone asked for the next try.
const ASKED: u8 = 6;

/// The bytes of the shortest delivery: two ids, two empty options, attempts, a state.
const LEAST: usize = 16 + 16 + 1 + 1 + 1 + 9;

pub(super) fn put_deliveries(out: &mut Vec<u8>, deliveries: &[Delivery]) {
    put_count(out, deliveries.len());
    for delivery in deliveries {
        put_delivery(out, delivery);
    }
}

pub(super) fn put_delivery(out: &mut Vec<u8>, delivery: &Delivery) {
    out.extend_from_slice(&delivery.id.bytes());
    out.extend_from_slice(&delivery.endpoint.bytes());
    put_option(out, delivery.order_key, put_u64);
    put_option(out, delivery.replay, |out, replay| out.extend_from_slice(&replay.bytes()));
    // Records from before tries by hand were counted apart have none above bit 32.
    put_varint(out, u64::from(delivery.by_hand) << 32 | u64::from(delivery.attempts));
    put_state(out, delivery.state, delivery.asked);
}

fn put_state(out: &mut Vec<u8>, state: State, asked: bool) {
    let (code, time) = match state {
        State::Waiting { due } if asked => (ASKED, due),
        State::Waiting { due } => (WAITING, due),
        State::Delivered { at } => (DELIVERED, at),
        State::Failed { at, holds_key: false } => (FAILED, at),
        State::Failed { at, holds_key: true } => (FAILED_HOLDS_KEY, at),
        State::Discarded { at, why: _ } => (DISCARDED, at),
    };
    out.push(code);
    put_time(out, time);
    if let State::Discarded { at: _, why } = state {
        out.push(discard_code(why));
    }
}

pub(super) fn read_deliveries(
    from: &mut Reader<'_>,
    tenant: TenantId,
    event: EventId,
) -> Result<Vec<Delivery>, DecodeError> {
    let count = from.count(LEAST)?;
    (0..count).map(|_| read_delivery(from, tenant, event)).collect()
}

pub(super) fn read_delivery(
    from: &mut Reader<'_>,
    tenant: TenantId,
    event: EventId,
) -> Result<Delivery, DecodeError> {
    let mut delivery = Delivery {
        id: DeliveryId::from_bytes(from.array()?),
        tenant,
        event,
        endpoint: EndpointId::from_bytes(from.array()?),
        order_key: from.option(Reader::u64)?,
        replay: from.option(|from| from.array().map(ReplayId::from_bytes))?,
        attempts: 0,
        by_hand: 0,
        state: State::Waiting { due: Time::EPOCH },
        asked: false,
    };
    (delivery.attempts, delivery.by_hand) = from.halves()?;
    (delivery.state, delivery.asked) = read_state(from)?;
    Ok(delivery)
}

/// The state, and whether someone asked for the next try.
fn read_state(from: &mut Reader<'_>) -> Result<(State, bool), DecodeError> {
    let code = from.byte()?;
    let at = from.time()?;
    let state = match code {
        WAITING | ASKED => State::Waiting { due: at },
        DELIVERED => State::Delivered { at },
        FAILED => State::Failed { at, holds_key: false },
        FAILED_HOLDS_KEY => State::Failed { at, holds_key: true },
        DISCARDED => State::Discarded { at, why: discard_of(from.byte()?)? },
        code => return Err(DecodeError::Code { what: "a delivery's state", code }),
    };
    Ok((state, code == ASKED))
}
