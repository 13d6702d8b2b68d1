//! Opens a journal: finds its segments, cuts what a power cut left half written, and reports damage.
//!
//! Only the last segment can hold bytes that were never acknowledged: each batch is synced before the next begins, and
//! a segment is left only after its last batch. So bytes behind the last whole frame are cut off; and damage with whole
//! frames of the *same batch* behind it is a torn batch too: it is covered with a gap frame, and those behind stay.
//! Anything else that is damaged was once durable: it is reported and left alone, and what stands behind it is read.

use super::frame::{FrameHead, GAP, HEADER};
use super::segment::{self, HeaderFault, Segment, StoreId};
use super::walk::{Damaged, Framed, Step, Walk};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// A batch that was never acknowledged, left half written by a crash or power cut; it was cut off or covered. When
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

/// Finds the segments in `dir`, repairs the last one's tail, and calls `seen` for each of its frames.
pub(crate) fn recover(
    dir: &Path,
    id: StoreId,
    mut seen: impl FnMut(Framed<'_>),
) -> Result<Recovered, RecoverError> {
    let mut damage = Vec::new();
    let mut segments = Vec::new();
    let mut bases = bases(dir)?;
    drop_unborn(dir, &mut bases)?;
    for (at, base) in bases.iter().copied().enumerate() {
        let path = segment::path(dir, base);
        let file = File::open(&path).map_err(io_at(&path))?;
        let length = file.metadata().map_err(io_at(&path))?.len();
        check_header(&path, &file, (id, base), &mut damage)?;
        let next = bases.get(at + 1).copied().unwrap_or(u64::MAX);
        let end = (base + length.max(segment::HEADER as u64)).min(next);
        segments.push(Segment { base, end });
    }
    if let Some(last) = segments.last_mut() {
        let path = segment::path(dir, last.base);
        last.end = repair(&path, id, *last, &mut seen, &mut damage).map_err(io_at(&path))?;
    }
    Ok(Recovered { segments, damage })
}

/// Walks over a whole segment that is not written to any more.
pub(crate) fn inspect(
    mut walk: Walk,
    path: &Path,
    base: u64,
    mut seen: impl FnMut(Framed<'_>),
) -> io::Result<Vec<Damage>> {
    let mut damage = Vec::new();
    loop {
        match walk.step()? {
            Step::Frame(frame) => seen(frame),
            Step::Damaged(found) => {
                damage.push(told(path, base, found, DamageKind::Record));
            }
            Step::End => return Ok(damage),
        }
    }
}

pub(crate) fn told(path: &Path, base: u64, found: Damaged, kind: DamageKind) -> Damage {
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
fn drop_unborn(dir: &Path, bases: &mut Vec<u64>) -> Result<(), RecoverError> {
    let Some(last) = bases.last().copied() else { return Ok(()) };
    let path = segment::path(dir, last);
    let file = File::open(&path).map_err(io_at(&path))?;
    let length = file.metadata().map_err(io_at(&path))?.len();
    let header = first_bytes(&file).map_err(io_at(&path))?;
    if length <= segment::HEADER as u64
        && segment::read_header(&header) == Err(HeaderFault::Damaged)
    {
        fs::remove_file(&path).map_err(io_at(&path))?;
        bases.pop();
    }
    Ok(())
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

/// Cuts and covers what was never acknowledged in the last segment; returns where it ends now. It is synced afterwards,
/// so that nothing that was read from it can be gone after the next power cut.
fn repair(
    path: &Path,
    id: StoreId,
    segment: Segment,
    seen: &mut dyn FnMut(Framed<'_>),
    damage: &mut Vec<Damage>,
) -> io::Result<u64> {
    let file = Arc::new(OpenOptions::new().read(true).write(true).open(path)?);
    let mut walk = Walk::new(Arc::clone(&file), id.seed(), segment, segment.base);
    let (mut end, mut last_batch) = (segment.first(), segment.base);
    let mut found = Vec::new();
    loop {
        match walk.step()? {
            Step::Frame(frame) => {
                (end, last_batch) = (frame.end, frame.batch_at);
                seen(frame);
            }
            Step::Damaged(damaged) => found.push(damaged),
            Step::End => break,
        }
    }
    for damaged in found {
        let torn = damaged.position >= last_batch;
        if torn && damaged.position < end {
            cover(&file, id.seed(), segment.base, damaged)?;
        }
        let kind = if torn { DamageKind::Torn } else { DamageKind::Record };
        damage.push(told(path, segment.base, damaged, kind));
    }
    if end < segment.end {
        file.set_len(end - segment.base)?;
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
