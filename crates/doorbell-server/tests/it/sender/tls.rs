//! TLS: who is believed, and what is said about those who are not.

use super::rig::*;
use doorbell_core::attempt::ErrorClass;
use doorbell_core::time::Time;
use doorbell_server::clock::{Clock, ManualClock};
use doorbell_server::sender::{Sender, SenderOptions};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// The name that receivers in these tests have.
pub(super) const NAME: &str = "hooks.example.com";

/// A certificate authority of the tests' own.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(super) root: CertificateDer<'static>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        // Each authority has a name of its own, as in life.
        let name = format!("authority {:02x?}", &key.public_key_raw()[1..9]);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let root = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), root }
    }

    /// An acceptor for this name, with a certificate that `change` may spoil, offering these protocols.
    pub(super) fn acceptor(
        &self,
        name: &str,
        protocols: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> TlsAcceptor {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// A sender that believes this authority; all names are this machine.
    pub(super) fn sender(&self) -> Sender {
        self.sender_at(Clock::real())
    }

    pub(super) fn sender_at(&self, clock: Clock) -> Sender {
        Sender::new(SenderOptions {
            extra_roots: vec![self.root.clone()],
            resolver: all_names_are(&["127.0.0.1"]),
            clock,
            ..options()
        })
        .unwrap()
    }
}

/// A receiver that does `serve` with each TLS connection.
pub(super) async fn receiver<F>(
    acceptor: TlsAcceptor,
    serve: impl Fn(TlsStream<TcpStream>) -> F + Clone + Send + Sync + 'static,
) -> Receiver
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    Receiver::start(move |caller| {
        let (acceptor, serve) = (acceptor.clone(), serve.clone());
        async move { serve(acceptor.accept(caller.tcp).await?).await }
    })
    .await
}

async fn ordinary(acceptor: TlsAcceptor) -> Receiver {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    receiver(acceptor, |stream| serve_all(stream, answer)).await
}

pub(super) fn url(receiver: &Receiver) -> String {
    format!("https://{NAME}:{}/", receiver.address.port())
}

#[tokio::test]
async fn a_good_certificate_is_believed_and_the_connection_kept() {
    let authority = Authority::new();
    let receiver = ordinary(authority.acceptor(NAME, &["http/1.1"], |_| ())).await;
    let sender = authority.sender();
    for number in 0..5 {
        let carried = carry(&sender, post(&url(&receiver))).await;
        assert_eq!(carried.timings.tls.is_some(), number == 0);
        assert_eq!(&answered(carried).body[..], b"ok");
    }
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_certificate_for_an_address_is_believed_for_that_address() {
    let authority = Authority::new();
    let receiver = ordinary(authority.acceptor("127.0.0.1", &[], |_| ())).await;
    let url = format!("https://{}/", receiver.address);
    assert_eq!(answered(carry(&authority.sender(), post(&url)).await).status, 200);
}

#[tokio::test]
async fn a_name_with_a_last_dot_is_the_same_to_a_certificate() {
    let authority = Authority::new();
    let receiver = ordinary(authority.acceptor(NAME, &[], |_| ())).await;
    let url = format!("https://{NAME}.:{}/", receiver.address.port());
    assert_eq!(answered(carry(&authority.sender(), post(&url)).await).status, 200);
}

#[tokio::test]
async fn an_expired_certificate() {
    let authority = Authority::new();
    let acceptor = authority.acceptor(NAME, &[], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
    });
    let carried = carry(&authority.sender(), post(&url(&ordinary(acceptor).await))).await;
    let said = "certificate expired on 2021-02-03";
    expect_fault(carried, ErrorClass::TlsCertificateExpired, said);
}

#[tokio::test]
async fn certificates_are_judged_by_the_clock_that_is_given() {
    let authority = Authority::new();
    let receiver = ordinary(authority.acceptor(NAME, &[], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 2, 3);
    }))
    .await;
    let then = Time::parse_rfc3339("2020-06-01T00:00:00Z").unwrap();
    let sender = authority.sender_at(Clock::Manual(ManualClock::new(then, 1)));
    assert_eq!(answered(sender.carry(post(&url(&receiver))).await).status, 200);
}

#[tokio::test]
async fn a_certificate_of_the_future() {
    let authority = Authority::new();
    let acceptor =
        authority.acceptor(NAME, &[], |params| params.not_before = date_time_ymd(2190, 1, 1));
    let carried = carry(&authority.sender(), post(&url(&ordinary(acceptor).await))).await;
    expect_fault(carried, ErrorClass::TlsCertificateInvalid, "not valid before 2190-01-01");
}

#[tokio::test]
async fn a_certificate_for_another_name() {
    let authority = Authority::new();
    let receiver = ordinary(authority.acceptor("other.example.com", &[], |_| ())).await;
    let carried = carry(&authority.sender(), post(&url(&receiver))).await;
    assert_eq!(carried.address, Some(receiver.address));
    let fault = failed(carried);
    assert_eq!(fault.class, ErrorClass::TlsCertificateName);
    assert!(fault.detail.contains(NAME) && fault.detail.contains("other.example.com"), "{fault:?}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let receiver = ordinary(stranger.acceptor(NAME, &[], |_| ())).await;
    let carried = carry(&authority.sender(), post(&url(&receiver))).await;
    expect_fault(carried, ErrorClass::TlsCertificateInvalid, "unknown authority");
}

#[tokio::test]
async fn a_receiver_without_tls() {
    let authority = Authority::new();
    let plain = Receiver::start(|mut caller| async move {
        caller.say(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
        caller.wait_for_end().await
    })
    .await;
    let carried = carry(&authority.sender(), post(&url(&plain))).await;
    expect_fault(carried, ErrorClass::TlsFailed, "does not speak TLS");
}

#[tokio::test]
async fn a_handshake_that_stalls() {
    let authority = Authority::new();
    let silent = Receiver::start(|mut caller| async move { caller.wait_for_end().await }).await;
    let carried = carry(&authority.sender(), post_within(&url(&silent), SHORT)).await;
    assert_eq!(carried.address, Some(silent.address));
    expect_fault(carried, ErrorClass::TimeoutConnect, "TLS handshake");
}

#[tokio::test]
async fn a_handshake_that_breaks_off() {
    let authority = Authority::new();
    let rude = Receiver::start(|mut caller| async move {
        let mut hello = [0; 16];
        tokio::io::AsyncReadExt::read_exact(&mut caller.tcp, &mut hello).await.map(drop)
    })
    .await;
    let carried = carry(&authority.sender(), post(&url(&rude))).await;
    expect_fault(carried, ErrorClass::TlsFailed, "TLS handshake");
}

#[tokio::test]
async fn a_handshake_without_end() {
    let authority = Authority::new();
    // Handshake records of a message that says it is 16 MiB long.
    let record = [&[0x16, 3, 3, 0x40, 0, 2, 0xff, 0xff, 0xff][..], &[0; 0x3ffc]].concat();
    let flood = Receiver::start(move |mut caller| {
        let record = record.clone();
        async move {
            loop {
                caller.say(&record).await?;
            }
        }
    })
    .await;
    expect_fault(carry(&authority.sender(), post(&url(&flood))).await, ErrorClass::TlsFailed, "");
}

#[tokio::test]
async fn a_receiver_that_wants_a_client_certificate() {
    let authority = Authority::new();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.root.clone()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots),
        provider.clone(),
    )
    .build()
    .unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority.issuer).unwrap().der().clone();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    let receiver = ordinary(TlsAcceptor::from(Arc::new(config))).await;
    let fault = failed(carry(&authority.sender(), post(&url(&receiver))).await);
    // In TLS 1.3 our side of the handshake is over when the receiver finds out; its alert races with its closing.
    assert!(
        matches!(fault.class, ErrorClass::TlsFailed | ErrorClass::ConnectionReset),
        "{fault:?}"
    );
}

/// A connection is only used for the name that its certificate was checked for.
#[tokio::test]
async fn names_on_one_address_do_not_share_connections() {
    let authority = Authority::new();
    let receiver = ordinary(authority.acceptor(NAME, &[], |_| ())).await;
    let sender = authority.sender();
    answered(carry(&sender, post(&url(&receiver))).await);
    let other = format!("https://other.example.com:{}/", receiver.address.port());
    let carried = carry(&sender, post(&other)).await;
    expect_fault(carried, ErrorClass::TlsCertificateName, "other.example.com");
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn plain_and_tls_do_not_share_connections() {
    let authority = Authority::new();
    let receiver = Receiver::saying("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let sender = authority.sender();
    let plain = format!("http://{NAME}:{}/", receiver.address.port());
    answered(carry(&sender, post(&plain)).await);
    let carried = carry(&sender, post_within(&url(&receiver), SHORT)).await;
    assert_eq!(failed(carried).class, ErrorClass::TimeoutConnect);
    assert_eq!(receiver.connections(), 2);
}

#[tokio::test]
async fn an_unusable_root_is_refused_at_the_start() {
    let extra_roots = vec![CertificateDer::from(vec![1, 2, 3])];
    let refused = Sender::new(SenderOptions { extra_roots, ..options() }).unwrap_err();
    assert!(refused.to_string().contains("certificate 1"), "{refused}");
}
