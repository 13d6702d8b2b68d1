//! Endpoints as they are in real life: a few get much, most get little; nearly all are well, some are slow, fail now and
//! then, are away for a while, or never answer.

use super::dice::{Dice, mixed};
use std::time::Duration;

/// How an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    /// Answers in some 80 ms; one in a thousand fails.
    Healthy,
    /// Takes two seconds.
    Slow,
    /// One in ten is answered with 500.
    Flaky,
    /// Refuses connections for ten minutes in the middle.
    Away,
    /// Takes the connection and never answers: each try lasts until its timeout.
    Dead,
}

pub(super) const HEALTHS: [Health; 5] =
    [Health::Healthy, Health::Slow, Health::Flaky, Health::Away, Health::Dead];

/// Of each, how many in a thousand. Nobody publishes such figures of whole fleets; they are chosen to be worse than what
/// single operators tell (one to two in a hundred endpoints failing at a time).
const IN_A_THOUSAND: [u64; 5] = [940, 30, 15, 10, 5];

/// How unequal the rates are: the endpoint of rank `n` gets a share as of `1 / (n + 1)^SKEW`.
const SKEW: f64 = 0.5;

/// One endpoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Endpoint {
    pub(super) id: u64,
    pub(super) health: Health,
    /// Deliveries a second.
    pub(super) rate: f64,
    /// Seconds of an ordinary answer.
    pub(super) latency: f64,
    /// As its owner would set it: what its rate needs at its ordinary latency, twice, and at least the default.
    pub(super) concurrency: u32,
}

impl Endpoint {
    /// The same if it were well.
    pub(super) fn cured(self) -> Self {
        Self { health: Health::Healthy, latency: 0.08, ..self }
    }

    /// Whether it refuses everything at that moment.
    pub(super) fn is_away(&self, now: f64, all: f64) -> bool {
        // Not all at once: each begins somewhere in the first half.
        let from = (mixed(self.id) % 1000) as f64 / 1000.0 * all / 2.0;
        self.health == Health::Away && (from..from + AWAY.as_secs_f64()).contains(&now)
    }
}

const AWAY: Duration = Duration::from_secs(600);

/// All endpoints of a fleet.
#[derive(Debug)]
pub(super) struct Mix(Vec<Endpoint>);

impl Mix {
    pub(super) fn new(endpoints: u64, rate: f64, seed: u64) -> Self {
        let weight = |rank: u64| 1.0 / (rank as f64 + 1.0).powf(SKEW);
        let whole: f64 = (0..endpoints).map(weight).sum();
        let mut dice = Dice::new(seed);
        let make = |rank| {
            let health = health(dice.next() % 1000);
            let latency = if health == Health::Slow { 2.0 } else { 0.08 };
            let rate = rate * weight(rank) / whole;
            let needed = (rate * latency * 2.0).ceil().clamp(16.0, 1_000.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "at most a thousand"
            )]
            let concurrency = needed as u32;
            Endpoint { id: rank, health, rate, latency, concurrency }
        };
        Self((0..endpoints).map(make).collect())
    }

    /// Which node looks after each endpoint: the one that has the highest number for it.
    pub(super) fn homes(&self, nodes: u64, seed: u64) -> Vec<u64> {
        let of = |one: &Endpoint| {
            let number = |node: &u64| mixed(mixed(one.id ^ seed) ^ mixed(*node + 1));
            (0..nodes).max_by_key(number).unwrap_or(0)
        };
        self.0.iter().map(of).collect()
    }

    pub(super) fn of_node(&self, homes: &[u64], node: u64) -> Vec<Endpoint> {
        self.0.iter().zip(homes).filter(|(_, home)| **home == node).map(|(one, _)| *one).collect()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Endpoint> {
        self.0.iter()
    }
}

fn health(number: u64) -> Health {
    let mut left = number;
    for (health, share) in HEALTHS.into_iter().zip(IN_A_THOUSAND) {
        if left < share {
            return health;
        }
        left -= share;
    }
    Health::Healthy
}
