//! What holds for deliveries as they are settled and amended.

use super::Homes;
use super::making::{
    HOUR, Maker, accept, admission, claim_all, claim_one, endpoint, replay, tenant,
};
use crate::store::{
    Amended, Amendment, DeliveryQuery, Lease, NewDelivery, Settled, Settlement, Store,
};
use doorbell_core::attempt::{Ending, ErrorClass};
use doorbell_core::delivery::{DiscardReason, State};
use doorbell_core::event::Fate;
use doorbell_core::id::{DeliveryId, EventId};

/// Each state that a delivery may be settled into is what is listed afterwards, with when and how it was answered.
pub async fn a_settled_delivery_says_so(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let at = maker.now;
    let states = [
        (State::Delivered { at }, 204, Some(at)),
        (State::Delivered { at }, 1, Some(at)),
        (State::Failed { at, holds_key: false }, 0, Some(at)),
        (State::Failed { at, holds_key: true }, 500, Some(at)),
        (State::Discarded { at, why: DiscardReason::EndpointDeleted }, 410, Some(at)),
        (State::Waiting { due: at.after(HOUR) }, 503, None),
    ];
    for (state, status, updated) in states {
        let delivery = maker.delivery(endpoint(1));
        let event = accept(&home, &mut maker, vec![delivery.clone()]).await;
        let lent = claim_one(&home, endpoint(1)).await;
        let settlement = maker.settlement(&lent, state, status);
        let end = settlement.attempt.as_ref().map(|a| a.at.after(a.timings.total));
        assert_eq!(home.settle(settlement).await, Ok(Settled::Kept));
        let row = home.delivery(event.tenant, delivery.id).await.unwrap().unwrap();
        assert_eq!((row.delivery.state, row.delivery.attempts), (state, 1));
        assert_eq!(row.last, Some(ending(status)));
        assert_eq!(row.updated, updated.or(end));
        assert_eq!((row.in_flight, row.at), (false, event.at));
        let tally = home.event(event.tenant, event.id).await.unwrap().unwrap().tally;
        let counts = tally.waiting + tally.delivered + tally.failed + tally.discarded;
        assert_eq!(counts, 1);
        if !state.is_settled() {
            assert_eq!(claim_all(&home, endpoint(1)).await.len(), 1);
        }
    }
}

/// What an attempt of [`Maker::attempt`] with this status came to.
const fn ending(status: u16) -> Ending {
    match status {
        0 => Ending::Failed(ErrorClass::ConnectionRefused),
        1 => Ending::Confirmed,
        status => Ending::Answered(status),
    }
}

/// All attempts are kept, oldest first, whole.
pub async fn attempts_are_kept(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let delivery = maker.delivery(endpoint(1));
    let event = accept(&home, &mut maker, vec![delivery.clone()]).await;
    let mut expected = Vec::new();
    for status in [503, 0, 1, 200] {
        let lent = claim_one(&home, endpoint(1)).await;
        assert_eq!(lent.delivery.attempts as usize, expected.len());
        let state = if status == 200 { maker.delivered() } else { lent.delivery.state };
        let settlement = maker.settlement(&lent, state, status);
        expected.extend(settlement.attempt.clone());
        home.settle(settlement).await.unwrap();
    }
    assert_eq!(home.attempts(event.tenant, delivery.id).await, Ok(expected));
    let unknown = DeliveryId::new(maker.now, 0);
    assert_eq!(home.attempts(event.tenant, unknown).await, Ok(Vec::new()));
}

/// A delivery can be given back without a try: it waits as before and may be lent again.
pub async fn a_delivery_can_be_given_back(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let delivery = maker.delivery(endpoint(1));
    let event = accept(&home, &mut maker, vec![delivery.clone()]).await;
    let lent = claim_one(&home, endpoint(1)).await;
    let state = State::Waiting { due: maker.now.after(HOUR) };
    let back = Settlement {
        lease: lent.lease,
        locator: lent.locator,
        delivery: doorbell_core::delivery::Delivery { state, ..lent.delivery },
        attempt: None,
        next: false,
    };
    assert_eq!(home.settle(back).await, Ok(Settled::Kept));
    let row = home.delivery(event.tenant, delivery.id).await.unwrap().unwrap();
    assert_eq!((row.delivery.state, row.delivery.attempts), (state, 0));
    assert_eq!((row.updated, row.last), (None, None));
    assert_eq!(claim_one(&home, endpoint(1)).await.delivery.state, state);
}

/// Only the lease that holds now may settle, and only once.
pub async fn a_lost_lease_settles_nothing(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let delivery = maker.delivery(endpoint(1));
    let event = accept(&home, &mut maker, vec![delivery.clone()]).await;
    let first = claim_one(&home, endpoint(1)).await;
    let back = maker.settlement(&first, first.delivery.state, 503);
    let stale = maker.settlement(&first, maker.delivered(), 200);
    assert_eq!(home.settle(back).await, Ok(Settled::Kept));
    assert_eq!(home.settle(stale.clone()).await, Ok(Settled::LeaseLost), "it was given back");
    let second = claim_one(&home, endpoint(1)).await;
    assert_eq!(home.settle(stale.clone()).await, Ok(Settled::LeaseLost), "another holds it");
    let forged = Settlement { lease: Lease(second.lease.0 + 1), ..stale };
    assert_eq!(home.settle(forged).await, Ok(Settled::LeaseLost), "nobody has that lease");
    let row = home.delivery(event.tenant, delivery.id).await.unwrap().unwrap();
    assert_eq!((row.delivery.attempts, row.in_flight), (1, false), "it waits with its holder");
    assert!(!home.begin(delivery.id, first.lease), "a lost lease begins nothing");
    assert!(home.begin(delivery.id, second.lease));
    let row = home.delivery(event.tenant, delivery.id).await.unwrap().unwrap();
    assert!(row.in_flight);
    let done = maker.settlement(&second, maker.delivered(), 200);
    assert_eq!(home.settle(done).await, Ok(Settled::Kept));
}

/// A retry makes a delivery wait again whatever its state, or be due earlier; not while it is in flight, nor once it is
/// delivered.
pub async fn a_retry_makes_a_delivery_wait(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let delivery = maker.delivery(endpoint(1));
    let id = delivery.id;
    accept(&home, &mut maker, vec![delivery]).await;
    let retry = |due| vec![Amendment::Retry { tenant: tenant(0), delivery: id, due, lend: false }];
    let at = maker.now;
    let why = DiscardReason::Filtered;
    let done = Ok(vec![Amended::Done(Some(endpoint(1)))]);
    for state in [
        State::Failed { at, holds_key: true },
        State::Discarded { at, why },
        State::Waiting { due: at.after(HOUR) },
    ] {
        let lent = claim_one(&home, endpoint(1)).await;
        assert!(home.begin(id, lent.lease));
        assert_eq!(home.amend(retry(at)).await, Ok(vec![Amended::InFlight]));
        let settlement = maker.settlement(&lent, state, 500);
        home.settle(settlement).await.unwrap();
        assert_eq!(home.amend(retry(at)).await, done);
        assert_eq!(home.amend(retry(at.after(HOUR))).await, done, "never later than it was");
        let row = home.delivery(tenant(0), id).await.unwrap().unwrap();
        assert_eq!((row.delivery.state, row.delivery.asked), (State::Waiting { due: at }, true));
    }
    let lent = claim_one(&home, endpoint(1)).await;
    assert!(lent.delivery.asked, "whoever tries it knows that someone asked");
    let again = maker.settlement(&lent, State::Waiting { due: at }, 500);
    home.settle(again).await.unwrap();
    assert!(!claim_one(&home, endpoint(1)).await.delivery.asked, "it was for one try");
    for unknown in [
        Amendment::Retry { tenant: tenant(1), delivery: id, due: at, lend: false },
        Amendment::Retry {
            tenant: tenant(0),
            delivery: DeliveryId::new(at, 5),
            due: at,
            lend: false,
        },
    ] {
        assert_eq!(home.amend(vec![unknown]).await, Ok(vec![Amended::Unknown]));
    }
}

/// A delivered delivery stays as it is, whoever asks for another try.
pub async fn a_delivered_delivery_is_not_retried(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let delivery = maker.delivery(endpoint(1));
    let id = delivery.id;
    accept(&home, &mut maker, vec![delivery]).await;
    let lent = claim_one(&home, endpoint(1)).await;
    let settlement = maker.settlement(&lent, maker.delivered(), 200);
    home.settle(settlement).await.unwrap();
    let before = home.delivery(tenant(0), id).await;
    for (lend, of, answer) in [
        (false, 0, Amended::NotAllowed),
        (true, 0, Amended::NotAllowed),
        (false, 1, Amended::Unknown),
    ] {
        let due = maker.now;
        let retry = Amendment::Retry { tenant: tenant(of), delivery: id, due, lend };
        assert_eq!(home.amend(vec![retry]).await, Ok(vec![answer]));
        assert_eq!(home.delivery(tenant(0), id).await, before);
        assert!(claim_all(&home, endpoint(1)).await.is_empty());
    }
}

/// Of its tries a delivery knows how many someone asked for: in what is lent, in lists, and through every later change.
pub async fn tries_by_hand_are_counted(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let delivery = maker.delivery(endpoint(1));
    let id = delivery.id;
    accept(&home, &mut maker, vec![delivery]).await;
    let due = maker.now;
    let listed = async |expected: (u32, u32)| {
        let page = home.deliveries(DeliveryQuery::of(tenant(0))).await.unwrap();
        let row = home.delivery(tenant(0), id).await.unwrap().unwrap();
        assert_eq!(page.items, std::slice::from_ref(&row));
        assert_eq!((row.delivery.attempts, row.delivery.by_hand), expected);
    };
    let mut expected = (0, 0);
    for (asks, state) in [
        (false, State::Waiting { due }),
        (true, State::Waiting { due }),
        (true, State::Failed { at: due, holds_key: false }),
        (true, State::Waiting { due }),
        (false, State::Waiting { due }),
        (true, maker.delivered()),
    ] {
        if asks {
            let retry = Amendment::Retry { tenant: tenant(0), delivery: id, due, lend: false };
            assert_eq!(home.amend(vec![retry]).await, Ok(vec![Amended::Done(Some(endpoint(1)))]));
            listed(expected).await;
        }
        let lent = claim_one(&home, endpoint(1)).await;
        let of = &lent.delivery;
        assert_eq!((of.attempts, of.by_hand, of.asked), (expected.0, expected.1, asks));
        let settlement = maker.settlement(&lent, state, 500);
        home.settle(settlement).await.unwrap();
        expected = (expected.0 + 1, expected.1 + u32::from(asks));
        listed(expected).await;
    }
    assert_eq!(expected, (6, 4));
    assert_eq!(home.attempts(tenant(0), id).await.unwrap().len(), 6);
}

/// What waits or failed can be cancelled; what is delivered, discarded or in flight cannot.
pub async fn a_cancelled_delivery_is_never_tried(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let delivery = maker.delivery(endpoint(1));
    let id = delivery.id;
    accept(&home, &mut maker, vec![delivery]).await;
    let at = maker.now.after(HOUR);
    let cancel = |of| vec![Amendment::Cancel { tenant: tenant(of), delivery: id, at }];
    let retry = vec![Amendment::Retry { tenant: tenant(0), delivery: id, due: at, lend: false }];
    let done = Ok(vec![Amended::Done(Some(endpoint(1)))]);
    assert_eq!(home.amend(cancel(1)).await, Ok(vec![Amended::Unknown]));
    assert_eq!(home.amend(cancel(0)).await, done);
    assert_eq!(home.amend(cancel(0)).await, Ok(vec![Amended::NotAllowed]));
    assert!(claim_all(&home, endpoint(1)).await.is_empty());
    let row = home.delivery(tenant(0), id).await.unwrap().unwrap();
    let state = State::Discarded { at, why: DiscardReason::Cancelled };
    assert_eq!((row.delivery.state, row.updated), (state, Some(at)));
    assert_eq!(home.amend(retry.clone()).await, done);
    let lent = claim_one(&home, endpoint(1)).await;
    assert!(home.begin(id, lent.lease));
    assert_eq!(home.amend(cancel(0)).await, Ok(vec![Amended::InFlight]));
    let failed = maker.settlement(&lent, State::Failed { at, holds_key: true }, 500);
    home.settle(failed).await.unwrap();
    assert_eq!(home.amend(cancel(0)).await, done);
    assert_eq!(home.amend(retry).await, done);
    let lent = claim_one(&home, endpoint(1)).await;
    let delivered = maker.settlement(&lent, maker.delivered(), 200);
    home.settle(delivered).await.unwrap();
    assert_eq!(home.amend(cancel(0)).await, Ok(vec![Amended::NotAllowed]));
}

/// What is lent and only waits for its turn is not in flight: it can be retried and cancelled, and whoever holds it can
/// neither begin nor settle it any more.
pub async fn what_only_waits_can_be_taken_back(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let due = maker.now;
    let at = due.after(HOUR);
    for lend in [false, true] {
        let delivery = NewDelivery { lend, ..maker.delivery(endpoint(1)) };
        let id = delivery.id;
        accept(&home, &mut maker, vec![delivery]).await;
        let first =
            if lend { home.lent().await.remove(0) } else { claim_one(&home, endpoint(1)).await };
        let retry = Amendment::Retry { tenant: tenant(0), delivery: id, due, lend: false };
        assert_eq!(home.amend(vec![retry]).await, Ok(vec![Amended::Done(Some(endpoint(1)))]));
        assert_eq!(home.stirred().await, [endpoint(1)]);
        assert!(!home.begin(id, first.lease));
        let stale = maker.settlement(&first, maker.delivered(), 200);
        assert_eq!(home.settle(stale).await, Ok(Settled::LeaseLost));

        let second = claim_one(&home, endpoint(1)).await;
        assert!(second.lease > first.lease);
        let cancel = Amendment::Cancel { tenant: tenant(0), delivery: id, at };
        assert_eq!(home.amend(vec![cancel]).await, Ok(vec![Amended::Done(Some(endpoint(1)))]));
        assert!(!home.begin(id, second.lease));
        let row = home.delivery(tenant(0), id).await.unwrap().unwrap();
        let why = DiscardReason::Cancelled;
        assert_eq!((row.delivery.state, row.in_flight), (State::Discarded { at, why }, false));
        assert!(claim_all(&home, endpoint(1)).await.is_empty());
        assert!(home.attempts(tenant(0), id).await.unwrap().is_empty());
    }
}

/// A stored event can be given new deliveries; each amendment of a call is answered, in order.
pub async fn a_replay_gives_an_event_new_deliveries(mut homes: impl Homes) {
    let (home, mut maker) = (homes.open().await, Maker::new());
    let event = maker.event();
    home.accept(admission(&event, Vec::new())).await.unwrap();
    let mut waiting = maker.delivery(endpoint(1));
    waiting.replay = Some(replay(9));
    let mut lent = maker.delivery(endpoint(2));
    lent.lend = true;
    let redeliver =
        |of, event, deliveries| Amendment::Redeliver { tenant: tenant(of), event, deliveries };
    let amended = home
        .amend(vec![
            redeliver(1, event.id, vec![maker.delivery(endpoint(3))]),
            redeliver(0, event.id, vec![waiting.clone(), lent.clone()]),
            redeliver(0, EventId::new(maker.now, 1), vec![maker.delivery(endpoint(3))]),
        ])
        .await;
    assert_eq!(amended, Ok(vec![Amended::Unknown, Amended::Done(None), Amended::Unknown]));
    let out = home.lent().await;
    assert_eq!(out.iter().map(|lent| lent.delivery.id).collect::<Vec<_>>(), [lent.id]);
    assert_eq!(*home.event_at(out[0].locator).await.unwrap(), event);
    let claimed = claim_one(&home, endpoint(1)).await;
    assert_eq!((claimed.delivery.id, claimed.delivery.event), (waiting.id, event.id));
    let kept = home.event(event.tenant, event.id).await.unwrap().unwrap();
    assert_eq!((kept.fate, kept.tally.waiting), (Fate::NoEndpoint, 2));
    let query = DeliveryQuery { replay: Some(replay(9)), ..DeliveryQuery::of(tenant(0)) };
    let listed = home.deliveries(query).await.unwrap().items;
    assert_eq!(listed.iter().map(|row| row.delivery.id).collect::<Vec<_>>(), [waiting.id]);
}
