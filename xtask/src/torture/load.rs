//! The senders: a few connections that post as fast as they are answered, and a ledger of what was promised to them.

use crate::http::Client;
use crate::payload::{self, Dice, Hash, SECRET};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is known of one event that was sent.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// The SHA-256 of its body.
    pub(super) hash: Hash,
    /// Whether the node answered 2xx.
    pub(super) acked: bool,
    /// Its id, once it was found in the store.
    pub(super) found: Option<String>,
}

/// All events that were sent, by key. What is written here is never forgotten by the harness.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<BTreeMap<String, Sent>>>);

impl Ledger {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Sent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many were acknowledged.
    pub(super) fn acked(&self) -> usize {
        self.lock().values().filter(|sent| sent.acked).count()
    }
}

/// How to load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// Connections.
    pub(super) connections: u64,
    /// Events of each connection; `u64::MAX`: until the node dies or the load is stopped.
    pub(super) events: u64,
    /// Bytes that are added to each body.
    pub(super) ballast: usize,
    /// Each connection posts one so often; `None`: as fast as it is answered.
    pub(super) every: Option<Duration>,
}

/// What the senders saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Answers 2xx.
    pub(super) acked: AtomicU64,
    /// Answers 503.
    pub(super) shed: AtomicU64,
    /// 503 answers without Retry-After.
    pub(super) without_retry_after: AtomicU64,
    /// Any other answer.
    pub(super) other: AtomicU64,
}

/// Senders at work.
#[derive(Debug)]
pub(super) struct Load {
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    /// What they saw so far.
    pub(super) seen: Arc<Seen>,
}

impl Load {
    /// Starts the senders of one life; `life` makes their keys unique.
    pub(super) fn start(ingest: &str, ledger: &Ledger, life: u64, shape: Shape) -> Self {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Seen::default()));
        let threads = (0..shape.connections).map(|lane| {
            let mut sender = Sender {
                client: Client::new(ingest, None),
                ledger: ledger.clone(),
                seen: Arc::clone(&seen),
                dice: Dice::new(life.wrapping_mul(1_000).wrapping_add(lane)),
            };
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut next = Instant::now();
                for n in 0..shape.events {
                    if let Some(every) = shape.every {
                        std::thread::sleep(next.saturating_duration_since(Instant::now()));
                        // What was missed while nothing was answered is not made up for.
                        next = (next + every).max(Instant::now());
                    }
                    let key = format!("{life}-{lane}-{n}");
                    if stop.load(Ordering::Relaxed) || !sender.post(&key, shape.ballast) {
                        return;
                    }
                }
            })
        });
        Self { threads: threads.collect(), stop, seen }
    }

    /// Waits until the senders have ended by themselves.
    pub(super) fn join(self) -> Arc<Seen> {
        for thread in self.threads {
            drop(thread.join());
        }
        self.seen
    }

    /// Ends the senders.
    pub(super) fn stop(self) -> Arc<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }
}

struct Sender {
    client: Client,
    ledger: Ledger,
    seen: Arc<Seen>,
    dice: Dice,
}

impl Sender {
    /// Posts one event; false when the node is gone.
    fn post(&mut self, key: &str, ballast: usize) -> bool {
        let mut body = payload::body(key, &mut self.dice);
        body.resize(body.len() + ballast, b'.');
        let sent = Sent { hash: payload::hash(&body), acked: false, found: None };
        self.ledger.lock().insert(key.to_owned(), sent);
        let headers = payload::github_headers(&body, key, SECRET);
        let Ok(answer) = self.client.send("POST /in/torture", &headers, &body) else {
            return false;
        };
        match answer.status() {
            200..=299 => {
                if let Some(sent) = self.ledger.lock().get_mut(key) {
                    sent.acked = true;
                }
                self.seen.acked.fetch_add(1, Ordering::Relaxed);
            }
            503 => {
                self.seen.shed.fetch_add(1, Ordering::Relaxed);
                let polite = answer.header("retry-after").is_some();
                self.seen.without_retry_after.fetch_add(u64::from(!polite), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
            _ => {
                self.seen.other.fetch_add(1, Ordering::Relaxed);
            }
        }
        true
    }
}
