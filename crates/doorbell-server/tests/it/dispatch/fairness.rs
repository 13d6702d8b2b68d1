//! Endpoints that are slow or dead, and those beside them.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_costs_only_itself() {
    let dead = endpoint(1).url;
    let script = Script::by(
        move |out| {
            if out.url.as_str() == dead { Step::Hang } else { Step::status(200) }
        },
    );
    let world = World::new(script.clone(), vec![endpoint(1), endpoint(2)]).await;
    for n in 0..500 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    let good = script.carried().iter().filter(|out| out.url.as_str() == endpoint(2).url).count();
    assert_eq!(good, 500);
    world.pass(SECOND * 120).await;
    let to_dead = script.carried().len() - 500;
    assert!((16..100).contains(&to_dead), "the breaker lets few through: {to_dead}");
    let waiting = world.states().await.iter().filter(|state| !state.is_settled()).count();
    assert_eq!(waiting, 500, "and burns no tries");
}

/// However many endpoints are slow at once, each with as much out as it may: one that is not has its turn at once.
#[tokio::test(start_paused = true)]
async fn many_slow_endpoints_hold_up_no_other() {
    let quick = endpoint(255).url;
    let script = Script::by(
        move |out| {
            if out.url.as_str() == quick { Step::status(200) } else { Step::Hang }
        },
    );
    let world = World::new(script.clone(), (0..=254).map(endpoint).collect()).await;
    for n in 0..20 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    let held = script.carried().len();
    assert!(held >= 1_024, "more than half of all places are taken: {held}");
    world.change(endpoint(255)).await;
    world.publish("the quick one", "a").await;
    world.pass(SECOND).await;
    let quick = endpoint(255).url;
    let to_quick = script.carried().into_iter().filter(|out| out.url.as_str() == quick).count();
    assert_eq!(to_quick, 1);
    assert!(
        script.carried().len() <= PLACES + 1,
        "never more out than places; the quick one has ended"
    );
}

/// Dead endpoints with a backlog fill no memory that others need: those hold only what their probe needs.
#[tokio::test(start_paused = true)]
async fn many_dead_endpoints_leave_memory_to_the_others() {
    let quick = endpoint(250).url;
    let script = Script::by(
        move |out| {
            if out.url.as_str() == quick { Step::status(200) } else { Step::Hang }
        },
    );
    let memory = Memory::new();
    let store = Arc::new(AnyStore::from(memory.clone()));
    let puts = (0..20).map(|n| Change::Put(Resource::Endpoint(endpoint(n)))).collect();
    store.configure(puts).await.unwrap();
    let desk = Desk::with_room(8_000);
    let world = World::with_desk(desk.clone(), (memory, store), script.clone()).await;
    for n in 0..450 {
        world.publish(&n.to_string(), "a").await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.change(endpoint(250)).await;
    world.pass(SECOND * 3).await;
    assert!(desk.used() > 7_000, "the dead hold what they can: {}", desk.used());
    assert!(
        desk.promises().ask(endpoint(250).id),
        "one that is well gets its deliveries at once, {} are held",
        desk.used()
    );
    world.publish("for the quick one", "a").await;
    world.pass(SECOND).await;
    let quick = endpoint(250).url;
    assert_eq!(script.carried().into_iter().filter(|out| out.url.as_str() == quick).count(), 1);
    world.pass(SECOND * 300).await;
    assert!(desk.used() <= 20 * 8, "they are known to be dead by now, and hold {}", desk.used());
    let waiting = world.states().await.iter().filter(|state| !state.is_settled()).count();
    assert_eq!(waiting, 20 * 451, "and nothing is lost");
}

/// Other nodes lend without asking for room: what is too much goes back to the store, and has its turn.
#[tokio::test(start_paused = true)]
async fn what_others_lend_too_much_goes_back() {
    let script = Script::by(|_| Step::After(Duration::from_millis(50), ok()));
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    let mut most = 0;
    for n in 0..6_000 {
        let mut admission = world.admission(&n.to_string(), "a");
        admission.deliveries.iter_mut().for_each(|delivery| delivery.lend = true);
        world.store.accept(admission).await.unwrap();
        tokio::task::yield_now().await;
        most = most.max(world.admitting.desk.used());
    }
    assert!(
        (limits::ENDPOINT_WINDOW * 2..limits::ENDPOINT_WINDOW * 3).contains(&most),
        "{most} were held"
    );
    world.pass(SECOND * 60).await;
    let mut seen = bodies(&script);
    seen.sort();
    seen.dedup();
    assert_eq!((seen.len(), script.carried().len()), (6_000, 6_000));
    assert!(world.states().await.iter().all(delivered));
    assert_eq!(world.admitting.desk.used(), 0);
}

/// What the slow ones leave free goes to whoever needs it, not by head.
#[tokio::test(start_paused = true)]
async fn a_busy_endpoint_has_what_it_needs_beside_many_slow_ones() {
    let policy = Policy { concurrency: 80, ..Policy::default() };
    let busy = Endpoint { policy, ..endpoint(255) };
    let script = Script::by(|_| Step::Hang);
    let world = World::new(script.clone(), (0..100).map(endpoint).collect()).await;
    for n in 0..16 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    assert_eq!(script.carried().len(), 1_600, "more than half of all places");
    world.change(busy.clone()).await;
    for n in 0..80 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND).await;
    let to_busy = script.carried().into_iter().filter(|out| out.url.as_str() == busy.url).count();
    assert_eq!(to_busy, 80);
}

/// A lane's gate may open while the loop looks at it: it decides by one reading of the clock, and goes on.
#[tokio::test(start_paused = true)]
async fn a_gate_that_opens_under_the_loops_eyes_does_not_hold_it_up() {
    let rate = Some(Rate { count: 1, per: Duration::from_millis(10) });
    let limited = Endpoint { policy: Policy { rate, ..Policy::default() }, ..endpoint(1) };
    let world = World::new(Script::steps([]), vec![limited]).await;
    world.clock.tick(Duration::from_millis(7));
    for n in 0..50 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND * 10).await;
    assert!(world.states().await.iter().all(delivered));
}

/// Large bodies share their room: what is over it waits and is not out, small ones pass, and it goes on.
#[tokio::test(start_paused = true)]
async fn bodies_that_are_out_have_a_bound() {
    let script = Script::by(|_| Step::Hang);
    let world = World::new(script.clone(), (0..4).map(endpoint).collect()).await;
    world.publish(&"x".repeat(30_000), "a").await;
    world.pass(SECOND).await;
    assert_eq!(script.carried().len(), 2, "as much as leaves room for smaller ones");
    world.publish("small", "a").await;
    world.pass(SECOND).await;
    let small = script.carried().iter().filter(|out| out.body.len() == 5).count();
    assert_eq!(small, 2, "small ones pass, but for those behind a large one");
    let rows = world.deliveries().await;
    let untried = rows.iter().filter(|row| !row.in_flight && row.delivery.attempts == 0);
    assert_eq!(untried.count(), 4, "who waits for room is not out");
    world.pass(SECOND * 60).await;
    let large = script.carried().iter().filter(|out| out.body.len() == 30_000).count();
    assert!(large >= 4, "when others have ended it goes on: {large}");
}

/// Room goes to whoever waits for it, in turn, and not back to whoever has it; smaller ones need not wait for larger ones.
#[tokio::test(start_paused = true)]
async fn room_for_bodies_goes_from_one_to_the_next() {
    let script = Script::by(|_| match Step::status(200) {
        Step::Now(outcome) => Step::After(SECOND, outcome),
        other @ (Step::After(..) | Step::Hang) => other,
    });
    let world = World::new(script.clone(), (0..6).map(endpoint).collect()).await;
    for _ in 0..20 {
        world.publish(&"x".repeat(30_000), "a").await;
    }
    world.change(endpoint(6)).await;
    world.publish(&"x".repeat(17_000), "a").await;
    world.pass(SECOND * 12).await;
    let sent = |n: u8, len: usize| {
        let url = endpoint(n).url;
        let carried = script.carried().into_iter();
        carried.filter(|out| out.url.as_str() == url && out.body.len() == len).count()
    };
    let each: Vec<usize> = (0..6).map(|n| sent(n, 30_000)).collect();
    assert!(each.iter().all(|count| (3..6).contains(count)), "{each:?}");
    assert_eq!(sent(6, 17_000), 1);
}

/// However many wait for room for large bodies, one that fits is found among them.
#[tokio::test(start_paused = true)]
async fn what_fits_is_found_behind_many_that_do_not() {
    let script = Script::by(|_| Step::Hang);
    let world = World::new(script.clone(), (0..100).map(endpoint).collect()).await;
    world.publish(&"x".repeat(45_000), "a").await;
    world.pass(SECOND).await;
    assert_eq!(script.carried().len(), 1);
    // The hundred stand in line; another one comes last, with a body for which there is room.
    world.change(endpoint(200)).await;
    world.publish(&"x".repeat(20_000), "a").await;
    world.pass(SECOND * 2).await;
    let url = endpoint(200).url;
    assert_eq!(script.carried().into_iter().filter(|out| out.url.as_str() == url).count(), 1);
}

/// A body larger than all the room there is goes alone.
#[tokio::test(start_paused = true)]
async fn no_body_is_too_large_for_ever() {
    let script = Script::by(|_| Step::status(200));
    let world = World::new(script.clone(), (0..3).map(endpoint).collect()).await;
    world.publish(&"x".repeat(2 * usize::try_from(BODIES).unwrap()), "a").await;
    world.pass(SECOND).await;
    assert_eq!(script.carried().len(), 3);
    assert!(world.states().await.iter().all(|state| state.is_settled()));
}
