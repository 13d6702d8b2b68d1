//! One endpoint's queue in memory, as a plain state machine: what may start now, what to ask the store, when to look again.

use crate::desk::Window;
use doorbell_core::attempt::Outcome;
use doorbell_core::body_room::BodyRoom;
use doorbell_core::breaker::{self, Breaker, Condition, Pass};
use doorbell_core::delivery::{DiscardReason, State};
use doorbell_core::directory::ReadyEndpoint;
use doorbell_core::endpoint::{Endpoint, Policy, Status};
use doorbell_core::event::Event;
use doorbell_core::id::DeliveryId;
use doorbell_core::limits;
use doorbell_core::pace::{Pace, Turn};
use doorbell_core::standing::Standing;
use doorbell_core::time::Time;
use doorbell_store::{Claims, Lent};
use std::collections::VecDeque;
use std::sync::Arc;

/// Settlements on their way at once while deliveries are discarded (endpoint disabled or deleted): no network, so no
/// policy binds.
const DISCARDS_AT_ONCE: usize = 256;

/// A lane that holds more makes no claim.
const CLAIMS_BELOW: usize = limits::ENDPOINT_WINDOW / 4;

/// One endpoint's queue.
#[derive(Debug)]
pub(crate) struct Lane {
    /// As configured now; `None` once it was deleted.
    endpoint: Option<Arc<ReadyEndpoint>>,
    pub(crate) window: Arc<Window>,
    waiting: VecDeque<Lent>,
    /// Deliveries whose settlement is on its way to the store: they hold no place any more.
    settling: usize,
    /// Bytes of the bodies that are out, small ones left out.
    bodies_out: u64,
    claiming: bool,
    /// When the earliest delivery that waits in the store is due, as far as is known; `None`: nothing waits there.
    stored_due: Option<Time>,
    breaker: Breaker,
    /// Whether it was told last that the breaker is not closed.
    told_open: bool,
    pace: Pace,
    /// The earliest alarm that was set and has not rung.
    alarm: Option<Time>,
    /// Where it stands in line.
    pub(crate) lines: Lines,
}

/// The lines of the loop in which a lane stands, in each at most once.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each line: a lane may stand in all")]
pub(crate) struct Lines {
    /// Of those that may start something.
    pub(crate) ring: bool,
    /// Of those that wait to make a claim.
    pub(crate) claims: bool,
    /// Of those that could start something, were their share larger.
    pub(crate) squeezed: bool,
    /// Of those whose next body is a large one.
    pub(crate) heavy: bool,
}

/// Whether a lane may start a delivery now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// It may.
    Open,
    /// Not before.
    Until(Time),
    /// Not until something else happens (a delivery ends, the configuration changes).
    Shut,
}

/// What is free on the node for tries of one lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Free {
    /// Tries that it may have out beside its own limit.
    pub(crate) places: usize,
    pub(crate) bodies: BodyRoom,
    /// Bytes of bodies that are out in all.
    pub(crate) bodies_out: u64,
}

impl Free {
    /// Whatever it needs.
    pub(crate) const ALL: Self =
        Self { places: usize::MAX, bodies: BodyRoom::new(u64::MAX), bodies_out: 0 };

    /// The same, but for large bodies, which have a line of their own.
    pub(crate) const fn for_small(self) -> Self {
        Self { bodies: BodyRoom::new(0), bodies_out: 1, ..self }
    }

    /// The same, if there were room for any body.
    pub(crate) const fn for_any(self) -> Self {
        Self { bodies: Self::ALL.bodies, bodies_out: 0, ..self }
    }
}

/// How a waiting delivery is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// With its event.
    Whole,
    /// The event is read from the store when it starts.
    ById,
}

/// Which of the deliveries that wait in the store a claim is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sought {
    /// Those that are due.
    Due,
    /// All, since they are only written off.
    All,
}

/// A claim that a lane wants made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) by_key: bool,
    pub(crate) sought: Sought,
    pub(crate) most: usize,
    /// With their events: they are started at once.
    pub(crate) events: bool,
}

/// A delivery whose turn it is.
#[derive(Debug)]
pub(crate) enum Start {
    /// It is tried.
    Try(Try),
    /// It is only written off; it counts as settling.
    Discard(Lent, DiscardReason),
}

impl Start {
    pub(crate) const fn delivery(&self) -> DeliveryId {
        match self {
            Self::Try(start) => start.lent.delivery.id,
            Self::Discard(lent, _) => lent.delivery.id,
        }
    }
}

/// A delivery that is tried, and has its place.
#[derive(Debug)]
pub(crate) struct Try {
    pub(crate) lent: Lent,
    pub(crate) endpoint: Arc<ReadyEndpoint>,
    pub(crate) pass: Pass,
}

/// How a try ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End<'a> {
    /// To where it went.
    pub(crate) url: &'a str,
    pub(crate) pass: Pass,
    pub(crate) outcome: Option<&'a Outcome>,
    pub(crate) body_len: u64,
    pub(crate) dice: u64,
}

impl Lane {
    pub(crate) fn new(endpoint: Option<Arc<ReadyEndpoint>>, window: Arc<Window>) -> Self {
        let mut lane = Self {
            endpoint: None,
            window,
            waiting: VecDeque::new(),
            settling: 0,
            bodies_out: 0,
            claiming: false,
            stored_due: None,
            breaker: Breaker::default(),
            told_open: false,
            pace: Pace::new(&Policy::default()),
            alarm: None,
            lines: Lines::default(),
        };
        lane.configure(endpoint, Time::EPOCH);
        lane
    }

    /// Takes over a changed configuration. An endpoint that moved or was switched on again starts with a closed breaker;
    /// one that was deleted has none. Where order is not kept any more, a claim finds what it held back.
    pub(crate) fn configure(&mut self, endpoint: Option<Arc<ReadyEndpoint>>, now: Time) {
        let kept_order = self.keeps_order();
        if let Some(new) = endpoint.as_deref().map(ReadyEndpoint::endpoint) {
            let known =
                self.configured().filter(|old| old.url == new.url && old.status == new.status);
            if known.is_none() {
                self.breaker = Breaker::default();
            }
            self.pace.adjust(&new.policy);
        } else {
            self.breaker = Breaker::default();
        }
        self.endpoint = endpoint;
        let is_gone = self.is_deleted() && self.stored_due.is_some();
        if is_gone || (kept_order && !self.keeps_order()) {
            self.store_has(Time::EPOCH, now);
        }
        if self.is_paused() {
            self.window.set_spilled(true);
        }
    }

    pub(crate) fn configured(&self) -> Option<&Endpoint> {
        self.endpoint.as_deref().map(ReadyEndpoint::endpoint)
    }

    fn is_paused(&self) -> bool {
        self.configured().is_some_and(|e| e.status == Status::Paused)
    }

    /// Whether a delivery waits for those of its key that go before it. What is only written off waits for nothing.
    pub(crate) fn keeps_order(&self) -> bool {
        self.off().is_none() && self.configured().is_some_and(|e| e.policy.order.is_some())
    }

    /// Whether what is settled is to be followed at once by the next of its key. Not while so much is held that no claim is
    /// made: then keys that wait in the store have their turn.
    pub(crate) fn wants_next(&self) -> bool {
        self.keeps_order() && !self.is_paused() && self.waiting.len() <= CLAIMS_BELOW
    }

    const fn is_deleted(&self) -> bool {
        self.endpoint.is_none()
    }

    /// When what is due in the store at `due` is to be claimed: of an endpoint that was deleted all is written off at once.
    const fn sought(&self, due: Time) -> Time {
        if self.is_deleted() { Time::EPOCH } else { due }
    }

    /// Why its deliveries are only to be written off, if they are.
    fn off(&self) -> Option<DiscardReason> {
        match self.configured().map(|endpoint| &endpoint.status) {
            None => Some(DiscardReason::EndpointDeleted),
            Some(Status::Disabled { .. }) => Some(DiscardReason::EndpointDisabled),
            Some(Status::Enabled | Status::Paused) => None,
        }
    }

    /// Adds a delivery that the store lent. A lane that cannot run for a while holds ids, not bodies.
    pub(crate) fn push(&mut self, mut lent: Lent, now: Time) -> Held {
        if lent.delivery.asked {
            self.breaker.ask(now);
        }
        if self.is_paused() || matches!(self.peek(now, usize::MAX), Gate::Until(_)) {
            lent.payload = None;
        }
        let held = if lent.payload.is_some() { Held::Whole } else { Held::ById };
        self.line_up(lent);
        held
    }

    /// What someone asked for goes first. So it is the probe of a breaker that is open.
    fn line_up(&mut self, lent: Lent) {
        if lent.delivery.asked {
            self.waiting.push_front(lent);
        } else {
            self.waiting.push_back(lent);
        }
    }

    /// Something may wait in the store, due at `due` or earlier. What is due already goes before what is accepted next.
    pub(crate) fn store_has(&mut self, due: Time, now: Time) {
        let due = self.sought(due);
        if due <= now {
            self.window.set_spilled(true);
        }
        self.stored_due = Some(self.stored_due.map_or(due, |known| known.min(due)));
    }

    /// Takes what a claim brought. What was learnt of the store meanwhile (a nudge) still counts.
    pub(crate) fn claimed(&mut self, claims: Claims, now: Time) {
        self.claiming = false;
        let next_due = claims.next_due.map(|due| self.sought(due));
        self.stored_due = [self.stored_due, next_due].into_iter().flatten().min();
        if claims.lent.iter().any(|lent| lent.delivery.asked) {
            self.breaker.ask(now);
        }
        claims.lent.into_iter().for_each(|lent| self.line_up(lent));
        self.window.set_spilled(self.stored_due.is_some_and(|due| due <= now));
    }

    /// A claim failed: look again at `retry`.
    pub(crate) fn claim_failed(&mut self, retry: Time) {
        self.claiming = false;
        self.stored_due = Some(self.stored_due.map_or(retry, |known| known.min(retry)));
    }

    /// Whether a claim should be made now: something is due in the store and there is use for it here.
    pub(crate) fn would_wish(&self, now: Time) -> bool {
        let due = self.stored_due.is_some_and(|due| due <= now);
        let held = self.waiting.len();
        due && !self.claiming
            && !self.is_paused()
            && held <= CLAIMS_BELOW
            && (held == 0 || self.peek(now, usize::MAX) == Gate::Open)
    }

    /// The claim to make now, if any; it counts as under way. A lane that cannot start anything (open breaker, rate)
    /// claims one, to have its probe at hand.
    pub(crate) fn wish(&mut self, now: Time) -> Option<Wish> {
        if !self.would_wish(now) {
            return None;
        }
        self.claiming = true;
        self.stored_due = None;
        // A probe is no proof yet.
        let open = self.peek(now, usize::MAX) == Gate::Open && self.breaker.is_closed();
        let most = if open { limits::ENDPOINT_WINDOW / 2 } else { 1 };
        let events = open && self.off().is_none();
        let sought = if self.is_deleted() { Sought::All } else { Sought::Due };
        Some(Wish { by_key: self.keeps_order(), sought, most, events })
    }

    /// When to look again by itself, if ever.
    fn next_look(&self, now: Time) -> Option<Time> {
        if self.is_paused() {
            return None;
        }
        let gate = match self.peek(now, usize::MAX) {
            Gate::Until(at) if !self.waiting.is_empty() => Some(at),
            Gate::Open | Gate::Until(_) | Gate::Shut => None,
        };
        let stored = if self.claiming { None } else { self.stored_due.filter(|due| *due > now) };
        gate.into_iter().chain(stored).min()
    }

    /// An alarm to set now, unless one as early is set already.
    pub(crate) fn new_alarm(&mut self, now: Time) -> Option<Time> {
        let at = self.next_look(now)?;
        if self.alarm.is_some_and(|set| set <= at) {
            return None;
        }
        self.alarm = Some(at);
        Some(at)
    }

    pub(crate) fn alarm_rang(&mut self, at: Time) {
        if self.alarm == Some(at) {
            self.alarm = None;
        }
    }

    /// Whether it may start a delivery now, with at most `places` out. Changes nothing.
    fn peek(&self, now: Time, places: usize) -> Gate {
        if self.is_paused() {
            return Gate::Shut;
        }
        if self.off().is_some() {
            return if self.settling < DISCARDS_AT_ONCE { Gate::Open } else { Gate::Shut };
        }
        if usize::try_from(self.pace.out()).unwrap_or(usize::MAX) >= places {
            return Gate::Shut;
        }
        let (mut pace, mut breaker) = (self.pace, self.breaker);
        match pace.admit(now) {
            Turn::Full => Gate::Shut,
            Turn::Wait(until) => Gate::Until(until),
            Turn::Go => match breaker.admit(now) {
                breaker::Gate::Go(_) => Gate::Open,
                breaker::Gate::Wait(until) => Gate::Until(until),
            },
        }
    }

    /// Takes the next delivery to start, if there is one and it may start. Those that do not begin (someone took them
    /// away while they waited) are handed to `dropped`.
    pub(crate) fn start(
        &mut self,
        (now, free): (Time, Free),
        begins: impl Fn(&Lent) -> bool,
        mut dropped: impl FnMut(Lent),
    ) -> Option<Start> {
        let lent = loop {
            // Anew for each: the next one's body may be larger.
            if !self.is_ready(now, free) {
                return None;
            }
            let lent = self.waiting.pop_front()?;
            if begins(&lent) {
                break lent;
            }
            dropped(lent);
        };
        if let Some(why) = self.off() {
            self.settling += 1;
            return Some(Start::Discard(lent, why));
        }
        match (self.endpoint.clone(), self.pace.admit(now), self.breaker.admit(now)) {
            (Some(endpoint), Turn::Go, breaker::Gate::Go(pass)) => {
                self.bodies_out += BodyRoom::weight(lent.body_len);
                Some(Start::Try(Try { lent, endpoint, pass }))
            }
            _ => {
                self.waiting.push_front(lent);
                None
            }
        }
    }

    /// Whether it has something to start and may.
    pub(crate) fn is_ready(&self, now: Time, free: Free) -> bool {
        let Some(next) = self.waiting.front() else { return false };
        let fits = || free.bodies.admits(free.bodies_out, self.bodies_out, next.body_len);
        self.peek(now, free.places) == Gate::Open && (self.off().is_some() || fits())
    }

    /// A try has ended: its place is free, and what came of it is on its way to the store. `outcome`: `None` when nothing
    /// was sent. What came of a try at an address that the endpoint has left says nothing about where it is now.
    pub(crate) fn tried(&mut self, end: End<'_>, now: Time) {
        self.settling += 1;
        self.bodies_out = self.bodies_out.saturating_sub(BodyRoom::weight(end.body_len));
        match end.outcome {
            Some(_) => self.pace.back(),
            None => self.pace.unsent(),
        }
        if self.configured().is_none_or(|endpoint| endpoint.url != end.url) {
            return;
        }
        match end.outcome {
            Some(outcome) => self.breaker.after(end.pass, outcome, now, end.dice),
            None => self.breaker.unsent(end.pass, now),
        }
    }

    /// Since when the first delivery that waits in memory is due, if it is, and whether the endpoint itself is what it
    /// waits for: paused, broken, limited.
    pub(crate) fn oldest(&self, now: Time) -> Option<(Time, bool)> {
        let due = match self.waiting.front()?.delivery.state {
            State::Waiting { due } if due <= now => due,
            State::Waiting { .. } => return None,
            State::Delivered { at } | State::Failed { at, .. } | State::Discarded { at, .. } => at,
        };
        let held = self.is_paused() || matches!(self.peek(now, usize::MAX), Gate::Until(_));
        Some((due, held))
    }

    /// How its deliveries stand.
    pub(crate) fn standing(&self, now: Time) -> Standing {
        let mut pace = self.pace;
        let rate_until = match pace.admit(now) {
            Turn::Wait(until) => Some(until),
            Turn::Go | Turn::Full => None,
        };
        let (waiting, in_flight) = (self.waiting.len(), self.pace.out());
        Standing { breaker: self.breaker.condition(), rate_until, waiting, in_flight }
    }

    /// How the breaker is, if it has opened or closed since this was asked.
    pub(crate) fn breaker_news(&mut self) -> Option<Condition> {
        let open = !self.breaker.is_closed();
        let news = open != self.told_open;
        self.told_open = open;
        news.then(|| self.breaker.condition())
    }

    /// The store has what came of a delivery.
    pub(crate) const fn settled(&mut self) {
        self.settling = self.settling.saturating_sub(1);
    }

    /// Hands over what waits in memory behind the first `keep`, to be given back to the store (pause, stop, crowd).
    pub(crate) fn give_up(&mut self, keep: usize) -> VecDeque<Lent> {
        self.waiting.split_off(keep.min(self.waiting.len()))
    }

    /// Whether it holds far more than it may take room for.
    pub(crate) fn holds_too_much(&self) -> bool {
        self.waiting.len() >= limits::ENDPOINT_WINDOW * 2
    }

    /// Whether it holds more than it needs to find out whether its endpoint is well again.
    pub(crate) fn holds_in_vain(&self, keep: usize) -> bool {
        self.waiting.len() > keep && self.off().is_none() && !self.breaker.is_closed()
    }

    /// The events of what waits are read again when their turn comes. Gives what they were.
    pub(crate) fn let_go_of_events(&mut self) -> impl Iterator<Item = Arc<Event>> {
        self.waiting.iter_mut().filter_map(|lent| lent.payload.take())
    }

    pub(crate) fn should_give_back(&self) -> bool {
        self.is_paused() && !self.waiting.is_empty()
    }

    /// Whether it can be forgotten: its endpoint is deleted, and nothing is held, out, in line, or known to wait.
    pub(crate) fn is_over(&self) -> bool {
        let in_line = self.lines.ring || self.lines.claims || self.lines.heavy;
        self.endpoint.is_none() && !in_line && self.is_empty()
    }

    /// Whether nothing is held, out, claimed, or known to wait.
    fn is_empty(&self) -> bool {
        let nothing_held = self.waiting.is_empty() && self.settling == 0 && self.pace.out() == 0;
        nothing_held && !self.claiming && self.stored_due.is_none()
    }
}

#[cfg(test)]
mod tests;
