//! Many connections: ten thousand that post now and then (R16), and ten thousand that never finish their header (R15).

use super::Flags;
use super::gateway::Gateway;
use super::load::{self, Done, Spec, Template};
use super::report::{self, Row};
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Between two bytes of a slow sender (one byte in ten seconds is what slow-loris tools send).
const DRIP: Duration = Duration::from_secs(10);

/// `bench crowd`.
pub(super) fn run(flags: &Flags) -> Result<()> {
    let count = flags.count.unwrap_or(10_000);
    let gateway = Gateway::fresh(flags)?;
    let honest = |connections, rate| load_of(flags, &gateway, connections, rate);
    let idle = honest(64, 1_000.0)?;
    let crowd = honest(count, 4_000.0)?;
    let crowd_mb = gateway.rss_mb()?;
    let slow = Slow::start(&gateway.ingest(), count)?;
    let beside = honest(64, 1_000.0)?;
    let freed = slow.freed_within(Duration::from_secs(30));
    let rows = [
        Row::new("64 connections, 1,000/s").quantiles(&idle.answers),
        Row::new("a crowd, 4,000/s")
            .number("connections", count as f64)
            .quantiles(&crowd.answers)
            .number("failed", crowd.failed as f64)
            .number("rss_mb", crowd_mb),
        Row::new("64 beside slow senders, 1,000/s")
            .number("slow", count as f64)
            .quantiles(&beside.answers)
            .number("freed", freed as f64)
            .number("rss_mb", gateway.rss_mb()?)
            .number("p99_ratio", beside.answers.quantile_ms(0.99) / idle.answers.quantile_ms(0.99)),
    ];
    report::keep("crowd", &rows)?;
    ensure!(idle.failed + crowd.failed + beside.failed == 0, "honest requests failed");
    ensure!(freed == count, "only {freed} of {count} slow senders were turned away");
    Ok(())
}

fn load_of(flags: &Flags, gateway: &Gateway, connections: u64, rate: f64) -> Result<Done> {
    load::run(Spec {
        address: gateway.ingest(),
        template: Template::github("/in/bench", 1)?,
        connections,
        duration: flags.seconds(10.0),
        limit: u64::MAX,
        rate: Some(rate),
        epoch: Instant::now() - Duration::from_secs(super::fresh_number() * 1_000),
    })
}

/// Senders that write one byte of a header now and then, and never come to its end.
struct Slow {
    freed: Arc<AtomicU64>,
    count: u64,
}

impl Slow {
    fn start(address: &str, count: u64) -> Result<Self> {
        let freed = Arc::new(AtomicU64::new(0));
        let (address, shared) = (address.to_owned(), Arc::clone(&freed));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (send, all_open) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            runtime.block_on(async {
                let mut open = Vec::new();
                for _ in 0..count {
                    open.push(TcpStream::connect(&address).await);
                }
                send.send(()).unwrap_or_default();
                let drips = open
                    .into_iter()
                    .flatten()
                    .map(|stream| tokio::spawn(drip(stream, Arc::clone(&shared))));
                for drip in drips.collect::<Vec<_>>() {
                    drop(drip.await);
                }
            });
        });
        all_open.recv().context("the slow senders could not connect")?;
        Ok(Self { freed, count })
    }

    /// How many the gateway has turned away by then.
    fn freed_within(&self, limit: Duration) -> u64 {
        let end = Instant::now() + limit;
        while self.freed.load(Ordering::Relaxed) < self.count && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(50));
        }
        self.freed.load(Ordering::Relaxed)
    }
}

async fn drip(mut stream: TcpStream, freed: Arc<AtomicU64>) {
    let mut answer = [0; 1024];
    let mut sent = stream.write_all(b"POST /in/bench HTTP/1.1\r\nx-slow: ").await;
    while sent.is_ok() {
        match tokio::time::timeout(DRIP, stream.read(&mut answer)).await {
            Err(_still_open) => sent = stream.write_all(b"a").await,
            Ok(Ok(read)) if read > 0 => {}
            Ok(_closed) => break,
        }
    }
    freed.fetch_add(1, Ordering::Relaxed);
}
