//! `doorbell endpoint`: where events go.

use super::counted::{COUNTED, goes};
use super::fields::{Fields, text};
use super::flags::EndpointFlags;
use super::show;
use crate::remote::{Body, Node, Remote, query, segment};
use crate::report::{Report, aside};
use anyhow::Result;
use clap::{Args, Subcommand};
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
    Create(Create),
    /// Change fields of one; a list that is given replaces the one that it has
    Update(Update),
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

/// An endpoint to be made.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Its name
    name: String,
    /// Where its events are posted to; or a place on a message broker of the settings: queue://NAME/DESTINATION
    #[arg(long, value_name = "URL")]
    url: String,
    /// The secret that signs its requests (whsec_…, whsk_…); one is made unless it is given
    #[arg(long)]
    secret: Option<String>,
    #[command(flatten)]
    flags: EndpointFlags,
    #[command(flatten)]
    fields: Fields,
}

impl Create {
    pub(super) fn body(&self) -> Result<Value> {
        let own = [
            ("name", text(Some(&self.name))),
            ("url", text(Some(&self.url))),
            ("secret", text(self.secret.as_ref())),
        ];
        self.fields.with(&[own.to_vec(), self.flags.fields()?].concat())
    }
}

/// An endpoint to be changed.
#[derive(Debug, Args)]
pub(crate) struct Update {
    /// Its name or id
    endpoint: String,
    /// A new name
    #[arg(long)]
    name: Option<String>,
    /// Where its events are posted to
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    flags: EndpointFlags,
    #[command(flatten)]
    fields: Fields,
}

impl Update {
    pub(super) fn body(&self) -> Result<Value> {
        let own = [("name", text(self.name.as_ref())), ("url", text(self.url.as_ref()))];
        self.fields.with(&[own.to_vec(), self.flags.fields()?].concat())
    }
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
        Verb::Create(create) => {
            let made = remote.post("/v1/endpoints", create.body()?).await?;
            show::one(report, &made);
            keep_secret(&made, report);
            return Ok(());
        }
        Verb::Update(update) => {
            let (path, body) = (path(&update.endpoint), Body::Json(update.body()?));
            show::one(report, &remote.call(Method::PATCH, &path, body).await?);
            return Ok(());
        }
        Verb::Delete { endpoint } => {
            let goes = waiting(&remote, endpoint).await.map(goes).unwrap_or_default();
            let answer = remote.call(Method::DELETE, &path(endpoint), Body::None).await?;
            show::done(
                report,
                &answer,
                &format!("endpoint {endpoint} is removed{}", goes.replacen("  ", ": ", 1)),
            );
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

/// How many deliveries wait for it, as far as they are counted; whether it is there at all, its removal says.
async fn waiting(remote: &Remote, endpoint: &str) -> Option<u64> {
    let limit = COUNTED.to_string();
    let query = query(&[
        ("endpoint", Some(endpoint)),
        ("state", Some("waiting")),
        ("limit", Some(limit.as_str())),
    ]);
    let found = remote.get(&format!("/v1/deliveries{query}")).await.ok()?;
    u64::try_from(found.get("data")?.as_array()?.len()).ok()
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
