//! Where the sender does not go, however it is led: private addresses in every spelling, names that point inside,
//! names that change their mind, redirects.

use super::rig::*;
use doorbell_core::address::AllowPrivate;
use doorbell_core::attempt::ErrorClass;
use doorbell_core::time::Time;
use doorbell_server::clock::{Clock, ManualClock};
use doorbell_server::sender::{Resolver, Sender, SenderOptions};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A receiver that must never be called.
async fn canary() -> Receiver {
    Receiver::saying("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret").await
}

fn strict(resolver: Resolver) -> Sender {
    Sender::new(SenderOptions { resolver, ..SenderOptions::new(Clock::real()) }).unwrap()
}

/// An URL that got past the gate (or was saved when the rules were others) is judged again at each attempt.
#[tokio::test]
async fn literals_are_vetted_like_names() {
    let canary = canary().await;
    let port = canary.address.port();
    let sender = strict(Resolver::system());
    for host in [
        "127.0.0.1",
        "127.0.0.2",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[::ffff:7f00:1]",
        "[::7f00:1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
        "[fe80::1]",
        "[fc00::1]",
    ] {
        let carried = carry(&sender, post(&format!("http://{host}:{port}/"))).await;
        assert_eq!(carried.address, None);
        expect_fault(carried, ErrorClass::AddressForbidden, "only public addresses");
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn one_forbidden_address_condemns_the_name() {
    let canary = canary().await;
    let url = format!("http://hooks.example.com:{}/", canary.address.port());
    for addresses in [
        &["127.0.0.1"][..],
        &["93.184.215.14", "127.0.0.1"],
        &["127.0.0.1", "93.184.215.14"],
        &["2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::1"],
        &["::ffff:127.0.0.1"],
        &["169.254.169.254"],
    ] {
        let carried = carry(&strict(all_names_are(addresses)), post(&url)).await;
        assert_eq!(carried.address, None);
        expect_fault(carried, ErrorClass::AddressForbidden, "addresses are");
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn metadata_is_never_called() {
    let allow_private = AllowPrivate::parse(["0.0.0.0/0", "::/0"]).unwrap();
    let resolver = all_names_are(&["169.254.169.254"]);
    let clock = Clock::real();
    let options = SenderOptions { allow_private, resolver, ..SenderOptions::new(clock) };
    let carried = carry(&Sender::new(options).unwrap(), post("http://hooks.example.com/")).await;
    expect_fault(carried, ErrorClass::AddressForbidden, "never called");
}

/// The name answers with an address that may be called, then (its time to live is over) with one that may not.
#[tokio::test]
async fn a_name_that_changes_its_mind() {
    let receiver = Receiver::start(|caller| async move {
        serve_all(caller.tcp, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await
    })
    .await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let resolver = Resolver::answering(move |_| {
        let turn = count.fetch_add(1, Ordering::SeqCst);
        Ok(vec![if turn == 0 { "127.0.0.1" } else { "10.0.0.1" }.parse::<IpAddr>().unwrap()])
    });
    let hand = ManualClock::new(Time::from_ms(1_800_000_000_000), 1);
    let sender = Sender::new(SenderOptions {
        resolver,
        allow_private: AllowPrivate::loopback(),
        ..SenderOptions::new(Clock::Manual(hand.clone()))
    })
    .unwrap();
    let url = format!("http://hooks.example.com:{}/", receiver.address.port());
    for _ in 0..3 {
        assert_eq!(answered(sender.carry(post(&url)).await).status, 200);
    }
    assert_eq!((receiver.connections(), asked.load(Ordering::SeqCst)), (1, 1));
    // The connection is still open, but its address is no longer the name's: the attempt does not use it.
    hand.advance(Duration::from_secs(11));
    for _ in 0..2 {
        expect_fault(sender.carry(post(&url)).await, ErrorClass::AddressForbidden, "10.0.0.1");
    }
    assert_eq!((receiver.connections(), asked.load(Ordering::SeqCst)), (1, 2));
}

/// What is checked is what is called: between the two nobody asks again. The name has, by turns, an address that may be
/// called (where nobody listens) and the canary's.
#[tokio::test]
async fn a_name_that_answers_differently_each_time() {
    let canary = canary().await;
    let turn = AtomicUsize::new(0);
    let resolver = Resolver::answering(move |_| {
        let even = turn.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        Ok(vec![if even { "127.0.0.2" } else { "127.0.0.1" }.parse::<IpAddr>().unwrap()])
    });
    let allow_private = AllowPrivate::parse(["127.0.0.2"]).unwrap();
    let options = SenderOptions { resolver, allow_private, ..SenderOptions::new(Clock::real()) };
    let sender = Sender::new(options).unwrap();
    for (name, class) in [
        ("a", ErrorClass::ConnectionRefused),
        ("b", ErrorClass::AddressForbidden),
        ("c", ErrorClass::ConnectionRefused),
        ("d", ErrorClass::AddressForbidden),
    ] {
        let url = format!("http://{name}.example.com:{}/", canary.address.port());
        expect_fault(carry(&sender, post(&url)).await, class, "");
    }
    assert_eq!(canary.connections(), 0);
}

#[tokio::test]
async fn redirects_are_answers() {
    let canary = canary().await;
    let sender = sender();
    for status in [301, 302, 303, 307, 308] {
        for place in
            [canary.url("/"), "http://169.254.169.254/latest/meta-data/".to_owned(), "/".to_owned()]
        {
            let receiver = Receiver::saying(format!(
                "HTTP/1.1 {status} Moved\r\nlocation: {place}\r\nrefresh: 0; url={place}\r\ncontent-length: 0\r\n\r\n"
            ))
            .await;
            let answer = answered(carry(&sender, post(&receiver.url("/"))).await);
            assert_eq!(answer.status, status);
            assert_eq!(answer.headers.text("location"), Some(place.as_str()));
            assert_eq!(receiver.connections(), 1);
        }
    }
    assert_eq!(canary.connections(), 0);
}
