//! Fills the table when a store is opened: from the key files, shard by shard so that each stays in the processor's cache,
//! on two threads; and from the segments themselves where a key file is missing or bad.

use super::keys::{KeyFile, SegmentKeys};
use super::table::{SHARDS, Shard, Table, pack};
use crate::embedded::journal::read::{ReadError, Reader};
use crate::embedded::journal::segment::Segment;
use crate::embedded::journal::walk::Step;
use doorbell_core::time::Time;
use doorbell_wire::stored::RecordHead;
use std::io;

/// A segment whose keys are in the table, and when the last of them expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub(crate) segment: Segment,
    pub(crate) expires: Time,
}

/// Fills the table with the keys of sealed segments (oldest first) that have not all expired by `now`.
///
/// # Errors
/// When a segment cannot be read, or its key file cannot be written.
pub(crate) fn load(
    reader: &Reader,
    secret: &[u8; 16],
    sealed: &[Segment],
    now: Time,
) -> Result<(Table, Vec<Loaded>), ReadError> {
    // Damage inside a key file is found only when its keys are read: then it is made anew, and filling begins again.
    for _ in 0..2 {
        let mut files = Vec::with_capacity(sealed.len());
        for segment in sealed {
            let file = match KeyFile::open(reader.dir(), secret, *segment) {
                Some(file) => file,
                None => rebuild(reader, secret, *segment)?,
            };
            if file.expires() > now {
                files.push(file);
            }
        }
        match fill(&files) {
            Ok(table) => return Ok((table, files.iter().map(loaded).collect())),
            Err(bad) => {
                for segment in bad {
                    rebuild(reader, secret, segment)?;
                }
            }
        }
    }
    Err(io::Error::other("the key files cannot be read back").into())
}

fn loaded(file: &KeyFile) -> Loaded {
    Loaded { segment: file.segment(), expires: file.expires() }
}

/// Makes a key file from its segment.
fn rebuild(reader: &Reader, secret: &[u8; 16], segment: Segment) -> Result<KeyFile, ReadError> {
    read_keys(reader, secret, segment)?.write(reader.dir(), secret, segment)?;
    KeyFile::open(reader.dir(), secret, segment)
        .ok_or_else(|| io::Error::other("a key file that was just written is bad").into())
}

/// Reads the keys out of a segment's records; damaged ones have none.
fn read_keys(
    reader: &Reader,
    secret: &[u8; 16],
    segment: Segment,
) -> Result<SegmentKeys, ReadError> {
    let mut keys = SegmentKeys::default();
    let mut walk = reader.walk(segment, segment.base)?;
    loop {
        match walk.step()? {
            Step::Frame(frame) => {
                let head = RecordHead::decode(frame.kind, frame.version, frame.payload);
                if let Ok(RecordHead::Received(head)) = head {
                    keys.note(secret, &head, frame.position - segment.base);
                }
            }
            Step::Damaged(_) => {}
            Step::End => return Ok(keys),
        }
    }
}

/// The segments whose key files turned out to be damaged.
type Bad = Vec<Segment>;

fn fill(files: &[KeyFile]) -> Result<Table, Bad> {
    let half = SHARDS / 2;
    let (low, high) = std::thread::scope(|scope| {
        let high = scope.spawn(|| fill_shards(files, half..SHARDS));
        let low = fill_shards(files, 0..half);
        (low, high.join().unwrap_or_else(|_| Err(Vec::new())))
    });
    match (low, high) {
        (Ok(mut shards), Ok(more)) => {
            shards.extend(more);
            Ok(Table::of_shards(shards))
        }
        (low, high) => Err(low.err().into_iter().chain(high.err()).flatten().collect()),
    }
}

fn fill_shards(files: &[KeyFile], shards: std::ops::Range<usize>) -> Result<Vec<Shard>, Bad> {
    let mut buffer = Vec::new();
    let mut filled = Vec::with_capacity(shards.len());
    // A power cut may have torn several files, and all of them are to be made anew in one go.
    let mut bad = Bad::new();
    for at in shards {
        let mut shard = Shard::with_room(files.iter().map(|file| file.count(at)).sum());
        for file in files {
            match file.shard(at, &mut buffer) {
                Ok(keys) => keys.for_each(|(hash, position)| {
                    shard.put(hash, pack(position));
                }),
                Err(_) if bad.contains(&file.segment()) => {}
                Err(_) => bad.push(file.segment()),
            }
        }
        filled.push(shard);
    }
    if bad.is_empty() { Ok(filled) } else { Err(bad) }
}
