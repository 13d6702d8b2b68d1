//! Answers that go on: `doorbell tail` (what happens, as it happens) and `doorbell search` (hits as they are found).

use super::counted::count;
use super::show::{cell, field, visible};
use crate::remote::{Body, Node, query};
use crate::report::{Report, aside};
use anyhow::{Context, Result};
use clap::{ArgGroup, Args};
use http::Method;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

/// Longest line of a stream that is taken.
const LINE_MAX: usize = 16 << 20;

/// What to watch.
#[derive(Debug, Args)]
pub(crate) struct Tail {
    /// Only this source
    #[arg(long)]
    source: Option<String>,
    /// Only deliveries to this endpoint
    #[arg(long)]
    endpoint: Option<String>,
    /// Only this event type, with *
    #[arg(long = "type")]
    event_type: Option<String>,
}

/// What to look for: a text, or a JSON value at a place.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").args(["text", "pointer"]).required(true).multiple(true)))]
pub(crate) struct Search {
    /// This text stands in the body, a header or the query
    text: Option<String>,
    /// There is a JSON value at this pointer, such as /data/object/customer
    #[arg(long)]
    pointer: Option<String>,
    /// And it equals this
    #[arg(long, requires = "pointer")]
    equals: Option<String>,
    /// Received by this source
    #[arg(long)]
    source: Option<String>,
    /// Of this type, with *
    #[arg(long = "type")]
    event_type: Option<String>,
    /// At most so many hits
    #[arg(long, default_value = "50")]
    limit: String,
    /// The cursor that the page before ended with
    #[arg(long)]
    cursor: Option<String>,
}

pub(crate) async fn tail(tail: &Tail, node: &Node, report: Report) -> Result<()> {
    let query = query(&[
        ("source", tail.source.as_deref()),
        ("endpoint", tail.endpoint.as_deref()),
        ("event_type", tail.event_type.as_deref()),
    ]);
    let answer = node.remote()?.open(Method::GET, &format!("/v1/live{query}"), Body::None).await?;
    if report.is_for_people() {
        aside("watching; Ctrl-C ends it");
    }
    lines(answer.into_body(), |line| {
        // Server-sent events: what happened stands behind `data:`; comments keep the connection alive.
        if let Some(data) = line.strip_prefix("data:") {
            happened(data.trim_start(), report);
        }
    })
    .await?;
    aside("the server has stopped");
    Ok(())
}

pub(crate) async fn search(search: &Search, node: &Node, report: Report) -> Result<()> {
    let query = query(&[
        ("text", search.text.as_deref()),
        ("pointer", search.pointer.as_deref()),
        ("equals", search.equals.as_deref()),
        ("source", search.source.as_deref()),
        ("event_type", search.event_type.as_deref()),
        ("limit", Some(&search.limit)),
        ("cursor", search.cursor.as_deref()),
    ]);
    let answer =
        node.remote()?.open(Method::GET, &format!("/v1/search{query}"), Body::None).await?;
    lines(answer.into_body(), |line| found(line, report)).await
}

/// Calls `each` with every line as it comes.
async fn lines(mut body: Incoming, mut each: impl FnMut(&str)) -> Result<()> {
    let mut pending: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.context("the server went away")?;
        for byte in frame.into_data().unwrap_or_default() {
            if byte == b'\n' {
                each(String::from_utf8_lossy(&pending).trim_end_matches('\r'));
                pending.clear();
            } else if pending.len() < LINE_MAX {
                pending.push(byte);
            }
        }
    }
    Ok(())
}

fn happened(data: &str, report: Report) {
    let Ok(line) = serde_json::from_str::<Value>(data) else { return };
    if report.is_json() {
        report.json(&line);
        return;
    }
    let shown = |pointer: &str| cell(line.pointer(pointer));
    let time: String = shown("/at").chars().skip(11).take(12).collect();
    match line.get("kind").and_then(Value::as_str) {
        Some("received") => report.text(&format!(
            "{time}  ──▶ {} {} {}  {}  {}{}  {}",
            line.get("source")
                .filter(|source| !source.is_null())
                .map_or_else(|| "published".to_owned(), |_| field(&line, "/source_name")),
            shown("/method"),
            shown("/event_type"),
            bytes(&line),
            shown("/fate"),
            line.pointer("/rejection/detail")
                .map(|why| format!(": {}", cell(Some(why))))
                .unwrap_or_default(),
            id(Some(&line)),
        )),
        Some("tried") => report.text(&format!(
            "{time}      ──▶ {}  attempt {}  {}  {}  {}",
            field(&line, "/endpoint_name"),
            shown("/attempt"),
            ended(&line),
            shown("/state"),
            shown("/delivery"),
        )),
        Some("missed") => {
            report.text(&format!("{time}  … {} more (too many to show)", shown("/count")));
        }
        _ => report.text(&visible(data)),
    }
}

/// How large it was; of a body that was too large nobody counted the bytes.
fn bytes(request: &Value) -> String {
    let reason = request.pointer("/rejection/reason").and_then(Value::as_str);
    match (reason, request.get("body_len").and_then(Value::as_u64)) {
        (Some("body_too_large"), _) | (_, None) => "more bytes than are taken".to_owned(),
        (_, Some(bytes)) => count(bytes, "byte"),
    }
}

/// The id that opens it: that of the event which a request became, else its own.
fn id(request: Option<&Value>) -> String {
    let field = |name| request.and_then(|request| request.get(name)).filter(|id| !id.is_null());
    cell(field("event").or_else(|| field("id")))
}

/// How a try ended: the status of its answer, else the kind of failure.
fn ended(tried: &Value) -> String {
    let field = |name| tried.get(name).filter(|value| !value.is_null());
    cell(field("status").or_else(|| field("error")))
}

fn found(text: &str, report: Report) {
    let Ok(line) = serde_json::from_str::<Value>(text) else { return };
    if report.is_json() {
        report.json(&line);
        return;
    }
    let field = |pointer: &str| cell(line.pointer(pointer));
    match line.get("kind").and_then(Value::as_str) {
        Some("hit") => report.text(&format!(
            "{}  {}  {}  {}  {}",
            field("/request/at"),
            id(line.get("request")),
            field("/request/event_type"),
            field("/request/fate"),
            field("/excerpt/text")
        )),
        Some("done") => {
            report.text(&format!(
                "{} among {} requests and events",
                count(line.get("hits").and_then(Value::as_u64).unwrap_or_default(), "hit"),
                field("/scanned")
            ));
            if let Some(next) = line.get("next_cursor").and_then(Value::as_str) {
                report.text(&format!("there are more: --cursor {next}"));
            }
        }
        Some("problem") => report.text(&format!("the search broke off: {}", field("/detail"))),
        _ => {}
    }
}
