//! Durable acknowledgements: the gateway and the bare server take turns under the same load.

use super::bare::Bare;
use super::gateway::Gateway;
use super::load::{self, Done, Spec, Template};
use super::report::{self, Row};
use super::sample::{Histogram, median};
use super::{Flags, process, signed};
use crate::payload::SECRET;
use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// One side over all rounds.
#[derive(Debug, Default)]
struct Side {
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
    answers: Histogram,
}

impl Side {
    fn add(&mut self, done: &Done, cpu_seconds: f64) {
        self.rates.push(done.rate());
        self.cpu_us.push(cpu_seconds * 1e6 / done.answers.count() as f64);
        self.answers.merge(&done.answers);
    }

    fn row(&self, name: &str) -> Row {
        Row::new(name)
            .number("rate", median(&self.rates))
            .number("cpu_us", median(&self.cpu_us))
            .quantiles(&self.answers)
    }
}

/// The pairs of rates, side by side.
fn ratios(of: &Side, to: &Side) -> Vec<f64> {
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

/// `bench ingest --provider NAME`: its signed request beside GitHub's of the same bytes, in turns, on one gateway.
pub(super) fn beside_github(flags: &Flags, provider: &str) -> Result<()> {
    let row = signed::set_up(provider)?;
    let text = signed::secret(&row)?;
    let gateway = Gateway::fresh(flags)?;
    let options: BTreeMap<_, _> = signed::settings(&row).into_iter().collect();
    let mut api = gateway.api();
    for (name, provider, secret) in [("theirs", provider, text), ("github", "github", SECRET)] {
        let options = if name == "theirs" { json!(options) } else { json!({}) };
        // Nothing is remembered of ids: the request is the same each time.
        let source = json!({"name": name, "provider": provider, "secrets": [secret], "options": options,
            "dedupe": {"window": "0s"}});
        api.api("POST /v1/sources", Some(&source))?;
    }
    let now = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_secs())?;
    let secret = webhook_signatures::Secret::parse(&row, text)?;
    let url = ("https://hooks.example.com/in/theirs", now);
    let request = signed::request(&row, &secret, url)?;
    let path = request.url.strip_prefix("https://hooks.example.com").context("another host")?;
    let theirs = Template::fixed(path, &request.headers, &request.body);
    let github = Template::with_body("/in/github", 1, &request.body)?;
    let (mut one, mut other) = (Side::default(), Side::default());
    for round in 0..=flags.rounds {
        for (side, template) in [(&mut one, &github), (&mut other, &theirs)] {
            let before = gateway.cpu()?;
            let done = load(flags, &gateway.ingest(), template.clone())?;
            if round > 0 {
                side.add(&done, gateway.cpu()? - before);
            }
        }
    }
    let cpu: Vec<f64> = other.cpu_us.iter().zip(&one.cpu_us).map(|(a, b)| a / b).collect();
    let ratio = Row::new("ratio (median of pairs)")
        .number("cpu", median(&cpu))
        .number("least", cpu.iter().copied().fold(f64::MAX, f64::min))
        .number("most", cpu.iter().copied().fold(0.0, f64::max))
        .number("rate", median(&ratios(&other, &one)))
        .number("bytes", request.body.len() as f64);
    let title = format!("ingest: {provider} beside github");
    report::keep(&title, &[one.row("github"), other.row(provider), ratio])
}

fn post(flags: &Flags, address: &str, path: &str) -> Result<Done> {
    load(flags, address, Template::github(path, 1)?)
}

fn load(flags: &Flags, address: &str, template: Template) -> Result<Done> {
    let done = load::run(Spec {
        address: address.to_owned(),
        template,
        connections: flags.connections,
        duration: flags.seconds(5),
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
    let (end, mut samples) = (Instant::now() + flags.seconds(600), Vec::new());
    let mut side = Side::default();
    while Instant::now() < end {
        let before = gateway.cpu()?;
        let done =
            post(&Flags { seconds: Some(5), ..flags.clone() }, &gateway.ingest(), "/in/bench")?;
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
