//! How states, fates and ids stand in columns. A code is never reused; a change of meaning is a new version of the
//! schema, and the index is built again.

use super::Error;
use crate::store::{FateWord, StateWord};
use doorbell_core::attempt::Ending;
use doorbell_core::delivery::{Delivery, DiscardReason, State};
use doorbell_core::event::{Fate, Rejection, RejectionReason};
use doorbell_core::id::EventId;
use doorbell_core::time::Time;
use doorbell_wire::stored::{class_code, class_of};

/// The column `state`.
pub(super) const fn state_code(word: StateWord) -> i64 {
    match word {
        StateWord::Waiting => 0,
        StateWord::Delivered => 1,
        StateWord::Failed => 2,
        StateWord::Discarded => 3,
    }
}

/// A delivery's state as columns: `state`, `detail`, `moment`. `detail` tells of one that waits whether someone asked for
/// its next try.
pub(super) fn state_columns(delivery: &Delivery) -> (i64, i64, i64) {
    let state = &delivery.state;
    let (detail, moment) = match state {
        State::Waiting { due } => (i64::from(delivery.asked), due),
        State::Delivered { at } => (0, at),
        State::Failed { at, holds_key } => (i64::from(*holds_key), at),
        State::Discarded { at, why } => (discard_code(*why), at),
    };
    (state_code(StateWord::of(state)), detail, time_column(*moment))
}

/// The column `attempts`: how many tries there were, and above bit 32 how many of them someone asked for. Rows from before
/// those were counted apart have none there.
pub(super) fn attempts_column(delivery: &Delivery) -> i64 {
    (u64::from(delivery.by_hand) << 32 | u64::from(delivery.attempts)).cast_signed()
}

/// All tries, and those of them that someone asked for.
pub(super) const fn attempts_of(column: i64) -> (u32, u32) {
    let [b0, b1, b2, b3, b4, b5, b6, b7] = column.to_le_bytes();
    (u32::from_le_bytes([b0, b1, b2, b3]), u32::from_le_bytes([b4, b5, b6, b7]))
}

pub(super) fn state_of(state: i64, detail: i64, moment: i64) -> Result<State, Error> {
    let moment = time_of(moment);
    match state {
        0 => Ok(State::Waiting { due: moment }),
        1 => Ok(State::Delivered { at: moment }),
        2 => Ok(State::Failed { at: moment, holds_key: detail == 1 }),
        3 => Ok(State::Discarded { at: moment, why: discard_of(detail)? }),
        _ => Err(Error::Damaged("no such state")),
    }
}

/// Whether later deliveries of the same order key have to wait for one in this state.
pub(super) const fn occupies_key(state: &State) -> bool {
    match state {
        State::Waiting { .. } => true,
        State::Failed { holds_key, .. } => *holds_key,
        State::Delivered { .. } | State::Discarded { .. } => false,
    }
}

const fn discard_code(why: DiscardReason) -> i64 {
    match why {
        DiscardReason::EndpointDisabled => 1,
        DiscardReason::EndpointDeleted => 2,
        DiscardReason::Filtered => 3,
        DiscardReason::Cancelled => 4,
    }
}

fn discard_of(code: i64) -> Result<DiscardReason, Error> {
    let known = DiscardReason::ALL.into_iter().find(|why| discard_code(*why) == code);
    known.ok_or(Error::Damaged("no such reason to discard"))
}

/// In the column `ending`: a broker has it. No status is as large.
const CONFIRMED: i64 = 1 << 16;

/// The column `ending`: the status of a response, or below zero the code of the error class.
pub(super) fn ending_column(ending: Ending) -> i64 {
    match ending {
        Ending::Answered(status) => i64::from(status),
        Ending::Confirmed => CONFIRMED,
        Ending::Failed(class) => -i64::from(class_code(class)),
    }
}

pub(super) fn ending_of(column: i64) -> Result<Ending, Error> {
    let unknown = Error::Damaged("no such ending of an attempt");
    if let Ok(status) = u16::try_from(column) {
        return Ok(Ending::Answered(status));
    }
    if column == CONFIRMED {
        return Ok(Ending::Confirmed);
    }
    let code = column.checked_neg().and_then(|code| u8::try_from(code).ok());
    match code.map(class_of) {
        Some(Ok(class)) => Ok(Ending::Failed(class)),
        Some(Err(_)) | None => Err(unknown),
    }
}

/// The column `fate` of a kind.
pub(super) const fn fate_code(word: FateWord) -> i64 {
    match word {
        FateWord::Accepted => 1,
        FateWord::NoEndpoint => 2,
        FateWord::Filtered => 3,
        FateWord::Duplicate => 4,
        FateWord::Rejected => 5,
    }
}

const fn rejection_code(reason: RejectionReason) -> u8 {
    match reason {
        RejectionReason::Verification => 1,
        RejectionReason::SourceDisabled => 2,
        RejectionReason::Method => 3,
        RejectionReason::BodyTooLarge => 4,
        RejectionReason::Malformed => 5,
        RejectionReason::KeyReused => 6,
    }
}

/// The column `fate` of an event: what the word leaves out.
pub(super) fn fate_detail(fate: &Fate) -> Option<Vec<u8>> {
    match fate {
        Fate::Accepted | Fate::NoEndpoint | Fate::Filtered => None,
        Fate::Duplicate { of } => Some(of.bytes().to_vec()),
        Fate::Rejected(Rejection { reason, detail }) => {
            let code = [rejection_code(*reason)];
            Some(code.into_iter().chain(detail.bytes()).collect())
        }
    }
}

pub(super) fn fate_of(code: i64, detail: Option<&[u8]>) -> Result<Fate, Error> {
    match (code, detail) {
        (1, None) => Ok(Fate::Accepted),
        (2, None) => Ok(Fate::NoEndpoint),
        (3, None) => Ok(Fate::Filtered),
        (4, Some(of)) => Ok(Fate::Duplicate { of: EventId::from_bytes(id_bytes(of)?) }),
        (5, Some([reason, detail @ ..])) => {
            let known = RejectionReason::ALL.into_iter().find(|r| rejection_code(*r) == *reason);
            let reason = known.ok_or(Error::Damaged("no such reason to reject"))?;
            let detail = String::from_utf8_lossy(detail).into_owned();
            Ok(Fate::Rejected(Rejection { reason, detail }))
        }
        _ => Err(Error::Damaged("no such fate")),
    }
}

pub(super) fn id_bytes(column: &[u8]) -> Result<[u8; 16], Error> {
    column.try_into().map_err(|_| Error::Damaged("an id is not 16 bytes long"))
}

/// An id as two numbers. The first begins with the time, so an index of it grows at its end.
pub(super) fn id_columns(bytes: [u8; 16]) -> (i64, i64) {
    let value = u128::from_be_bytes(bytes);
    let half = |part: u128| u64::try_from(part & u128::from(u64::MAX)).unwrap_or(0).cast_signed();
    (half(value >> 64), half(value))
}

pub(super) fn id_of(high: i64, low: i64) -> [u8; 16] {
    let value = u128::from(high.cast_unsigned()) << 64 | u128::from(low.cast_unsigned());
    value.to_be_bytes()
}

pub(super) const fn time_column(time: Time) -> i64 {
    time.ms().cast_signed()
}

pub(super) const fn time_of(column: i64) -> Time {
    Time::from_ms(column.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index from before tries by hand were counted apart is right as it is.
    #[test]
    fn a_row_from_before_has_no_try_by_hand() {
        assert_eq!(attempts_of(300), (300, 0));
        for (attempts, by_hand) in [(0, 0), (3, 2), (u32::MAX, u32::MAX)] {
            let delivery = Delivery { attempts, by_hand, ..some_delivery() };
            assert_eq!(attempts_of(attempts_column(&delivery)), (attempts, by_hand));
        }
    }

    fn some_delivery() -> Delivery {
        Delivery {
            id: doorbell_core::id::DeliveryId::from_bytes([1; 16]),
            tenant: doorbell_core::id::TenantId::DEFAULT,
            event: EventId::from_bytes([2; 16]),
            endpoint: doorbell_core::id::EndpointId::from_bytes([3; 16]),
            order_key: None,
            replay: None,
            attempts: 0,
            by_hand: 0,
            state: State::Waiting { due: Time::EPOCH },
            asked: false,
        }
    }
}
