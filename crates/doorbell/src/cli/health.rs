//! `doorbell health`: whether the server here should get requests, as an exit code: for containers, which have no curl.

use crate::remote::Node;
use crate::report::{Report, Verdict};
use anyhow::Result;
use clap::Args;
use serde_json::json;

/// What is asked.
#[derive(Debug, Args)]
pub(crate) struct Health {
    /// Only whether the process answers (/healthz), not whether it should get requests (/readyz)
    #[arg(long)]
    alive: bool,
}

pub(crate) async fn run(what: &Health, node: &Node, report: Report) -> Result<Verdict> {
    let path = if what.alive { "/healthz" } else { "/readyz" };
    let (status, word) = node.remote()?.probe(path).await?;
    let good = (200..300).contains(&status);
    if report.is_json() {
        report.json(&json!({ "healthy": good, "status": status, "sentence": word }));
    } else {
        report.text(&word);
    }
    Ok(if good { Verdict::Good } else { Verdict::Bad })
}
