//! `doorbell event` and `doorbell request`: what happened, and what came in.

use super::moment::moment;
use super::show;
use crate::remote::{Body, Node, Remote, query, segment};
use crate::report::Report;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Which ones to list.
#[derive(Debug, Args)]
pub(crate) struct Filter {
    /// Received by this source
    #[arg(long)]
    source: Option<String>,
    /// Of this type, with *
    #[arg(long = "type")]
    event_type: Option<String>,
    /// With this fate: accepted, no_endpoint, filtered, duplicate, rejected
    #[arg(long)]
    fate: Option<String>,
    /// With a delivery to this endpoint
    #[arg(long)]
    endpoint: Option<String>,
    /// With a delivery in this state: waiting (pending, scheduled, in flight or paused), delivered, failed (dead letters), discarded
    #[arg(long)]
    state: Option<String>,
    /// Received at or after: RFC 3339, or so long ago: 90s, 15m, 2h, 7d
    #[arg(long)]
    since: Option<String>,
    /// Received before: RFC 3339, or so long ago: 90s, 15m, 2h, 7d
    #[arg(long)]
    until: Option<String>,
    /// At most so many
    #[arg(long, default_value = "50")]
    limit: String,
    /// The cursor that the page before ended with
    #[arg(long)]
    cursor: Option<String>,
}

impl Filter {
    fn query(&self) -> String {
        query(&[
            ("source", self.source.as_deref()),
            ("event_type", self.event_type.as_deref()),
            ("fate", self.fate.as_deref()),
            ("endpoint", self.endpoint.as_deref()),
            ("state", self.state.as_deref()),
            ("since", moment(self.since.as_deref()).as_deref()),
            ("until", moment(self.until.as_deref()).as_deref()),
            ("limit", Some(&self.limit)),
            ("cursor", self.cursor.as_deref()),
        ])
    }
}

/// What to do with events.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List them, newest first
    List(Filter),
    /// Show one
    Get {
        /// Its id: evt_…
        event: String,
    },
    /// Write its body, byte for byte, to standard output
    Body {
        /// Its id: evt_…
        event: String,
    },
    /// Publish one of your own
    Publish {
        /// Its type, such as invoice.paid
        event_type: String,
        /// Its body; `-` reads standard input
        #[arg(long, conflicts_with = "file")]
        data: Option<String>,
        /// A file with its body
        #[arg(long)]
        file: Option<PathBuf>,
        /// The body's content type
        #[arg(long, default_value = "application/json")]
        content_type: String,
        /// Channels to publish in
        #[arg(long = "channel")]
        channels: Vec<String>,
        /// The same key never publishes twice
        #[arg(long)]
        idempotency_key: Option<String>,
    },
}

/// What to do with requests.
#[derive(Debug, Subcommand)]
pub(crate) enum RequestVerb {
    /// List them, rejected ones and duplicates too, newest first
    List(Filter),
    /// Show one: its headers, what became of it and why
    Get {
        /// Its id: req_…
        request: String,
    },
    /// Write its body, byte for byte, to standard output
    Body {
        /// Its id: req_…
        request: String,
    },
    /// Find out whether it verifies as its source is set up now, and if not, why
    Explain {
        /// Its id: req_…
        request: String,
        /// For this source in place of the one that received it
        #[arg(long)]
        source: Option<String>,
        /// The address that the provider called, for schemes that sign it [default: the source's]
        #[arg(long)]
        url: Option<String>,
    },
}

const COLUMNS: &[show::Column] = &[
    ("AT", "/at"),
    ("ID", "/id"),
    ("TYPE", "/type"),
    ("SOURCE", "/source_name"),
    ("FATE", "/fate"),
    ("WAITING", "/deliveries/waiting"),
    ("DELIVERED", "/deliveries/delivered"),
    ("FAILED", "/deliveries/failed"),
];

const REQUEST_COLUMNS: &[show::Column] = &[
    ("AT", "/at"),
    ("ID", "/id"),
    ("SOURCE", "/source_name"),
    ("METHOD", "/method"),
    ("TYPE", "/event_type"),
    ("BYTES", "/bytes"),
    ("FATE", "/fate"),
    ("WHY", "/why"),
];

/// The requests, each with its reason in words, whatever became of it, and with its bytes where these are known: of a body that
/// was too large, nobody counted them.
fn with_reasons(mut answer: Value) -> Value {
    for item in answer.get_mut("data").and_then(Value::as_array_mut).into_iter().flatten() {
        let too_large =
            item.pointer("/rejection/reason").and_then(Value::as_str) == Some("body_too_large");
        let bytes = item.get("body_len").filter(|_| !too_large).cloned().unwrap_or_default();
        let why = why(item);
        if let Value::Object(fields) = item {
            fields.insert("bytes".to_owned(), bytes);
            fields.insert("why".to_owned(), Value::from(why));
        }
    }
    answer
}

fn why(request: &Value) -> Option<String> {
    let text = |pointer: &str| request.pointer(pointer).and_then(Value::as_str);
    match text("/fate") {
        Some("rejected") => text("/rejection/detail").map(str::to_owned),
        Some("duplicate") => text("/duplicate_of").map(|of| format!("it repeats {of}")),
        Some("filtered") => Some("its source does not want this event type".to_owned()),
        Some("no_endpoint") => Some("no endpoint wants it".to_owned()),
        _ => None,
    }
}

pub(crate) async fn run(verb: &Verb, node: &Node, report: Report) -> Result<()> {
    let remote = node.remote()?;
    match verb {
        Verb::List(filter) => {
            show::list(
                report,
                &remote.get(&format!("/v1/events{}", filter.query())).await?,
                COLUMNS,
            );
        }
        Verb::Get { event } => {
            show::one(report, &remote.get(&format!("/v1/events/{}", segment(event))).await?);
        }
        Verb::Body { event } => {
            body(&remote, &format!("/v1/events/{}/body", segment(event))).await?;
        }
        Verb::Publish { event_type, data, file, content_type, channels, idempotency_key } => {
            let bytes = payload(data.as_deref(), file.as_deref())?;
            let channels = (!channels.is_empty()).then(|| channels.join(","));
            let path = query(&[("type", Some(event_type)), ("channels", channels.as_deref())]);
            let mut headers = vec![("doorbell-event-type".to_owned(), event_type.clone())];
            headers.extend(idempotency_key.clone().map(|key| ("idempotency-key".to_owned(), key)));
            let body =
                Body::Raw { content_type: content_type.clone(), headers, bytes: bytes.into() };
            show::one(
                report,
                &remote.call(Method::POST, &format!("/v1/events{path}"), body).await?,
            );
        }
    }
    Ok(())
}

pub(crate) async fn run_requests(verb: &RequestVerb, node: &Node, report: Report) -> Result<()> {
    let remote = node.remote()?;
    match verb {
        RequestVerb::List(filter) => {
            let answer = remote.get(&format!("/v1/requests{}", filter.query())).await?;
            let answer = if report.is_json() { answer } else { with_reasons(answer) };
            show::list(report, &answer, REQUEST_COLUMNS);
        }
        RequestVerb::Get { request } => {
            show::one(report, &remote.get(&format!("/v1/requests/{}", segment(request))).await?);
        }
        RequestVerb::Body { request } => {
            body(&remote, &format!("/v1/requests/{}/body", segment(request))).await?;
        }
        RequestVerb::Explain { request, source, url } => {
            let found = explained(&remote, request, (source.as_deref(), url.as_deref())).await?;
            super::explained::show(report, &found);
        }
    }
    Ok(())
}

async fn explained(
    remote: &Remote,
    request: &str,
    (source, url): (Option<&str>, Option<&str>),
) -> Result<Value> {
    let path = format!("/v1/requests/{}", segment(request));
    if source.is_none() && url.is_none() {
        return remote.get(&format!("{path}/explain")).await;
    }
    let source = match source {
        Some(source) => source.to_owned(),
        None => {
            let shown = remote.get(&path).await?;
            let name = shown.get("source_name").and_then(Value::as_str);
            name.context("its source is gone: name another with --source")?.to_owned()
        }
    };
    let path = format!("/v1/sources/{}/explain", segment(&source));
    let asked = serde_json::json!({"request": request, "url": url});
    remote.call(Method::POST, &path, Body::Json(asked)).await
}

async fn body(remote: &Remote, path: &str) -> Result<()> {
    let bytes = remote.bytes(Method::GET, path, Body::None).await?;
    std::io::stdout().write_all(&bytes).context("standard output cannot be written")
}

fn payload(data: Option<&str>, file: Option<&Path>) -> Result<Vec<u8>> {
    match (data, file) {
        (Some("-"), _) => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).context("standard input cannot be read")?;
            Ok(bytes)
        }
        (Some(text), _) => Ok(text.as_bytes().to_vec()),
        (None, Some(path)) => {
            std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
        }
        (None, None) => Ok(b"{}".to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_fate_has_its_reason() {
        let told = with_reasons(json!({"data": [
            {"fate": "accepted", "body_len": 3},
            {"fate": "duplicate", "duplicate_of": "evt_1", "body_len": 3},
            {"fate": "filtered", "body_len": 3},
            {"fate": "rejected", "body_len": 0, "rejection": {"reason": "body_too_large", "detail": "larger than 10"}},
        ]}));
        let shown = |name: &str| -> Vec<String> {
            let items = told["data"].as_array().unwrap().iter();
            items.map(|item| show::cell(item.get(name))).collect()
        };
        assert_eq!(
            shown("why"),
            ["-", "it repeats evt_1", "its source does not want this event type", "larger than 10"]
        );
        assert_eq!(shown("bytes"), ["3", "3", "3", "-"], "nobody counted the last");
    }
}
