//! TLS on a listener: versions, protocols, deadlines, and certificates that change while it runs.

use crate::listen::{config, start};
use crate::raw::{PATIENCE, connect, status};
use crate::world::{self, World, rejection};
use bytes::Bytes;
use doorbell_server::listen::{Listener, Reload, Tls, TlsFiles};
use doorbell_server::metrics::Metric;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate with its key in PEM, good for `localhost`.
struct Pair {
    certificate: rcgen::Certificate,
    key: String,
}

fn pair() -> Pair {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Pair { certificate: made.cert, key: made.signing_key.serialize_pem() }
}

fn files(folder: &TempDir) -> TlsFiles {
    TlsFiles { certificates: folder.path().join("chain.pem"), key: folder.path().join("key.pem") }
}

fn write(files: &TlsFiles, certificate: &Pair, key: &Pair) {
    fs::write(&files.certificates, certificate.certificate.pem()).unwrap();
    fs::write(&files.key, &key.key).unwrap();
}

/// A handshake that trusts this certificate only.
async fn handshake(
    address: SocketAddr,
    trusted: &Pair,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(trusted.certificate.der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, connect(address).await).await
}

async fn get(mut stream: TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET /tls HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn http1_and_http2_over_tls() {
    let (folder, pair) = (TempDir::new().unwrap(), pair());
    let files = files(&folder);
    write(&files, &pair, &pair);
    let mut config = config();
    config.tls = Some(files);
    let node = start(config);
    let stream = handshake(node.address, &pair, &[]).await.unwrap();
    assert!(get(stream).await.ends_with("GET /tls Some(2) 0\n"));

    let stream = handshake(node.address, &pair, &[b"h2", b"http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request =
        http::Request::post("https://localhost/two").body(Full::new(Bytes::from("ok"))).unwrap();
    let response = client.send_request(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "POST https://localhost/two None 2\n");
}

#[tokio::test]
async fn a_handshake_has_a_deadline_and_plain_text_is_no_tls() {
    let (folder, pair) = (TempDir::new().unwrap(), pair());
    let files = files(&folder);
    write(&files, &pair, &pair);
    let mut config = config();
    config.tls = Some(files);
    config.deadlines.handshake = Duration::from_millis(200);
    let node = start(config);
    let mut silent = connect(node.address).await;
    let mut plain = connect(node.address).await;
    plain.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    for stream in [&mut silent, &mut plain] {
        let mut answer = Vec::new();
        // The alert of TLS, or nothing, or a reset; but an end, and no HTTP.
        drop(tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap());
        assert_eq!(status(&String::from_utf8_lossy(&answer)), 0);
    }
    while node.metrics.value(Metric::TlsHandshakesFailed) < 2 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_changed_certificate_is_taken_into_use_and_a_broken_one_is_not() {
    let (folder, old, new) = (TempDir::new().unwrap(), pair(), pair());
    let files = files(&folder);
    write(&files, &old, &old);
    let mut config = config();
    config.tls = Some(files.clone());
    let listener = Listener::bind(config.clone()).unwrap();
    let tls = listener.tls().unwrap();
    let node = crate::listen::serve(listener);
    assert!(matches!(tls.reload(), Reload::Unchanged));

    // Renewal in two steps: the certificate is there before its key.
    write(&files, &new, &old);
    touch(&files, 10);
    assert!(matches!(tls.reload(), Reload::Kept(_)));
    assert!(matches!(tls.reload(), Reload::Unchanged), "told once");
    assert!(handshake(node.address, &old, &[]).await.is_ok());
    write(&files, &new, &new);
    touch(&files, 20);
    assert!(matches!(tls.reload(), Reload::Replaced));
    assert!(handshake(node.address, &old, &[]).await.is_err());
    let stream = handshake(node.address, &new, &[]).await.unwrap();
    assert_eq!(status(&get(stream).await), 200);

    fs::write(&files.key, "rubbish").unwrap();
    touch(&files, 30);
    assert!(matches!(tls.reload(), Reload::Kept(_)));
    fs::remove_file(&files.key).unwrap();
    assert!(matches!(tls.reload(), Reload::Kept(_)));
    assert!(handshake(node.address, &new, &[]).await.is_ok());
}

/// Moves the files' times on, as a later write would.
fn touch(files: &TlsFiles, seconds: u64) {
    for path in [&files.certificates, &files.key] {
        let file = fs::File::options().append(true).open(path).unwrap();
        let later = file.metadata().unwrap().modified().unwrap() + Duration::from_secs(seconds);
        file.set_modified(later).unwrap();
    }
}

#[test]
fn a_listener_does_not_start_with_a_broken_pair() {
    let (folder, a, b) = (TempDir::new().unwrap(), pair(), pair());
    let files = files(&folder);
    let told = |error: doorbell_server::listen::TlsError| error.to_string();
    assert!(told(Tls::load(files.clone()).unwrap_err()).contains("certificate from"));
    write(&files, &a, &b);
    assert!(told(Tls::load(files.clone()).unwrap_err()).contains("cannot be used with"));
    fs::write(&files.certificates, "").unwrap();
    assert!(Tls::load(files).is_err());
}

type Sender = hyper::client::conn::http2::SendRequest<Full<Bytes>>;

/// A node whose ingest listener speaks TLS, and an HTTP/2 client to it.
async fn two(
    change: impl FnOnce(&mut doorbell_server::node::NodeConfig),
) -> (World, Sender, TempDir, Pair) {
    let (folder, pair) = (TempDir::new().unwrap(), pair());
    let files = files(&folder);
    write(&files, &pair, &pair);
    let mut config = world::config();
    config.ingest.tls = Some(files);
    change(&mut config);
    let world = world::start(config).await;
    let client = two_more(&world, &pair).await;
    (world, client, folder, pair)
}

async fn two_more(world: &World, pair: &Pair) -> Sender {
    let stream = handshake(world.ingest(), pair, &[b"h2"]).await.unwrap();
    let io = TokioIo::new(stream);
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    client
}

fn post(source: &str, body: Vec<u8>) -> http::Request<Full<Bytes>> {
    let request = http::Request::post(format!("https://hooks.example.com/in/{source}/x?y=%20"));
    request.header("x-b", "1").header("x-a", "2").header("x-b", "3").body(Full::from(body)).unwrap()
}

#[tokio::test]
async fn requests_over_http2_are_kept_alike() {
    let (world, mut client, ..) = two(|_| {}).await;
    let response = client.send_request(post("inbox", b"ok".to_vec())).await.unwrap();
    assert_eq!(response.status(), 202);
    let response = client.send_request(post("small", vec![0; 200_000])).await.unwrap();
    assert_eq!(response.status(), 413);
    assert!(!response.headers().contains_key("connection"));
    let kept = world.kept_when(2).await;
    let request = &kept[0].event.request;
    assert_eq!((request.path.as_str(), request.query.as_deref()), ("/x", Some("y=%20")));
    assert_eq!(request.body, "ok");
    let lines: Vec<_> =
        request.headers.iter().filter(|(n, _)| n.starts_with('x') || *n == "host").collect();
    // A map keeps lines of one name together: that much is lost with HTTP/2.
    let expected: [(&str, &[u8]); 4] =
        [("host", b"hooks.example.com"), ("x-b", b"1"), ("x-b", b"3"), ("x-a", b"2")];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_stalled_body_over_http2_is_told_408() {
    let (world, _client, _folder, pair) = two(|config| {
        config.ingest.deadlines.body = Duration::from_millis(200);
    })
    .await;
    let stream = handshake(world.ingest(), &pair, &[b"h2"]).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    let request = http::Request::post("https://x/in/inbox").body(()).unwrap();
    let (response, mut body) = client.send_request(request, false).unwrap();
    body.send_data(Bytes::from("half"), false).unwrap();
    assert_eq!(response.await.unwrap().status(), 408);
    let kept = world.kept_when(1).await;
    assert!(rejection(&kept[0]).detail.contains("in time"));
}

/// S37: a client that opens streams only to reset them is cut off, and others are answered.
#[tokio::test]
async fn a_reset_flood_ends_its_own_connection() {
    let (world, _client, _folder, pair) = two(|_| {}).await;
    let stream = handshake(world.ingest(), &pair, &[b"h2"]).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    for _ in 0..100_000 {
        let request = http::Request::post("https://x/in/inbox").body(()).unwrap();
        let Ok((response, mut body)) = client.send_request(request, false) else { break };
        body.send_reset(h2::Reason::CANCEL);
        drop(response);
        let Ok(ready) = client.ready().await else { break };
        client = ready;
        tokio::task::yield_now().await;
    }
    let ended = tokio::time::timeout(PATIENCE, connection).await.unwrap().unwrap();
    // GOAWAY with ENHANCE_YOUR_CALM, or a reset when that was overtaken by what we were still sending.
    let error = ended.unwrap_err();
    let reason = error.reason();
    assert!(error.is_io() || reason == Some(h2::Reason::ENHANCE_YOUR_CALM), "{error:?}");
    let mut honest = two_more(&world, &pair).await;
    assert_eq!(honest.send_request(post("inbox", b"ok".to_vec())).await.unwrap().status(), 202);
}
