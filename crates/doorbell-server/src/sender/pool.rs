//! The connections that are kept for the next exchange. They are known by the address that they go to, never by name
//! alone: whoever takes one out has just vetted that address again.

use super::http1::Http1;
use super::http2::{Http2, Place};
use super::limits::SHARED_PER_KEY;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What makes two connections interchangeable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) security: Security,
    pub(super) address: SocketAddr,
    /// The name (or address) that the certificate is for and the requests are addressed to.
    pub(super) name: Arc<str>,
}

/// Plain or TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Security {
    Plain,
    Tls,
}

/// How many connections are kept, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepIdle {
    /// Idle connections to one receiver.
    pub per_receiver: usize,
    /// Idle or shared connections in all.
    pub total: usize,
    /// How long without use.
    pub time: Duration,
}

impl Default for KeepIdle {
    fn default() -> Self {
        Self {
            per_receiver: super::limits::IDLE_PER_KEY,
            total: super::limits::IDLE,
            time: super::limits::IDLE_FOR,
        }
    }
}

/// A connection taken out of the pool.
#[derive(Debug)]
pub(super) enum Taken {
    Http1(Box<Http1>),
    Http2(Place),
}

/// The kept connections.
#[derive(Debug)]
pub(super) struct Pool {
    keep: KeepIdle,
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// A receiver without connections stays until the next sweep: it will likely have one again at once.
    receivers: HashMap<Key, Kept>,
    /// HTTP/1.1 connections of all receivers.
    idle: usize,
    /// HTTP/1.1 connections that were ever put here.
    turns: u64,
}

/// The connections to one receiver.
#[derive(Debug, Default)]
struct Kept {
    /// Oldest first.
    idle: VecDeque<Idle>,
    shared: Vec<Arc<Http2>>,
}

#[derive(Debug)]
struct Idle {
    turn: u64,
    since: Duration,
    connection: Box<Http1>,
}

/// What is taken out to be closed. That happens when it is dropped, which should not be under the lock.
#[derive(Debug, Default)]
struct Closing(Vec<Idle>, Vec<Arc<Http2>>);

impl Pool {
    pub(super) fn new(keep: KeepIdle) -> Self {
        Self { keep, shelf: Mutex::default() }
    }

    /// A connection that is still good, the most recently used first.
    pub(super) fn take(&self, key: &Key) -> Option<Taken> {
        loop {
            let mut taken = self.lock().take(key)?;
            // This looks at the socket, so not under the lock.
            let good = match &mut taken {
                Taken::Http1(connection) => connection.is_ready(),
                Taken::Http2(_) => true,
            };
            if good {
                return Some(taken);
            }
        }
    }

    /// Keeps a connection that is ready for the next exchange; what is too much is closed, the oldest first.
    pub(super) fn put(&self, key: Key, connection: Box<Http1>, now: Duration) {
        let closing = self.lock().put(key, connection, now, self.keep);
        drop(closing);
    }

    /// Shares a connection, if there is room.
    pub(super) fn share(&self, key: Key, connection: &Arc<Http2>) {
        self.lock().share(key, connection, self.keep);
    }

    /// Closes what has been idle for too long.
    pub(super) fn sweep(&self, now: Duration) {
        let closing = self.lock().expire(now, self.keep.time);
        drop(closing);
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn take(&mut self, key: &Key) -> Option<Taken> {
        let kept = self.receivers.get_mut(key)?;
        if !kept.shared.is_empty() {
            kept.shared.retain(|connection| !connection.is_done());
            if let Some(place) = kept.shared.iter().find_map(Http2::place) {
                return Some(Taken::Http2(place));
            }
        }
        let youngest = kept.idle.pop_back()?;
        self.idle -= 1;
        Some(Taken::Http1(youngest.connection))
    }

    fn put(
        &mut self,
        key: Key,
        connection: Box<Http1>,
        since: Duration,
        keep: KeepIdle,
    ) -> Closing {
        self.turns += 1;
        self.idle += 1;
        let kept = self.receivers.entry(key).or_default();
        kept.idle.push_back(Idle { turn: self.turns, since, connection });
        let mut closing = Closing::default();
        if kept.idle.len() > keep.per_receiver {
            closing.0.extend(kept.idle.pop_front());
            self.idle -= 1;
        }
        if self.idle > keep.total {
            // An eighth at once, so that a full pool is not searched at every turn.
            self.close_oldest((self.idle - keep.total).max(keep.total / 8), &mut closing);
        }
        closing
    }

    fn close_oldest(&mut self, count: usize, closing: &mut Closing) {
        let idle = self.receivers.values().flat_map(|kept| &kept.idle);
        let mut turns: Vec<u64> = idle.map(|idle| idle.turn).collect();
        turns.sort_unstable();
        let Some(&last) = turns.get(count.saturating_sub(1)) else { return };
        for kept in self.receivers.values_mut() {
            while let Some(oldest) = kept.idle.pop_front_if(|idle| idle.turn <= last) {
                closing.0.push(oldest);
                self.idle -= 1;
            }
        }
    }

    fn share(&mut self, key: Key, connection: &Arc<Http2>, keep: KeepIdle) {
        let shared: usize = self.receivers.values().map(|kept| kept.shared.len()).sum();
        let kept = self.receivers.entry(key).or_default();
        if kept.shared.len() < SHARED_PER_KEY && shared + self.idle < keep.total {
            kept.shared.push(connection.clone());
        }
    }

    fn expire(&mut self, now: Duration, time: Duration) -> Closing {
        let mut closing = Closing::default();
        let old = |since: Duration| now.saturating_sub(since) >= time;
        for kept in self.receivers.values_mut() {
            while let Some(oldest) = kept.idle.pop_front_if(|idle| old(idle.since)) {
                closing.0.push(oldest);
                self.idle -= 1;
            }
            closing.1.extend(kept.shared.extract_if(.., |connection| {
                connection.is_done() || connection.idle_since().is_some_and(old)
            }));
        }
        self.receivers.retain(|_, kept| !kept.idle.is_empty() || !kept.shared.is_empty());
        closing
    }
}
