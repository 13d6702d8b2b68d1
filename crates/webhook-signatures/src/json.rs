//! One value out of a JSON text without building a tree.
//!
//! [`find`] walks to a JSON pointer and returns the value's own bytes; [`text`] makes a string of them. Both take any
//! bytes at all: what is skipped is not checked, nesting is counted and not recursed into, and the first of several
//! equal keys wins. A scan costs about a microsecond a kilobyte.

mod escape;
mod pointer;
mod quotes;
mod respell;

use escape::lossy;
use pointer::numbered;
use quotes::{closing_quote, quote_or_backslash, to_escape};
use std::borrow::Cow;

pub use escape::unescape;
pub(crate) use pointer::{below, below_index, below_plain, is_plain};
pub(crate) use respell::{escaped, indented, minified, spaced, unescaped};

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

#[cfg(test)]
mod tests;
