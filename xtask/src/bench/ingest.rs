//! Durable acknowledgements: the gateway and the bare server take turns under the same load.

use super::bare::Bare;
use super::gateway::Gateway;
use super::load::{self, Done, Spec, Template};
use super::report::{self, Row};
use super::sample::{Histogram, median};
use super::{Flags, process};
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::{Duration, Instant};

/// One side over all rounds.
#[derive(Debug, Default)]
pub(super) struct Side {
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
    /// CPU in all.
    cpu_seconds: f64,
    answers: Histogram,
}

impl Side {
    pub(super) fn add(&mut self, done: &Done, cpu_seconds: f64) {
        self.rates.push(done.rate());
        self.cpu_seconds += cpu_seconds;
        self.cpu_us.push(cpu_seconds * 1e6 / done.answers.count() as f64);
        self.answers.merge(&done.answers);
    }

    /// What an event costs over all rounds together, in microseconds of CPU: the processor is accounted in hundredths of a
    /// second, which is coarse for a short round.
    pub(super) fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.answers.count() as f64
    }

    pub(super) fn row(&self, name: &str) -> Row {
        Row::new(name)
            .number("rate", median(&self.rates))
            .number("cpu_us", median(&self.cpu_us))
            .quantiles(&self.answers)
    }
}

/// The pairs of rates, side by side.
pub(super) fn ratios(of: &Side, to: &Side) -> Vec<f64> {
    of.rates.iter().zip(&to.rates).map(|(a, b)| a / b).collect()
}

/// `bench ingest`.
pub(super) fn run(flags: &Flags) -> Result<()> {
    let (bare, gateway) = (Bare::start()?, Gateway::fresh(flags)?);
    std::thread::sleep(Duration::from_secs(1));
    let idle_mb = gateway.rss_mb()?;
    let (threads, mut events) = (gateway.threads()?, 0);
    let (mut bound, mut ours) = (Side::default(), Side::default());
    for round in 0..=flags.rounds {
        let before = process::cpu_seconds(bare.pid())?;
        let done = post(flags, &bare.address, "/in/bench")?;
        let bare_cpu = process::cpu_seconds(bare.pid())? - before;
        let before = gateway.cpu()?;
        let mine = post(flags, &gateway.ingest(), "/in/bench")?;
        let my_cpu = gateway.cpu()? - before;
        events += mine.answers.count();
        // The first round warms both up.
        if round > 0 {
            bound.add(&done, bare_cpu);
            ours.add(&mine, my_cpu);
        }
    }
    let pairs = ratios(&ours, &bound);
    let rows = [
        bound.row("bare hyper, no store"),
        ours.row("doorbell, durable")
            .number("rss_mb", gateway.rss_mb()?)
            .number("idle_rss_mb", idle_mb),
        Row::new("ratio (median of pairs)")
            .number("ratio", median(&pairs))
            .number("least", pairs.iter().copied().fold(f64::MAX, f64::min))
            .number("most", pairs.iter().copied().fold(0.0, f64::max)),
        Row::threads(&threads, &gateway.threads()?, events as f64),
    ];
    report::keep("ingest", &rows)
}

fn post(flags: &Flags, address: &str, path: &str) -> Result<Done> {
    load(flags, address, Template::github(path, 1)?)
}

pub(super) fn load(flags: &Flags, address: &str, template: Template) -> Result<Done> {
    let done = load::run(Spec {
        address: address.to_owned(),
        template,
        connections: flags.connections,
        duration: flags.seconds(5.0),
        limit: u64::MAX,
        rate: None,
        epoch: Instant::now() - Duration::from_secs(super::fresh_number() * 1_000),
    })?;
    ensure!(done.failed == 0, "{} requests to {address} failed", done.failed);
    Ok(done)
}

/// `bench soak`: memory over time at full rate.
pub(super) fn soak(flags: &Flags) -> Result<()> {
    let gateway = Gateway::fresh(flags)?;
    if flags.no_dedupe {
        let window = json!({"dedupe": {"window": "0s"}});
        gateway.api().api("PATCH /v1/sources/bench", Some(&window))?;
    }
    let (end, mut samples) = (Instant::now() + flags.seconds(600.0), Vec::new());
    let mut side = Side::default();
    while Instant::now() < end {
        let before = gateway.cpu()?;
        let done =
            post(&Flags { seconds: Some(5.0), ..flags.clone() }, &gateway.ingest(), "/in/bench")?;
        side.add(&done, gateway.cpu()? - before);
        samples.push(gateway.rss_mb()?);
    }
    let part = (samples.len() / 4).max(1);
    let first = median(samples.get(..part).unwrap_or_default());
    let second = median(samples.get(part..part * 2).unwrap_or_default());
    let last = median(samples.get(samples.len() - part..).unwrap_or_default());
    let memory = Row::new("memory, median of a quarter")
        .number("first_mb", first)
        .number("second_mb", second)
        .number("last_mb", last)
        .number("most_mb", samples.iter().copied().fold(0.0, f64::max))
        .number("events", side.answers.count() as f64);
    let name = if flags.no_dedupe { "soak without keys" } else { "soak" };
    report::keep(name, &[side.row("doorbell, durable"), memory])
}
