//! Receivers from hell: whatever they do, the attempt ends in time, in the right class, with little read.

use super::rig::*;
use bytes::Bytes;
use doorbell_core::attempt::ErrorClass;
use doorbell_core::outgoing::Outgoing;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// What the kernel may take off the receiver's hands beside what is read: two socket buffers.
const SOCKET_BUFFERS: usize = 12 << 20;
/// A pause that makes 1 byte at a time slow, but lets many go out before the timeout.
const DRIP: Duration = Duration::from_millis(20);

async fn hurt(receiver: &Receiver, timeout: Duration) -> doorbell_server::sender::Carried {
    let carried = carry(&sender(), post_within(&receiver.url("/"), timeout)).await;
    assert!(receiver.written() <= SOCKET_BUFFERS, "{} bytes went out", receiver.written());
    carried
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let carried = carry(&sender(), post(&format!("http://{address}/"))).await;
    expect_fault(carried, ErrorClass::ConnectionRefused, &address.to_string());
}

#[tokio::test]
async fn never_accepts() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    // Fill its queue: the connections that it has room for are made, the next one hangs.
    let mut queue = Vec::new();
    while let Ok(connected) = timeout(SHORT, TcpStream::connect(address)).await {
        queue.push(connected.unwrap());
    }
    let carried = carry(&sender(), post_within(&format!("http://{address}/"), SHORT)).await;
    expect_fault(carried, ErrorClass::TimeoutConnect, "connecting to 127.0.0.1");
}

#[tokio::test]
async fn accepts_and_never_answers() {
    let receiver = Receiver::saying(Bytes::new()).await;
    let carried = hurt(&receiver, SHORT).await;
    assert_eq!(carried.address, Some(receiver.address));
    expect_fault(carried, ErrorClass::TimeoutResponse, "within 0.3 s");
}

#[tokio::test]
async fn never_reads_a_large_request() {
    let receiver = Receiver::start(|caller| async move {
        std::future::pending::<()>().await;
        drop(caller);
        Ok(())
    })
    .await;
    let body = Bytes::from(vec![b'x'; 32 << 20]);
    let outgoing = Outgoing { body, ..post_within(&receiver.url("/"), SHORT) };
    expect_fault(carry(&sender(), outgoing).await, ErrorClass::TimeoutResponse, "");
}

#[tokio::test]
async fn drips_headers() {
    let receiver = Receiver::repeating("HTTP/1.1 200 OK\r\nx-a: ", "a", DRIP).await;
    expect_fault(hurt(&receiver, SHORT).await, ErrorClass::TimeoutResponse, "");
}

#[tokio::test]
async fn drips_a_body() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
    let receiver = Receiver::repeating(head, "a", DRIP).await;
    expect_fault(hurt(&receiver, SHORT).await, ErrorClass::TimeoutBody, "");
}

#[tokio::test]
async fn drips_chunks() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let receiver = Receiver::repeating(head, "1\r\na\r\n", DRIP).await;
    expect_fault(hurt(&receiver, SHORT).await, ErrorClass::TimeoutBody, "");
}

#[tokio::test]
async fn drips_informational_responses() {
    let receiver = Receiver::repeating("", "HTTP/1.1 102 Processing\r\n\r\n", DRIP).await;
    expect_fault(hurt(&receiver, SHORT).await, ErrorClass::TimeoutResponse, "");
}

#[tokio::test]
async fn floods_with_informational_responses() {
    let flood = "HTTP/1.1 100 Continue\r\n\r\n".repeat(100);
    let receiver = Receiver::repeating("", flood, Duration::ZERO).await;
    expect_fault(hurt(&receiver, LONG).await, ErrorClass::ProtocolError, "more than an exchange");
}

#[tokio::test]
async fn an_informational_response_is_no_answer() {
    let receiver = Receiver::saying(
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    assert_eq!(answered(hurt(&receiver, LONG).await).status, 201);
}

#[tokio::test]
async fn sends_ten_gigabytes() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 10000000000\r\n\r\n";
    let receiver = Receiver::repeating(head, vec![b'x'; 1 << 16], Duration::ZERO).await;
    let answer = answered(hurt(&receiver, LONG).await);
    assert_eq!((answer.status, answer.body.len(), answer.truncated), (200, 16 << 10, true));
}

#[tokio::test]
async fn sends_chunks_without_end() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let receiver = Receiver::repeating(head, chunk, Duration::ZERO).await;
    let answer = answered(hurt(&receiver, LONG).await);
    assert_eq!((answer.body.len(), answer.truncated), (16 << 10, true));
}

#[tokio::test]
async fn sends_tiny_chunks_without_end() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let receiver = Receiver::repeating(head, "1\r\nx\r\n".repeat(1000), Duration::ZERO).await;
    let answer = answered(hurt(&receiver, LONG).await);
    assert_eq!((answer.status, answer.truncated), (200, true));
    assert!(answer.body.iter().all(|byte| *byte == b'x') && answer.body.len() == 16 << 10);
}

#[tokio::test]
async fn sends_a_body_without_length_or_end() {
    let receiver =
        Receiver::repeating("HTTP/1.1 200 OK\r\n\r\n", vec![b'x'; 1 << 16], Duration::ZERO).await;
    let answer = answered(hurt(&receiver, LONG).await);
    assert_eq!((answer.body.len(), answer.truncated), (16 << 10, true));
}

#[tokio::test]
async fn sends_trailers_without_end() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n";
    let receiver = Receiver::repeating(head, "x-a: b\r\n".repeat(1000), Duration::ZERO).await;
    expect_fault(hurt(&receiver, LONG).await, ErrorClass::ProtocolError, "");
}

#[tokio::test]
async fn sends_one_endless_header_line() {
    let receiver =
        Receiver::repeating("HTTP/1.1 200 OK\r\nx-a: ", "a".repeat(1 << 16), Duration::ZERO).await;
    expect_fault(hurt(&receiver, LONG).await, ErrorClass::ProtocolError, "32768 bytes");
}

#[tokio::test]
async fn sends_a_thousand_header_lines() {
    let lines: String = (0..1000).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let receiver =
        Receiver::saying(format!("HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n")).await;
    expect_fault(hurt(&receiver, LONG).await, ErrorClass::ProtocolError, "100 lines");
}

#[tokio::test]
async fn sends_just_as_many_header_lines_as_are_taken() {
    for (lines, fine) in [(100, true), (101, false)] {
        let lines: String = (1..lines).map(|n| format!("x-{n}: {n}\r\n")).collect();
        let receiver =
            Receiver::saying(format!("HTTP/1.1 200 OK\r\n{lines}content-length: 0\r\n\r\n")).await;
        let carried = hurt(&receiver, LONG).await;
        assert_eq!(
            matches!(carried.outcome, doorbell_core::attempt::Outcome::Answered(_)),
            fine,
            "{carried:?}"
        );
    }
}

#[tokio::test]
async fn sends_a_thousand_lines_of_64_kilobytes() {
    let line = format!("x-a: {}\r\n", "a".repeat(1 << 16));
    let receiver = Receiver::repeating("HTTP/1.1 200 OK\r\n", line, Duration::ZERO).await;
    expect_fault(hurt(&receiver, LONG).await, ErrorClass::ProtocolError, "32768 bytes");
}

#[tokio::test]
async fn resets_at_once() {
    let receiver = Receiver::start(|caller| async move {
        caller.tcp.set_zero_linger()?;
        Ok(())
    })
    .await;
    expect_fault(hurt(&receiver, LONG).await, ErrorClass::ConnectionReset, "broke");
}

#[tokio::test]
async fn resets_after_the_request() {
    let receiver = Receiver::start(|mut caller| async move {
        caller.request().await?;
        caller.tcp.set_zero_linger()
    })
    .await;
    expect_fault(hurt(&receiver, LONG).await, ErrorClass::ConnectionReset, "before the response");
    assert_eq!(receiver.connections(), 1, "a fresh connection is not tried twice");
}

#[tokio::test]
async fn resets_in_the_body() {
    let receiver = Receiver::start(|mut caller| async move {
        caller.request().await?;
        caller.say(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await?;
        tokio::time::sleep(DRIP).await;
        caller.tcp.set_zero_linger()
    })
    .await;
    expect_fault(hurt(&receiver, LONG).await, ErrorClass::ConnectionReset, "status 200, 3 bytes");
}

#[tokio::test]
async fn closes_its_half() {
    let receiver = Receiver::start(|mut caller| async move {
        tokio::io::AsyncWriteExt::shutdown(&mut caller.tcp).await?;
        caller.wait_for_end().await
    })
    .await;
    expect_fault(hurt(&receiver, LONG).await, ErrorClass::ConnectionReset, "before the response");
}

#[tokio::test]
async fn promises_more_than_it_sends() {
    let receiver = Receiver::start(|mut caller| async move {
        caller.request().await?;
        caller.say(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await
    })
    .await;
    expect_fault(hurt(&receiver, LONG).await, ErrorClass::ConnectionReset, "3 bytes came");
}

#[tokio::test]
async fn sends_more_than_it_promised() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 500 Smuggled\r\ncontent-length: 0\r\n\r\n";
    let receiver =
        Receiver::start(
            move |caller| async move { serve_all(caller.tcp, answer.as_bytes()).await },
        )
        .await;
    let sender = sender();
    for _ in 0..3 {
        let answer = answered(carry(&sender, post(&receiver.url("/"))).await);
        assert_eq!((answer.status, &answer.body[..]), (200, &b"abc"[..]));
    }
    assert_eq!(receiver.connections(), 3, "what was left over is nobody's answer");
}

#[tokio::test]
async fn speaks_something_else() {
    for garbage in [
        &b"220 mail.example.com ESMTP\r\n"[..],
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let receiver = Receiver::saying(garbage).await;
        let carried = hurt(&receiver, LONG).await;
        let said = String::from_utf8_lossy(garbage);
        let fault = failed(carried);
        assert_eq!(fault.class, ErrorClass::ProtocolError, "{said:?}: {}", fault.detail);
    }
}

#[tokio::test]
async fn answers_before_the_request_is_complete() {
    let receiver = Receiver::start(|mut caller| async move {
        let mut first = [0; 16];
        tokio::io::AsyncReadExt::read_exact(&mut caller.tcp, &mut first).await?;
        caller.say(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n").await?;
        std::future::pending().await
    })
    .await;
    let body = Bytes::from(vec![b'x'; 32 << 20]);
    let outgoing = Outgoing { body, ..post(&receiver.url("/")) };
    let sender = sender();
    for calls in 1..3 {
        assert_eq!(answered(carry(&sender, outgoing.clone()).await).status, 413);
        assert_eq!(receiver.connections(), calls, "half a request is in the way on the old one");
    }
}

#[tokio::test]
async fn switches_protocols_unasked() {
    let receiver = Receiver::saying(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nhello",
    )
    .await;
    let answer = answered(hurt(&receiver, SHORT).await);
    assert_eq!(answer.status, 101);
}

#[tokio::test]
async fn statuses_beyond_the_usual_are_reported_as_they_are() {
    for status in [199, 299, 600, 999] {
        let receiver = Receiver::start(move |mut caller| async move {
            caller.request().await?;
            caller.say(format!("HTTP/1.1 {status} X\r\n\r\n").as_bytes()).await
        })
        .await;
        let carried = hurt(&receiver, LONG).await;
        if status < 200 {
            expect_fault(carried, ErrorClass::ConnectionReset, "before the response");
        } else {
            assert_eq!(answered(carried).status, status);
        }
    }
}

#[tokio::test]
async fn a_gzip_bomb_stays_packed() {
    let mut bomb =
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 10000\r\n\r\n\x1f\x8b\x08"
            .to_vec();
    bomb.extend([0; 9_997]);
    let receiver = Receiver::saying(bomb).await;
    let answer = answered(hurt(&receiver, LONG).await);
    assert_eq!((answer.body.len(), &answer.body[..3]), (10_000, &b"\x1f\x8b\x08"[..]));
    assert_eq!(answer.headers.text("content-encoding"), Some("gzip"));
}
