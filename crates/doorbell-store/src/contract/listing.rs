//! What holds for lists, searches and counts.

use super::Homes;
use super::making::{
    Maker, accept, admission, claim_one, endpoint, event_type, rejected, source, tenant,
};
use crate::store::{
    Admission, DeliveryQuery, EventQuery, FateWord, Search, StateWord, Stats, Store, StoreError,
};
use bytes::Bytes;
use doorbell_core::event::{Event, Origin};
use doorbell_core::id::{DeliveryId, EventId};
use doorbell_core::name::EventTypePattern;
use std::time::Duration;

/// Walks all pages of events.
pub(super) async fn walk_events(home: &impl Store, mut query: EventQuery) -> Vec<EventId> {
    let mut all = Vec::new();
    loop {
        let page = home.events(query.clone()).await.unwrap();
        assert!(page.items.len() <= query.limit);
        assert!(page.next.is_none() || !page.items.is_empty(), "an empty page is the last");
        all.extend(page.items.iter().map(|row| row.id));
        if page.next.is_none() {
            return all;
        }
        query.cursor = page.next;
    }
}

/// Walks all pages of deliveries.
pub(super) async fn walk_deliveries(
    home: &impl Store,
    mut query: DeliveryQuery,
) -> Vec<DeliveryId> {
    let mut all = Vec::new();
    loop {
        let page = home.deliveries(query.clone()).await.unwrap();
        assert!(page.items.len() <= query.limit);
        assert!(page.next.is_none() || !page.items.is_empty(), "an empty page is the last");
        all.extend(page.items.iter().map(|row| row.delivery.id));
        if page.next.is_none() {
            return all;
        }
        query.cursor = page.next;
    }
}

/// Pages of any size, put together, are the whole list, newest first; what comes in meanwhile shifts nothing.
pub async fn pages_neither_skip_nor_double(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let (mut events, mut deliveries) = (Vec::new(), Vec::new());
    for _ in 0..23 {
        let both = vec![maker.delivery(endpoint(1)), maker.delivery(endpoint(2))];
        deliveries.extend(both.iter().map(|delivery| delivery.id));
        events.push(accept(&home, &mut maker, both).await.id);
    }
    events.reverse();
    deliveries.reverse();
    for limit in [1, 2, 7, 23, 46, 1000] {
        let query = EventQuery { limit, ..EventQuery::of(tenant(0)) };
        assert_eq!(walk_events(&home, query).await, events);
        let query = DeliveryQuery { limit, ..DeliveryQuery::of(tenant(0)) };
        assert_eq!(walk_deliveries(&home, query).await, deliveries);
    }
    let mut query = EventQuery { limit: 10, ..EventQuery::of(tenant(0)) };
    let first = home.events(query.clone()).await.unwrap();
    let newer = vec![maker.delivery(endpoint(1))];
    accept(&home, &mut maker, newer).await;
    query.cursor = first.next;
    assert_eq!(walk_events(&home, query).await, events[10..]);
}

/// Each filter lets through what it says, and together what all say.
pub async fn filters_combine(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let a = accept(&home, &mut maker, Vec::new()).await;
    let delivery = maker.delivery(endpoint(1));
    let b = Event {
        origin: Origin::Source(source(2)),
        event_type: Some(event_type("invoice.void")),
        ..maker.event()
    };
    home.accept(admission(&b, vec![delivery.clone()])).await.unwrap();
    let c = Event { origin: Origin::Api, event_type: None, ..maker.event() };
    home.accept(Admission { fate: rejected(), ..admission(&c, Vec::new()) }).await.unwrap();
    let pattern = |text: &str| Some(EventTypePattern::parse(text).unwrap());
    let all = EventQuery::of(tenant(0));
    let cases = [
        (EventQuery { source: Some(source(2)), ..all.clone() }, vec![b.id]),
        (EventQuery { source: Some(source(3)), ..all.clone() }, vec![]),
        (EventQuery { event_type: pattern("invoice.*"), ..all.clone() }, vec![b.id, a.id]),
        (EventQuery { event_type: pattern("*.paid"), ..all.clone() }, vec![a.id]),
        (EventQuery { fates: vec![FateWord::NoEndpoint], ..all.clone() }, vec![a.id]),
        (
            EventQuery { fates: vec![FateWord::Rejected, FateWord::Accepted], ..all.clone() },
            vec![c.id, b.id],
        ),
        (EventQuery { endpoint: Some(endpoint(1)), ..all.clone() }, vec![b.id]),
        (EventQuery { state: Some(StateWord::Waiting), ..all.clone() }, vec![b.id]),
        (EventQuery { state: Some(StateWord::Failed), ..all.clone() }, vec![]),
        (EventQuery { since: Some(b.at), ..all.clone() }, vec![c.id, b.id]),
        (EventQuery { until: Some(b.at), ..all.clone() }, vec![a.id]),
        (EventQuery { since: Some(b.at), event_type: pattern("*"), ..all.clone() }, vec![b.id]),
    ];
    for (query, expected) in cases {
        assert_eq!(walk_events(&home, query.clone()).await, expected, "{query:?}");
    }
    let all = DeliveryQuery::of(tenant(0));
    for (query, fits) in [
        (DeliveryQuery { event: Some(b.id), ..all.clone() }, true),
        (DeliveryQuery { event: Some(a.id), ..all.clone() }, false),
        (DeliveryQuery { endpoint: Some(endpoint(2)), ..all.clone() }, false),
        (DeliveryQuery { state: Some(StateWord::Waiting), since: Some(b.at), ..all.clone() }, true),
        (DeliveryQuery { until: Some(b.at), ..all.clone() }, false),
    ] {
        let expected = if fits { vec![delivery.id] } else { Vec::new() };
        assert_eq!(walk_deliveries(&home, query.clone()).await, expected, "{query:?}");
    }
}

/// A cursor that no list gave is the caller's fault, said so.
pub async fn a_foreign_cursor_is_refused(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    accept(&home, &mut maker, Vec::new()).await;
    for cursor in ["", "x", "-1", "1e9", "99999999999999999999999999", "\u{e9}", "1.2.3.4"] {
        let cursor = Some(cursor.to_owned());
        let query = EventQuery { cursor: cursor.clone(), ..EventQuery::of(tenant(0)) };
        assert_eq!(home.events(query).await.err(), Some(StoreError::BadCursor), "{cursor:?}");
        let query = DeliveryQuery { cursor: cursor.clone(), ..DeliveryQuery::of(tenant(0)) };
        assert_eq!(home.deliveries(query).await.err(), Some(StoreError::BadCursor), "{cursor:?}");
    }
}

/// A search finds bytes and JSON values, newest first, page after page, and says when all was looked at.
pub async fn a_search_finds_what_is_there(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let mut expected = Vec::new();
    for n in 0..50 {
        let mut event = maker.event();
        event.request.body = format!(r#"{{"order":{{"n":{n},"kind":"k{}"}}}}"#, n % 10).into();
        home.accept(admission(&event, Vec::new())).await.unwrap();
        if n % 10 == 3 {
            expected.insert(0, event.id);
        }
    }
    for (text, pointer) in [
        ("\"k3\"", None),
        ("", Some(("/order/kind".to_owned(), Some("k3".to_owned())))),
        ("k3", Some(("/order/n".to_owned(), None))),
    ] {
        let mut search = Search {
            among: EventQuery { limit: 2, ..EventQuery::of(tenant(0)) },
            text: Bytes::copy_from_slice(text.as_bytes()),
            pointer,
            budget: Duration::from_secs(10),
        };
        let mut found = Vec::new();
        loop {
            let page = home.search(search.clone()).await.unwrap();
            assert!(page.hits.len() <= 2);
            found.extend(page.hits.iter().map(|hit| hit.row.id));
            search.among.cursor = page.next;
            if search.among.cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{search:?}");
    }
}

/// Counts are those of what is kept.
pub async fn stats_count_what_is_kept(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    assert_eq!(home.stats().await.unwrap().oldest, None);
    let first = accept(&home, &mut maker, Vec::new()).await;
    for n in 1..=3 {
        let delivery = maker.delivery(endpoint(n));
        accept(&home, &mut maker, vec![delivery]).await;
    }
    let lent = claim_one(&home, endpoint(1)).await;
    let dead = doorbell_core::delivery::State::Failed { at: maker.now, holds_key: false };
    let settlement = maker.settlement(&lent, dead, 500);
    home.settle(settlement).await.unwrap();
    claim_one(&home, endpoint(2)).await;
    let Stats { events, waiting, failed, oldest, .. } = home.stats().await.unwrap();
    assert_eq!((events, waiting, failed), (4, 2, 1));
    assert_eq!(oldest, Some(first.at));
}
