//! A busy endpoint beside receivers that never answer and hold as many tries as they get: what it notices of them, and
//! what a try that is out costs in memory.

use super::Flags;
use super::gateway::Gateway;
use super::load::{self, Done, Spec, Template};
use super::report::{self, Row};
use super::sample::Histogram;
use super::sink::{DEAD_PATH, Sink};
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::{Duration, Instant};

/// Endpoints that never answer, unless said.
const DEAD: u64 = 16;
/// Events that each of them gets: more than it may have out.
const EACH: u64 = 1_000;
/// Events before anything is timed.
const WARM: u64 = 2_000;
/// The places must be taken within this.
const FILL_MAX: Duration = Duration::from_secs(60);

/// `bench slow`.
pub(super) fn run(flags: &Flags) -> Result<()> {
    let epoch = Instant::now();
    let sink = Sink::start(epoch)?;
    sink.play_dead();
    let gateway = Gateway::fresh(flags)?;
    let busy = json!({"event_types": ["e00000"], "concurrency": 64});
    gateway.endpoint("busy", &format!("http://{}/", sink.address), &busy)?;
    let load = |events, limit, rate| load_of(flags, &gateway, epoch, (events, limit, rate));
    let rate = flags.rate.unwrap_or(2_000.0);
    load(1, WARM, rate)?;
    let (calm, rss) = (timed(&sink, || load(1, u64::MAX, rate))?, gateway.rss_mb()?);
    let count = flags.count.unwrap_or(DEAD);
    for n in 0..count {
        let dead = json!({"event_types": ["e00001"], "concurrency": EACH, "timeout": "120s"});
        gateway.endpoint(
            &format!("dead{n}"),
            &format!("http://{}{DEAD_PATH}", sink.address),
            &dead,
        )?;
    }
    // Every second event is for the dead ones.
    load(2, 2 * EACH, 500.0)?;
    let held = settled(&sink)?;
    let full = gateway.rss_mb()?;
    let beside = timed(&sink, || load(1, u64::MAX, rate))?;
    ensure!(sink.held() >= held, "receivers that should hold tries have let go of them");
    let rows = [
        Row::new("a busy endpoint, alone").quantiles(&calm).number("rss_mb", rss),
        Row::new("beside endpoints that never answer")
            .number("endpoints", count as f64)
            .number("tries_held", held as f64)
            .quantiles(&beside)
            .number("rss_mb", full)
            .number("kb_a_try", (full - rss) * 1e3 / held as f64),
        Row::new("ratio").number("p99_ratio", beside.quantile_ms(0.99) / calm.quantile_ms(0.99)),
    ];
    report::keep("slow", &rows)
}

/// The times from event to arrival while this goes on.
fn timed(sink: &Sink, load: impl FnOnce() -> Result<Done>) -> Result<Histogram> {
    sink.take_times();
    let arrived = sink.count();
    let done = load()?;
    sink.wait_for(arrived + done.answers.count(), FILL_MAX)?;
    Ok(sink.take_times())
}

/// Waits until nobody gets more tries; how many are held then.
fn settled(sink: &Sink) -> Result<u64> {
    let end = Instant::now() + FILL_MAX;
    let mut before = 0;
    loop {
        std::thread::sleep(Duration::from_secs(1));
        let now = sink.held();
        if now > 0 && now == before {
            return Ok(now);
        }
        ensure!(Instant::now() < end, "the tries do not settle");
        before = now;
    }
}

fn load_of(
    flags: &Flags,
    gateway: &Gateway,
    epoch: Instant,
    (events, limit, rate): (u64, u64, f64),
) -> Result<Done> {
    let done = load::run(Spec {
        address: gateway.ingest(),
        template: Template::github("/in/bench", events)?,
        connections: flags.connections,
        duration: flags.seconds(10.0),
        limit,
        rate: Some(rate),
        epoch,
    })?;
    ensure!(done.failed == 0, "{} requests failed", done.failed);
    Ok(done)
}
