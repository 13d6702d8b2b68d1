//! Claims by key that look at a few keys at a time: together they find all, and come to an end.

use super::event;
use crate::embedded::index::{Entry, Index, Sizes, Taken, keys::Pace};
use crate::store::Claim;
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::event::Fate;
use doorbell_core::id::{DeliveryId, EndpointId, TenantId};
use doorbell_core::time::Time;
use doorbell_wire::stored::{ReceivedHead, RecordHead};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const TO: EndpointId = EndpointId::from_bytes([9; 16]);
const NOW: Time = Time::from_ms(1_790_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);
/// Six keys for each claim.
const SLOW: Pace = Pace { first: 2, largest: 4, looks: 2 };

/// How the delivery of one event begins.
#[derive(Debug, Clone, Copy)]
struct Made {
    key: u64,
    /// Due in so many hours; `None`: it is dead, and holds its key.
    due: Option<u32>,
    lent: bool,
}

fn made() -> impl Strategy<Value = Made> {
    let key = prop_oneof![0..40_u64, Just(u64::MAX), Just(1 << 63), Just((1 << 63) - 1)];
    let due = prop_oneof![8 => (0..4_u32).prop_map(Some), 1 => Just(None)];
    (key, due, prop::bool::weighted(0.2)).prop_map(|(key, due, lent)| Made { key, due, lent })
}

fn id(n: usize) -> DeliveryId {
    DeliveryId::new(NOW, n as u128)
}

fn entry(n: usize, made: Made) -> Entry {
    let event = event(n as u64);
    let state = match made.due {
        Some(hours) => State::Waiting { due: NOW.after(HOUR * hours) },
        None => State::Failed { at: NOW, holds_key: true },
    };
    let delivery = Delivery {
        id: id(n),
        tenant: TenantId::DEFAULT,
        event: event.id,
        endpoint: TO,
        order_key: Some(made.key),
        replay: None,
        attempts: 0,
        by_hand: 0,
        state,
        asked: false,
    };
    let head = ReceivedHead {
        id: event.id,
        tenant: event.tenant,
        at: event.at,
        origin: event.origin,
        event_type: event.event_type,
        dedupe_key: None,
        dedupe_window: Duration::ZERO,
        fate: Fate::Accepted,
        method: event.request.method,
        body_len: 0,
        deliveries: vec![delivery],
    };
    (position(n), RecordHead::Received(head))
}

const fn position(n: usize) -> u64 {
    64 + n as u64 * 100
}

fn feed(index: &Index, from: usize, all: &[Made]) {
    let entries: Vec<Entry> =
        all.iter().enumerate().map(|(n, made)| entry(from + n, *made)).collect();
    index.apply(&entries, position(from + all.len())).unwrap();
}

fn claim(most: usize) -> Claim {
    Claim { endpoint: TO, by_key: true, due_by: NOW, most, event_bytes: 0, lease_until: Time::MAX }
}

/// Claims until the answer is not that there is more, and returns what was found and the last answer.
fn drain(
    index: &Index,
    held: &mut BTreeSet<DeliveryId>,
    most: usize,
) -> (BTreeSet<DeliveryId>, Option<Time>) {
    let mut found = BTreeSet::new();
    for _ in 0..200 {
        let claims = index
            .claim_by_key(
                &claim(most),
                Taken { delivery: &|id| held.contains(&id), key: &|_| false },
                SLOW,
            )
            .unwrap();
        assert!(claims.waiting.len() <= most);
        for waiting in claims.waiting {
            assert!(held.insert(waiting.delivery.id), "lent twice");
            found.insert(waiting.delivery.id);
        }
        if claims.next_due.is_none_or(|due| due > NOW) {
            return (found, claims.next_due);
        }
    }
    panic!("it never comes to an end");
}

/// What a drain has to find, and when it says to come again: looked up the plain way.
fn expected(all: &[Made], held: &BTreeSet<DeliveryId>) -> (BTreeSet<DeliveryId>, Option<Time>) {
    let mut firsts: BTreeMap<u64, (usize, Made)> = BTreeMap::new();
    for (n, made) in all.iter().enumerate() {
        firsts.entry(made.key).or_insert((n, *made));
    }
    let open = firsts.values().filter(|(n, _)| !held.contains(&id(*n)));
    let open: Vec<_> = open.filter_map(|(n, made)| Some((id(*n), made.due?))).collect();
    let now = open.iter().filter(|(_, hours)| *hours == 0).map(|(id, _)| *id).collect();
    let later = open.iter().map(|(_, hours)| *hours).filter(|hours| *hours > 0).min();
    (now, later.map(|hours| NOW.after(HOUR * hours)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn small_steps_find_all_and_end(
        all in prop::collection::vec(made(), 1..120),
        events in 5..200_u64,
        split in 0..120_usize,
        most in 1..9_usize,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let index = Index::open(dir.path(), Sizes { events, deliveries: 1_000_000 }).unwrap();
        let mut held: BTreeSet<_> =
            all.iter().enumerate().filter(|(_, made)| made.lent).map(|(n, _)| id(n)).collect();
        let (before, after) = all.split_at(split.min(all.len()));
        feed(&index, 0, before);
        let want = expected(before, &held);
        prop_assert_eq!(drain(&index, &mut held, most), want);
        feed(&index, before.len(), after);
        let want = expected(&all, &held);
        prop_assert_eq!(drain(&index, &mut held, most), want);
    }
}

#[test]
fn what_changes_behind_a_round_under_way_is_not_missed() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(dir.path(), Sizes::default()).unwrap();
    // Keys sort by their bits, beginning with the highest half; the first claim gets to the sixth.
    let later = |key| Made { key, due: Some(2), lent: false };
    let all: Vec<Made> = (10..20).map(later).collect();
    feed(&index, 0, &all);
    let nothing = index
        .claim_by_key(&claim(4), Taken { delivery: &|_| false, key: &|_| false }, SLOW)
        .unwrap();
    assert_eq!((nothing.waiting.len(), nothing.next_due), (0, Some(NOW)), "not all were looked at");
    feed(&index, all.len(), &[Made { key: 1, due: Some(1), lent: false }]);
    let mut held = BTreeSet::new();
    assert_eq!(drain(&index, &mut held, 4), (BTreeSet::new(), Some(NOW.after(HOUR))));
}
