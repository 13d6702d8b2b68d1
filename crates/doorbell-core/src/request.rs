//! One HTTP request, byte for byte: what came in is what is stored, shown and forwarded.

use bytes::Bytes;
use std::net::IpAddr;

/// The header lines in the order of their arrival, duplicates included. Names are lower case, values any bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers(Vec<(String, Bytes)>);

impl Headers {
    /// An empty list with room for `lines`.
    #[must_use]
    pub fn with_capacity(lines: usize) -> Self {
        Self(Vec::with_capacity(lines))
    }

    /// Adds a line at the end; the name is lowered.
    pub fn push(&mut self, name: &str, value: impl Into<Bytes>) {
        self.0.push((name.to_ascii_lowercase(), value.into()));
    }

    /// The value of the first line of that name, without regard to case.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The first line of that name as text, when it is UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.first(name).and_then(|value| str::from_utf8(value).ok())
    }

    /// All lines, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &[u8])> + ExactSizeIterator {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_ref()))
    }

    /// How many lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: AsRef<str>, V: Into<Bytes>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(lines: I) -> Self {
        let mut headers = Self::default();
        for (name, value) in lines {
            headers.push(name.as_ref(), value);
        }
        headers
    }
}

/// Checks and signatures read the lines where they are.
impl webhook_signatures::Headers for Headers {
    fn at(&self, index: usize) -> Option<(&str, &[u8])> {
        self.0.get(index).map(|(name, value)| (name.as_str(), value.as_ref()))
    }
}

/// One inbound HTTP request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `POST`, `PUT`, …
    pub method: String,
    /// What stood behind the source in the path: empty, or from its `/` on, percent-encoded as it came.
    pub path: String,
    /// The raw query without its `?`; `None` where no `?` stood.
    pub query: Option<String>,
    /// The header lines.
    pub headers: Headers,
    /// The body's bytes, still encoded as they were sent (no decompression).
    pub body: Bytes,
    /// Who sent it, as the socket (or a trusted proxy) says.
    pub peer: Option<IpAddr>,
}
