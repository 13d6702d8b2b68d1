//! Where acceptance and dispatch meet: how many deliveries each endpoint may have in memory.
//!
//! Before an event is accepted, its taker asks whether each delivery may be lent as it is accepted. When it may not, the
//! endpoint is *spilled*: its deliveries wait in the store until the lane has claimed all of them, so that older ones go
//! first. What was promised is given back when the [`Promises`] are dropped, however the acceptance ended; what is really
//! held is counted by the lanes, when the store lends it. So nothing leaks when a caller goes away halfway.

use doorbell_core::id::EndpointId;
use doorbell_core::limits;
use doorbell_core::places::Places;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// The counters of one endpoint, shared by takers and its lane.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Deliveries that will be lent when their acceptance is durable.
    promised: AtomicUsize,
    /// Deliveries in the lane's memory, in flight included.
    held: AtomicUsize,
    /// Deliveries wait in the store: nothing more is lent on acceptance.
    spilled: AtomicBool,
}

impl Window {
    pub(crate) fn set_spilled(&self, spilled: bool) {
        self.spilled.store(spilled, Ordering::Relaxed);
    }

    pub(crate) fn is_spilled(&self) -> bool {
        self.spilled.load(Ordering::Relaxed)
    }

    fn used(&self) -> usize {
        self.promised.load(Ordering::Relaxed) + self.held.load(Ordering::Relaxed)
    }
}

/// Hands out room in the lanes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Deliveries that all lanes together may hold.
    room: usize,
    windows: RwLock<HashMap<EndpointId, Arc<Window>>>,
    /// Promised and held by all lanes together.
    used: AtomicUsize,
    /// Nobody delivers here, or nobody does any more.
    closed: AtomicBool,
}

impl Default for Desk {
    fn default() -> Self {
        Self::with_room(limits::WINDOW)
    }
}

impl Desk {
    /// A desk with room for so many deliveries of all endpoints together.
    #[must_use]
    pub fn with_room(room: usize) -> Self {
        let (windows, used, closed) = Default::default();
        Self(Arc::new(Inner { room, windows, used, closed }))
    }

    /// A desk at which nobody sits: everything waits in the store for whoever delivers.
    #[must_use]
    pub fn closed() -> Self {
        let desk = Self::default();
        desk.close();
        desk
    }

    /// Nobody sits there any more.
    pub(crate) fn close(&self) {
        self.0.closed.store(true, Ordering::Relaxed);
    }

    fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Relaxed)
    }

    /// The counters of an endpoint, made on first use; as many as there are endpoints, since [`Desk::forget`] removes
    /// those of the deleted.
    pub(crate) fn window(&self, endpoint: EndpointId) -> Arc<Window> {
        if let Some(window) =
            self.0.windows.read().unwrap_or_else(PoisonError::into_inner).get(&endpoint)
        {
            return Arc::clone(window);
        }
        let mut windows = self.0.windows.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(windows.entry(endpoint).or_default())
    }

    pub(crate) fn forget(&self, endpoint: EndpointId) {
        self.0.windows.write().unwrap_or_else(PoisonError::into_inner).remove(&endpoint);
    }

    /// Nothing promised yet; see [`Promises::ask`].
    #[must_use]
    pub fn promises(&self) -> Promises<'_> {
        Promises { desk: self, kept: Vec::new() }
    }

    /// The store has lent so many deliveries to a lane.
    pub(crate) fn hold(&self, window: &Window, count: usize) {
        window.held.fetch_add(count, Ordering::Relaxed);
        self.0.used.fetch_add(count, Ordering::Relaxed);
    }

    /// A lane has let go of so many.
    pub(crate) fn release(&self, window: &Window, count: usize) {
        window.held.fetch_sub(count, Ordering::Relaxed);
        self.0.used.fetch_sub(count, Ordering::Relaxed);
    }

    /// How many more a lane may claim, at most `wanted`. One is always allowed: no endpoint waits for room that others
    /// hold.
    pub(crate) fn room(&self, window: &Window, wanted: usize) -> usize {
        wanted.min(self.share().saturating_sub(window.used())).max(1)
    }

    /// How many deliveries one endpoint may have in memory now: as many as are free, so that those that hold much make room
    /// for those that need little.
    fn share(&self) -> usize {
        Places::new(self.0.room).share(self.used()).min(limits::ENDPOINT_WINDOW)
    }

    /// Whether little room is left.
    pub(crate) fn is_crowded(&self) -> bool {
        self.used() > self.0.room / 8 * 7
    }

    /// Deliveries that all lanes hold or are promised.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }
}

/// Room that was promised to the deliveries of one acceptance; given back when this is dropped.
#[derive(Debug)]
pub struct Promises<'a> {
    desk: &'a Desk,
    kept: Vec<Arc<Window>>,
}

impl Promises<'_> {
    /// Whether a delivery that someone retries may be lent at once. It goes before what waits in the store, so that only
    /// the room in memory counts.
    #[must_use]
    pub fn ask_first(&mut self, endpoint: EndpointId) -> bool {
        if self.desk.is_closed() {
            return false;
        }
        let window = self.desk.window(endpoint);
        let room = window.used() < self.desk.share();
        if room {
            self.keep(window);
        }
        room
    }

    /// Whether a delivery to this endpoint may be lent as it is accepted.
    #[must_use]
    pub fn ask(&mut self, endpoint: EndpointId) -> bool {
        if self.desk.is_closed() {
            return false;
        }
        let window = self.desk.window(endpoint);
        let full = window.used() >= self.desk.share();
        if full {
            window.set_spilled(true);
        }
        if full || window.is_spilled() {
            return false;
        }
        self.keep(window);
        true
    }

    fn keep(&mut self, window: Arc<Window>) {
        window.promised.fetch_add(1, Ordering::Relaxed);
        self.desk.0.used.fetch_add(1, Ordering::Relaxed);
        self.kept.push(window);
    }
}

impl Drop for Promises<'_> {
    fn drop(&mut self) {
        for window in &self.kept {
            window.promised.fetch_sub(1, Ordering::Relaxed);
        }
        self.desk.0.used.fetch_sub(self.kept.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use doorbell_core::time::Time;

    fn endpoint(n: u128) -> EndpointId {
        EndpointId::new(Time::EPOCH, n)
    }

    #[test]
    fn a_full_window_spills_until_the_lane_says_otherwise() {
        let desk = Desk::default();
        let mut promises = desk.promises();
        for _ in 0..limits::ENDPOINT_WINDOW {
            assert!(promises.ask(endpoint(1)));
        }
        assert!(!promises.ask(endpoint(1)) && promises.ask(endpoint(2)));
        drop(promises);
        assert!(!desk.promises().ask(endpoint(1)), "older ones wait in the store");
        assert!(desk.promises().ask_first(endpoint(1)), "someone asked for it");
        desk.window(endpoint(1)).set_spilled(false);
        assert!(desk.promises().ask(endpoint(1)));
    }

    #[test]
    fn what_was_promised_comes_back_however_it_ends() {
        let desk = Desk::default();
        let mut promises = desk.promises();
        assert!(promises.ask(endpoint(1)));
        assert_eq!(desk.used(), 1);
        drop(promises);
        assert_eq!(desk.used(), 0);
    }

    #[test]
    fn a_lane_may_always_claim_one() {
        let desk = Desk::default();
        let window = desk.window(endpoint(1));
        desk.hold(&window, limits::WINDOW + 5);
        assert_eq!(desk.room(&window, 100), 1);
        desk.release(&window, limits::WINDOW + 5);
        assert_eq!(desk.room(&window, 100), 100);
    }
}
