//! Escapes in JSON strings, resolved.

use std::borrow::Cow;

/// A string's content with its escapes resolved. A broken escape or a lone surrogate becomes U+FFFD.
#[must_use]
pub fn unescape(inside: &[u8]) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', inside) else { return lossy(inside) };
    let (head, mut rest) = inside.split_at(first);
    let mut out = String::with_capacity(inside.len());
    out.push_str(&String::from_utf8_lossy(head));
    while let Some((&b'\\', after)) = rest.split_first() {
        let (c, used) = escape(after);
        out.push(c);
        rest = after.get(used..).unwrap_or_default();
        let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        let (head, tail) = rest.split_at(plain);
        out.push_str(&String::from_utf8_lossy(head));
        rest = tail;
    }
    Cow::Owned(out)
}

/// The same as [`String::from_utf8_lossy`], which is slow to begin.
pub(super) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The character of one escape, and how many bytes after the backslash it takes.
pub(super) fn escape(after: &[u8]) -> (char, usize) {
    match after.first() {
        Some(b'n') => ('\n', 1),
        Some(b't') => ('\t', 1),
        Some(b'r') => ('\r', 1),
        Some(b'b') => ('\u{8}', 1),
        Some(b'f') => ('\u{c}', 1),
        Some(b'u') => unicode(after),
        Some(byte @ (b'"' | b'\\' | b'/')) => (char::from(*byte), 1),
        _ => (char::REPLACEMENT_CHARACTER, usize::from(!after.is_empty())),
    }
}

/// `uXXXX`, or the pair `uD8xx\uDCxx`.
fn unicode(after: &[u8]) -> (char, usize) {
    let Some(high) = hex4(after.get(1..5)) else { return (char::REPLACEMENT_CHARACTER, 1) };
    if let Some(c) = char::from_u32(high) {
        return (c, 5);
    }
    let low = if after.get(5..7) == Some(b"\\u") { hex4(after.get(7..11)) } else { None };
    match low {
        Some(low @ 0xDC00..=0xDFFF) if high < 0xDC00 => {
            let c = char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
            (c.unwrap_or(char::REPLACEMENT_CHARACTER), 11)
        }
        _ => (char::REPLACEMENT_CHARACTER, 5),
    }
}

fn hex4(text: Option<&[u8]>) -> Option<u32> {
    text?.iter().try_fold(0, |sum, byte| Some(sum * 16 + char::from(*byte).to_digit(16)?))
}
