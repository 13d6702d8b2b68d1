//! The project's own chores, as `cargo xtask …`: what a landing must pass, the torture of the real binary, benchmarks.
//!
//! Nothing in here ships. A chore builds what it needs, keeps what it makes under `target/`, and prints its findings.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to whoever runs it")]
#![expect(clippy::disallowed_methods, reason = "a chore measures time and runs processes")]

mod place;
mod still;
mod dist;
mod http;
mod payload;
mod shim;
mod node;
mod postgres;
mod brokers;
mod standin;
mod torture;
mod e2e;
mod bench;
mod simulate;
mod providers;
mod tidy;
mod ci;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "The project's own chores")]
struct Line {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Everything that a landing must pass.
    #[command(visible_alias = "test")]
    Ci(ci::Flags),
    /// The house rules that no compiler knows.
    Tidy(tidy::Flags),
    /// The real binary, with the official libraries of others as judges.
    E2e(e2e::Flags),
    /// A command with message brokers beside it, which are started for it.
    Brokers(brokers::Flags),
    /// Tortures the real binary and checks its promises.
    Torture {
        /// What to do to it.
        #[command(subcommand)]
        fault: torture::Fault,
        #[command(flatten)]
        flags: torture::Flags,
    },
    /// Every provider with what it was verified by; writes the pages about them.
    Providers(providers::Flags),
    /// Packages.
    Dist {
        /// Which.
        #[command(subcommand)]
        product: dist::Product,
    },
    /// What the gateway costs, beside the same work without it.
    Bench(bench::Flags),
    /// A fleet on paper: a hundred times what this machine can run.
    Simulate(simulate::Flags),
    /// The bare server of `bench ingest`.
    #[command(hide = true)]
    Bare,
    /// The bare client of `bench deliver`.
    #[command(hide = true)]
    BareClient(bench::ClientFlags),
    /// A small gateway on which the torture is tested.
    #[command(hide = true)]
    Standin(standin::Flags),
}

fn main() -> ExitCode {
    match run(Line::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<()> {
    match chore {
        Chore::Ci(flags) => ci::run_steps(&flags),
        Chore::Tidy(flags) => tidy::run_with(&flags),
        Chore::Brokers(flags) => brokers::beside(&flags),
        Chore::E2e(flags) => e2e::run(&flags),
        Chore::Torture { fault, flags } => torture::run(fault, &flags),
        Chore::Providers(flags) => providers::run(&flags),
        Chore::Dist { product } => dist::make(product),
        Chore::Bench(flags) => bench::run(&flags),
        Chore::Simulate(flags) => simulate::run(&flags),
        Chore::Bare => bench::serve_bare(),
        Chore::BareClient(flags) => bench::post_bare(&flags),
        Chore::Standin(flags) => standin::run(&flags),
    }
}
