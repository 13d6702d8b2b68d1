//! The records of the journal, byte by byte: what is kept of events, deliveries and attempts.
//!
//! Here lives only how a record becomes bytes and back, by hand and without serde; frames, checksums and files belong
//! to `doorbell-store`. A record is a kind, a version and a payload. Whole numbers are little-endian or LEB128
//! ("varint"), times are milliseconds in eight bytes, a text or byte string is a varint length and its bytes, an option
//! is a byte 0 or 1 before the value, an id its 16 bytes. What the index needs (the *head*) comes first in a payload,
//! headers and bodies last, so that a head is read without touching them. A code or a field is never reused; a change
//! of layout is a new version, and each version keeps its golden bytes in `tests/golden/`.
//!
//! | kind | payload of version 1 |
//! |---|---|
//! | 1 received | event id, tenant, at, origin (0 API, 1 + source id), type?, dedupe key?, window in ms (varint), fate, method, body length (varint), deliveries · path, query?, channels, peer?, headers, body |
//! | 2 settled | event position (8 bytes), previous? (8 bytes), at?, tenant, event id, delivery, attempt head? · the rest of the attempt |
//! | 3 redelivered | event position (8 bytes), at, tenant, event id, deliveries |
//!
//! A list is a varint count and its items. A delivery is its id, endpoint, order key? (8 bytes), replay?, attempts
//! (varint) and state. An attempt's head is id, number (varint), at, trigger and outcome (1 answered + status, 2 failed +
//! error class); its rest is the address?, timings in µs and the answer's headers, truncation and body, or the fault's
//! detail. The codes of the small enums stand in `codes.rs`.

mod bytes;
mod codes;
mod delivery;
mod received;
mod redelivered;
mod settled;

pub use codes::{class_code, class_of};
pub use received::{Received, ReceivedHead, ReceivedRef};
pub use redelivered::Redelivered;
pub use settled::{AttemptHead, Settled, SettledHead};

use self::bytes::Reader;
use ::bytes::Bytes;

/// The version of the payloads that are written; older ones are still read.
pub const VERSION: u8 = 1;

/// What a record tells of. The number is the byte on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A request came in.
    Received = 1,
    /// A delivery changed.
    Settled = 2,
    /// An event got new deliveries.
    Redelivered = 3,
}

impl Kind {
    /// The byte on disk.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// The kind of that byte, if there is one.
    #[must_use]
    pub const fn of_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Received),
            2 => Some(Self::Settled),
            3 => Some(Self::Redelivered),
            _ => None,
        }
    }
}

/// One record of the journal, whole. Bodies and header values are slices of the payload that was decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A request came in, with its fate and its deliveries.
    Received(Received),
    /// A delivery was tried or changed on purpose.
    Settled(Settled),
    /// An event got new deliveries.
    Redelivered(Redelivered),
}

/// What the index needs of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordHead {
    /// See [`Record::Received`].
    Received(ReceivedHead),
    /// See [`Record::Settled`].
    Settled(SettledHead),
    /// See [`Record::Redelivered`].
    Redelivered(Redelivered),
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the record does.
    #[error("the record is cut short")]
    Short,
    /// Bytes are left after the record's end.
    #[error("{0} bytes too many after the record")]
    Trailing(usize),
    /// No such kind: written by a newer version, or no record at all.
    #[error("unknown kind of record {0}")]
    Kind(u8),
    /// No such version: written by a newer version, or no record at all.
    #[error("unknown version {0} of the record")]
    Version(u8),
    /// A code that stands for nothing.
    #[error("unknown code {code} for {what}")]
    Code {
        /// For what it should stand.
        what: &'static str,
        /// The code.
        code: u8,
    },
    /// A number, text or name that cannot be.
    #[error("{0} is not valid")]
    Value(&'static str),
}

impl Record {
    /// Reads a payload.
    ///
    /// # Errors
    /// [`DecodeError`] when it is not exactly one record of that kind and version. Any bytes may be given; memory stays
    /// proportional to their length.
    pub fn decode(kind: u8, version: u8, payload: &Bytes) -> Result<Self, DecodeError> {
        let kind = known(kind, version)?;
        let mut from = Reader::new(payload);
        let record = match kind {
            Kind::Received => Self::Received(Received::read(&mut from, payload)?),
            Kind::Settled => Self::Settled(Settled::read(&mut from, payload)?),
            Kind::Redelivered => Self::Redelivered(Redelivered::read(&mut from)?),
        };
        from.end()?;
        Ok(record)
    }

    /// Appends the payload to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Received(record) => record.borrow().encode(out),
            Self::Settled(record) => record.encode(out),
            Self::Redelivered(record) => record.encode(out),
        }
    }

    /// What it tells of.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Received(_) => Kind::Received,
            Self::Settled(_) => Kind::Settled,
            Self::Redelivered(_) => Kind::Redelivered,
        }
    }
}

impl RecordHead {
    /// Reads the beginning of a payload, and nothing of its headers and body.
    ///
    /// # Errors
    /// [`DecodeError`] when the head is not one; what follows the head is not looked at.
    pub fn decode(kind: u8, version: u8, payload: &[u8]) -> Result<Self, DecodeError> {
        let kind = known(kind, version)?;
        let mut from = Reader::new(payload);
        Ok(match kind {
            Kind::Received => Self::Received(ReceivedHead::read(&mut from)?),
            Kind::Settled => Self::Settled(SettledHead::read(&mut from)?),
            Kind::Redelivered => Self::Redelivered(Redelivered::read(&mut from)?),
        })
    }
}

/// A record of a received event that travels by itself: its kind, its version, its payload.
#[must_use]
pub fn letter(record: ReceivedRef<'_>) -> Vec<u8> {
    let mut out = vec![Kind::Received.byte(), VERSION];
    record.encode(&mut out);
    out
}

/// Reads a [`letter`].
///
/// # Errors
/// [`DecodeError`] when it is none, or one of a version that is not known here.
pub fn read_letter(bytes: &Bytes) -> Result<Received, DecodeError> {
    let [kind, version, ..] = **bytes else { return Err(DecodeError::Short) };
    if Kind::of_byte(kind) != Some(Kind::Received) {
        return Err(DecodeError::Kind(kind));
    }
    match Record::decode(kind, version, &bytes.slice(2..))? {
        Record::Received(received) => Ok(received),
        Record::Settled(_) | Record::Redelivered(_) => Err(DecodeError::Kind(kind)),
    }
}

fn known(kind: u8, version: u8) -> Result<Kind, DecodeError> {
    let kind = Kind::of_byte(kind).ok_or(DecodeError::Kind(kind))?;
    if version == VERSION { Ok(kind) } else { Err(DecodeError::Version(version)) }
}
