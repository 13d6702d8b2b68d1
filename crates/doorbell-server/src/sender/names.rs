//! Looking names up: the system's own resolver (`getaddrinfo`, so that `/etc/hosts`, search domains and the like work as
//! they do for `curl`), on threads of our own.
//!
//! `getaddrinfo` cannot be cancelled, and a name whose server never answers holds its thread for half a minute. So each
//! name has at most one thread, shared by all who ask; the threads are bounded; and a name that once was slow waits in a
//! lane of its own, where it only delays its like. Answers are kept for seconds, so that a busy endpoint does not cost a
//! lookup per delivery. Nothing here says that an address may be called: that is judged after every lookup.

use super::faults::fault;
use crate::clock::Clock;
use doorbell_core::attempt::{ErrorClass, Fault};
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// How long an answer is used.
const HOLD: Duration = Duration::from_secs(10);
/// How long a failure is.
const HOLD_FAULT: Duration = Duration::from_secs(2);
/// A lookup that takes longer makes its name a slow one.
const SLOW: Duration = Duration::from_secs(1);
/// Lookups that run at once, of names that are not known to be slow and of those that are.
const LANES: (usize, usize) = (128, 32);
/// Names that are remembered or being looked up.
const NAMES: usize = 10_000;
/// Addresses of one name that are looked at.
const ADDRESSES: usize = 32;
/// Stack of a lookup's thread, in bytes: what name service plug-ins are known to need, and some.
const STACK: usize = 512 << 10;

type Lookup = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Turns a name into addresses; blocks while it does.
#[derive(Clone)]
pub struct Resolver(Arc<Lookup>);

impl Resolver {
    /// The system's.
    #[must_use]
    pub fn system() -> Self {
        Self::answering(|name| Ok((name, 0).to_socket_addrs()?.map(|found| found.ip()).collect()))
    }

    /// One that answers by this function: for tests, and for names that are not in the system's directory.
    pub fn answering(
        lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(lookup))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// What a lookup came to.
type Answer = Result<Arc<[IpAddr]>, Fault>;

#[derive(Debug)]
struct Found {
    answer: Answer,
    at: Duration,
    took: Duration,
}

/// The names that were looked up of late, and those that are just being.
#[derive(Debug)]
pub(super) struct Names {
    resolver: Resolver,
    clock: Clock,
    book: Mutex<HashMap<Box<str>, watch::Receiver<Option<Found>>>>,
    lane: Arc<Semaphore>,
    slow_lane: Arc<Semaphore>,
}

impl Names {
    pub(super) fn new(resolver: Resolver, clock: Clock) -> Self {
        Self {
            resolver,
            clock,
            book: Mutex::default(),
            lane: Arc::new(Semaphore::new(LANES.0)),
            slow_lane: Arc::new(Semaphore::new(LANES.1)),
        }
    }

    /// The addresses of a name, at most [`ADDRESSES`], at least one. Waits as long as the lookup takes; the caller has
    /// the deadline.
    pub(super) async fn look_up(&self, name: &str) -> Answer {
        let mut page = match self.page(name) {
            Page::Written(answer) => return answer,
            Page::Blank(page) => page,
        };
        let lost =
            || fault(ErrorClass::DnsFailed, format!("the lookup of {name} could not be started"));
        let found = page.wait_for(Option::is_some).await.map_err(|_| lost())?;
        found.as_ref().map_or_else(|| Err(lost()), |found| found.answer.clone())
    }

    fn page(&self, name: &str) -> Page {
        let now = self.clock.monotonic();
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let known = book.get(name);
        if let Some(page) = known.and_then(|page| Page::current(page, now)) {
            return page;
        }
        let was_slow = known
            .is_some_and(|page| page.borrow().as_ref().is_some_and(|found| found.took >= SLOW));
        if known.is_none() && book.len() >= NAMES {
            book.retain(|_, page| Page::current(page, now).is_some());
            if book.len() >= NAMES {
                let detail = "too many names are being looked up".to_owned();
                return Page::Written(Err(fault(ErrorClass::DnsFailed, detail)));
            }
        }
        let page = self.start(name, if was_slow { &self.slow_lane } else { &self.lane });
        book.insert(name.into(), page.clone());
        Page::Blank(page)
    }

    fn start(&self, name: &str, lane: &Arc<Semaphore>) -> watch::Receiver<Option<Found>> {
        let (write, page) = watch::channel(None);
        let (lane, resolver, clock) = (lane.clone(), self.resolver.clone(), self.clock.clone());
        let name = name.to_owned();
        tokio::spawn(async move {
            let Ok(permit) = lane.acquire_owned().await else { return };
            let work = move || {
                let began = clock.monotonic();
                let answer = answer(&name, resolver.0(&name));
                let at = clock.monotonic();
                write.send_replace(Some(Found { answer, at, took: at.saturating_sub(began) }));
                drop(permit);
            };
            // When there is no thread to be had, `write` is dropped, and whoever waits is told so.
            let started =
                thread::Builder::new().name("lookup".to_owned()).stack_size(STACK).spawn(work);
            if let Err(error) = started {
                tracing::warn!(%error, "no thread for a lookup");
            }
        });
        page
    }
}

/// Where an answer stands, or will.
enum Page {
    Written(Answer),
    Blank(watch::Receiver<Option<Found>>),
}

impl Page {
    /// The page, when its answer can still be used or is still being waited for.
    fn current(page: &watch::Receiver<Option<Found>>, now: Duration) -> Option<Self> {
        match page.borrow().as_ref() {
            None => page.has_changed().is_ok().then(|| Self::Blank(page.clone())),
            Some(found) => {
                let hold = if found.answer.is_ok() { HOLD } else { HOLD_FAULT };
                let fresh = now.saturating_sub(found.at) < hold;
                fresh.then(|| Self::Written(found.answer.clone()))
            }
        }
    }
}

fn answer(name: &str, result: io::Result<Vec<IpAddr>>) -> Answer {
    match result {
        Ok(addresses) if addresses.is_empty() => {
            Err(fault(ErrorClass::DnsNotFound, format!("{name} has no address")))
        }
        Ok(addresses) => Ok(addresses.into_iter().take(ADDRESSES).collect()),
        Err(error) => Err(fault(class(&error), format!("looking up {name}: {error}"))),
    }
}

/// The standard library does not hand out the number that `getaddrinfo` returned, only its text: those of glibc, musl and
/// macOS for "there is no such name" (`EAI_NONAME`, `EAI_NODATA`).
fn class(error: &io::Error) -> ErrorClass {
    const UNKNOWN: [&str; 5] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided",
    ];
    let text = error.to_string();
    if error.kind() == io::ErrorKind::NotFound || UNKNOWN.iter().any(|known| text.contains(known)) {
        ErrorClass::DnsNotFound
    } else {
        ErrorClass::DnsFailed
    }
}
