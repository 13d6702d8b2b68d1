//! `doorbell move`: the store of a running server goes to a database, while the server serves.

use super::export::bar;
use super::show;
use crate::config::variable;
use crate::remote::{Body, Node, Remote};
use crate::report::{Report, Verdict};
use anyhow::{Result, bail};
use clap::Args;
use http::Method;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::time::Duration;

/// Where it asks for the address of the database, which has a password in it.
const VARIABLE: &str = "DOORBELL_MOVE_TO";
/// How often the server is asked how far it is.
const LOOK: Duration = Duration::from_millis(200);
/// How often in a row it may give no answer while it changes over.
const SILENT: u32 = 300;

/// What to do.
#[derive(Debug, Args)]
#[group(required = false, multiple = false)]
pub(crate) struct Move {
    /// The database: postgres://user:password@host/name, after `doorbell migrate --store …`; better in DOORBELL_MOVE_TO
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Show how far a move is
    #[arg(long)]
    show: bool,
    /// Stop a move; the server goes on as before
    #[arg(long)]
    cancel: bool,
}

pub(crate) async fn run(what: &Move, node: &Node, report: Report) -> Result<Verdict> {
    let remote = node.remote()?;
    if what.show {
        show::one(report, &remote.get("/v1/move").await?);
        return Ok(Verdict::Good);
    }
    if what.cancel {
        show::one(report, &remote.call(Method::POST, "/v1/move/cancel", Body::None).await?);
        return Ok(Verdict::Good);
    }
    let Some(to) = what.to.clone().or_else(|| variable(VARIABLE)) else {
        bail!("where to? Give --to postgres://user:password@host/database, or {VARIABLE}");
    };
    remote.post("/v1/move", json!({ "to": to })).await?;
    let answer =
        watch(&remote, &bar(report, "{msg:10} {bar:40} {bytes}/{total_bytes}, {eta} left")).await?;
    tell(report, &answer)
}

/// Waits until it is over.
async fn watch(remote: &Remote, bar: &ProgressBar) -> Result<Value> {
    let mut silent = 0;
    loop {
        match remote.get("/v1/move").await {
            Ok(answer) => {
                silent = 0;
                let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
                bar.set_message(text(&answer, "phase").to_owned());
                bar.set_length(number("bytes"));
                bar.set_position(number("bytes_read"));
                if matches!(text(&answer, "phase"), "done" | "failed" | "cancelled" | "none") {
                    bar.finish_and_clear();
                    return Ok(answer);
                }
            }
            // It changes over.
            Err(error) => {
                silent += 1;
                if silent >= SILENT {
                    return Err(error.context("the server gives no answer; its log tells more"));
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn tell(report: Report, answer: &Value) -> Result<Verdict> {
    let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
    match text(answer, "phase") {
        "done" if report.is_json() => report.json(answer),
        "done" => {
            report.text(&format!(
                "the server works on {} now; for {} ms it gave no answers\n\
                 before its next start, set store.url to that database: what is in the data folder is of the past",
                text(answer, "to"),
                number("pause_ms")
            ));
            if number("damaged") > 0 {
                report.text(&format!(
                    "{} damaged records were left behind; `doorbell doctor` tells of them",
                    number("damaged")
                ));
            }
        }
        "none" => bail!("the server was started anew meanwhile; its log tells more"),
        phase => {
            bail!("the move {phase}: {}\n  The server goes on as before.", text(answer, "why"))
        }
    }
    Ok(Verdict::Good)
}
