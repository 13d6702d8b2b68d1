//! What these tests share: receivers that do as they are told, and a sender that may call them.

use bytes::Bytes;
use doorbell_core::address::AllowPrivate;
use doorbell_core::attempt::{Answer, ErrorClass, Fault, Outcome};
use doorbell_core::endpoint_url::{EndpointUrl, UrlPolicy};
use doorbell_core::outgoing::Outgoing;
use doorbell_core::request::Headers;
use doorbell_server::clock::Clock;
use doorbell_server::sender::{Carried, Resolver, Sender, SenderOptions};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Long enough not to be the reason that something ends.
pub(super) const LONG: Duration = Duration::from_secs(20);
/// The timeout of attempts that are to be cut off by it.
pub(super) const SHORT: Duration = Duration::from_millis(300);
/// How much later than its timeout an attempt may end.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// A receiver, and how often it was called.
#[derive(Debug, Clone)]
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    connections: Arc<AtomicUsize>,
    written: Arc<AtomicUsize>,
}

impl Receiver {
    /// Does `serve` with each connection.
    pub(super) async fn start<F>(serve: impl Fn(Caller) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Self { address, connections: Arc::default(), written: Arc::default() };
        let own = receiver.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                own.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(Caller { tcp, written: own.written.clone() }));
            }
        });
        receiver
    }

    /// Reads one request, answers with these bytes, and waits for the caller to hang up.
    pub(super) async fn saying(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::start(move |mut caller| {
            let bytes = bytes.clone();
            async move {
                caller.request().await?;
                caller.say(&bytes).await?;
                caller.wait_for_end().await
            }
        })
        .await
    }

    /// Reads one request and says what `next` gives, again and again, `pause` apart.
    pub(super) async fn repeating(
        first: impl Into<Bytes>,
        again: impl Into<Bytes>,
        pause: Duration,
    ) -> Self {
        let (first, again) = (first.into(), again.into());
        Self::start(move |mut caller| {
            let (first, again) = (first.clone(), again.clone());
            async move {
                caller.request().await?;
                caller.say(&first).await?;
                loop {
                    caller.say(&again).await?;
                    if !pause.is_zero() {
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        })
        .await
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Bytes that it got rid of; what the kernel holds for the other side counts.
    pub(super) fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }
}

/// The receiver's side of a connection.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) tcp: TcpStream,
    written: Arc<AtomicUsize>,
}

impl Caller {
    /// Reads one request: its head, and as much body as its `content-length` says.
    pub(super) async fn request(&mut self) -> io::Result<Vec<u8>> {
        read_request(&mut self.tcp).await
    }

    pub(super) async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tcp.write_all(bytes).await?;
        self.written.fetch_add(bytes.len(), Ordering::SeqCst);
        Ok(())
    }

    pub(super) async fn wait_for_end(&mut self) -> io::Result<()> {
        wait_for_end(&mut self.tcp).await
    }
}

pub(super) async fn read_request(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut got = Vec::new();
    loop {
        if let Some(head) = got.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&got[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
            let body: usize = length.map_or(0, |length| length.parse().unwrap());
            if got.len() >= head + 4 + body {
                return Ok(got);
            }
        }
        let mut chunk = [0; 4096];
        match from.read(&mut chunk).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => got.extend_from_slice(&chunk[..n]),
        }
    }
}

pub(super) async fn wait_for_end(from: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut chunk = [0; 4096];
    while from.read(&mut chunk).await? > 0 {}
    Ok(())
}

/// Answers every request on this stream alike until the other side hangs up.
pub(super) async fn serve_all(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &[u8],
) -> io::Result<()> {
    loop {
        read_request(&mut stream).await?;
        stream.write_all(answer).await?;
        stream.flush().await?;
    }
}

/// The options of a sender that may call this machine.
pub(super) fn options() -> SenderOptions {
    SenderOptions { allow_private: AllowPrivate::loopback(), ..SenderOptions::new(Clock::real()) }
}

pub(super) fn sender() -> Sender {
    Sender::new(options()).unwrap()
}

/// A resolver by which every name has these addresses.
pub(super) fn all_names_are(addresses: &[&str]) -> Resolver {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    Resolver::answering(move |_| Ok(addresses.clone()))
}

/// A small POST. Its URL is taken by the gate of a deployment that allows everything but metadata addresses.
pub(super) fn post(url: &str) -> Outgoing {
    let allow = AllowPrivate::parse(["0.0.0.0/0", "::/0"]).unwrap();
    let policy = UrlPolicy { allow, ..UrlPolicy::default() };
    Outgoing {
        method: "POST".to_owned(),
        url: EndpointUrl::parse(url, &policy).unwrap(),
        headers: [("content-type", "application/json")].into_iter().collect::<Headers>(),
        body: Bytes::from_static(br#"{"type":"invoice.paid"}"#),
        timeout: LONG,
        keep: doorbell_core::limits::RESPONSE_KEPT,
    }
}

pub(super) fn post_within(url: &str, timeout: Duration) -> Outgoing {
    Outgoing { timeout, ..post(url) }
}

/// Carries a request and sees to it that it does not outlast its timeout.
pub(super) async fn carry(sender: &Sender, outgoing: Outgoing) -> Carried {
    let timeout = outgoing.timeout;
    let began = tokio::time::Instant::now();
    let carried = sender.carry(outgoing).await;
    let took = began.elapsed();
    assert!(took <= timeout + GRACE, "took {took:?} with a timeout of {timeout:?}");
    assert!(carried.timings.total <= took, "{:?} of {took:?}", carried.timings);
    carried
}

pub(super) fn answered(carried: Carried) -> Answer {
    match carried.outcome {
        Outcome::Answered(answer) => answer,
        Outcome::Confirmed => panic!("confirmed by a broker"),
        Outcome::Failed(fault) => panic!("{fault:?}"),
    }
}

pub(super) fn failed(carried: Carried) -> Fault {
    match carried.outcome {
        Outcome::Failed(fault) => fault,
        Outcome::Confirmed => panic!("confirmed by a broker"),
        Outcome::Answered(answer) => panic!("{answer:?}"),
    }
}

/// Expects this fault, and this in what it says.
#[track_caller]
pub(super) fn expect_fault(carried: Carried, class: ErrorClass, detail: &str) {
    let fault = failed(carried);
    assert_eq!(fault.class, class, "{}", fault.detail);
    assert!(fault.detail.contains(detail), "{:?} does not say {detail:?}", fault.detail);
}
