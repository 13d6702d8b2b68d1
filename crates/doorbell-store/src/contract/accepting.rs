//! What holds for events as they are taken in.

use super::Homes;
use super::making::{
    HOUR, Maker, accept, admission, claim_one, endpoint, rejected, source, tenant,
};
use crate::store::{Admission, Admitted, EventQuery, Store};
use bytes::Bytes;
use doorbell_core::event::{Event, Fate, Origin};
use doorbell_core::limits;
use std::sync::Arc;
use std::time::Duration;

/// What came in is what is kept, byte for byte, and what is delivered.
pub async fn an_event_is_kept_byte_for_byte(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let mut event = maker.event();
    event.dedupe_key = Some(Bytes::from_static(b"\x00key"));
    let delivery = maker.delivery(endpoint(1));
    home.accept(admission(&event, vec![delivery])).await.unwrap();
    let kept = home.event(event.tenant, event.id).await.unwrap().unwrap();
    assert_eq!(kept.event, event);
    assert_eq!(kept.fate, Fate::Accepted);
    let lent = claim_one(&home, endpoint(1)).await;
    assert_eq!(*home.event_at(lent.locator).await.unwrap(), event);
}

/// An event with nothing but an empty body is kept like any other, and so is one over a few megabytes.
pub async fn empty_and_large_events_are_kept(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    for body in [Bytes::new(), Bytes::from(vec![0xa5; 3 << 20])] {
        let mut event = maker.event();
        event.request.body = body;
        event.request.query = None;
        event.request.path.clear();
        event.request.peer = None;
        event.channels.clear();
        event.event_type = None;
        event.origin = Origin::Api;
        home.accept(admission(&event, Vec::new())).await.unwrap();
        let kept = home.event(event.tenant, event.id).await.unwrap().unwrap();
        assert_eq!(kept.event, event);
        let page = home.events(EventQuery { limit: 1, ..EventQuery::of(event.tenant) }).await;
        let row = page.unwrap().items.remove(0);
        assert_eq!(row.body_len, event.request.body.len() as u64);
        assert_eq!((row.source, row.event_type), (None, None));
    }
}

/// Every request is listed with what became of it.
pub async fn every_fate_is_listed(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let of = accept(&home, &mut maker, Vec::new()).await.id;
    let fates = [Fate::Filtered, rejected(), Fate::Duplicate { of }];
    for fate in fates.clone() {
        let admission = Admission { fate, ..admission(&maker.event(), Vec::new()) };
        assert_eq!(home.accept(admission).await, Ok(Admitted::New));
    }
    let page = home.events(EventQuery::of(tenant(0))).await.unwrap();
    let listed: Vec<Fate> = page.items.into_iter().rev().map(|row| row.fate).collect();
    assert_eq!(listed.first(), Some(&Fate::NoEndpoint));
    assert_eq!(listed.get(1..), Some(&fates[..]));
}

fn with_key(event: Event, window: Duration) -> Admission {
    let event = Event { dedupe_key: Some(Bytes::from_static(b"k")), ..event };
    Admission { dedupe_window: window, ..admission(&event, Vec::new()) }
}

/// A repeat is answered with the first event, and kept as a request that was delivered to no one.
pub async fn a_repeat_is_kept_but_not_delivered(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let first = with_key(maker.event(), HOUR);
    assert_eq!(home.accept(first.clone()).await, Ok(Admitted::New));
    let mut second = with_key(maker.event(), HOUR);
    second.deliveries = vec![maker.delivery(endpoint(1))];
    let of = first.event.id;
    assert_eq!(home.accept(second.clone()).await, Ok(Admitted::Repeat(of)));
    let kept = home.event(second.event.tenant, second.event.id).await.unwrap().unwrap();
    assert_eq!(kept.fate, Fate::Duplicate { of });
    assert_eq!(home.backlog().await, Ok(Vec::new()));
}

/// Who publishes uses a key for one event: another event with the same key is kept as rejected, whether the first came
/// just now or long ago. What a source receives again is a repeat, however it is worded.
pub async fn a_reused_key_is_told_from_a_repeat(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let first = Event { origin: Origin::Api, ..maker.event() };
    assert_eq!(home.accept(with_key(first.clone(), HOUR)).await, Ok(Admitted::New));
    let again = Event { origin: Origin::Api, ..maker.event() };
    assert_eq!(home.accept(with_key(again, HOUR)).await, Ok(Admitted::Repeat(first.id)));
    let others: [fn(&mut Event); 3] = [
        |event| event.request.body = Bytes::from_static(b"another"),
        |event| event.event_type = None,
        |event| event.channels.clear(),
    ];
    for change in others {
        let mut other = Event { origin: Origin::Api, ..maker.event() };
        change(&mut other);
        let admitted = home.accept(with_key(other.clone(), HOUR)).await;
        assert_eq!(admitted, Ok(Admitted::KeyReused(first.id)));
        let kept = home.event(other.tenant, other.id).await.unwrap().unwrap();
        assert_eq!((kept.fate, kept.event.request), (Fate::key_reused(first.id), other.request));
    }
    let received = maker.event();
    assert_eq!(home.accept(with_key(received.clone(), HOUR)).await, Ok(Admitted::New));
    let mut reworded = maker.event();
    reworded.request.body = Bytes::from_static(b"{\"retry\":1}");
    assert_eq!(home.accept(with_key(reworded, HOUR)).await, Ok(Admitted::Repeat(received.id)));
}

/// A key counts within one source or one tenant's API, until its window ends; rejected requests use none up.
pub async fn a_key_counts_in_its_scope_and_window(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let refused = Admission { fate: rejected(), ..with_key(maker.event(), HOUR) };
    assert_eq!(home.accept(refused).await, Ok(Admitted::New));
    let first = maker.event();
    assert_eq!(home.accept(with_key(first.clone(), HOUR)).await, Ok(Admitted::New));
    let origins = [(0, Origin::Source(source(2))), (0, Origin::Api), (1, Origin::Api)];
    for (of, origin) in origins {
        let event = Event { tenant: tenant(of), origin, ..maker.event() };
        assert_eq!(home.accept(with_key(event, HOUR)).await, Ok(Admitted::New), "{origin:?}");
    }
    let off = with_key(maker.event(), Duration::ZERO);
    assert_eq!(home.accept(off).await, Ok(Admitted::New));
    let last = Event { at: first.at.after(HOUR - Duration::from_millis(1)), ..maker.event() };
    assert_eq!(home.accept(with_key(last, HOUR)).await, Ok(Admitted::Repeat(first.id)));
    let after = Event { at: first.at.after(HOUR), ..maker.event() };
    let after_id = after.id;
    assert_eq!(home.accept(with_key(after.clone(), HOUR)).await, Ok(Admitted::New));
    let again = Event { at: after.at, ..maker.event() };
    assert_eq!(home.accept(with_key(again, HOUR)).await, Ok(Admitted::Repeat(after_id)));
}

/// Of repeats that come at once, one is new and all others repeat that one.
pub async fn of_concurrent_repeats_one_is_new(mut homes: impl Homes) {
    let (home, mut maker) = (Arc::new(homes.open().await), Maker::new());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (home, admission) = (Arc::clone(&home), with_key(maker.event(), HOUR));
        let id = admission.event.id;
        tasks.spawn(async move { (id, home.accept(admission).await.unwrap()) });
    }
    let all = tasks.join_all().await;
    let new: Vec<_> = all.iter().filter(|(_, admitted)| *admitted == Admitted::New).collect();
    let [(first, _)] = new[..] else { panic!("one is new, not {}", new.len()) };
    let repeats = all.iter().filter(|(_, a)| *a == Admitted::Repeat(*first)).count();
    assert_eq!(repeats, 15);
}

/// An event that a queue gives again changes nothing, whether it has a key or not, and whatever became of its deliveries.
pub async fn what_comes_again_is_taken_in_once(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let keyed = Admission { once: true, ..with_key(maker.event(), HOUR) };
    let event = maker.event();
    let bare = Admission { once: true, ..admission(&event, vec![maker.delivery(endpoint(1))]) };
    let repeat = Admission { once: true, ..with_key(maker.event(), HOUR) };
    assert_eq!(home.accept(keyed.clone()).await, Ok(Admitted::New));
    assert_eq!(home.accept(bare.clone()).await, Ok(Admitted::New));
    assert_eq!(home.accept(repeat.clone()).await, Ok(Admitted::Repeat(keyed.event.id)));
    let lent = claim_one(&home, endpoint(1)).await;
    let again = Admission { deliveries: vec![maker.delivery(endpoint(1))], ..bare };
    for one in [&again, &keyed, &repeat, &again] {
        assert_eq!(home.accept(one.clone()).await, Ok(Admitted::Again));
    }
    let settled = maker.settlement(&lent, maker.delivered(), 200);
    home.settle(settled).await.unwrap();
    assert_eq!(home.accept(again).await, Ok(Admitted::Again));
    assert_eq!(home.backlog().await, Ok(Vec::new()));
    let page = home.events(EventQuery::of(tenant(0))).await.unwrap();
    assert_eq!(page.items.len(), 3);
    let row = home.event(tenant(0), event.id).await.unwrap().unwrap();
    assert_eq!((row.tally.delivered, row.tally.waiting), (1, 0));
}

/// Of those who bring the same event at once, one has it taken in; others that come with it are not held up by that, and
/// all keep the order in which they were handed in.
pub async fn what_comes_at_once_is_taken_in_once(mut homes: impl Homes) {
    let (home, mut maker) = (Arc::new(homes.open().await), Maker::new());
    let mut events: Vec<Event> = (0..20).map(|_| maker.event()).collect();
    // They are of one time, so only the order in which they come tells them apart.
    let at = events[0].at;
    events.iter_mut().for_each(|event| event.at = at);
    let mut taking = Vec::new();
    for event in events.iter().chain(&events).chain(&events) {
        let deliveries = vec![maker.keyed(endpoint(1), 7)];
        taking.push((event.id, Admission { once: true, ..admission(event, deliveries) }));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for half in [taking.clone(), taking] {
        let home = Arc::clone(&home);
        tasks.spawn(async move {
            let all = half.into_iter().map(|(_, admission)| home.accept(admission));
            futures_util::future::join_all(all).await
        });
    }
    let all: Vec<Admitted> =
        tasks.join_all().await.concat().into_iter().map(Result::unwrap).collect();
    let count = |wanted| all.iter().filter(|admitted| **admitted == wanted).count();
    assert_eq!((count(Admitted::New), count(Admitted::Again)), (20, 100));
    let page = home.events(EventQuery::of(tenant(0))).await.unwrap();
    let kept: Vec<_> = page.items.iter().rev().map(|row| (row.id, row.tally.waiting)).collect();
    assert_eq!(kept, events.iter().map(|event| (event.id, 1)).collect::<Vec<_>>());
}

/// Nobody sees what is another tenant's.
pub async fn tenants_are_apart(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let event = Event { tenant: tenant(1), ..maker.event() };
    let delivery = maker.delivery(endpoint(1));
    home.accept(admission(&event, vec![delivery.clone()])).await.unwrap();
    assert!(home.events(EventQuery::of(tenant(0))).await.unwrap().items.is_empty());
    assert_eq!(home.event(tenant(0), event.id).await, Ok(None));
    assert_eq!(home.delivery(tenant(0), delivery.id).await, Ok(None));
    assert_eq!(home.attempts(tenant(0), delivery.id).await, Ok(Vec::new()));
    let row = home.delivery(tenant(1), delivery.id).await.unwrap().unwrap();
    assert_eq!((row.delivery.tenant, row.delivery.event), (tenant(1), event.id));
}

/// A fan-out of the largest size allowed is one event with all its deliveries.
pub async fn a_large_fanout_is_whole(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let most = limits::FANOUT as u64;
    let deliveries = (0..most).map(|n| maker.delivery(endpoint(n))).collect();
    let event = accept(&home, &mut maker, deliveries).await;
    let kept = home.event(event.tenant, event.id).await.unwrap().unwrap();
    assert_eq!(kept.tally.waiting, most);
    assert_eq!(home.backlog().await.unwrap().len() as u64, most);
}
