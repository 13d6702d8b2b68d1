//! The smallest pieces: numbers, ids, strings and options, written and read.

use super::DecodeError;
use bytes::Bytes;
use doorbell_core::time::Time;
use std::time::Duration;

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

pub(super) fn put_count(out: &mut Vec<u8>, count: usize) {
    put_varint(out, u64::try_from(count).unwrap_or(u64::MAX));
}

pub(super) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_time(out: &mut Vec<u8>, time: Time) {
    put_u64(out, time.ms());
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

pub(super) fn put_option<T>(
    out: &mut Vec<u8>,
    value: Option<T>,
    put: impl FnOnce(&mut Vec<u8>, T),
) {
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(1);
            put(out, value);
        }
    }
}

/// Microseconds: finer than any network, and short as a varint.
pub(super) fn put_duration(out: &mut Vec<u8>, duration: Duration) {
    put_varint(out, u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
}

/// Walks over a payload. Nothing is allocated before the bytes for it have been seen.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    pub(super) const fn end(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.rest.len())) }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Short)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits.leading_zeros() < shift {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Value("a number"))
    }

    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        u32::try_from(self.varint()?).map_err(|_| DecodeError::Value("a number"))
    }

    /// Two numbers in one varint: what stands below bit 32, and what stands above.
    pub(super) fn halves(&mut self) -> Result<(u32, u32), DecodeError> {
        let [b0, b1, b2, b3, b4, b5, b6, b7] = self.varint()?.to_le_bytes();
        Ok((u32::from_le_bytes([b0, b1, b2, b3]), u32::from_le_bytes([b4, b5, b6, b7])))
    }

    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        u16::try_from(self.varint()?).map_err(|_| DecodeError::Value("a number"))
    }

    pub(super) fn time(&mut self) -> Result<Time, DecodeError> {
        self.u64().map(Time::from_ms)
    }

    pub(super) fn duration(&mut self) -> Result<Duration, DecodeError> {
        self.varint().map(Duration::from_micros)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let count = usize::try_from(self.varint()?).map_err(|_| DecodeError::Short)?;
        self.take(count)
    }

    /// A byte string as a slice of `payload`, without copying.
    pub(super) fn shared(&mut self, payload: &Bytes) -> Result<Bytes, DecodeError> {
        self.bytes().map(|bytes| payload.slice_ref(bytes))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, DecodeError> {
        str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Value("a text"))
    }

    pub(super) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.byte()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            code => Err(DecodeError::Code { what: "an option", code }),
        }
    }

    /// How many items follow, each of at least `least` bytes (1 or more); more than can be there is refused.
    pub(super) fn count(&mut self, least: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.varint()?).map_err(|_| DecodeError::Short)?;
        if count > self.rest.len() / least { Err(DecodeError::Short) } else { Ok(count) }
    }
}
