//! What holds for deliveries as they are lent out.

use super::Homes;
use super::making::{
    HOUR, Maker, accept, admission, claim_all, claim_one, endpoint, everything, ids,
};
use crate::store::{
    Amendment, Backlog, Claim, NewDelivery, Settled, Settlement, Store, WaitingCount,
};
use doorbell_core::delivery::State;
use doorbell_core::id::DeliveryId;
use std::collections::BTreeSet;

/// What is lent as it is accepted comes out in the order of acceptance, with its event, and cannot be claimed.
pub async fn accepted_deliveries_are_lent_in_order(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let mut expected = Vec::new();
    for n in 0..10 {
        let mut delivery = maker.delivery(endpoint(1));
        delivery.lend = n % 3 != 0;
        let event = accept(&home, &mut maker, vec![delivery.clone()]).await;
        if delivery.lend {
            expected.push((delivery.id, event));
        }
    }
    let mut lent = Vec::new();
    while lent.len() < expected.len() {
        lent.extend(home.lent().await);
    }
    for (lent, (id, event)) in lent.iter().zip(&expected) {
        assert_eq!(lent.delivery.id, *id);
        assert!(lent.payload.as_ref().is_none_or(|payload| **payload == *event));
        assert_eq!(*home.event_at(lent.locator).await.unwrap(), *event);
        assert!(!home.delivery(event.tenant, *id).await.unwrap().unwrap().in_flight);
        assert!(home.begin(*id, lent.lease));
        assert!(home.delivery(event.tenant, *id).await.unwrap().unwrap().in_flight);
    }
    assert_eq!(claim_all(&home, endpoint(1)).await.len(), 4);
}

/// What only a claim can find is told: accepted without being lent, retried, cancelled, given back. What is lent is not.
pub async fn endpoints_that_want_a_claim_are_told(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let (mut lent, waiting) = (maker.delivery(endpoint(1)), maker.delivery(endpoint(2)));
    lent.lend = true;
    let event = accept(&home, &mut maker, vec![lent, waiting.clone()]).await;
    assert_eq!(home.stirred().await, vec![endpoint(2)]);
    let (tenant, delivery) = (event.tenant, waiting.id);
    home.amend(vec![Amendment::Cancel { tenant, delivery, at: maker.now }]).await.unwrap();
    assert_eq!(home.stirred().await, vec![endpoint(2)]);
    home.amend(vec![Amendment::Retry { tenant, delivery, due: maker.now, lend: false }])
        .await
        .unwrap();
    assert_eq!(home.stirred().await, vec![endpoint(2)]);
    let claimed = claim_one(&home, endpoint(2)).await;
    let (lease, locator) = (claimed.lease, claimed.locator);
    let back =
        Settlement { lease, locator, delivery: claimed.delivery, attempt: None, next: false };
    assert_eq!(home.settle(back).await, Ok(Settled::Kept));
    assert_eq!(home.stirred().await, vec![endpoint(2)]);
    assert_eq!(claim_one(&home, endpoint(2)).await.delivery.id, delivery);
}

/// A delivery that is born settled (its endpoint is disabled) is never lent, whatever was asked.
pub async fn settled_deliveries_are_not_lent(mut homes: impl Homes) {
    use doorbell_core::delivery::DiscardReason::EndpointDisabled;
    let (home, mut maker) = (homes.open().await, Maker::new());
    let mut delivery = maker.delivery(endpoint(1));
    delivery.state = State::Discarded { at: maker.now, why: EndpointDisabled };
    delivery.lend = true;
    let event = accept(&home, &mut maker, vec![delivery.clone()]).await;
    assert!(claim_all(&home, endpoint(1)).await.is_empty());
    let row = home.delivery(event.tenant, delivery.id).await.unwrap().unwrap();
    assert_eq!((row.delivery.state, row.in_flight), (delivery.state, false));
}

/// Only what is due is lent, the longest due first, and the next due time is told.
pub async fn what_is_due_is_lent_oldest_first(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let begin = maker.now;
    let mut made = Vec::new();
    for hours in [3, 1, 2, 1] {
        let mut delivery = maker.delivery(endpoint(1));
        delivery.state = State::Waiting { due: begin.after(HOUR * hours) };
        accept(&home, &mut maker, vec![delivery.clone()]).await;
        made.push(delivery.id);
    }
    let [three, one, two, other_one] = made[..] else { panic!("four were made") };
    let until = |hours| Claim { due_by: begin.after(HOUR * hours), ..everything(endpoint(1)) };
    let none = home.claim(until(0)).await.unwrap();
    assert_eq!((ids(&none), none.next_due), (vec![], Some(begin.after(HOUR))));
    let first = home.claim(Claim { most: 1, ..until(2) }).await.unwrap();
    assert_eq!((ids(&first), first.next_due), (vec![one], Some(begin.after(HOUR))));
    let second = home.claim(until(2)).await.unwrap();
    assert_eq!(ids(&second), [other_one, two]);
    assert_eq!(second.next_due, Some(begin.after(HOUR * 3)));
    let third = home.claim(until(3)).await.unwrap();
    assert_eq!((ids(&third), third.next_due), (vec![three], None));
}

/// A claim lends what no other holds: never twice, with a higher lease each time, and only of its endpoint.
pub async fn nothing_is_lent_twice(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    for _ in 0..20 {
        let both = vec![maker.delivery(endpoint(1)), maker.delivery(endpoint(2))];
        accept(&home, &mut maker, both).await;
    }
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        let claims = home.claim(Claim { most: 4, ..everything(endpoint(1)) }).await.unwrap();
        assert!(claims.lent.iter().all(|lent| lent.delivery.endpoint == endpoint(1)));
        assert!(ids(&claims).into_iter().all(|id| seen.insert(id)));
    }
    assert_eq!(seen.len(), 20);
    assert!(claim_all(&home, endpoint(1)).await.is_empty());
    let lent = claim_all(&home, endpoint(2)).await.remove(0);
    let back = maker.settlement(&lent, lent.delivery.state, 503);
    assert_eq!(home.settle(back).await, Ok(Settled::Kept));
    assert!(claim_one(&home, endpoint(2)).await.lease > lent.lease);
}

/// A claim brings as many events along as there is room for, and they are the right ones.
pub async fn a_claim_brings_events_along(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    for _ in 0..4 {
        let deliveries = vec![maker.delivery(endpoint(1)), maker.delivery(endpoint(2))];
        accept(&home, &mut maker, deliveries).await;
    }
    let none = home.claim(everything(endpoint(1))).await.unwrap();
    assert!(none.lent.iter().all(|lent| lent.payload.is_none()), "there was no room for any");
    let claim = Claim { event_bytes: 1 << 20, ..everything(endpoint(2)) };
    let brought = home.claim(claim).await.unwrap();
    assert_eq!(brought.lent.len(), 4);
    for lent in &brought.lent {
        let event = lent.payload.as_ref().unwrap();
        assert_eq!(
            (event.id, event),
            (lent.delivery.event, &home.event_at(lent.locator).await.unwrap())
        );
    }
}

/// By key, only the first open delivery of a key is lent, and the next when that one is settled.
pub async fn keys_go_one_after_the_other(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let mut made: Vec<DeliveryId> = Vec::new();
    for key in [7, u64::MAX, 7, 7] {
        let delivery = maker.keyed(endpoint(1), key);
        made.push(delivery.id);
        accept(&home, &mut maker, vec![delivery]).await;
    }
    let by_key = Claim { by_key: true, ..everything(endpoint(1)) };
    let first = home.claim(by_key).await.unwrap();
    assert_eq!(ids(&first), made[..2]);
    let nothing = home.claim(by_key).await.unwrap();
    assert_eq!((ids(&nothing), nothing.next_due), (vec![], None), "both keys are in flight");
    let retry = maker.now.after(HOUR);
    let later = State::Waiting { due: retry };
    let put_off = maker.settlement(&first.lent[0], later, 500);
    home.settle(put_off).await.unwrap();
    let soon = Claim { due_by: maker.now, ..by_key };
    let waits = home.claim(soon).await.unwrap();
    let expected = (vec![], Some(retry));
    assert_eq!((ids(&waits), waits.next_due), expected, "the first of the key waits for its retry");
    let again = home.claim(by_key).await.unwrap();
    assert_eq!(ids(&again), made[..1]);
    let done = maker.settlement(&again.lent[0], maker.delivered(), 200);
    home.settle(done).await.unwrap();
    assert_eq!(ids(&home.claim(by_key).await.unwrap()), made[2..3]);
}

/// While one of a key is out, no older one is lent that was retried meanwhile: one key is serial whatever is asked for.
pub async fn a_key_is_out_once_at_a_time(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let by_key = Claim { by_key: true, ..everything(endpoint(1)) };
    let mut made = Vec::new();
    for key in [7, 7, 8] {
        let delivery = maker.keyed(endpoint(1), key);
        made.push(delivery.id);
        accept(&home, &mut maker, vec![delivery]).await;
    }
    let first = home.claim(by_key).await.unwrap();
    assert_eq!(ids(&first), [made[0], made[2]]);
    let dead = State::Failed { at: maker.now, holds_key: false };
    let done = maker.settlement(&first.lent[0], dead, 500);
    home.settle(done).await.unwrap();
    let second = home.claim(by_key).await.unwrap();
    assert_eq!(ids(&second), made[1..2]);
    assert!(home.begin(made[1], second.lent[0].lease));
    let (tenant, due) = (super::making::tenant(0), maker.now);
    let retry = Amendment::Retry { tenant, delivery: made[0], due, lend: false };
    home.amend(vec![retry]).await.unwrap();
    let nothing = home.claim(by_key).await.unwrap();
    assert_eq!((ids(&nothing), nothing.next_due), (vec![], None), "the newer one is out");
    let done = maker.settlement(&second.lent[0], maker.delivered(), 200);
    home.settle(done).await.unwrap();
    assert_eq!(ids(&home.claim(by_key).await.unwrap()), made[..1]);
}

/// Settles, and gives back what is lent of the key after that, however it comes.
async fn settle_for_next(home: &impl Store, settlement: Settlement) -> Vec<DeliveryId> {
    let settlement = Settlement { next: true, ..settlement };
    match home.settle(settlement).await.unwrap() {
        Settled::Next => {
            let lent = home.lent().await;
            assert!(lent.iter().all(|lent| lent.body_len == super::making::BODY.len() as u64));
            lent.iter().map(|lent| lent.delivery.id).collect()
        }
        Settled::Kept => {
            let by_key = Claim { by_key: true, ..everything(endpoint(1)) };
            ids(&home.claim(by_key).await.unwrap())
        }
        Settled::LeaseLost => panic!("the lease held"),
    }
}

/// Where it is asked for, the next of a key is lent as the one before is settled for good; never past one that waits for its
/// retry, holds its key, or is older.
pub async fn the_next_of_a_key_may_come_by_itself(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let mut made = Vec::new();
    for key in [7, 8, 7, 7, 7] {
        let delivery = maker.keyed(endpoint(1), key);
        made.push(delivery.id);
        accept(&home, &mut maker, vec![delivery]).await;
    }
    let claim = Claim { by_key: true, ..everything(endpoint(1)) };
    let first = home.claim(claim).await.unwrap();
    assert_eq!(ids(&first), made[..2]);
    let done = maker.settlement(&first.lent[1], maker.delivered(), 200);
    assert_eq!(settle_for_next(&home, done).await, [], "there is no other of that key");
    let retry = maker.settlement(&first.lent[0], State::Waiting { due: maker.now }, 500);
    let answer = home.settle(Settlement { next: true, ..retry }).await;
    assert_eq!(answer, Ok(Settled::Kept), "it is the first itself");
    let again = home.claim(claim).await.unwrap();
    assert_eq!(ids(&again), made[..1]);
    let dead = State::Failed { at: maker.now, holds_key: false };
    let done = maker.settlement(&again.lent[0], dead, 500);
    assert_eq!(settle_for_next(&home, done).await, made[2..3]);
    assert_eq!(ids(&home.claim(claim).await.unwrap()), [], "the key is out");
    let (tenant, due) = (super::making::tenant(0), maker.now);
    let older = Amendment::Retry { tenant, delivery: made[0], due, lend: true };
    let taken_back = Amendment::Retry { tenant, delivery: made[2], due, lend: true };
    home.amend(vec![taken_back, older]).await.unwrap();
    let lent = home.lent().await;
    assert_eq!(lent.iter().map(|lent| lent.delivery.id).collect::<Vec<_>>(), made[2..3]);
    assert_eq!(lent[0].body_len, super::making::BODY.len() as u64);
    assert!(home.begin(made[2], lent[0].lease));
    let done = maker.settlement(&lent[0], maker.delivered(), 200);
    assert_eq!(settle_for_next(&home, done).await, made[..1], "the older one goes first");
}

/// One that died and holds its key is not passed by what would come by itself.
pub async fn a_dead_delivery_lets_no_next_one_come(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    for _ in 0..3 {
        let delivery = maker.keyed(endpoint(1), 7);
        accept(&home, &mut maker, vec![delivery]).await;
    }
    let claim = Claim { by_key: true, ..everything(endpoint(1)) };
    let first = home.claim(claim).await.unwrap();
    let dead = State::Failed { at: maker.now, holds_key: true };
    let dead = maker.settlement(&first.lent[0], dead, 500);
    let answer = home.settle(Settlement { next: true, ..dead }).await;
    assert_eq!(answer, Ok(Settled::Kept));
    assert_eq!(ids(&home.claim(claim).await.unwrap()), []);
}

/// What someone retries is lent at once where that is asked for, so that it need not wait behind older ones; of an order
/// key only the first.
pub async fn a_retried_delivery_is_lent_where_asked(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let made: Vec<_> = [None, None, Some(7), Some(7)]
        .map(|order_key| NewDelivery { order_key, ..maker.delivery(endpoint(1)) })
        .to_vec();
    for delivery in &made {
        accept(&home, &mut maker, vec![delivery.clone()]).await;
    }
    let (tenant, due) = (super::making::tenant(0), maker.now);
    let retry = |n: usize| Amendment::Retry { tenant, delivery: made[n].id, due, lend: true };
    home.amend(vec![retry(3)]).await.unwrap();
    home.amend(vec![retry(2)]).await.unwrap();
    home.amend(vec![retry(1)]).await.unwrap();
    let mut lent = Vec::new();
    while lent.len() < 2 {
        lent.extend(home.lent().await);
    }
    let lent_ids: Vec<_> = lent.iter().map(|lent| lent.delivery.id).collect();
    assert_eq!(lent_ids, [made[2].id, made[1].id], "the older one of the key, and the other");
    assert!(lent.iter().all(|lent| lent.delivery.asked));
    assert_eq!(home.stirred().await, vec![endpoint(1)]);
    let by_key = Claim { by_key: true, ..everything(endpoint(1)) };
    assert_eq!(ids(&home.claim(by_key).await.unwrap()), [made[0].id]);
    let done = maker.settlement(&lent[0], maker.delivered(), 200);
    assert_eq!(home.settle(done).await, Ok(Settled::Kept));
    assert_eq!(ids(&home.claim(by_key).await.unwrap()), [made[3].id]);
    let attempts = home.attempts(tenant, made[2].id).await.unwrap();
    assert_eq!(attempts.len(), 1);
}

/// A dead delivery that holds its key holds it until it is cancelled; one that does not lets the next go.
pub async fn a_dead_delivery_may_hold_its_key(mut homes: impl Homes) {
    use crate::store::Amendment::Cancel;
    let (home, mut maker) = (homes.open().await, Maker::new());
    let by_key = Claim { by_key: true, ..everything(endpoint(1)) };
    let mut made = Vec::new();
    for _ in 0..3 {
        let delivery = maker.keyed(endpoint(1), 0);
        made.push(delivery.id);
        accept(&home, &mut maker, vec![delivery]).await;
    }
    for (n, holds_key) in [(0, false), (1, true)] {
        let claims = home.claim(by_key).await.unwrap();
        assert_eq!(ids(&claims), made[n..=n]);
        let dead = State::Failed { at: maker.now, holds_key };
        let settlement = maker.settlement(&claims.lent[0], dead, 500);
        home.settle(settlement).await.unwrap();
    }
    let held = home.claim(by_key).await.unwrap();
    assert_eq!((ids(&held), held.next_due), (vec![], None), "one waits still, for its key");
    let tenant = super::making::tenant(0);
    let cancel = Cancel { tenant, delivery: made[1], at: maker.now };
    home.amend(vec![cancel]).await.unwrap();
    assert_eq!(ids(&home.claim(by_key).await.unwrap()), made[2..]);
}

/// With more keys than are claimed at once, each key has its turn.
pub async fn each_key_has_its_turn(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    for _ in 0..4 {
        for key in 0..10 {
            let delivery = maker.keyed(endpoint(1), key);
            accept(&home, &mut maker, vec![delivery]).await;
        }
    }
    let by_key = Claim { by_key: true, most: 3, ..everything(endpoint(1)) };
    let mut turns = Vec::new();
    while turns.len() < 40 {
        let claims = home.claim(by_key).await.unwrap();
        assert_eq!(claims.lent.len(), 3.min(40 - turns.len()).min(10));
        for lent in &claims.lent {
            turns.extend(lent.delivery.order_key);
            let done = maker.settlement(lent, maker.delivered(), 200);
            home.settle(done).await.unwrap();
        }
    }
    for key in 0..10 {
        assert_eq!(turns.iter().filter(|turn| **turn == key).count(), 4);
    }
    let early: BTreeSet<_> = turns.iter().take(15).collect();
    assert_eq!(early.len(), 10, "each key once before one has its third turn: {turns:?}");
}

/// Deliveries without a key are claimed by key as if each had its own.
pub async fn without_a_key_nothing_is_held_back(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let all = vec![maker.delivery(endpoint(1)), maker.keyed(endpoint(1), 1)];
    let more = vec![maker.delivery(endpoint(1)), maker.keyed(endpoint(1), 1)];
    let expected = vec![all[0].id, all[1].id, more[0].id];
    accept(&home, &mut maker, all).await;
    accept(&home, &mut maker, more).await;
    let claims = home.claim(Claim { by_key: true, ..everything(endpoint(1)) }).await.unwrap();
    assert_eq!(ids(&claims), expected);
    assert_eq!(claims.next_due, None, "the second of the key waits for the first");
}

/// The backlog names the endpoints with deliveries that wait and are not lent, and when the first is due.
pub async fn the_backlog_is_what_waits_and_is_not_lent(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    assert_eq!(home.backlog().await, Ok(Vec::new()));
    let mut dues = Vec::new();
    for n in 1..=3 {
        let mut late = maker.delivery(endpoint(n));
        late.state = State::Waiting { due: maker.now.after(HOUR) };
        let soon = maker.delivery(endpoint(n));
        dues.push((soon.state, late.state));
        let event = maker.event();
        home.accept(admission(&event, vec![late, soon])).await.unwrap();
    }
    let due = |state| match state {
        State::Waiting { due } => due,
        State::Delivered { at } | State::Failed { at, .. } | State::Discarded { at, .. } => at,
    };
    claim_all(&home, endpoint(1)).await;
    home.claim(Claim { most: 1, ..everything(endpoint(2)) }).await.unwrap();
    let mut backlog = home.backlog().await.unwrap();
    backlog.sort_unstable_by_key(|backlog| backlog.endpoint);
    let expected = [
        Backlog { endpoint: endpoint(2), next_due: due(dues[1].1) },
        Backlog { endpoint: endpoint(3), next_due: due(dues[2].0) },
    ];
    assert_eq!(backlog, expected);
}

/// What waits is counted by endpoint, whether it is lent or not.
pub async fn what_waits_is_counted_by_endpoint(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    assert_eq!(home.waiting_counts().await, Ok(Vec::new()));
    let deliveries = vec![maker.delivery(endpoint(1)), maker.delivery(endpoint(2))];
    accept(&home, &mut maker, deliveries).await;
    let delivery = maker.delivery(endpoint(1));
    accept(&home, &mut maker, vec![delivery]).await;
    let lent = claim_all(&home, endpoint(1)).await.remove(0);
    let waiting = async || {
        let mut waiting = home.waiting_counts().await.unwrap();
        waiting.sort_unstable_by_key(|waiting| waiting.endpoint);
        waiting
    };
    let of = |number, deliveries| WaitingCount { endpoint: endpoint(number), deliveries };
    assert_eq!(waiting().await, [of(1, 2), of(2, 1)]);
    let mut delivery = lent.delivery;
    delivery.state = State::Delivered { at: maker.now };
    let settlement = Settlement {
        lease: lent.lease,
        locator: lent.locator,
        delivery,
        attempt: None,
        next: false,
    };
    assert_eq!(home.settle(settlement).await, Ok(Settled::Kept));
    assert_eq!(waiting().await, [of(1, 1), of(2, 1)]);
}
