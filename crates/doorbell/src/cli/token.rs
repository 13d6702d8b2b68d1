//! `doorbell token`: who may use the API.

use super::show;
use crate::remote::{Body, Node, segment};
use crate::report::Report;
use anyhow::Result;
use clap::Subcommand;
use http::Method;
use serde_json::json;

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List them (never their text)
    List,
    /// Make one; its text is shown this once
    Create {
        /// A name for people
        name: String,
        /// What it may do: publish, read, write, replay, admin
        #[arg(long = "scope", required = true)]
        scopes: Vec<String>,
        /// For how long, such as 90d; as long as the token that makes it when not given
        #[arg(long)]
        expires_in: Option<String>,
    },
    /// Remove one; it ends at once
    Delete {
        /// Its id: tok_…
        token: String,
    },
}

const COLUMNS: &[show::Column] = &[
    ("NAME", "/name"),
    ("SCOPES", "/scopes"),
    ("EXPIRES", "/expires_at"),
    ("CREATED", "/created_at"),
    ("ID", "/id"),
];

pub(crate) async fn run(verb: &Verb, node: &Node, report: Report) -> Result<()> {
    let remote = node.remote()?;
    match verb {
        Verb::List => show::list(report, &remote.get("/v1/tokens").await?, COLUMNS),
        Verb::Create { name, scopes, expires_in } => {
            let mut body = json!({ "name": name, "scopes": scopes });
            if let (Some(object), Some(span)) = (body.as_object_mut(), expires_in) {
                object.insert("expires_in".to_owned(), json!(span));
            }
            show::one(report, &remote.post("/v1/tokens", body).await?);
        }
        Verb::Delete { token } => {
            let path = format!("/v1/tokens/{}", segment(token));
            let answer = remote.call(Method::DELETE, &path, Body::None).await?;
            show::done(report, &answer, &format!("token {token} is removed"));
        }
    }
    Ok(())
}
