//! Taking the signatures, and the timestamp beside them, out of a text; and writing them back.

use crate::scheme::{Fields, Layout};

/// Signatures that belong to one timestamp.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Group<'a> {
    pub(crate) stamp: Option<&'a [u8]>,
    pub(crate) names: Option<&'a [u8]>,
    pub(crate) signatures: Vec<&'a [u8]>,
}

/// How many signatures of one request are compared; what follows is not looked at.
pub(crate) const SIGNATURES_MAX: usize = 10;

/// The groups of signatures in one text. A text in another layout gives none.
pub(crate) fn split<'a>(layout: &Layout, text: &'a [u8]) -> Vec<Group<'a>> {
    match layout {
        Layout::Whole { prefix } => match text.strip_prefix(prefix.as_bytes()) {
            Some(signature) if !signature.is_empty() => {
                vec![Group { signatures: vec![signature], ..Group::default() }]
            }
            _ => Vec::new(),
        },
        Layout::Fields(fields) => groups(fields, text),
        Layout::Positional => {
            let mut parts = text.split(|byte| *byte == b',');
            let stamp = parts.next();
            let signatures = parts.take(SIGNATURES_MAX).collect();
            vec![Group { stamp, signatures, ..Group::default() }]
        }
    }
}

fn groups<'a>(fields: &Fields, text: &'a [u8]) -> Vec<Group<'a>> {
    let mut groups = vec![Group::default()];
    for part in text.split(|byte| fields.between.as_bytes().contains(byte)).map(<[u8]>::trim_ascii)
    {
        if part.is_empty() {
            continue;
        }
        let (key, value) = pair(part, fields.pair);
        if fields.stamp.as_ref().is_some_and(|name| name.as_bytes() == key) {
            if groups.len() >= SIGNATURES_MAX {
                break;
            }
            match groups.last_mut() {
                Some(group) if group.stamp.is_none() => group.stamp = Some(value),
                _ => groups.push(Group { stamp: Some(value), ..Group::default() }),
            }
        } else if let Some(group) = groups.last_mut() {
            add(fields, group, key, value);
        }
    }
    groups.retain(|group| !group.signatures.is_empty());
    groups
}

fn add<'a>(fields: &Fields, group: &mut Group<'a>, key: &[u8], value: &'a [u8]) {
    if fields.names.as_ref().is_some_and(|name| name.as_bytes() == key) {
        group.names = Some(value);
    } else if (fields.signature == "*" || fields.signature.as_bytes() == key)
        && !value.is_empty()
        && group.signatures.len() < SIGNATURES_MAX
    {
        group.signatures.push(value);
    }
}

/// Key and value of a part; a part without the mark is a value under the empty key.
fn pair(part: &[u8], mark: char) -> (&[u8], &[u8]) {
    let at = u8::try_from(mark).ok().and_then(|mark| memchr::memchr(mark, part));
    match at.and_then(|at| part.split_at_checked(at)) {
        Some((key, value)) => (key, value.get(1..).unwrap_or_default()),
        None => (b"", part),
    }
}

/// One signature in this layout, under `any_key` where any key goes.
pub(crate) fn write(layout: &Layout, stamp: &str, signature: &str, any_key: &str) -> String {
    match layout {
        Layout::Whole { prefix } => format!("{prefix}{signature}"),
        Layout::Positional => format!("{stamp},{signature}"),
        Layout::Fields(fields) => {
            let key = if fields.signature == "*" { any_key } else { fields.signature.as_ref() };
            let part = if key.is_empty() {
                signature.to_owned()
            } else {
                format!("{key}{}{signature}", fields.pair)
            };
            let between = &fields.joint;
            match &fields.stamp {
                Some(name) => format!("{name}{}{stamp}{between}{part}", fields.pair),
                None => part,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(layout: &Layout, text: &str) -> String {
        let groups = split(layout, text.as_bytes());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let one = |group: &Group<'_>| {
            let signatures: Vec<_> =
                group.signatures.iter().map(|signature| text(signature)).collect();
            format!("{}:{}", group.stamp.map(text).unwrap_or_default(), signatures.join("+"))
        };
        groups.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn splits() {
        let stripe = Layout::Fields(Fields::stamped(",", "t", "v1"));
        assert_eq!(shown(&stripe, "t=1,v1=a,v0=b,v1=c"), "1:a+c");
        assert_eq!(shown(&stripe, "v1=a,t=1"), "1:a");
        assert_eq!(shown(&stripe, "t=1"), "");
        assert_eq!(shown(&stripe, "t=1, v1=a"), "1:a");
        let persona = Layout::Fields(Fields::stamped(", ", "t", "v1"));
        assert_eq!(shown(&persona, "t=1,v1=a t=2,v1=b"), "1:a 2:b");
        let standard = Layout::Fields(Fields::listed(" ", ',', "v1"));
        assert_eq!(shown(&standard, "v1,a= v1a,b v2,c v1,d"), ":a=+d");
        for nothing in ["", "v1,", "v1", ",", ",a", "v1a,x"] {
            assert_eq!(shown(&standard, nothing), "", "{nothing}");
        }
        assert_eq!(shown(&Layout::Whole { prefix: "sha256=".into() }, "sha1=a"), "");
        assert_eq!(shown(&Layout::Whole { prefix: "sha256=".into() }, "sha256="), "");
        assert_eq!(shown(&Layout::Positional, "1,a,b"), "1:a+b");
        let bare = Layout::Fields(Fields::stamped(";", "t", ""));
        assert_eq!(shown(&bare, "t=1;abc"), "1:abc");
    }

    #[test]
    fn a_thousand_signatures_are_not_all_looked_at() {
        let standard = Layout::Fields(Fields::listed(" ", ',', "v1"));
        let text = "v1,YQ== ".repeat(1000);
        assert_eq!(split(&standard, text.as_bytes())[0].signatures.len(), SIGNATURES_MAX);
    }

    #[test]
    fn what_is_written_is_read() {
        for layout in [
            Layout::Whole { prefix: "sha256=".into() },
            Layout::Positional,
            Layout::Fields(Fields::stamped(";", "ts", "h1")),
            Layout::Fields(Fields::listed(" ", ',', "v1")),
        ] {
            let text = write(&layout, "12", "abcd", "");
            assert_eq!(split(&layout, text.as_bytes())[0].signatures, [b"abcd"]);
        }
    }
}
