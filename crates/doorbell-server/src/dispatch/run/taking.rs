//! What the loop takes in: what was lent, stirred, configured, claimed, tried and settled.

use super::{CLAIM_RETRY, Run, weight};
use crate::configured::Touched;
use crate::dispatch::give_back::give_back;
use crate::dispatch::lane::{End, Held};
use crate::dispatch::message::{Message, Tried};
use crate::dispatch::settling::{self, Done};
use doorbell_core::body_room::BodyRoom;
use doorbell_core::configuration::ResourceId;
use doorbell_core::delivery::State;
use doorbell_core::id::EndpointId;
use doorbell_core::limits;
use doorbell_core::settle::EndpointChange;
use doorbell_core::time::Time;
use doorbell_store::{Claims, Lent, Settlement, Store, StoreError};
use futures_util::FutureExt;
use futures_util::stream::StreamExt;
use std::sync::Arc;

/// What a lane whose endpoint is not well may hold however crowded it is: its next probes.
const KEPT: usize = 8;

impl Run {
    /// At start: what waits in the store from before.
    pub(super) async fn take_backlog(&mut self) {
        loop {
            match self.store.backlog().await {
                Ok(backlog) => {
                    self.take_directory();
                    for one in backlog {
                        let now = self.clock.now();
                        self.lane(one.endpoint).store_has(one.next_due, now);
                        self.look(one.endpoint);
                    }
                    return;
                }
                Err(error) => {
                    tracing::error!(%error, "the backlog could not be read; trying again");
                    tokio::time::sleep(CLAIM_RETRY).await;
                }
            }
        }
    }

    pub(super) fn take_lent(&mut self, lent: Vec<Lent>) {
        self.take_directory();
        let now = self.clock.now();
        for mut one in lent {
            if weight(&one) > self.payload_room() {
                one.payload = None;
            }
            let (endpoint, weight) = (one.delivery.endpoint, weight(&one));
            let lane = self.lane(endpoint);
            if lane.push(one, now) == Held::Whole {
                self.payloads += weight;
            }
            let lane = self.lane(endpoint);
            let window = Arc::clone(&lane.window);
            self.desk.hold(&window, 1);
            self.empty_if_paused(endpoint);
            self.empty_if_overfull(endpoint);
            self.look(endpoint);
        }
    }

    pub(super) fn take_stirred(&mut self, endpoints: &[EndpointId]) {
        self.take_directory();
        let now = self.clock.now();
        for endpoint in endpoints {
            self.lane(*endpoint).store_has(Time::EPOCH, now);
            self.look(*endpoint);
        }
    }

    /// Takes over the configuration if it has changed. What was accepted was accepted under the one of the moment or an
    /// earlier one: with an older one, a new endpoint would look like one that was deleted.
    pub(super) fn take_directory(&mut self) {
        while let Some(touched) = self.changed.try_next() {
            self.take_touched(&touched);
        }
    }

    pub(super) fn take_touched(&mut self, touched: &Touched) {
        self.directory = self.configured.directory();
        let now = self.clock.now();
        let endpoints: Vec<EndpointId> = match touched {
            Touched::These(ids) => ids.iter().filter_map(ResourceId::endpoint).collect(),
            Touched::Anything => self.lanes.keys().copied().collect(),
        };
        for endpoint in endpoints {
            if let Some(lane) = self.lanes.get_mut(&endpoint) {
                lane.configure(self.directory.endpoint(endpoint).cloned(), now);
                self.empty_if_paused(endpoint);
                self.look(endpoint);
            }
        }
    }

    /// A paused lane holds nothing: its deliveries wait in the store, where they can be cancelled, and which tells when
    /// it has them again.
    pub(super) fn empty_if_paused(&mut self, endpoint: EndpointId) {
        if self.lane(endpoint).should_give_back() {
            self.hand_back(endpoint, 0);
        }
    }

    /// Other nodes lend without asking for room, until they have heard that there is none.
    fn empty_if_overfull(&mut self, endpoint: EndpointId) {
        if self.lane(endpoint).holds_too_much() {
            self.hand_back(endpoint, limits::ENDPOINT_WINDOW);
        }
    }

    /// When memory is nearly full, lanes whose breaker is not closed give back what they hold: as they get rid of nothing, they
    /// would hold all of it in the end. They claim one at a time until they are well, so that nothing goes to and fro.
    pub(super) fn relieve(&mut self) {
        if !self.desk.is_crowded() {
            return;
        }
        let open = self.open.iter().filter(|endpoint| {
            self.lanes.get(endpoint).is_some_and(|lane| lane.holds_in_vain(KEPT))
        });
        for endpoint in open.copied().collect::<Vec<_>>() {
            self.hand_back(endpoint, KEPT);
        }
    }

    /// Gives back to the store what waits in memory behind the first `keep`.
    fn hand_back(&mut self, endpoint: EndpointId, keep: usize) {
        let now = self.clock.now();
        let lane = self.lane(endpoint);
        let waiting = lane.give_up(keep);
        let weight: usize = waiting.iter().map(weight).sum();
        lane.store_has(Time::EPOCH, now);
        let window = Arc::clone(&lane.window);
        self.desk.release(&window, waiting.len());
        self.payloads = self.payloads.saturating_sub(weight);
        let store = Arc::clone(&self.store);
        tokio::spawn(async move { give_back(&store, waiting.into()).await });
    }

    pub(super) fn take_messages(&mut self, messages: &mut Vec<Message>) {
        self.take_directory();
        for message in messages.drain(..) {
            match message {
                Message::Tried(tried) => {
                    let endpoint = tried.settlement.delivery.endpoint;
                    self.take_tried(*tried, true);
                    self.look(endpoint);
                }
                Message::Claimed { endpoint, claims } => self.take_claims(endpoint, claims),
            }
        }
    }

    /// A try has ended: its place is free, and what came of it goes to the store, which may lend the next of its key where
    /// there is use for it.
    pub(super) fn take_tried(&mut self, tried: Tried, goes_on: bool) {
        let Tried { endpoint, pass, dice, body_len, mut settlement, change } = tried;
        self.bodies_out = self.bodies_out.saturating_sub(BodyRoom::weight(body_len));
        let (now, url) = (self.clock.now(), endpoint.endpoint().url.as_str());
        let outcome = settlement.attempt.as_ref().map(|attempt| &attempt.outcome);
        let lane = self.lane(settlement.delivery.endpoint);
        lane.tried(End { url, pass, outcome, body_len, dice }, now);
        settlement.next = goes_on && lane.wants_next();
        self.settle(settlement, change);
    }

    pub(super) fn settle(&mut self, settlement: Settlement, change: Option<EndpointChange>) {
        let deliverer = Arc::clone(&self.deliverer);
        self.settling.push(settling::settle(deliverer, settlement, change).boxed());
    }

    /// Takes this one and all others that are settled by now.
    pub(super) fn take_settled(&mut self, done: Done) {
        self.take_directory();
        let mut next = Some(done);
        while let Some(done) = next {
            self.take_done(&done);
            next = self.settling.next().now_or_never().flatten();
        }
    }

    pub(super) fn take_done(&mut self, done: &Done) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.begun.remove(&done.delivery);
        let now = self.clock.now();
        let lane = self.lane(done.endpoint);
        lane.settled();
        match done.state {
            Some(State::Waiting { due }) => lane.store_has(due, now),
            // Its key's next one may be lent now, if it is not.
            Some(State::Delivered { .. } | State::Failed { .. } | State::Discarded { .. })
                if lane.keeps_order() && !done.followed =>
            {
                lane.store_has(Time::EPOCH, now);
            }
            Some(State::Delivered { .. } | State::Failed { .. } | State::Discarded { .. }) => {}
            // Not settled (lease lost, or the store gave up): the store knows better.
            None => lane.store_has(now.after(CLAIM_RETRY), now),
        }
        let window = Arc::clone(&lane.window);
        self.desk.release(&window, 1);
        self.look(done.endpoint);
    }

    pub(super) fn take_claims(&mut self, endpoint: EndpointId, claims: Result<Claims, StoreError>) {
        self.claims = self.claims.saturating_sub(1);
        let now = self.clock.now();
        let lane = self.lane(endpoint);
        match claims {
            Ok(claims) => {
                let (window, count) = (Arc::clone(&lane.window), claims.lent.len());
                let weight: usize = claims.lent.iter().map(weight).sum();
                lane.claimed(claims, now);
                self.payloads += weight;
                self.desk.hold(&window, count);
            }
            Err(error) => {
                tracing::warn!(%endpoint, %error, "a claim failed; trying again");
                lane.claim_failed(now.after(CLAIM_RETRY));
            }
        }
        self.empty_if_paused(endpoint);
        // Those that wait go first.
        self.claim_next();
        self.look(endpoint);
    }
}
