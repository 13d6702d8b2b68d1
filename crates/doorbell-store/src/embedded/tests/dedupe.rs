//! Duplicates: exact within the window, also across restarts and within a batch.

use super::*;
use crate::store::Admitted;
use proptest::prelude::*;
use std::collections::HashMap;
use std::fs;

fn with_key(n: u64, key: u64, window: u64) -> Admission {
    let mut event = event(n);
    event.dedupe_key = Some(Bytes::from(format!("shared-{key}")));
    let dedupe_window = Duration::from_millis(window);
    Admission { event: Arc::new(event), dedupe_window, ..admission(n) }
}

#[derive(Debug, Clone)]
enum Step {
    Accept { key: u64, window: u64, later: u64 },
    Restart { without_key_files: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..6_u64, 0..40_u64, 0..8_u64)
            .prop_map(|(key, window, later)| Step::Accept { key, window, later }),
        1 => any::<bool>().prop_map(|without_key_files| Step::Restart { without_key_files }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn duplicates_are_those_of_the_model(steps in proptest::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(follow(steps));
    }
}

async fn follow(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { segment_bytes: 1500, ..options() };
    let mut engine = open_with(dir.path(), small).0;
    let mut seen: HashMap<u64, (EventId, u64)> = HashMap::new();
    let mut n = 0;
    for step in steps {
        match step {
            Step::Accept { key, window, later } => {
                n += 1 + later;
                let admitted = engine.accept(with_key(n, key, window)).await.unwrap();
                let first = seen.get(&key).filter(|(_, until)| n < *until && window > 0);
                assert_eq!(admitted, first.map_or(Admitted::New, |(id, _)| Admitted::Repeat(*id)));
                if first.is_none() && window > 0 {
                    seen.insert(key, (event(n).id, n + window));
                }
            }
            Step::Restart { without_key_files } => {
                engine.catch_up().await.unwrap();
                drop(engine);
                if without_key_files {
                    remove_key_files(dir.path());
                }
                engine = open_with(dir.path(), small).0;
            }
        }
    }
}

fn remove_key_files(dir: &Path) {
    for segment in segments(dir) {
        fs::remove_file(segment.with_extension("keys")).unwrap_or_default();
    }
}

/// Both arrive before either is durable: the second is a repeat, and is recorded as one.
#[tokio::test]
async fn a_repeat_within_one_batch_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    let (a, b, c) = tokio::join!(
        engine.accept(with_key(1, 0, 1000)),
        engine.accept(with_key(2, 0, 1000)),
        engine.accept(with_key(3, 1, 1000)),
    );
    let first = event(1).id;
    assert_eq!((a, b, c), (Ok(Admitted::New), Ok(Admitted::Repeat(first)), Ok(Admitted::New)));
    drop(engine);
    let (engine, fed) = open(dir.path());
    engine.catch_up().await.unwrap();
    let fates: Vec<(Fate, usize)> = fed
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|(_, head)| match head {
            RecordHead::Received(head) => (head.fate.clone(), head.deliveries.len()),
            RecordHead::Settled(_) | RecordHead::Redelivered(_) => panic!("{head:?}"),
        })
        .collect();
    let repeat = (Fate::Duplicate { of: first }, 0);
    assert_eq!(fates, [(Fate::Accepted, 1), repeat, (Fate::Accepted, 1)]);
}

/// The same key at another source, or published, is another key.
#[tokio::test]
async fn a_key_counts_within_its_source_or_tenant() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    let other_source = Origin::Source(SourceId::from_bytes([8; 16]));
    let tenants = [TenantId::DEFAULT, TenantId::from_bytes([1; 16])];
    let places = [
        (Origin::Source(SOURCE), tenants[0]),
        (other_source, tenants[0]),
        (Origin::Api, tenants[0]),
        (Origin::Api, tenants[1]),
    ];
    for expected_new in [true, false] {
        for (n, (origin, tenant)) in (1..).zip(places) {
            let mut admission = with_key(n, 0, 1000);
            let mut event = event(n);
            event.dedupe_key = admission.event.dedupe_key.clone();
            (event.origin, event.tenant) = (origin, tenant);
            admission.event = Arc::new(event);
            admission.deliveries.clear();
            let admitted = engine.accept(admission).await.unwrap();
            assert_eq!(admitted == Admitted::New, expected_new, "{origin:?} {tenant}");
        }
    }
}

/// A damaged key file is made anew from its segment.
#[tokio::test]
async fn a_damaged_key_file_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    fill(&engine, 0..60).await;
    drop(engine);
    drop(open(dir.path()));
    let files: Vec<_> = segments(dir.path()).iter().map(|s| s.with_extension("keys")).collect();
    let whole = fs::read(&files[0]).unwrap();
    for at in [9, 50, 1500, 2099, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&files[0], bytes).unwrap();
        let (engine, _) = open(dir.path());
        for n in 0..60 {
            let repeat = engine.accept(admission(n)).await;
            assert_eq!(repeat, Ok(Admitted::Repeat(event(n).id)), "{n} after byte {at}");
        }
        drop(engine);
        assert_eq!(fs::read(&files[0]).unwrap(), whole);
    }
}

/// Ten million keys, in 250 key files as their segments would leave them: how much memory, and how long to load.
#[test]
#[ignore = "a measurement: cargo test --release -p doorbell-store --lib -- --ignored --nocapture ten_million"]
#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn ten_million_keys_fit_in_200_mb_and_load_in_a_second() {
    use crate::embedded::dedupe::keys::SegmentKeys;
    use crate::embedded::dedupe::{KeyHash, load};
    use crate::embedded::journal::read::Reader;
    use crate::embedded::journal::segment::{Segment, Segments, StoreId};
    use std::time::Instant;
    let dir = tempfile::tempdir().unwrap();
    let secret = [3; 16];
    // Odd times odd is one to one, and spreads well.
    let hash = |n: u64| {
        KeyHash(
            (n + 1)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(32)
                .wrapping_mul(0xd6e8_feb8_6659_fd93),
        )
    };
    let mut sealed = Vec::new();
    for segment in 0..250 {
        let base = segment << 26;
        let mut keys = SegmentKeys::default();
        for n in 0..40_000 {
            keys.push(hash(segment * 40_000 + n), 64 + n * 1600, Time::from_ms(START + 1));
        }
        let segment = Segment { base, end: base + (1 << 26) };
        keys.write(dir.path(), &secret, segment).unwrap();
        sealed.push(segment);
    }
    let segments = Arc::new(Segments::new(sealed.clone()));
    let reader = Reader::new(dir.path().to_owned(), StoreId([0; 16]), segments);
    let before = resident();
    let began = Instant::now();
    let (mut table, loaded) = load::load(&reader, &secret, &sealed, Time::from_ms(START)).unwrap();
    let took = began.elapsed();
    let memory = resident() - before;
    println!("{} keys loaded in {took:?}, {memory} MB", table.len());
    assert_eq!((table.len(), loaded.len()), (10_000_000, 250));
    assert_eq!(table.find(hash(123_456), 1 << 40), Some((3 << 26) + 64 + 3456 * 1600));
    assert!(memory <= 200);

    let began = Instant::now();
    let mut slowest = Duration::ZERO;
    for n in 10_000_000..12_000_000 {
        let one = Instant::now();
        table.put(hash(n), (n - 10_000_000) * 64 + (251 << 26));
        slowest = slowest.max(one.elapsed());
    }
    println!("two million more: {:?} each, the slowest {slowest:?}", began.elapsed() / 2_000_000);
    println!("{} keys, {} MB", table.len(), resident() - before);
}

/// Resident memory in MB that is not files.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}
