//! Opens a journal: finds its segments, covers what a power cut left half written, and reports damage.
//!
//! Only the last segment can hold bytes that were never acknowledged: each batch is synced before the next begins, and
//! a segment is left only after its last batch. So bytes behind the last whole frame, and damage with whole frames of
//! the *same batch* behind it, are what a torn batch left: a gap frame is stood over them, and the whole frames stay.
//! The zeros that a segment was filled with ahead of its use are not part of it.
//! Anything else that is damaged was once durable: it is reported and left alone, and what stands behind it is read.

use super::frame::{ALIGN, FrameHead, GAP, HEADER};
use super::room;
use super::segment::{self, HeaderFault, Segment, StoreId};
use super::space;
use super::walk::{Damaged, Framed, Step, Walk};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are looked through for zeros at once.
const LOOK: usize = 1 << 20;

/// Bytes of the journal that are not what they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub segment: PathBuf,
    /// Where the damage begins, as an offset in the file.
    pub offset: u64,
    /// How many bytes it spans.
    pub bytes: u64,
    /// What it is.
    pub kind: DamageKind,
}

/// What kind of damage it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DamageKind {
    /// A batch that was never acknowledged, left half written by a crash or power cut; the next start covers it. When
    /// no crash came before, the disk has lost acknowledged bytes.
    Torn,
    /// Records that were durable are damaged: the disk (or somebody) changed them.
    Record,
    /// The segment's header is damaged; its records are read all the same.
    Header,
    /// A record is whole but cannot be understood.
    Unreadable,
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecoverError {
    #[error("{path} has format {format}, which this version does not know; use a newer one")]
    Newer { path: PathBuf, format: u32 },
    #[error("{path} belongs to another store")]
    Foreign { path: PathBuf },
    #[error("{path}: {fault}")]
    Io { path: PathBuf, fault: io::Error },
}

/// A journal that was found.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// Oldest first; empty when there was none.
    pub(crate) segments: Vec<Segment>,
    pub(crate) damage: Vec<Damage>,
    /// Where the last segment's file ends: from the segment's end on, zeros stand in it.
    pub(crate) filled: u64,
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> RecoverError {
    let path = path.to_owned();
    |fault| RecoverError::Io { path, fault }
}

/// The store that the segments in `dir` say they belong to; `None` when there is no whole one.
pub(crate) fn owner(dir: &Path) -> Result<Option<StoreId>, RecoverError> {
    for base in bases(dir)? {
        let path = segment::path(dir, base);
        let file = File::open(&path).map_err(io_at(&path))?;
        if let Ok((id, _)) = segment::read_header(&first_bytes(&file).map_err(io_at(&path))?) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Finds the segments in `dir` and reads their headers; changes nothing.
pub(crate) fn find(dir: &Path, id: StoreId) -> Result<Recovered, RecoverError> {
    let mut bases = bases(dir)?;
    if unborn(dir, &bases)?.is_some() {
        bases.pop();
    }
    let segments = Vec::with_capacity(bases.len());
    let mut found = Recovered { segments, damage: Vec::new(), filled: 0 };
    for (at, base) in bases.iter().copied().enumerate() {
        let path = segment::path(dir, base);
        let file = File::open(&path).map_err(io_at(&path))?;
        let length = file.metadata().map_err(io_at(&path))?.len();
        check_header(&path, &file, (id, base), &mut found.damage)?;
        let Some(next) = bases.get(at + 1).copied() else {
            found.filled = base + length;
            let used = used(&file, length).map_err(io_at(&path))?;
            found.segments.push(Segment { base, end: base + used });
            break;
        };
        let end = base + length.max(segment::HEADER as u64);
        if end < next {
            // Segments follow each other without a gap, and retention takes the oldest first.
            let missing = Damaged { position: end, bytes: next - end };
            found.damage.push(told(&path, base, missing, DamageKind::Record));
        }
        found.segments.push(Segment { base, end: end.min(next) });
    }
    Ok(found)
}

/// Finds the segments in `dir`, repairs the last one's tail, and calls `seen` for each of its frames.
pub(crate) fn recover(
    dir: &Path,
    id: StoreId,
    mut seen: impl FnMut(Framed<'_>),
) -> Result<Recovered, RecoverError> {
    let unborn = unborn(dir, &bases(dir)?)?;
    let room = Some(room::path(dir)).filter(|room| room.exists());
    for path in unborn.into_iter().chain(room) {
        fs::remove_file(&path).map_err(io_at(&path))?;
    }
    let mut found = find(dir, id)?;
    if let Some(last) = found.segments.last_mut() {
        let path = segment::path(dir, last.base);
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(io_at(&path))?;
        let file = Arc::new(file);
        let walk = Walk::new(Arc::clone(&file), id.seed(), *last, last.base);
        let walk = walk.into_zeros(found.filled);
        let scan = scan(walk, *last, &mut seen).map_err(io_at(&path))?;
        found.damage.extend(scan.told(&path, *last, Place::AtTheEnd));
        last.end = mend(&file, id.seed(), (*last, found.filled), &scan).map_err(io_at(&path))?;
    }
    Ok(found)
}

/// How many bytes of a file hold anything but zeros behind them, up to where a frame may begin.
fn used(file: &File, length: u64) -> io::Result<u64> {
    let (mut end, mut window) = (length, vec![0; LOOK]);
    while end > segment::HEADER as u64 {
        let begin = end.saturating_sub(LOOK as u64);
        let piece = window.get_mut(..usize::try_from(end - begin).unwrap_or(LOOK));
        let piece = piece.unwrap_or_default();
        file.read_exact_at(piece, begin)?;
        if let Some(last) = piece.iter().rposition(|byte| *byte != 0) {
            end = begin + last as u64 + 1;
            break;
        }
        end = begin;
    }
    Ok(end.next_multiple_of(ALIGN).min(length).max(segment::HEADER as u64))
}

/// What a walk over a whole segment found.
#[derive(Debug)]
pub(crate) struct Scan {
    damaged: Vec<Damaged>,
    /// Behind the last whole frame.
    end: u64,
    /// Where the batch of the last whole frame begins.
    last_batch: u64,
}

/// Whether a segment is the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// More was written behind it: all of it was durable.
    Inside,
    /// Its last batch may never have been.
    AtTheEnd,
}

/// Walks over a whole segment.
pub(crate) fn scan(
    mut walk: Walk,
    segment: Segment,
    seen: &mut dyn FnMut(Framed<'_>),
) -> io::Result<Scan> {
    let mut scan = Scan { damaged: Vec::new(), end: segment.first(), last_batch: segment.base };
    loop {
        match walk.step()? {
            Step::Frame(frame) => {
                (scan.end, scan.last_batch) = (frame.end, frame.batch_at);
                seen(frame);
            }
            Step::Damaged(damaged) => scan.damaged.push(damaged),
            Step::End => return Ok(scan),
        }
    }
}

impl Scan {
    /// The damage, with what it means at this place.
    pub(crate) fn told(&self, path: &Path, segment: Segment, place: Place) -> Vec<Damage> {
        let kind = |damaged: &Damaged| match place {
            Place::AtTheEnd if self.is_torn(damaged) => DamageKind::Torn,
            Place::AtTheEnd | Place::Inside => DamageKind::Record,
        };
        let all = self.damaged.iter();
        all.map(|damaged| told(path, segment.base, *damaged, kind(damaged))).collect()
    }

    /// Whether nothing was durable behind it, in the last segment.
    const fn is_torn(&self, damaged: &Damaged) -> bool {
        damaged.position >= self.last_batch
    }
}

fn told(path: &Path, base: u64, found: Damaged, kind: DamageKind) -> Damage {
    let offset = found.position.saturating_sub(base);
    Damage { segment: path.to_owned(), offset, bytes: found.bytes, kind }
}

fn bases(dir: &Path) -> Result<Vec<u64>, RecoverError> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir).map_err(io_at(dir))? {
        let name = entry.map_err(io_at(dir))?.file_name();
        bases.extend(name.to_str().and_then(segment::base_of));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// A last segment without a whole header and without anything behind it was being made when the power went: nothing was
/// ever written to it.
fn unborn(dir: &Path, bases: &[u64]) -> Result<Option<PathBuf>, RecoverError> {
    let Some(last) = bases.last().copied() else { return Ok(None) };
    let path = segment::path(dir, last);
    let file = File::open(&path).map_err(io_at(&path))?;
    let length = file.metadata().map_err(io_at(&path))?.len();
    let header = first_bytes(&file).map_err(io_at(&path))?;
    let is_unborn = length <= segment::HEADER as u64
        && segment::read_header(&header) == Err(HeaderFault::Damaged);
    Ok(is_unborn.then_some(path))
}

fn first_bytes(file: &File) -> io::Result<[u8; segment::HEADER]> {
    let mut bytes = [0; segment::HEADER];
    let mut had = 0;
    while let Some(rest) = bytes.get_mut(had..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, had as u64)? {
            0 => break,
            count => had += count,
        }
    }
    Ok(bytes)
}

fn check_header(
    path: &Path,
    file: &File,
    (id, base): (StoreId, u64),
    damage: &mut Vec<Damage>,
) -> Result<(), RecoverError> {
    match segment::read_header(&first_bytes(file).map_err(io_at(path))?) {
        Ok(found) if found == (id, base) => {}
        Ok(_) => return Err(RecoverError::Foreign { path: path.to_owned() }),
        Err(HeaderFault::Newer(format)) => {
            return Err(RecoverError::Newer { path: path.to_owned(), format });
        }
        Err(HeaderFault::Damaged) => {
            let whole = Damaged { position: base, bytes: segment::HEADER as u64 };
            damage.push(told(path, base, whole, DamageKind::Header));
        }
    }
    Ok(())
}

/// Covers what was never acknowledged in the last segment; returns where the segment ends now. Nothing is cut off, so
/// that no position is ever used twice: what the index knows of one stays true. The file is synced afterwards, so that
/// nothing that was read from it can be gone after the next power cut.
fn mend(file: &File, seed: u32, (segment, filled): (Segment, u64), scan: &Scan) -> io::Result<u64> {
    for damaged in scan.damaged.iter().filter(|damaged| scan.is_torn(damaged)) {
        if damaged.position < scan.end {
            cover(file, seed, segment.base, *damaged)?;
        }
    }
    let mut end = scan.end;
    if scan.end < segment.end {
        let least = (HEADER as u64).next_multiple_of(ALIGN);
        let bytes = (segment.end - scan.end).next_multiple_of(ALIGN).max(least);
        end += bytes;
        let tail = Damaged { position: scan.end, bytes };
        // A file that goes on with zeros stays as long as it is.
        let covered = file.set_len(end.max(filled) - segment.base);
        match covered.and_then(|()| cover(file, seed, segment.base, tail)) {
            // Not even room for that: cut it off after all, the index is checked against the end.
            Err(fault) if space::is_full(&fault) => {
                end = scan.end;
                file.set_len(end - segment.base)?;
            }
            other => other?,
        }
    }
    file.sync_all()?;
    Ok(end)
}

/// Stands a gap frame over bytes that were never acknowledged; only its header is written.
fn cover(file: &File, seed: u32, base: u64, damaged: Damaged) -> io::Result<()> {
    let span = usize::try_from(damaged.bytes).unwrap_or(usize::MAX);
    let Some(padded) = span.checked_sub(HEADER) else { return Ok(()) };
    let mut bytes = vec![0; padded];
    file.read_exact_at(&mut bytes, damaged.position - base + HEADER as u64)?;
    let length = u32::try_from(padded).unwrap_or(u32::MAX);
    let payload_crc = crc32c::crc32c(&bytes);
    let head = FrameHead { length, kind: GAP, version: 0, payload_crc, back: 0 };
    file.write_all_at(&head.write(seed, damaged.position), damaged.position - base)
}
