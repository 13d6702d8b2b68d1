//! HTTP/1.1 as cheap as it can be: whole requests built beforehand, and just enough reading to find the end of a message.
//! A load generator shares the machine with what it measures, so what it costs comes off the result.

use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A message's head and length within a buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Bytes of the head, with its empty line.
    pub(super) head: usize,
    /// Bytes of head and body.
    pub(super) whole: usize,
}

/// A connection and what was read from it.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 64 << 10], filled: 0 })
    }

    /// Writes all of it.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads one whole message; `None` when the peer closed before it began. [`Wire::done`] lets it go.
    pub(super) async fn message(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = frame(self.read_so_far()) {
                if self.filled >= frame.whole {
                    return Ok(Some(frame));
                }
                let room = frame.whole.max(self.buffer.len());
                self.buffer.resize(room, 0);
            } else if self.filled == self.buffer.len() {
                return Err(io::Error::other("a head over 64 KiB"));
            }
            let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let read = self.stream.read(free).await?;
            if read == 0 {
                return if self.filled == 0 {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
            self.filled += read;
        }
    }

    /// The head of the message that was read.
    pub(super) fn head(&self, frame: Frame) -> &[u8] {
        self.buffer.get(..frame.head).unwrap_or_default()
    }

    /// Forgets the message that was read.
    pub(super) fn done(&mut self, frame: Frame) {
        self.buffer.copy_within(frame.whole..self.filled, 0);
        self.filled -= frame.whole;
    }

    /// Waits until the peer closes, and drops what it still sends.
    pub(super) async fn closed(&mut self) {
        let mut rest = [0; 1024];
        while self.stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    }

    fn read_so_far(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }
}

/// Where a message ends, once its head is there. Bodies have a Content-Length; none of our peers sends chunks.
fn frame(bytes: &[u8]) -> Option<Frame> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let length = header(bytes.get(..head)?, b"content-length")
        .and_then(|v| str::from_utf8(v).ok()?.parse().ok());
    Some(Frame { head, whole: head + length.unwrap_or(0) })
}

/// The value of the first header of that name (lower case).
pub(super) fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (found, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// The status of an answer.
pub(super) fn status(head: &[u8]) -> u16 {
    let digits = head.get(9..12).and_then(|digits| str::from_utf8(digits).ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The path of a request.
pub(super) fn path(head: &[u8]) -> &[u8] {
    head.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_ends_and_headers() {
        let message = b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\nx: y\r\n\r\nabcHTTP";
        let found = frame(message).unwrap();
        assert_eq!((found.whole, status(message)), (message.len() - 4, 202));
        assert_eq!(header(message, b"x"), Some(b"y".as_slice()));
        assert_eq!(path(b"POST /a/b HTTP/1.1\r\n"), b"/a/b");
        assert!(frame(b"HTTP/1.1 200 OK\r\n").is_none());
    }
}
