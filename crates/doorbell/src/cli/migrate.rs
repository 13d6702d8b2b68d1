//! `doorbell migrate`: brings a database up to the layout of this version, while nodes of the version before go on.

use super::serve::database;
use crate::config::{Config, Flags};
use crate::report::{Report, Verdict};
use anyhow::{Context, Result, bail};
use clap::Args;
use doorbell_store::postgres::{Layout, Options, Postgres};
use serde_json::json;

/// What to do with the database.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Only say how the database stands; exit code 1 when it has to be brought up
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(crate) async fn run(migrate: &Migrate, report: Report) -> Result<Verdict> {
    let config = Config::from_layers(&migrate.flags.layers())?;
    let Some(options) = database(&config)? else {
        bail!(
            "store.url names no database, and an embedded store needs no migration; \
             give --store postgres://user:password@host/database"
        );
    };
    if migrate.check { check(&options, report).await } else { bring_up(&options, report).await }
}

async fn check(options: &Options, report: Report) -> Result<Verdict> {
    let layout = look(options).await?;
    let (word, sentence, verdict) = match layout {
        Layout::Fits => ("fits", "the database fits this Doorbell".to_owned(), Verdict::Good),
        Layout::Empty => {
            let sentence =
                "the database is empty; `doorbell serve` fills it, or `doorbell migrate`";
            ("empty", sentence.to_owned(), Verdict::Bad)
        }
        Layout::Older { found } => {
            let sentence =
                format!("the database has the older layout {found}; run `doorbell migrate`");
            ("older", sentence, Verdict::Bad)
        }
        Layout::Newer { found } => {
            let sentence =
                format!("the database has layout {found}, which is too new; use a newer Doorbell");
            ("newer", sentence, Verdict::Bad)
        }
    };
    if report.is_json() {
        report.json(&json!({ "layout": word, "sentence": sentence }));
    } else {
        report.text(&sentence);
    }
    Ok(verdict)
}

async fn bring_up(options: &Options, report: Report) -> Result<Verdict> {
    if let Layout::Newer { found } = look(options).await? {
        bail!(
            "the database has layout {found}, which this Doorbell does not know; use a newer one"
        );
    }
    let made = Postgres::migrate(options).await.context("nothing was changed")?;
    if report.is_json() {
        report.json(&json!({ "made": made }));
    } else if made.is_empty() {
        report.text("there was nothing to do: the database fits this Doorbell");
    } else {
        let made: Vec<String> = made.iter().map(ToString::to_string).collect();
        report.text(&format!("the database has layout {} now", made.join(", then ")));
    }
    Ok(Verdict::Good)
}

async fn look(options: &Options) -> Result<Layout> {
    Postgres::look(options).await.context("store.url: the database cannot be used")
}
