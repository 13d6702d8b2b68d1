//! Opening a connection: whom to call is the caller's affair ([`Dial`]), TLS is ours.

use crate::limits;
use crate::message::QueueError;
use crate::site::Site;
use doorbell_core::time::Time;
use rustls::pki_types::{CertificateDer, IpAddr, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt::{self, Debug};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection being opened.
pub type Dialing<'a> = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send + 'a>>;

/// Opens TCP connections. Where tenants name the broker, this is where the address is looked up and vetted.
pub trait Dial: Debug + Send + Sync + 'static {
    /// A connection to the host (a name or an IP address).
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialing<'a>;
}

/// Calls whatever address it is given: for brokers that the operator named.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Dial for Plain {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> Dialing<'a> {
        Box::pin(TcpStream::connect((host, port)))
    }
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// One of the operator's certificates cannot be read.
    #[error("certificate {0} of the extra certificate authorities cannot be used")]
    Root(usize, #[source] rustls::Error),
    /// The cryptography that is built in does not offer what TLS needs.
    #[error("TLS cannot be set up")]
    Provider(#[source] rustls::Error),
}

/// Opens connections for clients of this crate.
#[derive(Clone)]
pub struct Dialer {
    dial: Arc<dyn Dial>,
    tls: Arc<ClientConfig>,
    now: Arc<dyn Fn() -> Time + Send + Sync>,
}

impl Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("dial", &self.dial).finish_non_exhaustive()
    }
}

/// A connection, encrypted or not.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type Stream = Box<dyn Io>;

impl Dialer {
    /// Calls by `dial`; believes certificates by the Mozilla roots and `extra`; `now` dates what is signed (SQS, S3).
    ///
    /// # Errors
    /// [`TlsSetupError`].
    pub fn new(
        dial: Arc<dyn Dial>,
        extra: &[CertificateDer<'static>],
        now: Arc<dyn Fn() -> Time + Send + Sync>,
    ) -> Result<Self, TlsSetupError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for (number, certificate) in extra.iter().enumerate() {
            let added = roots.add(certificate.clone());
            added.map_err(|error| TlsSetupError::Root(number + 1, error))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsSetupError::Provider)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { dial, tls: Arc::new(config), now })
    }

    pub(crate) fn now(&self) -> Time {
        (self.now)()
    }

    /// A connection as its address wants it.
    pub(crate) async fn open(&self, site: &Site) -> Result<Stream, QueueError> {
        let tcp = self.tcp(site).await?;
        if site.tls { self.secure(tcp, site).await } else { Ok(Box::new(tcp)) }
    }

    pub(crate) async fn tcp(&self, site: &Site) -> Result<TcpStream, QueueError> {
        let dialing = self.dial.dial(&site.host, site.port);
        let tcp = tokio::time::timeout(limits::OPEN, dialing).await.map_err(|_| no_answer())?;
        let tcp = tcp.map_err(|error| unreachable(&error))?;
        tcp.set_nodelay(true).map_err(|error| unreachable(&error))?;
        Ok(tcp)
    }

    pub(crate) async fn secure(&self, tcp: TcpStream, site: &Site) -> Result<Stream, QueueError> {
        let name = match site.host.parse::<std::net::IpAddr>() {
            Ok(ip) => ServerName::IpAddress(IpAddr::from(ip)),
            Err(_) => ServerName::try_from(site.host.clone()).map_err(|_| {
                QueueError::Refused("no certificate can be for this name".to_owned())
            })?,
        };
        let shaking = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp);
        let stream = tokio::time::timeout(limits::OPEN, shaking).await.map_err(|_| no_answer())?;
        Ok(Box::new(stream.map_err(|error| unreachable(&error))?))
    }
}

fn no_answer() -> QueueError {
    QueueError::Unreachable("no connection within the time".to_owned())
}

pub(crate) fn unreachable(error: &io::Error) -> QueueError {
    QueueError::Unreachable(error.to_string())
}
