//! HTTP/2: shared connections, and receivers that misuse the protocol. Frames are written by hand (RFC 9113, section 6).

use super::rig::*;
use super::tls::{Authority, NAME, receiver, url};
use bytes::Bytes;
use doorbell_core::attempt::ErrorClass;
use doorbell_core::outgoing::Outgoing;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

type Tls = TlsStream<TcpStream>;

/// A receiver over HTTP/2 whose frames are written by `serve`, once it has the caller's preface.
async fn by_hand<F>(
    authority: &Authority,
    settings: &'static [u8],
    serve: impl Fn(Tls) -> F + Clone + Send + Sync + 'static,
) -> Receiver
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    receiver(authority.acceptor(NAME, &["h2"], |_| ()), move |mut stream| {
        let serve = serve.clone();
        async move {
            let mut preface = [0; 24];
            stream.read_exact(&mut preface).await?;
            assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
            stream.write_all(&frame(SETTINGS, 0, 0, settings)).await?;
            serve(stream).await
        }
    })
    .await
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Reads frames up to the next HEADERS and gives its stream.
async fn next_request(stream: &mut Tls) -> io::Result<u32> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await?;
        if head[3] == HEADERS {
            return Ok(u32::from_be_bytes([head[5], head[6], head[7], head[8]]));
        }
    }
}

/// `:status: 200` is number 8 of HPACK's static table (RFC 7541, appendix A).
fn head_200(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &[0x88])
}

/// A receiver as hyper serves it, with as long a body as the path says.
async fn proper(authority: &Authority) -> Receiver {
    receiver(authority.acceptor(NAME, &["h2", "http/1.1"], |_| ()), |stream| async move {
        let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
            let length: usize = request.uri().path()[1..].parse().unwrap_or(2);
            let got = request.into_body().collect().await?.to_bytes();
            assert_eq!(&got[..], br#"{"type":"invoice.paid"}"#);
            Ok::<_, hyper::Error>(hyper::Response::new(Full::new(Bytes::from(vec![b'x'; length]))))
        });
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        serving.serve_connection(TokioIo::new(stream), service).await.map_err(io::Error::other)
    })
    .await
}

#[tokio::test]
async fn deliveries_share_one_connection() {
    let authority = Authority::new();
    let receiver = proper(&authority).await;
    let sender = Arc::new(authority.sender());
    let carried = carry(&sender, post(&url(&receiver))).await;
    assert!(carried.timings.tls.is_some());
    assert_eq!(&answered(carried).body[..], b"xx");
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (sender, outgoing) = (sender.clone(), post(&url(&receiver)));
        all.spawn(async move { sender.carry(outgoing).await });
    }
    for carried in all.join_all().await {
        assert_eq!((carried.address, carried.timings.connect), (Some(receiver.address), None));
        assert_eq!(answered(carried).status, 200);
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_long_body_is_cut_and_the_connection_goes_on() {
    let authority = Authority::new();
    let receiver = proper(&authority).await;
    let sender = authority.sender();
    for (length, kept, truncated) in [
        (16 << 10, 16 << 10, false),
        (64 << 10, 16 << 10, true),
        (10 << 20, 16 << 10, true),
        (2, 2, false),
    ] {
        let answer = answered(carry(&sender, post(&format!("{}{length}", url(&receiver)))).await);
        assert_eq!((answer.body.len(), answer.truncated), (kept, truncated), "of {length}");
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn resets_each_stream() {
    let authority = Authority::new();
    let receiver = by_hand(&authority, &[], |mut stream| async move {
        loop {
            let id = next_request(&mut stream).await?;
            stream.write_all(&frame(RST_STREAM, 0, id, &7_u32.to_be_bytes())).await?;
        }
    })
    .await;
    let sender = authority.sender();
    for calls in 1..4 {
        let carried = carry(&sender, post(&url(&receiver))).await;
        expect_fault(carried, ErrorClass::ConnectionReset, "refused");
        assert_eq!(receiver.connections(), calls, "such a connection gets no second request");
    }
}

#[tokio::test]
async fn resets_streams_that_it_never_got() {
    let authority = Authority::new();
    let receiver = by_hand(&authority, &[], |mut stream| async move {
        next_request(&mut stream).await?;
        let mut id = 3;
        loop {
            stream.write_all(&frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())).await?;
            id += 2;
        }
    })
    .await;
    let carried = carry(&authority.sender(), post(&url(&receiver))).await;
    assert_eq!(failed(carried).class, ErrorClass::ProtocolError);
}

#[tokio::test]
async fn goes_away() {
    for last in [0_u32, 1] {
        let authority = Authority::new();
        let receiver = by_hand(&authority, &[], move |mut stream| async move {
            next_request(&mut stream).await?;
            let payload = [last.to_be_bytes(), 11_u32.to_be_bytes()].concat();
            stream.write_all(&frame(GOAWAY, 0, 0, &payload)).await?;
            stream.shutdown().await?;
            wait_for_end(&mut stream).await
        })
        .await;
        let carried = carry(&authority.sender(), post(&url(&receiver))).await;
        assert_eq!(failed(carried).class, ErrorClass::ConnectionReset);
        assert_eq!(receiver.connections(), 1);
    }
}

/// The window stays shut: the body cannot be sent, no answer comes.
#[tokio::test]
async fn never_opens_its_window() {
    let authority = Authority::new();
    let shut = &[0, 4, 0, 0, 0, 0];
    let receiver = by_hand(&authority, shut, |mut stream| async move {
        next_request(&mut stream).await?;
        wait_for_end(&mut stream).await
    })
    .await;
    let body = Bytes::from(vec![b'x'; 1 << 20]);
    let outgoing = Outgoing { body, ..post_within(&url(&receiver), SHORT) };
    let carried = carry(&authority.sender(), outgoing).await;
    expect_fault(carried, ErrorClass::TimeoutResponse, "");
}

/// After an attempt was cut off, the connection with the stuck stream is closed, not kept waiting.
#[tokio::test]
async fn a_stuck_connection_is_closed() {
    let authority = Authority::new();
    let (ended, mut ends) = tokio::sync::mpsc::channel(1);
    let shut = &[0, 4, 0, 0, 0, 0];
    let receiver = by_hand(&authority, shut, move |mut stream| {
        let ended = ended.clone();
        async move {
            next_request(&mut stream).await?;
            // Whether by a proper end or by a reset.
            let end = wait_for_end(&mut stream).await;
            ended.send(()).await.map_err(io::Error::other)?;
            end
        }
    })
    .await;
    let sender = authority.sender();
    let carried = carry(&sender, post_within(&url(&receiver), SHORT)).await;
    expect_fault(carried, ErrorClass::TimeoutResponse, "");
    // The next attempt finds it retired, opens another, and the pool lets go of the first.
    let carried = carry(&sender, post_within(&url(&receiver), SHORT)).await;
    expect_fault(carried, ErrorClass::TimeoutResponse, "");
    tokio::time::timeout(LONG, ends.recv()).await.expect("it is closed").unwrap();
    assert_eq!(receiver.connections(), 2);
}

/// A receiver that opens all windows and reads nothing: the connection cannot even say good-bye. Its tasks end all the
/// same. (The receiver lives in a runtime of its own; in this one there is the sender only.)
#[tokio::test]
async fn a_receiver_that_stops_reading_holds_nothing_back() {
    const OPEN: &[u8] = &[0, 4, 0x7f, 0xff, 0xff, 0xff];
    let authority = Arc::new(Authority::new());
    let (tell, told) = tokio::sync::oneshot::channel();
    let own = authority.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let receiver = by_hand(&own, OPEN, |mut stream| async move {
                let update = frame(WINDOW_UPDATE, 0, 0, &0x7fff_0000_u32.to_be_bytes());
                stream.write_all(&update).await?;
                next_request(&mut stream).await?;
                std::future::pending::<()>().await;
                drop(stream);
                Ok(())
            });
            tell.send(receiver.await).unwrap();
            std::future::pending::<()>().await;
        });
    });
    let receiver = told.await.unwrap();
    let sender = authority.sender();
    let body = Bytes::from(vec![b'x'; 32 << 20]);
    let outgoing = Outgoing { body, ..post_within(&url(&receiver), SHORT) };
    expect_fault(carry(&sender, outgoing).await, ErrorClass::TimeoutResponse, "");
    let tasks = tokio::runtime::Handle::current().metrics();
    // What is left is the pool's sweeper, which looks up only every 15 s.
    let gone = async {
        while tasks.num_alive_tasks() > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    drop(sender);
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the connection's tasks end");
}

#[tokio::test]
async fn floods_with_pings() {
    let authority = Authority::new();
    let receiver = by_hand(&authority, &[], |mut stream| async move {
        next_request(&mut stream).await?;
        let pings = frame(PING, 0, 0, &[0; 8]).repeat(100);
        loop {
            stream.write_all(&pings).await?;
        }
    })
    .await;
    let fault = failed(carry(&authority.sender(), post(&url(&receiver))).await);
    assert!(
        matches!(fault.class, ErrorClass::ProtocolError | ErrorClass::ConnectionReset),
        "{fault:?}"
    );
}

#[tokio::test]
async fn sends_a_header_block_without_end() {
    let authority = Authority::new();
    let receiver = by_hand(&authority, &[], |mut stream| async move {
        let id = next_request(&mut stream).await?;
        stream.write_all(&frame(HEADERS, 0, id, &[0x88])).await?;
        // A literal field `a: b`, not indexed, again and again.
        let fields = [0, 1, b'a', 1, b'b'].repeat(1000);
        loop {
            stream.write_all(&frame(CONTINUATION, 0, id, &fields)).await?;
        }
    })
    .await;
    let fault = failed(carry(&authority.sender(), post(&url(&receiver))).await);
    assert!(
        matches!(fault.class, ErrorClass::ProtocolError | ErrorClass::ConnectionReset),
        "{fault:?}"
    );
}

#[tokio::test]
async fn sends_too_many_header_lines() {
    let authority = Authority::new();
    let receiver = by_hand(&authority, &[], |mut stream| async move {
        let id = next_request(&mut stream).await?;
        let block = [&[0x88][..], &[0, 1, b'a', 1, b'b'].repeat(101)].concat();
        stream.write_all(&frame(HEADERS, END_HEADERS | 1, id, &block)).await?;
        wait_for_end(&mut stream).await
    })
    .await;
    let carried = carry(&authority.sender(), post(&url(&receiver))).await;
    expect_fault(carried, ErrorClass::ProtocolError, "100 header lines");
}

#[tokio::test]
async fn drips_a_body() {
    let authority = Authority::new();
    let receiver = by_hand(&authority, &[], |mut stream| async move {
        let id = next_request(&mut stream).await?;
        stream.write_all(&head_200(id)).await?;
        loop {
            stream.write_all(&frame(DATA, 0, id, b"x")).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let carried = carry(&authority.sender(), post_within(&url(&receiver), SHORT)).await;
    expect_fault(carried, ErrorClass::TimeoutBody, "");
}

#[tokio::test]
async fn says_garbage() {
    let authority = Authority::new();
    let receiver = by_hand(&authority, &[], |mut stream| async move {
        next_request(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
        wait_for_end(&mut stream).await
    })
    .await;
    let carried = carry(&authority.sender(), post(&url(&receiver))).await;
    expect_fault(carried, ErrorClass::ProtocolError, "");
}

/// The stale case of HTTP/2: the receiver takes one request per connection and says so too late.
#[tokio::test]
async fn a_connection_that_went_away_meanwhile_costs_no_delivery() {
    let authority = Authority::new();
    let receiver = by_hand(&authority, &[], |mut stream| async move {
        let id = next_request(&mut stream).await?;
        let mut head = head_200(id);
        head[4] |= 1;
        stream.write_all(&head).await?;
        next_request(&mut stream).await?;
        let payload = [id.to_be_bytes(), 0_u32.to_be_bytes()].concat();
        stream.write_all(&frame(GOAWAY, 0, 0, &payload)).await?;
        wait_for_end(&mut stream).await
    })
    .await;
    let sender = authority.sender();
    for _ in 0..4 {
        assert_eq!(answered(carry(&sender, post(&url(&receiver))).await).status, 200);
    }
    assert_eq!(receiver.connections(), 4);
}
