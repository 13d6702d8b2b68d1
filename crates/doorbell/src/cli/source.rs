//! `doorbell source`: the named addresses that receive.

use super::fields::{Fields, text};
use super::flags::SourceFlags;
use super::show;
use crate::remote::{Body, Node, segment};
use crate::report::Report;
use anyhow::Result;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

/// What to do with sources.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List them
    List,
    /// Show one
    Get {
        /// Its name or id
        source: String,
    },
    /// Make one: an address that receives, and how its requests are verified
    Create(Create),
    /// Change fields of one; a list that is given replaces the one that it has
    Update(Update),
    /// Remove one; what it received stays
    Delete {
        /// Its name or id
        source: String,
    },
    /// Show the secret that its provider handed out (Notion, Asana)
    RevealSecret {
        /// Its name or id
        source: String,
    },
    /// Put a new secret before those it has
    RotateSecret {
        /// Its name or id
        source: String,
        /// The new secret; requests signed with an older one are still taken
        #[arg(allow_hyphen_values = true)]
        secret: String,
    },
}

/// A source to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name: the last part of its address
    name: String,
    /// Who sends: github, stripe, standard-webhooks, hmac, … or none (nothing is verified)
    #[arg(long)]
    provider: String,
    #[command(flatten)]
    flags: SourceFlags,
    #[command(flatten)]
    fields: Fields,
}

impl Create {
    pub(super) fn body(&self) -> Result<Value> {
        let own = [("name", text(Some(&self.name))), ("provider", text(Some(&self.provider)))];
        self.fields.with(&[own.to_vec(), self.flags.fields()?].concat())
    }
}

/// A source to be changed.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Its name or id
    source: String,
    /// A new name: its address changes with it
    #[arg(long)]
    name: Option<String>,
    /// Who sends
    #[arg(long)]
    provider: Option<String>,
    #[command(flatten)]
    flags: SourceFlags,
    #[command(flatten)]
    fields: Fields,
}

impl Update {
    pub(super) fn body(&self) -> Result<Value> {
        let own = [("name", text(self.name.as_ref())), ("provider", text(self.provider.as_ref()))];
        self.fields.with(&[own.to_vec(), self.flags.fields()?].concat())
    }
}

const COLUMNS: &[show::Column] = &[
    ("NAME", "/name"),
    ("PROVIDER", "/provider"),
    ("ENABLED", "/enabled"),
    ("PATH", "/path"),
    ("ID", "/id"),
];

pub(crate) async fn run(verb: &Verb, node: &Node, report: Report) -> Result<()> {
    let remote = node.remote()?;
    match verb {
        Verb::List => show::list(report, &remote.get("/v1/sources").await?, COLUMNS),
        Verb::Get { source } => show::one(report, &remote.get(&path(source)).await?),
        Verb::Create(create) => {
            show::one(report, &remote.post("/v1/sources", create.body()?).await?);
        }
        Verb::Update(update) => {
            let (path, body) = (path(&update.source), Body::Json(update.body()?));
            show::one(report, &remote.call(Method::PATCH, &path, body).await?);
        }
        Verb::Delete { source } => {
            let answer = remote.call(Method::DELETE, &path(source), Body::None).await?;
            show::done(
                report,
                &answer,
                &format!("source {source} is removed; what it received stays"),
            );
        }
        Verb::RevealSecret { source } => {
            let path = format!("{}/reveal-secret", path(source));
            show::one(report, &remote.call(Method::POST, &path, Body::None).await?);
        }
        Verb::RotateSecret { source, secret } => {
            let path = format!("{}/rotate-secret", path(source));
            show::one(report, &remote.post(&path, json!({ "secret": secret })).await?);
        }
    }
    Ok(())
}

fn path(source: &str) -> String {
    format!("/v1/sources/{}", segment(source))
}
