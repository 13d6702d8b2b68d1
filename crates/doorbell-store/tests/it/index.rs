//! The index keeps the contract, however large its partitions are and whenever it is opened anew.

use super::indexed::Indexed;
use super::script::{BEGIN, Script, endpoint, feed, shown};
use doorbell_core::id::TenantId;
use doorbell_core::name::EventTypePattern;
use doorbell_core::time::Time;
use doorbell_store::contract::agreement;
use doorbell_store::embedded::index::{Index, Sizes, Taken};
use doorbell_store::{Claim, DeliveryQuery, EventQuery, StateWord, contract};
use doorbell_wire::stored::RecordHead;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SMALL: Sizes = Sizes { events: 15, deliveries: 30 };

macro_rules! promises {
    ($($module:ident::$promise:ident)*) => {$(
        #[tokio::test]
        async fn $promise() {
            contract::$module::$promise(Indexed::with(3)).await;
        }
    )*};
}

promises! {
    accepting::every_fate_is_listed
    accepting::a_repeat_is_kept_but_not_delivered
    accepting::tenants_are_apart
    accepting::a_large_fanout_is_whole
    accepting::empty_and_large_events_are_kept
    lending::settled_deliveries_are_not_lent
    lending::what_is_due_is_lent_oldest_first
    lending::nothing_is_lent_twice
    lending::keys_go_one_after_the_other
    lending::a_dead_delivery_may_hold_its_key
    lending::each_key_has_its_turn
    lending::without_a_key_nothing_is_held_back
    lending::the_backlog_is_what_waits_and_is_not_lent
    settling::a_settled_delivery_says_so
    settling::attempts_are_kept
    settling::a_delivery_can_be_given_back
    settling::a_retry_makes_a_delivery_wait
    settling::a_cancelled_delivery_is_never_tried
    settling::a_replay_gives_an_event_new_deliveries
    listing::pages_neither_skip_nor_double
    listing::filters_combine
    listing::a_foreign_cursor_is_refused
    listing::stats_count_what_is_kept
    keeping::retention_spares_what_waits
}

#[test]
fn tiny_partitions_agree_with_the_model() {
    agreement::agrees_with_the_model(16, || Indexed::with(3));
}

#[test]
fn one_partition_agrees_with_the_model() {
    agreement::agrees_with_the_model(8, || Indexed::with(1_000_000));
}

/// A journal of all kinds of records.
fn script(records: usize) -> Script {
    let mut script = Script::new();
    script.play(records);
    script
}

/// The index in a new folder below this one, fed with the whole journal.
fn built(dir: &Path, name: &str, sizes: Sizes, script: &Script, batch: usize) -> Index {
    let index = Index::open(&dir.join(name), sizes).unwrap();
    feed(&index, &script.journal, 0, batch);
    index
}

#[test]
fn an_index_shows_the_same_however_it_was_fed() {
    let dir = tempfile::tempdir().unwrap();
    let script = script(250);
    let expected = shown(&built(dir.path(), "whole", Sizes::default(), &script, 10_000));
    for (name, batch) in [("single", 1), ("seven", 7), ("fifty", 50)] {
        assert_eq!(shown(&built(dir.path(), name, SMALL, &script, batch)), expected, "{name}");
    }
}

#[test]
fn what_was_applied_is_not_applied_again() {
    let dir = tempfile::tempdir().unwrap();
    let script = script(300);
    let index = built(dir.path(), "index", SMALL, &script, 50);
    let expected = shown(&index);
    feed(&index, &script.journal, 0, 40);
    assert_eq!(shown(&index), expected);
    feed(&index, &script.journal, script.end() / 2, 1);
    assert_eq!(shown(&index), expected);
}

/// Copies the files as a power cut leaves them: of each write-ahead log, what came after the last checkpoint is cut off
/// somewhere.
fn power_cut(from: &Path, to: &Path, synced: &[(String, u64)], script: &mut Script) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        if name.ends_with("-shm") || name == "checkpoint.new" {
            continue;
        }
        let mut bytes = fs::read(file.path()).unwrap();
        if name.ends_with("-wal") {
            let safe = synced.iter().find(|(of, _)| *of == name).map_or(0, |(_, len)| *len);
            let open = (bytes.len() as u64).saturating_sub(safe);
            let kept = safe.min(bytes.len() as u64) + script.dice(open + 1);
            bytes.truncate(usize::try_from(kept).unwrap());
        }
        fs::write(to.join(name), bytes).unwrap();
    }
}

fn log_sizes(dir: &Path) -> Vec<(String, u64)> {
    let files = fs::read_dir(dir).unwrap().map(Result::unwrap);
    let sizes = files.map(|f| (f.file_name().into_string().unwrap(), f.metadata().unwrap().len()));
    sizes.filter(|(name, _)| name.ends_with("-wal")).collect()
}

#[test]
fn after_a_power_cut_the_journal_brings_back_what_was_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut script = script(400);
    let journal = script.journal.clone();
    let live = dir.path().join("live");
    let index = Index::open(&live, Sizes { events: 60, deliveries: 100 }).unwrap();
    let mut synced = log_sizes(&live);
    for (n, entries) in journal.chunks(25).enumerate() {
        index.apply(entries, entries.last().unwrap().0 + 1).unwrap();
        if n % 4 == 2 {
            assert_eq!(index.checkpoint().unwrap(), index.applied_to());
            synced = log_sizes(&live);
        }
        let cut = dir.path().join(format!("cut-{n}"));
        power_cut(&live, &cut, &synced, &mut script);
        let again = Index::open(&cut, Sizes { events: 60, deliveries: 100 }).unwrap();
        let upto = journal.partition_point(|(position, _)| *position < index.applied_to());
        assert!(n < 2 || again.replay_from() > 0, "the checkpoint was lost");
        feed(&again, &journal[..upto], again.replay_from(), 13);
        assert_eq!(shown(&again), shown(&index), "cut after batch {n}");
    }
}

#[test]
fn a_damaged_index_begins_anew() {
    let script = script(100);
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 4] = [
        ("no checkpoint", |dir| fs::remove_file(dir.join("checkpoint")).unwrap()),
        ("torn checkpoint", |dir| fs::write(dir.join("checkpoint"), "doorbell in").unwrap()),
        ("partition gone", |dir| fs::remove_file(first_partition(dir)).unwrap()),
        ("partition overwritten", |dir| fs::write(first_partition(dir), [7; 9000]).unwrap()),
    ];
    for (name, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        let index = built(dir.path(), "index", SMALL, &script, 50);
        let expected = shown(&index);
        index.checkpoint().unwrap();
        assert_eq!(index.replay_from(), index.applied_to());
        drop(index);
        damage(&dir.path().join("index"));
        let index = Index::open(&dir.path().join("index"), SMALL).unwrap();
        assert_eq!(index.replay_from(), 0, "{name}");
        assert_eq!(index.counts().unwrap().events, 0, "{name}");
        feed(&index, &script.journal, 0, 50);
        assert_eq!(shown(&index), expected, "{name}");
    }
}

fn first_partition(dir: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "db"));
    files.sort();
    files.remove(0)
}

#[test]
fn an_index_of_a_newer_version_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    let script = script(20);
    let index = built(dir.path(), "index", SMALL, &script, 50);
    index.checkpoint().unwrap();
    drop(index);
    let file = first_partition(&dir.path().join("index"));
    let db = rusqlite::Connection::open(file).unwrap();
    db.pragma_update(None, "user_version", 1_000).unwrap();
    drop(db);
    let index = Index::open(&dir.path().join("index"), SMALL).unwrap();
    assert_eq!(index.replay_from(), 0);
}

#[test]
fn what_is_forgotten_is_gone_and_stays_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut script = Script::new();
    for _ in 0..40 {
        script.receive("a.one", &[endpoint(1)]);
    }
    let all = script.journal.clone();
    let index = Index::open(dir.path(), Sizes { events: 15, deliveries: 100 }).unwrap();
    feed(&index, &all, 0, 40);
    let first_kept = all[21].0;
    assert_eq!(index.forget(first_kept).unwrap(), 21);
    assert_eq!(index.forget(first_kept).unwrap(), 0);
    let counts = index.counts().unwrap();
    assert_eq!((counts.events, counts.waiting), (19, 19));
    assert_eq!(counts.oldest, Some(BEGIN.after(Duration::from_millis(21))));
    let everything = EventQuery { limit: 1_000, ..EventQuery::of(TenantId::DEFAULT) };
    let deliveries = DeliveryQuery { limit: 1_000, ..DeliveryQuery::of(TenantId::DEFAULT) };
    let shown_events = index.events(&everything).unwrap().items;
    assert_eq!(shown_events.len(), 19);
    let listed = index.deliveries(&deliveries).unwrap().items;
    assert_eq!(listed.len(), 19);
    let gone = |n: usize| match &all[n].1 {
        RecordHead::Received(head) => (head.id, head.deliveries[0].id),
        RecordHead::Settled(_) | RecordHead::Redelivered(_) => panic!("all were received"),
    };
    for n in [0, 14, 15, 20] {
        assert_eq!(index.event(gone(n).0).unwrap(), None);
        assert_eq!(index.delivery(gone(n).1).unwrap(), None);
    }
    assert!(index.event(gone(21).0).unwrap().is_some());
    drop(index);
    let again = Index::open(dir.path(), Sizes { events: 15, deliveries: 100 }).unwrap();
    assert_eq!(again.events(&everything).unwrap().items, shown_events);
    assert_eq!(again.forget(u64::MAX).unwrap(), 19);
    assert_eq!(again.counts().unwrap().events, 0);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only the checkpoint is left");
}

/// A provider that puts an id into each type, and more lanes than there are numbers for.
#[test]
fn more_kinds_than_numbers_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let mut script = Script::new();
    let to: Vec<_> = (0..4).map(endpoint).collect();
    for n in 0..18_000 {
        script.receive(&format!("order.{n}.paid"), &to);
    }
    let index = built(dir.path(), "index", Sizes::default(), &script, 6_000);
    let typed = |text: &str| EventQuery {
        event_type: EventTypePattern::parse(text).ok(),
        ..EventQuery::of(TenantId::DEFAULT)
    };
    for (pattern, count) in
        [("order.5.paid", 1), ("order.17900.paid", 1), ("*.1799*", 11), ("*.x", 0)]
    {
        assert_eq!(index.events(&typed(pattern)).unwrap().items.len(), count, "{pattern}");
        let to_one = EventQuery { endpoint: Some(endpoint(3)), ..typed(pattern) };
        assert_eq!(index.events(&to_one).unwrap().items.len(), count, "{pattern}");
    }
    let waiting = DeliveryQuery {
        endpoint: Some(endpoint(2)),
        state: Some(StateWord::Waiting),
        limit: 1_000,
        ..DeliveryQuery::of(TenantId::DEFAULT)
    };
    assert_eq!(index.deliveries(&waiting).unwrap().items.len(), 1_000);
    let claim = Claim {
        endpoint: endpoint(2),
        by_key: false,
        due_by: Time::MAX,
        most: 20_000,
        event_bytes: 0,
        lease_until: Time::MAX,
    };
    assert_eq!(
        index.claim(&claim, Taken { delivery: &|_| false, key: &|_| false }).unwrap().waiting.len(),
        18_000
    );
}

/// The levels of what is logged meanwhile.
#[derive(Clone, Default)]
struct Levels(Arc<Mutex<Vec<tracing::Level>>>);

impl tracing::Subscriber for Levels {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        self.0.lock().unwrap().push(*event.metadata().level());
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn an_index_without_a_checkpoint_is_behind_and_not_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let script = script(50);
    let folder = dir.path().join("index");
    let opened = || {
        let levels = Levels::default();
        let open = || Index::open(&folder, SMALL).unwrap();
        let index = tracing::subscriber::with_default(levels.clone(), open);
        assert_eq!(index.replay_from(), 0);
        let levels = levels.0.lock().unwrap().clone();
        (index, levels)
    };
    drop(built(dir.path(), "index", SMALL, &script, 10));
    let (index, levels) = opened();
    assert_eq!(levels, [tracing::Level::INFO]);
    feed(&index, &script.journal, 0, 10);
    let expected = shown(&built(dir.path(), "whole", SMALL, &script, 10));
    assert_eq!(shown(&index), expected);
    drop(index);
    fs::write(folder.join("checkpoint"), "noise").unwrap();
    assert_eq!(opened().1, [tracing::Level::WARN]);
}
