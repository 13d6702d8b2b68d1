//! A store that cannot for a while, and places that are short.

use super::*;

fn failed() -> Option<StoreError> {
    Some(StoreError::Failed("the test".to_owned()))
}

/// An event that could not be read just now is soon looked at again; only one that is damaged waits long.
#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_just_now_is_tried_soon() {
    let script = Script::steps([]);
    let mut slow = endpoint(1);
    slow.policy.rate = Some(Rate { count: 1, per: SECOND });
    let world = World::new(script.clone(), vec![slow]).await;
    world.publish("0", "a").await;
    world.pass(SECOND / 4).await;
    for n in 1..4 {
        world.publish(&n.to_string(), "a").await;
    }
    world.memory.fail_reading(failed());
    world.pass(SECOND * 10).await;
    assert_eq!(script.carried().len(), 1, "the others are read when it is their turn");
    world.memory.fail_reading(None);
    world.pass(SECOND * 20).await;
    assert!(world.states().await.iter().all(delivered));
}

/// Claims that fail for long strand nothing.
#[tokio::test(start_paused = true)]
async fn claims_that_fail_for_long_are_made_when_they_can_be() {
    let script = Script::steps([]);
    let endpoints = (0..40).map(|n| by_key(n, OnDead::Block)).collect();
    let world = World::new(script.clone(), endpoints).await;
    world.pass(SECOND).await;
    world.memory.fail_reading(failed());
    for n in 0..5 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND * 30).await;
    assert_eq!(script.carried().len(), 0);
    world.memory.fail_reading(None);
    world.pass(SECOND * 5).await;
    assert_eq!(script.carried().len(), 200);
    assert_eq!(world.admitting.desk.used(), 0);
}

/// A node whose store cannot be read as it starts can be stopped all the same.
#[tokio::test(start_paused = true)]
async fn a_stop_is_heard_while_the_backlog_cannot_be_read() {
    let world = World::new(Script::steps([]), vec![endpoint(1)]).await;
    world.memory.fail_reading(failed());
    world.pass(SECOND * 3).await;
    world.stopper.advance(Stage::Draining);
    tokio::time::timeout(SECOND * 60, world.running).await.expect("it ends").unwrap();
}

/// What is given back at the end may take long; what was tried is written down meanwhile.
#[tokio::test(start_paused = true)]
async fn a_stop_with_a_store_that_is_full_writes_down_what_was_tried_when_it_can() {
    let script = Script::by(|_| Step::After(SECOND * 2, ok()));
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    for n in 0..100 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    let tried = script.carried().len();
    world.memory.fail_with(Some(StoreError::Full));
    world.stopper.advance(Stage::Draining);
    world.pass(SECOND * 10).await;
    world.memory.fail_with(None);
    world.pass(SECOND * 5).await;
    assert!(world.running.is_finished());
    let rows = world.deliveries().await;
    assert_eq!(rows.iter().filter(|row| delivered(&row.delivery.state)).count(), tried);
    assert!(rows.iter().all(|row| !row.in_flight), "the rest was given back");
}

/// While places are short a lane gets a small share; when they are not any more, it is not forgotten.
#[tokio::test(start_paused = true)]
async fn a_lane_that_got_a_small_share_gets_more_when_there_is_room() {
    let hanging = endpoint(0).url;
    let script = Script::by(move |out| {
        let first = out.body.len() == 1 && out.body[0] < b'8';
        let hangs = out.url.as_str() == hanging && first;
        if hangs { Step::Hang } else { Step::After(SECOND, ok()) }
    });
    let world = World::new(script.clone(), (0..=250).map(endpoint).collect()).await;
    for n in 0..20 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND * 12).await;
    let to_it = |out: &&doorbell_core::outgoing::Outgoing| out.url.as_str() == endpoint(0).url;
    assert_eq!(script.carried().iter().filter(to_it).count(), 20);
}
