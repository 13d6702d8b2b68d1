//! `application/x-www-form-urlencoded`: bodies and query strings, as pairs in their order.

/// The pairs of a urlencoded text, decoded (`+` is a blank); at most `limit`, the rest is ignored.
#[must_use]
pub fn pairs(text: &[u8], limit: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let parts = text.split(|byte| *byte == b'&').filter(|part| !part.is_empty());
    parts
        .take(limit)
        .map(|part| match memchr::memchr(b'=', part) {
            Some(at) => (decode(part.get(..at)), decode(part.get(at + 1..))),
            None => (decode(Some(part)), Vec::new()),
        })
        .collect()
}

/// The first value under `name`. Only it is decoded, so that a large form costs one look at each key.
#[must_use]
pub fn value(text: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut parts =
        text.split(|byte| *byte == b'&').filter(|part| !part.is_empty()).take(PAIRS_MAX);
    parts.find_map(|part| {
        let (key, value) = match memchr::memchr(b'=', part) {
            Some(at) => (part.get(..at)?, part.get(at + 1..)?),
            None => (part, &b""[..]),
        };
        let escaped = memchr::memchr2(b'%', b'+', key).is_some();
        let found = key == name.as_bytes() || (escaped && decode(Some(key)) == name.as_bytes());
        found.then(|| decode(Some(value)))
    })
}

/// The raw query of a URL, without the question mark and the fragment.
#[must_use]
pub fn query(url: &str) -> &str {
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    url.split_once('?').map_or("", |(_, query)| query)
}

/// How many pairs of a form are looked at.
pub(crate) const PAIRS_MAX: usize = 1000;

fn decode(text: Option<&[u8]>) -> Vec<u8> {
    let text = text.unwrap_or_default();
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                match crate::Encoding::Hex.decode(after.get(..2).unwrap_or_default()).as_deref() {
                    Some([decoded]) => {
                        out.push(*decoded);
                        rest = after.get(2..).unwrap_or_default();
                    }
                    _ => out.push(b'%'),
                }
            }
            byte => out.push(*byte),
        }
    }
    out
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
