//! `doorbell endpoint`: where events go.

use super::fields::{Fields, text, texts};
use super::show;
use crate::remote::{Body, Node, segment};
use crate::report::{Report, aside};
use anyhow::Result;
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

/// What to do with endpoints.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List them: whether each is enabled, and how its circuit breaker is
    List,
    /// Show one; `standing` says how its deliveries stand, and why its circuit breaker opened
    Get {
        /// Its name or id
        endpoint: String,
    },
    /// Make one; its signing secret is shown this once
    Create {
        /// Its name
        name: String,
        /// Where its events are posted to
        #[arg(long, value_name = "URL")]
        url: String,
        /// Only events of these sources
        #[arg(long = "source")]
        sources: Vec<String>,
        /// Only these event types, with *
        #[arg(long = "event-type")]
        event_types: Vec<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change fields of one; --set 'retry.schedule=["0s","10s","5m"]', --set timeout=30s
    Update {
        /// Its name or id
        endpoint: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Remove one; what still waits for it is discarded
    Delete {
        /// Its name or id
        endpoint: String,
    },
    /// Let its deliveries wait until it is enabled again
    Pause {
        /// Its name or id
        endpoint: String,
    },
    /// Deliver again, after a pause or when it was disabled
    Enable {
        /// Its name or id
        endpoint: String,
    },
    /// Discard its deliveries from now on; they can be replayed
    Disable {
        /// Its name or id
        endpoint: String,
    },
    /// Give it a new secret; the old one signs too for a day
    RotateSecret {
        /// Its name or id
        endpoint: String,
    },
    /// Send it an event of the type doorbell.ping
    Test {
        /// Its name or id
        endpoint: String,
    },
}

const COLUMNS: &[show::Column] = &[
    ("NAME", "/name"),
    ("STATUS", "/status"),
    ("BREAKER", "/standing/breaker"),
    ("URL", "/url"),
    ("EVENT TYPES", "/event_types"),
    ("ID", "/id"),
];

pub(crate) async fn run(verb: &Verb, node: &Node, report: Report) -> Result<()> {
    let remote = node.remote()?;
    let (endpoint, action) = match verb {
        Verb::List => {
            show::list(report, &remote.get("/v1/endpoints").await?, COLUMNS);
            return Ok(());
        }
        Verb::Get { endpoint } => {
            show::one(report, &remote.get(&path(endpoint)).await?);
            return Ok(());
        }
        Verb::Create { name, url, sources, event_types, fields } => {
            let body = fields.with(&[
                ("name", text(Some(name))),
                ("url", text(Some(url))),
                ("sources", texts(sources)),
                ("event_types", texts(event_types)),
            ])?;
            let made = remote.post("/v1/endpoints", body).await?;
            show::one(report, &made);
            keep_secret(&made, report);
            return Ok(());
        }
        Verb::Update { endpoint, fields } => {
            let body = Body::Json(fields.with(&[])?);
            show::one(report, &remote.call(Method::PATCH, &path(endpoint), body).await?);
            return Ok(());
        }
        Verb::Delete { endpoint } => {
            let answer = remote.call(Method::DELETE, &path(endpoint), Body::None).await?;
            show::done(report, &answer, &format!("endpoint {endpoint} is removed"));
            return Ok(());
        }
        Verb::Pause { endpoint } => (endpoint, "pause"),
        Verb::Enable { endpoint } => (endpoint, "enable"),
        Verb::Disable { endpoint } => (endpoint, "disable"),
        Verb::RotateSecret { endpoint } => (endpoint, "rotate-secret"),
        Verb::Test { endpoint } => (endpoint, "test"),
    };
    let answer = remote.post(&format!("{}/{action}", path(endpoint)), json!({})).await?;
    show::one(report, &answer);
    keep_secret(&answer, report);
    Ok(())
}

/// A secret that was just made is in this answer and in no other.
fn keep_secret(answer: &Value, report: Report) {
    if answer.get("secret").is_some_and(Value::is_string) && !report.is_json() {
        aside("The secret is not shown again: your service checks `webhook-signature` with it.");
    }
}

fn path(endpoint: &str) -> String {
    format!("/v1/endpoints/{}", segment(endpoint))
}
