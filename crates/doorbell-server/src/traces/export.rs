//! Takes spans to a collector, batch by batch. One that cannot be reached costs its spans and nothing else.

use doorbell_wire::otlp::{self, Span};
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use url::Url;

/// Spans of one document (`OTEL_BSP_MAX_EXPORT_BATCH_SIZE`).
const BATCH: usize = 512;
/// How long the first span of a batch may wait for more (`OTEL_BSP_SCHEDULE_DELAY`).
const GATHER: Duration = Duration::from_secs(5);
/// Bytes of a collector's answer that are read.
const ANSWER: usize = 64 << 10;
/// That it fails is told again after this.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// Where spans go.
#[derive(Clone)]
pub struct Target {
    /// The whole address, such as `http://localhost:4318/v1/traces`. It is the operator's, so it may be anywhere.
    pub url: Url,
    /// Header lines of each request; they may hold secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// How long one batch may take.
    pub timeout: Duration,
    /// Certificates that are trusted beside the public ones.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// `service.name` and what else is known of this process.
    pub resource: Vec<(String, String)>,
    /// Of the program.
    pub version: &'static str,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("host", &self.url.host_str()).finish_non_exhaustive()
    }
}

/// Takes spans to a collector; to be run as a task.
#[derive(Debug)]
pub struct Exporter {
    target: Target,
    spans: mpsc::Receiver<Span>,
    said: Option<Instant>,
}

/// Why a batch did not arrive.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the collector cannot be reached: {0}")]
    Unreachable(#[from] std::io::Error),
    #[error("the collector's certificate cannot be checked: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the collector's address has no usable host")]
    Host,
    #[error("the exchange with the collector failed: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the request to the collector cannot be made: {0}")]
    Request(#[from] http::Error),
    #[error("the collector answered {0}")]
    Status(u16),
    #[error("the collector gave no answer in time")]
    Overdue,
}

impl Exporter {
    pub(super) const fn new(target: Target, spans: mpsc::Receiver<Span>) -> Self {
        Self { target, spans, said: None }
    }

    /// Runs until `end` says so (or nobody is left who could); then takes along what waits.
    pub async fn run(mut self, mut end: oneshot::Receiver<()>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut ends = false;
        while !ends {
            ends = self.gather(&mut batch, &mut end).await;
            if !batch.is_empty() {
                self.take(&batch).await;
                batch.clear();
            }
        }
        self.spans.close();
        while self.spans.recv_many(&mut batch, BATCH).await > 0 {
            self.take(&batch).await;
            batch.clear();
        }
    }

    /// Waits for a batch that is full or has waited long enough; says whether it is the end.
    async fn gather(&mut self, batch: &mut Vec<Span>, end: &mut oneshot::Receiver<()>) -> bool {
        tokio::select! {
            _ = &mut *end => return true,
            got = self.spans.recv_many(batch, BATCH) => if got == 0 { return true },
        }
        let until = Instant::now() + GATHER;
        while batch.len() < BATCH {
            let room = BATCH - batch.len();
            tokio::select! {
                _ = &mut *end => return true,
                got = self.spans.recv_many(batch, room) => if got == 0 { return true },
                () = sleep_until(until) => return false,
            }
        }
        false
    }

    async fn take(&mut self, batch: &[Span]) {
        let body = otlp::document(&self.target.resource, self.target.version, batch);
        let sent = timeout(self.target.timeout, self.post(body)).await;
        let Err(fault) = sent.unwrap_or(Err(Fault::Overdue)) else { return };
        if self.said.is_none_or(|said| said.elapsed() > SAID_EVERY) {
            self.said = Some(Instant::now());
            tracing::warn!(%fault, spans = batch.len(), "spans were lost");
        }
    }

    async fn post(&self, body: Vec<u8>) -> Result<(), Fault> {
        let url = &self.target.url;
        let host = url.host_str().ok_or(Fault::Host)?.trim_matches(['[', ']']);
        let port = url.port_or_known_default().ok_or(Fault::Host)?;
        let mut request = Request::post(url.path())
            .header(HOST, url.authority().rsplit('@').next().unwrap_or_default());
        for (name, value) in &self.target.headers {
            request = request.header(name, value);
        }
        let request =
            request.header(CONTENT_TYPE, "application/json").body(Full::new(body.into()))?;
        let tcp = TcpStream::connect((host, port)).await?;
        let answer = if url.scheme() == "https" {
            let name = ServerName::try_from(host.to_owned()).map_err(|_| Fault::Host)?;
            exchange(self.connector()?.connect(name, tcp).await?, request).await?
        } else {
            exchange(tcp, request).await?
        };
        let status = answer.status();
        // What it says of single spans is of no use to anyone here.
        drop(Limited::new(answer.into_body(), ANSWER).collect().await);
        if status.is_success() { Ok(()) } else { Err(Fault::Status(status.as_u16())) }
    }

    fn connector(&self) -> Result<TlsConnector, Fault> {
        let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for root in &self.target.extra_roots {
            roots.add(root.clone())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

async fn exchange<T>(io: T, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Fault>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(connection);
    Ok(send.send_request(request).await?)
}
