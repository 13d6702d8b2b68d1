//! A rolling upgrade under load: three nodes of the version before, the database brought up to the new layout while they
//! go on, then one node after the other stopped politely and started as the new version. What must hold: no answer but
//! 2xx, nothing lost, and nothing delivered twice, since nobody dies.

use super::fleet::{Fleet, NODES};
use super::load::{Load, Shape};
use super::{Options, Summary};
use crate::node::Program;
use crate::payload::Dice;
use crate::place;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long each state of the fleet is left under load.
const BETWEEN: Duration = Duration::from_secs(3);

/// Upgrades so many fleets, from the binary at `old` to that of the options.
pub(super) fn run(options: &Options, old: &Path) -> Result<Summary> {
    let mut summary = Summary::default();
    let bar = options.progress();
    for cycle in 0..options.cycles {
        upgrade(options, old, options.seed + cycle, &mut summary)
            .with_context(|| format!("cycle {cycle}"))?;
        summary.cycles += 1;
        bar.inc(1);
    }
    bar.finish_and_clear();
    summary.notes.push(format!("from {} to {}", version(old)?, version(&options.program.binary)?));
    Ok(summary)
}

fn upgrade(options: &Options, old: &Path, seed: u64, summary: &mut Summary) -> Result<()> {
    let before = Program { binary: old.to_owned(), ..options.program.clone() };
    let mut fleet = Fleet::start(&Options { program: before, seed, ..options.clone() })?;
    let shape = Shape {
        connections: options.connections.div_ceil(NODES as u64),
        events: u64::MAX,
        ballast: 0,
        every: None,
    };
    let mut loads = Vec::new();
    for which in 0..NODES {
        loads.push(fleet.load(which, shape)?);
    }
    std::thread::sleep(BETWEEN);
    let mut migrate = Command::new(&options.program.binary);
    place::run(migrate.args(["migrate", "--json", "--store", &fleet.url()]))?;
    std::thread::sleep(BETWEEN);
    fleet.take_binary(&options.program.binary);
    for which in 0..NODES {
        fleet.replace(which)?;
        let new = fleet.load(which, shape)?;
        let ended = std::mem::replace(loads.get_mut(which).context("no such load")?, new);
        summary.add(&ended.join())?;
        std::thread::sleep(BETWEEN);
    }
    for load in loads {
        summary.add(&Load::stop(load))?;
    }
    ensure!(summary.shed == 0, "{} requests were answered 503", summary.shed);
    let mut mine = Summary::default();
    fleet.finish(&mut Dice::new(seed), &mut mine)?;
    summary.acked += mine.acked;
    summary.deliveries += mine.deliveries;
    summary.duplicates += mine.duplicates;
    summary.events_read += mine.events_read;
    Ok(())
}

fn version(binary: &Path) -> Result<String> {
    let output = Command::new(binary).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
