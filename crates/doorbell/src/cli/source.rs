//! `doorbell source`: the named addresses that receive.

use super::fields::{Fields, text, texts};
use super::show;
use crate::remote::{Body, Node, segment};
use crate::report::Report;
use anyhow::Result;
use clap::Subcommand;
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
    Create {
        /// Its name: the last part of its address
        name: String,
        /// Who sends: github, stripe, standard-webhooks, hmac, … or none (nothing is verified)
        #[arg(long)]
        provider: String,
        /// A secret that the provider signs with; several while it is changed
        #[arg(long = "secret", allow_hyphen_values = true)]
        secrets: Vec<String>,
        /// A setting of the provider, such as header=X-Signature
        #[arg(long = "option", value_name = "NAME=VALUE")]
        options: Vec<String>,
        /// Event types it wants, with *; all when none is given
        #[arg(long = "event-type")]
        event_types: Vec<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change fields of one; --set enabled=false, --set 'event_types=["push"]'
    Update {
        /// Its name or id
        source: String,
        #[command(flatten)]
        fields: Fields,
    },
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
        Verb::Create { name, provider, secrets, options, event_types, fields } => {
            let body = fields.with(&[
                ("name", text(Some(name))),
                ("provider", text(Some(provider))),
                ("secrets", texts(secrets)),
                ("options", pairs(options)?),
                ("event_types", texts(event_types)),
            ])?;
            show::one(report, &remote.post("/v1/sources", body).await?);
        }
        Verb::Update { source, fields } => {
            let body = Body::Json(fields.with(&[])?);
            show::one(report, &remote.call(Method::PATCH, &path(source), body).await?);
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

/// `NAME=VALUE` texts as a JSON object.
fn pairs(texts: &[String]) -> Result<Option<Value>> {
    if texts.is_empty() {
        return Ok(None);
    }
    let mut object = serde_json::Map::new();
    for text in texts {
        let pair = text.split_once('=');
        let (name, value) =
            pair.ok_or_else(|| anyhow::anyhow!("--option {text}: write NAME=VALUE"))?;
        object.insert(name.to_owned(), Value::from(value));
    }
    Ok(Some(Value::Object(object)))
}
