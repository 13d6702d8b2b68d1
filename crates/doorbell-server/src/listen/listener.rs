//! A listening socket and its connections: bounded in number, shed at the door, owned until they end.

use super::connection::{Connection, Handler, RefusedHeads};
use super::tls::{Tls, TlsError, TlsFiles};
use super::watched::Deadlines;
use crate::metrics::{Metric, Metrics};
use crate::tasks::{Stage, Stop};
use doorbell_core::limits;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Connections that the kernel holds until we accept them.
const BACKLOG: u32 = 4096;
/// How often it is logged that connections are turned away.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// How long to wait when accepting fails (out of file descriptors) before it is tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// What a connection past the limit is told, if it is not TLS.
const SHED: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// How a listener is set up.
#[derive(Debug, Clone)]
pub struct ListenConfig {
    /// Where it listens; port 0 takes any free one.
    pub address: SocketAddr,
    /// Its certificate and key; `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Connections at once, at least 1.
    pub connections: usize,
    /// How long a peer may take.
    pub deadlines: Deadlines,
    /// How long connections may go on once the listener is told to stop.
    pub drain: Duration,
    /// A socket that listens already, in place of a new one.
    pub socket: Option<Arc<std::net::TcpListener>>,
}

impl ListenConfig {
    /// The usual bounds at that address, without TLS.
    #[must_use]
    pub const fn at(address: SocketAddr) -> Self {
        Self {
            address,
            tls: None,
            connections: 20_000,
            deadlines: Deadlines {
                handshake: limits::HEADER_DEADLINE,
                head: limits::HEADER_DEADLINE,
                idle: limits::IDLE_DEADLINE,
                body: limits::BODY_DEADLINE,
            },
            drain: Duration::from_secs(20),
            socket: None,
        }
    }
}

/// Why a listener could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A socket that listens, not yet answered by anyone.
#[derive(Debug)]
pub struct Listener {
    socket: Arc<TcpListener>,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    config: ListenConfig,
}

impl Listener {
    /// Opens the socket and reads the certificate. Connections wait in the kernel until [`Listener::serve`].
    ///
    /// # Errors
    /// [`ListenError`]: the address is taken or not ours, or the certificate and key cannot be used.
    pub fn bind(config: ListenConfig) -> Result<Self, ListenError> {
        let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let bind = || {
            if let Some(socket) = &config.socket {
                // Non-blocking already: it was ours before.
                let socket = TcpListener::from_std(socket.try_clone()?)?;
                let address = socket.local_addr()?;
                return Ok((socket, address));
            }
            let socket = match config.address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            socket.set_reuseaddr(true)?;
            socket.bind(config.address)?;
            let socket = socket.listen(BACKLOG)?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        let (socket, address) =
            bind().map_err(|source| ListenError::Bind { address: config.address, source })?;
        Ok(Self { socket: Arc::new(socket), address, tls, config })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its socket, as long as it listens.
    #[must_use]
    pub fn socket(&self) -> Socket {
        Socket(Arc::downgrade(&self.socket))
    }

    /// Its certificates, to be watched for changes.
    #[must_use]
    pub fn tls(&self) -> Option<Arc<Tls>> {
        self.tls.clone()
    }

    /// Answers connections until told to stop; then finishes those that are open, for at most [`ListenConfig::drain`].
    pub async fn serve<H: Handler>(self, handler: Arc<H>, metrics: Arc<Metrics>, stop: Stop) {
        let (open, refused) = (JoinSet::new(), Arc::new(RefusedHeads::new()));
        let mut door = Door { listener: self, handler, metrics, open, told: None, refused, stop };
        let mut stop = door.stop.clone();
        tokio::select! {
            biased;
            () = stop.reached(Stage::Draining) => {}
            () = door.answer() => {}
        }
        let Door { listener: Self { socket, config, .. }, mut open, .. } = door;
        drop(socket);
        let until = Instant::now() + config.drain;
        let finish = async { while open.join_next().await.is_some() {} };
        let finish = async {
            tokio::select! {
                biased;
                () = finish => {}
                () = stop.reached(Stage::Halting) => {}
            }
        };
        if timeout_at(until, finish).await.is_err() || !open.is_empty() {
            tracing::warn!(connections = open.len(), "connections were cut off");
        }
    }
}

/// The socket of a listener that may have ended.
#[derive(Debug, Clone)]
pub struct Socket(Weak<TcpListener>);

impl Socket {
    /// The same socket once more, which goes on listening when the listener ends: who calls meanwhile waits in the kernel.
    ///
    /// # Errors
    /// When the listener has ended, or no file can be opened.
    pub fn keep(&self) -> io::Result<Arc<std::net::TcpListener>> {
        let socket = self.0.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        Ok(Arc::new(socket.as_fd().try_clone_to_owned()?.into()))
    }
}

struct Door<H> {
    listener: Listener,
    handler: Arc<H>,
    metrics: Arc<Metrics>,
    open: JoinSet<()>,
    /// When it was last logged that connections are turned away.
    told: Option<Instant>,
    refused: Arc<RefusedHeads>,
    stop: Stop,
}

impl<H: Handler> Door<H> {
    async fn answer(&mut self) {
        loop {
            tokio::select! {
                biased;
                Some(ended) = self.open.join_next() => {
                    if ended.is_err_and(|e| e.is_panic()) {
                        self.metrics.count(Metric::TasksPanicked);
                    }
                }
                accepted = self.listener.socket.accept() => match accepted {
                    Ok((stream, address)) => self.take(stream, address),
                    // That one connection was gone before we took it.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
    }

    /// Once a minute: who is turned away keeps coming.
    fn tell_of_shedding(&mut self) {
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            tracing::warn!(address = %self.listener.address, open = self.open.len(), "connections are turned away: no more may be open");
        }
    }

    fn take(&mut self, stream: TcpStream, address: SocketAddr) {
        if self.open.len() >= self.listener.config.connections {
            self.metrics.count(Metric::ConnectionsShed);
            self.tell_of_shedding();
            if self.listener.tls.is_none() {
                // Told if it can be told at once; a peer that cannot hear is not waited for.
                drop(stream.try_write(SHED));
            }
            return;
        }
        self.metrics.count(Metric::ConnectionsAccepted);
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection was gone before it was answered");
            return;
        }
        let connection = Connection {
            handler: Arc::clone(&self.handler),
            metrics: Arc::clone(&self.metrics),
            deadlines: self.listener.config.deadlines,
            address,
            encrypted: self.listener.tls.is_some(),
            refused: Arc::clone(&self.refused),
            stop: self.stop.clone(),
        };
        let open = Open::new(Arc::clone(&self.metrics));
        // Two kinds of task, so that a plain connection does not hold room for TLS.
        match self.listener.tls.clone() {
            None => self.open.spawn(async move {
                let _open = open;
                connection.http1(stream).await;
            }),
            Some(tls) => self.open.spawn(async move {
                let _open = open;
                encrypted(connection, &tls, stream).await;
            }),
        };
    }
}

async fn encrypted<H: Handler>(connection: Connection<H>, tls: &Tls, stream: TcpStream) {
    let handshake = tls.acceptor().accept(stream);
    let Ok(Ok(stream)) = timeout(connection.deadlines.handshake, handshake).await else {
        connection.metrics.count(Metric::TlsHandshakesFailed);
        return;
    };
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Box::pin(connection.http2(stream)).await,
        _ => Box::pin(connection.http1(stream)).await,
    }
}

/// Counts a connection while it is open, however it ends.
struct Open(Arc<Metrics>);

impl Open {
    fn new(metrics: Arc<Metrics>) -> Self {
        metrics.add(Metric::ConnectionsOpen, 1);
        Self(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.subtract(Metric::ConnectionsOpen, 1);
    }
}
