//! Asking one host: signed, on a kept connection.

use super::sigv4::{Scope, Signed, authorization, stamp};
use crate::dial::Dialer;
use crate::message::QueueError;
use crate::site::Site;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Connections that are kept while nothing is asked.
const IDLE: usize = 16;

type Sender = SendRequest<Full<Bytes>>;
type Request = http::Request<Full<Bytes>>;

/// Asks one host for one service.
#[derive(Debug)]
pub(crate) struct Client {
    site: Site,
    dialer: Dialer,
    host: String,
    region: String,
    service: &'static str,
    idle: Mutex<Vec<Sender>>,
}

/// What is asked. The path stands as it is signed: nothing in it needs escaping that is not escaped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// Those that not every question has; names in lower case.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: &'a Bytes,
    /// Bytes of an answer that are read.
    pub(crate) most: usize,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// `None`: it is longer than what is read.
    pub(crate) body: Option<Bytes>,
}

/// The host, with its port where that is not the usual one.
pub(crate) fn host(site: &Site) -> String {
    let name = if site.host.contains(':') { format!("[{}]", site.host) } else { site.host.clone() };
    let usual = if site.tls { 443 } else { 80 };
    if site.port == usual { name } else { format!("{name}:{}", site.port) }
}

impl Client {
    pub(crate) fn new(site: Site, dialer: Dialer, service: &'static str, region: String) -> Self {
        let host = host(&site);
        Self { site, dialer, host, region, service, idle: Mutex::default() }
    }

    /// What is answered, whatever its status is.
    pub(crate) async fn ask(
        &self,
        question: Question<'_>,
        within: Duration,
    ) -> Result<Answer, QueueError> {
        let asking = self.ask_now(question);
        tokio::time::timeout(within, asking).await.unwrap_or_else(|_| Err(QueueError::late()))
    }

    async fn ask_now(&self, question: Question<'_>) -> Result<Answer, QueueError> {
        // One that was kept may have been closed by the other side meanwhile; that is no answer.
        if let Some(kept) = self.kept()
            && let Ok(answer) = self.exchange(kept, self.request(question)?, question.most).await
        {
            return Ok(answer);
        }
        let fresh = self.open().await?;
        self.exchange(fresh, self.request(question)?, question.most).await
    }

    fn kept(&self) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|sender| !sender.is_closed());
        idle.pop()
    }

    async fn open(&self) -> Result<Sender, QueueError> {
        let stream = self.dialer.open(&self.site).await?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        let service = self.service;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, service, "a connection to AWS ended");
            }
        });
        Ok(sender)
    }

    fn request(&self, question: Question<'_>) -> Result<Request, QueueError> {
        let Question { method, path, body, .. } = question;
        let who = self.site.credentials.as_ref();
        let who =
            who.ok_or_else(|| QueueError::Refused("there are no credentials for it".to_owned()))?;
        let stamp = stamp(self.dialer.now());
        let mut headers = vec![("host", self.host.as_str()), ("x-amz-date", stamp.as_str())];
        headers.extend(who.session.as_ref().map(|token| ("x-amz-security-token", token.reveal())));
        headers.extend(question.headers);
        headers.sort_unstable();
        let signed = Signed { method, path, query: "", headers: &headers, body };
        let scope = Scope { region: &self.region, service: self.service };
        let authorization = authorization(signed, scope, &stamp, who);
        let request = http::Request::builder().method(method).uri(path);
        let request = request.header("authorization", authorization);
        let add = |request: http::request::Builder, (name, value)| request.header(name, value);
        let request = headers.into_iter().fold(request, add).body(Full::new(body.clone()));
        request.map_err(|_| QueueError::Failed("its credentials or host make no header".to_owned()))
    }

    /// An error: nothing was answered.
    async fn exchange(
        &self,
        mut sender: Sender,
        request: Request,
        most: usize,
    ) -> Result<Answer, QueueError> {
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = answer.status();
        let body = read(answer.into_body(), most).await?;
        // What was not read to its end would stand before the next answer.
        if body.is_some() {
            self.keep(sender);
        }
        Ok(Answer { status, body })
    }

    fn keep(&self, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE && !sender.is_closed() {
            idle.push(sender);
        }
    }
}

/// `None` where it is longer; where its head says so, nothing is read.
async fn read(body: Incoming, most: usize) -> Result<Option<Bytes>, QueueError> {
    if usize::try_from(body.size_hint().lower()).map_or(true, |said| said > most) {
        return Ok(None);
    }
    match Limited::new(body, most).collect().await {
        Ok(read) => Ok(Some(read.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => Ok(None),
        Err(error) => Err(QueueError::Unreachable(error.to_string())),
    }
}

fn broken(error: &hyper::Error) -> QueueError {
    QueueError::Unreachable(error.to_string())
}
