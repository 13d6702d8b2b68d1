//! Where the tortured node delivers to: it remembers who got what, when, and in which life of the node.

use crate::http::{Client, Message, read_message};
use crate::payload::{self, Hash};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One delivery that was answered with 200.
#[derive(Debug, Clone)]
pub(super) struct Hit {
    /// In which life of the node.
    pub(super) life: u64,
    /// When the answer was written.
    pub(super) at: Instant,
    /// The SHA-256 of the body.
    pub(super) hash: Hash,
    /// Its `webhook-id`.
    pub(super) id: String,
}

/// What was received: by key of the event and path of the endpoint.
pub(super) type Hits = BTreeMap<(String, String), Vec<Hit>>;

#[derive(Debug, Default)]
struct State {
    life: AtomicU64,
    requests: AtomicU64,
    /// Those of the shaky endpoint.
    shaky: AtomicU64,
    /// Connections that are open.
    open: AtomicU64,
    hits: Mutex<Hits>,
}

/// A server on loopback that stays through all lives of the node.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    /// Its base address.
    pub(super) url: String,
    state: Arc<State>,
}

impl Receiver {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                state.open.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || {
                    drop(serve(stream, &state));
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(Self { url, state })
    }

    /// From now on, deliveries belong to this life. What the last one had still on the wire is taken in before.
    pub(super) fn begin_life(&self, life: u64) -> Result<()> {
        // Connections are accepted in their order: when ours is answered, all of the last life's have been accepted.
        Client::new(&self.url, None).send("GET /probe", "", b"")?;
        let end = Instant::now() + Duration::from_secs(10);
        while self.state.open.load(Ordering::SeqCst) > 0 {
            ensure!(Instant::now() < end, "a connection of a dead node stays open");
            std::thread::sleep(Duration::from_micros(200));
        }
        self.state.life.store(life, Ordering::SeqCst);
        Ok(())
    }

    /// What was received so far.
    pub(super) fn hits(&self) -> MutexGuard<'_, Hits> {
        self.state.hits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests came, failed ones included.
    pub(super) fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, state: &State) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_message(&mut reader)? {
        if request.path() == "/probe" {
            reader
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        }
        let life = state.life.load(Ordering::SeqCst);
        state.requests.fetch_add(1, Ordering::SeqCst);
        // The shaky endpoint fails one request in eight, so that retries are always on the way when the power goes. One in
        // eight of its own: it never fails twice in a row, so that what pauses is never its circuit breaker.
        if request.path() == "/shaky" && state.shaky.fetch_add(1, Ordering::SeqCst) % 8 == 3 {
            reader
                .get_mut()
                .write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")?;
            continue;
        }
        remember(state, life, &request);
        reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
    Ok(())
}

/// Before the answer: once it is out, the node may count on it.
fn remember(state: &State, life: u64, request: &Message) {
    let key = payload::key(&request.body).unwrap_or("(no key)").to_owned();
    let hit = Hit {
        life,
        at: Instant::now(),
        hash: payload::hash(&request.body),
        id: request.header("webhook-id").unwrap_or_default().to_owned(),
    };
    let mut hits = state.hits.lock().unwrap_or_else(PoisonError::into_inner);
    hits.entry((key, request.path().to_owned())).or_default().push(hit);
}
