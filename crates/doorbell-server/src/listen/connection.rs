//! One connection from its first byte to its last: HTTP/1 or HTTP/2, under deadlines, parted from in good order.

use super::framing::Fault;
use super::watched::{Deadlines, Heads, Parting, Watched};
use crate::metrics::{Metric, Metrics};
use crate::seldom::Seldom;
use crate::tasks::{Stage, Stop};
use bytes::Bytes;
use doorbell_core::limits;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::error::Error;
use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

/// Bytes that are read and thrown away after an answer that did not wait for the request's body.
const DRAIN_BYTES: usize = 64 << 20;
/// How long that may take, and how long one read of it.
const DRAIN: Duration = Duration::from_secs(30);
const DRAIN_READ: Duration = Duration::from_secs(2);
/// How long a peer that owes us nothing, or that was too slow, is waited for.
const GOODBYE: Duration = Duration::from_secs(1);
/// HTTP/2: requests at once on one connection, and bytes of bodies it may send ahead.
const STREAMS: u32 = 100;
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;

/// Who calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// Whether it speaks TLS.
    pub encrypted: bool,
    /// The request's head byte for byte, request line to empty line. `None` on HTTP/2, which has no such thing.
    pub head: Option<Bytes>,
}

/// Answers the requests of a listener.
pub trait Handler: Send + Sync + 'static {
    /// The body of its answers.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static;

    /// Answers one request. A panic in here is caught and answered by [`Handler::panicked`].
    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        caller: Caller,
    ) -> impl Future<Output = Response<Self::Body>> + Send + 'static;

    /// The answer to a request on which [`Handler::handle`] panicked: a 500 without a word.
    fn panicked(&self) -> Response<Self::Body>;
}

/// A node that is about to end says so with each answer: who sends the next request takes a new connection, and does not
/// find the old one closed.
fn last_or_not<B>(mut answer: Response<B>, stop: &Stop) -> Response<B> {
    if stop.stage() >= Stage::Resting {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}

/// What one connection needs.
#[derive(Debug)]
pub(super) struct Connection<H> {
    pub(super) handler: Arc<H>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) deadlines: Deadlines,
    pub(super) address: SocketAddr,
    pub(super) encrypted: bool,
    pub(super) refused: Arc<RefusedHeads>,
    pub(super) stop: Stop,
}

/// Requests that were refused before they were read, since when the listener began: told of in the log once a minute.
#[derive(Debug)]
pub(super) struct RefusedHeads {
    began: Instant,
    seldom: Seldom,
}

impl RefusedHeads {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), seldom: Seldom::default() }
    }

    fn tell(&self, peer: SocketAddr, why: &dyn Display) {
        if let Some(requests) = self.seldom.happened(self.began.elapsed()) {
            tracing::warn!(requests, %peer, %why, "requests were refused before they were read (the last one is named)");
        }
    }
}

impl<H: Handler> Connection<H> {
    /// Speaks HTTP/1 until either side has had enough.
    pub(super) async fn http1<I>(mut self, io: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let heads = Heads::default();
        let io = TokioIo::new(Watched::http1(io, self.deadlines, heads.clone()));
        let (handler, metrics) = (Arc::clone(&self.handler), Arc::clone(&self.metrics));
        let (address, encrypted, stop) = (self.address, self.encrypted, self.stop.clone());
        let service = service_fn(move |request| {
            let caller = Caller { address, encrypted, head: heads.take() };
            let answer = answer(Arc::clone(&handler), Arc::clone(&metrics), request, caller);
            let stop = stop.clone();
            // In a box, so that an idle connection does not hold room for a request.
            Box::pin(async move { Ok::<_, Infallible>(last_or_not(answer.await, &stop)) })
        });
        let mut builder = http1::Builder::new();
        builder
            // A caller that has said everything may close its side and still gets the answer.
            .half_close(true)
            .max_header_size(limits::HEADER_BLOCK)
            .max_buf_size(limits::HEADER_BLOCK);
        let mut connection = builder.serve_connection(io, service);
        let served = tokio::select! {
            biased;
            served = poll_fn(|cx| connection.poll_without_shutdown(cx)) => served,
            () = self.stop.reached(Stage::Draining) => {
                std::pin::Pin::new(&mut connection).graceful_shutdown();
                poll_fn(|cx| connection.poll_without_shutdown(cx)).await
            }
        };
        let (io, mut parting) = connection.into_parts().io.into_inner().into_parts();
        if let Err(error) = served {
            tracing::debug!(peer = %self.address, %error, "a connection ended early");
            if error.is_parse() {
                // The library found the fault first and has answered it.
                self.metrics.count(Metric::ConnectionsFaulty);
                self.refused.tell(self.address, &error);
                parting = Parting::Drain;
            }
        }
        if let Parting::Answer(fault) = &parting {
            self.metrics.count(Metric::ConnectionsFaulty);
            if *fault != Fault::Timeout {
                self.refused.tell(self.address, fault);
            }
        }
        part(io, parting).await;
    }

    /// Speaks HTTP/2 until either side has had enough.
    pub(super) async fn http2<I>(mut self, io: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let io = TokioIo::new(Watched::http2(io, self.deadlines));
        let (handler, metrics) = (Arc::clone(&self.handler), Arc::clone(&self.metrics));
        let (address, encrypted) = (self.address, self.encrypted);
        let service = service_fn(move |request| {
            let caller = Caller { address, encrypted, head: None };
            let answer = answer(Arc::clone(&handler), Arc::clone(&metrics), request, caller);
            // In a task of its own: a stream that its caller resets is dropped by the library, and what has begun to be
            // made durable must not be left halfway.
            let task = tokio::spawn(answer);
            async move { task.await.map_err(io::Error::other) }
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(self.deadlines.idle / 2)
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(limits::HEADER_BLOCK).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let mut connection = pin!(builder.serve_connection(io, service));
        let served = tokio::select! {
            biased;
            served = connection.as_mut() => served,
            () = self.stop.reached(Stage::Draining) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(peer = %self.address, %error, "a connection ended early");
        }
    }
}

async fn answer<H: Handler>(
    handler: Arc<H>,
    metrics: Arc<Metrics>,
    request: Request<Incoming>,
    caller: Caller,
) -> Response<H::Body> {
    let mut work = pin!(Arc::clone(&handler).handle(request, caller));
    let answered = poll_fn(|cx| {
        // After a panic the future is never polled again, so no broken state is seen.
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    });
    answered.await.unwrap_or_else(|| {
        metrics.count(Metric::RequestsPanicked);
        handler.panicked()
    })
}

/// Says the last word and closes so that it arrives: our side first, then the peer's is read out.
async fn part<I: AsyncRead + AsyncWrite + Unpin>(mut io: I, parting: Parting) {
    let patience = match parting {
        Parting::Close | Parting::Answer(Fault::Timeout) => GOODBYE,
        Parting::Drain | Parting::Answer(_) => DRAIN,
    };
    let goodbye = async {
        if let Parting::Answer(fault) = parting {
            io.write_all(last_word(fault)).await?;
        }
        io.shutdown().await?;
        if parting != Parting::Close {
            drain(&mut io).await?;
        }
        io::Result::Ok(())
    };
    if !matches!(timeout(patience, goodbye).await, Ok(Ok(()))) {
        tracing::trace!("the peer did not wait for the end");
    }
}

async fn drain<I: AsyncRead + Unpin>(io: &mut I) -> io::Result<()> {
    let mut bin = vec![0; 16 << 10];
    let mut drained = 0;
    while drained < DRAIN_BYTES {
        match timeout(DRAIN_READ, io.read(&mut bin)).await {
            Ok(Ok(read @ 1..)) => drained += read,
            Ok(Ok(0)) | Err(_) => break,
            Ok(Err(error)) => return Err(error),
        }
    }
    Ok(())
}

const fn last_word(fault: Fault) -> &'static [u8] {
    match fault {
        Fault::Malformed | Fault::Body => {
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        }
        Fault::TargetTooLong => {
            b"HTTP/1.1 414 URI Too Long\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        }
        Fault::HeadTooLarge => {
            b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        }
        Fault::Timeout => {
            b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        }
    }
}
