//! Steps of a JSON pointer (RFC 6901) along keys and indexes as they stand in the text.

use super::escape::unescape;

/// What is to go of a pointer behind this key, where the key is its next token.
#[inline]
pub(crate) fn below<'p>(to_go: &'p str, key: &[u8], is_escaped: bool) -> Option<&'p str> {
    let [b'/', path @ ..] = to_go.as_bytes() else { return None };
    // Nearly all keys are told apart by their first letters.
    let differs = key.first().is_some_and(|letter| path.first() != Some(letter));
    if differs && !is_escaped && path.first() != Some(&b'~') {
        return None;
    }
    below_alike(to_go, key, is_escaped)
}

// Apart, so that the above is small enough to be built into its callers.
#[inline(never)]
fn below_alike<'p>(to_go: &'p str, key: &[u8], is_escaped: bool) -> Option<&'p str> {
    if is_escaped || !is_plain(key) {
        let (token, below) = first_token(to_go)?;
        return (unescape(key) == plain(token)).then_some(below);
    }
    below_plain(to_go, key)
}

/// Whether a key without escapes is spelt the same in a pointer.
pub(crate) fn is_plain(key: &[u8]) -> bool {
    memchr::memchr2(b'/', b'~', key).is_none()
}

/// The same for a key that [`is_plain`].
#[inline]
pub(crate) fn below_plain<'p>(to_go: &'p str, key: &[u8]) -> Option<&'p str> {
    let path = to_go.strip_prefix('/')?;
    let below = path.get(key.len()..)?;
    let ends = below.is_empty() || below.starts_with('/');
    (ends && path.as_bytes().starts_with(key)).then_some(below)
}

/// The same for an element of an array.
pub(crate) fn below_index(to_go: &str, index: usize) -> Option<&str> {
    let (number, below) = numbered(to_go)?;
    (number == index).then_some(below)
}

pub(super) fn numbered(to_go: &str) -> Option<(usize, &str)> {
    let (token, below) = first_token(to_go)?;
    let number = crate::time::digits(token.as_bytes())?;
    Some((usize::try_from(number).ok()?, below))
}

/// The pointer's next token, and what is to go behind it.
fn first_token(to_go: &str) -> Option<(&str, &str)> {
    let path = to_go.strip_prefix('/')?;
    path.split_at_checked(memchr::memchr(b'/', path.as_bytes()).unwrap_or(path.len()))
}

/// A pointer's token without its escapes.
fn plain(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}
