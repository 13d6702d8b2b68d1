//! `application/x-www-form-urlencoded`: bodies and query strings, as pairs in their order.

use crate::encoding::nibble;
use std::borrow::Cow;

/// The pairs of a urlencoded text, decoded (`+` is a blank); at most `limit`, the rest is ignored.
#[must_use]
pub fn pairs(text: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let owned =
        |(name, value): (Cow<'_, [u8]>, Cow<'_, [u8]>)| (name.into_owned(), value.into_owned());
    borrowed(text, limit).into_iter().map(owned).collect()
}

/// A pair whose parts are copied only where something in them is escaped.
pub(crate) type Pair<'a> = (Cow<'a, [u8]>, Cow<'a, [u8]>);

/// The same as [`pairs`].
pub(crate) fn borrowed(text: &[u8], limit: usize) -> Vec<Pair<'_>> {
    let pair = |part| {
        let (name, value) = in_two(part);
        (decode(name), decode(value))
    };
    parts(text).take(limit).map(pair).collect()
}

/// What stands between the `&`, but for nothing.
fn parts(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    between(text, |text| memchr::memchr(b'&', text)).filter(|part| !part.is_empty())
}

fn between(text: &[u8], mark: impl Fn(&[u8]) -> Option<usize>) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (part, after) = text.split_at(mark(text).unwrap_or(text.len()));
        rest = after.get(1..);
        Some(part)
    })
}

fn in_two(part: &[u8]) -> (&[u8], &[u8]) {
    let (name, value) = part.split_at(memchr::memchr(b'=', part).unwrap_or(part.len()));
    (name, value.get(1..).unwrap_or_default())
}

/// The first value under `name`. Only it is decoded, so that a large form costs one look at each key.
#[must_use]
pub fn value(text: &[u8], name: &str) -> Option<Vec<u8>> {
    let value = parts(text).take(PAIRS_MAX).find_map(|part| value_of(part, name.as_bytes()))?;
    Some(decode(value).into_owned())
}

/// The value of a pair, where this is its name.
fn value_of<'a>(part: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    // Cheap, and enough for nearly all: an escape may stand anywhere in a name, but before it the letters are the same.
    if part.first() != name.first() && !matches!(part.first(), Some(b'%' | b'+' | b'=')) {
        return None;
    }
    let (key, value) = in_two(part);
    let escaped = memchr::memchr2(b'%', b'+', key).is_some();
    (key == name || (escaped && *decode(key) == *name)).then_some(value)
}

/// Whether more than one field of the text is `name` to one application or another: some part fields by `;` too, and of
/// two with one name some take the first, others the last. More than 1000 fields are not looked at, and so it may be.
pub(crate) fn is_repeated(text: &[u8], name: &str) -> bool {
    let fields = between(text, |text| memchr::memchr2(b'&', b';', text));
    let mut found = 0;
    for (index, field) in fields.enumerate() {
        found += usize::from(may_be(&decode(in_two(field).0), name.as_bytes()));
        if found > 1 || index >= PAIRS_MAX {
            return true;
        }
    }
    false
}

/// Whether some application takes this name for the other. There are those that do not care for case; PHP drops blanks before
/// a name, ends it at a `[` or a zero byte, and has `_` in place of blank, dot and `[` in it.
pub(crate) fn may_be(name: &[u8], other: &[u8]) -> bool {
    let plain = |byte: &u8| match byte {
        b' ' | b'.' | b'[' => b'_',
        byte => byte.to_ascii_lowercase(),
    };
    let Some((head, rest)) = name.trim_ascii_start().split_at_checked(other.len()) else {
        return false;
    };
    head.iter().map(plain).eq(other.iter().map(plain)) && matches!(rest, [] | [b'[' | 0, ..])
}

/// The raw query of a URL, without the question mark and the fragment.
#[must_use]
pub fn query(url: &str) -> &str {
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    url.split_once('?').map_or("", |(_, query)| query)
}

/// How many pairs of a form are looked at.
pub(crate) const PAIRS_MAX: usize = 1000;

fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr2(b'%', b'+', text) else { return Cow::Borrowed(text) };
    let mut out = Vec::with_capacity(text.len());
    let (mut plain, mut rest) = text.split_at(first);
    loop {
        out.extend_from_slice(plain);
        let Some((mark, after)) = rest.split_first() else { return Cow::Owned(out) };
        let (byte, used) = escaped(*mark, after);
        out.push(byte);
        let after = after.get(used..).unwrap_or_default();
        (plain, rest) = after.split_at(memchr::memchr2(b'%', b'+', after).unwrap_or(after.len()));
    }
}

/// The byte that a `%` or `+` stands for, and how many bytes behind it belong to it.
fn escaped(mark: u8, after: &[u8]) -> (u8, usize) {
    match (mark, after) {
        (b'+', _) => (b' ', 0),
        (_, [high, low, ..]) => match (nibble(*high), nibble(*low)) {
            (Some(high), Some(low)) => (high << 4 | low, 2),
            _ => (mark, 0),
        },
        _ => (mark, 0),
    }
}

/// `text` percent-encoded, but for letters, digits and these.
pub(crate) fn escape(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&crate::Encoding::Hex.encode(&[byte]).to_ascii_uppercase());
        }
    }
    out
}

/// `bytes` percent-encoded as a form value.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b' ' => out.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-._*".contains(byte) => {
                out.push(char::from(*byte));
            }
            byte => {
                out.push('%');
                out.push_str(&crate::Encoding::Hex.encode(&[*byte]).to_ascii_uppercase());
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes() {
        let found = pairs(b"a=1+2&b=%2B%zz&c&=d&&e=%e", 99);
        let shown: Vec<_> = found
            .iter()
            .map(|(k, v)| (String::from_utf8_lossy(k), String::from_utf8_lossy(v)))
            .collect();
        let want = [("a", "1 2"), ("b", "+%zz"), ("c", ""), ("", "d"), ("e", "%e")];
        assert_eq!(shown, want.map(|(k, v)| (k.into(), v.into())));
        assert_eq!(value(b"a=1&%62+=2&b=3", "b ").unwrap(), b"2");
        assert_eq!(value(b"a=1&c", "c").unwrap(), b"");
        assert_eq!(query("https://x/y?a=1?b#c?d"), "a=1?b");
        assert_eq!(value(encode("é &=+".as_bytes()).replace('é', "").as_bytes(), "nothing"), None);
        assert_eq!(
            pairs(format!("k={}", encode("é &=+~".as_bytes())).as_bytes(), 9)[0].1,
            "é &=+~".as_bytes()
        );
    }
}
