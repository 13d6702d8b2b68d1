//! Reads the XML of S3's answers: elements and their text. Attributes, comments and instructions are passed over; a document
//! type is refused, so that nothing in an answer can grow while it is read.

/// Elements within each other; S3 needs four.
const DEEPEST: usize = 16;
/// Characters between `&` and `;`: `&#x10FFFF;` is the longest that means something.
const LONGEST_ENTITY: usize = 8;

/// Tells of each element that has no other within it: the names of those around it (its own comes last; all without their
/// namespaces) and its text. `None`: this is no XML, or not all of it.
pub(super) fn read<'a>(bytes: &'a [u8], leaf: impl FnMut(&[&'a str], &str)) -> Option<()> {
    let text = str::from_utf8(bytes).ok()?;
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { leaf, open: Vec::new(), text: String::new(), is_leaf: false };
    let mut ended = false;
    while !rest.is_empty() {
        let piece = piece(&mut rest)?;
        reader.take(&piece, ended)?;
        ended |= matches!(piece, Piece::Close(_) | Piece::Both(_)) && reader.open.is_empty();
    }
    ended.then_some(())
}

enum Piece<'a> {
    Open(&'a str),
    Close(&'a str),
    /// `<name/>`.
    Both(&'a str),
    Text(&'a str),
    /// Text in which nothing means something else.
    Plain(&'a str),
    Nothing,
}

/// The next piece, and what comes after it.
fn piece<'a>(rest: &mut &'a str) -> Option<Piece<'a>> {
    let Some(inner) = rest.strip_prefix('<') else {
        let (text, after) = rest.split_at(rest.find('<').unwrap_or(rest.len()));
        *rest = after;
        return Some(Piece::Text(text));
    };
    let (piece, after) = if let Some(comment) = inner.strip_prefix("!--") {
        (Piece::Nothing, comment.split_once("-->")?.1)
    } else if let Some(plain) = inner.strip_prefix("![CDATA[") {
        let (plain, after) = plain.split_once("]]>")?;
        (Piece::Plain(plain), after)
    } else if let Some(instruction) = inner.strip_prefix('?') {
        (Piece::Nothing, instruction.split_once("?>")?.1)
    } else {
        let (tag, after) = inner.split_at_checked(end_of_tag(inner)?)?;
        (named(tag)?, after.strip_prefix('>')?)
    };
    *rest = after;
    Some(piece)
}

/// Where the `>` of a tag is: the first that stands in no attribute's value.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    text.bytes().position(|byte| {
        match quote {
            Some(open) if open == byte => quote = None,
            Some(_) => {}
            None if matches!(byte, b'"' | b'\'') => quote = Some(byte),
            None => return byte == b'>',
        }
        false
    })
}

fn named(tag: &str) -> Option<Piece<'_>> {
    let closes = tag.strip_prefix('/');
    let inner = closes.unwrap_or(tag);
    let both = inner.strip_suffix('/');
    let name = both.unwrap_or(inner).split([' ', '\t', '\r', '\n']).next()?;
    let name = name.rsplit(':').next()?;
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    let fine = !name.is_empty() && name.bytes().all(fine);
    match (closes, both) {
        _ if !fine => None,
        (Some(_), Some(_)) => None,
        (Some(_), None) => Some(Piece::Close(name)),
        (None, Some(_)) => Some(Piece::Both(name)),
        (None, None) => Some(Piece::Open(name)),
    }
}

struct Reader<'a, F> {
    leaf: F,
    open: Vec<&'a str>,
    text: String,
    /// Whether the innermost of what is open has nothing within it so far.
    is_leaf: bool,
}

impl<'a, F: FnMut(&[&'a str], &str)> Reader<'a, F> {
    fn take(&mut self, piece: &Piece<'a>, ended: bool) -> Option<()> {
        match *piece {
            Piece::Open(name) if !ended => self.open(name),
            Piece::Both(name) if !ended => self.open(name).and_then(|()| self.close(name)),
            Piece::Open(_) | Piece::Both(_) => None,
            Piece::Close(name) => self.close(name),
            Piece::Text(text) if self.open.is_empty() => text.trim().is_empty().then_some(()),
            Piece::Text(text) => unescape(text, &mut self.text),
            Piece::Plain(_) if self.open.is_empty() => None,
            Piece::Plain(text) => {
                self.text.push_str(text);
                Some(())
            }
            Piece::Nothing => Some(()),
        }
    }

    fn open(&mut self, name: &'a str) -> Option<()> {
        self.open.push(name);
        self.text.clear();
        self.is_leaf = true;
        (self.open.len() <= DEEPEST).then_some(())
    }

    fn close(&mut self, name: &str) -> Option<()> {
        if self.open.last() != Some(&name) {
            return None;
        }
        if self.is_leaf {
            (self.leaf)(&self.open, &self.text);
        }
        self.open.pop();
        self.text.clear();
        self.is_leaf = false;
        Some(())
    }
}

/// Adds text whose entities are put right.
fn unescape(mut text: &str, to: &mut String) -> Option<()> {
    while let Some((before, after)) = text.split_once('&') {
        to.push_str(before);
        let end = after.bytes().take(LONGEST_ENTITY + 1).position(|byte| byte == b';')?;
        let (name, rest) = after.split_at_checked(end)?;
        to.push(entity(name)?);
        text = rest.strip_prefix(';')?;
    }
    to.push_str(text);
    Some(())
}

fn entity(name: &str) -> Option<char> {
    let number = |digits: &str, radix| {
        let fine = digits.chars().all(|c| c.is_digit(radix));
        fine.then(|| u32::from_str_radix(digits, radix).ok()).flatten().and_then(char::from_u32)
    };
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match name.strip_prefix("#x") {
            Some(digits) => number(digits, 16),
            None => number(name.strip_prefix('#')?, 10),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(bytes: &[u8]) -> Option<Vec<(String, String)>> {
        let mut all = Vec::new();
        read(bytes, |path, text| all.push((path.join("/"), text.to_owned())))?;
        Some(all)
    }

    fn escaped(text: &str) -> String {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    }

    #[test]
    fn elements_and_their_text() {
        let text = "\u{feff}<?xml version=\"1.0\"?>\n<!-- <no> --><s:A xmlns:s='x>y' b=\"/\"> <B>1 &lt;&#38;&#x26; 2</B>\
                    <C/><D > <E><![CDATA[<&]]> </E></D ></s:A>\n";
        let wanted = [("A/B", "1 <&& 2"), ("A/C", ""), ("A/D/E", "<& ")];
        let wanted = wanted.map(|(path, text)| (path.to_owned(), text.to_owned()));
        assert_eq!(leaves(text.as_bytes()).unwrap(), wanted);
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            " ",
            "a",
            "<a>",
            "<a><b></a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "<a/>b",
            "<>",
            "</a/>",
            "<a b='></a>",
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
            "<a>&b;</a>",
            "<a>&</a>",
            "<a>&#;</a>",
            "<a>&#x+1;</a>",
            "<a>&#xd800;</a>",
            "<a>&#x1234567890;</a>",
            "<a><![CDATA[</a>",
            &"<a>".repeat(100_000),
        ] {
            assert_eq!(leaves(text.as_bytes()), None, "{:?}", text.get(..40));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = leaves(&bytes);
        }

        #[test]
        fn nothing_like_xml_makes_it_panic(text in r#"(<[/!?]?|[/?]?>|&#?x?|[;:ab'" é]|<!--|-->|<!\[CDATA\[|\]\]>|<a>|</a>){0,24}"#) {
            let _ = leaves(text.as_bytes());
        }

        #[test]
        fn text_comes_back_as_it_was(text in any::<String>()) {
            let document = format!("<a><b>{}</b></a>", escaped(&text));
            prop_assert_eq!(leaves(document.as_bytes()), Some(vec![("a/b".to_owned(), text)]));
        }

        #[test]
        fn what_was_cut_is_none(text in any::<String>(), at in any::<prop::sample::Index>()) {
            let document = format!("<a><b>{}</b><c/></a>", escaped(&text));
            let cut = at.index(document.len());
            prop_assert_eq!(leaves(&document.as_bytes()[..cut]), None);
        }
    }
}
