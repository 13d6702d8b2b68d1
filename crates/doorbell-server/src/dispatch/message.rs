//! What the tasks tell the loop, and how much of it there can be.

use crate::dispatch::lane::Try;
use doorbell_core::breaker::Pass;
use doorbell_core::directory::ReadyEndpoint;
use doorbell_core::id::EndpointId;
use doorbell_core::places::Places;
use doorbell_core::settle::{self, EndpointChange};
use doorbell_core::time::Time;
use doorbell_store::{Claims, Settlement, StoreError};
use std::sync::Arc;

/// Claims under way at once.
pub(crate) const CLAIMS_MAX: usize = 16;

/// Room for all that can be told at once: no task ever waits to be heard.
pub(crate) const fn messages(places: Places) -> usize {
    places.all() + CLAIMS_MAX + 16
}

/// What the tasks tell the loop.
#[derive(Debug)]
pub(crate) enum Message {
    Tried(Box<Tried>),
    Claimed { endpoint: EndpointId, claims: Result<Claims, StoreError> },
}

/// A try that has ended, and what is to be written down of it.
#[derive(Debug)]
pub(crate) struct Tried {
    /// As it was when the try began.
    pub(crate) endpoint: Arc<ReadyEndpoint>,
    pub(crate) pass: Pass,
    pub(crate) dice: u64,
    /// Bytes of the body that was out.
    pub(crate) body_len: u64,
    pub(crate) settlement: Settlement,
    pub(crate) change: Option<EndpointChange>,
}

impl Tried {
    /// As long as nothing better is known: nothing was tried, and it waits until then.
    pub(crate) fn lost(start: &Try, dice: u64, until: Time) -> Self {
        let Try { lent, endpoint, pass } = start;
        let settlement = Settlement {
            lease: lent.lease,
            locator: lent.locator,
            delivery: settle::put_off(&lent.delivery, until),
            attempt: None,
            next: false,
        };
        let (endpoint, body_len) = (Arc::clone(endpoint), lent.body_len);
        Self { endpoint, pass: *pass, dice, body_len, settlement, change: None }
    }
}
