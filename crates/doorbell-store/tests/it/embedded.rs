//! The embedded home keeps the promises, over and over on small segments.

use doorbell_core::delivery::State;
use doorbell_core::event::{Event, Fate, Origin};
use doorbell_core::id::{DeliveryId, EndpointId, EventId, TenantId};
use doorbell_core::request::{Headers, Request};
use doorbell_core::time::Time;
use doorbell_store::contract::Homes;
use doorbell_store::embedded::{Embedded, Options, inspect};
use doorbell_store::{
    Admission, Admitted, EventQuery, Lent, NewDelivery, Retention, Settled, Settlement, Store,
};
use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Opens the store in one directory, again and again.
pub(super) struct OnDisk {
    pub(super) dir: tempfile::TempDir,
}

impl OnDisk {
    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }
}

pub(super) fn on_disk() -> OnDisk {
    OnDisk { dir: tempfile::tempdir().unwrap() }
}

impl Homes for OnDisk {
    type Home = Embedded;

    async fn open(&mut self) -> Embedded {
        let options = Options {
            segment_bytes: 16 << 10,
            reserve_bytes: 0,
            index_lag: Duration::from_millis(1),
            ..Options::at(Time::EPOCH)
        };
        Embedded::open(self.dir.path(), options).unwrap()
    }
}

mod contract {
    use super::on_disk;
    doorbell_store::contract_tests!(lasting: on_disk());
}

const HOUR: Duration = Duration::from_secs(3600);
const ENDPOINT: EndpointId = EndpointId::from_bytes([9; 16]);

fn at(n: u64) -> Time {
    Time::from_ms(1_790_000_000_000 + n * 1000)
}

/// An event a second, with a delivery that is lent.
pub(super) fn admission(n: u64) -> Admission {
    let id = EventId::new(at(n), n.into());
    let request = Request {
        method: "POST".to_owned(),
        path: String::new(),
        query: None,
        headers: Headers::default(),
        body: vec![b'a'; 2000].into(),
        peer: None,
    };
    let event = Event {
        id,
        tenant: TenantId::DEFAULT,
        at: at(n),
        origin: Origin::Api,
        event_type: None,
        dedupe_key: Some(id.to_string().into()),
        channels: Vec::new(),
        request,
    };
    let delivery = NewDelivery {
        id: DeliveryId::new(at(n), n.into()),
        endpoint: ENDPOINT,
        order_key: None,
        state: State::Waiting { due: at(n) },
        replay: None,
        lend: true,
    };
    let (fate, deliveries) = (Fate::Accepted, vec![delivery]);
    Admission { event: Arc::new(event), fate, dedupe_window: HOUR, deliveries, once: false }
}

fn delivered(lent: Lent) -> Settlement {
    let Lent { mut delivery, locator, lease, .. } = lent;
    delivery.state = State::Delivered { at: delivery.event.at() };
    Settlement { lease, locator, delivery, attempt: None, next: false }
}

/// Takes these events in, and delivers all but those that are to wait.
pub(super) async fn fill(home: &Embedded, numbers: Range<u64>, waiting: &[u64]) {
    for n in numbers {
        assert_eq!(home.accept(admission(n)).await, Ok(Admitted::New));
        let lent = home.lent().await.remove(0);
        if !waiting.contains(&n) {
            assert_eq!(home.settle(delivered(lent)).await, Ok(Settled::Kept));
        }
    }
}

/// The numbers of all events, the newest first, and how many of their deliveries are done.
pub(super) async fn listed(home: &Embedded) -> Vec<(EventId, u64)> {
    let query = EventQuery { limit: 1000, ..EventQuery::of(TenantId::DEFAULT) };
    let page = home.events(query).await.unwrap();
    page.items.into_iter().map(|row| (row.id, row.tally.delivered)).collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("journal")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "seg"));
    paths.sort();
    paths
}

/// Whole segments go, the oldest first, with their keys; what waits keeps its segment and all behind it.
#[tokio::test]
async fn retention_removes_segments() {
    let mut homes = on_disk();
    let home = homes.open().await;
    fill(&home, 0..100, &[60]).await;
    let before = segments(homes.dir.path());
    let by_age = Retention { age: Some(Duration::from_secs(70)), bytes: None };
    let pruned = home.prune(at(100), by_age).await.unwrap();
    assert!((20..=30).contains(&pruned.events), "{pruned:?}");
    assert_eq!(listed(&home).await.len() as u64, 100 - pruned.events);
    let after = segments(homes.dir.path());
    assert!(after.len() < before.len() && before.ends_with(&after));
    // What is forgotten is forgotten as a duplicate, too; what is kept is not.
    let again = |n| {
        let mut again = admission(n);
        again.deliveries.clear();
        again
    };
    assert_eq!(home.accept(again(0)).await, Ok(Admitted::New));
    assert!(matches!(home.accept(again(99)).await, Ok(Admitted::Repeat(_))));

    // However small it may be, and however often one asks: number 60 waits.
    for _ in 0..5 {
        home.prune(at(100), Retention { age: None, bytes: Some(0) }).await.unwrap();
    }
    let left = listed(&home).await;
    assert!(left.contains(&(EventId::new(at(60), 60), 0)) && left.len() < 50, "{left:?}");
    home.close().await.unwrap();
    drop(home);
    let home = homes.open().await;
    assert_eq!((home.damage(), listed(&home).await), (&[][..], left));
}

/// The index is a view: without it, it is made again from the journal.
#[tokio::test]
async fn a_lost_index_is_built_again() {
    let mut homes = on_disk();
    let home = homes.open().await;
    fill(&home, 0..40, &[7, 8]).await;
    let (before, stats) = (listed(&home).await, home.stats().await.unwrap());
    home.close().await.unwrap();
    drop(home);
    fs::remove_dir_all(homes.dir.path().join("index")).unwrap();
    let home = homes.open().await;
    assert_eq!(listed(&home).await, before);
    assert_eq!(home.stats().await.unwrap().waiting, stats.waiting);
}

/// A damaged index is found out without the store being open; whether it is removed or left, the next starts serve what
/// the journal holds.
#[tokio::test]
async fn a_damaged_index_is_found_and_built_again() {
    let mut homes = on_disk();
    let home = homes.open().await;
    fill(&home, 0..200, &[7]).await;
    let before = listed(&home).await;
    home.close().await.unwrap();
    drop(home);
    assert_eq!(inspect(homes.dir.path()).unwrap().index, []);
    let index = homes.dir.path().join("index");
    let files = fs::read_dir(&index).unwrap().map(|entry| entry.unwrap().path());
    let file = files.into_iter().find(|path| path.extension().is_some_and(|e| e == "db")).unwrap();
    let mut bytes = fs::read(&file).unwrap();
    // Every page but the first, which says what the file is.
    bytes.iter_mut().skip(4096).step_by(7).for_each(|byte| *byte ^= 0x15);
    fs::write(&file, &bytes).unwrap();

    let found = inspect(homes.dir.path()).unwrap();
    assert_eq!(found.index.iter().map(|damage| &damage.file).collect::<Vec<_>>(), [&file]);
    assert_eq!(fs::read(&file).unwrap(), bytes, "looking changes nothing");

    let home = homes.open().await;
    let query = EventQuery { limit: 1000, ..EventQuery::of(TenantId::DEFAULT) };
    let seen = home.events(query).await;
    assert!(seen.is_err() || listed(&home).await == before, "{seen:?}");
    drop(home);
    let home = homes.open().await;
    assert_eq!(listed(&home).await, before);
}

/// When the disk has lost the journal's end, an index that still knows of it is not believed: what comes to stand at the
/// same place is delivered.
#[tokio::test]
async fn an_index_ahead_of_the_journal_is_built_again() {
    let mut homes = on_disk();
    let home = homes.open().await;
    fill(&home, 0..10, &[]).await;
    let kept = listed(&home).await;
    let last = segments(homes.dir.path()).pop().unwrap();
    let before = fs::read(&last).unwrap();
    fill(&home, 10..13, &[10, 11, 12]).await;
    listed(&home).await;
    home.close().await.unwrap();
    drop(home);
    let cut = segments(homes.dir.path()).pop().unwrap();
    assert_eq!(cut, last, "the last events are in the same segment");
    fs::write(last, before).unwrap();

    let home = homes.open().await;
    assert_eq!(listed(&home).await, kept);
    fill(&home, 10..13, &[]).await;
    assert_eq!(listed(&home).await.len(), 13);
}

/// Everything under a folder, with its permissions.
fn modes(dir: &Path, found: &mut Vec<(PathBuf, u32)>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let about = entry.metadata().unwrap();
        found.push((entry.path(), about.permissions().mode() & 0o777));
        if about.is_dir() {
            modes(&entry.path(), found);
        }
    }
}

#[tokio::test]
async fn nobody_but_its_owner_may_read_anything() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("data");
    let options = Options { segment_bytes: 16 << 10, ..Options::at(Time::EPOCH) };
    let home = Embedded::open(&dir, Options { reserve_bytes: 0, ..options }).unwrap();
    for n in 0..40 {
        home.accept(admission(n)).await.unwrap();
    }
    assert_eq!(home.stats().await.unwrap().events, 40, "the index has them");
    let mut found = vec![(dir.clone(), fs::metadata(&dir).unwrap().permissions().mode() & 0o777)];
    modes(&dir, &mut found);
    home.close().await.unwrap();
    modes(&dir, &mut found);
    let has = |end: &str| found.iter().any(|(path, _)| path.to_string_lossy().ends_with(end));
    assert!([".db", "-wal", ".keys", "checkpoint", "lock"].into_iter().all(has), "{found:?}");
    for (path, mode) in found {
        let wanted = if path.extension().is_none() && mode & 0o100 != 0 { 0o700 } else { 0o600 };
        assert_eq!(mode, wanted, "{}", path.display());
    }
}
