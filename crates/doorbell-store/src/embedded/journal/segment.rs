//! A segment: one file of the journal, its name, its header, and the list of all of them that readers share.

use super::frame::ALIGN;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

/// Bytes before the first frame.
pub(crate) const HEADER: usize = 64;
const MAGIC: &[u8; 8] = b"DOORBELL";
const FORMAT: u32 = 1;
const CHECKED: usize = 60;

/// What makes a store this store: 16 random bytes, secret, in the header of each segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreId(pub(crate) [u8; 16]);

impl StoreId {
    /// What the checks of all frames of this store begin with.
    pub(crate) fn seed(self) -> u32 {
        crc32c::crc32c(&self.0)
    }
}

/// Why a segment's header is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Bytes are missing or damaged.
    Damaged,
    /// Whole, but of a format that this program does not know.
    Newer(u32),
}

/// The header of the segment that begins at `base`.
pub(crate) fn header(id: StoreId, base: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[16..32].copy_from_slice(&id.0);
    bytes[32..40].copy_from_slice(&base.to_le_bytes());
    let check = crc32c::crc32c(&bytes[..CHECKED]);
    bytes[CHECKED..].copy_from_slice(&check.to_le_bytes());
    bytes
}

/// Reads a segment's header: whose it is and where it begins.
pub(crate) fn read_header(bytes: &[u8]) -> Result<(StoreId, u64), HeaderFault> {
    let bytes: &[u8; HEADER] = bytes.first_chunk().ok_or(HeaderFault::Damaged)?;
    let check = u32::from_le_bytes([bytes[60], bytes[61], bytes[62], bytes[63]]);
    if bytes[..8] != *MAGIC || crc32c::crc32c(&bytes[..CHECKED]) != check {
        return Err(HeaderFault::Damaged);
    }
    let format = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    if format != FORMAT {
        return Err(HeaderFault::Newer(format));
    }
    let (mut id, mut base) = ([0; 16], [0; 8]);
    id.copy_from_slice(&bytes[16..32]);
    base.copy_from_slice(&bytes[32..40]);
    Ok((StoreId(id), u64::from_le_bytes(base)))
}

/// The file of the segment that begins at `base`.
pub(crate) fn path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:016x}.seg"))
}

/// The file with the dedupe keys of the segment that begins at `base`.
pub(crate) fn keys_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:016x}.keys"))
}

/// Where the segment of that file name begins; `None` when it is no segment.
pub(crate) fn base_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 16)?;
    let base = u64::from_str_radix(digits, 16).ok()?;
    (base % ALIGN == 0).then_some(base)
}

/// A segment and how far it may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The position of its first byte.
    pub(crate) base: u64,
    /// The position behind its last durable frame.
    pub(crate) end: u64,
}

impl Segment {
    /// The position of its first frame.
    pub(crate) const fn first(self) -> u64 {
        self.base + HEADER as u64
    }

    /// Whether a frame may begin there.
    pub(crate) const fn holds(self, position: u64) -> bool {
        self.first() <= position && position < self.end
    }
}

/// What lies ahead of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// The first segment with frames at or after it.
    Frames(Segment),
    /// No frames up to the end of what is durable.
    Nothing {
        /// The position behind the last durable frame (or the header of a new segment).
        durable: u64,
    },
}

/// All segments, oldest first; the last one is written to.
#[derive(Debug)]
pub(crate) struct Segments(RwLock<Vec<Segment>>);

impl Segments {
    pub(crate) fn new(oldest_first: Vec<Segment>) -> Self {
        Self(RwLock::new(oldest_first))
    }

    pub(crate) fn all(&self) -> Vec<Segment> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The segment that holds the frame at `position`.
    pub(crate) fn at(&self, position: u64) -> Option<Segment> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let after = all.partition_point(|segment| segment.base <= position);
        all.get(after.checked_sub(1)?).copied().filter(|segment| segment.holds(position))
    }

    /// What a reader who has everything before `position` reads next. Both answers are of the same moment: whoever asked
    /// for the end by itself would pass over what was published in between.
    pub(crate) fn ahead(&self, position: u64) -> Ahead {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let has_more = |segment: &&Segment| segment.end > position && segment.end > segment.first();
        all.iter().find(has_more).map_or_else(
            || Ahead::Nothing { durable: all.last().map_or(0, |segment| segment.end) },
            |segment| Ahead::Frames(*segment),
        )
    }

    /// The position behind the last durable frame.
    pub(crate) fn durable(&self) -> u64 {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.last().map_or(0, |segment| segment.end)
    }

    pub(crate) fn push(&self, segment: Segment) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    /// Says that the last segment is durable up to `end`.
    pub(crate) fn grew(&self, end: u64) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = all.last_mut() {
            last.end = end;
        }
    }

    /// Forgets a segment; the last one stays.
    pub(crate) fn remove(&self, base: u64) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let last = all.last().map(|segment| segment.base);
        all.retain(|segment| segment.base != base || Some(segment.base) == last);
    }
}
