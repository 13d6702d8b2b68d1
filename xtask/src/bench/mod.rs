//! `cargo xtask bench`: what the gateway costs, beside what the same work costs without it, in the same run. Ratios are
//! what to trust; absolute figures are this machine's. Everything is built as it is shipped (profile `dist`).

mod sample;
mod share;
mod process;
mod wire;
mod load;
mod sink;
mod signed;
mod bare;
mod client;
mod gateway;
mod report;
mod plot;
mod ingest;
mod beside;
mod deliver;
mod fleet;
mod slow;
mod backlog;
mod stored;
mod crowd;
mod configure;
mod verify;
mod database;

pub(crate) use bare::serve as serve_bare;
pub(crate) use client::{Flags as ClientFlags, post as post_bare};

use crate::place::{self, Profile};
use anyhow::Result;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Durable acknowledgements, against a bare hyper server with the same check.
    Ingest,
    /// From the sender to the receiver, against a bare loop between the two.
    Deliver,
    /// Accept and event-to-delivered at a calm rate.
    Latency,
    /// One dead endpoint among a thousand.
    Isolation,
    /// A busy endpoint beside receivers that never answer.
    Slow,
    /// One event to ten thousand endpoints.
    Fanout,
    /// Millions of deliveries that wait: memory, lists, start, and how fast they go when they may.
    Backlog,
    /// Millions of events that are done: what comes in, lists, search, start.
    Stored,
    /// Ten thousand connections, honest or slow.
    Crowd,
    /// Changes of the configuration, of little and of much.
    Configure,
    /// Full rate for long: memory.
    Soak,
    /// The check of each kind of scheme, against the bare hash of the same bytes.
    Verify,
    /// One node and two on `PostgreSQL`, against what the same server takes from pgbench.
    Postgres,
    /// All of them, with their usual figures.
    All,
    /// Draws the runs so far.
    Plot,
}

/// How it is measured.
#[derive(Debug, Clone, Args)]
pub(crate) struct Flags {
    /// What to measure.
    #[arg(value_enum)]
    what: What,
    /// Rounds; each measures both sides.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of each side of a round, which may have a fraction (of `soak`: in all).
    #[arg(long)]
    seconds: Option<f64>,
    /// Keep-alive connections of the load.
    #[arg(long, default_value_t = 64)]
    connections: u64,
    /// Events a second, where the rate is fixed.
    #[arg(long)]
    rate: Option<f64>,
    /// A binary that is there already.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// For soak: the source knows no repetitions, so what grows is not the table of keys.
    #[arg(long)]
    no_dedupe: bool,
    /// Instead of the bare server: what a request of this provider's costs beside the same bytes signed as GitHub does
    /// (ingest).
    #[arg(long)]
    provider: Option<String>,
    /// Endpoints (isolation, slow, fanout, configure) or waiting deliveries (backlog), stored events (stored).
    #[arg(long)]
    count: Option<u64>,
    /// Processors that each node may use (postgres): with 0.3 the nodes are the limit.
    #[arg(long)]
    node_share: Option<f64>,
    /// Processors that the database may use (postgres): with 0.5 it is the limit, as on a machine of its own.
    #[arg(long)]
    database_share: Option<f64>,
}

impl Flags {
    fn seconds(&self, usual: f64) -> Duration {
        Duration::from_secs_f64(self.seconds.unwrap_or(usual).clamp(0.05, 86_400.0))
    }
}

/// Measures; a build without optimisation first makes one with, and lets that do it.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    if flags.what == What::Plot {
        return plot::run();
    }
    if cfg!(debug_assertions) {
        let optimised = place::build("xtask", Profile::Release)?;
        // Ten thousand connections need as many descriptors, on both sides.
        let mut shell = Command::new("sh");
        shell.args([
            "-c",
            "ulimit -n 65536 2>/dev/null || ulimit -n \"$(ulimit -H -n)\"; exec \"$0\" \"$@\"",
        ]);
        return place::run(shell.arg(optimised).args(std::env::args_os().skip(1)));
    }
    measure(flags.what, flags)
}

/// A number that no other load of this run has got: it sets the ids of its events apart.
fn fresh_number() -> u64 {
    static LOADS: AtomicU64 = AtomicU64::new(1);
    LOADS.fetch_add(1, Ordering::Relaxed)
}

fn measure(what: What, flags: &Flags) -> Result<()> {
    match what {
        What::Ingest => match &flags.provider {
            Some(provider) => beside::run(flags, provider),
            None => ingest::run(flags),
        },
        What::Deliver => deliver::run(flags),
        What::Latency => deliver::latency(flags),
        What::Isolation => fleet::isolation(flags),
        What::Slow => slow::run(flags),
        What::Fanout => fleet::fanout(flags),
        What::Backlog => backlog::run(flags),
        What::Stored => stored::run(flags),
        What::Crowd => crowd::run(flags),
        What::Configure => configure::run(flags),
        What::Soak => ingest::soak(flags),
        What::Verify => verify::run(flags),
        What::Postgres => database::run(flags),
        What::Plot => plot::run(),
        What::All => {
            use What::{
                Backlog, Configure, Crowd, Deliver, Fanout, Ingest, Isolation, Latency, Plot,
                Postgres, Slow, Soak, Stored, Verify,
            };
            let all = [
                Verify, Ingest, Deliver, Latency, Isolation, Slow, Fanout, Configure, Crowd,
                Postgres, Backlog, Stored, Soak, Plot,
            ];
            all.into_iter().try_for_each(|what| measure(what, flags))
        }
    }
}
