//! A connection's bytes under watch: each read is followed by [`Framing`], and what is overdue ends the connection.
//!
//! One timer per connection, re-armed only when it must ring earlier than it was set for, so that a busy keep-alive
//! connection never touches the timer wheel.

use super::framing::{Fault, Framing, Phase};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long the peer may take over what.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// Over the TLS handshake.
    pub handshake: Duration,
    /// Over a head, from its first byte.
    pub head: Duration,
    /// Between two messages, between two reads of a body, and over taking our answer.
    pub idle: Duration,
    /// Over a whole body.
    pub body: Duration,
}

/// The heads that were read and not yet served, in order: the reader puts them in, the service takes them out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heads(Arc<Mutex<VecDeque<Bytes>>>);

impl Heads {
    /// The head of the request that is being served.
    pub(crate) fn take(&self) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn with<T>(&self, put: impl FnOnce(&mut VecDeque<Bytes>) -> T) -> T {
        put(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is read on the connection.
#[derive(Debug)]
enum Protocol {
    /// HTTP/1: messages are followed.
    One { framing: Framing, heads: Heads },
    /// HTTP/2: only silence is noticed.
    Two,
}

/// A stream under watch.
#[derive(Debug)]
pub(crate) struct Watched<I> {
    inner: I,
    protocol: Protocol,
    deadlines: Deadlines,
    fault: Option<Fault>,
    ended: bool,
    reading: Wait,
    body: Option<Instant>,
    writing: Wait,
    timer: Option<Pin<Box<Sleep>>>,
}

/// Since when one side waits: `None` while it does not.
#[derive(Debug, Default)]
struct Wait(Option<Instant>);

impl<I> Watched<I> {
    pub(crate) fn http1(inner: I, deadlines: Deadlines, heads: Heads) -> Self {
        Self::new(inner, deadlines, Protocol::One { framing: Framing::default(), heads })
    }

    pub(crate) fn http2(inner: I, deadlines: Deadlines) -> Self {
        Self::new(inner, deadlines, Protocol::Two)
    }

    fn new(inner: I, deadlines: Deadlines, protocol: Protocol) -> Self {
        Self {
            inner,
            protocol,
            deadlines,
            fault: None,
            ended: false,
            reading: Wait::default(),
            body: None,
            writing: Wait::default(),
            timer: None,
        }
    }

    /// The stream itself, and how to part with the peer.
    pub(crate) fn into_parts(self) -> (I, Parting) {
        let parting = match (self.fault, self.phase()) {
            _ if self.ended => Parting::Close,
            (Some(Fault::Timeout), Phase::Between) => Parting::Close,
            (Some(Fault::Timeout), Phase::Head) => Parting::Answer(Fault::Timeout),
            (Some(Fault::Timeout | Fault::Body), _) => Parting::Drain,
            (Some(fault), _) => Parting::Answer(fault),
            (None, Phase::Between) => Parting::Close,
            (None, Phase::Head | Phase::Body) => Parting::Drain,
        };
        (self.inner, parting)
    }

    fn phase(&self) -> Phase {
        match &self.protocol {
            Protocol::One { framing, .. } => framing.phase(),
            Protocol::Two => Phase::Between,
        }
    }

    /// What came: how much of it may be passed on.
    fn take(&mut self, fresh: &[u8]) -> usize {
        let Protocol::One { framing, heads } = &mut self.protocol else {
            self.reading.0 = None;
            return fresh.len();
        };
        let before = framing.phase();
        let fed = heads.with(|heads| framing.feed(fresh, heads));
        self.fault = fed.fault;
        let after = framing.phase();
        // Neither a further piece of a head nor empty lines between messages buy time.
        let blank = after == Phase::Between && fresh.iter().all(|b| matches!(b, b'\r' | b'\n'));
        if !blank && (before != Phase::Head || after != Phase::Head) {
            self.reading.0 = None;
        }
        if after != Phase::Body {
            self.body = None;
        }
        fed.pass
    }

    /// Nothing came: whether that is too long by now.
    fn read_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let now = Instant::now();
        let limit = match self.phase() {
            Phase::Head => self.deadlines.head,
            Phase::Between | Phase::Body => self.deadlines.idle,
        };
        let mut until = *self.reading.0.get_or_insert(now + limit);
        if self.phase() == Phase::Body {
            until = until.min(*self.body.get_or_insert(now + self.deadlines.body));
        }
        self.overdue(until, now, cx)
    }

    fn write_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        let now = Instant::now();
        let until = *self.writing.0.get_or_insert(now + self.deadlines.idle);
        self.overdue(until, now, cx)
    }

    /// Whether `until` has passed; if not, the task is woken no later than then.
    fn overdue(&mut self, until: Instant, now: Instant, cx: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        if timer.deadline() > until {
            timer.as_mut().reset(until);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if until <= now.max(timer.deadline()) {
                return true;
            }
            timer.as_mut().reset(until);
        }
        false
    }
}

/// How to part with the peer once the HTTP library is done with the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// Nothing is owed to either side.
    Close,
    /// It may still send what nobody will read; closing at once could cost it our answer (RFC 9112, section 9.6).
    Drain,
    /// It gets this answer first: the library does not know of the fault.
    Answer(Fault),
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(fault) = this.fault {
            return Poll::Ready(Err(fault.into()));
        }
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut this.inner).poll_read(cx, buf) else {
            if this.read_overdue(cx) {
                this.fault = Some(Fault::Timeout);
                return Poll::Ready(Err(Fault::Timeout.into()));
            }
            return Poll::Pending;
        };
        read?;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            this.ended = true;
            return Poll::Ready(Ok(()));
        }
        let pass = this.take(fresh);
        match this.fault {
            // Nothing may be passed on: no bytes would look like the end of the stream.
            Some(fault) if pass == 0 => {
                buf.set_filled(before);
                Poll::Ready(Err(fault.into()))
            }
            _ => {
                buf.set_filled(before + pass);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl<I: AsyncWrite + Unpin> Watched<I> {
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.writing.0 = None;
        } else if self.write_overdue(cx) {
            self.ended = true;
            return Poll::Ready(Err(Fault::Timeout.into()));
        }
        polled
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.written(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_flush(cx);
        this.written(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        let kind = match fault {
            Fault::Timeout => io::ErrorKind::TimedOut,
            Fault::Malformed | Fault::TargetTooLong | Fault::HeadTooLarge | Fault::Body => {
                io::ErrorKind::InvalidData
            }
        };
        Self::new(kind, fault)
    }
}
