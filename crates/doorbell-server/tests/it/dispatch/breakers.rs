//! Open breakers, and who asks for a try meanwhile.

use super::*;

/// An endpoint that refuses until it is `up`, its breaker open, with a backlog of its own in memory and in the store.
async fn shut(up: &Arc<AtomicBool>, endpoint: Endpoint) -> (World, Script) {
    let up = Arc::clone(up);
    let script =
        Script::by(move |_| Step::status(if up.load(Ordering::SeqCst) { 200 } else { 503 }));
    let world = World::new(script.clone(), vec![endpoint]).await;
    for n in 0..700 {
        world.publish(&n.to_string(), &n.to_string()).await;
    }
    world.pass(SECOND * 2).await;
    assert!(!matches!(world.breaker().await, Condition::Closed));
    (world, script)
}

impl World {
    pub(super) async fn breaker(&self) -> Condition {
        self.standings.of(&[endpoint(1).id]).await[&endpoint(1).id].breaker
    }

    /// Retries the delivery of that place in the list (0: the newest event's), as the API would.
    async fn retry(&self, place: usize) -> DeliveryId {
        let delivery = self.deliveries().await[place].delivery.id;
        let (tenant, due) = (TenantId::DEFAULT, self.admitting.clock.now());
        let mut promises = self.admitting.desk.promises();
        let lend = promises.ask_first(endpoint(1).id);
        let amendment = Amendment::Retry { tenant, delivery, due, lend };
        self.store.amend(vec![amendment]).await.unwrap();
        delivery
    }
}

#[tokio::test(start_paused = true)]
async fn a_manual_retry_is_the_probe_of_an_open_breaker() {
    for endpoint in [endpoint(1), by_key(1, OnDead::Block)] {
        let up = Arc::new(AtomicBool::new(false));
        let (world, script) = shut(&up, endpoint).await;
        let before = script.carried().len();
        world.pass(SECOND).await;
        assert_eq!(script.carried().len(), before, "all wait");
        up.store(true, Ordering::SeqCst);
        let asked = world.retry(0).await;
        world.pass_by(Duration::from_millis(3), Duration::from_millis(1)).await;
        assert_eq!(bodies(&script)[before], "699", "the newest of all went first, and at once");
        assert_eq!(world.triggers(asked).await, [Trigger::Manual]);
        assert_eq!(world.breaker().await, Condition::Closed, "its result is the probe's");
        world.pass(SECOND * 30).await;
        assert!(script.carried().len() >= 700, "and the others follow");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_many_probes_one_at_a_time() {
    let up = Arc::new(AtomicBool::new(false));
    let (world, script) = shut(&up, endpoint(1)).await;
    let before = script.carried().len();
    for n in 0..100 {
        world.retry(n).await;
    }
    world.pass(SECOND * 3).await;
    let tried = u32::try_from(script.carried().len() - before).unwrap();
    assert!((1..=2).contains(&tried), "{tried} probes");
    let Condition::Open { why, .. } = world.breaker().await else { panic!("not open") };
    assert_eq!(why.failures, limits::BREAKER_FAILURES + tried, "each counted as the probe's");
}

/// While a probe is out, another one is not sent, whoever asks.
#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_the_probe_that_is_out() {
    let calls = Arc::new(AtomicUsize::new(0));
    let script = Script::by(move |_| {
        if calls.fetch_add(1, Ordering::SeqCst) < 16 { Step::status(500) } else { Step::Hang }
    });
    let world = World::new(script.clone(), vec![endpoint(1)]).await;
    for n in 0..100 {
        world.publish(&n.to_string(), "a").await;
    }
    world.pass(SECOND * 2).await;
    let before = script.carried().len();
    world.retry(0).await;
    world.pass(SECOND).await;
    world.retry(1).await;
    world.pass(SECOND * 5).await;
    assert_eq!(script.carried().len(), before + 1);
    assert!(matches!(world.breaker().await, Condition::HalfOpen { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_retry_to_a_paused_endpoint_waits() {
    let script = Script::steps([]);
    let paused = Endpoint { status: Status::Paused, ..endpoint(1) };
    let world = World::new(script.clone(), vec![paused]).await;
    world.publish("{}", "a").await;
    world.retry(0).await;
    world.pass(SECOND * 5).await;
    assert_eq!(script.carried().len(), 0);
    assert_eq!(world.admitting.desk.used(), 0, "it holds no room");
    world.change(endpoint(1)).await;
    world.pass(SECOND).await;
    assert_eq!(script.carried().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn open_breakers_are_counted_and_tell_how_they_stand() {
    let up = Arc::new(AtomicBool::new(false));
    let (world, _) = shut(&up, endpoint(1)).await;
    let count = || world.admitting.metrics.value(Metric::BreakersOpen);
    let standing = world.standings.of(&[endpoint(1).id, endpoint(2).id]).await;
    assert_eq!(standing[&endpoint(2).id].breaker, Condition::Closed, "nothing goes there");
    let one = standing[&endpoint(1).id];
    assert_eq!((count(), one.in_flight), (1, 0));
    assert!(one.waiting > 0);
    up.store(true, Ordering::SeqCst);
    world.change(Endpoint { url: "https://new.example.com".to_owned(), ..endpoint(1) }).await;
    world.pass(SECOND).await;
    assert_eq!((count(), world.breaker().await), (0, Condition::Closed), "it moved");
    world.stopper.advance(Stage::Draining);
    world.running.await.unwrap();
    assert!(world.standings.of(&[endpoint(1).id]).await.is_empty(), "nobody answers");
}
