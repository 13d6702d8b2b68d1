//! Values of ours as `PostgreSQL` keeps them, and back: ids, codes, deliveries, records.

use crate::store::{FateWord, StateWord, StoreError};
use bytes::{Bytes, BytesMut};
use doorbell_core::attempt::{Attempt, Ending, ErrorClass};
use doorbell_core::delivery::{Delivery, DiscardReason, State};
use doorbell_core::event::{Event, Fate, Rejection, RejectionReason};
use doorbell_core::id::{DeliveryId, EndpointId, EventId, ReplayId, SourceId, TenantId};
use doorbell_core::time::Time;
use doorbell_wire::stored::{self, Kind, ReceivedRef, Record};
use std::error::Error;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, accepts, to_sql_checked};

/// An id of any kind, as a `uuid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Id(pub(super) [u8; 16]);

macro_rules! ids {
    ($($name:ident)*) => {$(
        impl From<$name> for Id {
            fn from(id: $name) -> Self {
                Self(id.bytes())
            }
        }
        impl From<Id> for $name {
            fn from(id: Id) -> Self {
                Self::from_bytes(id.0)
            }
        }
    )*};
}

ids! { TenantId SourceId EventId EndpointId DeliveryId ReplayId }

impl ToSql for Id {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }
    accepts!(UUID);
    to_sql_checked!();
}

impl<'a> FromSql<'a> for Id {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(raw.try_into()?))
    }
    accepts!(UUID);
}

/// Milliseconds as a column has them.
pub(super) fn ms(time: Time) -> i64 {
    i64::try_from(time.ms()).unwrap_or(i64::MAX)
}

/// A column's milliseconds.
pub(super) fn time(ms: i64) -> Time {
    Time::from_ms(u64::try_from(ms).unwrap_or(0))
}

/// A count or length as a column has it.
pub(super) fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column that counts.
pub(super) fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) const fn fate_code(fate: FateWord) -> i16 {
    match fate {
        FateWord::Accepted => 1,
        FateWord::NoEndpoint => 2,
        FateWord::Filtered => 3,
        FateWord::Duplicate => 4,
        FateWord::Rejected => 5,
    }
}

pub(super) const WAITING: i16 = 0;

pub(super) const fn state_code(state: StateWord) -> i16 {
    match state {
        StateWord::Waiting => WAITING,
        StateWord::Delivered => 1,
        StateWord::Failed => 2,
        StateWord::Discarded => 3,
    }
}

pub(super) const fn state_word(code: i16) -> Option<StateWord> {
    match code {
        0 => Some(StateWord::Waiting),
        1 => Some(StateWord::Delivered),
        2 => Some(StateWord::Failed),
        3 => Some(StateWord::Discarded),
        _ => None,
    }
}

/// A state, as the columns `state`, `due`, `holds_key` and `why`.
pub(super) struct StateColumns {
    pub(super) state: i16,
    pub(super) due: i64,
    pub(super) holds_key: bool,
    pub(super) why: Option<&'static str>,
}

impl From<State> for StateColumns {
    fn from(of: State) -> Self {
        let state = state_code(StateWord::of(&of));
        let (at, holds_key, why) = match of {
            State::Waiting { due } => (due, false, None),
            State::Delivered { at } => (at, false, None),
            State::Failed { at, holds_key } => (at, holds_key, None),
            State::Discarded { at, why } => (at, false, Some(why.word())),
        };
        Self { state, due: ms(at), holds_key, why }
    }
}

pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::Corrupt(format!("the database holds {what} that this version does not know"))
}

/// The state that these columns keep.
fn state(code: i16, due: Time, holds_key: bool, why: Option<&str>) -> Result<State, StoreError> {
    let why = || {
        let known = DiscardReason::ALL.into_iter().find(|reason| Some(reason.word()) == why);
        known.ok_or_else(|| corrupt("a reason to discard"))
    };
    match state_word(code).ok_or_else(|| corrupt("a state"))? {
        StateWord::Waiting => Ok(State::Waiting { due }),
        StateWord::Delivered => Ok(State::Delivered { at: due }),
        StateWord::Failed => Ok(State::Failed { at: due, holds_key }),
        StateWord::Discarded => Ok(State::Discarded { at: due, why: why()? }),
    }
}

/// The columns of [`delivery`], of a table `d`.
macro_rules! delivery_columns {
    () => {
        "d.seq, d.nth, d.id, d.tenant, d.event, d.endpoint, d.order_key, d.replay, d.attempts, d.state, d.due, d.holds_key, d.why, d.asked, d.by_hand, d.holder, d.lease"
    };
}
pub(super) use delivery_columns;

/// A delivery and who has it.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) seq: i64,
    pub(super) nth: i32,
    pub(super) delivery: Delivery,
    pub(super) holder: i64,
    pub(super) lease: i64,
}

/// Reads a row that begins with [`delivery_columns`].
pub(super) fn delivery(row: &Row) -> Result<Kept, StoreError> {
    let due = time(get(row, 10)?);
    let why: Option<&str> = get(row, 12)?;
    let order_key: Option<i64> = get(row, 6)?;
    let (attempts, by_hand): (i32, i32) = (get(row, 8)?, get(row, 14)?);
    let delivery = Delivery {
        id: get::<Id>(row, 2)?.into(),
        tenant: get::<Id>(row, 3)?.into(),
        event: get::<Id>(row, 4)?.into(),
        endpoint: get::<Id>(row, 5)?.into(),
        order_key: order_key.map(i64::cast_unsigned),
        replay: get::<Option<Id>>(row, 7)?.map(Into::into),
        attempts: u32::try_from(attempts).unwrap_or(0),
        by_hand: u32::try_from(by_hand).unwrap_or(0),
        state: state(get(row, 9)?, due, get(row, 11)?, why)?,
        asked: get(row, 13)?,
    };
    Ok(Kept {
        seq: get(row, 0)?,
        nth: get(row, 1)?,
        delivery,
        holder: get(row, 15)?,
        lease: get(row, 16)?,
    })
}

/// A column, without a panic when it is of another type than we think.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, StoreError> {
    row.try_get(column).map_err(|fault| StoreError::Corrupt(fault.to_string()))
}

/// Why a request was rejected, as the columns `reason` and `detail`.
pub(super) fn rejection(fate: &Fate) -> (Option<&'static str>, Option<&str>) {
    match fate {
        Fate::Rejected(rejection) => (Some(rejection.reason.word()), Some(&rejection.detail)),
        Fate::Accepted | Fate::NoEndpoint | Fate::Filtered | Fate::Duplicate { .. } => (None, None),
    }
}

/// In `last_class`: a broker has it.
const CONFIRMED: &str = "confirmed";

/// What came of the last try, as the columns `last_status` and `last_class`.
pub(super) fn ending_columns(ending: Option<Ending>) -> (Option<i32>, Option<&'static str>) {
    match ending {
        None => (None, None),
        Some(Ending::Answered(status)) => (Some(status.into()), None),
        Some(Ending::Confirmed) => (None, Some(CONFIRMED)),
        Some(Ending::Failed(class)) => (None, Some(class.word())),
    }
}

/// The ending that these columns keep.
pub(super) fn ending(status: Option<i32>, class: Option<&str>) -> Option<Ending> {
    let answered = status.and_then(|status| u16::try_from(status).ok()).map(Ending::Answered);
    let failed = ErrorClass::ALL.into_iter().find(|known| Some(known.word()) == class);
    let confirmed = (class == Some(CONFIRMED)).then_some(Ending::Confirmed);
    answered.or(confirmed).or(failed.map(Ending::Failed))
}

/// What a request that is handed in as a repeat repeats.
pub(super) fn repeats(fate: &Fate) -> Option<Id> {
    match fate {
        Fate::Duplicate { of } => Some((*of).into()),
        Fate::Accepted | Fate::NoEndpoint | Fate::Filtered | Fate::Rejected(_) => None,
    }
}

/// The fate that these columns keep.
pub(super) fn fate(
    code: i16,
    first: Option<Id>,
    reason: Option<&str>,
    detail: Option<String>,
) -> Result<Fate, StoreError> {
    match (code, first) {
        (1, _) => Ok(Fate::Accepted),
        (2, _) => Ok(Fate::NoEndpoint),
        (3, _) => Ok(Fate::Filtered),
        (4, Some(of)) => Ok(Fate::Duplicate { of: of.into() }),
        (5, Some(of)) if reason == Some(RejectionReason::KeyReused.word()) => {
            Ok(Fate::key_reused(of.into()))
        }
        (5, _) => {
            let known = RejectionReason::ALL.into_iter().find(|known| Some(known.word()) == reason);
            let reason = known.ok_or_else(|| corrupt("a reason to reject"))?;
            Ok(Fate::Rejected(Rejection { reason, detail: detail.unwrap_or_default() }))
        }
        _ => Err(corrupt("a fate")),
    }
}

/// An event as bytes: kind, version and payload of the journal's record, without deliveries. What became of it stands in
/// columns: here it is as it was handed in.
pub(super) fn encode_event(event: &Event, fate: &Fate) -> Vec<u8> {
    let mut out = vec![Kind::Received.byte(), stored::VERSION];
    ReceivedRef { event, fate, dedupe_window: Duration::ZERO, deliveries: &[] }.encode(&mut out);
    out
}

/// The event of [`encode_event`].
pub(super) fn decode_event(record: &[u8]) -> Result<Event, StoreError> {
    match decode(record)? {
        Record::Received(received) => Ok(received.event),
        Record::Settled(_) | Record::Redelivered(_) => Err(corrupt("an event")),
    }
}

/// An attempt as bytes, as in the journal. Of the delivery nothing is read again, and nodes of the version before do not know
/// its count of tries by hand.
pub(super) fn encode_attempt(seq: i64, delivery: &Delivery, attempt: Attempt) -> Vec<u8> {
    let mut out = vec![Kind::Settled.byte(), stored::VERSION];
    let settled = stored::Settled {
        event_at: seq.cast_unsigned(),
        previous: None,
        at: None,
        delivery: Delivery { by_hand: 0, ..delivery.clone() },
        attempt: Some(attempt),
    };
    settled.encode(&mut out);
    out
}

/// The attempt of [`encode_attempt`].
pub(super) fn decode_attempt(record: &[u8]) -> Result<Attempt, StoreError> {
    match decode(record)? {
        Record::Settled(settled) => settled.attempt.ok_or_else(|| corrupt("an attempt")),
        Record::Received(_) | Record::Redelivered(_) => Err(corrupt("an attempt")),
    }
}

fn decode(record: &[u8]) -> Result<Record, StoreError> {
    let [kind, version, payload @ ..] = record else { return Err(corrupt("a record")) };
    let payload = Bytes::copy_from_slice(payload);
    Record::decode(*kind, *version, &payload)
        .map_err(|fault| StoreError::Corrupt(fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_core::attempt::{Outcome, Timings, Trigger};
    use doorbell_core::id::AttemptId;

    /// During an upgrade nodes of the version before list the attempts that new ones have written.
    #[test]
    fn an_attempt_is_written_as_the_version_before_reads_it() {
        let delivery = |by_hand| Delivery {
            id: DeliveryId::from_bytes([1; 16]),
            tenant: TenantId::DEFAULT,
            event: EventId::from_bytes([2; 16]),
            endpoint: EndpointId::from_bytes([3; 16]),
            order_key: None,
            replay: None,
            attempts: 2,
            by_hand,
            state: State::Waiting { due: Time::EPOCH },
            asked: false,
        };
        let attempt = Attempt {
            id: AttemptId::from_bytes([4; 16]),
            number: 2,
            at: Time::EPOCH,
            trigger: Trigger::Manual,
            address: None,
            timings: Timings::default(),
            outcome: Outcome::Confirmed,
        };
        let record = encode_attempt(7, &delivery(1), attempt.clone());
        assert_eq!(record, encode_attempt(7, &delivery(0), attempt.clone()));
        assert_eq!(decode_attempt(&record), Ok(attempt));
    }
}
