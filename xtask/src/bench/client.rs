//! The bound of deliveries: a bare hyper client that signs the same body and posts it to the same sink over connections
//! that it keeps, in a process of its own. It stores nothing and accepts nothing.

use super::{load::Template, process};
use crate::payload::SECRET;
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper_util::rt::TokioIo;
use ring::hmac;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// What the child is told.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    address: String,
    milliseconds: u64,
    connections: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) count: u64,
    pub(super) seconds: f64,
    pub(super) cpu_seconds: f64,
}

/// Runs the client in a process of its own.
pub(super) fn run(address: &str, time: Duration, connections: u64) -> Result<Done> {
    let mut command = Command::new(std::env::current_exe()?);
    let numbers = [time.as_millis().to_string(), connections.to_string()];
    let output = command.arg("bare-client").arg(address).args(numbers).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout)?;
    let number = |name: &str| told.get(name).and_then(Value::as_f64).context("a number is missing");
    let count = told.get("count").and_then(Value::as_u64).context("no count")?;
    Ok(Done { count, seconds: number("seconds")?, cpu_seconds: number("cpu_seconds")? })
}

/// What all connections send.
struct Message {
    headers: HeaderMap,
    body: Bytes,
    key: hmac::Key,
    until: Instant,
}

/// The child: posts as fast as it is answered, and says how often.
pub(crate) fn post(flags: &Flags) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let begun = Instant::now();
    let message = Arc::new(message(begun + Duration::from_millis(flags.milliseconds))?);
    let count = runtime.block_on(async {
        let mut lanes = Vec::new();
        for _ in 0..flags.connections {
            lanes.push(tokio::spawn(lane(flags.address.clone(), Arc::clone(&message))));
        }
        let mut count = 0;
        for lane in lanes {
            count += lane.await??;
        }
        anyhow::Ok(count)
    })?;
    let cpu_seconds = process::cpu_seconds(std::process::id())?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{}", json!({"count": count, "seconds": seconds, "cpu_seconds": cpu_seconds}));
    Ok(())
}

/// The lines and the body of the load.
fn message(until: Instant) -> Result<Message> {
    let whole = Template::github("/", 1)?.into_bytes();
    let split = whole.windows(4).position(|four| four == b"\r\n\r\n").context("no head")?;
    let (head, body) = whole.split_at(split);
    let mut headers = HeaderMap::new();
    for line in str::from_utf8(head)?.split("\r\n").skip(1) {
        let (name, value) = line.split_once(": ").context("no header line")?;
        headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    let body = Bytes::copy_from_slice(body.get(4..).unwrap_or_default());
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    Ok(Message { headers, body, key, until })
}

async fn lane(address: String, message: Arc<Message>) -> Result<u64> {
    let stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut count = 0;
    while Instant::now() < message.until {
        sender.ready().await?;
        let answer = exchange(&mut sender, &message).await?;
        ensure!(answer.is_success(), "the sink answered {answer}");
        count += 1;
    }
    Ok(count)
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    message: &Message,
) -> Result<hyper::StatusCode> {
    let mut signed = hmac::Context::with_key(&message.key);
    signed.update(b"evt_01m32516q0000000000000000c.1790000000.");
    signed.update(&message.body);
    let signature = format!("v1,{}", STANDARD.encode(signed.sign()));
    let mut request = Request::post("/").body(Full::new(message.body.clone()))?;
    *request.headers_mut() = message.headers.clone();
    request
        .headers_mut()
        .insert("webhook-id", HeaderValue::from_static("evt_01m32516q0000000000000000c"));
    request.headers_mut().insert("webhook-timestamp", HeaderValue::from_static("1790000000"));
    request.headers_mut().insert("webhook-signature", HeaderValue::try_from(signature)?);
    let (head, body) = sender.send_request(request).await?.into_parts();
    body.collect().await?;
    Ok(head.status)
}
