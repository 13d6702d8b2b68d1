//! Millions of deliveries that wait: what they cost in memory, in lists, in the rate of what comes and goes, at a start.

use super::Flags;
use super::gateway::{Gateway, Wants};
use super::load::{self, Done, Spec, Template};
use super::report::{self, Row};
use super::sample::Histogram;
use super::sink::Sink;
use crate::http::Client;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Endpoints that are paused: each event waits once for each of them.
const ENDPOINTS: u64 = 10;
/// A small body: the figures are about the number of deliveries, not about their bytes.
const BODY: &[u8] = br#"{"zen":"Keep it logically awesome."}"#;

/// Lists that are asked for, and how they are called.
const LISTS: [(&str, &str); 4] = [
    ("newest events", "/v1/events?limit=50"),
    ("events of a source", "/v1/events?limit=50&source=bench"),
    ("newest deliveries", "/v1/deliveries?limit=50"),
    ("waiting deliveries", "/v1/deliveries?limit=50&state=waiting"),
];

/// `bench backlog`.
pub(super) fn run(flags: &Flags) -> Result<()> {
    let wanted = flags.count.unwrap_or(10_000_000);
    let epoch = Instant::now();
    let sink = Sink::start(epoch)?;
    let mut gateway = Gateway::fresh(flags)?;
    gateway.endpoints(ENDPOINTS, |n| format!("http://{}/{n}", sink.address), Wants::All)?;
    set_all(&mut gateway.api(), "pause")?;
    let load = |limit: u64, duration: u64| {
        load::run(Spec {
            address: gateway.ingest(),
            template: Template::with_body("/in/bench", 1, BODY)?,
            connections: flags.connections,
            duration: Duration::from_secs(duration),
            limit,
            rate: None,
            epoch,
        })
    };
    let first: Done = load(u64::MAX, 5)?;
    let mut rows = lists(&mut gateway.api(), "at few")?;
    rows.push(Row::new("accepted at few").number("rate", first.rate()).quantiles(&first.answers));
    let left = (wanted / ENDPOINTS).saturating_sub(first.answers.count());
    let filled = load(left, 24 * 3600)?;
    ensure!(filled.failed == 0, "{} requests failed", filled.failed);
    rows.push(Row::new("filling").number("rate", filled.rate()).quantiles(&filled.answers));
    let waiting = (first.answers.count() + filled.answers.count()) * ENDPOINTS;
    rows.push(
        Row::new("waiting")
            .number("deliveries", waiting as f64)
            .number("rss_mb", gateway.rss_mb()?),
    );
    let last = load(u64::MAX, 5)?;
    rows.push(
        Row::new("accepted at many")
            .number("rate", last.rate())
            .quantiles(&last.answers)
            .number("ratio", last.rate() / first.rate()),
    );
    rows.extend(lists(&mut gateway.api(), "at many")?);
    let start = gateway.restart()?;
    rows.push(
        Row::new("start after SIGKILL")
            .number("seconds", start)
            .number("rss_mb", gateway.rss_mb()?),
    );
    rows.push(going(&gateway, &sink, flags)?);
    report::keep("backlog", &rows)
}

/// Lets all of it go, and counts for a while.
fn going(gateway: &Gateway, sink: &Sink, flags: &Flags) -> Result<Row> {
    let before = gateway.cpu()?;
    set_all(&mut gateway.api(), "enable")?;
    let (arrived, begun) = (sink.count(), Instant::now());
    std::thread::sleep(flags.seconds(20.0));
    let count = (sink.count() - arrived) as f64;
    Ok(Row::new("claimed and delivered")
        .number("rate", count / begun.elapsed().as_secs_f64())
        .number("cpu_us", (gateway.cpu()? - before) * 1e6 / count)
        .number("rss_mb", gateway.rss_mb()?))
}

/// Pauses (`pause`) or enables (`enable`) all endpoints.
pub(super) fn set_all(api: &mut Client, verb: &str) -> Result<()> {
    let page = api.api("GET /v1/endpoints?limit=1000", None)?;
    for endpoint in page.get("data").and_then(Value::as_array).into_iter().flatten() {
        let id = endpoint.get("id").and_then(Value::as_str).unwrap_or_default();
        api.api(&format!("POST /v1/endpoints/{id}/{verb}"), None)?;
    }
    Ok(())
}

/// Each list 40 times.
fn lists(api: &mut Client, when: &str) -> Result<Vec<Row>> {
    let rows = LISTS.iter().map(|(name, path)| {
        let mut times = Histogram::default();
        for _ in 0..40 {
            let begun = Instant::now();
            api.api(&format!("GET {path}"), None)?;
            times.add(begun.elapsed());
        }
        Ok(Row::new(&format!("{name} {when}")).quantiles(&times))
    });
    rows.collect()
}
