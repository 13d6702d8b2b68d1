//! Follows the messages of one HTTP/1 connection as their bytes go by: where a head begins and ends, where its body.
//!
//! No I/O and no clock. It exists for three things that the HTTP library behind it does not do: refusing what two
//! parsers could read in two ways (RFC 9112, sections 2.2, 3.2, 5.2, 6.1 and 6.3: bare LF, folded lines, `Content-Length`
//! beside `Transfer-Encoding`, either of them twice, not one good `Host`), knowing what is overdue (a head, a body, or nothing), and keeping
//! each head as it came, so that header lines are stored in their own order.

use bytes::Bytes;
use doorbell_core::limits;
use std::collections::VecDeque;

/// Longest run of chunk extensions and trailers of one body, in bytes. They are dropped.
const CHUNK_NOISE: usize = 8 << 10;
/// Room for a method and a version around a request target.
const AROUND_TARGET: usize = 64;

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No message is under way.
    Between,
    /// The head of a message.
    Head,
    /// The body of a message.
    Body,
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// The head is not what RFC 9112 allows.
    #[error("the request's head is malformed")]
    Malformed,
    /// The request target is too long.
    #[error("the request target is too long")]
    TargetTooLong,
    /// The head has too many lines or bytes.
    #[error("the request's head is too large")]
    HeadTooLarge,
    /// The chunks of the body are malformed.
    #[error("the request's body is malformed")]
    Body,
    /// A head, a body or a read was overdue.
    #[error("the peer took too long")]
    Timeout,
}

/// How far the bytes may be passed on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fed {
    /// So many of the bytes belong to messages that are in order.
    pub(crate) pass: usize,
    /// What is wrong after them.
    pub(crate) fault: Option<Fault>,
}

/// The state between two reads.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    place: Place,
    /// The head so far.
    head: Vec<u8>,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, Default)]
enum Place {
    #[default]
    Between,
    Head,
    Length(u64),
    Chunk(Chunk, usize),
}

#[derive(Debug, Clone, Copy)]
enum Chunk {
    Size { value: u64, digits: u8 },
    Extension { value: u64 },
    SizeLf { value: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
}

/// What the lines of a head said about its body.
#[derive(Debug, Clone, Copy, Default)]
struct Shape {
    lines: usize,
    line_start: usize,
    old: bool,
    host: Host,
    length: Option<u64>,
    chunked: bool,
}

/// Whether a `Host` line came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Host {
    #[default]
    Missing,
    Named,
}

impl Framing {
    /// What the next byte belongs to.
    pub(crate) fn phase(&self) -> Phase {
        match self.place {
            Place::Between => Phase::Between,
            Place::Head => Phase::Head,
            Place::Length(_) | Place::Chunk(..) => Phase::Body,
        }
    }

    /// Takes the next bytes of the connection and puts the heads that they complete behind the others. After a fault it
    /// must not be called again.
    pub(crate) fn feed(&mut self, bytes: &[u8], heads: &mut VecDeque<Bytes>) -> Fed {
        let mut fed = Fed { pass: 0, fault: None };
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match self.step(rest, heads) {
                Ok(taken) => at += taken,
                Err(fault) => {
                    fed.fault = Some(fault);
                    // A malformed head is withheld whole, a malformed body from the malformed byte on.
                    if fault == Fault::Body {
                        fed.pass = at;
                    }
                    return fed;
                }
            }
            if self.phase() != Phase::Head {
                fed.pass = at;
            }
        }
        fed.pass = bytes.len();
        fed
    }

    fn step(&mut self, rest: &[u8], heads: &mut VecDeque<Bytes>) -> Result<usize, Fault> {
        match self.place {
            Place::Between => Ok(self.between(rest)),
            Place::Head => self.head(rest, heads),
            Place::Length(left) => {
                let (taken, left) = skip(rest, left);
                self.place = if left == 0 { Place::Between } else { Place::Length(left) };
                Ok(taken)
            }
            Place::Chunk(chunk, noise) => {
                let (taken, next) = chunk.step(rest)?;
                let noise = if chunk.is_noise() { noise + taken } else { noise };
                if noise > CHUNK_NOISE {
                    return Err(Fault::Body);
                }
                self.place = next.map_or(Place::Between, |next| Place::Chunk(next, noise));
                Ok(taken)
            }
        }
    }

    /// Empty lines before a request line are allowed (RFC 9112, section 2.2).
    fn between(&mut self, rest: &[u8]) -> usize {
        let blank = rest.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        if blank < rest.len() {
            self.place = Place::Head;
            self.head.clear();
            self.shape = Shape::default();
        }
        blank
    }

    fn head(&mut self, rest: &[u8], heads: &mut VecDeque<Bytes>) -> Result<usize, Fault> {
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1);
        let room = limits::HEADER_BLOCK.saturating_sub(self.head.len());
        self.head.extend_from_slice(rest.get(..end.min(room)).unwrap_or_default());
        if self.shape.lines == 0 && self.head.len() > limits::TARGET + AROUND_TARGET {
            return Err(Fault::TargetTooLong);
        }
        if end > room {
            return Err(Fault::HeadTooLarge);
        }
        let line = self.head.get(self.shape.line_start..).unwrap_or_default();
        if !line.ends_with(b"\n") {
            return Ok(end);
        }
        let line = line.strip_suffix(b"\r\n").ok_or(Fault::Malformed)?;
        if line.is_empty() {
            self.end_of_head(heads)?;
        } else {
            self.shape.line(line)?;
            self.shape.line_start = self.head.len();
        }
        Ok(end)
    }

    fn end_of_head(&mut self, heads: &mut VecDeque<Bytes>) -> Result<(), Fault> {
        if self.shape.host == Host::Missing && !self.shape.old {
            return Err(Fault::Malformed);
        }
        self.place = match (self.shape.length, self.shape.chunked) {
            (Some(_), true) => return Err(Fault::Malformed),
            (_, true) => Place::Chunk(Chunk::Size { value: 0, digits: 0 }, 0),
            (Some(0) | None, false) => Place::Between,
            (Some(length), false) => Place::Length(length),
        };
        heads.push_back(Bytes::copy_from_slice(&self.head));
        self.head.clear();
        self.head.shrink_to(1024);
        Ok(())
    }
}

impl Shape {
    /// Takes one line of the head, without its line end.
    fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        self.lines += 1;
        if self.lines == 1 {
            self.old = line.ends_with(b" HTTP/1.0");
            let known = self.old || line.ends_with(b" HTTP/1.1");
            return if known { Ok(()) } else { Err(Fault::Malformed) };
        }
        if self.lines > limits::HEADER_COUNT + 1 {
            return Err(Fault::HeadTooLarge);
        }
        if line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
            return Err(Fault::Malformed);
        }
        // The library behind us checks the names; here only those are looked at that tell where the body ends, and whom the
        // request is for.
        if !line.first().is_some_and(|b| matches!(b, b'c' | b'C' | b't' | b'T' | b'h' | b'H')) {
            return Ok(());
        }
        let colon = memchr::memchr(b':', line).ok_or(Fault::Malformed)?;
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            return self.content_length(value);
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return self.transfer_encoding(value);
        }
        if name.eq_ignore_ascii_case(b"host") {
            return self.host(value);
        }
        Ok(())
    }

    /// Any second line is refused, even an equal one (RFC 9110, section 8.6, leaves that to us).
    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        let length = str::from_utf8(value).ok().filter(|_| digits).and_then(|v| v.parse().ok());
        // The HTTP library takes the last numbers that fit for a head that is too large.
        let length = length.filter(|length| i64::try_from(*length).is_ok());
        if self.length.is_some() {
            return Err(Fault::Malformed);
        }
        self.length = Some(length.ok_or(Fault::Malformed)?);
        Ok(())
    }

    /// One line, which may be empty; HTTP/1.0 needs none (RFC 9112, section 3.2).
    fn host(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.host == Host::Named || !is_authority(value) {
            return Err(Fault::Malformed);
        }
        self.host = Host::Named;
        Ok(())
    }

    /// Only `chunked`, once, and not in HTTP/1.0.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.chunked || self.old || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::Malformed);
        }
        self.chunked = true;
        Ok(())
    }
}

impl Chunk {
    fn is_noise(self) -> bool {
        matches!(
            self,
            Self::Extension { .. } | Self::TrailerStart | Self::Trailer | Self::TrailerLf
        )
    }

    /// Takes some bytes; `None` as the next state is the end of the body.
    fn step(self, rest: &[u8]) -> Result<(usize, Option<Self>), Fault> {
        if let Self::Data { left } = self {
            let (taken, left) = skip(rest, left);
            let next = if left == 0 { Self::DataCr } else { Self::Data { left } };
            return Ok((taken, Some(next)));
        }
        let byte = *rest.first().ok_or(Fault::Body)?;
        self.byte(byte).map(|next| (1, next))
    }

    fn byte(self, byte: u8) -> Result<Option<Self>, Fault> {
        let next = match (self, byte) {
            (Self::Size { value, digits }, _) if byte.is_ascii_hexdigit() && digits < 16 => {
                Self::Size { value: value << 4 | u64::from(hex(byte)), digits: digits + 1 }
            }
            (Self::Size { value, digits: 1.. }, b';' | b' ' | b'\t') => Self::Extension { value },
            (Self::Size { value, digits: 1.. } | Self::Extension { value }, b'\r') => {
                Self::SizeLf { value }
            }
            (Self::Extension { value }, _) if byte != b'\n' => Self::Extension { value },
            (Self::SizeLf { value: 0 }, b'\n') => Self::TrailerStart,
            (Self::SizeLf { value }, b'\n') => Self::Data { left: value },
            (Self::DataCr, b'\r') => Self::DataLf,
            (Self::DataLf, b'\n') => Self::Size { value: 0, digits: 0 },
            (Self::TrailerStart, b'\r') => Self::EndLf,
            (Self::Trailer, b'\r') => Self::TrailerLf,
            (Self::TrailerStart | Self::Trailer, _) if byte != b'\n' => Self::Trailer,
            (Self::TrailerLf, b'\n') => Self::TrailerStart,
            (Self::EndLf, b'\n') => return Ok(None),
            _ => return Err(Fault::Body),
        };
        Ok(Some(next))
    }
}

/// A name or address, and perhaps a port (RFC 3986, section 3.2.2, without user information).
fn is_authority(value: &[u8]) -> bool {
    let inside = |b: &u8| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(b);
    let (name, rest) = if value.first() == Some(&b'[') {
        let Some(end) = memchr::memchr(b']', value) else { return false };
        value.split_at(end + 1)
    } else {
        value.split_at(memchr::memchr(b':', value).unwrap_or(value.len()))
    };
    let named = match name.strip_prefix(b"[").and_then(|name| name.strip_suffix(b"]")) {
        Some(address) => !address.is_empty() && address.iter().all(|b| *b == b':' || inside(b)),
        None => name.iter().all(inside),
    };
    named && rest.strip_prefix(b":").unwrap_or(rest).iter().all(u8::is_ascii_digit)
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// How many of the bytes lie within the next `left`, and what is left after them.
fn skip(rest: &[u8], left: u64) -> (usize, u64) {
    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
    (taken, left - taken as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(text: &str) -> (Fed, Phase) {
        let mut framing = Framing::default();
        let fed = framing.feed(text.as_bytes(), &mut VecDeque::new());
        (fed, framing.phase())
    }

    #[track_caller]
    fn refused(text: &str, fault: Fault) {
        assert_eq!(whole(text).0.fault, Some(fault), "{text:?}");
        assert_eq!(whole(text).0.pass, 0, "{text:?}");
    }

    #[test]
    fn refuses_what_can_be_read_in_two_ways() {
        for head in [
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length:\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 18446744073709551615\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "X: a\r\n b\r\n",
            "X: a\nY: b\r\n",
            "to no colon\r\n",
        ] {
            refused(&format!("POST / HTTP/1.1\r\nHost: x\r\n{head}\r\n"), Fault::Malformed);
        }
        refused("POST / HTTP/1.1\nHost: x\n\n", Fault::Malformed);
        refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::Malformed);
    }

    #[test]
    fn it_is_clear_whom_a_request_is_for() {
        for head in [
            "",
            "X-Host: x\r\n",
            "Host: x\r\nhost: x\r\n",
            "Host: x\r\nHost: y\r\n",
            "Host: a b\r\n",
            "Host: user@x\r\n",
            "Host: x/y\r\n",
            "Host: x:y\r\n",
            "Host: x:1:2\r\n",
            "Host: [::1\r\n",
            "Host: []\r\n",
            "Host: [::1]x\r\n",
            "Host: \u{e9}\r\n",
        ] {
            refused(&format!("GET / HTTP/1.1\r\n{head}\r\n"), Fault::Malformed);
        }
        for host in ["x", "", "x:", "X.example.:80", "127.0.0.1:8080", "[::1]:8080", "[::1]", "a_b"]
        {
            let (fed, _) = whole(&format!("GET / HTTP/1.1\r\nhOST: {host}\r\n\r\n"));
            assert_eq!(fed.fault, None, "{host}");
        }
        assert_eq!(whole("GET / HTTP/1.0\r\n\r\n").0.fault, None);
        refused("GET / HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n", Fault::Malformed);
    }

    #[test]
    fn heads_are_bounded() {
        refused(&"x".repeat(limits::TARGET + AROUND_TARGET + 1), Fault::TargetTooLong);
        let line = format!("X: {}\r\n", "y".repeat(1000));
        refused(&format!("GET / HTTP/1.1\r\n{}", line.repeat(70)), Fault::HeadTooLarge);
        refused(&format!("GET / HTTP/1.1\r\n{}", "x:\r\n".repeat(101)), Fault::HeadTooLarge);
        let lines = format!("host:x\r\n{}", "x:\r\n".repeat(99));
        let (fed, phase) = whole(&format!("GET / HTTP/1.1\r\n{lines}\r\n"));
        assert_eq!((fed.fault, phase), (None, Phase::Between));
    }

    #[test]
    fn malformed_chunks_are_cut_off_at_the_byte() {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (good, bad) in [
            ("", "g\r\n"),
            ("1", "\nx"),
            ("1\r\nx", "y"),
            ("0\r\n", "\n"),
            ("f", "ffffffffffffffffff"),
        ] {
            let (fed, _) = whole(&format!("{head}{good}{bad}"));
            assert_eq!(fed.fault, Some(Fault::Body), "{good:?} {bad:?}");
            assert!(fed.pass >= head.len() + good.len(), "{good:?} {bad:?}");
        }
    }

    #[test]
    fn a_bad_second_head_does_not_hold_back_the_first() {
        let first = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nok";
        let (fed, _) = whole(&format!("{first}GET / HTTP/1.1\n"));
        assert_eq!((fed.pass, fed.fault), (first.len(), Some(Fault::Malformed)));
    }

    /// Messages of every shape, with where each ends.
    fn message() -> impl Strategy<Value = String> {
        let body = proptest::collection::vec("[a-z\r\n]{1,40}", 0..4);
        (body, any::<bool>(), "[a-z]{0,8}", "(\r\n){0,2}").prop_map(|(parts, chunked, trailer, blank)| {
            if chunked {
                let mut text: String = parts
                    .iter()
                    .map(|part| format!("{:x};{trailer}\r\n{part}\r\n", part.len()))
                    .collect();
                text.extend(["0\r\n", &trailer, ":x\r\n\r\n"]);
                format!("{blank}POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n{text}")
            } else {
                let body = parts.concat();
                let length = body.len();
                format!("{blank}POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
            }
        })
    }

    proptest! {
        #[test]
        fn however_the_bytes_are_cut(messages in proptest::collection::vec(message(), 1..4), cut in 1_usize..50) {
            let text = messages.concat();
            let mut framing = Framing::default();
            let mut heads = VecDeque::new();
            for piece in text.as_bytes().chunks(cut) {
                let fed = framing.feed(piece, &mut heads);
                prop_assert_eq!((fed.fault, fed.pass), (None, piece.len()));
            }
            prop_assert_eq!(framing.phase(), Phase::Between);
            prop_assert_eq!(heads.len(), messages.len());
            for (head, message) in heads.iter().zip(&messages) {
                let message = message.trim_start_matches("\r\n");
                prop_assert!(message.as_bytes().starts_with(head) && head.ends_with(b"\r\n\r\n"));
            }
        }

        #[test]
        fn never_panics_and_never_passes_more_than_it_got(pieces in proptest::collection::vec(".{0,80}", 0..8)) {
            let mut framing = Framing::default();
            for piece in pieces {
                let fed = framing.feed(piece.as_bytes(), &mut VecDeque::new());
                prop_assert!(fed.pass <= piece.len());
                if fed.fault.is_some() {
                    break;
                }
            }
        }
    }
}
