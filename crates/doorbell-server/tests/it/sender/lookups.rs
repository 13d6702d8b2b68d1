//! Names: failures, caching, and resolvers that hang.

use super::rig::*;
use doorbell_core::address::AllowPrivate;
use doorbell_core::attempt::ErrorClass;
use doorbell_core::time::Time;
use doorbell_server::clock::{Clock, ManualClock};
use doorbell_server::sender::{Resolver, Sender, SenderOptions};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::watch;

fn sender_asking(resolver: Resolver, clock: Clock) -> Sender {
    let allow_private = AllowPrivate::loopback();
    Sender::new(SenderOptions { resolver, allow_private, ..SenderOptions::new(clock) }).unwrap()
}

#[tokio::test]
async fn a_name_without_address() {
    for (result, class) in [
        (Ok(vec![]), ErrorClass::DnsNotFound),
        (
            Err("failed to lookup address information: Name or service not known"),
            ErrorClass::DnsNotFound,
        ),
        (
            Err("failed to lookup address information: Name does not resolve"),
            ErrorClass::DnsNotFound,
        ),
        (
            Err("failed to lookup address information: Temporary failure in name resolution"),
            ErrorClass::DnsFailed,
        ),
    ] {
        let resolver = Resolver::answering(move |_| result.clone().map_err(io::Error::other));
        let sender = sender_asking(resolver, Clock::real());
        let carried = carry(&sender, post("http://hooks.example.com/")).await;
        expect_fault(carried, class, "hooks.example.com");
    }
}

#[tokio::test]
async fn a_name_is_looked_up_once_for_many_and_again_when_it_is_old() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let resolver = Resolver::answering(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        Ok(vec!["127.0.0.1".parse().unwrap()])
    });
    let hand = ManualClock::new(Time::from_ms(1_800_000_000_000), 1);
    let sender = Arc::new(sender_asking(resolver, Clock::Manual(hand.clone())));
    let receiver = Receiver::start(|caller| async move {
        serve_all(caller.tcp, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
    })
    .await;
    let url = format!("http://hooks.example.com:{}/", receiver.address.port());
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (sender, outgoing) = (sender.clone(), post(&url));
        all.spawn(async move { answered(sender.carry(outgoing).await).status });
    }
    assert_eq!(all.join_all().await, vec![200; 50]);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    for (pass, lookups) in [(9_999, 1), (1, 2), (9_999, 2), (1, 3)] {
        hand.advance(Duration::from_millis(pass));
        answered(sender.carry(post(&url)).await);
        assert_eq!(asked.load(Ordering::SeqCst), lookups);
    }
}

/// A resolver that hangs costs those who ask for its names their own time, and nobody else theirs.
#[tokio::test]
async fn a_hung_resolver_delays_only_its_own_names() {
    let (release, hang) = mpsc::channel::<()>();
    let hang = std::sync::Mutex::new(hang);
    let hung = Arc::new(AtomicUsize::new(0));
    let count = hung.clone();
    let resolver = Resolver::answering(move |name| {
        if name.starts_with("slow") {
            count.fetch_add(1, Ordering::SeqCst);
            hang.lock().unwrap().recv().unwrap_err();
        }
        Ok(vec!["127.0.0.1".parse().unwrap()])
    });
    let sender = Arc::new(sender_asking(resolver, Clock::real()));
    let receiver = Receiver::start(|caller| async move {
        serve_all(caller.tcp, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
    })
    .await;
    let port = receiver.address.port();
    let mut all = tokio::task::JoinSet::new();
    for number in 0..40 {
        // Ten names, each asked for four times.
        let url = format!("http://slow-{}.example.com:{port}/", number % 10);
        let sender = sender.clone();
        all.spawn(async move { carry(&sender, post_within(&url, SHORT)).await });
    }
    let quick = format!("http://quick.example.com:{port}/");
    assert_eq!(answered(carry(&sender, post(&quick)).await).status, 200);
    for carried in all.join_all().await {
        expect_fault(carried, ErrorClass::TimeoutConnect, "looking up slow-");
    }
    assert_eq!(hung.load(Ordering::SeqCst), 10, "one thread a name");
    drop(release);
}

/// Names that were slow before share a lane of 32; when it is full of them, the others go on.
#[tokio::test]
async fn slow_names_wait_for_each_other_only() {
    let hand = ManualClock::new(Time::from_ms(1_800_000_000_000), 1);
    let (release, hang) = mpsc::channel::<()>();
    let hang = std::sync::Mutex::new(hang);
    let hung = Arc::new(watch::Sender::new(0));
    let (clock, count, second) = (hand.clone(), hung.clone(), Arc::new(AtomicBool::new(false)));
    let is_second = second.clone();
    let resolver = Resolver::answering(move |name| {
        if name.starts_with("slow") && is_second.load(Ordering::SeqCst) {
            count.send_modify(|count| *count += 1);
            hang.lock().unwrap().recv().unwrap_err();
        } else if name.starts_with("slow") {
            clock.advance(Duration::from_secs(1));
        }
        Ok(vec!["127.0.0.1".parse().unwrap()])
    });
    let sender = Arc::new(sender_asking(resolver, Clock::Manual(hand.clone())));
    let receiver = Receiver::start(|caller| async move {
        serve_all(caller.tcp, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
    })
    .await;
    let url = |name: &str| format!("http://{name}.example.com:{}/", receiver.address.port());
    for number in 0..40 {
        answered(sender.carry(post(&url(&format!("slow-{number}")))).await);
    }
    hand.advance(Duration::from_secs(60));
    second.store(true, Ordering::SeqCst);
    let mut all = tokio::task::JoinSet::new();
    for number in 0..40 {
        let (sender, url) = (sender.clone(), url(&format!("slow-{number}")));
        all.spawn(async move { failed(sender.carry(post_within(&url, SHORT)).await).class });
    }
    hung.subscribe().wait_for(|count| *count >= 32).await.unwrap();
    for name in ["quick-1", "quick-2", "quick-3"] {
        assert_eq!(answered(sender.carry(post(&url(name))).await).status, 200);
    }
    assert_eq!(all.join_all().await, [ErrorClass::TimeoutConnect; 40]);
    assert_eq!(*hung.borrow(), 32);
    drop(release);
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_fails() {
    let receiver = Receiver::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    // Nobody listens on 127.0.0.2 or 127.0.0.3 at this port.
    let resolver = all_names_are(&["127.0.0.2", "127.0.0.3", "127.0.0.1"]);
    let sender = sender_asking(resolver, Clock::real());
    let url = format!("http://hooks.example.com:{}/", receiver.address.port());
    let carried = carry(&sender, post(&url)).await;
    assert_eq!(carried.address, Some(receiver.address));
    assert!(carried.timings.dns.is_some());
    assert_eq!(answered(carried).status, 200);
}

#[tokio::test]
async fn the_systems_resolver_knows_this_machine() {
    let receiver = Receiver::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://localhost:{}/", receiver.address.port());
    assert_eq!(answered(carry(&sender(), post(&url)).await).status, 200);
}
