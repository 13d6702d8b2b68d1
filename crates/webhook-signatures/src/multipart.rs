//! `multipart/form-data` (RFC 7578): the fields of a form that may have files beside them. Files are passed over, and so is
//! what follows a part that does not end.

use crate::form::{PAIRS_MAX, may_be};
use memchr::memmem;

/// What parts the fields; `None` where the content type is of another kind, or names nothing that can (RFC 2046, 5.1.1).
pub(crate) fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    let named = parameters.split(';').find_map(|text| parameter(text, "boundary"));
    let is_form = kind.trim().eq_ignore_ascii_case("multipart/form-data");
    named.filter(|boundary| is_form && (1..=70).contains(&boundary.len()))
}

/// The first value under `name`.
pub(crate) fn value<'a>(body: &'a [u8], boundary: &str, name: &str) -> Option<&'a [u8]> {
    let mut fields = fields(body, boundary).take(PAIRS_MAX);
    fields.find(|(other, _)| *other == name).map(|(_, value)| value)
}

/// Whether more than one field is `name` to one application or another; more than 1000 are not looked at, and so it may be.
pub(crate) fn is_repeated(body: &[u8], boundary: &str, name: &str) -> bool {
    let mut found = 0;
    for (index, (other, _)) in fields(body, boundary).enumerate() {
        found += usize::from(may_be(other.as_bytes(), name.as_bytes()));
        if found > 1 || index >= PAIRS_MAX {
            return true;
        }
    }
    false
}

fn fields<'a>(body: &'a [u8], boundary: &str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    let mark = [b"\r\n--", boundary.as_bytes()].concat();
    let first = mark.get(2..).unwrap_or_default();
    // Before the first part there may be a text that means nothing.
    let mut rest = match body.strip_prefix(first) {
        Some(rest) => Some(rest),
        None => memmem::find(body, &mark).and_then(|at| body.get(at + mark.len()..)),
    };
    let parts = std::iter::from_fn(move || {
        let part = rest?.strip_prefix(b"\r\n")?;
        let (inside, after) = part.split_at_checked(memmem::find(part, &mark)?)?;
        rest = after.get(mark.len()..);
        Some(inside)
    });
    parts.filter_map(field)
}

/// The name and the value of a part that is no file.
fn field(part: &[u8]) -> Option<(&str, &[u8])> {
    let (head, value) = part.split_at_checked(memmem::find(part, b"\r\n\r\n")?)?;
    let head = std::str::from_utf8(head).ok()?;
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut dispositions =
        lines.filter(|(name, _)| name.trim().eq_ignore_ascii_case("content-disposition"));
    let (_, disposition) = dispositions.next()?;
    let has = |name| disposition.split(';').any(|text| parameter(text, name).is_some());
    if has("filename") || has("filename*") {
        return None;
    }
    let name = disposition.split(';').find_map(|text| parameter(text, "name"))?;
    Some((name, value.get(4..)?))
}

/// `name="x"` or `name=x` → `x`.
fn parameter<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (key, value) = text.split_once('=')?;
    let value = value.trim();
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    key.trim().eq_ignore_ascii_case(name).then_some(quoted.unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &[u8] = b"a preamble\r\n--x-y\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n\
        t\r\n--x-yz\r\nu\r\n--x-y\r\ncontent-type: text/plain\r\ncontent-disposition:form-data;name=plain\r\n\r\n\r\n--x-y\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\ntoken\r\n--x-y\r\n\
        Content-Disposition: form-data; name=\"token\"\r\n\r\nsecond\r\n--x-y--\r\nepilogue";

    #[test]
    fn fields_and_no_files() {
        let of = |name| value(BODY, "x-y", name);
        // A longer mark is none of ours, and ends what can be read.
        assert_eq!(of("token"), Some(&b"t"[..]));
        assert_eq!(of("plain"), None);
        let body = String::from_utf8_lossy(BODY).replace("\r\n--x-yz", "");
        let of = |name| value(body.as_bytes(), "x-y", name);
        assert_eq!((of("token"), of("plain")), (Some(&b"t\r\nu"[..]), Some(&b""[..])));
        assert_eq!((of("file"), of("none"), of("Token")), (None, None, None));
        assert!(is_repeated(body.as_bytes(), "x-y", "token"));
        assert!(!is_repeated(body.as_bytes(), "x-y", "plain"));
        assert_eq!(value(body.as_bytes(), "x", "token"), None);
        let bare = body.split_once("preamble\r\n").unwrap().1;
        assert_eq!(value(bare.as_bytes(), "x-y", "token"), Some(&b"t\r\nu"[..]));
        let cut = bare.split_once("\r\n--x-y\r\ncontent-type").unwrap().0;
        assert_eq!(value(cut.as_bytes(), "x-y", "token"), None, "it has no end");
        let other_case = body.replacen("\"token\"", "\"TOKEN\"", 1);
        assert!(is_repeated(other_case.as_bytes(), "x-y", "token"));
    }

    #[test]
    fn many_fields_may_repeat() {
        let field = "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n";
        let body = |count| format!("{}--x--", field.repeat(count));
        assert!(!is_repeated(body(1000).as_bytes(), "x", "b"));
        assert!(is_repeated(body(1001).as_bytes(), "x", "b"));
        let late = body(1000).replace("--x--", &field.replace("name=a", "name=b")) + "--x--";
        assert_eq!(value(late.as_bytes(), "x", "b"), None);
    }

    #[test]
    fn boundaries() {
        let long = "a".repeat(71);
        for (kind, found) in [
            ("multipart/form-data; boundary=x-y", Some("x-y")),
            ("Multipart/Form-Data;charset=utf-8; Boundary=\"a b\"", Some("a b")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/mixed; boundary=x", None),
            (&format!("multipart/form-data; boundary={}", &long[1..]), Some(&long[1..])),
            (&format!("multipart/form-data; boundary={long}"), None),
            ("application/x-www-form-urlencoded", None),
        ] {
            assert_eq!(boundary(kind), found, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(
            body in "(--x|\r\n|--|Content-Disposition:|form-data;|name=|\"|a|b|;|:|filename=){0,40}",
            boundary in "[x-]{1,2}",
        ) {
            for name in ["a", "b", ""] {
                let found = value(body.as_bytes(), &boundary, name);
                prop_assert!(found.is_none() || !boundary.is_empty());
                is_repeated(body.as_bytes(), &boundary, name);
            }
        }

        #[test]
        fn a_field_comes_back_as_it_was(values in proptest::collection::vec("[^-]{0,20}", 1..5)) {
            let part = |(at, value): (usize, &String)| {
                format!("--x\r\nContent-Disposition: form-data; name=\"f{at}\"\r\n\r\n{value}\r\n")
            };
            let body: String = values.iter().enumerate().map(part).collect::<String>() + "--x--\r\n";
            for (at, wanted) in values.iter().enumerate() {
                let found = value(body.as_bytes(), "x", &format!("f{at}"));
                prop_assert_eq!(found, Some(wanted.as_bytes()));
            }
        }
    }
}
