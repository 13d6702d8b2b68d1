//! How an endpoint's deliveries stand just now, and for what one of them waits.

use super::text::Moment;
use doorbell_core::breaker::Condition;
use doorbell_core::standing::{self, Standing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an endpoint's deliveries stand, as far as dispatch knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StandingOut {
    /// The endpoint's circuit breaker.
    pub breaker: BreakerState,
    /// Since when the breaker is not closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker_since: Option<Moment>,
    /// Why it opened, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker_because: Option<String>,
    /// When the next probe is due, while the breaker is open; a past time: as soon as there is a delivery. Who retries a
    /// delivery sends it as the probe at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_probe_at: Option<Moment>,
    /// Deliveries that are being tried.
    pub in_flight: u32,
    /// Deliveries that wait in memory; more may wait in the store.
    pub waiting_in_memory: u64,
}

/// How a circuit breaker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Deliveries go.
    Closed,
    /// None goes before the next probe is due.
    Open,
    /// One delivery is out as the probe.
    HalfOpen,
}

impl From<&Standing> for StandingOut {
    fn from(standing: &Standing) -> Self {
        let (breaker, why, next_probe_at) = match standing.breaker {
            Condition::Closed => (BreakerState::Closed, None, None),
            Condition::Open { probe_at, why } => (BreakerState::Open, Some(why), Some(probe_at)),
            Condition::HalfOpen { since: _, why } => (BreakerState::HalfOpen, Some(why), None),
        };
        Self {
            breaker,
            breaker_since: why.map(|why| Moment(why.opened)),
            breaker_because: why.map(|why| standing::opened_because(&why)),
            next_probe_at: next_probe_at.map(Moment),
            in_flight: standing.in_flight,
            waiting_in_memory: u64::try_from(standing.waiting).unwrap_or(u64::MAX),
        }
    }
}

/// For what a delivery waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// For its time: a retry, or a delay that was asked for.
    Due,
    /// For its endpoint, which is paused.
    Paused,
    /// For its endpoint's circuit breaker.
    Breaker,
    /// For earlier deliveries of its order key.
    OrderKey,
    /// For its endpoint's rate limit.
    Rate,
    /// For its turn.
    Turn,
}

impl From<standing::WaitsFor> for WaitsFor {
    fn from(what: standing::WaitsFor) -> Self {
        match what {
            standing::WaitsFor::Due => Self::Due,
            standing::WaitsFor::Paused => Self::Paused,
            standing::WaitsFor::Breaker => Self::Breaker,
            standing::WaitsFor::OrderKey => Self::OrderKey,
            standing::WaitsFor::Rate => Self::Rate,
            standing::WaitsFor::Turn => Self::Turn,
        }
    }
}
