//! Reads single frames back, with a small cache of open files.

use super::frame::{FrameHead, HEADER};
use super::segment::{self, Segment, Segments, StoreId};
use super::walk::Walk;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Files that are kept open.
const FILES: usize = 32;
/// Bytes that are read at first; most frames fit.
const GUESS: usize = 4096;

/// A frame's record, as bytes.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) kind: u8,
    pub(crate) version: u8,
    pub(crate) payload: Bytes,
}

/// Why there is no whole frame.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// Nothing durable stands there (any more).
    #[error("no record stands at position {0}")]
    Missing(u64),
    /// The bytes are damaged.
    #[error("the record at position {0} is damaged")]
    Damaged(u64),
    /// The file cannot be read.
    #[error("the journal cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// Reads the segments; shared by all readers.
#[derive(Debug)]
pub(crate) struct Reader {
    dir: PathBuf,
    seed: u32,
    segments: Arc<Segments>,
    files: Mutex<VecDeque<(u64, Arc<File>)>>,
}

impl Reader {
    pub(crate) fn new(dir: PathBuf, id: StoreId, segments: Arc<Segments>) -> Self {
        Self { dir, seed: id.seed(), segments, files: Mutex::default() }
    }

    pub(crate) fn segments(&self) -> &Segments {
        &self.segments
    }

    pub(crate) fn dir(&self) -> &std::path::Path {
        &self.dir
    }

    /// The record whose frame begins at `position`; its checksum is right.
    ///
    /// # Errors
    /// [`ReadError`]. A file that was unlinked in this moment is [`ReadError::Missing`].
    pub(crate) fn record(&self, position: u64) -> Result<Stored, ReadError> {
        let segment = self.segments.at(position).ok_or(ReadError::Missing(position))?;
        let file = self.file(segment.base)?;
        let left = usize::try_from(segment.end - position).unwrap_or(usize::MAX);
        let mut bytes = vec![0; GUESS.min(left)];
        file.read_exact_at(&mut bytes, position - segment.base)?;
        let head = bytes
            .first_chunk()
            .and_then(|header| FrameHead::read(header, self.seed, position))
            .filter(|head| HEADER + head.padded() <= left)
            .ok_or(ReadError::Damaged(position))?;
        let had = bytes.len();
        bytes.resize(HEADER + head.padded(), 0);
        if let Some(rest) = bytes.get_mut(had..) {
            file.read_exact_at(rest, position - segment.base + had as u64)?;
        }
        if !head.fits(bytes.get(HEADER..).unwrap_or_default()) {
            return Err(ReadError::Damaged(position));
        }
        let payload = Bytes::from(bytes).slice(HEADER..HEADER + head.length as usize);
        Ok(Stored { kind: head.kind, version: head.version, payload })
    }

    /// Walks over a segment from `from` on.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub(crate) fn walk(&self, segment: Segment, from: u64) -> Result<Walk, ReadError> {
        Ok(Walk::new(self.file(segment.base)?, self.seed, segment, from))
    }

    /// Closes the file of a segment that goes.
    pub(crate) fn forget(&self, base: u64) {
        self.files().retain(|(other, _)| *other != base);
    }

    fn file(&self, base: u64) -> Result<Arc<File>, ReadError> {
        let mut files = self.files();
        if let Some(at) = files.iter().position(|(other, _)| *other == base)
            && let Some(entry) = files.remove(at)
        {
            let file = Arc::clone(&entry.1);
            files.push_back(entry);
            return Ok(file);
        }
        let file = match File::open(segment::path(&self.dir, base)) {
            Ok(file) => Arc::new(file),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => {
                return Err(ReadError::Missing(base));
            }
            Err(fault) => return Err(fault.into()),
        };
        if files.len() >= FILES {
            files.pop_front();
        }
        files.push_back((base, Arc::clone(&file)));
        Ok(file)
    }

    fn files(&self) -> std::sync::MutexGuard<'_, VecDeque<(u64, Arc<File>)>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
