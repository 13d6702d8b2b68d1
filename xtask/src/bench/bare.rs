//! The bound: a bare hyper server that reads the same body, checks the same HMAC and answers 202, in a process of its own.

use crate::payload::SECRET;
use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ring::hmac;
use std::convert::Infallible;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use tokio::net::TcpListener;

/// The bound as a child process.
#[derive(Debug)]
pub(super) struct Bare {
    child: Child,
    /// `host:port`.
    pub(super) address: String,
}

impl Bare {
    pub(super) fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("bare").stdout(Stdio::piped()).spawn()?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut address)?;
        Ok(Self { child, address: address.trim().to_owned() })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Serves until it is killed.
pub(crate) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let key = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()));
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let key = Arc::clone(&key);
            tokio::spawn(async move {
                let service = service_fn(|request| answer(request, &key));
                let http = hyper::server::conn::http1::Builder::new();
                drop(http.serve_connection(TokioIo::new(stream), service).await);
            });
        }
    })
}

async fn answer(
    request: Request<Incoming>,
    key: &hmac::Key,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let claimed =
        request.headers().get("x-hub-signature-256").and_then(|value| unhex(value.as_bytes()));
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let good = match (claimed, body) {
        (Some(claimed), Ok(body)) => hmac::verify(key, &body, &claimed).is_ok(),
        _ => false,
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = if good { StatusCode::ACCEPTED } else { StatusCode::UNAUTHORIZED };
    Ok(response)
}

/// `sha256=` and 64 hex digits.
fn unhex(text: &[u8]) -> Option<[u8; 32]> {
    let digits = text.strip_prefix(b"sha256=")?;
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (digits.len() == 64).then_some(out)
}
