//! Asking SQS: one signed POST on a kept connection.

use super::form;
use super::sigv4::{Scope, Signed, authorization, stamp};
use crate::address::Address;
use crate::dial::Dialer;
use crate::message::QueueError;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Connections that are kept while nothing is asked.
const IDLE: usize = 16;
/// Bytes of an answer: ten messages of the largest kind, and what stands around them.
const ANSWER_BYTES: usize = 24 << 20;
const KIND: &str = "application/x-amz-json-1.0";

type Sender = SendRequest<Full<Bytes>>;

/// Asks one host.
#[derive(Debug)]
pub(super) struct Client {
    address: Address,
    dialer: Dialer,
    host: String,
    region: String,
    idle: Mutex<Vec<Sender>>,
}

/// The host, with its port where that is not the usual one.
pub(super) fn host(address: &Address) -> String {
    let name = address.host();
    let name = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let usual = if address.is_tls() { 443 } else { 80 };
    if address.port() == usual { name } else { format!("{name}:{}", address.port()) }
}

/// `sqs.eu-central-1.amazonaws.com` says where it is.
fn region(address: &Address) -> String {
    let named = address.host().strip_prefix("sqs.").and_then(|rest| rest.split('.').next());
    address.option("region").or(named).unwrap_or("us-east-1").to_owned()
}

impl Client {
    pub(super) fn new(address: Address, dialer: Dialer) -> Self {
        let (host, region) = (host(&address), region(&address));
        Self { address, dialer, host, region, idle: Mutex::default() }
    }

    /// What SQS answers.
    pub(super) async fn ask(
        &self,
        action: &str,
        body: &Value,
        within: Duration,
    ) -> Result<Value, QueueError> {
        let body = Bytes::from(body.to_string());
        let asking = self.ask_now(action, body);
        tokio::time::timeout(within, asking).await.unwrap_or_else(|_| Err(QueueError::late()))
    }

    async fn ask_now(&self, action: &str, body: Bytes) -> Result<Value, QueueError> {
        // One that was kept may have been closed by the other side meanwhile; that is no answer.
        if let Some(kept) = self.kept()
            && let Ok(answer) = self.exchange(kept, self.request(action, &body)?).await
        {
            return answer;
        }
        let fresh = self.open().await?;
        self.exchange(fresh, self.request(action, &body)?).await?
    }

    fn kept(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|sender| !sender.is_closed());
        idle.pop()
    }

    async fn open(&self) -> Result<Sender, QueueError> {
        let stream = self.dialer.open(self.address.site()).await?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to SQS ended");
            }
        });
        Ok(sender)
    }

    fn request(
        &self,
        action: &str,
        body: &Bytes,
    ) -> Result<http::Request<Full<Bytes>>, QueueError> {
        let who = self.address.credentials();
        let who =
            who.ok_or_else(|| QueueError::Refused("there are no credentials for it".to_owned()))?;
        let stamp = stamp(self.dialer.now());
        let target = format!("AmazonSQS.{action}");
        let mut headers = vec![
            ("content-type", KIND),
            ("host", self.host.as_str()),
            ("x-amz-date", stamp.as_str()),
        ];
        headers.extend(who.session.as_ref().map(|token| ("x-amz-security-token", token.reveal())));
        headers.push(("x-amz-target", &target));
        let signed = Signed { method: "POST", path: "/", query: "", headers: &headers, body };
        let scope = Scope { region: &self.region, service: "sqs" };
        let authorization = authorization(signed, scope, &stamp, who);
        let mut request = http::Request::post("/").header("authorization", authorization);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body.clone()));
        request.map_err(|_| QueueError::Failed("its credentials or host make no header".to_owned()))
    }

    /// The outer error: nothing was answered.
    async fn exchange(
        &self,
        mut sender: Sender,
        request: http::Request<Full<Bytes>>,
    ) -> Result<Result<Value, QueueError>, QueueError> {
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = answer.status();
        let read = Limited::new(answer.into_body(), ANSWER_BYTES).collect().await;
        let bytes = read.map_err(|error| QueueError::Unreachable(error.to_string()))?.to_bytes();
        self.keep(sender);
        let value: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(Ok(value));
        }
        let word = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        let text = [word("message"), word("Message")].concat();
        let text = if text.is_empty() { status.to_string() } else { text };
        let error = form::error(word("__type"), &text);
        let server = status.is_server_error() || status.as_u16() == 429;
        Ok(Err(if !matches!(error, QueueError::Failed(_)) {
            error
        } else if server {
            QueueError::Busy(text)
        } else if matches!(status.as_u16(), 401 | 403) {
            QueueError::Refused(text)
        } else {
            error
        }))
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE && !sender.is_closed() {
            idle.push(sender);
        }
    }
}

fn broken(error: &hyper::Error) -> QueueError {
    QueueError::Unreachable(error.to_string())
}
