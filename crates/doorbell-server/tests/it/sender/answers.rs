//! Ordinary exchanges: what goes onto the wire, and what is kept of the answer.

use super::rig::*;
use bytes::Bytes;
use doorbell_core::attempt::ErrorClass;
use doorbell_core::outgoing::Outgoing;
use doorbell_core::request::Headers;
use std::sync::{Arc, Mutex};

/// A receiver that remembers the raw requests.
async fn remembering() -> (Receiver, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let memory = seen.clone();
    let receiver = Receiver::start(move |mut caller| {
        let memory = memory.clone();
        async move {
            let request = caller.request().await?;
            memory.lock().unwrap().push(String::from_utf8(request).unwrap());
            caller.say(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
            caller.wait_for_end().await
        }
    })
    .await;
    (receiver, seen)
}

#[tokio::test]
async fn the_request_is_on_the_wire_as_it_was_written() {
    let (receiver, seen) = remembering().await;
    let headers = [("x-one", "1"), ("webhook-id", "msg_1"), ("X-Two", "a"), ("x-two", "b")];
    let outgoing = Outgoing {
        headers: headers.into_iter().collect(),
        ..post(&receiver.url("/hooks/a%20b?x=1&y"))
    };
    assert_eq!(answered(carry(&sender(), outgoing).await).status, 204);
    let expected = format!(
        "POST /hooks/a%20b?x=1&y HTTP/1.1\r\nhost: {}\r\nx-one: 1\r\nwebhook-id: msg_1\r\nx-two: a\r\n\
         x-two: b\r\ncontent-length: 23\r\n\r\n{{\"type\":\"invoice.paid\"}}",
        receiver.address
    );
    assert_eq!(*seen.lock().unwrap(), [expected]);
}

#[tokio::test]
async fn an_empty_body_has_a_length() {
    let (receiver, seen) = remembering().await;
    let outgoing = Outgoing { body: Bytes::new(), ..post(&receiver.url("/")) };
    answered(carry(&sender(), outgoing).await);
    assert!(seen.lock().unwrap()[0].contains("\r\ncontent-length: 0\r\n"));
}

#[tokio::test]
async fn the_answer_is_kept_byte_for_byte() {
    let receiver = Receiver::saying(
        &b"HTTP/1.1 418 Whatever\r\nX-A: \xff\tok\r\nx-b:  two  \r\nx-a: again\r\ncontent-length: 3\r\n\r\nabc"[..],
    )
    .await;
    let carried = carry(&sender(), post(&receiver.url("/"))).await;
    assert_eq!(carried.address, Some(receiver.address));
    let timings = carried.timings;
    assert!(timings.dns.is_none() && timings.tls.is_none(), "{timings:?}");
    assert!(timings.connect.is_some() && timings.first_byte.is_some(), "{timings:?}");
    let answer = answered(carried);
    assert_eq!((answer.status, &answer.body[..], answer.truncated), (418, &b"abc"[..], false));
    let lines: Vec<_> = answer.headers.iter().collect();
    // In their order; lines of one name stand together.
    let expected =
        [("x-a", &b"\xff\tok"[..]), ("x-a", b"again"), ("x-b", b"two"), ("content-length", b"3")];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_body_is_kept_to_its_limit_and_read_to_another() {
    for (length, kept, truncated, connections) in [
        (16 << 10, 16 << 10, false, 1),
        ((16 << 10) + 1, 16 << 10, true, 1),
        (64 << 10, 16 << 10, true, 1),
        ((64 << 10) + 1, 16 << 10, true, 2),
    ] {
        let mut bytes = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").into_bytes();
        bytes.extend(std::iter::repeat_n(b'x', length));
        let receiver = Receiver::start(move |caller| {
            let bytes = bytes.clone();
            async move { serve_all(caller.tcp, &bytes).await }
        })
        .await;
        let sender = sender();
        for _ in 0..2 {
            let answer = answered(carry(&sender, post(&receiver.url("/"))).await);
            assert_eq!((answer.body.len(), answer.truncated), (kept, truncated), "of {length}");
        }
        assert_eq!(receiver.connections(), connections, "of {length}");
    }
}

#[tokio::test]
async fn headers_that_are_not_the_requests_to_set_are_refused() {
    let (receiver, seen) = remembering().await;
    let sender = sender();
    for name in [
        "Connection",
        "TE",
        "Upgrade",
        "Transfer-Encoding",
        "Content-Length",
        "Host",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Keep-Alive",
        "Trailer",
    ] {
        let headers: Headers = [(name, "1")].into_iter().collect();
        let carried = carry(&sender, Outgoing { headers, ..post(&receiver.url("/")) }).await;
        expect_fault(carried, ErrorClass::RequestInvalid, &name.to_lowercase());
    }
    for (name, value) in [
        ("x-a", "b\r\nx-smuggled: 1"),
        ("x-a", "b\nc"),
        ("x-a", "b\rc"),
        ("x-a", "b\0c"),
        ("x a", "b"),
        ("x-a\r\nx-b", "c"),
        ("x:a", "b"),
        ("", "b"),
        ("x-\u{e9}", "b"),
    ] {
        let headers: Headers = [(name, value)].into_iter().collect();
        let carried = carry(&sender, Outgoing { headers, ..post(&receiver.url("/")) }).await;
        expect_fault(carried, ErrorClass::RequestInvalid, "cannot be sent");
    }
    for method in ["CONNECT", "", "PO ST", "POST\r\n"] {
        let outgoing = Outgoing { method: method.to_owned(), ..post(&receiver.url("/")) };
        expect_fault(carry(&sender, outgoing).await, ErrorClass::RequestInvalid, "no method");
    }
    assert_eq!((receiver.connections(), seen.lock().unwrap().len()), (0, 0));
}

#[tokio::test]
async fn many_at_once() {
    let receiver = Receiver::start(|caller| async move {
        serve_all(caller.tcp, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await
    })
    .await;
    let sender = Arc::new(sender());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (sender, outgoing) = (sender.clone(), post(&receiver.url("/")));
        tasks.spawn(async move { answered(sender.carry(outgoing).await).status });
    }
    assert_eq!(tasks.join_all().await, vec![200; 200]);
}
