//! What one node on `PostgreSQL` takes in for another is lent to that one as it comes in.

use super::postgres::{InSchema, admission, all_of, at, delivered, new_tenant, owned_by, two};
use doorbell_core::delivery::State;
use doorbell_core::id::{DeliveryId, EndpointId, ReplayId, TenantId};
use doorbell_store::postgres::Postgres;
use doorbell_store::{Amended, Amendment, Lent, NewDelivery, Settled, Store};
use std::sync::Arc;
use std::time::Duration;

/// Two nodes, of which the first lends to the second.
struct Lending {
    homes: InSchema,
    first: Postgres,
    second: Postgres,
    /// An endpoint that the second looks after.
    theirs: EndpointId,
    /// The last event that was taken in, and what was lent of it.
    n: u64,
    lent: Vec<Lent>,
}

async fn lending() -> Lending {
    let (homes, first, second) = two().await;
    let theirs = owned_by(&second);
    second.lend_from_others(Some(Vec::new()));
    let (n, lent) = accept_until_lent(&first, &second, theirs).await;
    Lending { homes, first, second, theirs, n, lent }
}

/// What one node takes in for another is lent to it from the beginning, once it has said that it has room; but not to an endpoint
/// that it named as shut.
#[tokio::test]
async fn what_another_takes_in_is_lent_as_it_comes_in() {
    let Lending { homes: _homes, first, second, theirs, n, lent } = lending().await;
    assert_eq!(lent.len(), 1);
    assert_eq!(lent[0].payload, Some(Arc::clone(&admission(n, theirs, false).event)));
    assert!(second.claim(all_of(theirs)).await.unwrap().lent.is_empty(), "it is lent already");
    assert!(second.begin(lent[0].delivery.id, lent[0].lease));
    assert_eq!(second.settle(delivered(&lent[0])).await, Ok(Settled::Kept));

    second.lend_from_others(Some(vec![theirs]));
    for n in n + 1.. {
        first.accept(admission(n, theirs, false)).await.unwrap();
        tokio::select! {
            lent = second.lent() => assert_eq!(second.settle(delivered(&lent[0])).await, Ok(Settled::Kept)),
            stirred = second.stirred() => {
                assert_eq!(stirred, [theirs]);
                break;
            }
        }
    }
    assert_eq!(second.claim(all_of(theirs)).await.unwrap().lent.len(), 1);
}

/// What waits its turn, is not due yet or is replayed is for claims.
#[tokio::test]
async fn only_what_is_due_at_once_is_lent_to_another() {
    let Lending { homes, first, second, theirs, n, .. } = lending().await;
    let changes: [fn(&mut NewDelivery); 3] = [
        |delivery| delivery.order_key = Some(7),
        |delivery| delivery.state = State::Waiting { due: at(1_000_000) },
        |delivery| delivery.replay = Some(ReplayId::new(at(1), 1)),
    ];
    for (more, change) in (1..).zip(changes) {
        let mut admission = admission(n + more, theirs, true);
        change(&mut admission.deliveries[0]);
        first.accept(admission).await.unwrap();
        assert_eq!(second.stirred().await, [theirs]);
    }
    let held = "SELECT count(*)::text FROM deliveries WHERE holder <> 0";
    assert_eq!(homes.sql(held).await, "1", "the one that was lent before");
}

/// Under a configuration that it has not read yet, a new endpoint would look like one that is gone: the node gives back what
/// it was lent.
#[tokio::test]
async fn what_is_lent_under_a_newer_configuration_is_given_back() {
    let Lending { homes: _homes, first, second, theirs, n, .. } = lending().await;
    second.configuration().await.unwrap();
    first.configure(vec![new_tenant()]).await.unwrap();
    first.accept(admission(n + 1, theirs, false)).await.unwrap();
    tokio::select! {
        lent = second.lent() => panic!("{lent:?}"),
        stirred = second.stirred() => assert_eq!(stirred, [theirs]),
    }
    assert!(second.claim(all_of(theirs)).await.unwrap().lent.is_empty(), "nor by a claim");
    second.reconfigured().await;
    second.configuration().await.unwrap();
    assert!(second.claim(all_of(theirs)).await.unwrap().lent.is_empty(), "it was only read");
    drop(tokio::time::timeout(Duration::ZERO, second.reconfigured()).await);
    assert_eq!(second.claim(all_of(theirs)).await.unwrap().lent.len(), 1);
}

/// While a node takes over a newer configuration, what is lent to it waits a moment.
#[tokio::test]
async fn what_is_lent_while_a_configuration_is_read_is_taken_up() {
    let Lending { homes: _homes, first, second, theirs, n, .. } = lending().await;
    second.configuration().await.unwrap();
    first.configure(vec![new_tenant()]).await.unwrap();
    first.accept(admission(n + 1, theirs, false)).await.unwrap();
    tokio::select! {
        lent = second.lent() => assert_eq!(lent[0].delivery.id, DeliveryId::new(at(n + 1), (n + 1).into())),
        () = follow(&second) => {}
        () = claim_in_vain(&second, theirs) => {}
    }
}

/// Takes over what others configure, for ever.
async fn follow(node: &Postgres) {
    loop {
        node.reconfigured().await;
        node.configuration().await.unwrap();
    }
}

/// Claims whenever something waits, for ever: there is nothing.
async fn claim_in_vain(node: &Postgres, of: EndpointId) {
    loop {
        node.stirred().await;
        assert!(node.claim(all_of(of)).await.unwrap().lent.is_empty(), "it was given back");
    }
}

/// What something else has lent to a node is written down by that, in a moment: a notice that comes late does not give it out,
/// and nobody changes it.
#[tokio::test]
async fn what_is_on_its_way_to_a_node_is_left_alone() {
    let Lending { homes, first, second, theirs, n, lent } = lending().await;
    let delivery = lent[0].delivery.id;
    assert_eq!(second.settle(delivered(&lent[0])).await, Ok(Settled::Kept));
    let (place, node) = (lent[0].locator.0, homes.sql("SELECT max(id)::text FROM nodes").await);
    homes
        .sql(&format!(
            "UPDATE deliveries SET state = 0, holder = {node}, lease = 2 WHERE seq = {place} RETURNING id::text"
        ))
        .await;
    let cancel = Amendment::Cancel { tenant: TenantId::DEFAULT, delivery, at: at(1_000) };
    assert_eq!(second.amend(vec![cancel]).await, Ok(vec![Amended::InFlight]));
    let channel = "'doorbell_' || current_schema()::regnamespace::oid::text";
    homes.sql(&format!("SELECT pg_notify({channel}, 'lent {node} {place:x}')::text")).await;
    first.accept(admission(n + 1, theirs, false)).await.unwrap();
    let next = second.lent().await;
    assert_eq!(next[0].delivery.id, DeliveryId::new(at(n + 1), (n + 1).into()));
}

/// Takes events in at `first` until one is lent to `second`: which, and what was lent.
async fn accept_until_lent(
    first: &Postgres,
    second: &Postgres,
    to: EndpointId,
) -> (u64, Vec<Lent>) {
    for n in 1.. {
        first.accept(admission(n, to, false)).await.unwrap();
        tokio::select! {
            lent = second.lent() => return (n, lent),
            // The other one has not heard yet.
            _ = second.stirred() => for lent in second.claim(all_of(to)).await.unwrap().lent {
                assert_eq!(second.settle(delivered(&lent)).await, Ok(Settled::Kept));
            }
        }
    }
    unreachable!()
}
