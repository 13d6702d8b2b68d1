//! A connection with its two buffers: what came and was not read, what is to be written.

use crate::dial::{Stream, unreachable};
use crate::limits;
use crate::message::QueueError;
use bytes::{Buf as _, BytesMut};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

/// Bytes that are read at once.
const READ: usize = 16 << 10;

/// A connection. Reading and writing go on side by side, so that a peer who does not read cannot keep us from hearing it.
pub(crate) struct Wire {
    stream: Stream,
    /// What came.
    pub(crate) came: BytesMut,
    /// What is to be written.
    pub(crate) out: BytesMut,
    unflushed: bool,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire")
            .field("came", &self.came.len())
            .field("out", &self.out.len())
            .finish()
    }
}

impl Wire {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, came: BytesMut::new(), out: BytesMut::new(), unflushed: false }
    }

    /// Whether more may be handed in to be written.
    pub(crate) fn has_room(&self) -> bool {
        self.out.len() < limits::UNWRITTEN
    }

    /// Writes what there is to write; returns when it is written or something new has come. Cancel safe.
    pub(crate) async fn turn(&mut self) -> Result<(), QueueError> {
        let turn = poll_fn(|context| {
            let written = self.poll_say(context)?;
            if let Poll::Ready(heard) = self.poll_read(context) {
                return Poll::Ready(heard);
            }
            if written { Poll::Ready(Ok(())) } else { Poll::Pending }
        });
        turn.await.map_err(|error| unreachable(&error))
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut room = [0_u8; READ];
        let mut buffer = ReadBuf::new(&mut room);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()))
            }
            Poll::Ready(Ok(())) => {
                self.came.extend_from_slice(buffer.filled());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether anything was written and nothing is left.
    fn poll_say(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let mut any = false;
        while !self.out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(context, &self.out) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.out.advance(written);
                    self.unflushed = true;
                    any = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(false),
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.stream).poll_flush(context) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(false),
            }
        }
        Ok(any)
    }

    /// Until all is written or the peer is gone, but not for long.
    pub(crate) async fn finish(&mut self) {
        let all = async {
            while !self.out.is_empty() {
                if self.turn().await.is_err() {
                    return;
                }
            }
        };
        drop(tokio::time::timeout(limits::BACKOFF_MAX, all).await);
    }
}
