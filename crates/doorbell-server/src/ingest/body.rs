//! Reading a request's body: under its source's limit, and under one limit for all bodies together.

use crate::listen::Deadlines;
use crate::metrics::{Metric, Metrics};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// Bytes that all bodies may hold together. What is counted is what came; a buffer that grows may hold twice that.
#[derive(Debug)]
pub(crate) struct Budget {
    most: u64,
    metrics: Arc<Metrics>,
}

/// A part of the [`Budget`]; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    pub(crate) const fn new(most: usize, metrics: Arc<Metrics>) -> Self {
        Self { most: most as u64, metrics }
    }

    fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), bytes: 0 }
    }
}

impl Share {
    /// Takes more; `false` when there is no more.
    fn grow(&mut self, by: usize) -> bool {
        let by = by as u64;
        self.bytes += by;
        let before = self.budget.metrics.add(Metric::BodyBytesInFlight, by);
        before.saturating_add(by) <= self.budget.most
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.metrics.subtract(Metric::BodyBytesInFlight, self.bytes);
    }
}

/// Why there is no body.
#[derive(Debug)]
pub(crate) enum NoBody {
    /// It is over the limit. What was read of it by then is given.
    TooLarge(Bytes),
    /// All bodies together are over theirs.
    NoRoom,
    /// It took too long.
    Overdue,
    /// It is malformed or was broken off.
    Broken,
}

/// How a body is to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Largest body, in bytes.
    pub(crate) most: usize,
    /// Deadlines to keep here. `None` on HTTP/1, where the connection's watch keeps them.
    pub(crate) deadlines: Option<Deadlines>,
}

/// Reads a body whole. A `Content-Length` over the limit is refused before a byte is read (and before a caller that
/// waits for `100 Continue` gets it).
pub(crate) async fn read(
    mut body: Incoming,
    rules: Rules,
    budget: &Arc<Budget>,
) -> Result<(Bytes, Share), NoBody> {
    let mut share = budget.share();
    let expected = body.size_hint().lower();
    if expected > rules.most as u64 {
        return Err(NoBody::TooLarge(Bytes::new()));
    }
    let mut gathered = Gathered::default();
    let end = rules.deadlines.map(|d| Instant::now() + d.body);
    while !body.is_end_stream() {
        let frame = match (rules.deadlines, end) {
            (Some(deadlines), Some(end)) => {
                let until = end.min(Instant::now() + deadlines.idle);
                timeout_at(until, body.frame()).await.map_err(|_| NoBody::Overdue)?
            }
            _ => body.frame().await,
        };
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|error| broken(&error))?;
        // Trailers are not kept (RFC 9110, section 6.5.1, lets a recipient drop them).
        let Ok(data) = frame.into_data() else { continue };
        if gathered.len() + data.len() > rules.most {
            return Err(NoBody::TooLarge(gathered.into_bytes()));
        }
        if !share.grow(data.len()) {
            return Err(NoBody::NoRoom);
        }
        gathered.push(&data, expected);
    }
    Ok((gathered.into_bytes(), share))
}

/// The bytes so far, in memory of their own: a piece of the connection's read buffer would keep all of that alive.
#[derive(Debug, Default)]
struct Gathered(BytesMut);

impl Gathered {
    /// The most that is set aside for what a caller merely announces, in bytes.
    const TRUST: u64 = 64 << 10;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn push(&mut self, data: &[u8], expected: u64) {
        if self.0.is_empty() {
            let room = usize::try_from(expected.min(Self::TRUST)).unwrap_or_default();
            self.0.reserve(room.max(data.len()));
        }
        self.0.extend_from_slice(data);
    }

    fn into_bytes(self) -> Bytes {
        // A buffer that has grown by doubling is given back to size when much of it is unused.
        if self.0.capacity() > self.0.len() + self.0.len() / 4 + 64 {
            return Bytes::copy_from_slice(&self.0);
        }
        self.0.freeze()
    }
}

fn broken(error: &hyper::Error) -> NoBody {
    let cause = error.source().and_then(|e| e.downcast_ref::<io::Error>());
    match cause.map(io::Error::kind) {
        Some(io::ErrorKind::TimedOut) => NoBody::Overdue,
        _ => NoBody::Broken,
    }
}
