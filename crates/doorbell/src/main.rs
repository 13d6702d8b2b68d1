//! The `doorbell` binary: command line, settings, reports. The only place for `anyhow` and for printing.

#![expect(
    clippy::doc_markdown,
    reason = "the doc comments of flags and verbs are help texts for a terminal"
)]

mod report;
mod config;
mod remote;
mod captured;
mod cli;

use clap::Parser;
use cli::Cli;
use report::Verdict;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(cli.run()));
    match done {
        Ok(Verdict::Good) if report::all_arrived() => ExitCode::SUCCESS,
        Ok(Verdict::Good | Verdict::Bad) => ExitCode::FAILURE,
        Err(error) => {
            cli.report().error(&error);
            ExitCode::FAILURE
        }
    }
}
