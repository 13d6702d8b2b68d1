//! Walks over the frames of one segment, past damage, with a bounded window of the file in memory.

use super::frame::{ALIGN, FrameHead, GAP, HEADER};
use super::segment::Segment;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes that are read at once; a larger frame is read whole.
const WINDOW: usize = 1 << 20;

/// What stands next in a segment.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    /// A whole frame.
    Frame(Framed<'a>),
    /// Bytes that are no whole frame, up to the next one or the end.
    Damaged(Damaged),
    /// Nothing more.
    End,
}

/// A frame that was read and checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Framed<'a> {
    pub(crate) position: u64,
    pub(crate) kind: u8,
    pub(crate) version: u8,
    /// Where the batch begins that it was written with.
    pub(crate) batch_at: u64,
    pub(crate) payload: &'a [u8],
    /// The position behind it.
    pub(crate) end: u64,
}

/// Bytes that are no whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged {
    pub(crate) position: u64,
    pub(crate) bytes: u64,
}

/// A walk over one segment.
#[derive(Debug)]
pub(crate) struct Walk {
    file: Arc<File>,
    seed: u32,
    base: u64,
    /// Behind the last byte that may belong to a frame.
    end: u64,
    /// No frame begins here or behind.
    stop: u64,
    at: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Walk {
    /// Walks from the frame at `from` to the segment's end.
    pub(crate) fn new(file: Arc<File>, seed: u32, segment: Segment, from: u64) -> Self {
        let at = from.max(segment.first());
        let Segment { base, end } = segment;
        Self { file, seed, base, end, stop: end, at, window: Vec::new(), window_at: at }
    }

    /// The same, over a file that is filled with zeros up to `filled`: a frame that begins before the segment's end may
    /// reach into them.
    pub(crate) fn into_zeros(self, filled: u64) -> Self {
        Self { end: filled.max(self.stop), ..self }
    }

    /// The next frame or damage.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn step(&mut self) -> io::Result<Step<'_>> {
        loop {
            let position = self.at;
            if position >= self.stop {
                return Ok(Step::End);
            }
            let Some(head) = self.head(position)? else {
                return self.resynchronise(position).map(Step::Damaged);
            };
            self.at = position + head.span();
            if !head.fits(self.body(position, head)?) {
                return Ok(Step::Damaged(Damaged { position, bytes: head.span() }));
            }
            if head.kind != GAP {
                return Ok(Step::Frame(self.framed(position, head)));
            }
        }
    }

    fn framed(&self, position: u64, head: FrameHead) -> Framed<'_> {
        let start = self.offset(position) + HEADER;
        let payload = self.window.get(start..start + head.length as usize).unwrap_or_default();
        Framed {
            position,
            kind: head.kind,
            version: head.version,
            batch_at: position.saturating_sub(head.back.into()),
            payload,
            end: position + head.span(),
        }
    }

    /// Looks for the next whole frame behind bytes that are none.
    fn resynchronise(&mut self, position: u64) -> io::Result<Damaged> {
        let mut at = position + ALIGN;
        while at < self.stop {
            if let Some(head) = self.head(at)?
                && head.fits(self.body(at, head)?)
            {
                break;
            }
            at += ALIGN;
        }
        self.at = at.min(self.stop);
        Ok(Damaged { position, bytes: self.at - position })
    }

    /// The header of the frame at `position`, if one is there and what it speaks of lies within the segment.
    fn head(&mut self, position: u64) -> io::Result<Option<FrameHead>> {
        if self.end - position < HEADER as u64 {
            return Ok(None);
        }
        self.load(position, HEADER)?;
        let header = self.window.get(self.offset(position)..).and_then(<[u8]>::first_chunk);
        let head = header.and_then(|header| FrameHead::read(header, self.seed, position));
        Ok(head.filter(|head| head.span() <= self.end - position))
    }

    fn body(&mut self, position: u64, head: FrameHead) -> io::Result<&[u8]> {
        let span = HEADER + head.padded();
        self.load(position, span)?;
        let start = self.offset(position);
        Ok(self.window.get(start + HEADER..start + span).unwrap_or_default())
    }

    fn offset(&self, position: u64) -> usize {
        usize::try_from(position.saturating_sub(self.window_at)).unwrap_or(usize::MAX)
    }

    /// Makes the window hold `count` bytes from `position` on.
    fn load(&mut self, position: u64, count: usize) -> io::Result<()> {
        let held = self.window_at + self.window.len() as u64;
        if self.window_at <= position && position + count as u64 <= held {
            return Ok(());
        }
        let left = usize::try_from(self.end - position).unwrap_or(usize::MAX);
        self.window.resize(count.max(WINDOW).min(left), 0);
        self.window.shrink_to(WINDOW);
        self.window_at = position;
        self.file.read_exact_at(&mut self.window, position - self.base)
    }
}
