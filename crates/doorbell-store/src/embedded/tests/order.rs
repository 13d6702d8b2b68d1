//! The order of the journal, and leases.

use super::*;
use crate::store::{Lease, Locator, Settled, Settlement};
use doorbell_core::attempt::{Attempt, ErrorClass, Fault, Outcome, Timings, Trigger};
use doorbell_core::delivery::Delivery;
use doorbell_core::id::AttemptId;
use tokio::task::JoinSet;

pub(super) fn delivered(n: u64, lease: Lease, locator: u64) -> Settlement {
    settlement(n, lease, locator, State::Delivered { at: Time::from_ms(START + n) })
}

fn settlement(n: u64, lease: Lease, locator: u64, state: State) -> Settlement {
    let new = delivery(n);
    Settlement {
        lease,
        locator: Locator(locator),
        delivery: Delivery {
            id: new.id,
            tenant: TenantId::DEFAULT,
            event: event(n).id,
            endpoint: new.endpoint,
            order_key: None,
            replay: None,
            attempts: 1,
            by_hand: 0,
            state,
            asked: false,
        },
        attempt: Some(Attempt {
            id: AttemptId::new(Time::from_ms(START), n.into()),
            number: 1,
            at: Time::from_ms(START),
            trigger: Trigger::Initial,
            address: None,
            timings: Timings::default(),
            outcome: Outcome::Failed(Fault { class: ErrorClass::Gone, detail: String::new() }),
        }),
        next: false,
    }
}

/// Many tasks accept at once: what is lent comes in the order in which it stands in the journal.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_lent_comes_in_the_order_of_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, fed) = open(dir.path());
    let engine = Arc::new(engine);
    let mut tasks = JoinSet::new();
    for task in 0..8 {
        let engine = Arc::clone(&engine);
        tasks.spawn(async move { fill(&engine, task * 50..task * 50 + 50).await });
    }
    let mut lent = Vec::new();
    while lent.len() < 400 {
        lent.extend(engine.shared.outbox.take().await);
    }
    tasks.join_all().await;
    engine.catch_up().await.unwrap();
    let journal: Vec<u64> = fed.0.lock().unwrap().iter().map(|(position, _)| *position).collect();
    let locators: Vec<u64> = lent.iter().map(|lent| lent.locator.0).collect();
    assert_eq!(locators, journal);
    for lent in lent {
        let (event, fate) = engine.event_at(lent.locator.0).unwrap();
        assert_eq!((Some(&event), fate), (lent.payload.as_deref(), Fate::Accepted));
        assert_eq!(lent.delivery.event, event.id);
    }
}

#[tokio::test]
async fn a_lease_settles_once_and_the_attempts_form_a_chain() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, fed) = open(dir.path());
    fill(&engine, 0..1).await;
    let lent = engine.shared.outbox.take().await.remove(0);
    let retry = State::Waiting { due: Time::from_ms(START + 1000) };
    let locator = lent.locator.0;
    let settle = |lease, state| engine.settle(settlement(0, lease, locator, state));
    assert_eq!(settle(Lease(lent.lease.0 + 1), retry).await, Ok(Settled::LeaseLost));
    assert_eq!(settle(lent.lease, retry).await, Ok(Settled::Kept));
    assert_eq!(settle(lent.lease, retry).await, Ok(Settled::LeaseLost));
    engine.catch_up().await.unwrap();
    let first = fed.0.lock().unwrap().last().unwrap().0;
    let lease = engine.shared.leases.lock().lend(&lent.delivery, Some(first)).unwrap();
    assert!(lease > lent.lease);
    assert_eq!(settle(lease, retry).await, Ok(Settled::Kept));
    engine.catch_up().await.unwrap();
    let last = fed.0.lock().unwrap().last().unwrap().0;
    let Record::Settled(record) = engine.record(last).unwrap() else { panic!("it was settled") };
    assert_eq!((record.previous, record.event_at), (Some(first), locator));
}

/// Until the index has applied a settlement, it still says that the delivery waits: nobody may have it.
#[tokio::test]
async fn a_settled_delivery_is_not_free_before_the_index_knows() {
    let dir = tempfile::tempdir().unwrap();
    let lag = Duration::from_secs(3600);
    let (engine, _) = open_with(dir.path(), Options { index_lag: lag, ..options() });
    engine.catch_up().await.unwrap();
    fill(&engine, 0..1).await;
    let lent = engine.shared.outbox.take().await.remove(0);
    engine.settle(delivered(0, lent.lease, lent.locator.0)).await.unwrap();
    assert_eq!(engine.shared.leases.lock().lend(&lent.delivery, None), None);
    engine.catch_up().await.unwrap();
    assert!(engine.shared.leases.lock().lend(&lent.delivery, None).is_some());
}

/// Nobody waits for a rejected request, but whoever reads afterwards sees it.
#[tokio::test]
async fn a_rejected_request_is_seen_by_the_next_reader() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, fed) = open(dir.path());
    for n in 0..10 {
        engine.accept(rejected(n)).await.unwrap();
    }
    engine.catch_up().await.unwrap();
    assert_eq!(fed.0.lock().unwrap().len(), 10);
    // Its key does not count.
    assert_eq!(engine.accept(admission(0)).await, Ok(crate::store::Admitted::New));
}

#[tokio::test]
async fn after_the_end_everything_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    fill(&engine, 0..2).await;
    engine.close();
    assert!(matches!(engine.accept(admission(2)).await, Err(StoreError::Broken(_))));
    assert!(matches!(engine.catch_up().await, Err(StoreError::Broken(_))));
}
