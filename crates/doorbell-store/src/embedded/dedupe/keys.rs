//! The file with the dedupe keys of a sealed segment: sorted by hash, checksummed by shard, made anew from the segment
//! when it is missing or bad. It is never synced: what is lost of it is only time.
//!
//! | bytes | what |
//! |---|---|
//! | 0-8 | `DBELKEYS` |
//! | 8-12 | format, 1 |
//! | 12-16 | CRC32C of the dedupe secret (another secret: another hash) |
//! | 16-24, 24-32 | where the segment begins and ends |
//! | 32-40 | when the last key expires, in ms |
//! | 40-44 | how many keys |
//! | 44-1072 | for each shard the index of its first key, and the count once more |
//! | 1072-2096 | for each shard the CRC32C of its keys |
//! | 2096-2100 | CRC32C of everything above |
//! | 2100- | the keys: the hash, and the offset of the record in the segment divided by eight (4 bytes) |

use super::KeyHash;
use super::table::{SHARDS, shard_of};
use crate::embedded::journal::frame::ALIGN;
use crate::embedded::journal::segment::{self, Segment};
use crate::embedded::private;
use doorbell_core::event::Fate;
use doorbell_core::time::Time;
use doorbell_wire::stored::ReceivedHead;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

const MAGIC: &[u8; 8] = b"DBELKEYS";
const FORMAT: u32 = 1;
const FIRSTS_AT: usize = 44;
const CHECKS_AT: usize = FIRSTS_AT + 4 * (SHARDS + 1);
const CHECK_AT: usize = CHECKS_AT + 4 * SHARDS;
const HEADER: usize = CHECK_AT + 4;
const KEY: usize = 12;

/// The keys of one segment, gathered while it is written or read.
#[derive(Debug, Default, Clone)]
pub(crate) struct SegmentKeys {
    /// Hash, and offset in the segment divided by [`ALIGN`].
    keys: Vec<(KeyHash, u32)>,
    expires: Time,
}

impl SegmentKeys {
    pub(crate) fn push(&mut self, hash: KeyHash, offset: u64, expires: Time) {
        self.keys.push((hash, u32::try_from(offset / ALIGN).unwrap_or(u32::MAX)));
        self.expires = self.expires.max(expires);
    }

    /// Adds what this record has for the table.
    pub(crate) fn note(&mut self, secret: &[u8; 16], head: &ReceivedHead, offset: u64) {
        if let Some((hash, expires)) = counted(secret, head) {
            self.push(hash, offset, expires);
        }
    }

    pub(crate) const fn expires(&self) -> Time {
        self.expires
    }

    /// Every key with the position of its record, in the order of the journal.
    pub(crate) fn iter(&self, base: u64) -> impl Iterator<Item = (KeyHash, u64)> {
        self.keys.iter().map(move |(hash, offset)| (*hash, base + u64::from(*offset) * ALIGN))
    }

    /// Writes the file beside its segment.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write(
        mut self,
        dir: &Path,
        secret: &[u8; 16],
        segment: Segment,
    ) -> io::Result<()> {
        // Within a segment the last record of a key counts, so offsets stay in order.
        self.keys.sort_unstable();
        let path = segment::keys_path(dir, segment.base);
        let new = path.with_extension("keys.new");
        let mut file = private::file(&new)?;
        file.write_all(&self.encoded(secret, segment))?;
        fs::rename(&new, path)
    }

    fn encoded(&self, secret: &[u8; 16], segment: Segment) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + KEY * self.keys.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(secret).to_le_bytes());
        out.extend_from_slice(&segment.base.to_le_bytes());
        out.extend_from_slice(&segment.end.to_le_bytes());
        out.extend_from_slice(&self.expires.ms().to_le_bytes());
        let count = |keys: usize| u32::try_from(keys).unwrap_or(u32::MAX).to_le_bytes();
        out.extend_from_slice(&count(self.keys.len()));
        let mut body = Vec::with_capacity(KEY * self.keys.len());
        let mut checks = Vec::with_capacity(4 * SHARDS);
        let mut rest = self.keys.as_slice();
        for shard in 0..SHARDS {
            out.extend_from_slice(&count(self.keys.len() - rest.len()));
            let (these, after) =
                rest.split_at(rest.partition_point(|(hash, _)| shard_of(*hash) <= shard));
            rest = after;
            let from = body.len();
            for (hash, offset) in these {
                body.extend_from_slice(&hash.0.to_le_bytes());
                body.extend_from_slice(&offset.to_le_bytes());
            }
            let check = crc32c::crc32c(body.get(from..).unwrap_or_default());
            checks.extend_from_slice(&check.to_le_bytes());
        }
        out.extend_from_slice(&count(self.keys.len()));
        out.extend_from_slice(&checks);
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out.extend_from_slice(&body);
        out
    }
}

/// The hash of a record's key and when it expires, if the record counts for later ones: it became an event, and its
/// source asked for it.
pub(crate) fn counted(secret: &[u8; 16], head: &ReceivedHead) -> Option<(KeyHash, Time)> {
    counts(&head.fate, head.dedupe_window.is_zero()).then_some(())?;
    let key = head.dedupe_key.as_ref()?;
    let hash = KeyHash::of_parts(secret, head.origin, head.tenant, key);
    Some((hash, head.at.after(head.dedupe_window)))
}

/// Whether later requests can be duplicates of one with this fate.
const fn counts(fate: &Fate, window_is_zero: bool) -> bool {
    fate.is_event() && !window_is_zero
}

/// A key file that is open; its header is right.
#[derive(Debug)]
pub(crate) struct KeyFile {
    file: File,
    segment: Segment,
    expires: Time,
    header: Vec<u8>,
}

impl KeyFile {
    /// Opens the key file of a segment; `None` when it is missing, bad, or of another secret or length.
    pub(crate) fn open(dir: &Path, secret: &[u8; 16], segment: Segment) -> Option<Self> {
        let file = File::open(segment::keys_path(dir, segment.base)).ok()?;
        let mut header = vec![0; HEADER];
        file.read_exact_at(&mut header, 0).ok()?;
        let found = Self { file, segment, expires: Time::from_ms(u64_at(&header, 32)?), header };
        let good = found.header.starts_with(MAGIC)
            && found.u32(8) == Some(FORMAT)
            && found.u32(12) == Some(crc32c::crc32c(secret))
            && u64_at(&found.header, 16) == Some(segment.base)
            && u64_at(&found.header, 24) == Some(segment.end)
            && found.header.get(..CHECK_AT).map(crc32c::crc32c) == found.u32(CHECK_AT);
        good.then_some(found)
    }

    pub(crate) const fn expires(&self) -> Time {
        self.expires
    }

    pub(crate) const fn segment(&self) -> Segment {
        self.segment
    }

    /// How many keys a shard has here.
    pub(super) fn count(&self, shard: usize) -> usize {
        self.range(shard).map_or(0, |(from, to)| to - from)
    }

    /// Reads one shard's keys with the positions of their records, `buffer` being a place to read to.
    ///
    /// # Errors
    /// When they cannot be read or are damaged.
    pub(crate) fn shard<'b>(
        &self,
        shard: usize,
        buffer: &'b mut Vec<u8>,
    ) -> io::Result<impl Iterator<Item = (KeyHash, u64)> + use<'b>> {
        let (from, to) = self.range(shard).ok_or(io::ErrorKind::InvalidData)?;
        buffer.resize((to - from) * KEY, 0);
        self.file.read_exact_at(buffer, (HEADER + from * KEY) as u64)?;
        if Some(crc32c::crc32c(buffer)) != self.u32(CHECKS_AT + 4 * shard) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let base = self.segment.base;
        let (keys, _) = buffer.as_chunks::<KEY>();
        Ok(keys.iter().map(move |[h0, h1, h2, h3, h4, h5, h6, h7, offset @ ..]| {
            let hash = u64::from_le_bytes([*h0, *h1, *h2, *h3, *h4, *h5, *h6, *h7]);
            (KeyHash(hash), base + u64::from(u32::from_le_bytes(*offset)) * ALIGN)
        }))
    }

    fn range(&self, shard: usize) -> Option<(usize, usize)> {
        let at = FIRSTS_AT + 4 * shard;
        let (from, to) = (self.u32(at)? as usize, self.u32(at + 4)? as usize);
        (from <= to).then_some((from, to))
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.header.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}
