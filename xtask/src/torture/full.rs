//! The disk fills up under load, and space returns (R5): 503 with Retry-After at once, reading and delivering go on,
//! and receiving recovers without a restart. On a small tmpfs where we may mount one, else the shim refuses to grow.

use super::load::{Load, Shape};
use super::world::World;
use super::{Options, Summary};
use crate::node::{Node, Started};
use crate::payload::Dice;
use crate::place;
use crate::shim::{self, Disk, Word};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Bytes of the small disk.
const SIZE: u64 = 96 << 20;
/// Bytes that something else takes, until it gives them back.
const BALLAST: u64 = 48 << 20;
/// How long until the first 503 of a load that fills the disk, and until receiving recovers.
const PATIENCE: Duration = Duration::from_secs(60);

/// The small disk.
#[derive(Debug)]
enum SmallDisk {
    Mounted(PathBuf),
    Shim(Box<Disk>),
}

impl SmallDisk {
    fn shim(world: &World) -> Result<Self> {
        let disk = Disk::new(&shim::build("powercut")?, &world.data, &world.folder)?;
        disk.control.set(Word::Budget, SIZE - BALLAST)?;
        Ok(Self::Shim(Box::new(disk)))
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Mounted(_) => "on tmpfs",
            Self::Shim(_) => "by the shim",
        }
    }

    fn start(&self, world: &World) -> Result<Node> {
        let disk = match self {
            Self::Mounted(_) => None,
            Self::Shim(disk) => Some(disk.as_ref()),
        };
        match world.start(1, disk)? {
            Started::Ready(node) => Ok(node),
            Started::Ended(status) => bail!("the node ended at its start: {status}"),
        }
    }

    /// Gives back what something else took.
    fn free(&self) -> Result<()> {
        match self {
            Self::Mounted(folder) => Ok(std::fs::remove_file(folder.join("ballast"))?),
            Self::Shim(disk) => disk.control.set(Word::Budget, SIZE),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Self::Mounted(path) = self {
            drop(Command::new("umount").arg("--lazy").arg(path).status());
        }
    }
}

/// Fills the disk and frees it, `cycles` times, each on a fresh one.
pub(super) fn run(options: &Options) -> Result<Summary> {
    let mut summary = Summary::default();
    let bar = options.progress();
    for cycle in 0..options.cycles {
        let folder = options.folder()?;
        one(options, &folder, &mut summary)
            .with_context(|| format!("cycle {cycle} in {}", folder.display()))?;
        drop(std::fs::remove_dir_all(&folder));
        summary.cycles += 1;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(summary)
}

fn one(options: &Options, folder: &Path, summary: &mut Summary) -> Result<()> {
    drop(std::fs::remove_dir_all(folder));
    std::fs::create_dir_all(folder)?;
    let mounted = mount(folder)?;
    let place = folder.join("disk");
    let mut world = World::new(&options.program, &place)?;
    let disk = match mounted {
        Some(disk) => disk,
        None => SmallDisk::shim(&world)?,
    };
    if summary.notes.is_empty() {
        summary.notes.push(disk.kind().to_owned());
    }
    let mut node = disk.start(&world)?;
    let load = fill(&node, &world, options)?;
    while_full(&node, &mut world)?;
    disk.free()?;
    let recovered = recovers(&load)?;
    summary.notes.push(format!("received again {recovered:.2?} after space returned"));
    summary.add(&load.stop())?;
    summary.events_read += world.check(&node, &mut Dice::new(1))?;
    world.drain(&node, PATIENCE)?;
    summary.acked += world.ledger.acked() as u64;
    let status = node.stop()?;
    ensure!(status.success(), "SIGTERM: {status}; {}", node.log_tail());
    options.doctor(&world.data)
}

/// Mounts a small tmpfs with a ballast on it, where that is allowed.
fn mount(folder: &Path) -> Result<Option<SmallDisk>> {
    let size = format!("size={SIZE}");
    let mut mount = Command::new("mount");
    let mounted = mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    let disk = SmallDisk::Mounted(folder.to_owned());
    std::fs::create_dir_all(folder.join("disk"))?;
    place::run(
        Command::new("fallocate").args(["-l", &BALLAST.to_string()]).arg(folder.join("ballast")),
    )?;
    Ok(Some(disk))
}

/// Loads until the first 503.
fn fill(node: &Node, world: &World, options: &Options) -> Result<Load> {
    let shape =
        Shape { connections: options.connections, events: u64::MAX, ballast: 40_000, every: None };
    let load = Load::start(&node.ingest, &world.ledger, 1, shape);
    let begun = Instant::now();
    while load.seen.shed.load(Ordering::Relaxed) < 20 {
        ensure!(
            begun.elapsed() < PATIENCE,
            "no 503 within {PATIENCE:?}: {:?}; {}",
            load.seen,
            node.log_tail()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(load)
}

/// While the disk is full: reading works, and what was promised before is delivered.
fn while_full(node: &Node, world: &mut World) -> Result<()> {
    node.api(&world.token)
        .api("GET /v1/events?limit=5", None)
        .context("reading while the disk is full")?;
    world.check(node, &mut Dice::new(2)).context("while the disk is full")?;
    world.drain(node, PATIENCE).context("delivering while the disk is full")?;
    Ok(())
}

/// Waits until events are accepted again.
fn recovers(load: &Load) -> Result<Duration> {
    let begun = Instant::now();
    let before = load.seen.acked.load(Ordering::Relaxed);
    while load.seen.acked.load(Ordering::Relaxed) < before + 20 {
        ensure!(
            begun.elapsed() < PATIENCE,
            "no event was accepted within {PATIENCE:?} of space returning"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(begun.elapsed())
}
