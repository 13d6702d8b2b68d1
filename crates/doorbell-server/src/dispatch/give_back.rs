//! Lent deliveries go back to the store, untried.

use doorbell_store::{AnyStore, Lent, Settlement, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Deliveries that are given back at once.
const GIVE_BACKS_MAX: usize = 256;
/// How soon it is tried again when the store cannot take them.
const AGAIN: Duration = Duration::from_secs(1);

/// Gives lent deliveries back unchanged, many at once, so that the store writes them together.
pub(crate) async fn give_back(store: &Arc<AnyStore>, waiting: Vec<Lent>) {
    let mut tasks = JoinSet::new();
    for Lent { delivery, locator, lease, payload: _, body_len: _ } in waiting {
        if tasks.len() >= GIVE_BACKS_MAX {
            tasks.join_next().await;
        }
        let settlement = Settlement { lease, locator, delivery, attempt: None, next: false };
        let store = Arc::clone(store);
        tasks.spawn(async move { give_one_back(&store, settlement).await });
    }
    while tasks.join_next().await.is_some() {}
}

/// Until the store has it: what nobody gave back would wait until the next start. A node that stops does not wait for
/// ever; its leases end with it.
async fn give_one_back(store: &AnyStore, settlement: Settlement) {
    loop {
        match store.settle(settlement.clone()).await {
            Err(StoreError::Busy | StoreError::Full | StoreError::Failed(_)) => {
                tokio::time::sleep(AGAIN).await;
            }
            Ok(_) => return,
            Err(error) => return tracing::warn!(%error, "a delivery could not be given back"),
        }
    }
}
