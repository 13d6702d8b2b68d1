//! Promises of a listener, whoever answers: R15, R16 and R17 of the reliability list, deadlines, drain, TLS.

use crate::raw::{self, connect, exchange, header, response, status};
use crate::world;
use bytes::Bytes;
use doorbell_server::listen::{Caller, Handler, ListenConfig, Listener};
use doorbell_server::metrics::{Metric, Metrics};
use doorbell_server::node::can_listen;
use doorbell_server::tasks::{Stage, Stopper};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinHandle;

/// Answers with what it got: method, target, number of header lines, length of the body.
struct Mirror;

impl Handler for Mirror {
    type Body = Full<Bytes>;

    async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        caller: Caller,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        match head.uri.path() {
            "/panic" => panic!("as asked"),
            "/unread" => return text(413, "too large\n"),
            _ => {}
        }
        let Ok(body) = body.collect().await else { return text(400, "broken\n") };
        let raw = caller.head.map(|head| String::from_utf8(head.to_vec()).unwrap());
        let lines = raw.map(|raw| raw.lines().count() - 2);
        text(200, &format!("{} {} {lines:?} {}\n", head.method, head.uri, body.to_bytes().len()))
    }

    fn panicked(&self) -> Response<Full<Bytes>> {
        text(500, "")
    }
}

fn text(status: u16, text: &str) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::from(text.to_owned())).unwrap()
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    stopper: Stopper,
    task: JoinHandle<()>,
}

pub(crate) fn config() -> ListenConfig {
    ListenConfig::at(([127, 0, 0, 1], 0).into())
}

pub(crate) fn start(config: ListenConfig) -> Running {
    serve(Listener::bind(config).unwrap())
}

pub(crate) fn serve(listener: Listener) -> Running {
    let (stopper, metrics) = (Stopper::default(), Arc::new(Metrics::default()));
    let address = listener.address();
    let work = listener.serve(Arc::new(Mirror), Arc::clone(&metrics), stopper.stop());
    Running { address, metrics, stopper, task: tokio::spawn(work) }
}

#[tokio::test]
async fn answers_and_keeps_the_connection() {
    let node = start(config());
    let mut stream = connect(node.address).await;
    for _ in 0..3 {
        stream
            .write_all(b"POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
        assert!(response(&mut stream).await.ends_with("POST /a?b Some(2) 2\n"));
    }
    assert_eq!(node.metrics.value(Metric::ConnectionsAccepted), 1);
}

#[tokio::test]
async fn pipelined_requests_get_their_own_heads() {
    let node = start(config());
    let many = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n\
        POST /2 HTTP/1.1\r\nHost: x\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
        PUT /3 HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\nContent-Length: 1\r\n\r\nx";
    let answers = exchange(node.address, many.as_bytes()).await;
    let bodies: Vec<_> = answers.lines().filter(|line| line.contains("Some")).collect();
    assert_eq!(bodies, ["GET /1 Some(1) 0", "POST /2 Some(3) 3", "PUT /3 Some(4) 1"]);
}

/// R17: none of these may reach a handler, be read as two requests, or end without an answer.
#[tokio::test]
async fn hostile_heads_get_a_4xx() {
    let node = start(config());
    let post = |lines: &str| format!("POST / HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
    let smuggled = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
    let table: Vec<(&str, u16, Vec<u8>)> = vec![
        ("1,000 headers", 431, post(&"X: y\r\n".repeat(1000)).into()),
        ("101 headers", 431, post(&"X: y\r\n".repeat(100)).into()),
        ("1 MB of headers", 431, post(&format!("X: {}\r\n", "y".repeat(8000)).repeat(125)).into()),
        ("one header of 1 MB", 431, post(&format!("X: {}\r\n", "y".repeat(1 << 20))).into()),
        (
            "a target of 100 KB",
            414,
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100 << 10)).into(),
        ),
        (
            "CL + TE",
            400,
            (post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n") + smuggled).into(),
        ),
        (
            "TE + CL",
            400,
            (post("Transfer-Encoding: chunked\r\nContent-Length: 60\r\n") + smuggled).into(),
        ),
        (
            "TE.TE",
            400,
            (post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n") + smuggled)
                .into(),
        ),
        ("TE obscured", 400, (post("Transfer-Encoding: xchunked\r\n") + smuggled).into()),
        ("TE with a space", 400, (post("Transfer-Encoding : chunked\r\n") + smuggled).into()),
        ("two CL", 400, (post("Content-Length: 5\r\nContent-Length: 6\r\n") + smuggled).into()),
        (
            "the same CL twice",
            400,
            (post("Content-Length: 5\r\nContent-Length: 5\r\n") + smuggled).into(),
        ),
        ("a negative CL", 400, post("Content-Length: -1\r\n").into()),
        ("a huge CL", 400, post("Content-Length: 18446744073709551616\r\n").into()),
        ("obs-fold", 400, post("X: a\r\n b\r\n").into()),
        ("bare LF between lines", 400, b"GET / HTTP/1.1\nHost: x\n\n".to_vec()),
        ("bare LF within", 400, post("X: a\nTransfer-Encoding: chunked\r\n").into()),
        ("bare CR", 400, post("X: a\rb\r\n").into()),
        ("NUL in a value", 400, post("X: a\0b\r\n").into()),
        ("NUL in a name", 400, post("X\0: b\r\n").into()),
        ("NUL in the target", 400, b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("no colon", 400, post("X\r\n").into()),
        ("an empty name", 400, post(": x\r\n").into()),
        ("no version", 400, b"GET /\r\nHost: x\r\n\r\n".to_vec()),
        ("HTTP/2 in clear", 400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()),
        (
            "TLS on a plain port",
            400,
            [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &[7; 500], b"\r\n"]
                .concat(),
        ),
        ("noise", 400, [&[0xff; 100][..], b"\r\n\r\n"].concat()),
    ];
    for (what, expected, bytes) in table {
        let answer = exchange(node.address, &bytes).await;
        assert_eq!(status(&answer), expected, "{what}: {answer:?}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: {answer:?}");
        assert!(!answer.contains("smuggled"), "{what}: {answer:?}");
    }
    let answer = exchange(node.address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(status(&answer), 200, "still answers");
    assert_eq!(node.metrics.value(Metric::RequestsPanicked), 0);
}

#[tokio::test]
async fn the_same_table_byte_by_byte_is_no_other() {
    let node = start(config());
    for bytes in [
        &b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"[..],
        b"GET / HTTP/1.1\n\n",
    ] {
        let mut stream = connect(node.address).await;
        for byte in bytes {
            // The answer may come before the last byte is sent.
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(status(&raw::rest(&mut stream).await), 400);
    }
}

#[tokio::test]
async fn a_handler_that_panics_answers_500_and_others_go_on() {
    let node = start(config());
    let answer = exchange(
        node.address,
        b"GET /panic HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    )
    .await;
    assert_eq!(status(&answer), 500);
    assert!(answer.contains("GET / Some(1) 0"), "{answer}");
    assert_eq!(node.metrics.value(Metric::RequestsPanicked), 1);
}

/// An answer that does not wait for the body arrives although the body is still being sent.
#[tokio::test]
async fn an_early_answer_is_not_lost_to_a_reset() {
    let node = start(config());
    let body = vec![b'x'; 8 << 20];
    let head = format!(
        "POST /unread HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = exchange(node.address, &[head.as_bytes(), &body].concat()).await;
    assert_eq!((status(&answer), raw::body(&answer)), (413, "too large\n"));
}

/// A caller that waits for 100 is told the end result at once; one that may go on gets its 100 first.
#[tokio::test]
async fn expect_100_continue() {
    let node = start(config());
    for (path, expected) in [("/unread", "HTTP/1.1 413 "), ("/", "HTTP/1.1 100 Continue\r\n\r\n")] {
        let mut stream = connect(node.address).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let first = response(&mut stream).await;
        assert!(first.starts_with(expected), "{path}: {first}");
        if path == "/" {
            stream.write_all(b"ok").await.unwrap();
            assert!(response(&mut stream).await.ends_with("POST / Some(3) 2\n"));
        }
    }
}

/// R15, scaled: many senders that never finish their heads do not keep the honest from being answered, and get a 408.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_are_cut_off_and_others_answered() {
    let mut config = config();
    config.deadlines.head = Duration::from_secs(3);
    let node = start(config);
    let mut slow = Vec::new();
    for _ in 0..500 {
        let mut stream = connect(node.address).await;
        stream.write_all(b"POST /slow HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
        slow.push(stream);
    }
    for _ in 0..100 {
        let answer = exchange(node.address, b"GET /honest HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert_eq!(status(&answer), 200);
    }
    assert!(
        node.metrics.value(Metric::ConnectionsOpen) >= 500,
        "the slow ones were there all along"
    );
    for stream in &mut slow {
        // One more byte now and then buys no time.
        drop(stream.write_all(b"a").await);
        assert_eq!(status(&raw::rest(stream).await), 408);
    }
    assert_eq!(node.metrics.value(Metric::ConnectionsFaulty), 500);
}

#[tokio::test]
async fn a_stalled_body_is_an_error_to_the_handler() {
    let mut config = config();
    config.deadlines.idle = Duration::from_secs(1);
    let node = start(config);
    let mut stream = connect(node.address).await;
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        .await
        .unwrap();
    assert_eq!(status(&raw::rest(&mut stream).await), 400);
}

#[tokio::test]
async fn idle_connections_close_without_a_word() {
    let mut config = config();
    config.deadlines.idle = Duration::from_secs(1);
    let node = start(config);
    let mut stream = connect(node.address).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let answer = raw::rest(&mut stream).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert_eq!(raw::rest(&mut connect(node.address).await).await, "");
}

/// R16, scaled: a thousand kept connections, each used several times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_kept_connections() {
    let node = start(config());
    let mut open = Vec::new();
    for _ in 0..1000 {
        open.push(connect(node.address).await);
    }
    let post =
        format!("POST /k HTTP/1.1\r\nHost: x\r\nContent-Length: 1024\r\n\r\n{}", "x".repeat(1024));
    for _ in 0..3 {
        for stream in &mut open {
            stream.write_all(post.as_bytes()).await.unwrap();
        }
        for stream in &mut open {
            assert!(response(stream).await.ends_with("POST /k Some(2) 1024\n"));
        }
    }
    assert_eq!(node.metrics.value(Metric::ConnectionsAccepted), 1000);
    assert_eq!(node.metrics.value(Metric::ConnectionsOpen), 1000);
}

#[tokio::test]
async fn past_the_limit_connections_are_shed_at_the_door() {
    let mut config = config();
    config.connections = 2;
    let node = start(config);
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(node.address).await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        response(&mut stream).await;
        open.push(stream);
    }
    let answer = raw::rest(&mut connect(node.address).await).await;
    assert_eq!((status(&answer), header(&answer, "retry-after")), (503, Some("1")));
    drop(open);
    while node.metrics.value(Metric::ConnectionsOpen) > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(status(&exchange(node.address, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await), 200);
}

#[tokio::test]
async fn draining_finishes_what_is_under_way_and_takes_nothing_new() {
    let node = start(config());
    let mut idle = connect(node.address).await;
    let mut busy = connect(node.address).await;
    busy.write_all(
        b"POST /busy HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    )
    .await
    .unwrap();
    assert!(response(&mut busy).await.starts_with("HTTP/1.1 100"));
    node.stopper.advance(Stage::Draining);
    assert_eq!(raw::rest(&mut idle).await, "");
    busy.write_all(b"ok").await.unwrap();
    let answer = raw::rest(&mut busy).await;
    assert_eq!((status(&answer), header(&answer, "connection")), (200, Some("close")));
    node.task.await.unwrap();
    assert!(tokio::net::TcpStream::connect(node.address).await.is_err());
    assert_eq!(node.metrics.value(Metric::ConnectionsOpen), 0);
}

/// A node that is about to hand its sockets over closes no connection on a request: each answer says that it is the last
/// one. Who calls while nobody answers waits, and is answered by the node that comes after.
#[tokio::test]
async fn a_socket_goes_from_one_listener_to_the_next() {
    let listener = Listener::bind(config()).unwrap();
    let socket = listener.socket();
    let node = serve(listener);
    let mut used = connect(node.address).await;
    let get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    used.write_all(get).await.unwrap();
    assert_eq!(header(&response(&mut used).await, "connection"), None);
    node.stopper.advance(Stage::Resting);
    used.write_all(get).await.unwrap();
    let last = raw::rest(&mut used).await;
    assert_eq!((status(&last), header(&last, "connection")), (200, Some("close")));
    assert_eq!(status(&exchange(node.address, get).await), 200, "new ones are answered");

    let kept = socket.keep().unwrap();
    node.stopper.advance(Stage::Draining);
    node.task.await.unwrap();
    assert!(socket.keep().is_err(), "the listener has ended");
    let mut waits = connect(node.address).await;
    waits.write_all(get).await.unwrap();
    let next = start(ListenConfig { socket: Some(kept), ..config() });
    assert_eq!(next.address, node.address);
    assert_eq!(status(&response(&mut waits).await), 200);
}

#[tokio::test]
async fn draining_has_an_end() {
    let mut config = config();
    config.drain = Duration::from_millis(100);
    let node = start(config);
    let mut stuck = connect(node.address).await;
    stuck
        .write_all(
            b"POST /busy HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        )
        .await
        .unwrap();
    response(&mut stuck).await;
    node.stopper.advance(Stage::Draining);
    node.task.await.unwrap();
}

/// Before anything is made, and with the setting that helps.
#[tokio::test]
async fn a_port_that_is_taken_is_told_with_its_setting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut config = world::config();
    config.admin.address = taken.local_addr().unwrap();
    let why = can_listen(&config).unwrap_err().to_string();
    assert!(why.contains("set admin.addr"), "{why}");
    drop(taken);
    assert!(can_listen(&config).is_ok());
}
