//! Redis' protocol, RESP version 2.

use crate::limits;
use crate::message::QueueError;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Deepest nesting, and most items of one array, that are read.
const DEPTH: usize = 8;
const ITEMS: usize = 100_000;

/// What Redis answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Word(String),
    Error(String),
    Number(i64),
    Bytes(Bytes),
    Nothing,
    Items(Vec<Self>),
}

impl Reply {
    pub(super) fn into_items(self) -> Vec<Self> {
        if let Self::Items(items) = self { items } else { Vec::new() }
    }

    pub(super) fn bytes(self) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Word(text) => Some(text.into()),
            Self::Number(number) => Some(number.to_string().into()),
            Self::Error(_) | Self::Nothing | Self::Items(_) => None,
        }
    }

    pub(super) fn text(self) -> Option<String> {
        self.bytes().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok())
    }
}

/// Writes a command.
pub(super) fn command<T: AsRef<[u8]>>(out: &mut BytesMut, words: &[T]) {
    out.put_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        let word = word.as_ref();
        out.put_slice(format!("${}\r\n", word.len()).as_bytes());
        out.put_slice(word);
        out.put_slice(b"\r\n");
    }
}

/// The next answer, when it is whole.
pub(super) fn next(came: &mut BytesMut) -> Result<Option<Reply>, QueueError> {
    let mut reader = Reader { bytes: came, at: 0 };
    let Some(end) = reader.skip(0)? else { return Ok(None) };
    let mut whole = came.split_to(end).freeze();
    Ok(build(&mut whole))
}

/// Finds the end before anything is built, so that a half that came costs nothing.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// Where the value ends that begins here.
    fn skip(&mut self, depth: usize) -> Result<Option<usize>, QueueError> {
        let odd = || QueueError::odd("an answer that is none");
        if depth > DEPTH {
            return Err(odd());
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return if rest.len() > limits::TEXT * 4 { Err(odd()) } else { Ok(None) };
        };
        let line = rest.get(..end).unwrap_or_default();
        self.at += end + 1;
        let count = |most: usize| {
            let text = str::from_utf8(line.get(1..).unwrap_or_default()).unwrap_or_default();
            match text.trim_end().parse::<i64>() {
                Ok(-1) => Ok(None),
                Ok(count) => match usize::try_from(count) {
                    Ok(count) if count <= most => Ok(Some(count)),
                    _ => Err(odd()),
                },
                Err(_) => Err(odd()),
            }
        };
        match line.first() {
            Some(b'+' | b'-' | b':') => Ok(Some(self.at)),
            Some(b'$') => {
                if let Some(length) = count(limits::MESSAGE)? {
                    self.at += length + 2;
                }
                Ok((self.at <= self.bytes.len()).then_some(self.at))
            }
            Some(b'*') => {
                for _ in 0..count(ITEMS)?.unwrap_or_default() {
                    if self.skip(depth + 1)?.is_none() {
                        return Ok(None);
                    }
                }
                Ok(Some(self.at))
            }
            _ => Err(odd()),
        }
    }
}

/// Builds what is known to be whole.
fn build(bytes: &mut Bytes) -> Option<Reply> {
    let end = memchr::memchr(b'\n', bytes)?;
    let line = bytes.split_to(end);
    bytes.advance(1);
    let text = String::from_utf8_lossy(line.get(1..)?).trim_end().to_owned();
    let count = || text.parse::<i64>().ok();
    Some(match line.first()? {
        b'+' => Reply::Word(text),
        b'-' => Reply::Error(text),
        b':' => Reply::Number(count()?),
        b'$' => match usize::try_from(count()?) {
            Ok(length) if length + 2 <= bytes.len() => {
                let value = bytes.split_to(length);
                bytes.advance(2);
                Reply::Bytes(value)
            }
            _ => Reply::Nothing,
        },
        _ => match usize::try_from(count()?) {
            Ok(items) => Reply::Items((0..items).map(|_| build(bytes)).collect::<Option<_>>()?),
            Err(_) => Reply::Nothing,
        },
    })
}

/// An answer that is an error, as one of ours.
pub(super) fn error(text: String) -> QueueError {
    match text.split(' ').next().unwrap_or_default() {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => QueueError::Refused(text),
        "NOGROUP" | "WRONGTYPE" | "MOVED" => QueueError::NoSuchQueue(text),
        "OOM" | "LOADING" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "READONLY"
        | "MISCONF" | "NOREPLICAS" => QueueError::Busy(text),
        _ => QueueError::Failed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_are_read_when_they_are_whole() {
        let all = b"*4\r\n$2\r\nab\r\n:7\r\n*-1\r\n*1\r\n$-1\r\n+OK\r\n";
        let wanted = Reply::Items(vec![
            Reply::Bytes("ab".into()),
            Reply::Number(7),
            Reply::Nothing,
            Reply::Items(vec![Reply::Nothing]),
        ]);
        for cut in 0..all.len() - 5 {
            assert_eq!(next(&mut BytesMut::from(&all[..cut])).unwrap(), None, "{cut}");
        }
        let mut came = BytesMut::from(&all[..]);
        assert_eq!(next(&mut came).unwrap(), Some(wanted));
        assert_eq!(next(&mut came).unwrap(), Some(Reply::Word("OK".into())));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in r"([*$:+-]-?[0-9]{0,3}\r\n.{0,5}){0,6}") {
            let mut came = BytesMut::from(text.as_bytes());
            while let Ok(Some(_)) = next(&mut came) {}
        }
    }
}
