//! One HTTP/1.1 connection. It has no task of its own: whoever exchanges on it drives it, and while it is idle nobody
//! does. So it costs no wake-up between tasks, and is gone the moment that the exchange is dropped.

use super::faults::{Broken, of_head};
use super::limits::BUFFER;
use super::message::{self, Ending};
use super::meter::Meter;
use super::stream::Stream;
use super::trace::{Phase, Trace};
use bytes::Bytes;
use doorbell_core::attempt::Answer;
use doorbell_core::limits::RESPONSE_HEADER_BLOCK;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

type Wire = Connection<TokioIo<Stream>, Full<Bytes>>;

/// A connection that one exchange at a time may use.
#[derive(Debug)]
pub(super) struct Http1 {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once it has ended.
    wire: Option<Wire>,
    meter: Arc<Meter>,
}

impl Http1 {
    pub(super) async fn start(stream: Stream, meter: Arc<Meter>) -> Result<Self, hyper::Error> {
        let (sender, wire) = Builder::new()
            .max_buf_size(BUFFER)
            .max_header_size(RESPONSE_HEADER_BLOCK)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self { sender, wire: Some(wire), meter })
    }

    /// Sends a request and reads its response.
    pub(super) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        keep: usize,
        trace: &mut Trace,
    ) -> Result<(Answer, Ending), Broken> {
        self.meter.arm(super::limits::exchange(keep));
        trace.enter(Phase::Head);
        let sender = &mut self.sender;
        let work = async {
            let response = sender.send_request(request).await;
            let response = response.map_err(|error| Broken::before_head(of_head(&error)))?;
            message::answer(response, keep, trace).await.map_err(Broken::after_head)
        };
        drive(&mut self.wire, work).await
    }

    /// Whether it can carry another exchange. Looks at the socket, without waiting: whether the receiver has closed it,
    /// or has sent what nobody asked for.
    pub(super) fn is_ready(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let Some(wire) = &mut self.wire else { return false };
        if Pin::new(wire).poll(&mut cx).is_ready() {
            self.wire = None;
            return false;
        }
        matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Ok(())))
    }
}

/// Polls the work, and the connection that it waits for, until the work is done.
async fn drive<W: Future>(wire: &mut Option<Wire>, work: W) -> W::Output {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Poll::Ready(done) = work.as_mut().poll(cx) {
            return Poll::Ready(done);
        }
        if wire.as_mut().is_some_and(|wire| Pin::new(wire).poll(cx).is_ready()) {
            *wire = None;
        }
        work.as_mut().poll(cx)
    })
    .await
}
