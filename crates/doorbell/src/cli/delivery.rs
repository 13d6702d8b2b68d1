//! `doorbell delivery`: one event for one endpoint, and its attempts.

use super::show;
use crate::remote::{Node, query, segment};
use crate::report::Report;
use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

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
    /// Show one: its state, when it is due, and why it waits
    Get {
        /// Its id: dlv_…
        delivery: String,
    },
    /// Show its attempts: what happened each time, and what to do about it
    Attempts {
        /// Its id: dlv_…
        delivery: String,
    },
    /// Try it again now: waiting, failed or discarded, also while its endpoint's circuit breaker is open. The schedule of
    /// retries does not count it. For many, or one that is delivered, see `doorbell replay`
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
    ("WAITS FOR", "/waits_for"),
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
            show::done(report, &answer, &retried(delivery, &answer));
        }
        Verb::Cancel { delivery } => {
            let answer = remote.post(&format!("{}/cancel", path(delivery)), json!({})).await?;
            show::done(report, &answer, &format!("delivery {delivery} is discarded"));
        }
    }
    Ok(())
}

/// What a retry says: the delivery waits no longer, unless its endpoint lets nothing go.
fn retried(delivery: &str, answer: &Value) -> String {
    let told = format!("`doorbell delivery attempts {delivery}` tells what came of it");
    let text = |field| answer.get(field).and_then(Value::as_str);
    match (text("waits_for"), text("waits_because")) {
        (Some("turn") | None, _) | (_, None) => format!("delivery {delivery} is due now; {told}"),
        (Some(_), Some(because)) => {
            format!("delivery {delivery} is due now. {} {told}", show::visible(because))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_says_what_holds_it_up() {
        let said = |answer| retried("dlv_1", &answer);
        let told = "`doorbell delivery attempts dlv_1` tells what came of it";
        let turn = json!({"waits_for": "turn", "waits_because": "It waits for its turn."});
        assert_eq!(said(turn), format!("delivery dlv_1 is due now; {told}"));
        let paused = json!({"waits_for": "paused", "waits_because": "Its endpoint is paused."});
        let expected = format!("delivery dlv_1 is due now. Its endpoint is paused. {told}");
        assert_eq!(said(paused), expected);
        assert_eq!(said(json!({})), format!("delivery dlv_1 is due now; {told}"));
    }
}
