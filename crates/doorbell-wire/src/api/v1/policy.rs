//! How an endpoint is delivered to: rate, retries, order.

use super::common::KeyRule;
use super::source::rule;
use super::text::Span;
use crate::problem::Faults;
use doorbell_core::endpoint::{self, OnDead};
use doorbell_core::limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// So many deliveries in so long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateRule {
    /// How many, 1 to 1,000,000.
    pub count: u32,
    /// In how long, 1ms to 1d; `1s` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Span>,
}

/// When a failed delivery is tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRule {
    /// The wait before each try, the first included; its length is the number of tries, 1 to 50. Unless said: at once, then
    /// after 5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h and 24h, with jitter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Vec<Span>>,
    /// Statuses after which there is no other try, such as `404` or `400-499`. Empty: all but 2xx are tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<String>,
}

/// The longest wait of a retry schedule.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Order by key: deliveries with the same key go one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderRule {
    /// Where the key stands; requests without it share one key.
    pub key: KeyRule,
    /// What a dead event does to the later events of its key; `skip` unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_dead: Option<OnDeadRule>,
}

/// What a dead event does to the later events of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDeadRule {
    /// They wait until someone retries or cancels it.
    Block,
    /// They go on.
    Skip,
}

impl RateRule {
    pub(super) fn read(&self, faults: &mut Faults) -> endpoint::Rate {
        let per = self.per.map_or(Duration::from_secs(1), |span| span.0);
        if !(1..=1_000_000).contains(&self.count) {
            faults.add("/rate/count", "between 1 and 1000000");
        }
        if !(Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(&per) {
            faults.add("/rate/per", "between 1ms and 1d");
        }
        endpoint::Rate { count: self.count, per }
    }
}

impl RetryRule {
    pub(super) fn read(&self, faults: &mut Faults) -> Option<endpoint::Retry> {
        let mut retry = endpoint::Retry::default();
        if let Some(schedule) = &self.schedule {
            retry.schedule = schedule.iter().map(|span| span.0).collect();
        }
        if !(1..=limits::RETRY_STEPS).contains(&retry.schedule.len()) {
            faults.add("/retry/schedule", format_args!("1 to {} steps", limits::RETRY_STEPS));
        }
        for (place, _) in retry.schedule.iter().enumerate().filter(|(_, w)| **w > RETRY_WAIT_MAX) {
            faults.add(format!("/retry/schedule/{place}"), "at most 30d");
        }
        if self.never.len() > 50 {
            faults.add("/retry/never", "at most 50 ranges");
            return None;
        }
        let ranges = self
            .never
            .iter()
            .enumerate()
            .map(|(place, text)| faults.take(format!("/retry/never/{place}"), statuses(text)));
        retry.never = ranges.collect::<Vec<_>>().into_iter().collect::<Option<_>>()?;
        Some(retry)
    }
}

/// `404`, or `400-499`.
fn statuses(text: &str) -> Result<(u16, u16), &'static str> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    match (from.parse::<u16>(), to.parse::<u16>()) {
        (Ok(from), Ok(to)) if 100 <= from && from <= to && to <= 599 => Ok((from, to)),
        _ => Err("a status or a range of statuses, such as 404 or 400-499"),
    }
}

impl OrderRule {
    pub(super) fn read(&self, faults: &mut Faults) -> Option<endpoint::Order> {
        Some(endpoint::Order {
            key: rule("/order/key", Some(&self.key), faults)??,
            on_dead: match self.on_dead.unwrap_or(OnDeadRule::Skip) {
                OnDeadRule::Block => OnDead::Block,
                OnDeadRule::Skip => OnDead::Skip,
            },
        })
    }
}

impl From<&endpoint::Order> for OrderRule {
    fn from(order: &endpoint::Order) -> Self {
        let on_dead = match order.on_dead {
            OnDead::Block => OnDeadRule::Block,
            OnDead::Skip => OnDeadRule::Skip,
        };
        Self { key: KeyRule::from(&order.key), on_dead: Some(on_dead) }
    }
}

impl From<&endpoint::Retry> for RetryRule {
    fn from(retry: &endpoint::Retry) -> Self {
        let range = |(from, to): &(u16, u16)| {
            if from == to { from.to_string() } else { format!("{from}-{to}") }
        };
        Self {
            schedule: Some(retry.schedule.iter().map(|wait| Span(*wait)).collect()),
            never: retry.never.iter().map(range).collect(),
        }
    }
}

impl From<&endpoint::Rate> for RateRule {
    fn from(rate: &endpoint::Rate) -> Self {
        Self { count: rate.count, per: Some(Span(rate.per)) }
    }
}
