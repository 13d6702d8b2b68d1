//! Endpoints that change while something waits for them or is on its way.

use super::*;

fn disabled(endpoint: Endpoint) -> Endpoint {
    let status = Status::Disabled { at: BEGIN, why: "by the operator".to_owned() };
    Endpoint { status, ..endpoint }
}

fn moved(endpoint: Endpoint) -> Endpoint {
    Endpoint { url: "https://new.example.com/hook".to_owned(), ..endpoint }
}

/// What is accepted right after a change is treated by what was changed, however the loop comes to hear of the two.
#[tokio::test(start_paused = true)]
async fn what_is_accepted_right_after_a_change_is_not_written_off() {
    let world = World::new(Script::steps([]), vec![endpoint(0), disabled(endpoint(100))]).await;
    world.pass(SECOND).await;
    for n in 1..40 {
        let old = if n % 2 == 0 { endpoint(100) } else { endpoint(n) };
        world.change(old.clone()).await;
        world.publish("{}", "a").await;
        world.pass_by(Duration::from_millis(2), Duration::from_millis(1)).await;
        world.change(disabled(old)).await;
        world.pass_by(Duration::from_millis(2), Duration::from_millis(1)).await;
    }
    let rows = world.deliveries().await;
    let enabled = |row: &&DeliveryRow| row.delivery.attempts == 0;
    let lost: Vec<_> = rows.iter().filter(enabled).map(|row| row.delivery.state).collect();
    let at_birth = |state: &State| {
        matches!(state, State::Discarded { why: DiscardReason::EndpointDisabled, .. })
    };
    assert!(lost.iter().all(at_birth), "{lost:?}");
    let sent = rows.iter().filter(|row| delivered(&row.delivery.state)).count();
    assert_eq!(sent, 39 * 2);
}

/// A dead delivery holds its key, and two wait behind it.
async fn blocked() -> (World, Script) {
    let script =
        Script::by(
            |out| {
                if out.body.as_ref() == b"bad" { Step::status(400) } else { Step::status(200) }
            },
        );
    let mut endpoint = by_key(1, OnDead::Block);
    endpoint.policy.retry = Retry { schedule: vec![Duration::ZERO], never: Vec::new() };
    let world = World::new(script.clone(), vec![endpoint]).await;
    for body in ["bad", "1", "2"] {
        world.publish(body, "k").await;
    }
    world.pass(SECOND * 5).await;
    assert_eq!(bodies(&script), ["bad"]);
    (world, script)
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_one_held_back_goes_when_order_is_not_asked_for_any_more() {
    let (world, script) = blocked().await;
    world.change(endpoint(1)).await;
    world.pass(SECOND * 5).await;
    assert_eq!(bodies(&script), ["bad", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_one_held_back_is_written_off_with_its_endpoint() {
    for delete in [false, true] {
        let (world, _) = blocked().await;
        if delete {
            world.delete(&endpoint(1)).await;
        } else {
            world.change(disabled(by_key(1, OnDead::Block))).await;
        }
        world.pass(SECOND * 5).await;
        let states = world.states().await;
        let off = states.iter().filter(|state| matches!(state, State::Discarded { .. })).count();
        assert_eq!(off, 2, "deleted: {delete}; {states:?}");
    }
}

/// What would be tried again in hours does not go on waiting for an endpoint that is gone, however much it is.
#[tokio::test(start_paused = true)]
async fn what_is_due_much_later_is_written_off_with_its_endpoint() {
    let mut later = endpoint(1);
    later.policy.retry = Retry { schedule: vec![SECOND * 36_000], never: Vec::new() };
    let world = World::new(Script::steps([]), vec![later.clone(), endpoint(2)]).await;
    for n in 0..2_500 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND * 5).await;
    let waiting = |states: &[State]| states.iter().filter(|state| !state.is_settled()).count();
    assert_eq!(waiting(&world.states().await), 2_500);
    world.delete(&later).await;
    world.pass(SECOND * 5).await;
    let states = world.states().await;
    let deleted = |state: &&State| {
        matches!(state, State::Discarded { why: DiscardReason::EndpointDeleted, .. })
    };
    assert_eq!((waiting(&states), states.iter().filter(deleted).count()), (0, 2_500));
}

/// Two of a key are under way since order was not asked for; now it is, and the third waits for both.
#[tokio::test(start_paused = true)]
async fn what_waits_for_its_key_is_found_however_the_tries_before_it_began() {
    let script = Script::by(|_| Step::After(SECOND * 5, ok()));
    let one_at_a_time = |mut endpoint: Endpoint| {
        endpoint.policy.concurrency = 1;
        endpoint
    };
    let ordered = one_at_a_time(by_key(1, OnDead::Block));
    let paused = Endpoint { status: Status::Paused, ..ordered.clone() };
    let world = World::new(script.clone(), vec![paused]).await;
    world.publish("0", "k").await;
    world.publish("1", "k").await;
    world.change(one_at_a_time(endpoint(1))).await;
    world.pass(SECOND).await;
    world.change(ordered).await;
    world.publish("2", "k").await;
    world.pass(SECOND * 20).await;
    assert_eq!(bodies(&script), ["0", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn gone_from_an_address_that_was_left_disables_nothing() {
    let gone = match Step::status(410) {
        Step::Now(outcome) => outcome,
        Step::After(..) | Step::Hang => unreachable!(),
    };
    let script = Script::by(move |_| Step::After(SECOND * 2, gone.clone()));
    let world = World::new(script, vec![endpoint(1)]).await;
    world.publish("{}", "a").await;
    world.pass(SECOND).await;
    world.change(moved(endpoint(1))).await;
    world.pass(SECOND * 3).await;
    let directory = world.configured.directory();
    let status = &directory.endpoint(endpoint(1).id).unwrap().endpoint().status;
    assert_eq!(*status, Status::Enabled);
}

#[tokio::test(start_paused = true)]
async fn what_hangs_at_an_address_that_was_left_holds_up_nothing_at_the_new_one() {
    let old = endpoint(1).url;
    let script =
        Script::by(move |out| if out.url.as_str() == old { Step::Hang } else { Step::status(200) });
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    for n in 0..12 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    assert_eq!(script.carried().len(), 12);
    world.change(moved(endpoint(1))).await;
    world.pass(Policy::default().timeout).await;
    assert_eq!(world.breaker().await, Condition::Closed);
    world.publish("new", "a").await;
    world.pass(SECOND).await;
    assert!(bodies(&script).contains(&"new".to_owned()));
}

/// What the filter drops is not sent, and takes nothing of the rate.
#[tokio::test(start_paused = true)]
async fn what_the_filter_does_not_want_takes_no_turn() {
    let script = Script::steps([]);
    let mut choosy = endpoint(1);
    choosy.subscription.filter = Some(r#"{"body":{"n":{"$gt":9}}}"#.into());
    choosy.policy.rate = Some(Rate { count: 1, per: SECOND * 60 });
    let world = World::new(script.clone(), vec![choosy]).await;
    for n in 0..=11 {
        world.publish(&format!(r#"{{"n":{n}}}"#), "a").await;
    }
    world.pass(SECOND * 5).await;
    assert_eq!(bodies(&script), [r#"{"n":10}"#], "nothing was sent before it");
    world.pass(SECOND * 61).await;
    assert_eq!(script.carried().len(), 2, "and the rate is kept");
}
