//! One HTTP/2 connection, shared by many exchanges. Its tasks live exactly as long as somebody holds it.

use super::faults::{Broken, of_head};
use super::limits::{STREAMS, exchange};
use super::message::{self, Ending};
use super::meter::Meter;
use super::stream::Stream;
use super::trace::{Phase, Trace};
use crate::clock::Clock;
use bytes::Bytes;
use doorbell_core::attempt::Answer;
use doorbell_core::limits;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// A connection that many exchanges may use at once.
#[derive(Debug)]
pub(super) struct Http2 {
    sender: SendRequest<Full<Bytes>>,
    meter: Arc<Meter>,
    clock: Clock,
    in_flight: AtomicUsize,
    retired: AtomicBool,
    used: Mutex<Duration>,
    /// Dropped with this; then its tasks end, whatever they wait for.
    _tether: watch::Sender<()>,
}

impl Http2 {
    pub(super) async fn start(
        stream: Stream,
        meter: Arc<Meter>,
        clock: Clock,
    ) -> Result<Arc<Self>, hyper::Error> {
        let (_tether, tethered) = watch::channel(());
        let tasks = Tethered(tethered);
        let (sender, connection) = Builder::new(tasks.clone())
            .max_header_list_size(u32::try_from(limits::RESPONSE_HEADER_BLOCK).unwrap_or(u32::MAX))
            .initial_stream_window_size(65_535)
            .initial_connection_window_size(1 << 18)
            .max_frame_size(16_384)
            .max_send_buf_size(1 << 16)
            .max_concurrent_reset_streams(STREAMS)
            .handshake(TokioIo::new(stream))
            .await?;
        hyper::rt::Executor::execute(&tasks, connection);
        let used = Mutex::new(clock.monotonic());
        Ok(Arc::new(Self {
            sender,
            meter,
            clock,
            in_flight: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            used,
            _tether,
        }))
    }

    /// A place on it for one exchange; `None` when it is full or done with.
    pub(super) fn place(self: &Arc<Self>) -> Option<Place> {
        if self.is_done() {
            return None;
        }
        let others = self.in_flight.fetch_add(1, Ordering::AcqRel);
        let place = Place { connection: self.clone(), fate: Fate::Retire };
        if others < STREAMS {
            Some(place)
        } else {
            place.give_back();
            None
        }
    }

    /// Whether it takes no more exchanges.
    pub(super) fn is_done(&self) -> bool {
        self.retired.load(Ordering::Acquire) || self.sender.is_closed()
    }

    /// Since when nothing has been in flight; `None` while something is.
    pub(super) fn idle_since(&self) -> Option<Duration> {
        let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
        (self.in_flight.load(Ordering::Acquire) == 0).then_some(used)
    }
}

/// What becomes of the connection when an exchange is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Keep,
    Retire,
}

/// The right to one exchange on a shared connection. When the exchange fails, or is cut off by its deadline, the
/// connection gets no new ones: whatever ails it does not spread, and it is closed when the others are done.
#[derive(Debug)]
pub(super) struct Place {
    connection: Arc<Http2>,
    fate: Fate,
}

impl Place {
    /// Sends a request and reads its response.
    pub(super) async fn exchange(
        mut self,
        request: Request<Full<Bytes>>,
        keep: usize,
        trace: &mut Trace,
    ) -> Result<Answer, Broken> {
        let shared = &self.connection;
        let in_flight = shared.in_flight.load(Ordering::Acquire);
        shared.meter.arm(exchange(keep).saturating_mul(in_flight));
        trace.enter(Phase::Head);
        let response = shared.sender.clone().send_request(request).await;
        let response = response.map_err(|error| Broken::before_head(of_head(&error)))?;
        let (answer, Ending::Complete | Ending::Cut) =
            message::answer(response, keep, trace).await.map_err(Broken::after_head)?;
        self.fate = Fate::Keep;
        Ok(answer)
    }

    fn give_back(mut self) {
        self.fate = Fate::Keep;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let shared = &self.connection;
        if self.fate == Fate::Retire {
            shared.retired.store(true, Ordering::Release);
        }
        *shared.used.lock().unwrap_or_else(PoisonError::into_inner) = shared.clock.monotonic();
        shared.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Runs hyper's tasks for a connection until it, or the connection's owner, is done.
#[derive(Debug, Clone)]
struct Tethered(watch::Receiver<()>);

impl<F> hyper::rt::Executor<F> for Tethered
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        let mut owner = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = task => {}
                _ = owner.changed() => {}
            }
        });
    }
}
