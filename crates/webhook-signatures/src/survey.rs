//! One walk over a JSON body of which only parts are signed: it finds those parts, and sees to it that no object has a key
//! twice.
//!
//! Where only some fields of a body are signed, an attacker can add a second one under the same name: one parser takes the
//! first, another the last, and some do not care for case. So all keys are looked at, and the values on the way are found
//! at no further cost.

use crate::json::{self, Scan, below, below_index, below_plain, is_plain, unescape};
use std::collections::HashSet;
use std::ops::Range;

/// Objects and arrays within each other that are looked at.
const DEPTH_MAX: usize = 32;

/// A body, or one element of an array in it, and its values at the pointers that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) text: &'a [u8],
    /// In the order of the pointers; `None` for what is missing, and for objects and arrays.
    pub(crate) values: Vec<Option<&'a [u8]>>,
}

/// What is to be found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sought<'p> {
    /// The array each of whose elements is a part; without one the body is the only part.
    pub(crate) each: Option<&'p str>,
    /// Pointers into a part (RFC 6901).
    pub(crate) pointers: &'p [&'p str],
    /// Elements after so many are no parts.
    pub(crate) parts_max: usize,
}

/// The parts of a body; `None` where a key stands twice in an object, in whatever case, or where it is broken or nested
/// more than 32 deep.
pub(crate) fn survey<'a>(body: &'a [u8], sought: Sought<'_>) -> Option<Vec<Part<'a>>> {
    let mut scan = Scan::new(body);
    scan.blank();
    if !matches!(scan.rest.first(), Some(b'{' | b'[')) {
        let values = || sought.pointers.iter().map(|pointer| json::find(body, pointer)).collect();
        let whole = sought.each.is_none().then(|| Part { text: body, values: values() });
        return Some(whole.into_iter().collect());
    }
    let mut walk = Walk::new(body, sought);
    walk.run()?;
    Some(walk.parts)
}

struct Walk<'a, 'p> {
    scan: Scan<'a>,
    sought: Sought<'p>,
    /// The objects and arrays that are not closed yet.
    open: Vec<Level<'a>>,
    /// The keys of all open objects, one behind the other.
    keys: Vec<&'a [u8]>,
    /// The pointers that lead to the open values: which, or [`EACH`], and what of it is still to go.
    wanted: Vec<(usize, &'p str)>,
    parts: Vec<Part<'a>>,
}

/// In place of a pointer's number: this one leads to the array of parts.
const EACH: usize = usize::MAX;

/// A value that stands next. (Small enough to be handed on in registers.)
struct Next {
    /// From where on those in [`Walk::wanted`] lead to it or into it.
    wanted: usize,
    is_part: bool,
}

impl<'a, 'p> Walk<'a, 'p> {
    fn new(body: &'a [u8], sought: Sought<'p>) -> Self {
        Self {
            scan: Scan::new(body),
            sought,
            open: Vec::with_capacity(6),
            keys: Vec::with_capacity(64),
            wanted: Vec::with_capacity(4 * sought.pointers.len()),
            parts: Vec::new(),
        }
    }

    fn run(&mut self) -> Option<()> {
        let mut next = match self.sought.each {
            None => self.part(),
            Some(each) => {
                self.wanted.push((EACH, each));
                Next { wanted: 0, is_part: false }
            }
        };
        loop {
            self.scan.blank();
            if matches!(self.scan.rest.first()?, b'{' | b'[') {
                let end = self.enter(&next)?;
                if self.scan.take(end).is_none() {
                    next = self.member()?;
                    continue;
                }
                self.leave();
            } else {
                let raw = self.scan.value()?;
                self.scalar(&next, raw);
            }
            match self.after_value()? {
                Some(following) => next = following,
                None => return Some(()),
            }
        }
    }

    /// Closes what ends here; the value that stands next, or none at the very end.
    fn after_value(&mut self) -> Option<Option<Next>> {
        loop {
            let Some(level) = self.open.last() else { return Some(None) };
            let end = level.end();
            if self.scan.take(b',').is_some() {
                return self.member().map(Some);
            }
            self.scan.take(end)?;
            self.leave();
        }
    }

    /// A part stands next: all pointers lead from here.
    fn part(&mut self) -> Next {
        let wanted = self.wanted.len();
        self.wanted.extend(self.sought.pointers.iter().copied().enumerate());
        self.parts.push(Part { text: b"", values: vec![None; self.sought.pointers.len()] });
        Next { wanted, is_part: true }
    }

    fn scalar(&mut self, next: &Next, raw: &'a [u8]) {
        let leading = self.wanted.get(next.wanted..).unwrap_or_default();
        if leading.is_empty() && !next.is_part {
            return;
        }
        if let Some(part) = self.parts.last_mut() {
            if next.is_part {
                part.text = raw;
            }
            for (index, _) in leading.iter().filter(|(_, to_go)| to_go.is_empty()) {
                if let Some(value) = part.values.get_mut(*index) {
                    *value = Some(raw);
                }
            }
        }
        self.wanted.truncate(next.wanted);
    }

    /// The letters by one of which a key begins that leads to something wanted.
    fn letters(&self, wanted: usize) -> u64 {
        let leading = self.wanted.get(wanted..).unwrap_or_default().iter();
        let tokens = leading.filter_map(|(_, to_go)| to_go.strip_prefix('/'));
        tokens.fold(0, |all, token| all | letter(token.as_bytes()))
    }

    /// Into an object or array; what ends it.
    fn enter(&mut self, next: &Next) -> Option<u8> {
        if self.open.len() == DEPTH_MAX {
            return None;
        }
        let level = Level {
            begin: self.scan.rest,
            is_object: self.scan.rest.first() == Some(&b'{'),
            keys: self.keys.len(),
            marks: 0,
            letters: self.letters(next.wanted),
            many: None,
            wanted: next.wanted..self.wanted.len(),
            is_part: next.is_part,
            count: 0,
        };
        self.scan.skip(1);
        let end = level.end();
        self.open.push(level);
        Some(end)
    }

    fn leave(&mut self) {
        let Some(level) = self.open.pop() else { return };
        self.keys.truncate(level.keys);
        self.wanted.truncate(level.wanted.start);
        if level.is_part
            && let Some(part) = self.parts.last_mut()
        {
            let length = level.begin.len().saturating_sub(self.scan.rest.len());
            part.text = level.begin.get(..length).unwrap_or_default();
        }
    }

    /// Goes on to the next member's value; `None` where its key stood before.
    fn member(&mut self) -> Option<Next> {
        let level = self.open.last_mut()?;
        if !level.is_object {
            return self.element();
        }
        let (key, is_escaped) = self.scan.string_with_escapes()?;
        self.scan.take(b':')?;
        if !level.is_new(key, is_escaped, &mut self.keys) {
            return None;
        }
        let leads = if is_escaped { u64::MAX } else { letter(key) };
        if level.letters & leads == 0 {
            return Some(Next { wanted: self.wanted.len(), is_part: false });
        }
        let range = level.wanted.clone();
        let is_plain = !is_escaped && is_plain(key);
        Some(self.narrowed(range, |to_go| match is_plain {
            true => below_plain(to_go, key),
            false => below(to_go, key, is_escaped),
        }))
    }

    fn element(&mut self) -> Option<Next> {
        let level = self.open.last_mut()?;
        let index = level.count;
        level.count += 1;
        let range = level.wanted.clone();
        let are_parts = self.wanted.get(range.clone()).is_some_and(|all| all.contains(&(EACH, "")));
        if are_parts && self.parts.len() < self.sought.parts_max {
            return Some(self.part());
        }
        Some(self.narrowed(range, |to_go| below_index(to_go, index)))
    }

    /// The pointers of the open value that lead on to the next one.
    fn narrowed(
        &mut self,
        range: Range<usize>,
        below: impl Fn(&'p str) -> Option<&'p str>,
    ) -> Next {
        let wanted = self.wanted.len();
        for at in range {
            if let Some(old) = self.wanted.get_mut(at)
                && let Some(to_go) = below(old.1)
            {
                let index = old.0;
                // Nothing else has its key, so it need not be looked at again.
                old.1 = NOWHERE;
                self.wanted.push((index, to_go));
            }
        }
        Next { wanted, is_part: false }
    }
}

/// No pointer has this to go.
const NOWHERE: &str = "nowhere";

/// An object or array that is not closed yet.
struct Level<'a> {
    /// The text from its first byte on.
    begin: &'a [u8],
    is_object: bool,
    /// Where its keys begin among those of all open ones.
    keys: usize,
    /// A bit for each [`mark`] of its keys: one that is not there saves the comparison with all of them.
    marks: u64,
    /// The letters that its keys must begin with to lead to something wanted.
    letters: u64,
    /// Its keys in small letters, once there are many or one has escapes or letters beyond ASCII.
    many: Option<HashSet<String>>,
    /// Those of [`Walk::wanted`] that lead into it.
    wanted: Range<usize>,
    is_part: bool,
    /// Elements so far, where it is an array.
    count: usize,
}

/// Keys that are compared one by one.
const FEW: usize = 32;

impl<'a> Level<'a> {
    fn end(&self) -> u8 {
        if self.is_object { b'}' } else { b']' }
    }

    fn is_new(&mut self, key: &'a [u8], is_escaped: bool, keys: &mut Vec<&'a [u8]>) -> bool {
        let own = keys.get(self.keys..).unwrap_or_default();
        if !is_escaped && key.is_ascii() && self.many.is_none() && own.len() < FEW {
            let bit = mark(key);
            let is_new =
                self.marks & bit == 0 || !own.iter().any(|other| other.eq_ignore_ascii_case(key));
            self.marks |= bit;
            keys.push(key);
            return is_new;
        }
        let small = |key: &[u8]| unescape(key).to_lowercase();
        let many = self.many.get_or_insert_with(|| own.iter().map(|key| small(key)).collect());
        many.insert(small(key))
    }
}

/// One of 64 bits for the first letter of a key, or of a pointer's token and what follows it; the lowest where there is
/// none, or one that a pointer escapes.
fn letter(key: &[u8]) -> u64 {
    1 << key.first().filter(|byte| !matches!(byte, b'/' | b'~')).map_or(0, |byte| byte % 64)
}

/// One of 64 bits, the same for keys that differ in the case of letters only.
fn mark(key: &[u8]) -> u64 {
    let letter = |byte: Option<&u8>| usize::from(byte.copied().unwrap_or_default() | 0x20);
    let mixed = key.len() + 7 * letter(key.first()) + 13 * letter(key.last());
    1 << (mixed % 64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Known;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample;

    fn sought<'p>(each: Option<&'p str>, pointers: &'p [&'p str]) -> Sought<'p> {
        Sought { each, pointers, parts_max: 3 }
    }

    fn is_unambiguous(body: &[u8]) -> bool {
        survey(body, sought(None, &[])).is_some()
    }

    #[test]
    fn finds_what_one_look_up_each_finds() {
        let body =
            br#" {"a":{"b":1,"c":[0,{"d":"2"}]},"x/y":3,"s":"t","\u006b":{"l":4},"e":{},"n":null,"":{"z":5},"~z":6,"/q":7}"#;
        let pointers = [
            "/a/b", "/a/c/1/d", "/a/c/0", "/x/y", "/s", "/no", "/a/no", "/s/t", "/k/l", "/n",
            "/e/", "/a/c/00", "//z",
        ];
        let escaped: Vec<_> = pointers.into_iter().chain(["/x~1y"]).collect();
        for pointers in [&pointers[..], &escaped, &["/x~1y", "/~0z", "/s"]] {
            let parts = survey(body, sought(None, pointers)).unwrap();
            let one: Vec<_> = pointers.iter().map(|pointer| json::find(body, pointer)).collect();
            assert_eq!(parts, [Part { text: &body[1..], values: one }]);
        }
        for pointer in pointers.into_iter().chain(["/x~1y", "/~0z", "/~1q"]) {
            let one = json::find(body, pointer);
            assert_eq!(
                survey(body, sought(None, &[pointer])).unwrap()[0].values,
                [one],
                "{pointer}"
            );
        }
    }

    /// JSON with keys that stand twice, are empty, escaped, or read like a path.
    fn document() -> impl Strategy<Value = String> {
        let leaf = prop_oneof!["[0-9]{1,2}", "\"[a~/]{0,2}\"", Just("null".to_owned())];
        let key = sample::select(vec!["", "a", "A", "b", "ab", "a/b", "~", "~a", "\\u0061", "é"]);
        leaf.prop_recursive(4, 30, 4, move |inner| {
            let member =
                (key.clone(), inner.clone()).prop_map(|(key, value)| format!("\"{key}\": {value}"));
            prop_oneof![
                vec(inner, 0..4).prop_map(|all| format!("[{}]", all.join(" ,"))),
                vec(member, 0..4).prop_map(|all| format!("{{{}}}", all.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn one_walk_finds_what_one_look_up_each_finds(
            body in document(),
            pointers in vec("(/(a|b|ab|~0|~0a|a~1b|é|0|1|)){0,3}", 1..6),
        ) {
            let pointers: Vec<&str> = pointers.iter().map(String::as_str).collect();
            let each: Vec<_> =
                pointers.iter().map(|pointer| json::find(body.as_bytes(), pointer)).collect();
            let known = Known::of(pointers.iter().copied(), body.as_bytes());
            let all: Vec<_> = pointers.iter().map(|pointer| known.raw(pointer)).collect();
            prop_assert_eq!(&all, &each);
            let is_value = |raw: &&[u8]| !matches!(raw.first(), Some(b'{' | b'['));
            let each: Vec<_> = each.into_iter().map(|raw| raw.filter(is_value)).collect();
            if let Some(parts) = survey(body.as_bytes(), sought(None, &pointers)) {
                prop_assert_eq!(&parts[0].values, &each);
            }
        }
    }

    #[test]
    fn looks_up_the_first_of_equal_keys_and_what_stands_before_a_break() {
        let texts: [&[u8]; 6] = [
            br#"{"a":1,"a":{"b":2},"a":3,"c":{"b":4},"c":{"d":5}}"#,
            br#"{"c":{"b":4,"b":5},"a":{"b":[1]},"d":"#,
            br#"[{"a":1}]"#,
            b"7",
            b"",
            b"{\"a\":\"",
        ];
        let pointers = ["/a", "/a/b", "/c/b", "/c/d", "/0/a", "/d", "/c/b"];
        for text in texts {
            let known = Known::of(pointers, text);
            let one = pointers.map(|pointer| json::find(text, pointer));
            let all = pointers.map(|pointer| known.raw(pointer));
            assert_eq!(all, one, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn objects_and_arrays_are_no_values() {
        let parts = survey(br#"{"a":{"b":1},"c":[]}"#, sought(None, &["/a", "/c", ""])).unwrap();
        assert_eq!(parts[0].values, [None; 3]);
        assert_eq!(survey(b" 7", sought(None, &[""])).unwrap()[0].values, [Some(&b"7"[..])]);
    }

    #[test]
    fn each_element_is_a_part_up_to_the_most() {
        let body = br#"{"v":9,"in":{"items":[{"v":1},7,[{"v":2}],{"v":3}]},"v2":[]}"#;
        let parts = survey(body, sought(Some("/in/items"), &["/v", "/0/v", ""])).unwrap();
        let texts: Vec<_> =
            parts.iter().map(|part| String::from_utf8_lossy(part.text).into_owned()).collect();
        assert_eq!(texts, [r#"{"v":1}"#, "7", r#"[{"v":2}]"#]);
        assert_eq!(parts[0].values, [Some(&b"1"[..]), None, None]);
        assert_eq!(parts[1].values, [None, None, Some(&b"7"[..])]);
        assert_eq!(parts[2].values, [None, Some(&b"2"[..]), None]);
        let none =
            |body: &[u8], each| survey(body, sought(Some(each), &["/v"])).unwrap().is_empty();
        assert!(none(br#"{"items":{"v":1}}"#, "/items") && none(b"{}", "/items") && none(b"x", ""));
        assert!(none(br#"{"in/items":[{"v":1}]}"#, "/in/items"));
        assert_eq!(survey(br#"[{"v":1}]"#, sought(Some(""), &["/v"])).unwrap().len(), 1);
        assert_eq!(survey(b"[7]", sought(Some(""), &[])).unwrap()[0].text, b"7");
    }

    #[test]
    fn ambiguous() {
        for fine in ["{}", "[]", r#"{"a":1,"b":{"a":[{"a":2},3]}}"#, " 1 "] {
            assert!(is_unambiguous(fine.as_bytes()), "{fine}");
        }
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"A":1}"#,
            r#"{"ab":1,"Ab":1}"#,
            r#"{"ab":1,"aB":1}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"{"\u0061":1,"a":1}"#,
            r#"{"\u0061":1,"\u0041":1}"#,
            r#"{"x":[{"a":1,"b":2,"a":1}]}"#,
            "{",
            "[1 2]",
            r#"{"a"}"#,
        ] {
            assert!(!is_unambiguous(bad.as_bytes()), "{bad}");
        }
        assert!(!is_unambiguous(&[b'['; 100_000]));
        let many = |last: &str| {
            let keys: Vec<_> = (0..100).map(|n| format!("\"k{n}\":{{}}")).collect();
            format!("{{{},\"{last}\":1}}", keys.join(","))
        };
        assert!(is_unambiguous(many("other").as_bytes()));
        assert!(!is_unambiguous(many("K3").as_bytes()) && !is_unambiguous(many("k99").as_bytes()));
        let long = "x".repeat(10_000);
        assert!(!is_unambiguous(format!("{{\"{long}\":1,\"{long}\":2}}").as_bytes()));
        // The Kelvin sign is a small k to those who do not care for case.
        assert!(!is_unambiguous("{\"k\":1,\"\u{212a}\":2}".as_bytes()));
        assert!(is_unambiguous(r#"[{"a":1},{"a":1},{"b":{"a":{}}}]"#.as_bytes()));
    }
}
