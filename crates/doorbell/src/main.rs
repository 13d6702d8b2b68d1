//! The `doorbell` binary: command line, settings, reports. The only place for `anyhow` and for printing.

mod report;
mod config;
mod cli;

use clap::Parser;
use cli::{Cli, Verb};
use report::Report;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let report = Report::new(cli.json);
    match run(&cli, report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::aside(&format!("doorbell: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli, report: Report) -> anyhow::Result<()> {
    match &cli.verb {
        Verb::Config(verb) => cli::config::run(verb, &report),
    }
}
