//! The durable half under test: journal, recovery, dedupe and leases, with a view that only remembers what it was fed.

mod crash;
mod damage;
mod dedupe;
mod keys;
mod order;
mod pressure;

use super::engine::{Engine, Opened};
use super::home::Home;
use super::index::Entry;
use super::open::Options;
use super::tail::View;
use crate::store::{Admission, NewDelivery, StoreError};
use bytes::Bytes;
use doorbell_core::delivery::State;
use doorbell_core::event::{Event, Fate, Origin, Rejection, RejectionReason};
use doorbell_core::id::{DeliveryId, EndpointId, EventId, SourceId, TenantId};
use doorbell_core::name::EventType;
use doorbell_core::request::Request;
use doorbell_core::time::Time;
use doorbell_wire::stored::{Record, RecordHead};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the index would have been fed.
#[derive(Debug, Clone, Default)]
struct Fed(Arc<Mutex<Vec<(u64, RecordHead)>>>);

impl Fed {
    fn all(&self) -> std::sync::MutexGuard<'_, Vec<(u64, RecordHead)>> {
        self.0.lock().unwrap()
    }
}

#[derive(Debug)]
struct Remembers(Fed);

impl View for Remembers {
    fn replay_from(&self) -> u64 {
        0
    }

    fn apply(&mut self, records: &[Entry], _: u64) -> Result<(), StoreError> {
        self.0.all().extend_from_slice(records);
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

const SOURCE: SourceId = SourceId::from_bytes([7; 16]);
const START: u64 = 1_790_000_000_000;

fn options() -> Options {
    Options {
        segment_bytes: 4096,
        reserve_bytes: 0,
        index_lag: Duration::ZERO,
        ..Options::at(Time::from_ms(START))
    }
}

fn open_with(dir: &Path, options: Options) -> (Engine, Fed) {
    let fed = Fed::default();
    (open_for(dir, options, Remembers(fed.clone())), fed)
}

fn open_for(dir: &Path, options: Options, view: impl View) -> Engine {
    Opened::open(Home::take(dir).unwrap(), options).unwrap().start(view).unwrap()
}

fn open(dir: &Path) -> (Engine, Fed) {
    open_with(dir, options())
}

/// Everything that a store remembers, as the index would be fed it.
async fn records(dir: &Path) -> Vec<(u64, Record)> {
    let (engine, fed) = open(dir);
    engine.catch_up().await.unwrap();
    let positions: Vec<u64> = fed.0.lock().unwrap().iter().map(|(position, _)| *position).collect();
    positions.into_iter().map(|position| (position, engine.record(position).unwrap())).collect()
}

/// The events that a store remembers, in order, by their numbers.
async fn numbers(dir: &Path) -> Vec<u64> {
    records(dir).await.into_iter().filter_map(|(_, record)| number_of(&record)).collect()
}

fn number_of(record: &Record) -> Option<u64> {
    match record {
        Record::Received(received) => {
            assert_eq!(received.event, event(number(received.event.id)), "not what was accepted");
            Some(number(received.event.id))
        }
        Record::Settled(_) | Record::Redelivered(_) => None,
    }
}

fn number(id: EventId) -> u64 {
    u64::try_from(u128::from_be_bytes(id.bytes()) & u128::from(u64::MAX)).unwrap()
}

/// The event with this number; everything about it follows from the number.
fn event(n: u64) -> Event {
    let at = Time::from_ms(START + n);
    Event {
        id: EventId::new(at, n.into()),
        tenant: TenantId::DEFAULT,
        at,
        origin: Origin::Source(SOURCE),
        event_type: Some(EventType::parse("invoice.paid").unwrap()),
        dedupe_key: Some(Bytes::from(format!("key-{n}"))),
        channels: Vec::new(),
        request: Request {
            method: "POST".into(),
            path: String::new(),
            query: None,
            headers: [("content-type", "application/json")].into_iter().collect(),
            body: vec![u8::try_from(n % 251).unwrap(); usize::try_from(n * 37 % 300).unwrap()]
                .into(),
            peer: None,
        },
    }
}

fn admission(n: u64) -> Admission {
    Admission {
        event: Arc::new(event(n)),
        fate: Fate::Accepted,
        dedupe_window: Duration::from_secs(3600),
        deliveries: vec![delivery(n)],
        once: false,
    }
}

/// Of a request with this number that is to become no event.
fn rejected(n: u64) -> Admission {
    let rejection =
        Rejection { reason: RejectionReason::Verification, detail: "no signature".into() };
    Admission { fate: Fate::Rejected(rejection), deliveries: Vec::new(), ..admission(n) }
}

fn delivery(n: u64) -> NewDelivery {
    NewDelivery {
        id: DeliveryId::new(Time::from_ms(START + n), n.into()),
        endpoint: EndpointId::from_bytes([9; 16]),
        order_key: None,
        state: State::Waiting { due: Time::from_ms(START + n) },
        replay: None,
        lend: true,
    }
}

async fn fill(engine: &Engine, numbers: std::ops::Range<u64>) {
    for n in numbers {
        engine.accept(admission(n)).await.unwrap();
    }
}

/// A small fair die that always falls the same way.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else if let Err(fault) = std::fs::copy(entry.path(), target) {
            // It was renamed or removed in this moment.
            assert_eq!(fault.kind(), std::io::ErrorKind::NotFound);
        }
    }
}

/// The segments of a store, oldest first.
fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir.join("journal")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    paths
}
