//! A fleet on paper: more endpoints and deliveries than this machine can run, with the failures and latencies of real life,
//! moved by the decisions that the gateway makes itself (`doorbell-core`: breaker, pace, retry schedule). Time is a number,
//! so an hour passes as fast as it can be counted.
//!
//! Nodes share nothing but the database, and each endpoint is one node's (rendezvous hashing): so a fleet is simulated a
//! node at a time. What is assumed of a node is measured elsewhere and stands in [`Machine`]; what comes out is backlog,
//! memory, and whether the healthy endpoints notice the sick ones.

mod dice;
mod mix;
mod lane;
mod node;
mod report;

use crate::place;
use anyhow::{Result, ensure};
use clap::Args;
use indicatif::ProgressBar;
use mix::Mix;
use node::{Machine, Outcome, simulate};
use report::Told;
use std::path::PathBuf;

/// What is simulated.
#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    /// Nodes of the fleet, each like the machine on which the figures were measured.
    #[arg(long, default_value_t = 100)]
    nodes: u64,
    /// Endpoints of the fleet.
    #[arg(long, default_value_t = 100_000)]
    endpoints: u64,
    /// Deliveries a second, of the whole fleet.
    #[arg(long, default_value_t = 650_000.0)]
    rate: f64,
    /// Minutes that pass in the simulation.
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// Simulate so many of the nodes only: the busiest, the idlest and some between.
    #[arg(long, default_value_t = 5)]
    sample: u64,
    /// For the dice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the picture goes.
    #[arg(long)]
    picture: Option<PathBuf>,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
}

/// Simulates the same fleet twice: with all endpoints healthy, and with the mix of real life.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    ensure!(flags.nodes > 0 && flags.endpoints >= flags.nodes, "each node needs an endpoint");
    ensure!(flags.sample > 0, "at least one node has to be simulated");
    let real = Mix::new(flags.endpoints, flags.rate, flags.seed);
    let homes = real.homes(flags.nodes, flags.seed);
    let shares = Told::shares(&real, &homes, flags.nodes);
    let chosen = shares.sample(flags.sample);
    let bar =
        if flags.json { ProgressBar::hidden() } else { ProgressBar::new(2 * chosen.len() as u64) };
    let machine = Machine::measured();
    let mut both = Vec::new();
    for healthy in [true, false] {
        let mut outcomes: Vec<Outcome> = Vec::new();
        for number in &chosen {
            let own = real.of_node(&homes, *number);
            let own = own.into_iter().map(|one| if healthy { one.cured() } else { one }).collect();
            outcomes.push(simulate(own, &machine, flags.minutes, flags.seed ^ number));
            bar.inc(1);
        }
        both.push(outcomes);
    }
    bar.finish_and_clear();
    let [calm, real_life] = both.as_slice() else { return Ok(()) };
    let told = Told { shares, calm, real_life, machine: &machine, fleet: flags };
    if flags.json {
        println!("{}", told.json());
    } else {
        println!("{}", told.text());
    }
    let picture =
        flags.picture.clone().unwrap_or_else(|| place::root().join("docs/simulation.svg"));
    std::fs::write(&picture, told.picture())?;
    if !flags.json {
        println!("drawn: {}", picture.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::mix::Health;
    use super::*;

    fn small(mix: &Mix, cured: bool) -> Outcome {
        let homes = mix.homes(1, 7);
        let own = mix.of_node(&homes, 0).into_iter();
        let own = own.map(|one| if cured { one.cured() } else { one }).collect();
        simulate(own, &Machine::measured(), 5, 7)
    }

    /// The same dice give the same outcome, and nothing is lost: what came is delivered, given up, or waits.
    #[test]
    fn every_delivery_is_accounted_for() {
        let mix = Mix::new(300, 1_000.0, 7);
        let (first, again) = (small(&mix, false), small(&mix, false));
        assert_eq!(first, again);
        assert_eq!(first.arrived, first.delivered + first.failed + first.waiting());
        assert!(first.arrived > 250_000 && first.failed == 0, "{first:?}");
        assert!(first.most_backlog > 0 && first.breakers_opened > 0);
    }

    /// Sick endpoints keep what is theirs; the healthy ones hardly notice.
    #[test]
    fn the_healthy_do_not_notice_the_sick() {
        let mix = Mix::new(300, 1_000.0, 7);
        let (calm, real) = (small(&mix, true), small(&mix, false));
        assert_eq!(calm.waiting_by(Health::Dead) + calm.breakers_opened, 0);
        let (beside, alone) = (real.healthy.quantile(0.99), calm.healthy.quantile(0.99));
        assert!(beside < alone * 1.1, "p99 {alone} s alone, {beside} s beside the sick");
        let of_sick = real.waiting() - real.waiting_by(Health::Healthy);
        assert!(of_sick * 10 > real.waiting() * 9, "what waits is theirs");
    }

    /// More than a machine can send is seen as a backlog that grows.
    #[test]
    fn too_much_for_one_node_is_seen() {
        let mix = Mix::new(300, 2_000.0, 7);
        let homes = mix.homes(1, 7);
        let own = mix.of_node(&homes, 0).into_iter().map(mix::Endpoint::cured).collect();
        let slow = Machine { turn: 1.0 / 500.0, ..Machine::measured() };
        let outcome = simulate(own, &slow, 1, 7);
        assert!(outcome.waiting() > 80_000, "{}", outcome.waiting());
    }
}
