//! What waits: in order, paused, cancelled, switched off.

use super::*;

#[tokio::test(start_paused = true)]
async fn keys_go_in_order_even_through_failures() {
    let calls = Arc::new(AtomicUsize::new(0));
    let script = Script::by(move |_| {
        let n = calls.fetch_add(1, Ordering::SeqCst);
        if n % 5 == 3 { Step::status(500) } else { Step::After(Duration::from_millis(20), ok()) }
    });
    let world = World::new(script.clone(), vec![by_key(1, OnDead::Block)]).await;
    for n in 0..60 {
        world.publish(&format!("{}:{n:03}", n % 3), &(n % 3).to_string()).await;
    }
    world.pass(SECOND * 900).await;
    assert!(world.states().await.iter().all(delivered));
    for key in ["0:", "1:", "2:"] {
        let mut of_key: Vec<String> =
            bodies(&script).into_iter().filter(|b| b.starts_with(key)).collect();
        assert!(of_key.is_sorted(), "{of_key:?}");
        of_key.dedup();
        assert_eq!(of_key.len(), 20);
    }
}

/// Where the store lends the next of a key as the one before is settled, no claim stands between the two.
#[tokio::test(start_paused = true)]
async fn a_key_goes_on_without_a_claim() {
    let script = Script::by(|_| Step::After(SECOND, ok()));
    let world = World::new(script.clone(), vec![by_key(1, OnDead::Block)]).await;
    for n in 0..40 {
        world.publish(&format!("{n:03}"), "k").await;
    }
    world.pass(SECOND * 3).await;
    assert!((1..10).contains(&script.carried().len()));
    world.memory.fail_reading(Some(StoreError::Busy));
    world.pass(SECOND * 60).await;
    assert_eq!(script.carried().len(), 40);
    assert!(bodies(&script).is_sorted());
    world.memory.fail_reading(None);
    world.pass(SECOND * 5).await;
    assert_eq!(world.admitting.desk.used(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_dead_event_blocks_or_skips_its_key() {
    for (on_dead, expected) in [(OnDead::Block, 1), (OnDead::Skip, 4)] {
        let script = Script::by(|out| {
            if out.body.as_ref() == b"bad" { Step::status(400) } else { Step::status(200) }
        });
        let mut endpoint = by_key(1, on_dead);
        endpoint.policy.retry = Retry { schedule: vec![Duration::ZERO], never: Vec::new() };
        let world = World::new(script.clone(), vec![endpoint]).await;
        for body in ["bad", "1", "2", "3"] {
            world.publish(body, "k").await;
        }
        world.pass(SECOND * 5).await;
        assert_eq!(script.carried().len(), expected, "{on_dead:?}");
        if on_dead == OnDead::Block {
            let dead = world.deliveries().await.pop().unwrap().delivery.id;
            let (tenant, at) = (TenantId::DEFAULT, world.admitting.clock.now());
            world
                .store
                .amend(vec![Amendment::Cancel { tenant, delivery: dead, at }])
                .await
                .unwrap();
            world.pass(SECOND * 5).await;
            assert_eq!(bodies(&script), ["bad", "1", "2", "3"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_endpoint_gets_nothing_until_it_is_enabled() {
    let script = Script::steps([]);
    let paused = Endpoint { status: Status::Paused, ..endpoint(1) };
    let world = World::new(script.clone(), vec![paused]).await;
    for n in 0..20 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND * 5).await;
    assert_eq!(script.carried().len(), 0);
    assert!(world.deliveries().await.iter().all(|row| !row.in_flight), "they wait in the store");
    world.change(endpoint(1)).await;
    world.pass(SECOND * 2).await;
    assert_eq!(script.carried().len(), 20);
}

/// What a paused lane holds is given back; an endpoint that is enabled before that is done gets all of it all the same.
#[tokio::test(start_paused = true)]
async fn a_short_pause_strands_nothing() {
    let script = Script::by(|_| Step::After(SECOND, ok()));
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    for n in 0..200 {
        world.publish(&n.to_string(), "a").await;
    }
    world.change(Endpoint { status: Status::Paused, ..endpoint(1) }).await;
    world.memory.fail_with(Some(StoreError::Full));
    world.pass(SECOND / 2).await;
    world.memory.fail_with(None);
    world.change(endpoint(1)).await;
    world.pass(SECOND * 30).await;
    assert_eq!(script.carried().len(), 200);
}

/// Whatever was lent for it: what waits can be cancelled while the endpoint is paused.
#[tokio::test(start_paused = true)]
async fn a_paused_endpoint_holds_nothing() {
    let paused = Endpoint { status: Status::Paused, ..endpoint(1) };
    let world = World::new(Script::steps([]), vec![paused]).await;
    for n in 0..20 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    let rows = world.deliveries().await;
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| !row.in_flight));
}

/// One at a time is tried; the others wait in memory, and can be cancelled and retried there.
#[tokio::test(start_paused = true)]
async fn what_waits_for_its_turn_is_not_in_flight_and_can_be_cancelled() {
    let script = Script::by(|_| Step::After(SECOND * 10, ok()));
    let mut slow = endpoint(1);
    slow.policy.concurrency = 1;
    let world = World::new(script.clone(), vec![slow]).await;
    for n in 0..5 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    // Newest first: the last one is being tried.
    let rows = world.deliveries().await;
    let in_flight: Vec<bool> = rows.iter().map(|row| row.in_flight).collect();
    assert_eq!(in_flight, [false, false, false, false, true]);
    let (tenant, at) = (TenantId::DEFAULT, world.admitting.clock.now());
    let id = |n: usize| rows[n].delivery.id;
    let amendments = vec![
        Amendment::Cancel { tenant, delivery: id(3), at },
        Amendment::Cancel { tenant, delivery: id(2), at },
        Amendment::Retry { tenant, delivery: id(0), due: at, lend: false },
        Amendment::Cancel { tenant, delivery: id(4), at },
    ];
    let amended = world.store.amend(amendments).await.unwrap();
    let done = Amended::Done(Some(endpoint(1).id));
    assert_eq!(amended, [done, done, done, Amended::InFlight]);
    world.pass(SECOND * 60).await;
    let mut tried = bodies(&script);
    tried.sort_unstable();
    assert_eq!(tried, ["0", "3", "4"], "each once, and no cancelled one");
    assert_eq!(world.admitting.desk.used(), 0, "what was taken back holds no room");
}

/// A cancelled delivery costs nothing of the endpoint's rate.
#[tokio::test(start_paused = true)]
async fn what_was_cancelled_in_memory_takes_no_turn() {
    let script = Script::steps([]);
    let mut slow = endpoint(1);
    slow.policy.rate = Some(Rate { count: 1, per: SECOND * 60 });
    let world = World::new(script.clone(), vec![slow]).await;
    for n in 0..5 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    let rows = world.deliveries().await;
    let (tenant, at) = (TenantId::DEFAULT, world.admitting.clock.now());
    let cancel = |row: &DeliveryRow| Amendment::Cancel { tenant, delivery: row.delivery.id, at };
    world.store.amend(rows[1..4].iter().map(cancel).collect()).await.unwrap();
    world.pass(SECOND * 61).await;
    assert_eq!(bodies(&script), ["0", "4"]);
}

#[tokio::test(start_paused = true)]
async fn gone_disables_and_the_rest_is_discarded_but_kept() {
    let script = Script::steps([Step::status(410)]);
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    world.publish("first", "a").await;
    world.pass(SECOND).await;
    let status =
        world.configured.directory().endpoint(endpoint(1).id).unwrap().endpoint().status.clone();
    assert!(
        matches!(status, Status::Disabled { ref why, .. } if why.contains("410")),
        "{status:?}"
    );
    world.publish("second", "a").await;
    world.pass(SECOND).await;
    assert_eq!(script.carried().len(), 1);
    let why = DiscardReason::EndpointDisabled;
    assert!(matches!(world.states().await[0], State::Discarded { why: w, .. } if w == why));
}

#[tokio::test(start_paused = true)]
async fn the_backlog_of_a_disabled_endpoint_is_written_off() {
    let script = Script::steps([]);
    let paused = Endpoint { status: Status::Paused, ..endpoint(1) };
    let world = World::new(script.clone(), vec![paused]).await;
    for n in 0..700 {
        world.publish(&n.to_string(), "a").await;
    }
    let (at, why) = (BEGIN, "by the operator".to_owned());
    world.change(Endpoint { status: Status::Disabled { at, why }, ..endpoint(1) }).await;
    world.pass(SECOND * 5).await;
    assert_eq!(script.carried().len(), 0);
    assert!(world.states().await.iter().all(|state| matches!(state, State::Discarded { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_a_removed_endpoint_is_written_off_and_its_neighbour_is_not_disturbed() {
    let script = Script::steps([]);
    let paused = |n| Endpoint { status: Status::Paused, ..endpoint(n) };
    let world = World::new(script.clone(), vec![paused(1), paused(2)]).await;
    for n in 0..50 {
        world.publish(&n.to_string(), "a").await;
    }
    let gone = endpoint(1).id;
    let delete = |_: &directory::Directory| -> Result<_, StoreError> {
        Ok((vec![Change::Delete(ResourceId::Endpoint(gone))], ()))
    };
    world.configured.change(delete).await.unwrap();
    world.pass(SECOND * 5).await;
    for row in world.deliveries().await {
        let (state, to) = (row.delivery.state, row.delivery.endpoint);
        let written_off =
            matches!(state, State::Discarded { why: DiscardReason::EndpointDeleted, .. });
        assert_eq!(written_off, to == gone, "{state:?}");
    }
    world.change(endpoint(2)).await;
    world.pass(SECOND * 5).await;
    assert_eq!(script.carried().len(), 50);
}
