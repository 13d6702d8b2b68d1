//! Promises of the ingest route: byte-exact, durable before 2xx, constant refusals, everything kept, everything bounded.

use crate::raw::{self, connect, exchange, header, response, status};
use crate::world::{GITHUB_SIGNATURE, NOW, World, config, rejection, source, start};
use doorbell_core::configuration::{Change, Resource};
use doorbell_core::event::{Fate, RejectionReason};
use doorbell_core::id::RequestId;
use doorbell_core::limits;
use doorbell_server::listen::TrustedProxies;
use doorbell_server::live::{Happening, Heard};
use doorbell_server::metrics::Metric;
use doorbell_store::{Store as _, StoreError};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

fn post(target: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("POST {target} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn github(signature: &str, body: &[u8]) -> Vec<u8> {
    post(
        "/in/github",
        &format!("X-GitHub-Event: push\r\nX-Hub-Signature-256: {signature}\r\n"),
        body,
    )
}

async fn sent(world: &World, bytes: &[u8]) -> u16 {
    status(&exchange(world.ingest(), bytes).await)
}

#[tokio::test]
async fn what_came_in_is_what_is_kept() {
    let world = start(config()).await;
    let lines = "X-B: 1\r\nX-A:  two  words\t\r\nx-b: \u{e9}\r\nX-C:\r\nX-GitHub-Event: push\r\n";
    let bytes = post("/in/inbox/a%2Fb/?q=%20&q=+;", lines, b"\xef\xbb\xbf{\"a\" : 1e309}\0\xff");
    assert_eq!(sent(&world, &bytes).await, 202);
    let kept = world.kept().await;
    let [one] = kept.as_slice() else { panic!("{kept:?}") };
    let request = &one.event.request;
    assert_eq!((one.fate.clone(), one.event.at, one.tally.waiting), (Fate::Accepted, NOW, 1));
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/a%2Fb/"));
    assert_eq!(request.query.as_deref(), Some("q=%20&q=+;"));
    assert_eq!(request.body, &b"\xef\xbb\xbf{\"a\" : 1e309}\0\xff"[..]);
    assert_eq!(request.peer, Some([127, 0, 0, 1].into()));
    let lines: Vec<_> = request.headers.iter().collect();
    let expected: [(&str, &[u8]); 7] = [
        ("host", b"x"),
        ("x-b", b"1"),
        ("x-a", b"two  words"),
        ("x-b", "\u{e9}".as_bytes()),
        ("x-c", b""),
        ("x-github-event", b"push"),
        ("content-length", b"18"),
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn any_method_and_source_by_id() {
    let world = start(config()).await;
    let id = source("inbox", "none").id;
    for (at, method) in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"].into_iter().enumerate()
    {
        let bytes = format!("{method} /in/{id}/{at} HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(sent(&world, bytes.as_bytes()).await, 202, "{method}");
    }
    let methods: Vec<_> =
        world.kept().await.into_iter().map(|kept| kept.event.request.method).collect();
    assert_eq!(methods, ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"]);
    assert_eq!(
        status(&exchange(world.ingest(), b"HEAD /in/inbox HTTP/1.1\r\nHost: x\r\n\r\n").await),
        202
    );
}

#[tokio::test]
async fn believed_by_signature_and_told_apart_from_duplicates() {
    let world = start(config()).await;
    let lines = format!(
        "X-GitHub-Delivery: 72d3162e\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: {GITHUB_SIGNATURE}\r\n"
    );
    let bytes = post("/in/github", &lines, b"Hello, World!");
    assert_eq!(sent(&world, &bytes).await, 202);
    assert_eq!(world.desk.used(), 0, "what was promised is lent by the store now");
    assert_eq!(sent(&world, &bytes).await, 202);
    assert_eq!(world.desk.used(), 0, "a duplicate takes no room");
    let kept = world.kept().await;
    let first = kept[0].event.id;
    assert_eq!(kept[0].event.event_type.as_ref().unwrap().as_str(), "push");
    assert_eq!((&kept[0].fate, &kept[1].fate), (&Fate::Accepted, &Fate::Duplicate { of: first }));
    let lent = world.store.lent().await;
    assert_eq!(lent.len(), 1);
    assert_eq!(
        (world.count(Metric::RequestsAccepted), world.count(Metric::RequestsDuplicate)),
        (1, 1)
    );
}

/// The answer names the request, and nothing of what became of it: a duplicate's is like any other. What is refused has no
/// name.
#[tokio::test]
async fn what_was_taken_in_can_be_looked_up() {
    let world = start(config()).await;
    let lines = format!(
        "X-GitHub-Delivery: 72d3162e\r\nX-GitHub-Event: push\r\nX-Hub-Signature-256: {GITHUB_SIGNATURE}\r\n"
    );
    let bytes = post("/in/github", &lines, b"Hello, World!");
    let mut named = Vec::new();
    for _ in 0..2 {
        let answer = exchange(world.ingest(), &bytes).await;
        named.push(header(&answer, "doorbell-request-id").unwrap().parse::<RequestId>().unwrap());
    }
    let kept = world.kept().await;
    assert_eq!(named, [kept[0].event.id.into(), kept[1].event.id.into()]);
    assert_eq!(kept[1].fate, Fate::Duplicate { of: kept[0].event.id });
    let refused = exchange(world.ingest(), &github("", b"")).await;
    assert_eq!((status(&refused), header(&refused, "doorbell-request-id")), (401, None));
}

/// S15: whatever check it was that failed, the answer is the same to the byte.
#[tokio::test]
async fn refusals_of_one_provider_are_one_answer() {
    let world = start(config()).await;
    let wrong = GITHUB_SIGNATURE.replace('7', "8");
    let mut requests = vec![post("/in/github", "", b"Hello, World!"), post("/in/github", "", b"")];
    for signature in ["", "sha256=", "sha1=757107", "x", "sha256=zz", GITHUB_SIGNATURE, &wrong] {
        requests.push(github(signature, b"Hello, World?"));
    }
    let many = requests.len();
    let mut answers = Vec::new();
    for request in requests {
        let answer = exchange(world.ingest(), &request).await;
        let lines = answer.lines().filter(|line| !line.starts_with("date:"));
        answers.push(lines.collect::<Vec<_>>().join("\n"));
    }
    answers.dedup();
    assert_eq!(answers, ["HTTP/1.1 401 Unauthorized\ncontent-length: 0\n"], "one answer for all");
    let kept = world.kept_when(many).await;
    assert_eq!(kept.len(), many);
    assert!(kept.iter().all(|k| rejection(k).reason == RejectionReason::Verification));
    let mut details: Vec<_> = kept.iter().map(|k| rejection(k).detail.clone()).collect();
    details.sort();
    details.dedup();
    assert!(details.len() > 1, "the operator is told which: {details:?}");
    assert!(!details.concat().contains("757107ea0eb2509fc"), "but never the right signature");
}

#[tokio::test]
async fn unknown_sources_and_paths_are_one_answer() {
    let world = start(config()).await;
    let mut answers = Vec::new();
    for target in [
        "/in/nobody",
        "/in/src_00000000000000000000000000",
        "/",
        "/in/",
        "/other/inbox",
        "/in/INBOX",
        "*",
    ] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = exchange(world.ingest(), bytes.as_bytes()).await;
        answers.push(
            answer.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n"),
        );
    }
    answers.dedup();
    assert_eq!(answers, ["HTTP/1.1 404 Not Found\ncontent-length: 0\n"]);
    assert!(world.kept().await.is_empty());
}

#[tokio::test]
async fn refused_for_other_reasons_and_kept_with_them() {
    let world = start(config()).await;
    assert_eq!(sent(&world, &post("/in/off", "", b"x")).await, 404);
    let answer = exchange(world.ingest(), b"GET /in/posts HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!((status(&answer), header(&answer, "allow")), (405, Some("POST")));
    assert_eq!(sent(&world, &post("/in/small", "", &[b'x'; 1001])).await, 413);
    let chunked = "POST /in/inbox HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(sent(&world, format!("{chunked}3\r\nabcd\r\n").as_bytes()).await, 400);
    let kept = world.kept_when(4).await;
    let reasons: Vec<_> = kept.iter().map(|k| rejection(k).reason).collect();
    assert_eq!(
        reasons,
        [
            RejectionReason::SourceDisabled,
            RejectionReason::Method,
            RejectionReason::BodyTooLarge,
            RejectionReason::Malformed
        ]
    );
    assert_eq!(world.count(Metric::RequestsRejected), 4);
}

/// R18: each is kept to the byte.
#[tokio::test]
async fn bodies_are_bytes() {
    let world = start(config()).await;
    let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
    let bodies: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("not UTF-8", vec![0xff, 0xfe, 0x00, 0xc3, 0x28]),
        ("a byte order mark", b"\xef\xbb\xbf{}".to_vec()),
        ("deep JSON", deep),
        ("duplicate keys", br#"{"id":"a","id":"b"}"#.to_vec()),
        ("1e309", b"{\"amount\":1e309,\"b\":-0.0,\"c\":100000000000000000000001}".to_vec()),
        ("spaces and escapes", b"{ \"a\" :\t\"\\u00e9\\ud83d\\ude00\" }\r\n".to_vec()),
        ("gzip that says it is", b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0".to_vec()),
        ("one that would be large", vec![0; 1 << 20]),
    ];
    for (what, body) in &bodies {
        let bytes =
            post("/in/inbox", "Content-Encoding: gzip\r\nContent-Type: application/json\r\n", body);
        assert_eq!(sent(&world, &bytes).await, 202, "{what}");
        let mut chunked =
            b"POST /in/inbox HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in body.chunks(7777) {
            chunked.extend(format!("{:X};ext=1\r\n", chunk.len()).bytes());
            chunked.extend(chunk);
            chunked.extend(b"\r\n");
        }
        chunked.extend(b"0\r\nTrailer: dropped\r\n\r\n");
        assert_eq!(sent(&world, &chunked).await, 202, "{what}, in chunks");
    }
    let kept = world.kept().await;
    assert_eq!(kept.len(), 2 * bodies.len());
    for (two, (what, body)) in kept.chunks(2).zip(&bodies) {
        assert!(two.iter().all(|one| one.event.request.body == body), "{what}");
        assert!(two[1].event.request.headers.first("trailer").is_none());
    }
    assert_eq!(world.count(Metric::BodyBytesInFlight), 0);
}

#[tokio::test]
async fn the_limit_is_exact() {
    let world = start(config()).await;
    let chunked = |length: usize| {
        let head = "POST /in/small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let half = length / 2;
        let rest = length - half;
        let (a, b) = ("a".repeat(half), "b".repeat(rest));
        format!("{head}{half:x}\r\n{a}\r\n{rest:x}\r\n{b}\r\n0\r\n\r\n").into_bytes()
    };
    assert_eq!(sent(&world, &post("/in/small", "", &[b'x'; 1000])).await, 202);
    assert_eq!(sent(&world, &chunked(1000)).await, 202);
    assert_eq!(sent(&world, &post("/in/small", "", &[b'x'; 1001])).await, 413);
    assert_eq!(sent(&world, &chunked(1001)).await, 413);
    let lie = b"POST /in/small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc";
    assert_eq!(sent(&world, lie).await, 400, "the chunk never comes");
    let short = b"POST /in/small HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc";
    assert_eq!(sent(&world, short).await, 400, "nor does the rest");
}

/// A 413 comes before the 100 that the caller waits for, whole, and the connection closes.
#[tokio::test]
async fn too_large_is_told_before_the_body_is_sent() {
    let world = start(config()).await;
    let mut stream = connect(world.ingest()).await;
    let head = "POST /in/small HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = response(&mut stream).await;
    assert_eq!((status(&answer), header(&answer, "connection")), (413, Some("close")));
}

/// S16: a body without end is cut off at the limit; what it costs us is the limit and not what was sent.
#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let world = start(config()).await;
    let before = resident();
    let mut stream = connect(world.ingest()).await;
    stream
        .write_all(b"POST /in/small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let chunk = [format!("{:x}\r\n", 1 << 20).as_bytes(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    let mut sent = 0_u64;
    // 10 GB, if it were let.
    while sent < 10 << 30 && stream.write_all(&chunk).await.is_ok() {
        sent += chunk.len() as u64;
    }
    assert!(sent < 100 << 20, "{sent} bytes were taken");
    let grown = resident().saturating_sub(before);
    assert!(grown < 32 << 20, "grew by {grown} bytes");
    let kept = world.kept_when(1).await;
    assert_eq!(rejection(&kept[0]).reason, RejectionReason::BodyTooLarge);
}

/// This process' memory, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap() * 4096
}

/// Bodies together are bounded: past it new ones are told to come again, and when one ends there is room again.
#[tokio::test]
async fn all_bodies_together_are_bounded() {
    let mut config = config();
    config.bodies_in_flight = 10_000;
    let world = start(config).await;
    let mut slow = connect(world.ingest()).await;
    slow.write_all(b"POST /in/inbox HTTP/1.1\r\nHost: x\r\nContent-Length: 9001\r\n\r\n")
        .await
        .unwrap();
    slow.write_all(&[b'x'; 9000]).await.unwrap();
    while world.count(Metric::BodyBytesInFlight) < 9000 {
        tokio::task::yield_now().await;
    }
    let answer = exchange(world.ingest(), &post("/in/inbox", "", &[b'x'; 2000])).await;
    assert_eq!((status(&answer), header(&answer, "retry-after").is_some()), (503, true));
    assert_eq!(sent(&world, &post("/in/inbox", "", b"small")).await, 202);
    slow.write_all(b"x").await.unwrap();
    assert_eq!(status(&response(&mut slow).await), 202);
    assert_eq!(sent(&world, &post("/in/inbox", "", &[b'x'; 2000])).await, 202);
}

/// R5, promise 1: what cannot be made durable is a 503, always the same, never a 2xx and never a 4xx.
#[tokio::test]
async fn trouble_of_the_store_is_a_503() {
    let world = start(config()).await;
    let errors = [
        StoreError::Busy,
        StoreError::Full,
        StoreError::Failed("x".into()),
        StoreError::Broken("y".into()),
    ];
    let mut answers = Vec::new();
    for error in errors {
        world.store.fail_with(Some(error));
        let answer = exchange(world.ingest(), &github(GITHUB_SIGNATURE, b"Hello, World!")).await;
        answers.push(
            answer.lines().filter(|line| !line.starts_with("date:")).collect::<Vec<_>>().join("\n"),
        );
        assert_eq!(header(&answer, "retry-after"), Some("5"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(status(&answers[0]), 503);
    assert_eq!(world.desk.used(), 0, "no room is held");
    assert_eq!(world.count(Metric::RequestsUnavailable), 4);
}

#[tokio::test]
async fn ready_again_when_there_is_space_again() {
    let world = start(config()).await;
    let probe = async |path: &str| {
        let answer =
            exchange(world.ingest(), format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
                .await;
        (status(&answer), raw::body(&answer).to_owned())
    };
    assert_eq!(probe("/readyz").await, (200, "ready\n".to_owned()));
    world.store.fail_with(Some(StoreError::Full));
    assert_eq!(sent(&world, &post("/in/inbox", "", b"x")).await, 503);
    assert_eq!(probe("/readyz").await.0, 503);
    assert_eq!(probe("/healthz").await, (200, "alive\n".to_owned()));
    world.store.fail_with(None);
    world.clock.advance(Duration::from_secs(6));
    assert_eq!(probe("/readyz").await.0, 200);
    assert_eq!(sent(&world, &post("/in/inbox", "", b"x")).await, 202);
}

/// Junk does not fill the disk: so many a second are kept, the rest is counted, and the next one that is kept says so.
#[tokio::test]
async fn rejected_requests_are_kept_up_to_a_rate() {
    let world = start(config()).await;
    let most = limits::REJECTED_KEPT_PER_SECOND as usize;
    let mut stream = connect(world.ingest()).await;
    for _ in 0..most + 7 {
        stream.write_all(&github("junk", b"x")).await.unwrap();
        assert_eq!(status(&response(&mut stream).await), 401);
    }
    assert_eq!(world.kept_when(most).await.len(), most);
    assert_eq!(world.count(Metric::RejectedUnkept), 7);
    world.clock.advance(Duration::from_secs(1));
    stream.write_all(&github("junk", &vec![b'x'; limits::REJECTED_BODY_KEPT + 1])).await.unwrap();
    response(&mut stream).await;
    let kept = world.kept_when(most + 1).await;
    let last = kept.last().unwrap();
    assert!(rejection(last).detail.contains("7 more rejected requests"), "{last:?}");
    assert_eq!(last.event.request.body.len(), limits::REJECTED_BODY_KEPT);
    assert_eq!(world.count(Metric::RequestsRejected), most as u64 + 8);
}

#[tokio::test]
async fn a_stalled_body_is_told_408_and_kept() {
    let mut config = config();
    config.ingest.deadlines.idle = Duration::from_secs(1);
    let world = start(config).await;
    let mut stream = connect(world.ingest()).await;
    stream
        .write_all(b"POST /in/inbox HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        .await
        .unwrap();
    assert_eq!(status(&raw::rest(&mut stream).await), 408);
    let kept = world.kept_when(1).await;
    assert_eq!(rejection(&kept[0]).reason, RejectionReason::Malformed);
    assert!(rejection(&kept[0]).detail.contains("in time"));
}

#[tokio::test]
async fn a_new_source_receives_once_the_configuration_is_renewed() {
    let world = start(config()).await;
    assert_eq!(sent(&world, &post("/in/new", "", b"x")).await, 404);
    let change = Change::Put(Resource::Source(source("new", "none")));
    world.change(vec![change]).await;
    assert_eq!(sent(&world, &post("/in/new", "", b"x")).await, 202);
}

#[tokio::test]
async fn watchers_see_what_comes() {
    let world = start(config()).await;
    let mut watcher = world.node.shared().admitting.live.watch();
    assert_eq!(sent(&world, &post("/in/inbox", "", b"four")).await, 202);
    let Some(Heard::Happened(happening)) = watcher.next().await else { panic!("nothing heard") };
    let Happening::Received(received) = &*happening else { panic!("{happening:?}") };
    assert_eq!((received.body_len, &received.fate), (4, &Fate::Accepted));
}

#[tokio::test]
async fn stopping_finishes_what_has_begun_and_closes_the_store() {
    let world = start(config()).await;
    let (ingest, store) = (world.ingest(), world.store.clone());
    let mut busy = connect(ingest).await;
    busy.write_all(
        b"POST /in/inbox HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    )
    .await
    .unwrap();
    assert!(response(&mut busy).await.starts_with("HTTP/1.1 100"));
    assert_eq!(sent(&world, &github("junk", b"x")).await, 401);
    let node = world.node;
    let ready = std::sync::Arc::clone(&node.shared().admitting.health);
    let stopping = tokio::spawn(node.stop());
    while ready.answer(doorbell_server::health::Probe::Ready, NOW).0 == 200 {
        tokio::task::yield_now().await;
    }
    busy.write_all(b"ok").await.unwrap();
    assert_eq!(status(&raw::rest(&mut busy).await), 202);
    stopping.await.unwrap().unwrap();
    assert!(tokio::net::TcpStream::connect(ingest).await.is_err());
    assert!(matches!(store.stats().await, Err(StoreError::Broken(_))), "the store is closed");
}

/// Asana hands its secret out in the first request; it is durable before the answer, and no later one replaces it.
#[tokio::test]
async fn a_secret_that_is_handed_out_is_kept_once() {
    let world = start(config()).await;
    let mut asana = source("asana", "asana");
    asana.verification.secrets.clear();
    world.change(vec![Change::Put(Resource::Source(asana.clone()))]).await;
    let hello = |secret: &str| post("/in/asana", &format!("X-Hook-Secret: {secret}\r\n"), b"");
    world.store.fail_with(Some(StoreError::Full));
    assert_eq!(sent(&world, &hello("first-secret-of-asana")).await, 503);
    world.store.fail_with(None);
    let answer = exchange(world.ingest(), &hello("first-secret-of-asana")).await;
    assert_eq!(
        (status(&answer), header(&answer, "x-hook-secret")),
        (200, Some("first-secret-of-asana"))
    );
    assert_ne!(sent(&world, &hello("another-secret-of-asana")).await, 200);
    let directory = world.node.shared().configured.directory();
    let secrets = &directory.source(asana.id).unwrap().source().verification.secrets;
    let secrets: Vec<_> = secrets.iter().map(|secret| secret.reveal()).collect();
    assert_eq!(secrets, ["first-secret-of-asana"]);
    assert_eq!(
        world
            .store
            .configuration()
            .await
            .unwrap()
            .sources
            .iter()
            .filter(|s| s.id == asana.id)
            .count(),
        1
    );
}

#[tokio::test]
async fn a_trusted_proxy_says_who_called() {
    let lines = "X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n";
    let trusting = |networks: &[&str]| {
        let mut config = config();
        let networks = networks.iter().map(|network| network.parse().unwrap());
        config.proxies = TrustedProxies::new(networks.collect());
        config
    };
    for (networks, peer) in [(&["127.0.0.0/8"][..], [203, 0, 113, 9]), (&[], [127, 0, 0, 1])] {
        let world = start(trusting(networks)).await;
        assert_eq!(sent(&world, &post("/in/inbox", lines, b"x")).await, 202);
        assert_eq!(world.kept().await[0].event.request.peer, Some(peer.into()));
    }
}
