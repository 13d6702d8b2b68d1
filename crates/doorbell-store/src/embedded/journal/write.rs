//! Writes batches of frames to the end of the journal. Used by one thread.

use super::room::{self, BLOCK, Room};
use super::segment::{self, Segment, Segments, StoreId};
use super::space;
use crate::embedded::private;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of frames that are gathered for one call to the kernel; a larger frame is written by itself.
const GATHERED: usize = 1 << 20;

/// Why a batch was not made durable.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// No room; it is as if the batch had never been.
    Full,
    /// The write failed; it is as if the batch had never been.
    Undone(io::Error),
    /// Nothing may be promised any more.
    Broken(String),
}

/// The end of the journal.
#[derive(Debug)]
pub(crate) struct Writer {
    dir: PathBuf,
    id: StoreId,
    segment_bytes: u64,
    segments: Arc<Segments>,
    room: Room,
    file: File,
    base: u64,
    end: u64,
    /// How long the file is: zeros stand from the end of the journal up to there.
    filled: u64,
    gathered: Vec<u8>,
}

impl Writer {
    /// Opens the last segment for writing, or makes the first one. `reserve`: bytes of the disk that no room is made of.
    ///
    /// # Errors
    /// When a file cannot be opened or made.
    pub(crate) fn open(
        dir: &Path,
        id: StoreId,
        (segment_bytes, reserve): (u64, u64),
        segments: Arc<Segments>,
    ) -> Result<Self, WriteError> {
        let (file, last) = match segments.all().last().copied() {
            Some(last) => {
                let path = segment::path(dir, last.base);
                let file = OpenOptions::new().write(true).open(path);
                (file.map_err(WriteError::Undone)?, last)
            }
            None => {
                let first = Segment { base: 0, end: segment::HEADER as u64 };
                let file = make(dir, id, first.base)?;
                segments.push(first);
                (file, first)
            }
        };
        let filled = file.metadata().map_err(WriteError::Undone)?.len();
        Ok(Self {
            dir: dir.to_owned(),
            id,
            segment_bytes,
            segments,
            room: Room::new(dir, segment_bytes, reserve),
            file,
            base: last.base,
            end: last.end,
            filled,
            gathered: Vec::new(),
        })
    }

    /// Where the next frame will stand. Begins a new segment when this one is full.
    ///
    /// # Errors
    /// As [`Writer::append`]; a segment that could not be made is as if it had never been.
    pub(crate) fn begin(&mut self) -> Result<u64, WriteError> {
        let used = self.end - self.base;
        if used >= self.segment_bytes && used > segment::HEADER as u64 {
            self.begin_segment()?;
        } else if used >= self.segment_bytes / 2 {
            self.room.prepare();
        }
        Ok(self.end)
    }

    fn begin_segment(&mut self) -> Result<(), WriteError> {
        let base = self.end;
        let (file, filled) = match self.room.take() {
            Some(file) => (adopt(&self.dir, self.id, base, file)?, self.room.bytes()),
            None => (make(&self.dir, self.id, base)?, segment::HEADER as u64),
        };
        (self.file, self.filled) = (file, filled);
        self.base = base;
        self.end = base + segment::HEADER as u64;
        self.segments.push(Segment { base, end: self.end });
        Ok(())
    }

    /// Where the segment begins that is written to.
    pub(crate) const fn base(&self) -> u64 {
        self.base
    }

    /// Writes the frames and syncs; when it returns `Ok` they are durable, but readers see them only after
    /// [`Writer::publish`].
    ///
    /// # Errors
    /// [`WriteError`]; after [`WriteError::Broken`] the writer must not be used again.
    pub(crate) fn append(&mut self, frames: &[&[u8]]) -> Result<(), WriteError> {
        if let Err(fault) = self.write(frames) {
            self.undo(&fault)?;
            return Err(undone(fault));
        }
        if let Err(fault) = self.file.sync_data() {
            // What the kernel did with the pages is unknown, and asking again would only hide it. Nothing of this batch
            // was acknowledged, so it may as well be gone.
            let undone = self.undo(&fault);
            let after = if undone.is_ok() { "" } else { "; nor could it be undone" };
            return Err(WriteError::Broken(format!(
                "fdatasync of the journal failed: {fault}{after}"
            )));
        }
        self.end += frames.iter().map(|frame| frame.len() as u64).sum::<u64>();
        Ok(())
    }

    /// Lets readers see everything that is durable.
    pub(crate) fn publish(&self) {
        self.segments.grew(self.end);
    }

    /// Writes the frames in as few calls as there need be. Over zeros, whole blocks are written, with zeros behind the
    /// last frame: else the rest of the block would have to be read from the disk first.
    fn write(&mut self, frames: &[&[u8]]) -> io::Result<()> {
        self.gathered.clear();
        let mut at = self.end - self.base;
        for frame in frames {
            if self.gathered.len() + frame.len() > GATHERED {
                at = self.put_gathered(at)?;
            }
            if frame.len() > GATHERED {
                self.file.write_all_at(frame, at)?;
                at += frame.len() as u64;
            } else {
                self.gathered.extend_from_slice(frame);
            }
        }
        let end = at + self.gathered.len() as u64;
        let block = end.next_multiple_of(BLOCK as u64);
        if block <= self.filled {
            let zeros = usize::try_from(block - end).unwrap_or_default();
            self.gathered.resize(self.gathered.len() + zeros, 0);
        }
        self.put_gathered(at).map(drop)
    }

    fn put_gathered(&mut self, at: u64) -> io::Result<u64> {
        self.file.write_all_at(&self.gathered, at)?;
        let end = at + self.gathered.len() as u64;
        self.gathered.clear();
        Ok(end)
    }

    /// Cuts off a half-written batch, and the room behind it.
    fn undo(&mut self, why: &io::Error) -> Result<(), WriteError> {
        self.filled = self.end - self.base;
        self.file.set_len(self.filled).map_err(|fault| {
            WriteError::Broken(format!(
                "a write to the journal failed ({why}) and could not be undone: {fault}"
            ))
        })
    }
}

fn undone(fault: io::Error) -> WriteError {
    if space::is_full(&fault) { WriteError::Full } else { WriteError::Undone(fault) }
}

/// Makes a segment: header and name are durable when it returns. What fails before the first sync is removed again; what
/// cannot be removed is an unborn segment, which is made anew here or removed at the next open.
fn make(dir: &Path, id: StoreId, base: u64) -> Result<File, WriteError> {
    let path = segment::path(dir, base);
    let written = private::file(&path).and_then(|mut file| {
        file.write_all(&segment::header(id, base))?;
        Ok(file)
    });
    let file = written.map_err(|fault| {
        std::fs::remove_file(&path).unwrap_or_default();
        undone(fault)
    })?;
    file.sync_all().and_then(|()| sync_dir(dir)).map_err(|fault| born_badly(&fault))?;
    Ok(file)
}

/// Makes a segment of the room that is there; as [`make`], which it falls back upon before anything was synced.
fn adopt(dir: &Path, id: StoreId, base: u64, file: File) -> Result<File, WriteError> {
    let room = room::path(dir);
    if file.write_all_at(&segment::header(id, base), 0).is_err() {
        std::fs::remove_file(&room).unwrap_or_default();
        return make(dir, id, base);
    }
    // Its header is durable before its name: a segment with zeros in place of a header would be a damaged one.
    file.sync_data().map_err(|fault| born_badly(&fault))?;
    if std::fs::rename(&room, segment::path(dir, base)).is_err() {
        std::fs::remove_file(&room).unwrap_or_default();
        return make(dir, id, base);
    }
    sync_dir(dir).map_err(|fault| born_badly(&fault))?;
    Ok(file)
}

fn born_badly(fault: &io::Error) -> WriteError {
    WriteError::Broken(format!("fsync of a new journal segment failed: {fault}"))
}

/// Makes what was created, renamed or removed in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
