//! TLS from certificate and key files, TLS 1.2 at least, read again when the files change.
//!
//! A pair that cannot be used after a change (half written, key of another certificate) is told of and the old one stays
//! in use: renewing a certificate never takes the listener down.

use crate::metrics::{Metric, Metrics};
use crate::tasks::{Stage, Stop};
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};
use tokio_rustls::TlsAcceptor;

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate and its chain, PEM, the leaf first.
    pub certificates: PathBuf,
    /// Its private key, PEM (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
}

/// Why certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM, or holds nothing of what it should.
    #[error("cannot read a {what} from {path}")]
    Read {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// They do not fit together or are of an unknown kind.
    #[error("the certificate in {certificates} cannot be used with the key in {key}")]
    Unusable {
        /// The certificate's file.
        certificates: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// What tells a changed file from an unchanged one.
type Stamp = Option<(SystemTime, u64)>;

/// The TLS side of a listener.
pub struct Tls {
    files: TlsFiles,
    seen: RwLock<[Stamp; 2]>,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// The pair in use.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What came of looking at the files again.
#[derive(Debug)]
pub enum Reload {
    /// They are as they were.
    Unchanged,
    /// The new pair is in use.
    Replaced,
    /// The new pair cannot be used; the old one stays.
    Kept(TlsError),
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] when they cannot be read or do not fit together.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let seen = RwLock::new(stamps(&files));
        let current = Arc::new(Current(RwLock::new(Arc::new(read(&files)?))));
        let unusable = |source| TlsError::Unusable {
            certificates: files.certificates.clone(),
            key: files.key.clone(),
            source,
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<Current>::clone(&current));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { files, seen, current, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    pub(super) const fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Looks at the files and takes a changed pair into use. Reads from disk: not for an async task itself.
    pub fn reload(&self) -> Reload {
        let now = stamps(&self.files);
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return Reload::Unchanged;
        }
        *seen = now;
        match read(&self.files) {
            Ok(pair) => {
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pair);
                Reload::Replaced
            }
            Err(error) => Reload::Kept(error),
        }
    }

    /// Looks at the files every so often until told to stop.
    pub async fn watch(self: Arc<Self>, every: Duration, metrics: Arc<Metrics>, mut stop: Stop) {
        let mut ticks = tokio::time::interval(every);
        loop {
            tokio::select! {
                () = stop.reached(Stage::Draining) => return,
                _ = ticks.tick() => {}
            }
            let tls = Arc::clone(&self);
            match tokio::task::spawn_blocking(move || tls.reload()).await {
                Ok(Reload::Replaced) => {
                    metrics.count(Metric::CertificatesReloaded);
                    tracing::info!(certificates = %self.files.certificates.display(), "took a new certificate into use");
                }
                Ok(Reload::Kept(error)) => {
                    metrics.count(Metric::CertificatesBroken);
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the changed certificate cannot be used; the old one stays"
                    );
                }
                Ok(Reload::Unchanged) => {}
                Err(error) => tracing::error!(%error, "looking at the certificate files failed"),
            }
        }
    }
}

fn stamps(files: &TlsFiles) -> [Stamp; 2] {
    let stamp = |path: &PathBuf| -> io::Result<(SystemTime, u64)> {
        let data = std::fs::metadata(path)?;
        Ok((data.modified()?, data.len()))
    };
    [stamp(&files.certificates).ok(), stamp(&files.key).ok()]
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect)
        .and_then(
            |chain: Vec<_>| {
                if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) }
            },
        )
        .map_err(|source| TlsError::Read {
            what: "certificate",
            path: files.certificates.clone(),
            source,
        })?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::Read {
        what: "private key",
        path: files.key.clone(),
        source,
    })?;
    CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|source| {
        TlsError::Unusable {
            certificates: files.certificates.clone(),
            key: files.key.clone(),
            source,
        }
    })
}
