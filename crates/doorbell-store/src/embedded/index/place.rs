//! Where an event and a delivery stand in a partition, and the cursors made of it.
//!
//! An event's `seq` is its journal position minus the partition's first position; a delivery's `seq` is that of its event
//! and, in the low bits, its number among the deliveries of the event. So both sort as they were accepted, and one leads
//! to the other without a look-up.

use super::Error;

/// Bits of a delivery's `seq` that number it among those of its event.
const NUMBER_BITS: u32 = 20;

/// Most deliveries of one event, replays included.
pub(super) const DELIVERIES_MAX: i64 = 1 << NUMBER_BITS;

/// Positions that one partition may span, so that a delivery's `seq` stays a positive number.
pub(super) const SPAN_MAX: u64 = 1 << 42;

/// The `seq` of the delivery with this number, of the event with this `seq`.
pub(super) const fn delivery_seq(event: i64, number: i64) -> i64 {
    event << NUMBER_BITS | number
}

/// The `seq` of the event of a delivery.
pub(super) const fn event_seq(delivery: i64) -> i64 {
    delivery >> NUMBER_BITS
}

/// The number of a delivery among those of its event.
pub(super) const fn number(delivery: i64) -> i64 {
    delivery & (DELIVERIES_MAX - 1)
}

/// The cursor after an event: its position.
pub(super) fn event_cursor(position: u64) -> String {
    format!("{position:016x}")
}

pub(super) fn parse_event_cursor(cursor: &str) -> Result<u64, Error> {
    hex(cursor, 16).ok_or(Error::BadCursor)
}

/// The cursor after a delivery: its event's position and its number.
pub(super) fn delivery_cursor(position: u64, number: i64) -> String {
    format!("{position:016x}.{number:05x}")
}

pub(super) fn parse_delivery_cursor(cursor: &str) -> Result<(u64, i64), Error> {
    let (position, number) = cursor.split_once('.').ok_or(Error::BadCursor)?;
    let position = hex(position, 16).ok_or(Error::BadCursor)?;
    let number = hex(number, 5).ok_or(Error::BadCursor)?;
    Ok((position, number.cast_signed()))
}

fn hex(text: &str, digits: usize) -> Option<u64> {
    let fits = text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    fits.then(|| u64::from_str_radix(text, 16).ok()).flatten()
}
