//! The connections that are kept for the next exchange. They are known by the address that they go to, never by name
//! alone: whoever takes one out has just vetted that address again.

use super::http1::Http1;
use super::http2::{Http2, Place};
use super::limits::SHARED_PER_KEY;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
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
    /// Idle HTTP/1.1 connections by the order in which they were put here, the one idle for longest first.
    idle: BTreeMap<u64, Idle>,
    /// Where a receiver's idle connections stand in `idle`, oldest first.
    places: HashMap<Key, Vec<u64>>,
    shared: HashMap<Key, Vec<Arc<Http2>>>,
    next: u64,
}

#[derive(Debug)]
struct Idle {
    key: Key,
    since: Duration,
    connection: Box<Http1>,
}

impl Pool {
    pub(super) fn new(keep: KeepIdle) -> Self {
        Self { keep, shelf: Mutex::default() }
    }

    /// A connection that is still good, the most recently used first.
    pub(super) fn take(&self, key: &Key) -> Option<Taken> {
        loop {
            let mut shelf = self.lock();
            if let Some(place) = shelf.shared_place(key) {
                return Some(Taken::Http2(place));
            }
            let mut connection = shelf.pop(key)?;
            drop(shelf);
            // This looks at the socket, so not under the lock.
            if connection.is_ready() {
                return Some(Taken::Http1(connection));
            }
        }
    }

    /// Keeps a connection that is ready for the next exchange; what is too much is closed, the oldest first.
    pub(super) fn put(&self, key: Key, connection: Box<Http1>, now: Duration) {
        let closing = self.lock().push(Idle { key, since: now, connection }, self.keep);
        drop(closing);
    }

    /// Shares a connection, if there is room.
    pub(super) fn share(&self, key: Key, connection: &Arc<Http2>) {
        let mut shelf = self.lock();
        let total = shelf.shared.values().map(Vec::len).sum::<usize>() + shelf.idle.len();
        let alike = shelf.shared.entry(key).or_default();
        if alike.len() < SHARED_PER_KEY && total < self.keep.total {
            alike.push(connection.clone());
        }
    }

    /// Closes what has been idle for too long.
    pub(super) fn sweep(&self, now: Duration) {
        let closing = self.lock().expire(now, self.keep.time);
        drop(closing);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is closed when it is dropped, which should not be under the lock.
#[derive(Debug, Default)]
struct Closing(Vec<Idle>, Vec<Arc<Http2>>);

impl Shelf {
    fn shared_place(&mut self, key: &Key) -> Option<Place> {
        let alike = self.shared.get_mut(key)?;
        alike.retain(|connection| !connection.is_done());
        alike.iter().find_map(Http2::place)
    }

    fn pop(&mut self, key: &Key) -> Option<Box<Http1>> {
        let places = self.places.get_mut(key)?;
        let last = places.pop()?;
        if places.is_empty() {
            self.places.remove(key);
        }
        self.idle.remove(&last).map(|idle| idle.connection)
    }

    /// Takes a connection in, and out what is then too much.
    fn push(&mut self, new: Idle, keep: KeepIdle) -> Closing {
        let mut closing = Closing::default();
        self.next += 1;
        let alike = self.places.entry(new.key.clone()).or_default();
        alike.push(self.next);
        let too_many = alike.len() > keep.per_receiver;
        let oldest = alike.first().copied().filter(|_| too_many);
        self.idle.insert(self.next, new);
        closing.0.extend(oldest.and_then(|place| self.remove(place)));
        while self.idle.len() > keep.total {
            let Some((&oldest, _)) = self.idle.first_key_value() else { break };
            closing.0.extend(self.remove(oldest));
        }
        closing
    }

    fn expire(&mut self, now: Duration, time: Duration) -> Closing {
        let mut closing = Closing::default();
        let old = |since: Duration| now.saturating_sub(since) >= time;
        while let Some((&oldest, _)) =
            self.idle.first_key_value().filter(|(_, idle)| old(idle.since))
        {
            closing.0.extend(self.remove(oldest));
        }
        for alike in self.shared.values_mut() {
            closing.1.extend(alike.extract_if(.., |connection| {
                connection.is_done() || connection.idle_since().is_some_and(old)
            }));
        }
        self.shared.retain(|_, alike| !alike.is_empty());
        closing
    }

    fn remove(&mut self, place: u64) -> Option<Idle> {
        let idle = self.idle.remove(&place)?;
        if let Some(places) = self.places.get_mut(&idle.key) {
            places.retain(|other| *other != place);
            if places.is_empty() {
                self.places.remove(&idle.key);
            }
        }
        Some(idle)
    }
}
