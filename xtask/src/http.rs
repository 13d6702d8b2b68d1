//! HTTP/1.1 for the harnesses: a blocking client that keeps its connection, and the reading of one message.
//! It is not `hyper` on purpose: what tests the gateway should not share its parser.

use anyhow::{Context, Result, bail};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The largest message that a harness reads, in bytes.
const BODY_MAX: usize = 64 << 20;

/// One message's head and body.
#[derive(Debug, Default)]
pub(crate) struct Message {
    /// The first line.
    pub(crate) start: String,
    /// Header lines, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// The value of the first header of that name (lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The status of an answer.
    pub(crate) fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// The path of a request.
    pub(crate) fn path(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or("/")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).with_context(|| {
            format!(
                "{} with a body that is no JSON: {}",
                self.start,
                String::from_utf8_lossy(&self.body)
            )
        })
    }
}

/// Reads one message; `None` when the peer closed before its first byte.
pub(crate) fn read_message(from: &mut impl BufRead) -> io::Result<Option<Message>> {
    let mut message = Message { start: line(from)?, ..Message::default() };
    if message.start.is_empty() {
        return Ok(None);
    }
    loop {
        let next = line(from)?;
        if next.is_empty() {
            break;
        }
        if let Some((name, value)) = next.split_once(':') {
            message.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    message.body = body(from, &message)?;
    Ok(Some(message))
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.take(65_536).read_until(b'\n', &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end_matches(['\r', '\n']).to_owned())
}

fn body(from: &mut impl BufRead, head: &Message) -> io::Result<Vec<u8>> {
    let chunked =
        head.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked"));
    if !chunked {
        let length = head.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        return exactly(from, length);
    }
    let mut all = Vec::new();
    loop {
        let size = line(from)?;
        let size = size.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(io::Error::other)?;
        all.extend(exactly(from, size)?);
        line(from)?;
        if size == 0 {
            return Ok(all);
        }
    }
}

fn exactly(from: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    if length > BODY_MAX {
        return Err(io::Error::other("the body is over the harness's limit"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A client of one address that keeps its connection.
#[derive(Debug)]
pub(crate) struct Client {
    address: String,
    token: Option<String>,
    stream: Option<BufReader<TcpStream>>,
}

impl Client {
    /// A client of `http://host:port`, with a bearer token where one is given.
    pub(crate) fn new(base: &str, token: Option<&str>) -> Self {
        let address = base.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { address, token: token.map(str::to_owned), stream: None }
    }

    /// One more, to the same place.
    pub(crate) fn another(&self) -> Self {
        Self { address: self.address.clone(), token: self.token.clone(), stream: None }
    }

    /// One exchange. After an error nobody knows whether the request was taken, so nothing is tried again.
    pub(crate) fn send(&mut self, head: &str, headers: &str, body: &[u8]) -> io::Result<Message> {
        let answer = self.exchange(head, headers, body);
        if !answer.as_ref().is_ok_and(keeps_alive) {
            self.stream = None;
        }
        answer
    }

    fn exchange(&mut self, head: &str, headers: &str, body: &[u8]) -> io::Result<Message> {
        let mut wire = format!(
            "{head} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n{headers}",
            self.address,
            body.len()
        );
        if let Some(token) = &self.token {
            wire.push_str("authorization: Bearer ");
            wire.push_str(token);
            wire.push_str("\r\n");
        }
        wire.push_str("\r\n");
        let mut bytes = wire.into_bytes();
        bytes.extend_from_slice(body);
        let stream = self.connected()?;
        stream.get_mut().write_all(&bytes)?;
        read_message(stream)?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    }

    fn connected(&mut self) -> io::Result<&mut BufReader<TcpStream>> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.address)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.set_write_timeout(Some(Duration::from_secs(20)))?;
            self.stream = Some(BufReader::new(stream));
        }
        self.stream.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }

    /// An API call that must succeed; its JSON.
    pub(crate) fn api(
        &mut self,
        head: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<serde_json::Value> {
        let bytes = body.map(serde_json::Value::to_string).unwrap_or_default();
        let answer = self.send(head, "content-type: application/json\r\n", bytes.as_bytes());
        let answer = answer.with_context(|| format!("{head} got no answer"))?;
        if !(200..300).contains(&answer.status()) {
            bail!("{head}: {} {}", answer.start, String::from_utf8_lossy(&answer.body));
        }
        if answer.body.is_empty() { Ok(serde_json::Value::Null) } else { answer.json() }
    }
}

fn keeps_alive(answer: &Message) -> bool {
    !answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}
