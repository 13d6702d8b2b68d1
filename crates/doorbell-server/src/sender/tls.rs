//! Whom we believe: rustls with the Mozilla roots, and the certificates that the operator adds. There is no way to
//! switch the checks off.

use crate::clock::Clock;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// Why the TLS side of a sender could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// One of the operator's certificates cannot be read.
    #[error("certificate {0} of the extra certificate authorities cannot be used")]
    Root(usize, #[source] rustls::Error),
    /// The cryptography that is built in does not offer what TLS needs.
    #[error("TLS cannot be set up")]
    Provider(#[source] rustls::Error),
}

/// Verifies by the Mozilla roots and `extra`, by the time of `clock`; offers HTTP/2 and HTTP/1.1.
pub(super) fn config(
    extra: &[CertificateDer<'static>],
    clock: Clock,
) -> Result<Arc<ClientConfig>, TlsSetupError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for (number, certificate) in extra.iter().enumerate() {
        roots.add(certificate.clone()).map_err(|error| TlsSetupError::Root(number + 1, error))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(clock))
        .with_safe_default_protocol_versions()
        .map_err(TlsSetupError::Provider)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
