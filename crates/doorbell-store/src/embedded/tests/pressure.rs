//! What happens when the index cannot keep up, and when the disk has no room.

use super::order::delivered;
use super::*;
use crate::store::{Admitted, Settled};
use std::sync::PoisonError;

/// A view that stands still while its gate is held.
#[derive(Debug)]
struct Gated(Arc<Mutex<()>>);

impl View for Gated {
    fn replay_from(&self) -> u64 {
        0
    }

    fn apply(&mut self, _: &[Entry], _: u64) -> Result<(), StoreError> {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Accepts until one is refused, and returns how many were taken.
async fn until_refused(engine: &Engine, first: u64, why: StoreError) -> u64 {
    for n in first..first + 1000 {
        match engine.accept(admission(n)).await {
            Ok(admitted) => assert_eq!(admitted, Admitted::New),
            Err(refused) => {
                assert_eq!(refused, why);
                return n - first;
            }
        }
    }
    panic!("nothing was refused");
}

#[tokio::test]
#[expect(
    clippy::await_holding_lock,
    reason = "it holds the index up, which no task of this runtime waits for"
)]
async fn new_events_wait_for_an_index_that_is_far_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, _) = open(dir.path());
    fill(&engine, 0..30).await;
    drop(engine);
    let gate = Arc::new(Mutex::new(()));
    let shut = gate.lock().unwrap();
    let options = Options { lag_bytes: 3000, ..options() };
    let engine = open_for(dir.path(), options, Gated(Arc::clone(&gate)));
    let began = engine.durable();
    assert!(began > 3000, "what was there before does not count");
    let taken = until_refused(&engine, 30, StoreError::Busy).await;
    assert!(taken > 3);
    let lag = engine.durable() - began;
    assert!((3001..4000).contains(&lag), "{lag} bytes");
    // What was lent is settled all the same.
    let lent = engine.shared.outbox.take().await.remove(0);
    let settled = engine.settle(delivered(30, lent.lease, lent.locator.0)).await;
    assert_eq!(settled, Ok(Settled::Kept));
    drop(shut);
    engine.catch_up().await.unwrap();
    assert_eq!(engine.accept(admission(30 + taken)).await, Ok(Admitted::New));
}

#[tokio::test]
#[expect(
    clippy::await_holding_lock,
    reason = "it holds the index up, which no task of this runtime waits for"
)]
async fn settled_deliveries_do_not_pile_up() {
    let dir = tempfile::tempdir().unwrap();
    let gate = Arc::new(Mutex::new(()));
    let shut = gate.lock().unwrap();
    let options = Options { lag_settled: 5, ..options() };
    let engine = open_for(dir.path(), options, Gated(Arc::clone(&gate)));
    let mut taken = 0;
    while engine.accept(admission(taken)).await.is_ok() {
        let lent = engine.shared.outbox.take().await.remove(0);
        let settled = engine.settle(delivered(taken, lent.lease, lent.locator.0)).await;
        assert_eq!(settled, Ok(Settled::Kept));
        taken += 1;
    }
    assert_eq!(taken, 6);
    drop(shut);
    engine.catch_up().await.unwrap();
    assert_eq!(engine.shared.leases.lock().settled_count(), 0);
    assert_eq!(engine.accept(admission(taken)).await, Ok(Admitted::New));
}

/// The disk fills up between the answer to a rejected request and its record: that is counted.
#[tokio::test]
async fn a_rejected_request_that_cannot_be_kept_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    // More than any disk has, which is found out by the first look: when the first batch is written.
    let options = Options { reserve_bytes: u64::MAX, ..options() };
    let (engine, fed) = open_with(dir.path(), options);
    for n in 0..3 {
        engine.accept(rejected(n)).await.unwrap();
    }
    assert_eq!(engine.accept(admission(3)).await, Err(StoreError::Full));
    engine.catch_up().await.unwrap();
    assert_eq!(engine.shared.unkept.load(std::sync::atomic::Ordering::Relaxed), 3);
    assert!(fed.all().is_empty());
}
