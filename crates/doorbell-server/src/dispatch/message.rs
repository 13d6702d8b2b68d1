//! What the tasks tell the loop, and how much of it there can be.

use crate::dispatch::lane::Start;
use doorbell_core::attempt::Outcome;
use doorbell_core::breaker::Pass;
use doorbell_core::delivery::State;
use doorbell_core::id::EndpointId;
use doorbell_store::{Claims, StoreError};

/// Deliveries in flight to all endpoints together.
pub(crate) const IN_FLIGHT_MAX: usize = 2_048;
/// Claims under way at once.
pub(crate) const CLAIMS_MAX: usize = 16;
/// Room for all that can be told at once: no task ever waits to be heard.
pub(crate) const MESSAGES: usize = IN_FLIGHT_MAX + CLAIMS_MAX + 16;

/// What the tasks tell the loop.
#[derive(Debug)]
pub(crate) enum Message {
    Ended(Box<Done>),
    Claimed { endpoint: EndpointId, claims: Result<Claims, StoreError> },
}

/// Tells the loop how a delivery ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) endpoint: EndpointId,
    pub(crate) by_key: bool,
    pub(crate) pass: Option<Pass>,
    /// What came of the try, if one was made: the breaker learns from it.
    pub(crate) outcome: Option<Outcome>,
    /// Where the delivery stands now; `None`: it could not be settled.
    pub(crate) state: Option<State>,
    pub(crate) dice: u64,
}

impl Done {
    /// As long as nothing better is known.
    pub(crate) fn lost(start: &Start, dice: u64) -> Self {
        let by_key = start.endpoint.as_ref().is_some_and(|e| e.endpoint().policy.order.is_some());
        let endpoint = start.lent.delivery.endpoint;
        Self { endpoint, by_key, pass: start.pass, outcome: None, state: None, dice }
    }
}
