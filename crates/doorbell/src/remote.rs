//! A client of a running node's API. One connection a call; `https://` with the public roots, or those given.

use crate::config::{DATA_DIR, variable};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use url::Url;

/// How long a call may take to answer.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long a health check may take to answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read at most.
const ANSWER_MAX: usize = 512 << 20;

/// Which node to talk to.
#[derive(Debug, Clone, Args)]
#[expect(clippy::doc_markdown, reason = "the command line prints these sentences as they stand")]
pub(crate) struct Node {
    /// The API's address; also DOORBELL_URL [default: what the running server wrote into the data folder, or 127.0.0.1:8081]
    #[arg(long, global = true, value_name = "URL", help_heading = "Node")]
    server: Option<String>,
    /// A token of the API; better in DOORBELL_TOKEN [default: the one in the data folder]
    #[arg(
        id = "api_token",
        long = "token",
        global = true,
        value_name = "TOKEN",
        help_heading = "Node"
    )]
    token: Option<String>,
    /// The server's data folder, when it is on this machine; also DOORBELL_DATA_DIR [default: doorbell-data here]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Node")]
    data_dir: Option<PathBuf>,
    /// A certificate (PEM) to believe beside the public ones
    #[arg(long, global = true, value_name = "FILE", help_heading = "Node")]
    ca_file: Option<PathBuf>,
}

/// Where a running server writes its API's address.
pub(crate) const URL_FILE: &str = "admin-url";
/// Where a server keeps the text of its own token.
pub(crate) const TOKEN_FILE: &str = "admin-token";

/// A node's API.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    base: Url,
    token: Option<String>,
    roots: Vec<CertificateDer<'static>>,
}

impl Node {
    /// Finds out where the node is.
    ///
    /// # Errors
    /// When an address is no URL or a certificate cannot be read.
    pub(crate) fn remote(&self) -> Result<Remote> {
        let folder =
            self.data_dir.clone().or_else(|| variable("DOORBELL_DATA_DIR").map(PathBuf::from));
        let folder = folder.unwrap_or_else(|| PathBuf::from(DATA_DIR));
        let url = self
            .server
            .clone()
            .or_else(|| variable("DOORBELL_URL"))
            .or_else(|| line(&folder.join(URL_FILE)));
        let url = url.unwrap_or_else(|| "http://127.0.0.1:8081".to_owned());
        let base = Url::parse(&url)
            .with_context(|| format!("{url:?} is no URL, such as http://127.0.0.1:8081"))?;
        let token = self.token.clone().or_else(|| variable("DOORBELL_TOKEN"));
        let token = token.or_else(|| line(&folder.join(TOKEN_FILE)));
        let roots = self.ca_file.as_deref().map_or(Ok(Vec::new()), read_certificates)?;
        Ok(Remote { base, token, roots })
    }
}

fn line(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}

/// Reads the certificates of a PEM file.
///
/// # Errors
/// When the file cannot be read or holds none.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let all: Vec<_> = CertificateDer::pem_file_iter(path)
        .with_context(|| format!("{} cannot be read", path.display()))?
        .collect::<Result<_, _>>()
        .with_context(|| format!("{} holds no valid certificates", path.display()))?;
    if all.is_empty() {
        bail!("{} holds no certificate", path.display())
    }
    Ok(all)
}

/// A body to send.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    None,
    Json(Value),
    Raw { content_type: String, headers: Vec<(String, String)>, bytes: Bytes },
}

impl Remote {
    /// A path of this node as a whole address.
    ///
    /// # Errors
    /// When they make no URL.
    pub(crate) fn url(&self, path: &str) -> Result<Url> {
        self.base.join(path).with_context(|| format!("{path:?} is no path of {}", self.base))
    }

    /// Calls the API and reads its JSON answer (null when it is empty).
    ///
    /// # Errors
    /// When the node cannot be reached, or with the API's own explanation.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Body) -> Result<Value> {
        let bytes = self.bytes(method, path, body).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes)
            .context("the answer is no JSON: is this the API's address (not the ingest's)?")
    }

    /// Gets a path.
    ///
    /// # Errors
    /// As [`Remote::call`].
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, Body::None).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// As [`Remote::call`].
    pub(crate) async fn post(&self, path: &str, json: Value) -> Result<Value> {
        self.call(Method::POST, path, Body::Json(json)).await
    }

    /// Calls the API and reads its answer whole.
    ///
    /// # Errors
    /// As [`Remote::call`].
    pub(crate) async fn bytes(&self, method: Method, path: &str, body: Body) -> Result<Bytes> {
        let work = async {
            let answer = self.open(method, path, body).await?;
            let limited = http_body_util::Limited::new(answer.into_body(), ANSWER_MAX);
            limited
                .collect()
                .await
                .map(http_body_util::Collected::to_bytes)
                .map_err(|error| anyhow!(error))
        };
        tokio::time::timeout(TIMEOUT, work)
            .await
            .map_err(|_| anyhow!("no answer within {} s", TIMEOUT.as_secs()))?
    }

    /// Calls the API and hands the answer over while it comes; for streams.
    ///
    /// # Errors
    /// As [`Remote::call`].
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Response<Incoming>> {
        let request = self.request(method, path, body)?;
        let tcp = connect(&self.base).await.with_context(|| {
            format!("no server answers at {}: start one with `doorbell serve`, or say where it is with --server", self.base)
        })?;
        let answer = exchange(&self.base, &self.roots, tcp, request).await?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::UNAUTHORIZED => Err(anyhow!(self.unauthorized())),
            _ => Err(explain(answer).await),
        }
    }

    /// Asks a health check: its status and its word. Whoever asks is in a hurry.
    ///
    /// # Errors
    /// When nobody answers.
    pub(crate) async fn probe(&self, path: &str) -> Result<(u16, String)> {
        let request = Request::builder().uri(path).header("host", self.base.authority());
        let request = request.body(Full::default())?;
        let work = async {
            let tcp = connect(&self.base)
                .await
                .with_context(|| format!("no server answers at {}", self.base))?;
            let answer = exchange(&self.base, &self.roots, tcp, request).await?;
            let status = answer.status().as_u16();
            let body = http_body_util::Limited::new(answer.into_body(), 4 << 10).collect().await;
            let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            Ok((status, String::from_utf8_lossy(&body).trim().to_owned()))
        };
        tokio::time::timeout(PROBE_TIMEOUT, work).await.map_err(|_| {
            anyhow!("{} gave no answer within {} s", self.base, PROBE_TIMEOUT.as_secs())
        })?
    }

    /// The API says no more than "a good token is needed"; which one was sent is known here.
    fn unauthorized(&self) -> String {
        let why = if self.token.is_some() {
            "the token is not one of this server's, or it has expired"
        } else {
            "no token was found"
        };
        format!(
            "{} wants a token: {why}\n  Run this in the folder where `doorbell serve` runs, name its data folder with \
             --data-dir, or set DOORBELL_TOKEN.",
            self.base
        )
    }

    fn request(&self, method: Method, path: &str, body: Body) -> Result<Request<Full<Bytes>>> {
        let authority = self.base.authority();
        let mut request = Request::builder().method(method).uri(path).header("host", authority);
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let bytes = match body {
            Body::None => Bytes::new(),
            Body::Json(json) => {
                request = request.header("content-type", "application/json");
                Bytes::from(json.to_string())
            }
            Body::Raw { content_type, headers, bytes } => {
                request = request.header("content-type", content_type);
                request = headers
                    .into_iter()
                    .fold(request, |request, (name, value)| request.header(name, value));
                bytes
            }
        };
        Ok(request.body(Full::new(bytes))?)
    }
}

/// Sends one request to any `http://` or `https://` URL; for what is not the API.
///
/// # Errors
/// When nobody answers there.
pub(crate) async fn send(
    url: &Url,
    roots: &[CertificateDer<'static>],
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>> {
    let work = async {
        let tcp = connect(url).await.with_context(|| format!("nobody answers at {url}"))?;
        exchange(url, roots, tcp, request).await.with_context(|| format!("{url} gave no answer"))
    };
    tokio::time::timeout(TIMEOUT, work)
        .await
        .map_err(|_| anyhow!("{url} gave no answer within {} s", TIMEOUT.as_secs()))?
}

async fn connect(url: &Url) -> Result<TcpStream> {
    let host = url.host_str().unwrap_or("127.0.0.1").trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(8081);
    Ok(TcpStream::connect((host, port)).await?)
}

async fn exchange(
    url: &Url,
    roots: &[CertificateDer<'static>],
    tcp: TcpStream,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>> {
    if url.scheme() != "https" {
        return exchange_over(tcp, request).await;
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let tls = connector(roots)?.connect(ServerName::try_from(host.to_owned())?, tcp).await;
    exchange_over(tls.map_err(|error| refused(url, error))?, request).await
}

/// Why there is no TLS, and what to do about it.
fn refused(url: &Url, error: std::io::Error) -> anyhow::Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidMessage(_)) => {
            let plain = url.as_str().replacen("https://", "http://", 1);
            anyhow!(
                "the server at {url} speaks no TLS at this port: if it is a plain one, write {plain}"
            )
        }
        Some(_) | None => error.into(),
    }
}

fn connector(extra: &[CertificateDer<'static>]) -> Result<tokio_rustls::TlsConnector> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for root in extra {
        roots.add(root.clone())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)))
}

async fn exchange_over<T>(io: T, request: Request<Full<Bytes>>) -> Result<Response<Incoming>>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut send, connection) = hyper::client::conn::http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(connection);
    Ok(send.send_request(request).await?)
}

/// The API's own words about what went wrong.
async fn explain(answer: Response<Incoming>) -> anyhow::Error {
    let status = answer.status();
    let body = http_body_util::Limited::new(answer.into_body(), 1 << 20).collect().await;
    let problem: Value =
        body.ok().and_then(|b| serde_json::from_slice(&b.to_bytes()).ok()).unwrap_or_default();
    let parts = problem.get("errors").and_then(Value::as_array);
    let parts = parts.into_iter().flatten().map(part).collect();
    anyhow!(ApiProblem { sentence: sentence(status, &problem), parts })
}

/// A problem (RFC 9457) as a person at a terminal reads it. Where parts of the request are named, they say all: the
/// detail repeats them, and the remedy speaks of a body that this program wrote.
fn sentence(status: StatusCode, problem: &Value) -> String {
    let text = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default();
    let errors = problem.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if errors.is_empty() {
        let known = [text("detail"), text("title")].into_iter().find(|words| !words.is_empty());
        let what = known.map_or_else(|| format!("the server answered {status}"), str::to_owned);
        return [&what, text("remedy")].join("\n  ").trim_end().to_owned();
    }
    let mut lines = vec![text("title").to_owned()];
    for error in errors {
        let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        lines.push(format!("{}: {}", as_typed(part("pointer")), without_position(part("detail"))));
    }
    lines.join("\n  ")
}

/// A place in the request as it is written on the command line: `/retry/schedule` is `retry.schedule`.
fn as_typed(pointer: &str) -> String {
    match pointer.strip_prefix('?') {
        Some("") | None => pointer.trim_start_matches('/').replace('/', "."),
        Some("event_type") => "--type".to_owned(),
        Some(name) => format!("--{}", name.replace('_', "-")),
    }
}

/// Without the position in a JSON text that nobody typed.
fn without_position(detail: &str) -> &str {
    detail.rsplit_once(" at line ").map_or(detail, |(before, _)| before)
}

fn part(error: &Value) -> (String, String) {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    (text("pointer"), text("detail"))
}

/// What the API said is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiProblem {
    /// All of it, for people.
    pub(crate) sentence: String,
    /// Which parts of the request, by JSON pointers, and what about them.
    pub(crate) parts: Vec<(String, String)>,
}

impl fmt::Display for ApiProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for ApiProblem {}

/// Makes `?a=b&c=d` of what is given; empty when nothing is.
pub(crate) fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if let Some(value) = value {
            text.append_pair(name, value);
        }
    }
    let text = text.finish();
    if text.is_empty() { text } else { format!("?{text}") }
}

/// A text as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_problem_is_told_once_in_the_words_of_the_command_line() {
        let problem = json!({
            "title": "The body cannot be read", "detail": "/retry/schedule: a list at line 1 column 66",
            "remedy": "Compare the body with the schema.",
            "errors": [
                {"pointer": "/retry/schedule", "detail": "a list at line 1 column 66"},
                {"pointer": "?event_type", "detail": "too long"},
            ],
        });
        let told = sentence(StatusCode::BAD_REQUEST, &problem);
        assert_eq!(told, "The body cannot be read\n  retry.schedule: a list\n  --type: too long");
    }

    #[tokio::test]
    async fn tls_to_a_plain_server_says_what_to_write() {
        let server = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = server.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut peer, _) = server.accept().await.unwrap();
            let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut peer, answer).await.unwrap();
            let _until_closed = tokio::io::copy(&mut peer, &mut tokio::io::sink()).await;
        });
        let url: Url = format!("https://127.0.0.1:{port}/").parse().unwrap();
        let request = Request::get("/").body(Full::default()).unwrap();
        let why = format!("{:#}", send(&url, &[], request).await.unwrap_err());
        assert!(why.contains(&format!("write http://127.0.0.1:{port}/")), "{why}");
    }

    #[test]
    fn a_problem_without_parts_keeps_its_remedy() {
        let problem =
            json!({"title": "t", "detail": "There is no such event.", "remedy": "Check the id."});
        assert_eq!(
            sentence(StatusCode::NOT_FOUND, &problem),
            "There is no such event.\n  Check the id."
        );
        assert_eq!(
            sentence(StatusCode::BAD_GATEWAY, &Value::Null),
            "the server answered 502 Bad Gateway"
        );
    }
}
