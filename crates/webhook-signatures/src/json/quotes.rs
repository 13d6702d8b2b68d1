//! Where a JSON string ends, and where it needs an escape: eight bytes at a time.

/// Where the string ends whose first byte is at 0.
#[inline]
pub(super) fn closing_quote(inside: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += quote_or_backslash(inside.get(at..)?)?;
        if inside.get(at) == Some(&b'"') {
            return Some(at);
        }
        at += 2;
    }
}

/// Words of eight bytes that are looked at one by one before a wider search is set up.
const SHORT_WORDS: usize = 4;

/// Where the first of the two stands. Most strings are short: for them the set-up of a search by vectors costs more than
/// the search.
#[inline]
pub(super) fn quote_or_backslash(text: &[u8]) -> Option<usize> {
    let (words, _) = text.as_chunks::<8>();
    let mut at = 0;
    for word in words.iter().take(SHORT_WORDS) {
        let word = u64::from_le_bytes(*word);
        let hits = zero_bytes(word ^ every(b'"')) | zero_bytes(word ^ every(b'\\'));
        if hits != 0 {
            return Some(at + usize::try_from(hits.trailing_zeros() / 8).ok()?);
        }
        at += 8;
    }
    Some(at + memchr::memchr2(b'"', b'\\', text.get(at..)?)?)
}

/// Where the first character stands that a JSON string must not have as it is.
pub(super) fn to_escape(text: &[u8]) -> Option<usize> {
    let (words, tail) = text.as_chunks::<8>();
    let hits = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        zero_bytes(word ^ every(b'"')) | zero_bytes(word ^ every(b'\\')) | control_bytes(word)
    };
    let found = words.iter().map(hits).enumerate().find(|(_, hits)| *hits != 0);
    if let Some((at, hits)) = found {
        return Some(at * 8 + usize::try_from(hits.trailing_zeros() / 8).ok()?);
    }
    let at = tail.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..b' '))?;
    Some(words.len() * 8 + at)
}

/// A word of eight times this byte.
const fn every(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The highest bit of each byte that is zero. (Only the lowest such bit is sure: a borrow may set others above it.)
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(every(0x01)) & !word & every(0x80)
}

/// The same for each byte below a blank.
const fn control_bytes(word: u64) -> u64 {
    word.wrapping_sub(every(b' ')) & !word & every(0x80)
}
