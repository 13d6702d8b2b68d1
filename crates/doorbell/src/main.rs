//! The `doorbell` binary: command line, settings, reports. The only place for `anyhow` and for printing.

#![expect(
    clippy::doc_markdown,
    reason = "the doc comments of flags and verbs are help texts for a terminal"
)]

mod report;
mod config;
mod remote;
mod otel;
mod captured;
mod cli;

use clap::Parser;
use cli::Cli;
use report::Verdict;
use std::process::ExitCode;
use std::time::Duration;

/// What is made on one thread is dropped on another here (a record by the commit thread, an event by a try), which is what this
/// allocator is good at and the C library's is not: a delivery costs a seventh less, in the musl build more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long tasks and blocking calls that were cut off may take to notice.
const SHUTDOWN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let done = runtime.block_on(cli.run());
            // Whatever still runs has had its time: a task that never ends keeps no process alive.
            runtime.shutdown_timeout(SHUTDOWN);
            done
        });
    match done {
        Ok(Verdict::Good) if report::all_arrived() => ExitCode::SUCCESS,
        Ok(Verdict::Good | Verdict::Bad) => ExitCode::FAILURE,
        Err(error) => {
            cli.report().error(&error);
            ExitCode::FAILURE
        }
    }
}
