//! A broker that is away, or that takes connections and says nothing, holds nobody up.

use crate::world::{dialer, message};
use doorbell_queue::{Address, Outlet, QueueError, Tap};
use std::time::Duration;
use tokio::net::TcpListener;

const ENGINES: [&str; 5] = ["amqp", "nats", "sqs+http", "redis", "mqtt"];

fn address(scheme: &str, port: u16) -> Address {
    format!("{scheme}://u:p@127.0.0.1:{port}/q?queue=q&stream=s").parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_is_busy_after_a_while() {
    // It takes connections (the system does, for a listener) and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for scheme in ENGINES {
        let outlet = Outlet::new(address(scheme, port), dialer()).unwrap();
        let put = outlet.put(message("m", b"x"));
        let put = tokio::time::timeout(Duration::from_secs(20), put).await;
        let error = put.expect("a put ends").unwrap_err();
        assert!(error.passes(), "{scheme}: {error}");
        let tap = Tap::new(address(scheme, port), dialer(), 10).unwrap();
        let take = tap.take(1, Duration::from_secs(1));
        let take = tokio::time::timeout(Duration::from_secs(20), take).await;
        let error = take.expect("a take ends").unwrap_err();
        assert!(error.passes(), "{scheme}: {error}");
    }
}

#[tokio::test]
async fn one_that_is_away_is_unreachable_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    for scheme in ENGINES {
        let outlet = Outlet::new(address(scheme, port), dialer()).unwrap();
        for _ in 0..2 {
            let error = outlet.put(message("m", b"x")).await.unwrap_err();
            assert!(matches!(error, QueueError::Unreachable(_)), "{scheme}: {error}");
        }
    }
}

#[tokio::test]
async fn what_would_be_read_as_something_else_is_not_written() {
    for scheme in ENGINES {
        let outlet = Outlet::new(address(scheme, 1), dialer()).unwrap();
        let mut lines = message("m", b"x");
        lines.headers.push(("a".to_owned(), "b\r\nPUB c 0".to_owned()));
        let mut key = message("m", b"x");
        key.key = "a\r\nPUB b 0\r\n".to_owned();
        for bad in [message("", b"x"), message("a b", b"x"), lines, key] {
            let error = outlet.put(bad).await.unwrap_err();
            assert!(matches!(error, QueueError::Failed(_)), "{scheme}: {error}");
        }
    }
}
