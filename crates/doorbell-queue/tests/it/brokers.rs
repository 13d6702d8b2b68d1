//! What every broker must do, by all the clients.

use crate::world::{LONG, addresses, broker, dialer, fresh, message};
use doorbell_queue::{Address, Outlet, QueueError, Taken, Tap, Token};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(2);

async fn take(tap: &Tap, count: usize) -> Vec<Taken> {
    let mut all = Vec::new();
    let taking = async {
        while all.len() < count {
            all.extend(tap.take(count - all.len(), WAIT).await.unwrap());
        }
    };
    tokio::time::timeout(LONG, taking).await.expect("they come");
    all
}

fn tokens(taken: &[Taken]) -> Vec<Token> {
    taken.iter().map(|one| one.token.clone()).collect()
}

fn ids(taken: &[Taken]) -> Vec<String> {
    taken.iter().map(|one| one.message.id.clone()).collect()
}

/// Bytes as they were put, headers, order; what is done does not come again.
async fn round(engine: &str) {
    let (to, from) = addresses(engine);
    let tap = Tap::new(from, dialer(), 100).unwrap();
    // On MQTT a subscription must be there first.
    assert!(tap.take(1, Duration::from_millis(50)).await.unwrap().is_empty());
    let outlet = Outlet::new(to, dialer()).unwrap();
    let prefix = fresh(engine);
    let bodies: [&[u8]; 4] = [b"{\"a\":1}", b"", b"\xff\x00\r\n$", &[7; 200_000]];
    for (at, body) in bodies.iter().enumerate() {
        outlet.put(message(&format!("{prefix}-{at}"), body)).await.unwrap();
    }
    let taken = take(&tap, bodies.len()).await;
    for (at, one) in taken.iter().enumerate() {
        assert_eq!(one.message.id, format!("{prefix}-{at}"), "{engine}");
        assert_eq!(&one.message.body[..], bodies[at], "{engine}");
        assert_eq!(one.message.content_type.as_deref(), Some("application/json"), "{engine}");
        let header = one.message.headers.iter().find(|(name, _)| name == "x-one");
        assert_eq!(header.map(|(_, value)| value.as_str()), Some("1 and more"), "{engine}");
        assert_eq!(one.tries, 0, "{engine}");
    }
    tap.hold(&tokens(&taken)).await.unwrap();
    tap.done(&tokens(&taken)).await.unwrap();
    assert!(tap.take(1, Duration::from_secs(1)).await.unwrap().is_empty(), "{engine}");
}

/// What is given back comes again; what another one had and was not done with, too.
async fn again(engine: &str) {
    let (to, from) = addresses(engine);
    let tap = Tap::new(from.clone(), dialer(), 100).unwrap();
    assert!(tap.take(1, Duration::from_millis(50)).await.unwrap().is_empty());
    let outlet = Outlet::new(to, dialer()).unwrap();
    let prefix = fresh(engine);
    for at in 0..3 {
        outlet.put(message(&format!("{prefix}-{at}"), b"x")).await.unwrap();
    }
    let first = take(&tap, 3).await;
    let wanted = ids(&first);
    tap.back(first).await.unwrap();
    let second = take(&tap, 3).await;
    assert_eq!(ids(&second), wanted, "{engine}");
    tap.done(&tokens(&second)[..1]).await.unwrap();
    tap.close(second[1..].to_vec()).await.unwrap();
    drop(tap);
    let tap = Tap::new(from, dialer(), 100).unwrap();
    let third = take(&tap, 2).await;
    assert_eq!(ids(&third), wanted[1..], "{engine}");
    tap.done(&tokens(&third)).await.unwrap();
    assert!(tap.take(1, Duration::from_secs(1)).await.unwrap().is_empty(), "{engine}");
}

/// Many at once: each is confirmed, each comes.
async fn many(engine: &str, count: usize) {
    let (to, from) = addresses(engine);
    let tap = Tap::new(from, dialer(), 64).unwrap();
    assert!(tap.take(1, Duration::from_millis(50)).await.unwrap().is_empty());
    let outlet = std::sync::Arc::new(Outlet::new(to, dialer()).unwrap());
    let prefix = fresh(engine);
    let putting = {
        let (outlet, prefix) = (outlet.clone(), prefix.clone());
        tokio::spawn(async move {
            let mut all = tokio::task::JoinSet::new();
            for at in 0..count {
                let (outlet, id) = (outlet.clone(), format!("{prefix}-{at}"));
                all.spawn(async move { outlet.put(message(&id, &[b'x'; 500])).await });
            }
            while let Some(put) = all.join_next().await {
                put.unwrap().unwrap();
            }
        })
    };
    let mut seen = std::collections::BTreeSet::new();
    let taking = async {
        while seen.len() < count {
            let taken = tap.take(50, WAIT).await.unwrap();
            tap.done(&tokens(&taken)).await.unwrap();
            seen.extend(ids(&taken));
        }
    };
    tokio::time::timeout(LONG, taking).await.unwrap_or_else(|_| panic!("{engine}: they come"));
    putting.await.unwrap();
    // A broker may count what was confirmed a moment later.
    let counted =
        async { while tap.waiting().await.unwrap().is_some_and(|waiting| waiting > 64) {} };
    tokio::time::timeout(LONG, counted).await.unwrap_or_else(|_| panic!("{engine}: all are done"));
}

/// Somebody whom the broker does not know.
async fn refused(engine: &str, address: String) {
    let address: Address = address.parse().unwrap();
    let outlet = Outlet::new(address, dialer()).unwrap();
    let error = outlet.put(message("m", b"x")).await.unwrap_err();
    assert!(matches!(error, QueueError::Refused(_)), "{engine}: {error}");
}

/// Somewhere that is not.
async fn nowhere(engine: &str, address: String) {
    let address: Address = address.parse().unwrap();
    let outlet = Outlet::new(address, dialer()).unwrap();
    for _ in 0..2 {
        let error = outlet.put(message("m", b"x")).await.unwrap_err();
        assert!(matches!(error, QueueError::NoSuchQueue(_)), "{engine}: {error}");
    }
}

fn strange(engine: &str) -> String {
    broker(engine).replacen("://", "://nobody:wrong@", 1)
}

#[tokio::test]
async fn amqp_does_what_every_broker_must() {
    round("amqp").await;
    again("amqp").await;
    many("amqp", 1000).await;
}

#[tokio::test]
async fn amqp_says_what_is_wrong() {
    refused("amqp", format!("{}?queue=q", strange("amqp"))).await;
    nowhere("amqp", format!("{}?queue=not-there", broker("amqp"))).await;
    nowhere("amqp", format!("{}?exchange=not-there&key=x", broker("amqp"))).await;
    nowhere("amqp", format!("{}?exchange=amq.direct&key=nothing-is-bound", broker("amqp"))).await;
    let large: Address = format!("{}?queue=x&max_bytes=10", broker("amqp")).parse().unwrap();
    let outlet = Outlet::new(large, dialer()).unwrap();
    let error = outlet.put(message("m", &[0; 11])).await.unwrap_err();
    assert!(matches!(error, QueueError::TooLarge(_)), "{error}");
}

#[tokio::test]
async fn nats_does_what_every_broker_must() {
    round("nats").await;
    again("nats").await;
    many("nats", 1000).await;
}

#[tokio::test]
async fn nats_says_what_is_wrong() {
    nowhere("nats", format!("{}no.stream.takes.it", broker("nats"))).await;
    let (to, from) = addresses("nats");
    let outlet = Outlet::new(to, dialer()).unwrap();
    let error = outlet.put(message("m", &vec![0; 2 << 20])).await.unwrap_err();
    assert!(matches!(error, QueueError::TooLarge(_)), "{error}");
    outlet.put(message("m", b"x")).await.unwrap();
    outlet.put(message("m", b"x")).await.unwrap();
    let tap = Tap::new(from.clone(), dialer(), 10).unwrap();
    assert_eq!(tap.waiting().await.unwrap(), Some(1), "the second one was known by its id");
    assert!(tap.doubt().await.unwrap().is_some_and(|words| words.contains("flush")));
}

#[tokio::test]
async fn redis_does_what_every_broker_must() {
    round("redis").await;
    again("redis").await;
    many("redis", 1000).await;
}

#[tokio::test]
async fn redis_says_what_is_wrong() {
    refused("redis", strange("redis")).await;
}

#[tokio::test]
async fn mqtt_does_what_every_broker_must() {
    round("mqtt").await;
    again("mqtt").await;
    many("mqtt", 1000).await;
}

#[tokio::test]
async fn mqtt_says_what_is_wrong() {
    nowhere("mqtt", format!("{}nobody/subscribes", broker("mqtt"))).await;
}

#[tokio::test]
async fn sqs_does_what_every_broker_must() {
    // One after the other: they share the queue.
    again_on_sqs().await;
    many("sqs", 100).await;
}

/// As `round` and `again`, without an order.
async fn again_on_sqs() {
    let (to, from) = addresses("sqs");
    let (outlet, tap) = (Outlet::new(to, dialer()).unwrap(), Tap::new(from, dialer(), 10).unwrap());
    outlet.put(message("sqs-1", b"\xff\x00")).await.unwrap();
    let taken = take(&tap, 1).await;
    assert_eq!((&taken[0].message.body[..], taken[0].tries), (&b"\xff\x00"[..], 0));
    assert_eq!(taken[0].message.headers, message("", b"").headers);
    tap.hold(&tokens(&taken)).await.unwrap();
    tap.back(taken).await.unwrap();
    let taken = take(&tap, 1).await;
    assert_eq!((taken[0].message.id.as_str(), taken[0].tries), ("sqs-1", 1));
    tap.done(&tokens(&taken)).await.unwrap();
    assert!(tap.take(1, Duration::from_secs(1)).await.unwrap().is_empty());
}

#[tokio::test]
async fn sqs_fifo_keeps_the_order_and_knows_repeats() {
    let base = broker("sqs");
    let address: Address = format!("{base}/tests.fifo").parse().unwrap();
    let outlet = Outlet::new(address.clone(), dialer()).unwrap();
    let tap = Tap::new(address, dialer(), 10).unwrap();
    let prefix = fresh("f");
    for at in [0, 1, 2, 1, 0, 3] {
        outlet.put(message(&format!("{prefix}-{at}"), b"x")).await.unwrap();
    }
    let taken = take(&tap, 4).await;
    assert_eq!(ids(&taken), (0..4).map(|at| format!("{prefix}-{at}")).collect::<Vec<_>>());
    tap.done(&tokens(&taken)).await.unwrap();
}

#[tokio::test]
async fn sqs_says_what_is_wrong() {
    let base = broker("sqs");
    nowhere("sqs", format!("{base}/not-there")).await;
    let large: Address = format!("{base}/tests").parse().unwrap();
    let outlet = Outlet::new(large, dialer()).unwrap();
    let error = outlet.put(message("m", &vec![b'x'; 2 << 20])).await.unwrap_err();
    assert!(matches!(error, QueueError::TooLarge(_)), "{error}");
}
