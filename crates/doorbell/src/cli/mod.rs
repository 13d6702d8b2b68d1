//! The command line: one file per verb. All but `serve`, `verify` and `doctor` use only the public API.

pub(crate) mod config;

use clap::{Parser, Subcommand};

/// Doorbell receives webhooks, keeps them, and delivers them.
#[derive(Debug, Parser)]
#[command(name = "doorbell", version, about, max_term_width = 110)]
pub(crate) struct Cli {
    /// Answer in JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the settings and where each came from
    #[command(subcommand)]
    Config(config::Verb),
}
