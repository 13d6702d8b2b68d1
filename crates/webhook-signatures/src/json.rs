//! One value out of a JSON text without building a tree.
//!
//! [`find`] walks to a JSON pointer and returns the value's own bytes; [`text`] makes a string of them. Both take any
//! bytes at all: what is skipped is not checked, nesting is counted and not recursed into, and the first of several
//! equal keys wins. A scan costs about a microsecond a kilobyte.

use std::borrow::Cow;

/// The raw value at `pointer` (RFC 6901; an empty pointer is the whole text): for a string with its quotes.
///
/// `None` when there is no such value, or when the text is broken before it.
#[must_use]
pub fn find<'a>(body: &'a [u8], pointer: &str) -> Option<&'a [u8]> {
    Scan::new(body).find(pointer)
}

/// The text of a raw value: a string unescaped, a number or boolean as written; `None` for null, arrays and objects.
/// Bytes that are not UTF-8 become U+FFFD.
#[must_use]
pub fn text(raw: &[u8]) -> Option<Cow<'_, str>> {
    match raw.first()? {
        b'"' => Some(unescape(raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?)),
        b'{' | b'[' | b'n' => None,
        _ => Some(lossy(raw)),
    }
}

/// [`find`] and [`text`] in one.
#[must_use]
pub fn find_text<'a>(body: &'a [u8], pointer: &str) -> Option<Cow<'a, str>> {
    text(find(body, pointer)?)
}

/// The keys of the object that `body` is, in order, at most `limit`, each unescaped.
pub fn keys(body: &[u8], limit: usize) -> Vec<Cow<'_, str>> {
    let mut scan = Scan::new(body);
    let mut found = Vec::new();
    if scan.take(b'{').is_none() || scan.take(b'}').is_some() {
        return found;
    }
    while found.len() < limit {
        let Some(key) = scan.string() else { break };
        found.push(unescape(key));
        if scan.take(b':').is_none() || scan.value().is_none() || scan.take(b',').is_none() {
            break;
        }
    }
    found
}

/// What [`find`] finds at each of several pointers.
#[derive(Debug, Default)]
pub(crate) struct Known<'a, 'p>(Vec<Sought<'a, 'p>>);

#[derive(Debug)]
struct Sought<'a, 'p> {
    pointer: &'p str,
    /// What of it leads on from the object that is walked over; none once its value was looked for.
    to_go: Option<&'p str>,
    value: Option<&'a [u8]>,
}

impl<'a, 'p> Known<'a, 'p> {
    /// Looks for them in one walk over the members of the object into which all of them lead.
    pub(crate) fn of(pointers: impl IntoIterator<Item = &'p str>, body: &'a [u8]) -> Self {
        let unknown = |pointer| Sought { pointer, to_go: None, value: None };
        let mut sought: Vec<_> = pointers.into_iter().map(unknown).collect();
        let mut scan = Scan::new(body);
        let shared = shared(&sought).filter(|path| scan.follow(path).is_some());
        if let Some(path) = shared.filter(|_| scan.take(b'{').is_some()) {
            sought.iter_mut().for_each(|one| one.to_go = one.pointer.get(path.len()..));
            let _ends_early = scan.members(&mut sought);
        } else {
            sought.iter_mut().for_each(|one| one.value = find(body, one.pointer));
        }
        Self(sought)
    }

    /// What is there; `None` for a pointer that is none of them.
    #[inline]
    pub(crate) fn get(&self, wanted: &str) -> Option<Option<&'a [u8]>> {
        self.0.iter().find(|one| one.pointer == wanted).map(|one| one.value)
    }

    /// The values in the order of the pointers.
    pub(crate) fn in_order(self) -> impl Iterator<Item = Option<&'a [u8]>> {
        self.0.into_iter().map(|one| one.value)
    }

    #[inline]
    pub(crate) fn raw(&self, wanted: &str) -> Option<&'a [u8]> {
        self.get(wanted).flatten()
    }

    #[inline]
    pub(crate) fn text(&self, wanted: &str) -> Option<Cow<'a, str>> {
        self.raw(wanted).and_then(text)
    }
}

/// The longest path into which all pointers lead.
fn shared<'p>(sought: &[Sought<'_, 'p>]) -> Option<&'p str> {
    let parent = |path: &'p str| path.rsplit_once('/').map(|(parent, _)| parent);
    let leads_into = |path: &str, pointer: &str| {
        pointer.strip_prefix(path).is_some_and(|to_go| to_go.starts_with('/'))
    };
    let first = parent(sought.first()?.pointer);
    std::iter::successors(first, |path| parent(path))
        .find(|path| sought.iter().all(|one| leads_into(path, one.pointer)))
}

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

fn numbered(to_go: &str) -> Option<(usize, &str)> {
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

/// The raw elements of the array that `body` is, at most `limit`; `None` when it is not an array.
#[must_use]
pub fn elements(body: &[u8], limit: usize) -> Option<Vec<&[u8]>> {
    let mut scan = Scan::new(body);
    scan.take(b'[')?;
    let mut found = Vec::new();
    if scan.take(b']').is_some() {
        return Some(found);
    }
    while found.len() < limit {
        found.push(scan.value()?);
        if scan.take(b',').is_none() {
            break;
        }
    }
    Some(found)
}

/// The text with the value at `pointer` replaced by `raw`, or added as the first member where its object is there
/// without it; every other byte stays. `None` when there is no such place.
#[must_use]
pub fn set(body: &[u8], pointer: &str, raw: &[u8]) -> Option<Vec<u8>> {
    let (at, old, new) = match find(body, pointer) {
        Some(old) => (offset(body, old)?, old.len(), raw.to_vec()),
        None => {
            let (parent, key) = pointer.rsplit_once('/')?;
            let object = find(body, parent)?;
            let inside = object.strip_prefix(b"{")?;
            let comma = if inside.trim_ascii_start().starts_with(b"}") { &b""[..] } else { b"," };
            (offset(body, object)? + 1, 0, [quote(key).as_bytes(), b":", raw, comma].concat())
        }
    };
    Some([body.get(..at)?, &new, body.get(at + old..)?].concat())
}

/// Where `part`, which was taken out of `whole`, begins in it.
fn offset(whole: &[u8], part: &[u8]) -> Option<usize> {
    (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)
}

/// Writes `text` as a JSON string with its quotes. `<`, `>`, `&`, U+2028 and U+2029 are escaped too, so that an
/// echoed text is inert in HTML and JavaScript.
#[must_use]
pub fn quote(text: &str) -> String {
    let extra = |c| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\u{7f}');
    quoted(text, |rest| rest.find(|c: char| matches!(c, '"' | '\\') || c < ' ' || extra(c)))
}

/// Writes `text` as `JSON.stringify` does.
pub(crate) fn quote_plainly(text: &str) -> String {
    quoted(text, |rest| to_escape(rest.as_bytes()))
}

fn quoted(text: &str, next: impl Fn(&str) -> Option<usize>) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8 + 2);
    out.push('"');
    let mut rest = text;
    // What needs no escape is copied in runs.
    while let Some(at) = next(rest) {
        let (run, from) = rest.split_at(at);
        out.push_str(run);
        let mut chars = from.chars();
        chars.next().into_iter().for_each(|c| push_escaped(&mut out, c));
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        c => {
            let code = u32::from(c);
            out.push_str("\\u");
            for shift in [12, 8, 4, 0] {
                out.push(char::from_digit((code >> shift) & 15, 16).unwrap_or('0'));
            }
        }
    }
}

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

/// A place in a JSON text.
pub(crate) struct Scan<'a> {
    /// What stands from there on.
    pub(crate) rest: &'a [u8],
}

impl<'a> Scan<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { rest: body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body) }
    }

    #[inline]
    pub(crate) fn blank(&mut self) {
        if self.rest.first().is_some_and(|byte| *byte > b' ') {
            return;
        }
        let count = self
            .rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
            .count();
        self.skip(count);
    }

    #[inline]
    pub(crate) fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> Option<()> {
        self.blank();
        if self.rest.first() != Some(&byte) {
            return None;
        }
        self.skip(1);
        Some(())
    }

    /// The value at this pointer into the one that stands here.
    fn find(&mut self, pointer: &str) -> Option<&'a [u8]> {
        self.follow(pointer)?;
        self.value()
    }

    fn follow(&mut self, pointer: &str) -> Option<()> {
        let mut to_go = pointer;
        while !to_go.is_empty() {
            to_go = self.enter(to_go)?;
        }
        Some(())
    }

    /// Moves to the value under the pointer's next token in the object or array that stands here; what is to go then.
    fn enter<'p>(&mut self, to_go: &'p str) -> Option<&'p str> {
        self.blank();
        match self.rest.first()? {
            b'{' => self.enter_key(to_go),
            b'[' => self.enter_index(to_go),
            _ => None,
        }
    }

    fn enter_key<'p>(&mut self, to_go: &'p str) -> Option<&'p str> {
        self.take(b'{')?;
        loop {
            let (key, is_escaped) = self.string_with_escapes()?;
            self.take(b':')?;
            if let Some(below) = below(to_go, key, is_escaped) {
                return Some(below);
            }
            self.value()?;
            self.take(b',')?;
        }
    }

    fn enter_index<'p>(&mut self, to_go: &'p str) -> Option<&'p str> {
        let (index, below) = numbered(to_go)?;
        self.take(b'[')?;
        for _ in 0..index {
            self.value()?;
            self.take(b',')?;
        }
        self.blank();
        (self.rest.first()? != &b']').then_some(below)
    }

    /// Goes over the members that stand here until all is found.
    fn members(&mut self, sought: &mut [Sought<'a, '_>]) -> Option<()> {
        let mut left = sought.len();
        loop {
            let (key, is_escaped) = self.string_with_escapes()?;
            self.take(b':')?;
            let begin = self.rest;
            let mut whole = None;
            for one in &mut *sought {
                if let Some(below) = one.to_go.and_then(|to_go| below(to_go, key, is_escaped)) {
                    one.to_go = None;
                    one.value = if below.is_empty() {
                        *whole.get_or_insert_with(|| self.value())
                    } else {
                        Self { rest: begin }.find(below)
                    };
                    left -= 1;
                }
            }
            if left == 0 {
                return Some(());
            }
            whole.unwrap_or_else(|| self.value())?;
            self.take(b',')?;
        }
    }

    /// A string's bytes between its quotes.
    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        self.string_with_escapes().map(|(inside, _)| inside)
    }

    /// The same, and whether there are escapes in it.
    #[inline]
    pub(crate) fn string_with_escapes(&mut self) -> Option<(&'a [u8], bool)> {
        self.take(b'"')?;
        let first = quote_or_backslash(self.rest)?;
        let escaped = self.rest.get(first) == Some(&b'\\');
        let length = if escaped { closing_quote(self.rest)? } else { first };
        let inside = self.rest.get(..length)?;
        self.skip(length + 1);
        Some((inside, escaped))
    }

    /// The whole value that stands here.
    #[inline]
    pub(crate) fn value(&mut self) -> Option<&'a [u8]> {
        self.blank();
        let length = match self.rest.first()? {
            b'"' => closing_quote(self.rest.get(1..)?)? + 2,
            b'{' | b'[' => container(self.rest)?,
            b',' | b':' | b'}' | b']' => return None,
            _ => self.rest.iter().take_while(|byte| !ends_scalar(**byte)).count(),
        };
        let raw = self.rest.get(..length)?;
        self.skip(length);
        Some(raw)
    }
}

fn ends_scalar(byte: u8) -> bool {
    matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n' | b':' | b'"' | b'{' | b'[')
}

/// Where the string ends whose first byte is at 0.
#[inline]
fn closing_quote(inside: &[u8]) -> Option<usize> {
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
fn quote_or_backslash(text: &[u8]) -> Option<usize> {
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
fn to_escape(text: &[u8]) -> Option<usize> {
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

/// The length of the object or array that starts at 0, by counting.
fn container(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => at += closing_quote(text.get(at + 1..)?)? + 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
        at += 1;
    }
}

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
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The character of one escape, and how many bytes after the backslash it takes.
fn escape(after: &[u8]) -> (char, usize) {
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

#[cfg(test)]
mod tests;
