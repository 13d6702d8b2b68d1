//! The same JSON as other programs would write it, for finding out what became of a body on its way. Only blanks and escapes
//! change.

use super::escape::escape;
use super::quotes::closing_quote;

/// The text without blanks outside strings.
pub(crate) fn minified(body: &[u8]) -> Vec<u8> {
    outside_strings(body, |byte, out, _| {
        if !byte.is_ascii_whitespace() {
            out.push(byte);
        }
    })
}

/// With a blank after each comma and colon, as Python writes it.
pub(crate) fn spaced(body: &[u8]) -> Vec<u8> {
    outside_strings(body, |byte, out, _| {
        out.push(byte);
        if matches!(byte, b',' | b':') {
            out.push(b' ');
        }
    })
}

/// A line for each member, indented, as `JSON.stringify` writes it; at most 64 levels deep.
pub(crate) fn indented(body: &[u8], width: usize) -> Vec<u8> {
    let mut depth = 0_usize;
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        out.resize(out.len() + depth.min(64) * width, b' ');
    };
    outside_strings(body, |byte, out, next| match byte {
        b'{' | b'[' => {
            out.push(byte);
            depth += 1;
            if !matches!(next, Some(b'}' | b']')) {
                line(out, depth);
            }
        }
        b'}' | b']' => {
            depth = depth.saturating_sub(1);
            if !matches!(out.last(), Some(b'{' | b'[')) {
                line(out, depth);
            }
            out.push(byte);
        }
        b',' => {
            out.push(byte);
            line(out, depth);
        }
        b':' => out.extend_from_slice(b": "),
        byte => out.push(byte),
    })
}

/// With every character beyond ASCII as `\uXXXX`.
pub(crate) fn escaped(body: &[u8]) -> Vec<u8> {
    let mut out = String::with_capacity(body.len());
    for c in String::from_utf8_lossy(body).chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str("\\u");
                for shift in [12, 8, 4, 0] {
                    out.push(char::from_digit((u32::from(*unit) >> shift) & 15, 16).unwrap_or('0'));
                }
            }
        }
    }
    out.into_bytes()
}

/// With every `\uXXXX` beyond ASCII as its character.
pub(crate) fn unescaped(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((&byte, after)) = rest.split_first() {
        let (c, used) = if byte == b'\\' { escape(after) } else { ('\0', 0) };
        if !c.is_ascii() && c != char::REPLACEMENT_CHARACTER {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            rest = after.get(used..).unwrap_or_default();
        } else {
            let whole = rest.get(..=used).unwrap_or(rest);
            out.extend_from_slice(whole);
            rest = rest.get(whole.len()..).unwrap_or_default();
        }
    }
    out
}

/// Copies strings as they are and gives every other byte, with the one after it, to `other`.
fn outside_strings(body: &[u8], mut other: impl FnMut(u8, &mut Vec<u8>, Option<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((&byte, after)) = rest.split_first() {
        let length = if byte == b'"' {
            closing_quote(after).map_or(rest.len(), |length| length + 2)
        } else {
            0
        };
        if length > 0 {
            let (string, after) = rest.split_at_checked(length).unwrap_or((rest, b""));
            out.extend_from_slice(string);
            rest = after;
        } else {
            other(byte, &mut out, after.first().copied());
            rest = after;
        }
    }
    out
}
