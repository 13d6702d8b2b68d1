//! `doorbell delivery`: one event for one endpoint, and its attempts.

use super::show;
use crate::remote::{Node, query, segment};
use crate::report::Report;
use anyhow::Result;
use clap::Subcommand;
use serde_json::json;

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List them, newest first
    List {
        /// Of this event
        #[arg(long)]
        event: Option<String>,
        /// To this endpoint
        #[arg(long)]
        endpoint: Option<String>,
        /// In this state: waiting (pending, scheduled, in flight or paused), delivered, failed (dead letters), discarded
        #[arg(long)]
        state: Option<String>,
        /// At most so many
        #[arg(long, default_value = "50")]
        limit: String,
        /// The cursor that the page before ended with
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show one: its state, and when it is due
    Get {
        /// Its id: dlv_…
        delivery: String,
    },
    /// Show its attempts: what happened each time, and what to do about it
    Attempts {
        /// Its id: dlv_…
        delivery: String,
    },
    /// Try it again now, waiting or failed; for many see `doorbell replay`
    Retry {
        /// Its id: dlv_…
        delivery: String,
    },
    /// Discard it: it is not tried again
    Cancel {
        /// Its id: dlv_…
        delivery: String,
    },
}

const COLUMNS: &[show::Column] = &[
    ("ID", "/id"),
    ("EVENT TYPE", "/event_type"),
    ("ENDPOINT", "/endpoint_name"),
    ("STATE", "/state"),
    ("ATTEMPTS", "/attempts"),
    ("LAST STATUS", "/last_status"),
    ("LAST ERROR", "/last_error"),
    ("DUE", "/due_at"),
    ("EVENT", "/event"),
];

const ATTEMPTS: &[show::Column] = &[
    ("NO", "/number"),
    ("AT", "/at"),
    ("TRIGGER", "/trigger"),
    ("STATUS", "/response/status"),
    ("ERROR", "/error"),
    ("MS", "/timings/total_ms"),
    ("ADDRESS", "/address"),
    ("WHAT HAPPENED", "/explanation"),
];

pub(crate) async fn run(verb: &Verb, node: &Node, report: Report) -> Result<()> {
    let remote = node.remote()?;
    let path = |delivery: &str| format!("/v1/deliveries/{}", segment(delivery));
    match verb {
        Verb::List { event, endpoint, state, limit, cursor } => {
            let query = query(&[
                ("event", event.as_deref()),
                ("endpoint", endpoint.as_deref()),
                ("state", state.as_deref()),
                ("limit", Some(limit)),
                ("cursor", cursor.as_deref()),
            ]);
            show::list(report, &remote.get(&format!("/v1/deliveries{query}")).await?, COLUMNS);
        }
        Verb::Get { delivery } => show::one(report, &remote.get(&path(delivery)).await?),
        Verb::Attempts { delivery } => {
            show::list(
                report,
                &remote.get(&format!("{}/attempts", path(delivery))).await?,
                ATTEMPTS,
            );
        }
        Verb::Retry { delivery } => {
            let answer = remote.post(&format!("{}/retry", path(delivery)), json!({})).await?;
            let done = format!(
                "delivery {delivery} is due now; `doorbell delivery attempts {delivery}` tells what came of it. While \
                 its endpoint fails, it may have to wait for the circuit breaker's next probe."
            );
            show::done(report, &answer, &done);
        }
        Verb::Cancel { delivery } => {
            let answer = remote.post(&format!("{}/cancel", path(delivery)), json!({})).await?;
            show::done(report, &answer, &format!("delivery {delivery} is discarded"));
        }
    }
    Ok(())
}
