//! What the index costs: CPU per event with one delivery, as it grows, and how long its answers take then.
//!
//! `cargo run --release -p doorbell-store --example index_bench -- [events] [settled|waiting|late] [batch]`
//! - `settled`: each delivery is settled in the batch in which it came (the usual case);
//! - `late`: in the next batch but one (a slow receiver);
//! - `waiting`: never (a backlog).
#![expect(clippy::print_stdout, reason = "it is a program for people")]
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use doorbell_core::attempt::{Ending, Trigger};
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::event::{Fate, Origin};
use doorbell_core::id::{AttemptId, DeliveryId, EndpointId, EventId, SourceId, TenantId};
use doorbell_core::name::{EventType, EventTypePattern};
use doorbell_core::time::Time;
use doorbell_store::embedded::index::{Entry, Error, Index, Sizes, Taken};
use doorbell_store::{Claim, DeliveryQuery, EventQuery, FateWord, StateWord};
use doorbell_wire::stored::{AttemptHead, ReceivedHead, RecordHead, SettledHead};
use std::time::{Duration, Instant};

const ENDPOINTS: u64 = 20;
const SOURCES: u64 = 20;
/// Endpoints among which the deliveries of one source are spread: with the types, they make the lanes.
const SPREAD: u64 = 2;
const RECORD: u64 = 1_600;

struct Script {
    position: u64,
    count: u64,
    types: Vec<EventType>,
}

fn random(n: u64) -> u64 {
    let mut x = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const fn endpoint(n: u64) -> EndpointId {
    EndpointId::from_bytes((n as u128 + 1).to_be_bytes())
}

const fn source(n: u64) -> SourceId {
    SourceId::from_bytes((n as u128 + 1).to_be_bytes())
}

impl Script {
    /// An event with one delivery; in a thousandth of them from a rare source.
    fn received(&mut self) -> Entry {
        let n = self.count;
        self.count += 1;
        self.position += RECORD;
        let dice = random(n);
        let at = Time::from_ms(1_767_225_600_000 + n / 20);
        let from = if dice.is_multiple_of(1000) { SOURCES } else { dice % SOURCES };
        let event = EventId::new(at, u128::from(dice) << 10);
        let which = usize::try_from(dice % 5).unwrap_or(0);
        let delivery = Delivery {
            id: DeliveryId::new(at, u128::from(random(dice)) << 10),
            tenant: TenantId::DEFAULT,
            event,
            endpoint: endpoint((from + random(dice) % SPREAD) % ENDPOINTS),
            order_key: None,
            replay: None,
            attempts: 0,
            by_hand: 0,
            state: State::Waiting { due: at },
            asked: false,
        };
        let head = ReceivedHead {
            id: event,
            tenant: TenantId::DEFAULT,
            at,
            origin: Origin::Source(source(from)),
            event_type: self.types.get(which).cloned(),
            dedupe_key: None,
            dedupe_window: Duration::ZERO,
            fate: Fate::Accepted,
            method: "POST".to_owned(),
            body_len: 1_000,
            deliveries: vec![delivery],
        };
        (self.position, RecordHead::Received(head))
    }

    /// How its delivery is settled; one in a thousand fails.
    fn settled(&mut self, (event_at, head): &Entry) -> Option<Entry> {
        let event_at = *event_at;
        let RecordHead::Received(received) = head else { return None };
        let mut delivery = received.deliveries.first()?.clone();
        self.position += 300;
        let at = received.at;
        let failed = random(event_at).is_multiple_of(1000);
        delivery.attempts = 1;
        delivery.state =
            if failed { State::Failed { at, holds_key: false } } else { State::Delivered { at } };
        let attempt = AttemptHead {
            id: AttemptId::new(at, 1),
            number: 1,
            at,
            trigger: Trigger::Initial,
            outcome: Ending::Answered(if failed { 500 } else { 200 }),
        };
        let head = SettledHead {
            event_at,
            previous: None,
            at: Some(at),
            delivery,
            attempt: Some(attempt),
        };
        Some((self.position, RecordHead::Settled(head)))
    }
}

/// CPU time of this process so far, and its memory in MiB, as Linux tells them.
fn used() -> (Duration, u64) {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let stat = read("/proc/self/stat");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    let status = read("/proc/self/status");
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = memory.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    (Duration::from_millis(10 * ticks), kib.unwrap_or(0) / 1024)
}

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, otherwise: u64| {
        arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    };
    let (events, batch) = (number(0, 5_000_000), number(2, 4_000));
    let mode = arguments.get(1).map_or("settled", String::as_str);
    let dir = std::env::temp_dir().join(format!("doorbell-index-bench-{}", std::process::id()));
    let index = Index::open(&dir, Sizes::default())?;
    feed(&index, events, batch, mode)?;
    ask(&index, events)?;
    drop(index);
    let bytes: u64 =
        std::fs::read_dir(&dir)?.flatten().filter_map(|f| f.metadata().ok()).map(|m| m.len()).sum();
    println!("{} bytes on disk for each event", bytes / events.max(1));
    let opening = Instant::now();
    drop(Index::open(&dir, Sizes::default())?);
    println!("opens again in {:?}", opening.elapsed());
    Ok(std::fs::remove_dir_all(&dir)?)
}

fn feed(index: &Index, events: u64, batch: u64, mode: &str) -> Result<(), Error> {
    let types = ["invoice.paid", "invoice.void", "push", "order.created", "order.cancelled"];
    let types = types.iter().filter_map(|text| EventType::parse(text).ok()).collect();
    let mut script = Script { position: 0, count: 0, types };
    let mut late: Vec<Vec<Entry>> = Vec::new();
    let (mut spent, mut count, mut wall) = (Duration::ZERO, 0, Duration::ZERO);
    println!("{:>10} {:>12} {:>12} {:>8}", "events", "cpu µs each", "wall µs each", "RSS MiB");
    while script.count < events {
        let mut entries: Vec<Entry> = (0..batch).map(|_| script.received()).collect();
        let settled: Vec<Entry> = entries.iter().filter_map(|e| script.settled(e)).collect();
        match mode {
            "waiting" => {}
            "late" => {
                late.push(settled);
                if late.len() > 2 {
                    // Positions only have to grow.
                    let mut due = late.remove(0);
                    for (position, _) in &mut due {
                        script.position += 300;
                        *position = script.position;
                    }
                    entries.extend(due);
                }
            }
            _ => entries.extend(settled),
        }
        let (before, start) = (used().0, Instant::now());
        index.apply(&entries, script.position + 1)?;
        if (script.count / batch).is_multiple_of(50) {
            index.checkpoint()?;
        }
        spent += used().0.saturating_sub(before);
        wall += start.elapsed();
        count += batch;
        if count >= events / 10 {
            let each = |time: Duration| {
                time.as_secs_f64() * 1e6 / f64::from(u32::try_from(count).unwrap_or(u32::MAX))
            };
            println!(
                "{:>10} {:>12.2} {:>12.2} {:>8}",
                script.count,
                each(spent),
                each(wall),
                used().1
            );
            (spent, count, wall) = (Duration::ZERO, 0, Duration::ZERO);
        }
    }
    Ok(())
}

fn timed<T>(name: &str, question: impl Fn() -> Result<T, Error>) -> Result<T, Error> {
    question()?;
    let start = Instant::now();
    let answer = question()?;
    println!("{name:<44} {:>9.2} ms", start.elapsed().as_secs_f64() * 1e3);
    Ok(answer)
}

fn ask(index: &Index, events: u64) -> Result<(), Error> {
    let all = EventQuery::of(TenantId::DEFAULT);
    let typed = |text: &str| EventTypePattern::parse(text).ok();
    let middle = Some(Time::from_ms(1_767_225_600_000 + events / 40));
    let questions = [
        ("newest", all.clone()),
        ("source 5 %", EventQuery { source: Some(source(3)), ..all.clone() }),
        ("source 0.1 %", EventQuery { source: Some(source(SOURCES)), ..all.clone() }),
        ("source unknown", EventQuery { source: Some(source(99)), ..all.clone() }),
        ("type invoice.*", EventQuery { event_type: typed("invoice.*"), ..all.clone() }),
        ("type unknown", EventQuery { event_type: typed("nothing.*"), ..all.clone() }),
        (
            "source + type that never meet",
            EventQuery { source: Some(source(3)), event_type: typed("push"), ..all.clone() },
        ),
        ("endpoint", EventQuery { endpoint: Some(endpoint(1)), ..all.clone() }),
        ("failed", EventQuery { state: Some(StateWord::Failed), ..all.clone() }),
        (
            "failed + endpoint + source 0.1 %",
            EventQuery {
                state: Some(StateWord::Failed),
                endpoint: Some(endpoint(1)),
                source: Some(source(SOURCES)),
                ..all.clone()
            },
        ),
        ("discarded (none)", EventQuery { state: Some(StateWord::Discarded), ..all.clone() }),
        ("rejected (none)", EventQuery { fates: vec![FateWord::Rejected], ..all.clone() }),
        ("until the middle", EventQuery { until: middle, ..all.clone() }),
        (
            "until the middle, source 0.1 %",
            EventQuery { until: middle, source: Some(source(SOURCES)), ..all },
        ),
    ];
    for (name, query) in questions {
        let page = timed(name, || index.events(&query))?;
        println!("{:>50} events", page.items.len());
    }
    let all = DeliveryQuery::of(TenantId::DEFAULT);
    timed("deliveries: newest", || index.deliveries(&all))?;
    let failed =
        DeliveryQuery { state: Some(StateWord::Failed), endpoint: Some(endpoint(1)), ..all };
    timed("deliveries: failed at an endpoint", || index.deliveries(&failed))?;
    let claim = Claim {
        endpoint: endpoint(1),
        by_key: false,
        due_by: Time::MAX,
        most: 512,
        event_bytes: 0,
        lease_until: Time::MAX,
    };
    let claimed = timed("claim 512", || {
        index.claim(&claim, Taken { delivery: &|_| false, key: &|_| false })
    })?;
    println!("{:>50} deliveries", claimed.waiting.len());
    let backlog = timed("backlog", || index.backlog(&|_| false))?;
    println!("{:>50} endpoints", backlog.len());
    timed("oldest waiting", || index.oldest_waiting_position())?;
    let counts = timed("counts", || index.counts())?;
    println!("{counts:?}");
    Ok(())
}
