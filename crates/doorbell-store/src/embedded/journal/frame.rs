//! The frame around a record: what tells whole bytes from damaged ones.
//!
//! | bytes | what |
//! |---|---|
//! | 0-4 | length of the payload |
//! | 4 | kind of the record ([`GAP`]: bytes that a power cut left behind) |
//! | 5 | version of the record |
//! | 6-8 | reserved, zero |
//! | 8-12 | CRC32C of the payload with its padding |
//! | 12-16 | how far back the batch begins that this frame was written with |
//! | 16-20 | CRC32C of the store's seed, the frame's position and the bytes 0-16 |
//! | 20- | the payload, padded with zeros to a multiple of eight |
//!
//! The seed is a secret of the store: someone who sends a body that looks like frames cannot make one that is believed
//! when the journal is searched for the next good frame behind a damaged one.

use doorbell_wire::stored::Kind;

/// Bytes before the payload.
pub(crate) const HEADER: usize = 20;
/// Frames begin at multiples of this.
pub(crate) const ALIGN: u64 = STEP as u64;
const STEP: usize = 8;
/// The kind of a frame that stands over bytes which were never acknowledged.
pub(crate) const GAP: u8 = 0;
/// The largest payload: the largest body, its headers and the widest fan-out fit several times over.
pub(crate) const PAYLOAD_MAX: usize = 1 << 30;

/// A frame that is about to be written.
#[derive(Debug)]
pub(crate) struct Frame(Vec<u8>);

/// What stands before a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) length: u32,
    pub(crate) kind: u8,
    pub(crate) version: u8,
    pub(crate) payload_crc: u32,
    pub(crate) back: u32,
}

/// The record does not fit a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Frame {
    /// Encodes and checksums a record; the caller's thread does this, many at a time.
    pub(crate) fn build(
        kind: Kind,
        version: u8,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Self, TooLarge> {
        let mut bytes = vec![0; HEADER];
        encode(&mut bytes);
        let payload = bytes.len().saturating_sub(HEADER);
        let length = u32::try_from(payload).map_err(|_| TooLarge)?;
        if payload > PAYLOAD_MAX {
            return Err(TooLarge);
        }
        bytes.resize(HEADER + padded(payload), 0);
        let payload_crc = crc32c::crc32c(bytes.get(HEADER..).unwrap_or_default());
        let head = FrameHead { length, kind: kind.byte(), version, payload_crc, back: 0 };
        put(&mut bytes, head.unplaced());
        Ok(Self(bytes))
    }

    /// Says where the frame stands and where its batch begins.
    pub(crate) fn place(&mut self, seed: u32, position: u64, batch_at: u64) {
        let back = u32::try_from(position.saturating_sub(batch_at)).unwrap_or(u32::MAX);
        if let Some((header, _)) = self.0.split_first_chunk_mut::<HEADER>() {
            header[12..16].copy_from_slice(&back.to_le_bytes());
            let check = header_check(seed, position, header);
            header[16..20].copy_from_slice(&check.to_le_bytes());
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes on disk.
    pub(crate) fn span(&self) -> u64 {
        self.0.len() as u64
    }
}

impl FrameHead {
    /// Reads the header of a frame that stands at `position`; `None` when these bytes are none.
    pub(crate) fn read(header: &[u8; HEADER], seed: u32, position: u64) -> Option<Self> {
        let [l0, l1, l2, l3, kind, version, r0, r1, c0, c1, c2, c3, b0, b1, b2, b3, check @ ..] =
            *header;
        let good =
            u32::from_le_bytes(check) == header_check(seed, position, header) && (r0, r1) == (0, 0);
        good.then_some(Self {
            length: u32::from_le_bytes([l0, l1, l2, l3]),
            kind,
            version,
            payload_crc: u32::from_le_bytes([c0, c1, c2, c3]),
            back: u32::from_le_bytes([b0, b1, b2, b3]),
        })
    }

    /// The bytes of the header of a frame at `position`.
    pub(crate) fn write(self, seed: u32, position: u64) -> [u8; HEADER] {
        let mut header = self.unplaced();
        let check = header_check(seed, position, &header);
        header[16..20].copy_from_slice(&check.to_le_bytes());
        header
    }

    fn unplaced(self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[0..4].copy_from_slice(&self.length.to_le_bytes());
        header[4] = self.kind;
        header[5] = self.version;
        header[8..12].copy_from_slice(&self.payload_crc.to_le_bytes());
        header[12..16].copy_from_slice(&self.back.to_le_bytes());
        header
    }

    /// The payload and its padding, in bytes.
    pub(crate) fn padded(&self) -> usize {
        padded(self.length as usize)
    }

    /// Bytes on disk.
    pub(crate) fn span(&self) -> u64 {
        (HEADER + self.padded()) as u64
    }

    /// Whether these are the payload and padding that the header speaks of.
    pub(crate) fn fits(&self, padded: &[u8]) -> bool {
        padded.len() == self.padded() && crc32c::crc32c(padded) == self.payload_crc
    }
}

fn put(bytes: &mut [u8], header: [u8; HEADER]) {
    if let Some((place, _)) = bytes.split_first_chunk_mut() {
        *place = header;
    }
}

/// The header is no multiple of eight, so the padding makes up for it too.
const fn padded(payload: usize) -> usize {
    (HEADER + payload).next_multiple_of(STEP) - HEADER
}

fn header_check(seed: u32, position: u64, header: &[u8; HEADER]) -> u32 {
    let mut signed = [0; 24];
    signed[..8].copy_from_slice(&position.to_le_bytes());
    signed[8..].copy_from_slice(&header[..16]);
    crc32c::crc32c_append(seed, &signed)
}
