//! Which claims the loop makes.

use super::Run;
use crate::dispatch::lane::{Sought, Wish};
use crate::dispatch::message::{CLAIMS_MAX, Message};
use crate::metrics::{Metric, Timing};
use doorbell_core::id::EndpointId;
use doorbell_core::time::Time;
use doorbell_store::{Claim, Store, StoreError};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of events that wait in memory; what does not fit is read from the store again when its turn comes.
const PAYLOADS_MAX: usize = 32 << 20;
/// Bytes of events that one claim brings along.
const CLAIMED_EVENTS_MAX: usize = 2 << 20;
/// How long a lease lasts: the longest timeout, and time to settle.
const LEASE: Duration = Duration::from_secs(300);

impl Run {
    /// As many of those that wait for their claim as may go on; some do not want it any more.
    pub(super) fn claim_next(&mut self) {
        while self.claims < CLAIMS_MAX
            && let Some(next) = self.claim_queue.pop_front()
        {
            self.lane(next).lines.claims = false;
            self.look(next);
        }
    }

    pub(super) fn claim(&mut self, endpoint: EndpointId, wish: Wish, now: Time) {
        let window = Arc::clone(&self.lane(endpoint).window);
        let most = self.desk.room(&window, wish.most);
        self.claims += 1;
        let claim = Claim {
            endpoint,
            by_key: wish.by_key,
            due_by: match wish.sought {
                Sought::Due => now,
                Sought::All => Time::MAX,
            },
            most,
            event_bytes: if wish.events { self.payload_room().min(CLAIMED_EVENTS_MAX) } else { 0 },
            lease_until: now.after(LEASE),
        };
        let (store, tell) = (Arc::clone(&self.store), self.tell.clone());
        let (clock, metrics) = (self.clock.clone(), Arc::clone(&self.deliverer.metrics));
        tokio::spawn(async move {
            let began = clock.monotonic();
            let claims = AssertUnwindSafe(store.claim(claim)).catch_unwind().await;
            metrics.took(Timing::Claim, clock.monotonic().saturating_sub(began));
            let panicked = |_| Err(StoreError::Failed("the claim panicked".to_owned()));
            let claims = claims.unwrap_or_else(panicked);
            if claims.is_err() {
                metrics.count(Metric::ClaimsFailed);
            }
            // The loop outlives its tasks; were it gone, the lease would end by itself.
            drop(tell.send(Message::Claimed { endpoint, claims }).await);
        });
    }

    pub(super) fn payload_room(&self) -> usize {
        PAYLOADS_MAX.saturating_sub(self.payloads)
    }
}
