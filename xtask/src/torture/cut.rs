//! Power cuts and SIGKILLs under load, over and over on the same folder.

use super::load::{Load, Shape};
use super::world::World;
use super::{Options, Summary};
use crate::node::{Node, Started};
use crate::payload::Dice;
use crate::shim::{self, Disk, Word};
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::time::Duration;

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// The shim undoes what was not fsynced.
    PowerCut,
    /// SIGKILL: the page cache survives.
    Kill,
}

/// What the dice said for one cycle.
#[derive(Debug, Clone, Copy)]
struct Plan {
    seed: u64,
    keep: u64,
    /// The power fails at this operation of the start itself, before anyone is served.
    at_start: Option<u64>,
    /// … or so many operations after the load began,
    ops: u64,
    /// … or after this time, whichever is first.
    after: Duration,
}

impl Plan {
    fn roll(seed: u64, keeps: &[u64]) -> (Self, Dice) {
        let mut dice = Dice::new(seed);
        let pick = usize::try_from(dice.below(keeps.len() as u64)).unwrap_or(0);
        let plan = Self {
            seed,
            keep: keeps.get(pick).copied().unwrap_or(0),
            at_start: (dice.below(6) == 0).then(|| 1 + dice.below(40)),
            ops: 1 + dice.below(300),
            after: Duration::from_micros(2_000 + dice.below(80_000)),
        };
        (plan, dice)
    }
}

/// Runs the cycles; the first failure ends them, and its folder is kept.
pub(super) fn run(options: &Options, death: Death) -> Result<Summary> {
    let library = match death {
        Death::PowerCut => Some(shim::build("powercut")?),
        Death::Kill => None,
    };
    let mut summary = Summary::default();
    let bar = options.progress();
    let mut done = 0;
    while done < options.cycles {
        let folder = options.folder()?;
        let mut world = World::new(&options.program, &folder)?;
        for _ in 0..options.rotate.min(options.cycles - done) {
            let seed = options.seed.wrapping_add(done);
            one_cycle(&mut world, options, &mut summary, (seed, library.as_ref())).with_context(
                || {
                    format!(
                        "cycle {done} failed (--seed {seed}); its folder is kept: {}",
                        world.folder.display()
                    )
                },
            )?;
            done += 1;
            bar.inc(1);
        }
        finish(&mut world, options, &mut summary, done).with_context(|| {
            format!("after cycle {done}; the folder is kept: {}", world.folder.display())
        })?;
        drop(std::fs::remove_dir_all(&world.folder));
    }
    bar.finish_and_clear();
    summary.cycles = done;
    Ok(summary)
}

fn one_cycle(
    world: &mut World,
    options: &Options,
    summary: &mut Summary,
    (seed, library): (u64, Option<&PathBuf>),
) -> Result<()> {
    let (plan, mut dice) = Plan::roll(seed, &options.keep);
    let disk = library.map(|library| disk(world, &plan, library)).transpose()?;
    let mut node = match world.start(seed, disk.as_ref())? {
        Started::Ready(node) => node,
        Started::Ended(status) => {
            world.ended(seed);
            ensure!(
                status.code() == Some(shim::EXIT_CUT),
                "the node ended at its start by itself: {status}"
            );
            summary.cut_at_start += 1;
            return no_trouble(disk.as_ref());
        }
    };
    // A cut may come in the middle of the check, when one was ordered for the start: what is owed is checked next time.
    match world.check(&node, &mut dice) {
        Ok(read) => summary.events_read += read,
        Err(_) if plan.at_start.is_some() && cut_itself(&mut node)? => {
            world.ended(seed);
            summary.cut_at_start += 1;
            return no_trouble(disk.as_ref());
        }
        Err(fault) => return Err(fault),
    }
    let shape =
        Shape { connections: options.connections, events: u64::MAX, ballast: 0, every: None };
    let load = Load::start(&node.ingest, &world.ledger, seed, shape);
    let ended = die(&mut node, disk.as_ref(), &plan);
    world.ended(seed);
    let seen = load.stop();
    ended.with_context(|| node.log_tail())?;
    summary.add(&seen)?;
    summary.unsynced += disk.as_ref().map_or(Ok(0), |disk| disk.control.get(Word::Unsynced))?;
    no_trouble(disk.as_ref())
}

fn disk(world: &World, plan: &Plan, library: &std::path::Path) -> Result<Disk> {
    let mut disk = Disk::new(library, &world.data, &world.folder)?;
    disk.seed = plan.seed;
    disk.keep = plan.keep;
    disk.control.set(Word::CutAtOp, plan.at_start.unwrap_or(0))?;
    Ok(disk)
}

fn cut_itself(node: &mut Node) -> Result<bool> {
    let status = node.ended_within(Duration::from_secs(2))?;
    Ok(status.is_some_and(|status| status.code() == Some(shim::EXIT_CUT)))
}

/// Ends the life as planned.
fn die(node: &mut Node, disk: Option<&Disk>, plan: &Plan) -> Result<()> {
    let Some(disk) = disk else {
        if let Some(status) = node.ended_within(plan.after)? {
            bail!("the node ended by itself: {status}");
        }
        return node.kill();
    };
    let now = disk.control.get(Word::Ops)?;
    disk.control.set(Word::CutAtOp, now + plan.ops)?;
    let mut status = node.ended_within(plan.after * 4)?;
    if status.is_none() {
        disk.control.set(Word::CutNow, 1)?;
        status = node.ended_within(Duration::from_secs(10))?;
    }
    match status.map(|status| status.code()) {
        Some(Some(shim::EXIT_CUT)) => Ok(()),
        Some(code) => bail!("the node ended by itself with {code:?}"),
        None => bail!("the power could not be cut"),
    }
}

/// A cut that the shim could not carry out proves nothing.
fn no_trouble(disk: Option<&Disk>) -> Result<()> {
    let trouble = disk.map_or(Ok(0), |disk| disk.control.get(Word::Trouble))?;
    ensure!(trouble == 0, "the shim had trouble {trouble} times");
    Ok(())
}

/// The last start of a folder: everything promised is there and arrives.
fn finish(world: &mut World, options: &Options, summary: &mut Summary, done: u64) -> Result<()> {
    let life = options.seed.wrapping_add(done).wrapping_add(1 << 40);
    let mut node = world.start_well(life)?;
    let mut dice = Dice::new(life);
    summary.events_read += world.check(&node, &mut dice)?;
    let duplicates = world.drain(&node, Duration::from_secs(60))?;
    world.check(&node, &mut dice)?;
    summary.acked += world.ledger.acked() as u64;
    summary.deliveries += world.receiver.requests();
    summary.duplicates += duplicates.count;
    summary.most_duplicates_at_one_cut =
        summary.most_duplicates_at_one_cut.max(duplicates.most_at_one_cut);
    summary.oldest_in_flight_ms = summary.oldest_in_flight_ms.max(duplicates.oldest.as_millis());
    let status = node.stop()?;
    ensure!(status.success(), "SIGTERM: {status}; {}", node.log_tail());
    options.doctor(&world.data)
}
