//! Writes batches of frames to the end of the journal. Used by one thread.

use super::segment::{self, Segment, Segments, StoreId};
use super::space;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pieces that one call to the kernel takes (`IOV_MAX`).
const PIECES: usize = 1024;

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
    file: File,
    base: u64,
    end: u64,
}

impl Writer {
    /// Opens the last segment for writing, or makes the first one.
    ///
    /// # Errors
    /// When a file cannot be opened or made.
    pub(crate) fn open(
        dir: &Path,
        id: StoreId,
        segment_bytes: u64,
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
        let mut writer = Self {
            dir: dir.to_owned(),
            id,
            segment_bytes,
            segments,
            file,
            base: last.base,
            end: last.end,
        };
        let tail = SeekFrom::Start(writer.end - writer.base);
        writer.file.seek(tail).map_err(WriteError::Undone)?;
        Ok(writer)
    }

    /// Where the next frame will stand. Begins a new segment when this one is full.
    ///
    /// # Errors
    /// As [`Writer::append`]; a segment that could not be made is as if it had never been.
    pub(crate) fn begin(&mut self) -> Result<u64, WriteError> {
        if self.end - self.base >= self.segment_bytes
            && self.end > self.base + segment::HEADER as u64
        {
            let base = self.end;
            self.file = make(&self.dir, self.id, base)?;
            self.base = base;
            self.end = base + segment::HEADER as u64;
            self.segments.push(Segment { base, end: self.end });
        }
        Ok(self.end)
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
        if let Err(fault) = write_all(&mut self.file, frames) {
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

    /// Cuts off a half-written batch.
    fn undo(&mut self, why: &io::Error) -> Result<(), WriteError> {
        let length = self.end - self.base;
        let undone =
            self.file.set_len(length).and_then(|()| self.file.seek(SeekFrom::Start(length)));
        undone.map(drop).map_err(|fault| {
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
    let mut options = OpenOptions::new();
    let made = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
    let written = made.and_then(|mut file| {
        file.write_all(&segment::header(id, base))?;
        Ok(file)
    });
    let file = written.map_err(|fault| {
        std::fs::remove_file(&path).unwrap_or_default();
        undone(fault)
    })?;
    file.sync_all().and_then(|()| sync_dir(dir)).map_err(|fault| {
        WriteError::Broken(format!("fsync of a new journal segment failed: {fault}"))
    })?;
    Ok(file)
}

/// Makes what was created, renamed or removed in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn write_all(file: &mut File, frames: &[&[u8]]) -> io::Result<()> {
    for frames in frames.chunks(PIECES) {
        let mut slices: Vec<IoSlice<'_>> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            match file.write_vectored(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut rest, count),
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) => return Err(fault),
            }
        }
    }
    Ok(())
}
