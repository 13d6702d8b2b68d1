//! What the sender costs beside the bare HTTP client under it: signed-looking POSTs of about 1 KB to a keep-alive sink on
//! loopback, 64 at a time, in alternating rounds. The sink runs in a process of its own.
//!
//! `cargo run --release -p doorbell-server --example sender_bench [-- rounds]`, or `-- memory` for the memory of 1,000
//! attempts at once whose receivers never finish their answers.

#![expect(clippy::print_stdout, reason = "a program that prints a table")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement may stop where it stands"
)]

use bytes::Bytes;
use doorbell_core::address::AllowPrivate;
use doorbell_core::attempt::Outcome;
use doorbell_core::endpoint_url::{EndpointUrl, UrlPolicy};
use doorbell_core::outgoing::Outgoing;
use doorbell_server::clock::Clock;
use doorbell_server::sender::{Resolver, Sender, SenderOptions};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::io::BufRead;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const AT_ONCE: usize = 64;
const PER_ROUND: usize = 100_000;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok";

fn main() {
    let argument = std::env::args().nth(1);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.unwrap();
    match argument.as_deref() {
        Some("sink") => runtime.block_on(sink()),
        Some("memory") => runtime.block_on(memory()),
        rounds => runtime.block_on(compare(rounds.map_or(7, |text| text.parse().unwrap()))),
    }
}

/// Answers requests of the size it learns from the first one.
async fn sink() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    loop {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            tcp.set_nodelay(true).unwrap();
            let mut buffer = vec![0; 16 << 10];
            let mut held = 0;
            while let Ok(n @ 1..) = tcp.read(&mut buffer[held..]).await {
                held += n;
                if is_whole(&buffer[..held]) {
                    held = 0;
                    if tcp.write_all(ANSWER).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    request.len() >= end + 4 + length.map_or(0, |length| length.parse().unwrap())
}

struct Sink(Child, SocketAddr);

impl Sink {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg("sink")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        std::io::BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(child, line.trim().parse().unwrap())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

const HEADERS: [(&str, &str); 7] = [
    ("content-type", "application/json"),
    ("user-agent", "Doorbell/0.1"),
    ("webhook-id", "evt_01jdzt2m6x0000000000000000"),
    ("webhook-timestamp", "1764000000"),
    ("webhook-signature", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
    ("x-request-id", "0123456789abcdef"),
    ("accept", "*/*"),
];

fn body() -> Bytes {
    Bytes::from(vec![b'x'; 982])
}

fn outgoing(address: SocketAddr, host: &str) -> Outgoing {
    let allow = AllowPrivate::loopback();
    let policy = UrlPolicy { allow, ..UrlPolicy::default() };
    let url = format!("http://{host}:{}/hooks/payments?tenant=1", address.port());
    Outgoing {
        method: "POST".to_owned(),
        url: EndpointUrl::parse(&url, &policy).unwrap(),
        headers: HEADERS.into_iter().collect(),
        body: body(),
        timeout: Duration::from_secs(15),
        keep: doorbell_core::limits::RESPONSE_KEPT,
    }
}

fn sender() -> Sender {
    let resolver = Resolver::answering(|_| Ok(vec!["127.0.0.1".parse().unwrap()]));
    let allow_private = AllowPrivate::loopback();
    let options = SenderOptions { resolver, allow_private, ..SenderOptions::new(Clock::real()) };
    Sender::new(options).unwrap()
}

async fn compare(rounds: usize) {
    let sink = Sink::start();
    let sender = Arc::new(sender());
    let mut ratios = Vec::new();
    println!("round  bare/s  CPU µs  sender/s  CPU µs  ratio");
    for round in 1..=rounds {
        let (bare, full);
        if round % 2 == 0 {
            full = measured(sender_round(sender.clone(), sink.1)).await;
            bare = measured(bare_round(sink.1)).await;
        } else {
            bare = measured(bare_round(sink.1)).await;
            full = measured(sender_round(sender.clone(), sink.1)).await;
        }
        let ratio = full.0 / bare.0;
        println!(
            "{round:>5} {:>7.0} {:>7.1} {:>9.0} {:>7.1} {ratio:>6.2}",
            bare.0, bare.1, full.0, full.1
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[rounds / 2]);
}

/// Requests per second, and microseconds of our CPU per request.
async fn measured(round: impl Future<Output = ()>) -> (f64, f64) {
    let (wall, cpu) = (tokio::time::Instant::now(), cpu_seconds());
    round.await;
    let count = f64::from(u32::try_from(PER_ROUND).unwrap());
    (count / wall.elapsed().as_secs_f64(), (cpu_seconds() - cpu) / count * 1e6)
}

/// User and system time of this process (proc(5), fields 14 and 15, in hundredths of a second).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Hyper's client as it comes: a task per connection, and one request after the other, each made from an [`Outgoing`].
async fn bare_round(sink: SocketAddr) {
    let left = Arc::new(AtomicUsize::new(PER_ROUND));
    let outgoing = outgoing(sink, "hooks.example.com");
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (left, outgoing) = (left.clone(), outgoing.clone());
        all.spawn(async move {
            let tcp = TcpStream::connect(sink).await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await.unwrap();
            tokio::spawn(connection);
            while take_one(&left) {
                let outgoing = outgoing.clone();
                let mut request = http::Request::builder()
                    .method(outgoing.method.as_str())
                    .uri(outgoing.url.path_and_query())
                    .header("host", outgoing.url.authority());
                for (name, value) in outgoing.headers.iter() {
                    request = request.header(name, value);
                }
                let request = request.body(Full::new(outgoing.body)).unwrap();
                sender.ready().await.unwrap();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), 200);
                response.into_body().collect().await.unwrap();
            }
        });
    }
    all.join_all().await;
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok()
}

async fn sender_round(sender: Arc<Sender>, sink: SocketAddr) {
    let left = Arc::new(AtomicUsize::new(PER_ROUND));
    let outgoing = outgoing(sink, "hooks.example.com");
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let (sender, left, outgoing) = (sender.clone(), left.clone(), outgoing.clone());
        all.spawn(async move {
            while take_one(&left) {
                let carried = sender.carry(outgoing.clone()).await;
                assert!(
                    matches!(carried.outcome, Outcome::Answered(answer) if answer.status == 200)
                );
            }
        });
    }
    all.join_all().await;
}

/// 1,000 attempts at once, each with a body that fills what is read and never ends.
async fn memory() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (ready, mut readies) = tokio::sync::mpsc::channel::<()>(1_000);
    std::thread::spawn(move || drop(ready));
    let sender = Arc::new(sender());
    let before = resident_kib();
    let serving = tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let head = b"HTTP/1.1 200 OK\r\ncontent-length: 64000\r\n\r\n";
                if tcp.write_all(head).await.is_ok() && tcp.write_all(&[b'x'; 60_000]).await.is_ok()
                {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let (sender, mut outgoing) = (sender.clone(), outgoing(address, "hooks.example.com"));
        outgoing.timeout = Duration::from_secs(4);
        all.spawn(async move { sender.carry(outgoing).await });
    }
    assert!(readies.recv().await.is_none());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let during = resident_kib();
    let carried = all.join_all().await;
    serving.abort();
    let timed_out = carried.iter().filter(|carried| matches!(carried.outcome, Outcome::Failed(_)));
    println!(
        "{} attempts in their bodies: {} KiB resident before, {} during: {} KiB each, receivers included",
        timed_out.count(),
        before,
        during,
        (during - before) / 1_000
    );
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
