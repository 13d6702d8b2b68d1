//! Opening a connection: TCP to the first vetted address that answers, TLS, and the protocol that both sides speak.

use super::faults::{fault, of_connect, of_handshake, of_head};
use super::http1::Http1;
use super::http2::Http2;
use super::limits::{HANDSHAKE, HEAD_START, TRIED};
use super::meter::{Meter, Metered};
use super::stream::Stream;
use super::trace::{Phase, Trace};
use crate::clock::Clock;
use doorbell_core::address::Vetted;
use doorbell_core::attempt::{ErrorClass, Fault};
use doorbell_core::endpoint_url::{EndpointUrl, Target};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// A connection that was just opened.
#[derive(Debug)]
pub(super) enum Opened {
    Http1(Box<Http1>),
    Http2(Arc<Http2>),
}

/// Opens connections.
#[derive(Debug)]
pub(super) struct Dialer {
    pub(super) tls: Arc<ClientConfig>,
    pub(super) clock: Clock,
}

impl Dialer {
    /// Opens a connection to one of these addresses; they are alike to the name's owner, so the first that answers wins.
    pub(super) async fn open(
        &self,
        url: &EndpointUrl,
        addresses: &[Vetted],
        trace: &mut Trace,
    ) -> Result<(Vetted, Opened), Fault> {
        trace.enter(Phase::Connect);
        if let [only] = addresses {
            trace.at(only.socket());
        }
        let (address, tcp) = first_to_answer(&in_turn(addresses)).await?;
        trace.at(address.socket());
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(address = %address.socket(), %error, "requests may leave this connection late");
        }
        let meter = Arc::new(Meter::default());
        let stream = Metered::new(tcp, meter.clone());
        let opened = if url.is_tls() {
            self.open_tls(url, stream, meter, trace).await?
        } else {
            open_http1(Stream::Plain(stream), meter).await?
        };
        Ok((address, opened))
    }

    async fn open_tls(
        &self,
        url: &EndpointUrl,
        stream: Metered,
        meter: Arc<Meter>,
        trace: &mut Trace,
    ) -> Result<Opened, Fault> {
        trace.enter(Phase::Handshake);
        meter.arm(HANDSHAKE);
        let connector = TlsConnector::from(self.tls.clone());
        let stream = connector.connect(server_name(url)?, stream).await;
        let stream = Box::new(stream.map_err(|error| of_handshake(&error))?);
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() == Some(b"h2") {
            let shared = Http2::start(Stream::Tls(stream), meter, self.clock.clone()).await;
            shared.map(Opened::Http2).map_err(|error| of_head(&error))
        } else {
            open_http1(Stream::Tls(stream), meter).await
        }
    }
}

async fn open_http1(stream: Stream, meter: Arc<Meter>) -> Result<Opened, Fault> {
    let opened = Http1::start(stream, meter).await;
    opened.map(|http1| Opened::Http1(Box::new(http1))).map_err(|error| of_head(&error))
}

/// The name that the certificate must be for; rustls leaves out a last dot where TLS wants none (RFC 6066, section 3).
fn server_name(url: &EndpointUrl) -> Result<ServerName<'static>, Fault> {
    match url.target() {
        Target::Address(ip) => Ok(ServerName::IpAddress(ip.into())),
        Target::Name(name) => ServerName::try_from(name.to_owned()).map_err(|_| {
            fault(ErrorClass::RequestInvalid, format!("no certificate can be for the name {name}"))
        }),
    }
}

/// The addresses in the resolver's order, but the two families by turns (RFC 8305, section 4).
fn in_turn(addresses: &[Vetted]) -> Vec<Vetted> {
    let Some(first) = addresses.first() else { return Vec::new() };
    let like_first = |address: &&Vetted| address.socket().is_ipv4() == first.socket().is_ipv4();
    let mut ones = addresses.iter().filter(like_first);
    let mut others = addresses.iter().filter(|address| !like_first(address));
    let mut order = Vec::with_capacity(addresses.len());
    while order.len() < addresses.len() {
        order.extend(ones.next());
        order.extend(others.next());
    }
    order.truncate(TRIED);
    order
}

/// Tries one address after the other, the next beside the one before when that takes its time.
async fn first_to_answer(order: &[Vetted]) -> Result<(Vetted, TcpStream), Fault> {
    let mut waiting = order.iter().copied();
    let mut trying = JoinSet::new();
    let mut failed: Vec<(SocketAddr, io::Error)> = Vec::new();
    loop {
        let next = waiting.next();
        if let Some(address) = next {
            trying.spawn(async move { (address, TcpStream::connect(address.socket()).await) });
        }
        tokio::select! {
            biased;
            done = trying.join_next() => match done {
                Some(Ok((address, Ok(tcp)))) => return Ok((address, tcp)),
                Some(Ok((address, Err(error)))) => failed.push((address.socket(), error)),
                Some(Err(lost)) => tracing::error!(%lost, "a connecting task was lost"),
                None => return Err(of_connect(&failed)),
            },
            () = tokio::time::sleep(HEAD_START), if next.is_some() => {}
        }
    }
}
