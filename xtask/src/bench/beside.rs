//! What a provider's requests cost at the door, beside the same bytes signed as GitHub does.
//!
//! The two take turns on one gateway, in pairs that are short, for a machine's speed drifts, and each pair in the other
//! order than the one before.

use super::gateway::Gateway;
use super::ingest::{Side, load, ratios};
use super::load::Template;
use super::report::{self, Row};
use super::sample::{likely, median};
use super::{Flags, signed};
use crate::payload::SECRET;
use anyhow::{Context as _, Result};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::SystemTime;
use webhook_signatures::{Provider, Secret};

/// `bench ingest --provider NAME`.
pub(super) fn run(flags: &Flags, provider: &str) -> Result<()> {
    let row = signed::set_up(provider)?;
    let text = signed::secret(&row)?;
    let secret = Secret::parse(&row, text)?;
    let gateway = Gateway::fresh(flags)?;
    sources(&gateway, &row, text)?;
    let (mut github, mut theirs) = (Side::default(), Side::default());
    let mut bytes = 0;
    for round in 0..=flags.rounds {
        // Signed anew: what some providers sign is good for a minute.
        let (template, request) = theirs_now(&row, &secret)?;
        let same = Template::with_body("/in/github", 1, &request.body)?;
        bytes = request.body.len();
        let mut turns = [(&mut github, same), (&mut theirs, template)];
        if round % 2 == 1 {
            turns.reverse();
        }
        for (side, template) in turns {
            let before = gateway.cpu()?;
            let done = load(flags, &gateway.ingest(), template)?;
            // The first round warms both up.
            if round > 0 {
                side.add(&done, gateway.cpu()? - before);
            }
        }
    }
    let pairs = ratios(&theirs, &github);
    let (from, to) = likely(&pairs);
    let ratio = Row::new("ratio (median of pairs)")
        .number("rate", median(&pairs))
        .number("from", from)
        .number("to", to)
        .number("cpu", theirs.cpu_us() / github.cpu_us())
        .number("bytes", bytes as f64);
    let title = format!("ingest: {provider} beside github");
    report::keep(&title, &[github.row("github"), theirs.row(provider), ratio])
}

/// A source for each side. Nothing is remembered of ids, for a request is the same each time.
fn sources(gateway: &Gateway, row: &Provider, secret: &str) -> Result<()> {
    let options: BTreeMap<_, _> = signed::settings(row).into_iter().collect();
    let mut api = gateway.api();
    let sides =
        [("theirs", &*row.name, secret, json!(options)), ("github", "github", SECRET, json!({}))];
    for (name, provider, secret, options) in sides {
        let source = json!({"name": name, "provider": provider, "secrets": [secret], "options": options,
            "dedupe": {"window": "0s"}});
        api.api("POST /v1/sources", Some(&source))?;
    }
    Ok(())
}

fn theirs_now(row: &Provider, secret: &Secret) -> Result<(Template, signed::Request)> {
    let now = i64::try_from(SystemTime::UNIX_EPOCH.elapsed()?.as_secs())?;
    let request = signed::request(row, secret, ("https://hooks.example.com/in/theirs", now))?;
    let path = request.url.strip_prefix("https://hooks.example.com").context("another host")?;
    Ok((Template::fixed(path, &request.headers, &request.body), request))
}
