//! Connections are kept and used again, and a stale one costs no delivery.

use super::rig::*;
use doorbell_core::attempt::ErrorClass;
use doorbell_server::sender::{KeepIdle, Sender, SenderOptions};
use std::time::Duration;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn ordinary() -> Receiver {
    Receiver::start(|caller| async move { serve_all(caller.tcp, OK).await }).await
}

#[tokio::test]
async fn many_deliveries_one_connection() {
    let receiver = ordinary().await;
    let sender = sender();
    for number in 0..50 {
        let carried = carry(&sender, post(&receiver.url("/"))).await;
        assert_eq!(carried.timings.connect.is_some(), number == 0);
        assert_eq!(carried.address, Some(receiver.address));
        assert_eq!(answered(carried).status, 200);
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_chunked_answer_leaves_its_connection_usable() {
    let receiver = Receiver::start(|caller| async move {
        let answer =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-a: b\r\n\r\n";
        serve_all(caller.tcp, answer).await
    })
    .await;
    let sender = sender();
    for _ in 0..10 {
        assert_eq!(&answered(carry(&sender, post(&receiver.url("/"))).await).body[..], b"ok");
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_receiver_that_wants_to_close_may() {
    for answer in [
        &b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"[..],
        b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    ] {
        let receiver =
            Receiver::start(move |caller| async move { serve_all(caller.tcp, answer).await }).await;
        let sender = sender();
        for _ in 0..3 {
            answered(carry(&sender, post(&receiver.url("/"))).await);
        }
        assert_eq!(receiver.connections(), 3);
    }
}

/// The receiver closes each connection right after its first answer, without saying so.
#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_costs_no_delivery() {
    let receiver = Receiver::start(|mut caller| async move {
        caller.request().await?;
        caller.say(OK).await
    })
    .await;
    let sender = sender();
    for _ in 0..20 {
        assert_eq!(answered(carry(&sender, post(&receiver.url("/"))).await).status, 200);
    }
    assert_eq!(receiver.connections(), 20);
}

/// The receiver takes the second request of a connection and closes it: no better and no worse than a stale one.
#[tokio::test]
async fn a_request_on_a_stale_connection_is_sent_once_more() {
    let receiver = Receiver::start(|mut caller| async move {
        caller.request().await?;
        caller.say(OK).await?;
        caller.request().await?;
        Ok(())
    })
    .await;
    let sender = sender();
    for _ in 0..5 {
        let carried = carry(&sender, post(&receiver.url("/"))).await;
        assert_eq!(answered(carried).status, 200);
    }
    assert_eq!(receiver.connections(), 5, "each stale one leads to a fresh one");
}

/// On the second connection, too, nothing comes: that is the outcome, there is no third.
#[tokio::test]
async fn it_is_sent_once_more_and_no_more() {
    let first = std::sync::atomic::AtomicBool::new(true);
    let receiver = Receiver::start(move |mut caller| {
        let answers = first.swap(false, std::sync::atomic::Ordering::SeqCst);
        async move {
            caller.request().await?;
            if answers {
                caller.say(OK).await?;
                caller.request().await?;
            }
            Ok(())
        }
    })
    .await;
    let sender = sender();
    answered(carry(&sender, post(&receiver.url("/"))).await);
    let carried = carry(&sender, post(&receiver.url("/"))).await;
    expect_fault(carried, ErrorClass::ConnectionReset, "before the response");
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn a_stalled_reused_connection_is_not_tried_again() {
    let receiver = Receiver::start(|mut caller| async move {
        caller.request().await?;
        caller.say(OK).await?;
        caller.wait_for_end().await
    })
    .await;
    let sender = sender();
    answered(carry(&sender, post(&receiver.url("/"))).await);
    let carried = carry(&sender, post_within(&receiver.url("/"), SHORT)).await;
    expect_fault(carried, ErrorClass::TimeoutResponse, "");
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn idle_connections_are_closed_after_their_time() {
    let (ended, mut ends) = tokio::sync::mpsc::channel(1);
    let receiver = Receiver::start(move |mut caller| {
        let ended = ended.clone();
        async move {
            caller.request().await?;
            caller.say(OK).await?;
            caller.wait_for_end().await?;
            ended.send(()).await.map_err(std::io::Error::other)
        }
    })
    .await;
    let keep_idle = KeepIdle { time: Duration::from_millis(200), ..KeepIdle::default() };
    let sender = Sender::new(SenderOptions { keep_idle, ..options() }).unwrap();
    answered(carry(&sender, post(&receiver.url("/"))).await);
    tokio::time::timeout(LONG, ends.recv()).await.expect("it is closed").unwrap();
}

#[tokio::test]
async fn an_attempt_that_is_dropped_hangs_up() {
    let (heard, mut hears) = tokio::sync::mpsc::channel(2);
    let receiver = Receiver::start(move |mut caller| {
        let heard = heard.clone();
        async move {
            caller.request().await?;
            heard.send("a request").await.map_err(std::io::Error::other)?;
            caller.wait_for_end().await?;
            heard.send("the end").await.map_err(std::io::Error::other)
        }
    })
    .await;
    let sender = sender();
    tokio::select! {
        carried = sender.carry(post(&receiver.url("/"))) => panic!("{carried:?}"),
        heard = hears.recv() => assert_eq!(heard, Some("a request")),
    }
    let end = tokio::time::timeout(LONG, hears.recv()).await;
    assert_eq!(end, Ok(Some("the end")));
}

/// However many were open at once, only so many are kept.
#[tokio::test]
async fn no_more_idle_connections_are_kept_than_allowed() {
    for (keep_idle, kept) in [
        (KeepIdle { per_receiver: 2, ..KeepIdle::default() }, 2),
        (KeepIdle { total: 3, ..KeepIdle::default() }, 3),
        (KeepIdle { total: 0, ..KeepIdle::default() }, 0),
    ] {
        let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(5));
        let receiver = Receiver::start(move |mut caller| {
            let barrier = barrier.clone();
            async move {
                loop {
                    caller.request().await?;
                    barrier.wait().await;
                    caller.say(OK).await?;
                }
            }
        })
        .await;
        let sender =
            std::sync::Arc::new(Sender::new(SenderOptions { keep_idle, ..options() }).unwrap());
        for _ in 0..2 {
            let mut all = tokio::task::JoinSet::new();
            for _ in 0..5 {
                let (sender, outgoing) = (sender.clone(), post(&receiver.url("/")));
                all.spawn(async move { answered(sender.carry(outgoing).await).status });
            }
            assert_eq!(all.join_all().await, [200; 5]);
        }
        assert_eq!(receiver.connections(), 10 - kept);
    }
}
