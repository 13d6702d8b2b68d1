//! Each write and each fsync of a short run fails once (R4): no acknowledgement may rest on it, and a restart recovers.

use super::load::{Load, Seen, Shape};
use super::world::World;
use super::{Options, Summary};
use crate::node::Started;
use crate::payload::Dice;
use crate::shim::{self, Disk, FIRED_FAULT, Word};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The run: 4 connections with 50 events each.
const SHAPE: Shape = Shape { connections: 4, events: 50, ballast: 0, every: None };

/// The faults, and whether a caller can tell: half a write and an interrupted one are to be carried on with.
const FAULTS: [(&str, &str, bool); 6] = [
    ("write", "EIO", true),
    ("write", "ENOSPC", true),
    ("write", "SHORT", false),
    ("write", "EINTR", false),
    ("sync", "EIO", true),
    ("sync", "ENOSPC", true),
];

/// How a run with a fault ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    /// The fault was for an operation that never came.
    NotReached,
    /// The node said at its start what is wrong, and ended.
    RefusedToStart,
    /// The node stopped acknowledging and ended.
    Ended,
    /// The node went on and answered 503 for a while.
    Shed,
    /// Nobody noticed.
    WentOn,
}

/// Sweeps over all faults.
pub(super) fn run(options: &Options) -> Result<Summary> {
    let library = shim::build("powercut")?;
    let folder = options.folder()?;
    let (writes, syncs) = operations(options, &library, &folder)?;
    let mut summary = Summary::default();
    let mut endings = BTreeMap::<(String, Ending), u64>::new();
    let total =
        FAULTS.iter().map(|(kind, ..)| if *kind == "sync" { syncs } else { writes }).sum::<u64>();
    let bar = options.progress();
    bar.set_length(total / options.every);
    for (kind, what, told) in FAULTS {
        let last = if kind == "sync" { syncs } else { writes };
        let mut n = 1 + options.seed % options.every;
        while n <= last {
            let fault = format!("{kind}:{n}:{what}");
            let ending =
                one(options, &library, &folder, &fault, &mut summary).with_context(|| {
                    format!("fault {fault}; the folder is kept: {}", folder.display())
                })?;
            ensure!(
                told || ending >= Ending::Shed || ending == Ending::NotReached,
                "fault {fault} ended the node: {ending:?}"
            );
            *endings.entry((format!("{kind} {what}"), ending)).or_default() += 1;
            summary.cycles += 1;
            n += options.every;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    drop(std::fs::remove_dir_all(&folder));
    summary.notes.push(format!("{writes} writes and {syncs} syncs in a run"));
    summary
        .notes
        .extend(endings.iter().map(|((fault, ending), n)| format!("{fault}: {ending:?} {n}")));
    Ok(summary)
}

/// How many writes and syncs a run without faults has.
fn operations(options: &Options, library: &Path, folder: &Path) -> Result<(u64, u64)> {
    let mut world = World::new(&options.program, folder)?;
    let disk = Disk::new(library, &world.data, &world.folder)?;
    let Started::Ready(mut node) = world.start(1, Some(&disk))? else {
        bail!("the node did not start under the shim")
    };
    let seen = Load::start(&node.ingest, &world.ledger, 1, SHAPE).join();
    let wanted = SHAPE.connections * SHAPE.events;
    ensure!(
        seen.acked.load(Ordering::Relaxed) == wanted,
        "a run without faults must accept all {wanted} events: {seen:?}"
    );
    world.drain(&node, Duration::from_secs(30))?;
    let (writes, syncs) = (disk.control.get(Word::Writes)?, disk.control.get(Word::Syncs)?);
    ensure!(
        writes > 0 && syncs > 0,
        "the shim saw {writes} writes and {syncs} syncs: the binary passes it by"
    );
    node.stop()?;
    Ok((writes, syncs))
}

fn one(
    options: &Options,
    library: &Path,
    folder: &Path,
    fault: &str,
    summary: &mut Summary,
) -> Result<Ending> {
    let mut world = World::new(&options.program, folder)?;
    let mut disk = Disk::new(library, &world.data, &world.folder)?;
    disk.fault = Some(fault.to_owned());
    let mut ending = match world.start(1, Some(&disk))? {
        Started::Ended(status) => {
            no_panic(status.code())?;
            Ending::RefusedToStart
        }
        Started::Ready(mut node) => {
            let seen = Load::start(&node.ingest, &world.ledger, 1, SHAPE).join();
            summary.add(&seen)?;
            lay_down(&mut node, &disk, &seen).with_context(|| node.log_tail())?
        }
    };
    if disk.control.get(Word::Fired)? & FIRED_FAULT == 0 {
        ending = Ending::NotReached;
    }
    world.ended(1);
    let mut node = world.start_well(2)?;
    let mut dice = Dice::new(1);
    summary.events_read += world.check(&node, &mut dice)?;
    summary.duplicates += world.drain(&node, Duration::from_secs(30))?.count;
    summary.acked += world.ledger.acked() as u64;
    node.stop()?;
    Ok(ending)
}

/// Cuts the power of a node that went on; what it could not fsync is gone now.
fn lay_down(node: &mut crate::node::Node, disk: &Disk, seen: &Seen) -> Result<Ending> {
    if let Some(status) = node.ended_within(Duration::from_millis(100))? {
        no_panic(status.code())?;
        return Ok(Ending::Ended);
    }
    disk.control.set(Word::CutNow, 1)?;
    node.ended_within(Duration::from_secs(10))?.context("the power could not be cut")?;
    let shed = seen.shed.load(Ordering::Relaxed) > 0;
    Ok(if shed { Ending::Shed } else { Ending::WentOn })
}

fn no_panic(code: Option<i32>) -> Result<()> {
    match code {
        Some(101) => bail!("the node panicked"),
        None => bail!("the node was killed by a signal"),
        Some(_) => Ok(()),
    }
}
