//! `cargo xtask torture`: the real binary under load, its power cut, its process killed, its disk failing, full or rotten.
//! Each kind of fault is a module; what is believed and checked stands in `check`, what stays in `world`.

mod load;
mod receiver;
mod check;
mod world;
mod cut;
mod sweep;
mod full;
mod rot;
mod inbox;
mod fleet;
mod upgrade;
mod moving;
mod selftest;

use crate::brokers::Kind;
use crate::node::Program;
use crate::place::{self, Profile};
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, Subcommand};
use cut::Death;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// What to do to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub(crate) enum Fault {
    /// The power goes: what was not fsynced is undone, in part or whole.
    PowerCut,
    /// SIGKILL at any moment.
    Kill,
    /// Each write and each fsync of a run fails once: EIO, ENOSPC, half a write, EINTR.
    IoErrors,
    /// The disk fills up under load, and space returns.
    DiskFull,
    /// A bit flips, a file is cut short: it must be noticed, and the rest stay readable.
    BitRot,
    /// Three nodes on one PostgreSQL: nodes killed and stopped, the database killed, its standby promoted, connections cut;
    /// then with an inbox, whose broker is killed too; `--cycles` of each.
    Cluster,
    /// The database is away for `--minutes` while events come in, with an inbox before it.
    DatabaseAway,
    /// The broker of the inbox is killed and started again under load, `--cycles` times.
    Broker,
    /// Three nodes of an older binary (`--old`) are upgraded under load, one after the other.
    Upgrade,
    /// The store moves from its folder to PostgreSQL under load, first in vain and then for good; `--cycles` stores.
    Move,
    /// The harness itself: an honest stand-in must pass, and three dishonest ones must be found out.
    SelfTest,
}

/// Small segments, so that they are often begun and finished; a small disk has less to keep free.
const SETTINGS: &str = "[store]\nsegment_bytes = \"1MiB\"\nfree_bytes_min = \"8MiB\"\n";

/// How to do it.
#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    /// How many times; for io-errors see `--every`.
    #[arg(long, default_value_t = 300, global = true)]
    cycles: u64,
    /// Percent of un-synced sectors that survive a power cut; one is picked for each cycle.
    #[arg(long, value_delimiter = ',', default_value = "0,30,50,90", global = true)]
    keep: Vec<u64>,
    /// Where the dice start: cycle n uses seed + n.
    #[arg(long, global = true)]
    seed: Option<u64>,
    /// Connections that send.
    #[arg(long, default_value_t = 6, global = true)]
    connections: u64,
    /// Cycles on one folder before a fresh one is taken.
    #[arg(long, default_value_t = 100, global = true)]
    rotate: u64,
    /// For io-errors: take every n-th write and fsync only.
    #[arg(long, default_value_t = 1, global = true)]
    every: u64,
    /// For cluster: within how many seconds deliveries must go on after each fault; without, it is only reported.
    #[arg(long, global = true)]
    resume: Option<f64>,
    /// For database-away: for so many minutes.
    #[arg(long, default_value_t = 0.25, global = true)]
    minutes: f64,
    /// For database-away, broker and cluster: what the inbox is.
    #[arg(long, value_enum, default_value = "amqp", global = true)]
    inbox: Kind,
    #[command(flatten)]
    fleet: fleet::Choice,
    /// For upgrade: the binary of the version before.
    #[arg(long, global = true)]
    old: Option<PathBuf>,
    /// How the binary is built.
    #[arg(long, value_enum, default_value = "dev", global = true)]
    profile: Profile,
    /// A binary that is there already.
    #[arg(long, global = true)]
    binary: Option<PathBuf>,
    /// Print the summary as one line of JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// The flags, with what they mean.
#[derive(Debug, Clone)]
struct Options {
    program: Program,
    cycles: u64,
    keep: Vec<u64>,
    seed: u64,
    connections: u64,
    rotate: u64,
    every: u64,
    resume: Option<f64>,
    minutes: f64,
    inbox: Kind,
    fleet: fleet::Choice,
    old: Option<PathBuf>,
    fault: Fault,
}

impl Options {
    fn progress(&self) -> ProgressBar {
        let style = "{msg} {wide_bar} {pos}/{len} {per_sec} {eta}";
        let bar = ProgressBar::new(self.cycles).with_message(format!("{:?}", self.fault));
        bar.with_style(
            ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
        )
    }

    /// A folder for one world.
    fn folder(&self) -> Result<PathBuf> {
        Ok(place::work_folder("torture")?
            .join(format!("{:?}-{}", self.fault, std::process::id()).to_lowercase()))
    }

    /// `doorbell doctor` finds nothing wrong with a store that is not running. Stand-ins have no doctor.
    fn doctor(&self, data: &Path) -> Result<()> {
        if !self.program.before.is_empty() {
            return Ok(());
        }
        let (healthy, told) = diagnose(&self.program, data)?;
        ensure!(healthy, "doctor found something wrong: {told}");
        Ok(())
    }
}

/// What `doorbell doctor` says of a store: whether it is healthy, and its words.
fn diagnose(program: &Program, data: &Path) -> Result<(bool, String)> {
    let output = Command::new(&program.binary)
        .args(["doctor", "--json", "--data"])
        .arg(data)
        // The disks of the torture are small on purpose.
        .env("DOORBELL_STORE_FREE_BYTES_MIN", "8MiB")
        .output()?;
    let told = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    let code = output
        .status
        .code()
        .with_context(|| format!("doctor was killed: {}; {told}", output.status))?;
    ensure!(code != 101, "doctor panicked: {told}");
    Ok((code == 0, told))
}

/// What was done and seen.
#[derive(Debug, Default)]
struct Summary {
    cycles: u64,
    acked: u64,
    shed: u64,
    events_read: u64,
    deliveries: u64,
    duplicates: u64,
    most_duplicates_at_one_cut: u64,
    oldest_in_flight_ms: u128,
    cut_at_start: u64,
    unsynced: u64,
    notes: Vec<String>,
}

impl Summary {
    /// Takes in what the senders of one life saw.
    fn add(&mut self, seen: &load::Seen) -> Result<()> {
        let (other, rude) =
            (seen.other.load(Ordering::Relaxed), seen.without_retry_after.load(Ordering::Relaxed));
        ensure!(other == 0, "{other} answers were neither 2xx nor 503");
        ensure!(rude == 0, "{rude} answers 503 had no Retry-After");
        self.shed += seen.shed.load(Ordering::Relaxed);
        Ok(())
    }

    fn json(&self, fault: Fault, seconds: f64, seed: u64) -> Value {
        json!({
            "torture": format!("{fault:?}"), "cycles": self.cycles, "seconds": seconds, "seed": seed, "lost": 0, "corrupt": 0,
            "phantom": 0, "acked": self.acked, "shed": self.shed, "events_read": self.events_read,
            "deliveries": self.deliveries, "duplicates": self.duplicates,
            "most_duplicates_at_one_cut": self.most_duplicates_at_one_cut,
            "oldest_in_flight_ms": u64::try_from(self.oldest_in_flight_ms).unwrap_or(u64::MAX),
            "cut_at_start": self.cut_at_start, "unsynced_changes": self.unsynced, "notes": self.notes,
        })
    }
}

impl Flags {
    /// So many cycles, or every n-th operation, on the binary that CI has built.
    fn short(cycles: u64, every: u64) -> Self {
        Self {
            cycles,
            keep: vec![0, 30, 50, 90],
            seed: None,
            connections: 6,
            rotate: 100,
            every,
            resume: None,
            minutes: 0.05,
            inbox: Kind::Amqp,
            fleet: fleet::Choice::default(),
            old: None,
            profile: Profile::Dev,
            binary: None,
            json: true,
        }
    }
}

/// A short torture of one kind, for CI.
pub(crate) fn short(fault: Fault, cycles: u64, every: u64) -> Result<()> {
    run(fault, &Flags::short(cycles, every))
}

/// The torture's own test, for CI.
pub(crate) fn self_test(cycles: u64) -> Result<()> {
    selftest::run(&Flags::short(cycles, 97))
}

/// Does it, prints what came of it; an error when a promise was broken.
pub(crate) fn run(fault: Fault, flags: &Flags) -> Result<()> {
    if fault == Fault::SelfTest {
        return selftest::run(flags);
    }
    let binary =
        flags.binary.clone().map_or_else(|| place::build("doorbell", flags.profile), Ok)?;
    let mut program = Program::new(binary);
    program.settings = SETTINGS;
    let options = options(fault, flags, program);
    let begun = Instant::now();
    println!("torture {fault:?}, seed {}", options.seed);
    let summary = torture(&options)?;
    let seconds = begun.elapsed().as_secs_f64();
    let told = summary.json(fault, seconds, options.seed);
    if flags.json {
        println!("{told}");
    } else {
        print_table(&told);
    }
    Ok(())
}

fn options(fault: Fault, flags: &Flags, program: Program) -> Options {
    Options {
        program,
        cycles: flags.cycles,
        keep: flags.keep.clone(),
        seed: flags.seed.unwrap_or_else(any_seed),
        connections: flags.connections,
        rotate: flags.rotate.max(1),
        every: flags.every.max(1),
        resume: flags.resume,
        minutes: flags.minutes,
        inbox: flags.inbox,
        fleet: flags.fleet.clone(),
        old: flags.old.clone(),
        fault,
    }
}

/// A seed that was not used before; it is printed, and can be given again.
fn any_seed() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(1, |since| since.as_secs() % 1_000_000 * 100_000)
}

fn torture(options: &Options) -> Result<Summary> {
    match options.fault {
        Fault::PowerCut => cut::run(options, Death::PowerCut),
        Fault::Kill => cut::run(options, Death::Kill),
        Fault::IoErrors => sweep::run(options),
        Fault::DiskFull => full::run(options),
        Fault::BitRot => rot::run(options),
        Fault::Cluster => fleet::run(options),
        Fault::DatabaseAway | Fault::Broker => {
            inbox::fits(options.fault, options.inbox)?;
            inbox::run(options)
        }
        Fault::Upgrade => {
            let old = options.old.as_deref();
            upgrade::run(options, old.context("--old names the binary of the version before")?)
        }
        Fault::Move => moving::run(options),
        Fault::SelfTest => bail!("the self-test runs the others"),
    }
}

fn print_table(told: &Value) {
    for (name, value) in told.as_object().into_iter().flatten() {
        println!("  {name:28} {value}");
    }
}
