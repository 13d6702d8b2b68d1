//! Reading a key out of a request, by a user's rule: the order key of an endpoint, the dedupe key and the event type of a
//! source. The body is scanned, never parsed into a tree: this is on the way to the ack.

use crate::header;
use crate::limits;
use crate::request::Request;
use crate::source::KeyRule;
use bytes::Bytes;
use std::borrow::Cow;
use webhook_signatures::{Encoding, Hash, json};

/// The value that the rule points at. `None` where it is missing, empty, or (in JSON) null, an array or an object.
#[must_use]
pub fn read<'a>(rule: &KeyRule, request: &'a Request) -> Option<Cow<'a, [u8]>> {
    let value = match rule {
        KeyRule::Header(name) => Cow::Borrowed(request.headers.first(name)?),
        KeyRule::Pointer(pointer) => match json::find_text(&request.body, pointer)? {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        },
    };
    (!value.is_empty()).then_some(value)
}

/// A dedupe key in the length that is kept: what is longer than [`limits::KEY`] is replaced by its SHA-256.
#[must_use]
pub fn dedupe(value: &[u8]) -> Bytes {
    if value.len() <= limits::KEY {
        return Bytes::copy_from_slice(value);
    }
    let hash = Hash::Sha256.of(value);
    Bytes::from(format!("sha256:{}", Encoding::Hex.encode(&hash)))
}

/// The order key of a request: the hash of its value, or one common key for all requests that lack it.
///
/// Stored, and the same on every node, so this function never changes: FNV-1a, 64 bits
/// (<http://www.isthe.com/chongo/tech/comp/fnv/>). Two values with one hash only wait for each other.
#[must_use]
pub fn order(rule: &KeyRule, request: &Request) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let value = read(rule, request).unwrap_or_default();
    value.iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

/// Why a rule can never find a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleRefused {
    /// Not the name of a header.
    #[error("{0:?} is not a header name: use letters, digits and '-', such as x-event-id")]
    Header(String),
    /// Not a JSON pointer.
    #[error("{0:?} is not a JSON pointer: use a path such as /data/id (RFC 6901)")]
    Pointer(String),
}

/// The gate for a rule.
///
/// # Errors
/// [`RuleRefused`], with what would be right.
pub fn check(rule: &KeyRule) -> Result<(), RuleRefused> {
    match rule {
        KeyRule::Header(name) if !header::is_token(name) => Err(RuleRefused::Header(clip(name))),
        KeyRule::Pointer(text) if !is_pointer(text) => Err(RuleRefused::Pointer(clip(text))),
        KeyRule::Header(_) | KeyRule::Pointer(_) => Ok(()),
    }
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

/// RFC 6901, section 3; the empty pointer is the whole body, which is no key.
fn is_pointer(text: &str) -> bool {
    let escapes = || text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    text.starts_with('/') && text.len() <= limits::KEY && escapes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Headers;
    use proptest::prelude::*;

    fn request(body: &'static [u8]) -> Request {
        let headers: Headers =
            [("X-Key", "a"), ("x-key", "b"), ("x-empty", "")].into_iter().collect();
        Request {
            method: "POST".to_owned(),
            path: String::new(),
            query: None,
            headers,
            body: Bytes::from_static(body),
            peer: None,
        }
    }

    fn pointer(text: &str) -> KeyRule {
        KeyRule::Pointer(text.to_owned())
    }

    #[test]
    fn where_keys_stand() {
        let request = request(
            br#"{"data":{"id":"x\u0041","n":12.50,"list":["l"],"null":null,"o":{}},"a/b":true}"#,
        );
        for (rule, value) in [
            (KeyRule::Header("X-KEY".to_owned()), Some("a")),
            (KeyRule::Header("x-empty".to_owned()), None),
            (KeyRule::Header("x-none".to_owned()), None),
            (pointer("/data/id"), Some("xA")),
            (pointer("/data/n"), Some("12.50")),
            (pointer("/data/list/0"), Some("l")),
            (pointer("/a~1b"), Some("true")),
            (pointer("/data/null"), None),
            (pointer("/data/o"), None),
            (pointer("/data/none"), None),
        ] {
            assert_eq!(read(&rule, &request).as_deref(), value.map(str::as_bytes), "{rule:?}");
        }
    }

    #[test]
    fn order_keys_never_change() {
        // Published test values of FNV-1a 64: "" and "a".
        assert_eq!(order(&pointer("/none"), &request(b"{}")), 0xcbf2_9ce4_8422_2325);
        assert_eq!(
            order(&KeyRule::Header("x-key".to_owned()), &request(b"")),
            0xaf63_dc4c_8601_ec8c
        );
        assert_eq!(order(&pointer("/a"), &request(br#"{"a":"foobar"}"#)), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn long_dedupe_keys_are_hashed() {
        assert_eq!(dedupe(&[b'a'; limits::KEY]).len(), limits::KEY);
        let long = dedupe(&[b'a'; limits::KEY + 1]);
        assert!(long.starts_with(b"sha256:") && long.len() == 7 + 64);
        assert_ne!(long, dedupe(&[b'b'; limits::KEY + 1]));
    }

    #[test]
    fn rules_are_checked() {
        for good in
            [KeyRule::Header("x-a".to_owned()), pointer("/a"), pointer("/"), pointer("/a~0~1b")]
        {
            assert_eq!(check(&good), Ok(()), "{good:?}");
        }
        for bad in [
            KeyRule::Header(String::new()),
            KeyRule::Header("x a".to_owned()),
            pointer(""),
            pointer("a"),
            pointer("/~2"),
            pointer("/~"),
        ] {
            assert!(check(&bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_body_is_survived(body: Vec<u8>, path in "(/[a-z0-9~]{0,4}){0,4}") {
            let request = Request { body: body.into(), ..request(b"") };
            let rule = KeyRule::Pointer(path);
            let found = read(&rule, &request);
            prop_assert!(found.is_none_or(|value| !value.is_empty()));
        }
    }
}
