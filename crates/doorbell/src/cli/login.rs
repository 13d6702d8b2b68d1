//! `doorbell login`: a fresh address that signs a browser in, once.

use crate::remote::{Body, Node};
use crate::report::Report;
use anyhow::{Context, Result};
use clap::Args;
use http::Method;
use serde_json::{Value, json};

/// Print a fresh address that opens the dashboard, once.
#[derive(Debug, Args)]
pub(crate) struct Login {}

pub(crate) async fn run(_: &Login, node: &Node, report: Report) -> Result<()> {
    let remote = node.remote()?;
    let made = remote.call(Method::POST, "/v1/login-codes", Body::None).await?;
    let path = made.pointer("/path").and_then(Value::as_str).context("the answer has no path")?;
    let url = remote.url(path)?;
    if report.is_json() {
        report.json(&json!({ "url": url.as_str(), "expires_at": made.pointer("/expires_at") }));
    } else {
        report.text(&format!("{url}   (opens once, within 15 minutes)"));
    }
    Ok(())
}
