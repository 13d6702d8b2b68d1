//! The data types of AMQP 0-9-1 (section 4.2.5 of the specification, with `RabbitMQ`'s table types).

use bytes::{BufMut as _, BytesMut};

/// Deepest nesting of tables that is read.
const DEPTH: usize = 8;

/// Reads one after the other; `None` where the bytes are none of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A short string, with what is no UTF-8 replaced.
    pub(super) fn short(&mut self) -> Option<String> {
        let length = self.u8()?;
        Some(String::from_utf8_lossy(self.bytes(length.into())?).into_owned())
    }

    pub(super) fn long(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.bytes(length)
    }

    /// The texts and numbers of a table, as text; what is something else is left out.
    pub(super) fn table(&mut self) -> Option<Vec<(String, String)>> {
        let mut inner = Self(self.long()?);
        let mut found = Vec::new();
        while !inner.0.is_empty() {
            let name = inner.short()?;
            if let Some(value) = inner.value(0)? {
                found.push((name, value));
            }
        }
        Some(found)
    }

    /// A value; the inner `None` where it is none that is text or a number.
    fn value(&mut self, depth: usize) -> Option<Option<String>> {
        if depth > DEPTH {
            return None;
        }
        let kind = self.u8()?;
        Some(match kind {
            b't' => Some((self.u8()? != 0).to_string()),
            b'b' => Some(self.array().map(i8::from_be_bytes)?.to_string()),
            b'B' => Some(self.u8()?.to_string()),
            b's' => Some(self.array().map(i16::from_be_bytes)?.to_string()),
            b'u' => Some(self.u16()?.to_string()),
            b'I' => Some(self.array().map(i32::from_be_bytes)?.to_string()),
            b'i' => Some(self.u32()?.to_string()),
            b'l' => Some(self.array().map(i64::from_be_bytes)?.to_string()),
            b'T' => Some(self.u64()?.to_string()),
            b'f' => Some(self.array().map(f32::from_be_bytes)?.to_string()),
            b'd' => Some(self.array().map(f64::from_be_bytes)?.to_string()),
            b'S' => str::from_utf8(self.long()?).ok().map(str::to_owned),
            b'D' => self.skip(5)?,
            b'F' | b'x' => self.long().map(|_| None)?,
            b'A' => {
                let mut inner = Self(self.long()?);
                while !inner.0.is_empty() {
                    inner.value(depth + 1)?;
                }
                None
            }
            b'V' => None,
            _ => return None,
        })
    }

    fn skip(&mut self, count: usize) -> Option<Option<String>> {
        self.bytes(count).map(|_| None)
    }
}

/// At most 255 bytes of text, cut between characters.
pub(super) fn short(out: &mut BytesMut, text: &str) {
    let cut = text.get(..text.floor_char_boundary(255)).unwrap_or_default();
    out.put_u8(u8::try_from(cut.len()).unwrap_or_default());
    out.put_slice(cut.as_bytes());
}

pub(super) fn long(out: &mut BytesMut, bytes: &[u8]) {
    // Nothing that is written here comes near 4 GiB.
    out.put_u32(u32::try_from(bytes.len()).unwrap_or_default());
    out.put_slice(bytes);
}

/// A value of a table that we write.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Number(i64),
    Yes,
    Table(Vec<(&'a str, Self)>),
}

pub(super) fn table(out: &mut BytesMut, entries: &[(&str, Value<'_>)]) {
    let mut inner = BytesMut::new();
    for (name, value) in entries {
        short(&mut inner, name);
        match value {
            Value::Text(text) => {
                inner.put_u8(b'S');
                long(&mut inner, text.as_bytes());
            }
            Value::Number(number) => {
                inner.put_u8(b'l');
                inner.put_i64(*number);
            }
            Value::Yes => inner.put_slice(b"t\x01"),
            Value::Table(entries) => {
                inner.put_u8(b'F');
                table(&mut inner, entries);
            }
        }
    }
    long(out, &inner);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let mut out = BytesMut::new();
        let inner = Value::Table(vec![("x", Value::Yes)]);
        table(
            &mut out,
            &[("a", Value::Text("b")), ("t", inner), ("n", Value::Number(-7)), ("y", Value::Yes)],
        );
        let found = Reader(&out).table().unwrap();
        let found: Vec<_> = found.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(found, [("a", "b"), ("n", "-7"), ("y", "true")]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut with_length = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
            with_length.extend(&bytes);
            Reader(&with_length).table();
            Reader(&bytes).table();
        }
    }
}
