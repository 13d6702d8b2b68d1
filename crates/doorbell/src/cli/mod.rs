//! The command line: one file per verb. All but `serve`, `verify`, `trigger`, `providers`,
//! `config`, `migrate`, `export`, `import`, `restore` and `doctor` use only the public API.

mod show;
mod moment;
mod counted;
mod fields;
mod flags;
mod explained;
mod files;
mod reach;
mod bodies;
pub(crate) mod config;
pub(crate) mod serve;
pub(crate) mod source;
pub(crate) mod endpoint;
pub(crate) mod event;
pub(crate) mod delivery;
pub(crate) mod replay;
pub(crate) mod token;
pub(crate) mod login;
pub(crate) mod stream;
pub(crate) mod apply;
mod provider;
pub(crate) mod providers;
pub(crate) mod verify;
pub(crate) mod trigger;
pub(crate) mod doctor;
mod health;
pub(crate) mod backup;
pub(crate) mod migrate;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod moving;

use crate::config::Flags;
use crate::remote::Node;
use crate::report::{Report, Verdict};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};

/// Doorbell receives webhooks, keeps them, and delivers them.
#[derive(Debug, Parser)]
#[command(name = "doorbell", version, about, max_term_width = 110, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// Answer in JSON
    #[arg(long, global = true, display_order = 998)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

/// A verb of the API and the node it is asked of.
#[derive(Debug, Args)]
pub(crate) struct Asked<V: Subcommand> {
    #[command(flatten)]
    node: Node,
    #[command(subcommand)]
    verb: V,
}

/// A question to the API and the node it is asked of.
#[derive(Debug, Args)]
pub(crate) struct Question<A: Args> {
    #[command(flatten)]
    node: Node,
    #[command(flatten)]
    what: A,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Receive, keep and deliver webhooks
    Serve(Flags),
    /// The named addresses that receive
    Source(Asked<source::Verb>),
    /// Where events go
    Endpoint(Asked<endpoint::Verb>),
    /// What was received and accepted, or published; publish one
    Event(Asked<event::Verb>),
    /// All that came in: rejected requests (and why) and duplicates too
    Request(Asked<event::RequestVerb>),
    /// One event on its way to one endpoint: its attempts, what failed and why, try again
    Delivery(Asked<delivery::Verb>),
    /// Deliver again on purpose: dead letters, a span of time, a source
    Replay(Asked<replay::Verb>),
    /// Who may use the API
    Token(Asked<token::Verb>),
    /// Print a fresh address that opens the dashboard, once
    Login(Question<login::Login>),
    /// Watch what happens, as it happens
    Tail(Question<stream::Tail>),
    /// Look for text or a JSON value in payloads, newest first
    Search(Question<stream::Search>),
    /// Make sources and endpoints as a file declares them
    Apply(Question<apply::Apply>),
    /// Send a provider's sample webhook, correctly signed, to any URL
    Trigger(trigger::Trigger),
    /// Check the signature of a captured request, and find out why it does not verify
    Verify(verify::Verify),
    /// Who is known to send webhooks, and how they sign
    Providers(providers::Providers),
    /// Bring a database (store.url) up to the layout of this version
    Migrate(migrate::Migrate),
    /// Copy a running server's embedded store into a file
    Backup(Question<backup::Backup>),
    /// Make a data folder from a backup
    Restore(backup::Restore),
    /// Move everything to a PostgreSQL database, while the server serves
    Move(Question<moving::Move>),
    /// Write all that a store keeps into a file: one whose server is stopped, or a database
    Export(export::Export),
    /// Bring an exported file into a database, or into a new data folder
    Import(import::Import),
    /// Say by the exit code whether the server here should get requests
    Health(Question<health::Health>),
    /// Look over a data folder whose server is stopped
    Doctor(Flags),
    /// Show the settings and where each came from
    #[command(subcommand)]
    Config(config::Verb),
}

impl Cli {
    pub(crate) const fn report(&self) -> Report {
        Report::new(self.json)
    }

    /// Does it.
    ///
    /// # Errors
    /// With a sentence for people.
    pub(crate) async fn run(&self) -> Result<Verdict> {
        let report = self.report();
        match &self.verb {
            Verb::Trigger(trigger) => return trigger::run(trigger, report).await,
            Verb::Verify(verify) => return verify::run(verify, report),
            Verb::Migrate(migrate) => return migrate::run(migrate, report).await,
            Verb::Health(asked) => return health::run(&asked.what, &asked.node, report).await,
            Verb::Restore(restore) => return backup::restore(restore, report),
            Verb::Move(asked) => return moving::run(&asked.what, &asked.node, report).await,
            Verb::Export(export) => export::run(export, report).await?,
            Verb::Import(import) => import::run(import, report).await?,
            Verb::Doctor(flags) => return doctor::run(flags, report),
            Verb::Serve(flags) => Box::pin(serve::run(flags, report)).await?,
            Verb::Source(asked) => source::run(&asked.verb, &asked.node, report).await?,
            Verb::Endpoint(asked) => endpoint::run(&asked.verb, &asked.node, report).await?,
            Verb::Event(asked) => event::run(&asked.verb, &asked.node, report).await?,
            Verb::Request(asked) => event::run_requests(&asked.verb, &asked.node, report).await?,
            Verb::Delivery(asked) => delivery::run(&asked.verb, &asked.node, report).await?,
            Verb::Replay(asked) => replay::run(&asked.verb, &asked.node, report).await?,
            Verb::Token(asked) => token::run(&asked.verb, &asked.node, report).await?,
            Verb::Login(asked) => login::run(&asked.what, &asked.node, report).await?,
            Verb::Tail(asked) => stream::tail(&asked.what, &asked.node, report).await?,
            Verb::Backup(asked) => backup::backup(&asked.what, &asked.node, report).await?,
            Verb::Search(asked) => stream::search(&asked.what, &asked.node, report).await?,
            Verb::Apply(asked) => apply::run(&asked.what, &asked.node, report).await?,
            Verb::Providers(providers) => providers::run(providers, report)?,
            Verb::Config(verb) => config::run(verb, report)?,
        }
        Ok(Verdict::Good)
    }
}

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::{CommandFactory, Parser};

    #[test]
    fn every_verb_fits_together() {
        Cli::command().debug_assert();
    }

    /// People write the flags that name the node where they think of them: at the end.
    #[test]
    fn the_node_may_be_named_before_and_after_the_verb() {
        for words in [
            "token --token t --data-dir d delete tok_1",
            "token delete tok_1 --token t --data-dir d",
        ] {
            let cli =
                Cli::try_parse_from(["doorbell"].into_iter().chain(words.split(' '))).unwrap();
            let node = format!("{:?}", cli.verb);
            assert!(
                node.contains(r#"token: Some("t")"#) && node.contains(r#"data_dir: Some("d")"#),
                "{node}"
            );
            assert!(node.contains(r#"token: "tok_1""#), "{node}");
        }
    }
}
