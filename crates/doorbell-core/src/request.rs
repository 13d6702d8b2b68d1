//! One HTTP request, byte for byte: what came in is what is stored, shown and forwarded.

use bytes::Bytes;
use std::fmt;
use std::net::IpAddr;

/// The header lines in the order of their arrival, duplicates included. Names are lower case, values any bytes.
///
/// All names stand in one text and all values in one run of bytes: a list is made once for each request, and a dozen
/// small pieces of memory would cost more than reading the lines.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers {
    names: String,
    values: Vec<u8>,
    lines: Vec<Line>,
}

/// Where a line's name and value end; they begin where those of the line before end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Line {
    name_end: usize,
    value_end: usize,
}

impl Headers {
    /// Bytes of a line's name, and of its value, that [`Headers::with_capacity`] makes room for.
    const USUAL: (usize, usize) = (16, 32);

    /// An empty list with room for `lines`.
    #[must_use]
    pub fn with_capacity(lines: usize) -> Self {
        let (name, value) = Self::USUAL;
        Self {
            names: String::with_capacity(lines.saturating_mul(name)),
            values: Vec::with_capacity(lines.saturating_mul(value)),
            lines: Vec::with_capacity(lines),
        }
    }

    /// Adds a line at the end; the name is lowered.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let start = self.names.len();
        self.names.push_str(name);
        if let Some(name) = self.names.get_mut(start..) {
            name.make_ascii_lowercase();
        }
        self.values.extend_from_slice(value.as_ref());
        self.lines.push(Line { name_end: self.names.len(), value_end: self.values.len() });
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
        (0..self.lines.len()).map(|at| self.line(at).unwrap_or_default())
    }

    fn line(&self, at: usize) -> Option<(&str, &[u8])> {
        let end = self.lines.get(at)?;
        let start = at.checked_sub(1).and_then(|b| self.lines.get(b)).copied().unwrap_or_default();
        let name = self.names.get(start.name_end..end.name_end)?;
        Some((name, self.values.get(start.value_end..end.value_end)?))
    }

    /// How many lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |(name, value): (_, &[u8])| (name, value.escape_ascii().to_string());
        f.debug_list().entries(self.iter().map(text)).finish()
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
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
        self.line(index)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_order_and_bytes() {
        let mut headers = Headers::with_capacity(1);
        headers.push("X-A", b"\xff");
        headers.push("B", "");
        headers.push("x-a", String::from("2"));
        let lines: [(&str, &[u8]); 3] = [("x-a", b"\xff"), ("b", b""), ("x-a", b"2")];
        assert_eq!(headers.iter().collect::<Vec<_>>(), lines);
        assert_eq!(headers.iter().next_back(), Some(lines[2]));
        assert_eq!(
            (headers.first("X-a"), headers.text("x-a"), headers.len()),
            (Some(&b"\xff"[..]), None, 3)
        );
        assert_eq!(headers, lines.into_iter().collect());
        assert_ne!(headers, [("x-ab", ""), ("", "\u{ff}"), ("x-a", "2")].into_iter().collect());
        assert_eq!(format!("{headers:?}"), r#"[("x-a", "\\xff"), ("b", ""), ("x-a", "2")]"#);
    }
}
