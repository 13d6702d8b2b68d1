//! From the sender through the gateway to the receiver, against a bare client that posts to the same receiver: what a
//! delivery costs with the same HTTP library and nothing else.

use super::Flags;
use super::client;
use super::gateway::Gateway;
use super::load::{self, Done, Spec, Template};
use super::report::{self, Row};
use super::sample::{Histogram, median};
use super::sink::Sink;
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long the last delivery may be on its way.
const DRAIN_MAX: Duration = Duration::from_secs(120);

/// `bench deliver`.
pub(super) fn run(flags: &Flags) -> Result<()> {
    let epoch = Instant::now();
    let sink = Sink::start(epoch)?;
    let gateway = Gateway::fresh(flags)?;
    let wide = json!({"concurrency": 64});
    gateway.endpoint("sink", &format!("http://{}/", sink.address), &wide)?;
    let (threads, mut events) = (gateway.threads()?, 0);
    let (mut bound, mut bound_cpu, mut ours, mut cpu, mut times) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Histogram::default());
    for round in 0..=flags.rounds {
        let bare = client::run(&sink.address, flags.seconds(5.0), flags.connections)?;
        sink.take_times();
        let (before, arrived, begun) = (gateway.cpu()?, sink.count(), Instant::now());
        let sent = load::run(spec(flags, &gateway.ingest(), "/in/bench", epoch)?)?;
        ensure!(sent.failed == 0, "{} requests to the gateway failed", sent.failed);
        events += sent.answers.count();
        let end = sink.wait_for(arrived + sent.answers.count(), DRAIN_MAX)?;
        if round > 0 {
            let seconds = end.saturating_duration_since(begun).as_secs_f64();
            bound.push(bare.count as f64 / bare.seconds);
            bound_cpu.push(bare.cpu_seconds * 1e6 / bare.count as f64);
            ours.push(sent.answers.count() as f64 / seconds);
            cpu.push((gateway.cpu()? - before) * 1e6 / sent.answers.count() as f64);
            times.merge(&sink.take_times());
        }
    }
    let pairs: Vec<f64> = ours.iter().zip(&bound).map(|(a, b)| a / b).collect();
    let rows = [
        Row::new("bare hyper client to sink")
            .number("rate", median(&bound))
            .number("cpu_us", median(&bound_cpu)),
        Row::new("doorbell, end to end")
            .number("rate", median(&ours))
            .number("cpu_us", median(&cpu))
            .quantiles(&times)
            .number("rss_mb", gateway.rss_mb()?),
        Row::new("ratio (median of pairs)")
            .number("ratio", median(&pairs))
            .number("least", pairs.iter().copied().fold(f64::MAX, f64::min))
            .number("most", pairs.iter().copied().fold(0.0, f64::max)),
        Row::threads(&threads, &gateway.threads()?, events as f64),
    ];
    report::keep("deliver", &rows)
}

fn spec(flags: &Flags, address: &str, path: &str, epoch: Instant) -> Result<Spec> {
    Ok(Spec {
        address: address.to_owned(),
        template: Template::github(path, 1)?,
        connections: flags.connections,
        duration: flags.seconds(5.0),
        limit: u64::MAX,
        rate: None,
        epoch,
    })
}

/// `bench latency`: 200 a second, unless said.
pub(super) fn latency(flags: &Flags) -> Result<()> {
    let epoch = Instant::now();
    let sink = Sink::start(epoch)?;
    let gateway = Gateway::fresh(flags)?;
    gateway.endpoint("sink", &format!("http://{}/", sink.address), &json!({}))?;
    let rate = flags.rate.unwrap_or(200.0);
    let calm = Spec {
        rate: Some(rate),
        connections: 8,
        duration: flags.seconds(20.0),
        ..spec(flags, &gateway.ingest(), "/in/bench", epoch)?
    };
    load::run(Spec { duration: Duration::from_secs(2), ..calm.clone() })?;
    sink.take_times();
    let arrived = sink.count();
    let (before, threads) = (gateway.cpu()?, gateway.threads()?);
    let sent: Done = load::run(calm)?;
    ensure!(sent.failed == 0, "{} requests failed", sent.failed);
    sink.wait_for(arrived + sent.answers.count(), DRAIN_MAX)?;
    let cpu_us = (gateway.cpu()? - before) * 1e6 / sent.answers.count() as f64;
    let rows = [
        Row::new("accepted, durable")
            .number("rate", sent.rate())
            .quantiles(&sent.answers)
            .number("cpu_us", cpu_us),
        Row::new("event to delivered").number("rate", sent.rate()).quantiles(&sink.take_times()),
        Row::threads(&threads, &gateway.threads()?, sent.answers.count() as f64),
    ];
    report::keep("latency", &rows)
}
