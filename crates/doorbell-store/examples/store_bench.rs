//! How fast the embedded store is: `cargo run --release --example store_bench -- DIR [EVENTS] [WAITING] [WHAT]`.
//!
//! `EVENTS` are taken in by `WAITING` tasks at once. `WHAT` is `settle` (each event has one delivery, which is lent and
//! settled), `accept` (no deliveries) or `reopen` (only opens what is there). It prints the rate, the CPU time of each
//! thread per event, and the resident memory. The directory must be on the disk that is to be measured.

use bytes::Bytes;
use doorbell_core::attempt::{Answer, Attempt, Outcome, Timings, Trigger};
use doorbell_core::delivery::State;
use doorbell_core::event::{Event, Fate, Origin};
use doorbell_core::id::{AttemptId, DeliveryId, EndpointId, EventId, SourceId, TenantId};
use doorbell_core::name::EventType;
use doorbell_core::request::{Headers, Request};
use doorbell_core::time::Time;
use doorbell_store::embedded::{Embedded, Options};
use doorbell_store::{Admission, EventQuery, Lent, NewDelivery, Settlement, Store};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// A moment in 2026; events come a millisecond after each other.
const START: u64 = 1_790_000_000_000;
/// Deliveries that are lent and not settled, at most.
const WINDOW: usize = 2_000;
/// Clock ticks of `/proc` in a second.
const TICKS: f64 = 100.0;

fn main() -> Result<(), Fault> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let dir = PathBuf::from(arguments.first().ok_or("which directory?")?);
    let events = number(&arguments, 1, 200_000)?;
    let waiting = number(&arguments, 2, 64)?;
    let what = arguments.get(3).map_or("settle", String::as_str);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(dir, events, waiting, what.to_owned()))
}

fn number(arguments: &[String], at: usize, otherwise: u64) -> Result<u64, Fault> {
    Ok(arguments.get(at).map_or(Ok(otherwise), |text| text.parse())?)
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "it is what a benchmark is for")]
fn tell(line: &str) {
    println!("{line}");
}

async fn run(dir: PathBuf, events: u64, waiting: u64, what: String) -> Result<(), Fault> {
    let opening = now();
    let options = Options { reserve_bytes: 1 << 30, ..Options::at(Time::from_ms(START)) };
    let store = Embedded::open(&dir, options)?;
    tell(&format!(
        "opened in {:.3} s, resident {} MB",
        opening.elapsed().as_secs_f64(),
        resident()
    ));
    let before = store.stats().await?.events;
    tell(&format!(
        "{before} events there; the index was ready after {:.3} s",
        opening.elapsed().as_secs_f64()
    ));
    if what == "reopen" {
        return Ok(store.close().await?);
    }
    let (began, cpu) = (now(), threads());
    let next = Arc::new(AtomicU64::new(before));
    let window = Arc::new(Semaphore::new(WINDOW));
    let last = before + events;
    let mut tasks = JoinSet::new();
    let delivers = what == "settle";
    for _ in 0..waiting {
        let window = delivers.then(|| Arc::clone(&window));
        tasks.spawn(accept(store.clone(), Arc::clone(&next), last, window));
    }
    if delivers {
        settle(&store, events, &window).await?;
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let took = began.elapsed().as_secs_f64();
    report("durable", events, took, &cpu);
    store.events(EventQuery::of(TenantId::DEFAULT)).await?;
    report("indexed", events, began.elapsed().as_secs_f64(), &cpu);
    Ok(store.close().await?)
}

async fn accept(
    store: Embedded,
    next: Arc<AtomicU64>,
    last: u64,
    window: Option<Arc<Semaphore>>,
) -> Result<(), Fault> {
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= last {
            return Ok(());
        }
        if let Some(window) = &window {
            window.acquire().await?.forget();
        }
        store.accept(admission(n, window.is_some())?).await?;
    }
}

/// Settles what is lent, at most 64 at a time.
async fn settle(store: &Embedded, events: u64, window: &Semaphore) -> Result<(), Fault> {
    let mut left = events;
    let mut tasks: JoinSet<Result<(), Fault>> = JoinSet::new();
    while left > 0 {
        for lent in store.lent().await {
            left -= 1;
            window.add_permits(1);
            if tasks.len() >= 64
                && let Some(done) = tasks.join_next().await
            {
                done??;
            }
            let store = store.clone();
            tasks.spawn(async move {
                store.settle(delivered(lent)).await?;
                Ok(())
            });
        }
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

fn admission(n: u64, delivers: bool) -> Result<Admission, Fault> {
    let at = Time::from_ms(START + n);
    let dice = u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    let body = if delivers { 1000 } else { 100 };
    let mut headers = Headers::with_capacity(15);
    if delivers {
        for line in 0..15 {
            headers.push(
                &format!("x-header-{line}"),
                Bytes::from_static(b"some value of usual length"),
            );
        }
    }
    let event = Event {
        id: EventId::new(at, dice),
        tenant: TenantId::DEFAULT,
        at,
        origin: Origin::Source(SourceId::from_bytes([7; 16])),
        event_type: Some(EventType::parse("invoice.paid")?),
        dedupe_key: Some(Bytes::from(format!("delivery-{n:032}"))),
        channels: Vec::new(),
        request: Request {
            method: "POST".into(),
            path: String::new(),
            query: None,
            headers,
            body: Bytes::from(vec![b'x'; body]),
            peer: None,
        },
    };
    let delivery = NewDelivery {
        id: DeliveryId::new(at, dice),
        endpoint: EndpointId::from_bytes([9; 16]),
        order_key: None,
        state: State::Waiting { due: at },
        replay: None,
        lend: true,
    };
    Ok(Admission {
        event: Arc::new(event),
        fate: if delivers { Fate::Accepted } else { Fate::NoEndpoint },
        dedupe_window: Duration::from_secs(72 * 3600),
        deliveries: if delivers { vec![delivery] } else { Vec::new() },
        once: false,
    })
}

fn delivered(lent: Lent) -> Settlement {
    let Lent { mut delivery, locator, lease, .. } = lent;
    let at = delivery.event.at();
    delivery.state = State::Delivered { at };
    delivery.attempts = 1;
    let answer = Answer {
        status: 200,
        headers: [("content-type", "text/plain")].into_iter().collect(),
        body: Bytes::from_static(b"ok"),
        truncated: false,
    };
    let attempt = Attempt {
        id: AttemptId::new(at, u128::from(lease.0)),
        number: 1,
        at,
        trigger: Trigger::Initial,
        address: None,
        timings: Timings::default(),
        outcome: Outcome::Answered(answer),
    };
    Settlement { lease, locator, delivery, attempt: Some(attempt), next: false }
}

fn report(what: &str, events: u64, seconds: f64, before: &BTreeMap<String, f64>) {
    let per_event = |seconds: f64| seconds * 1e6 / count(events);
    let used: Vec<(String, f64)> = threads()
        .into_iter()
        .map(|(name, time)| {
            let earlier = before.get(&name).copied().unwrap_or(0.0);
            (name, time - earlier)
        })
        .collect();
    let total: f64 = used.iter().map(|(_, time)| time).sum();
    tell(&format!(
        "{what}: {:.0} events/s, {:.2} us of CPU per event, resident {} MB",
        count(events) / seconds,
        per_event(total),
        resident()
    ));
    for (name, time) in used.into_iter().filter(|(_, time)| *time > 0.0) {
        tell(&format!("    {name}: {:.2} us", per_event(time)));
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
fn count(events: u64) -> f64 {
    events as f64
}

/// CPU seconds of each thread, those of one name together.
fn threads() -> BTreeMap<String, f64> {
    let mut times = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        let Some((before, after)) = stat.rsplit_once(") ") else { continue };
        let name = before.split_once('(').map_or("", |(_, name)| name).to_owned();
        let ticks = after.split(' ').skip(11).take(2).filter_map(|text| text.parse::<f64>().ok());
        *times.entry(name).or_insert(0.0) += ticks.sum::<f64>() / TICKS;
    }
    times
}

/// Resident memory in MB that is not files.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}
