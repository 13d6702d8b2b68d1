//! `cargo xtask ci`: what a landing must pass, cheapest first. Each step prints its seconds; the first failure ends it.

use crate::brokers::{Brokers, Kind};
use crate::place::{self, cargo, run};
use crate::postgres::{Cluster, Sync};
use crate::{e2e, tidy, torture};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use std::process::Command;
use std::time::Instant;

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// rustfmt.
    Fmt,
    /// The house rules that no compiler knows.
    Tidy,
    /// Licences, sources and banned crates, where `cargo-deny` is installed.
    Deny,
    /// clippy, with warnings as errors.
    Clippy,
    /// All tests of all crates.
    Test,
    /// The examples in the documentation.
    Doctest,
    /// The documentation, with warnings as errors.
    Doc,
    /// The real binary and the official libraries.
    E2e,
    /// Some forty official libraries against the signatures alone.
    Judges,
    /// The torture, on liars that must be found out.
    SelfTest,
    /// The real binary, tortured for a short while.
    Torture,
}

/// Which steps.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Flags {
    /// Only these steps.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Step>,
    /// All but these steps.
    #[arg(long, value_enum, value_delimiter = ',')]
    skip: Vec<Step>,
}

/// Runs the steps in their order.
pub(crate) fn run_steps(flags: &Flags) -> Result<()> {
    let wanted = |step: &&Step| {
        // The judges install some fifty libraries: they are asked for by name.
        let usual = flags.only.is_empty() && **step != Step::Judges;
        (usual || flags.only.contains(step)) && !flags.skip.contains(step)
    };
    let steps: Vec<&Step> = Step::value_variants().iter().filter(wanted).collect();
    let begun = Instant::now();
    let mut passed = Vec::new();
    for step in &steps {
        println!("\n== {step:?}");
        let at = Instant::now();
        step.run().with_context(|| {
            format!("{step:?} failed after {:.0} s", at.elapsed().as_secs_f64())
        })?;
        passed.push(format!("{:>9.1} s  {step:?}", at.elapsed().as_secs_f64()));
    }
    println!("\n{}\n{:>9.1} s  in all", passed.join("\n"), begun.elapsed().as_secs_f64());
    println!("Summary: {} steps run: {} passed, 0 failed", steps.len(), passed.len());
    Ok(())
}

impl Step {
    fn run(self) -> Result<()> {
        match self {
            Self::Fmt => run(cargo().args(["fmt", "--all", "--check"])),
            Self::Tidy => tidy::run(),
            Self::Deny => deny(),
            Self::Clippy => run(cargo().args([
                "clippy",
                "--quiet",
                "--workspace",
                "--all-targets",
                "--",
                "-D",
                "warnings",
            ])),
            Self::Test => tests(),
            Self::Doctest => run(cargo().args(["test", "--quiet", "--workspace", "--doc"])),
            Self::Doc => {
                let mut doc = cargo();
                run(doc
                    .args(["doc", "--quiet", "--workspace", "--no-deps"])
                    .env("RUSTDOCFLAGS", "-D warnings"))
            }
            Self::E2e => {
                e2e::run(&e2e::Flags::default())?;
                e2e::Flags::on_postgres().iter().try_for_each(e2e::run)
            }
            Self::Judges => {
                let script = place::root().join("crates/webhook-signatures/judges/run");
                run(Command::new(script).arg(place::work_folder("judges")?))
            }
            Self::SelfTest => torture::self_test(10),
            Self::Torture => short_torture(),
        }
    }
}

/// nextest where it is installed, else cargo's own runner; with a database and brokers of their own.
fn tests() -> Result<()> {
    let brokers = Brokers::start(Kind::value_variants())?;
    let database = Cluster::start(Sync::No)?;
    let mut tests = cargo();
    tests.env("DOORBELL_TEST_POSTGRES", database.url());
    brokers.tell(&mut tests);
    if place::is_installed("cargo-nextest") {
        return run(tests.args(["nextest", "run", "--workspace"]));
    }
    println!("cargo-nextest is not installed: cargo test runs the same tests");
    run(tests.args(["test", "--workspace", "--lib", "--bins", "--tests"]))
}

fn deny() -> Result<()> {
    if !place::is_installed("cargo-deny") {
        println!(
            "cargo-deny is not installed: deny.toml is not checked (cargo install --locked cargo-deny)"
        );
        return Ok(());
    }
    run(cargo().args(["deny", "check", "bans", "licenses", "sources"]))
}

/// A few hundred cycles of each kind.
fn short_torture() -> Result<()> {
    use torture::Fault;
    torture::short(Fault::PowerCut, 100, 1)?;
    torture::short(Fault::Kill, 60, 1)?;
    torture::short(Fault::IoErrors, 1, 75)?;
    torture::short(Fault::DiskFull, 1, 1)?;
    torture::short(Fault::BitRot, 30, 1)
}
