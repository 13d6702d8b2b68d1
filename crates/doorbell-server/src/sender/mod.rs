//! The sender carries one outgoing request and turns whatever happens into an outcome: it looks the name up, vets every
//! address, connects to a vetted one, sends, and reads a bounded answer, all under one deadline. There are no errors, only
//! outcomes, and no receiver can make an attempt last longer, read more, or lead it elsewhere.
//!
//! What does not happen here: redirects, proxies (the environment is not read), decompression, retries by policy. The
//! modules stand in the order in which they rest on each other.

mod limits;
mod meter;

mod faults;

mod trace;

mod message;
mod names;
mod stream;
mod tls;

mod http1;
mod http2;

mod dial;
mod pool;

mod brokers;
mod script;

pub use brokers::Brokers;
pub use names::Resolver;
pub use pool::KeepIdle;
pub use script::{Script, Step};
pub use tls::TlsSetupError;

use crate::clock::Clock;
use bytes::Bytes;
use dial::{Dialer, Opened};
use doorbell_core::address::{AllowPrivate, Vetted, may_call_all};
use doorbell_core::attempt::{Answer, ErrorClass, Fault, Outcome, Timings};
use doorbell_core::endpoint_url::{EndpointUrl, Target};
use doorbell_core::outgoing::Outgoing;
use doorbell_core::queue_address::QueueAddress;
use doorbell_core::queue_message::QueueMessage;
use doorbell_queue::{QueueError, Tap};
use faults::{Broken, fault};
use http::Request;
use http_body_util::Full;
use message::{Ending, Protocol};
use names::Names;
use pool::{Key, Pool, Security, Taken};
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use trace::{Phase, Trace};

/// What a [`Sender`] is made of.
#[derive(Debug)]
pub struct SenderOptions {
    /// Private addresses that may be called all the same.
    pub allow_private: AllowPrivate,
    /// Certificate authorities that are believed beside Mozilla's.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// Who looks names up.
    pub resolver: Resolver,
    /// Connections that are kept for reuse.
    pub keep_idle: KeepIdle,
    /// Message brokers that events are put to, and sources take from.
    pub brokers: Brokers,
    /// Measures, and judges certificates.
    pub clock: Clock,
}

impl SenderOptions {
    /// Only public addresses, the system's resolver, Mozilla's roots.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            allow_private: AllowPrivate::none(),
            extra_roots: Vec::new(),
            resolver: Resolver::system(),
            keep_idle: KeepIdle::default(),
            brokers: Brokers::default(),
            clock,
        }
    }
}

/// What came of carrying a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// The answer, or the fault.
    pub outcome: Outcome,
    /// How long its parts took.
    pub timings: Timings,
    /// The address that was connected to last.
    pub address: Option<SocketAddr>,
}

/// Carries requests over HTTP/1.1 and HTTP/2. One is enough for a node: it is shared by reference.
#[derive(Debug)]
pub struct Sender {
    allow: AllowPrivate,
    names: Names,
    dialer: Dialer,
    pool: Arc<Pool>,
    brokers: Brokers,
    clock: Clock,
}

impl Sender {
    /// Sets a sender up. Must be called within a tokio runtime: it starts the task that closes idle connections, which
    /// ends with the sender.
    ///
    /// # Errors
    /// [`TlsSetupError`] when a certificate of `extra_roots` cannot be used.
    pub fn new(options: SenderOptions) -> Result<Self, TlsSetupError> {
        let SenderOptions { allow_private, extra_roots, resolver, keep_idle, brokers, clock } =
            options;
        let tls = tls::config(&extra_roots, clock.clone())?;
        let pool = Arc::new(Pool::new(keep_idle));
        tokio::spawn(sweep(Arc::downgrade(&pool), keep_idle, clock.clone()));
        Ok(Self {
            allow: allow_private,
            names: Names::new(resolver, clock.clone()),
            dialer: Dialer { tls, clock: clock.clone() },
            pool,
            brokers,
            clock,
        })
    }

    /// Carries a request and waits for what comes of it, at most as long as it allows. Dropping the future closes its
    /// connection.
    pub async fn carry(&self, outgoing: Outgoing) -> Carried {
        let mut trace = Trace::begin(self.clock.clone());
        let done =
            tokio::time::timeout(outgoing.timeout, self.exchange(&outgoing, &mut trace)).await;
        let outcome = match done {
            Ok(Ok(answer)) => Outcome::Answered(answer),
            Ok(Err(fault)) => Outcome::Failed(fault),
            Err(_) => Outcome::Failed(trace.timed_out(host(&outgoing.url), outgoing.timeout)),
        };
        let (timings, address) = trace.end();
        Carried { outcome, timings, address }
    }

    async fn exchange(&self, outgoing: &Outgoing, trace: &mut Trace) -> Result<Answer, Fault> {
        // Built first, so that nothing is opened for what cannot be sent.
        let mut request = message::request(outgoing, Protocol::Http1)?;
        let addresses = self.addresses(&outgoing.url, trace).await?;
        if let Some((key, taken)) = self.take(&outgoing.url, &addresses) {
            trace.at(key.address);
            match self.over((key, taken), request, outgoing, trace).await {
                Err(broken) if broken.is_stale() => trace.again(),
                done => return done.map_err(|broken| broken.fault),
            }
            request = message::request(outgoing, Protocol::Http1)?;
        }
        let opened = self.open(&outgoing.url, &addresses, trace).await?;
        let done = self.over(opened, request, outgoing, trace).await;
        done.map_err(|broken| broken.fault)
    }

    /// Where the request may go: every address of the name, each of them vetted now.
    async fn addresses(&self, url: &EndpointUrl, trace: &mut Trace) -> Result<Vec<Vetted>, Fault> {
        let port = url.port();
        let found: Vec<SocketAddr> = match url.target() {
            Target::Address(ip) => vec![SocketAddr::new(ip, port)],
            Target::Name(name) => {
                trace.enter(Phase::Lookup);
                let found = self.names.look_up(name).await?;
                found.iter().map(|ip| SocketAddr::new(*ip, port)).collect()
            }
        };
        may_call_all(&found, &self.allow)
            .map_err(|forbidden| fault(ErrorClass::AddressForbidden, forbidden.to_string()))
    }

    fn take(&self, url: &EndpointUrl, addresses: &[Vetted]) -> Option<(Key, Taken)> {
        let mut key = key(url, *addresses.first()?);
        let taken = addresses.iter().find_map(|address| {
            key.address = address.socket();
            self.pool.take(&key)
        })?;
        Some((key, taken))
    }

    async fn open(
        &self,
        url: &EndpointUrl,
        addresses: &[Vetted],
        trace: &mut Trace,
    ) -> Result<(Key, Taken), Fault> {
        // Boxed: this is the rare and the large part of the future.
        let (vetted, opened) = Box::pin(self.dialer.open(url, addresses, trace)).await?;
        let key = key(url, vetted);
        let taken = match opened {
            Opened::Http1(connection) => Taken::Http1(connection),
            Opened::Http2(connection) => {
                let place = connection.place().ok_or_else(|| {
                    let detail = "the connection was closed as soon as it was opened".to_owned();
                    fault(ErrorClass::ConnectionReset, detail)
                })?;
                self.pool.share(key.clone(), &connection);
                Taken::Http2(place)
            }
        };
        Ok((key, taken))
    }

    /// One exchange over a connection: of `request`, or the same in the protocol's own form.
    async fn over(
        &self,
        (key, taken): (Key, Taken),
        request: Request<Full<Bytes>>,
        outgoing: &Outgoing,
        trace: &mut Trace,
    ) -> Result<Answer, Broken> {
        match taken {
            Taken::Http1(mut connection) => {
                let (answer, ending) = connection.exchange(request, outgoing.keep, trace).await?;
                if ending == Ending::Complete && connection.is_ready() {
                    self.pool.put(key, connection, self.clock.monotonic());
                }
                Ok(answer)
            }
            Taken::Http2(place) => {
                let request = message::request(outgoing, Protocol::Http2);
                let request = request.map_err(Broken::after_head)?;
                place.exchange(request, outgoing.keep, trace).await
            }
        }
    }
}

fn key(url: &EndpointUrl, address: Vetted) -> Key {
    let security = if url.is_tls() { Security::Tls } else { Security::Plain };
    Key { security, address: address.socket(), name: host(url).into() }
}

/// The host as it stands in the URL, without its port.
fn host(url: &EndpointUrl) -> &str {
    match url.target() {
        Target::Name(name) => name,
        Target::Address(_) => url.authority(),
    }
}

/// Closes connections that were idle for too long, until their sender is gone.
async fn sweep(pool: Weak<Pool>, keep: KeepIdle, clock: Clock) {
    let pause = keep.time.max(std::time::Duration::from_millis(100)) / 2;
    loop {
        tokio::time::sleep(pause).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.sweep(clock.monotonic());
    }
}

/// The real sender, or a script in its place. Copies are the same sender.
#[derive(Debug, Clone)]
pub enum AnySender {
    /// Sends.
    Real(Arc<Sender>),
    /// Answers by a script.
    Script(Script),
}

impl AnySender {
    /// As [`Sender::carry`].
    pub async fn carry(&self, outgoing: Outgoing) -> Carried {
        match self {
            Self::Real(sender) => sender.carry(outgoing).await,
            Self::Script(script) => script.carry(outgoing).await,
        }
    }

    /// Puts a message to its broker, and waits for the confirmation, at most as long as it allows. A script confirms all.
    pub async fn put(&self, message: QueueMessage) -> Carried {
        match self {
            Self::Real(sender) => sender.brokers.put(message, &sender.clock).await,
            Self::Script(_) => {
                Carried { outcome: Outcome::Confirmed, timings: Timings::default(), address: None }
            }
        }
    }

    /// What a source takes messages from: see [`Brokers::tap`].
    ///
    /// # Errors
    /// [`QueueError`], when there is no such broker. A script has none.
    pub fn tap(&self, from: &QueueAddress, client: &str, most: usize) -> Result<Tap, QueueError> {
        match self {
            Self::Real(sender) => sender.brokers.tap(from, client, most),
            Self::Script(_) => Brokers::default().tap(from, client, most),
        }
    }
}
