//! Room for the next segment, made ahead of its use: a file that is filled with zeros and synced.
//!
//! To write over bytes that are there already changes nothing but these bytes, so that the sync after it has no sizes
//! and no new blocks to write down: it costs about half. It is made by a thread that lives as long as that takes, and
//! only once the segment before is half full, so that a small store does not pay for it. Where it fails, or is not
//! ready in time, the next segment is an empty file that grows: that works as well, and only costs more.

use super::space;
use crate::embedded::private;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Zeros that are written at once.
const PIECE: usize = 1 << 20;
/// The disk's blocks begin at multiples of this, in the file and in memory.
pub(crate) const BLOCK: usize = 4096;

/// Makes room for one segment at a time.
#[derive(Debug)]
pub(crate) struct Room {
    dir: PathBuf,
    bytes: u64,
    reserve: u64,
    making: Option<Making>,
}

#[derive(Debug)]
struct Making {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<()>>,
}

/// The file that is being made.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("next.room")
}

impl Room {
    /// `bytes` for each segment, as long as `reserve` bytes and twice that are free on the disk.
    pub(crate) fn new(dir: &Path, bytes: u64, reserve: u64) -> Self {
        Self { dir: dir.to_owned(), bytes, reserve, making: None }
    }

    /// Begins to make room, unless that is under way or done.
    pub(crate) fn prepare(&mut self) {
        let least = self.reserve.saturating_add(self.bytes.saturating_mul(2));
        if self.making.is_some() || space::free(&self.dir).is_ok_and(|free| free < least) {
            return;
        }
        let (path, bytes, stop) = (path(&self.dir), self.bytes, Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("doorbell-room".to_owned());
        match thread.spawn(move || fill(&path, bytes, &told)) {
            Ok(thread) => self.making = Some(Making { stop, thread }),
            Err(fault) => tracing::debug!(%fault, "no thread to make room for the next segment"),
        }
    }

    /// The file, if it is ready.
    pub(crate) fn take(&mut self) -> Option<File> {
        let making = self.making.take_if(|making| making.thread.is_finished())?;
        let made = making.thread.join().ok()?;
        match made.and_then(|()| OpenOptions::new().write(true).open(path(&self.dir))) {
            Ok(file) => Some(file),
            Err(fault) => {
                tracing::debug!(%fault, "no room was made for the next segment");
                None
            }
        }
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if let Some(making) = self.making.take() {
            making.stop.store(true, Ordering::Relaxed);
            drop(making.thread.join());
            fs::remove_file(path(&self.dir)).unwrap_or_default();
        }
    }
}

/// Writes the zeros past the page cache where that can be had: they will not be read.
fn fill(path: &Path, bytes: u64, stop: &AtomicBool) -> io::Result<()> {
    let past_cache = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    let mut options = private::options();
    options.truncate(true);
    let made = options
        .clone()
        .custom_flags(past_cache)
        .open(path)
        .and_then(|file| write_zeros(file, bytes, stop));
    let made = made.or_else(|_| options.open(path).and_then(|file| write_zeros(file, bytes, stop)));
    made.inspect_err(|_| fs::remove_file(path).unwrap_or_default())
}

fn write_zeros(mut file: File, bytes: u64, stop: &AtomicBool) -> io::Result<()> {
    let buffer = vec![0; PIECE + BLOCK];
    let skip = buffer.as_ptr().align_offset(BLOCK);
    let mut left = usize::try_from(bytes).unwrap_or(usize::MAX).next_multiple_of(BLOCK);
    while left > 0 {
        if stop.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let piece = buffer.get(skip..skip + left.min(PIECE)).unwrap_or_default();
        file.write_all(piece)?;
        left -= piece.len();
        if piece.is_empty() {
            return Err(io::ErrorKind::Unsupported.into());
        }
    }
    file.sync_all()
}
