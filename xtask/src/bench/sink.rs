//! Where deliveries end: a server on a thread of its own that answers 200 at once, counts, and times what it gets.

use super::load;
use super::sample::Histogram;
use super::wire::{self, Wire};
use anyhow::{Context, Result, ensure};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// The path that never answers, while the sink is told so.
pub(super) const DEAD_PATH: &str = "/dead";

#[derive(Debug)]
struct State {
    epoch: Instant,
    count: AtomicU64,
    dead: AtomicBool,
    /// Requests that are not answered, ever.
    held: AtomicU64,
    /// From the moment when the event was due to be sent to its arrival here.
    times: Mutex<Histogram>,
    last: Mutex<Instant>,
}

/// The server.
#[derive(Debug, Clone)]
pub(super) struct Sink {
    /// `host:port`.
    pub(super) address: String,
    state: Arc<State>,
}

impl Sink {
    /// Starts it; `epoch` is time zero of the ids.
    pub(super) fn start(epoch: Instant) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?.to_string();
        let state = Arc::new(State {
            epoch,
            count: AtomicU64::new(0),
            dead: AtomicBool::new(false),
            held: AtomicU64::new(0),
            times: Mutex::default(),
            last: Mutex::new(epoch),
        });
        let shared = Arc::clone(&state);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || runtime.block_on(serve(listener, shared)));
        Ok(Self { address, state })
    }

    /// From now on, [`DEAD_PATH`] never answers.
    pub(super) fn play_dead(&self) {
        self.state.dead.store(true, Ordering::Relaxed);
    }

    /// Requests that are not answered, and whose sender still waits.
    pub(super) fn held(&self) -> u64 {
        self.state.held.load(Ordering::Relaxed)
    }

    /// How many arrived.
    pub(super) fn count(&self) -> u64 {
        self.state.count.load(Ordering::Relaxed)
    }

    /// Takes the times so far, and begins anew.
    pub(super) fn take_times(&self) -> Histogram {
        std::mem::take(&mut *self.state.times.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until so many have arrived; when the last one did.
    pub(super) fn wait_for(&self, count: u64, limit: Duration) -> Result<Instant> {
        let end = Instant::now() + limit;
        while self.count() < count {
            ensure!(Instant::now() < end, "{} of {count} arrived within {limit:?}", self.count());
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(*self.state.last.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn serve(listener: std::net::TcpListener, state: Arc<State>) -> Result<()> {
    let listener = TcpListener::from_std(listener).context("the sink cannot listen")?;
    loop {
        let (stream, _) = listener.accept().await?;
        let state = Arc::clone(&state);
        tokio::spawn(async move { drop(connection(stream, &state).await) });
    }
}

async fn connection(stream: TcpStream, state: &State) -> Result<()> {
    let mut wire = Wire::new(stream)?;
    while let Some(frame) = wire.message().await? {
        let head = wire.head(frame);
        if state.dead.load(Ordering::Relaxed) && wire::path(head) == DEAD_PATH.as_bytes() {
            state.held.fetch_add(1, Ordering::Relaxed);
            wire.closed().await;
            state.held.fetch_sub(1, Ordering::Relaxed);
            return Ok(());
        }
        let now = Instant::now();
        let sent = wire::header(head, b"x-github-delivery").and_then(load::sent_at);
        if let Some(sent) = sent {
            let took = now.saturating_duration_since(state.epoch).saturating_sub(sent);
            state.times.lock().unwrap_or_else(PoisonError::into_inner).add(took);
        }
        *state.last.lock().unwrap_or_else(PoisonError::into_inner) = now;
        state.count.fetch_add(1, Ordering::Relaxed);
        wire.done(frame);
        wire.write(ANSWER).await?;
    }
    Ok(())
}
