//! Large bodies in an object store: what lies there comes back whole, and nothing waits for an object store that is away.

use super::postgres::{InSchema, admission, all_of, endpoint, in_schema};
use bytes::Bytes;
use doorbell_core::event::{Event, Fate, Rejection, RejectionReason};
use doorbell_core::id::TenantId;
use doorbell_store::bodies::{Answer, Bodies, BodiesError, LargeBodies};
use doorbell_store::contract::Homes;
use doorbell_store::postgres::{Giver, Postgres};
use doorbell_store::{Admission, Admitted, EventQuery, Store as _, StoreError};
use futures_util::FutureExt as _;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;

/// Bodies of more bytes lie elsewhere.
const OVER: usize = 1_000;

/// An object store in memory, which can be away, and slow.
#[derive(Debug, Default)]
struct Shelf {
    kept: Mutex<BTreeMap<String, Bytes>>,
    is_away: AtomicBool,
    is_slow: AtomicBool,
    /// It takes everything and keeps nothing.
    forgets: AtomicBool,
    go_on: Notify,
}

impl Shelf {
    fn names(&self) -> Vec<String> {
        self.kept.lock().unwrap().keys().cloned().collect()
    }

    fn answer<T>(&self, answer: T) -> Result<T, BodiesError> {
        let is_away = self.is_away.load(Ordering::SeqCst);
        if is_away { Err(BodiesError("it is away".to_owned())) } else { Ok(answer) }
    }
}

impl Bodies for Shelf {
    fn put<'a>(&'a self, name: &'a str, body: Bytes) -> Answer<'a, ()> {
        async move {
            if self.is_slow.load(Ordering::SeqCst) {
                self.go_on.notified().await;
            }
            self.answer(())?;
            if self.forgets.load(Ordering::SeqCst) {
                return Ok(());
            }
            self.kept.lock().unwrap().insert(name.to_owned(), body);
            Ok(())
        }
        .boxed()
    }

    fn get<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Bytes>> {
        async move { self.answer(self.kept.lock().unwrap().get(name).cloned()) }.boxed()
    }
}

/// The store on `PostgreSQL` with such a shelf.
struct WithShelf {
    schema: InSchema,
    shelf: Arc<Shelf>,
}

fn with_shelf() -> WithShelf {
    let (mut schema, shelf) = (in_schema(), Arc::new(Shelf::default()));
    schema.bodies = Some(LargeBodies { at: Arc::<Shelf>::clone(&shelf), over: OVER });
    WithShelf { schema, shelf }
}

/// An event with so large a body.
fn of_size(n: u64, size: usize) -> Admission {
    let mut admission = admission(n, endpoint(1), false);
    Arc::make_mut(&mut admission.event).request.body = Bytes::from(vec![b'x'; size]);
    admission
}

async fn read(home: &Postgres, event: &Event) -> Result<Bytes, StoreError> {
    let found = home.event(TenantId::DEFAULT, event.id).await?;
    Ok(found.unwrap().event.request.body)
}

#[tokio::test]
async fn a_large_body_lies_elsewhere_and_comes_back() {
    let WithShelf { mut schema, shelf } = with_shelf();
    let home = schema.open().await;
    let (small, large) = (of_size(1, OVER), of_size(2, 5 * OVER));
    for admission in [&small, &large] {
        assert_eq!(home.accept(admission.clone()).await, Ok(Admitted::New));
        assert_eq!(read(&home, &admission.event).await.unwrap(), admission.event.request.body);
    }
    assert_eq!(shelf.names().len(), 1);
    let longest = schema.sql("SELECT max(length(record))::text FROM events").await;
    assert!(longest.parse::<usize>().unwrap() < 2 * OVER, "{longest}");

    let mut lent = all_of(endpoint(1));
    lent.event_bytes = 100 * OVER;
    let lent = home.claim(lent).await.unwrap().lent;
    let sizes: Vec<_> = lent.iter().map(|one| (one.body_len, one.payload.is_some())).collect();
    assert_eq!(sizes, [(1_000, true), (5_000, false)], "it is read when its turn comes");
    assert_eq!(home.event_at(lent[1].locator).await.unwrap(), large.event);
    let page = home.events(EventQuery::of(TenantId::DEFAULT)).await.unwrap();
    assert_eq!(page.items[0].body_len, 5_000);
    let given = Giver::open(&schema.options()).await.unwrap().next().await.unwrap();
    assert_eq!(given[1].event, *large.event);
}

#[tokio::test]
async fn what_the_object_store_does_not_take_stays_in_the_database() {
    let WithShelf { mut schema, shelf } = with_shelf();
    let home = schema.open().await;
    shelf.is_away.store(true, Ordering::SeqCst);
    let large = of_size(1, 5 * OVER);
    assert_eq!(home.accept(large.clone()).await, Ok(Admitted::New));
    assert_eq!(read(&home, &large.event).await.unwrap(), large.event.request.body);
    assert!(shelf.names().is_empty());
}

#[tokio::test]
async fn a_body_that_cannot_be_had_is_told_of() {
    let WithShelf { mut schema, shelf } = with_shelf();
    let home = schema.open().await;
    let large = of_size(1, 5 * OVER);
    home.accept(large.clone()).await.unwrap();
    let name = shelf.names().remove(0);
    shelf.is_away.store(true, Ordering::SeqCst);
    let away = read(&home, &large.event).await.unwrap_err();
    assert!(matches!(&away, StoreError::Failed(why) if why.contains("it is away")), "{away}");
    shelf.is_away.store(false, Ordering::SeqCst);
    shelf.kept.lock().unwrap().insert(name.clone(), Bytes::from(vec![b'y'; 5 * OVER]));
    let other = read(&home, &large.event).await.unwrap_err();
    assert!(other.to_string().contains("not what was put there"), "{other}");
    shelf.kept.lock().unwrap().remove(&name);
    let gone = read(&home, &large.event).await.unwrap_err();
    assert!(matches!(&gone, StoreError::Failed(_)), "it may come again: {gone}");
    schema.bodies = None;
    let unset = read(&schema.open().await, &large.event).await.unwrap_err();
    assert!(unset.to_string().contains("store.bodies"), "{unset}");
}

/// What comes from a queue is written down in its order, however long a body takes.
#[tokio::test]
async fn a_slow_body_is_not_passed_by_what_follows_from_a_queue() {
    let WithShelf { mut schema, shelf } = with_shelf();
    let home = schema.open().await;
    shelf.is_slow.store(true, Ordering::SeqCst);
    let (mut first, mut second) = (of_size(1, 5 * OVER), of_size(2, 10));
    (first.once, second.once) = (true, true);
    let both = async {
        tokio::join!(biased; home.accept(first.clone()), home.accept(second.clone()), async {
            shelf.go_on.notify_one();
        })
    };
    let (one, other, ()) = tokio::time::timeout(Duration::from_secs(20), both).await.unwrap();
    assert_eq!((one, other), (Ok(Admitted::New), Ok(Admitted::New)));
    let order = schema.sql("SELECT string_agg(body_len::text, ' ' ORDER BY seq) FROM events").await;
    assert_eq!(order, "5000 10");
}

/// A proxy, or a wrong address: it answers that all is well.
#[tokio::test]
async fn one_that_keeps_nothing_is_found_out() {
    let WithShelf { mut schema, shelf } = with_shelf();
    let home = schema.open().await;
    shelf.forgets.store(true, Ordering::SeqCst);
    for n in [1, 2] {
        let large = of_size(n, 5 * OVER);
        assert_eq!(home.accept(large.clone()).await, Ok(Admitted::New));
        assert_eq!(read(&home, &large.event).await.unwrap(), large.event.request.body);
        // It is left alone for a while, even if it works by now.
        shelf.forgets.store(false, Ordering::SeqCst);
    }
    assert!(shelf.names().is_empty());
}

/// Anybody may send what is refused.
#[tokio::test]
async fn what_is_refused_stays_in_the_database() {
    let WithShelf { mut schema, shelf } = with_shelf();
    let home = schema.open().await;
    let mut refused = of_size(1, 5 * OVER);
    refused.fate =
        Fate::Rejected(Rejection { reason: RejectionReason::Verification, detail: String::new() });
    refused.deliveries.clear();
    home.accept(refused).await.unwrap();
    assert!(shelf.names().is_empty());
}
