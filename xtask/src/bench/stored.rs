//! Millions of events that are stored and done: what comes in, the lists, the search and the start must not notice them.

use super::Flags;
use super::gateway::Gateway;
use super::load::{self, Done, Spec, Template};
use super::report::{self, Row};
use super::sample::Histogram;
use crate::http::Client;
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// What is asked for, and how it is called. The last two are streams that end with their 50th hit.
const ASKED: [(&str, &str); 6] = [
    ("newest events", "/v1/events?limit=50"),
    ("events of a source", "/v1/events?limit=50&source=bench"),
    ("events of a type", "/v1/events?limit=50&event_type=e00007"),
    ("events of a fate", "/v1/events?limit=50&fate=no_endpoint&source=bench"),
    ("search for text", "/v1/search?limit=50&text=simple-tag"),
    ("search at a pointer", "/v1/search?limit=50&pointer=/repository/id&equals=186853002"),
];

/// Kinds of events; the rarest question is for one of them.
const TYPES: u64 = 1_000;
const TIMES: u32 = 40;

/// `bench stored`.
pub(super) fn run(flags: &Flags) -> Result<()> {
    let wanted = flags.count.unwrap_or(10_000_000);
    let mut gateway = Gateway::fresh(flags)?;
    let epoch = Instant::now();
    let load = |gateway: &Gateway, limit: u64, duration: Duration| {
        load::run(Spec {
            address: gateway.ingest(),
            template: Template::github("/in/bench", TYPES)?,
            connections: flags.connections,
            duration,
            limit,
            rate: None,
            epoch,
        })
    };
    load(&gateway, 20_000, Duration::from_secs(5))?;
    let first: Done = load(&gateway, u64::MAX, flags.seconds(10.0))?;
    let mut rows = vec![accepted("at few", &first)];
    rows.extend(ask(&mut gateway.api(), "at few")?);
    let begun = gateway.cpu()?;
    let filled = load(&gateway, wanted, Duration::from_secs(24 * 3600))?;
    let cpu_us = (gateway.cpu()? - begun) * 1e6 / filled.answers.count() as f64;
    rows.push(accepted("filling", &filled).number("cpu_us", cpu_us));
    let last = load(&gateway, u64::MAX, flags.seconds(10.0))?;
    ensure!(first.failed + filled.failed + last.failed == 0, "requests failed");
    rows.push(accepted("at many", &last).number("ratio", last.rate() / first.rate()));
    let stored = first.answers.count() + filled.answers.count() + last.answers.count();
    let stored = Row::new("stored").number("events", stored as f64);
    rows.push(stored.number("rss_mb", gateway.rss_mb()?));
    rows.extend(ask(&mut gateway.api(), "at many")?);
    for way in ["after SIGKILL", "again"] {
        let seconds = gateway.restart()?;
        let row = Row::new(&format!("start {way}")).number("seconds", seconds);
        rows.push(row.number("rss_mb", gateway.rss_mb()?));
    }
    report::keep("stored", &rows)
}

fn accepted(when: &str, done: &Done) -> Row {
    Row::new(&format!("accepted {when}")).number("rate", done.rate()).quantiles(&done.answers)
}

fn ask(api: &mut Client, when: &str) -> Result<Vec<Row>> {
    let rows = ASKED.iter().map(|(name, path)| {
        let mut times = Histogram::default();
        for _ in 0..TIMES {
            let begun = Instant::now();
            let answer = api.send(&format!("GET {path}"), "", b"")?;
            ensure!(answer.status() == 200, "{path}: {}", answer.start);
            times.add(begun.elapsed());
        }
        Ok(Row::new(&format!("{name} {when}")).quantiles(&times))
    });
    rows.collect()
}
