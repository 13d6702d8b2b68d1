//! `doorbell replay`: many deliveries made again: plan, run at a rate, watch, cancel.

use super::fields::{text, texts};
use super::moment::moment;
use super::show;
use crate::remote::{Node, Remote, segment};
use crate::report::Report;
use anyhow::Result;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What to do with replays.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Count what a replay would deliver, and deliver nothing
    Plan(Choice),
    /// Deliver again: the original bytes under the same webhook-id, newly signed, as deliveries of their own
    Run {
        #[command(flatten)]
        choice: Choice,
        /// To this endpoint instead of the original one
        #[arg(long)]
        to: Option<String>,
        /// Deliveries per second
        #[arg(long, value_name = "PER_SECOND")]
        rate: Option<u32>,
        /// Come back at once instead of watching
        #[arg(long)]
        detach: bool,
    },
    /// List them, newest first
    List,
    /// Show how far one is
    Get {
        /// Its id: rpl_…
        replay: String,
    },
    /// Watch one until all its deliveries are made (`doorbell delivery list` says how each ended)
    Watch {
        /// Its id: rpl_…
        replay: String,
    },
    /// Stop one; the deliveries it has made stay
    Cancel {
        /// Its id: rpl_…
        replay: String,
    },
}

/// Which deliveries: those whose event fits all that is given. Something must be given: everything that is kept is
/// delivered again only to who says so.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Choice {
    /// Everything that is kept
    #[arg(long, conflicts_with_all = ["events", "endpoint", "source", "event_type", "state", "since", "until"])]
    all: bool,
    /// These events: evt_… (or req_…)
    #[arg(long = "event")]
    events: Vec<String>,
    /// With a delivery to this endpoint (name or id)
    #[arg(long)]
    endpoint: Option<String>,
    /// Received by this source
    #[arg(long)]
    source: Option<String>,
    /// Of this type, with *
    #[arg(long = "type")]
    event_type: Option<String>,
    /// With a delivery in this state: failed (dead letters), discarded, delivered
    #[arg(long)]
    state: Option<String>,
    /// Received at or after: RFC 3339, or so long ago: 90s, 15m, 2h, 7d
    #[arg(long)]
    since: Option<String>,
    /// Received before: RFC 3339, or so long ago: 90s, 15m, 2h, 7d
    #[arg(long)]
    until: Option<String>,
}

impl Choice {
    fn json(&self) -> Value {
        let fields = [
            ("events", texts(&self.events)),
            ("endpoint", text(self.endpoint.as_ref())),
            ("source", text(self.source.as_ref())),
            ("event_type", text(self.event_type.as_ref())),
            ("state", text(self.state.as_ref())),
            ("since", text(moment(self.since.as_deref()).as_ref())),
            ("until", text(moment(self.until.as_deref()).as_ref())),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(given.collect::<Map<_, _>>())
    }
}

const COLUMNS: &[show::Column] = &[
    ("ID", "/id"),
    ("STATE", "/state"),
    ("MADE", "/made"),
    ("PLANNED", "/planned"),
    ("PER SECOND", "/rate_per_second"),
    ("CREATED", "/created_at"),
];

pub(crate) async fn run(verb: &Verb, node: &Node, report: Report) -> Result<()> {
    let remote = node.remote()?;
    match verb {
        Verb::Plan(choice) => {
            let answer =
                remote.post("/v1/replays/plan", json!({ "choice": choice.json() })).await?;
            show::one(report, &answer);
        }
        Verb::Run { choice, to, rate, detach } => {
            let body = json!({ "choice": choice.json(), "to": to, "rate_per_second": rate });
            let answer = remote.post("/v1/replays", body).await?;
            let id = show::cell(answer.get("id"));
            if *detach { show::one(report, &answer) } else { watch(&remote, &id, report).await? }
        }
        Verb::List => show::list(report, &remote.get("/v1/replays").await?, COLUMNS),
        Verb::Get { replay } => show::one(report, &remote.get(&path(replay)).await?),
        Verb::Watch { replay } => watch(&remote, replay, report).await?,
        Verb::Cancel { replay } => {
            show::one(report, &remote.post(&format!("{}/cancel", path(replay)), json!({})).await?);
        }
    }
    Ok(())
}

fn path(replay: &str) -> String {
    format!("/v1/replays/{}", segment(replay))
}

/// Follows a replay until it is done or cancelled, with a bar for people.
async fn watch(remote: &Remote, replay: &str, report: Report) -> Result<()> {
    let bar = if report.is_for_people() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} made, {per_sec}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    loop {
        let answer = remote.get(&path(replay)).await?;
        let number = |name: &str| answer.get(name).and_then(Value::as_u64).unwrap_or(0);
        bar.set_length(number("planned").max(number("made")));
        bar.set_position(number("made"));
        if answer.get("state").and_then(Value::as_str) != Some("running") {
            bar.finish_and_clear();
            show::one(report, &answer);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        verb: Verb,
    }

    fn choice(words: &str) -> Option<Value> {
        match Line::try_parse_from(["replay"].into_iter().chain(words.split(' '))).ok()?.verb {
            Verb::Plan(choice) | Verb::Run { choice, .. } => Some(choice.json()),
            Verb::List | Verb::Get { .. } | Verb::Watch { .. } | Verb::Cancel { .. } => None,
        }
    }

    #[test]
    fn everything_is_replayed_only_to_who_says_so() {
        assert_eq!(choice("run"), None);
        assert_eq!(choice("run --rate 5"), None);
        assert_eq!(choice("run --all"), Some(json!({})));
        assert_eq!(choice("run --all --state failed"), None);
        assert_eq!(choice("run --state failed"), Some(json!({"state": "failed"})));
        assert_eq!(choice("plan --event evt_1"), Some(json!({"events": ["evt_1"]})));
    }
}
