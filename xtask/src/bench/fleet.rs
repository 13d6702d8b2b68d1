//! Many endpoints: a dead one among them, and one event for all of them.

use super::Flags;
use super::gateway::{Gateway, Wants};
use super::load::{self, Spec, Template};
use super::report::{self, Row};
use super::sample::{Histogram, median};
use super::sink::{DEAD_PATH, Sink};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};

/// Whether the first endpoint of a fleet answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Alive,
    Dead,
}

/// What the other endpoints got in one phase.
struct Phase {
    rate: f64,
    times: Histogram,
}

/// `bench isolation`: all endpoints get the same share of a fixed rate; the others should not notice the dead one.
pub(super) fn isolation(flags: &Flags) -> Result<()> {
    let mut phases = [
        (First::Alive, Vec::new(), Histogram::default()),
        (First::Dead, Vec::new(), Histogram::default()),
    ];
    for _ in 0..flags.rounds.min(3) {
        for (first, rates, times) in &mut phases {
            let phase = isolation_phase(flags, *first)?;
            rates.push(phase.rate);
            times.merge(&phase.times);
        }
    }
    let mut rows: Vec<Row> = phases
        .iter()
        .map(|(first, rates, times)| {
            let name = if *first == First::Dead {
                "999 beside a dead one"
            } else {
                "999 beside a live one"
            };
            Row::new(name).number("rate", median(rates)).quantiles(times)
        })
        .collect();
    let [(_, alive, calm), (_, dead, beside)] = &phases;
    let ratio = Row::new("ratio")
        .number("ratio", median(dead) / median(alive))
        .number("p99_ratio", beside.quantile_ms(0.99) / calm.quantile_ms(0.99));
    rows.push(ratio);
    report::keep("isolation", &rows)
}

fn isolation_phase(flags: &Flags, first: First) -> Result<Phase> {
    let epoch = Instant::now();
    let sink = Sink::start(epoch)?;
    let gateway = Gateway::fresh(flags)?;
    let count = flags.count.unwrap_or(1_000);
    let url = |n| {
        if n == 0 {
            format!("http://{}{DEAD_PATH}", sink.address)
        } else {
            format!("http://{}/{n}", sink.address)
        }
    };
    gateway.endpoints(count, url, Wants::Own)?;
    if first == First::Dead {
        sink.play_dead();
    }
    let spec = Spec {
        address: gateway.ingest(),
        template: Template::github("/in/bench", count)?,
        connections: flags.connections,
        duration: flags.seconds(15.0),
        limit: u64::MAX,
        rate: Some(flags.rate.unwrap_or(2_000.0)),
        epoch,
    };
    load::run(Spec { duration: Duration::from_secs(3), ..spec.clone() })?;
    sink.take_times();
    let (arrived, begun) = (sink.count(), Instant::now());
    let sent = load::run(spec)?;
    ensure!(sent.failed == 0, "{} requests failed", sent.failed);
    // What the first endpoint got, when it was alive, is not the others'.
    let others = match first {
        First::Alive => (count - 1) as f64 / count as f64,
        First::Dead => 1.0,
    };
    let rate = (sink.count() - arrived) as f64 * others / begun.elapsed().as_secs_f64();
    Ok(Phase { rate, times: sink.take_times() })
}

/// `bench fanout`: one event for all endpoints.
pub(super) fn fanout(flags: &Flags) -> Result<()> {
    let epoch = Instant::now();
    let sink = Sink::start(epoch)?;
    let gateway = Gateway::fresh(flags)?;
    let count = flags.count.unwrap_or(10_000);
    let making = Instant::now();
    gateway.endpoints(count, |n| format!("http://{}/{n}", sink.address), Wants::All)?;
    let made = making.elapsed();
    let (mut acks, mut all, mut cpu) = (Histogram::default(), Vec::new(), Vec::new());
    for round in 0..=flags.rounds {
        let (before, arrived, begun) = (gateway.cpu()?, sink.count(), Instant::now());
        let one = Spec {
            address: gateway.ingest(),
            template: Template::github("/in/bench", 1)?,
            connections: 1,
            duration: Duration::from_secs(60),
            limit: 1,
            rate: None,
            epoch,
        };
        let sent = load::run(one)?;
        ensure!(sent.answers.count() == 1, "the event was not accepted");
        let end = sink.wait_for(arrived + count, Duration::from_secs(120))?;
        if round > 0 {
            acks.merge(&sent.answers);
            all.push(end.saturating_duration_since(begun).as_secs_f64());
            cpu.push((gateway.cpu()? - before) * 1e6 / count as f64);
        }
    }
    let seconds = median(&all);
    let rows = [
        Row::new("one event, acknowledged").quantiles(&acks),
        Row::new("delivered to all")
            .number("endpoints", count as f64)
            .number("seconds", seconds)
            .number("rate", count as f64 / seconds)
            .number("cpu_us", median(&cpu))
            .number("rss_mb", gateway.rss_mb()?),
        Row::new("making the endpoints").number("seconds", made.as_secs_f64()),
    ];
    report::keep("fanout", &rows)
}
