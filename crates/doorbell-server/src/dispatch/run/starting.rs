//! Which lane may start something now, and when to look again.

use super::{Run, TICK, weight, weight_of};
use crate::dispatch::lane::{Free, Start};
use crate::dispatch::message::CLAIMS_MAX;
use doorbell_core::body_room::BodyRoom;
use doorbell_core::breaker::Condition;
use doorbell_core::id::EndpointId;
use doorbell_core::settle;
use doorbell_core::standing;
use doorbell_core::time::Time;
use doorbell_store::{Lent, Settlement, Store};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

/// Deliveries a lane may start before the next lane has its turn.
const BURST: usize = 8;
/// Lanes that wait for room for a large body and are looked at in one turn.
const HEAVY_LOOKS: usize = 64;
/// Lanes that wait for a larger share and are looked at in one turn.
const SQUEEZED_LOOKS: usize = 64;

impl Run {
    /// After anything happened to a lane: into the ring, a claim, an alarm.
    pub(super) fn look(&mut self, endpoint: EndpointId) {
        self.look_at(endpoint, self.clock.now());
    }

    pub(super) fn look_at(&mut self, endpoint: EndpointId, now: Time) {
        let free = self.free();
        let may_claim = self.claims < CLAIMS_MAX;
        self.stand_in_line(endpoint, now, free);
        let lane = self.lane(endpoint);
        if may_claim {
            if let Some(wish) = lane.wish(now) {
                self.claim(endpoint, wish, now);
            }
        } else if !lane.lines.claims && lane.would_wish(now) {
            lane.lines.claims = true;
            self.claim_queue.push_back(endpoint);
        }
        if let Some(at) = self.lane(endpoint).new_alarm(now) {
            self.alarms.push(Reverse((at, endpoint)));
        }
        if let Some(condition) = self.lane(endpoint).breaker_news() {
            self.tell_of_breaker(endpoint, condition);
        }
        if self.lane(endpoint).is_over() {
            self.lanes.remove(&endpoint);
            self.open.remove(&endpoint);
            self.desk.forget(endpoint);
        }
    }

    /// Into the ring of those that may start something, or in line for room for a large body, or for a larger share.
    pub(super) fn stand_in_line(&mut self, endpoint: EndpointId, now: Time, free: Free) {
        let lane = self.lane(endpoint);
        let lines = lane.lines;
        if !lines.ring && lane.is_ready(now, free.for_small()) {
            lane.lines.ring = true;
            self.ring.push_back(endpoint);
        } else if !lines.ring && !lines.heavy && lane.is_ready(now, free.for_any()) {
            lane.lines.heavy = true;
            self.heavy.push_back(endpoint);
        } else if !lines.ring && !lines.squeezed && lane.is_ready(now, Free::ALL) {
            lane.lines.squeezed = true;
            self.squeezed.push_back(endpoint);
        }
    }

    /// When there is room again, nobody else would look at those that got too small a share before.
    pub(super) fn look_at_squeezed(&mut self, now: Time) {
        let looks = self.squeezed.len().min(SQUEEZED_LOOKS);
        if self.free().places == 0 {
            return;
        }
        for endpoint in self.squeezed.drain(..looks).collect::<Vec<_>>() {
            if let Some(lane) = self.lanes.get_mut(&endpoint) {
                lane.lines.squeezed = false;
                self.look_at(endpoint, now);
            }
        }
    }

    pub(super) fn tell_of_breaker(&mut self, endpoint: EndpointId, condition: Condition) {
        let name = self.lane(endpoint).configured().map(|endpoint| endpoint.name.to_string());
        let name = name.unwrap_or_default();
        match condition {
            Condition::Closed => {
                self.open.remove(&endpoint);
                tracing::info!(%endpoint, name, "a circuit breaker has closed");
            }
            Condition::Open { why, .. } | Condition::HalfOpen { why, .. } => {
                self.open.insert(endpoint);
                let events = self.lane(endpoint).let_go_of_events();
                let weight: usize = events.map(|event| weight_of(&event)).sum();
                self.payloads = self.payloads.saturating_sub(weight);
                let because = standing::opened_because(&why);
                tracing::warn!(%endpoint, name, because, "a circuit breaker has opened");
            }
        }
    }

    /// What is free for tries of one lane.
    pub(super) const fn free(&self) -> Free {
        let places = self.places.share(self.in_flight);
        Free { places, bodies: self.bodies, bodies_out: self.bodies_out }
    }

    /// Starts what may start, lane by lane, a few at a time. All of a turn happens at one time: were a lane ready by one
    /// reading of the clock and not by another, it would come round for ever.
    pub(super) fn turn(&mut self) {
        let now = self.clock.now();
        self.ring_alarms(now);
        self.look_at_squeezed(now);
        // Lanes that came back to the ring without having started anything, since the last that did.
        let mut idle = 0;
        while self.free().places > 0
            && idle <= self.ring.len()
            && let Some(endpoint) = self.ring.pop_front()
        {
            let before = self.in_flight;
            for _ in 0..BURST {
                let free = self.free().for_small();
                let Some(start) = self.next_start(endpoint, now, free) else { break };
                self.start(start, now);
            }
            self.lane(endpoint).lines.ring = false;
            self.look_at(endpoint, now);
            let back = self.lanes.get(&endpoint).is_some_and(|lane| lane.lines.ring);
            idle = if self.in_flight == before { idle + usize::from(back) } else { 0 };
        }
        self.start_heavy(now);
    }

    /// Large bodies, one for each lane in turn: whoever has had his turn stands behind those that wait, or room would stay with
    /// those that have it. What does not fit yet stays in line, and smaller ones pass.
    fn start_heavy(&mut self, now: Time) {
        let mut done = Vec::new();
        for _ in 0..self.heavy.len().min(HEAVY_LOOKS) {
            let Some(endpoint) = self.heavy.pop_front() else { break };
            let free = self.free();
            if let Some(start) = self.next_start(endpoint, now, free) {
                self.start(start, now);
            } else if self.lane(endpoint).is_ready(now, free.for_any()) {
                self.heavy.push_back(endpoint);
                continue;
            }
            done.push(endpoint);
        }
        for endpoint in done {
            self.lane(endpoint).lines.heavy = false;
            self.look_at(endpoint, now);
        }
    }

    /// What the lane starts next. What was taken away from it meanwhile gives its room back.
    pub(super) fn next_start(
        &mut self,
        endpoint: EndpointId,
        now: Time,
        free: Free,
    ) -> Option<Start> {
        let store = Arc::clone(&self.store);
        let (mut count, mut bytes) = (0, 0);
        let lane = self.lane(endpoint);
        let start = lane.start(
            (now, free),
            |lent| store.begin(lent.delivery.id, lent.lease),
            |lent| (count, bytes) = (count + 1, bytes + weight(&lent)),
        );
        if count > 0 {
            let window = Arc::clone(&lane.window);
            self.desk.release(&window, count);
            self.payloads = self.payloads.saturating_sub(bytes);
        }
        start
    }

    pub(super) fn start(&mut self, start: Start, now: Time) {
        self.in_flight += 1;
        self.begun.insert(start.delivery(), now);
        match start {
            Start::Try(start) => {
                self.bodies_out += BodyRoom::weight(start.lent.body_len);
                self.payloads = self.payloads.saturating_sub(weight(&start.lent));
                self.deliverer.spawn(start, self.tell.clone());
            }
            Start::Discard(lent, why) => {
                self.payloads = self.payloads.saturating_sub(weight(&lent));
                let Lent { delivery, locator, lease, .. } = lent;
                let delivery = settle::discard(&delivery, why, now);
                self.settle(
                    Settlement { lease, locator, delivery, attempt: None, next: false },
                    None,
                );
            }
        }
    }

    pub(super) fn ring_alarms(&mut self, now: Time) {
        while let Some(Reverse((at, endpoint))) = self.alarms.peek().copied() {
            if at > now {
                return;
            }
            self.alarms.pop();
            if let Some(lane) = self.lanes.get_mut(&endpoint) {
                lane.alarm_rang(at);
                self.look_at(endpoint, now);
            }
        }
    }

    pub(super) fn until_next_alarm(&self) -> Duration {
        let next = self.alarms.peek().map_or(TICK, |Reverse((at, _))| at.since(self.clock.now()));
        next.clamp(Duration::from_millis(1), TICK)
    }
}
