//! Templates and patterns: a message's pieces and a signature's layout, written as one line of text.

use crate::scheme::{Field, Fields, Layout, Piece, Repeats};
use std::borrow::Cow;

/// Reads a template like `{id}.{timestamp}.{body}` into pieces.
///
/// Known names: `id`, `timestamp`, `body`, `method`, `url`, `path`, `header:NAME`, `json:POINTER`, `setting:NAME`,
/// `body_sha256`, `sorted_form`. `{{` and `}}` stand for the braces.
///
/// # Errors
/// An unknown name, or a brace without its partner; the text says which.
pub fn template(text: &str) -> Result<Vec<Piece>, TemplateError> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            plain.push_str(from.get(..1).unwrap_or_default());
            rest = after;
            continue;
        }
        let named = from.strip_prefix('{').and_then(|from| from.split_once('}'));
        let Some((name, after)) = named else { return Err(TemplateError::Brace) };
        if !plain.is_empty() {
            pieces.push(Piece::Text(Cow::Owned(std::mem::take(&mut plain))));
        }
        pieces.push(piece(name)?);
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(Cow::Owned(plain)));
    }
    Ok(pieces)
}

/// Reads how signatures are laid out in a header, as in `sha256={signature}` or `t={timestamp},v1={signature}`: one
/// signature behind a prefix, or parts of key and value in any order, of which several may be signatures.
///
/// # Errors
/// [`TemplateError::Pattern`], when it is neither.
pub fn pattern(text: &str) -> Result<Layout, TemplateError> {
    let bad = || TemplateError::Pattern(text.chars().take(80).collect());
    let pieces = text.split_inclusive('}').collect::<Vec<_>>();
    match pieces.as_slice() {
        [only] => {
            let prefix = only.strip_suffix("{signature}").ok_or_else(bad)?;
            Ok(Layout::Whole { prefix: Cow::Owned(prefix.to_owned()) })
        }
        [first, second] => {
            let (first, second) = (first.split_once('{'), second.split_once('{'));
            let ((key, name), (rest, other)) = first.zip(second).ok_or_else(bad)?;
            let at = rest.find(|c: char| c.is_ascii_alphanumeric()).ok_or_else(bad)?;
            let (between, second_key) = rest.split_at_checked(at).ok_or_else(bad)?;
            let (key, pair) = keyed(key).ok_or_else(bad)?;
            let (second_key, second_pair) = keyed(second_key).ok_or_else(bad)?;
            if pair != second_pair || between.trim().is_empty() && between.is_empty() {
                return Err(bad());
            }
            let (stamp, signature) = match (name, other) {
                ("timestamp}", "signature}") => (key, second_key),
                ("signature}", "timestamp}") => (second_key, key),
                _ => return Err(bad()),
            };
            let parts = if between.trim().is_empty() { between } else { between.trim() };
            let owned = |text: &str| Cow::Owned(text.to_owned());
            let fields = Fields::stamped(owned(parts), owned(stamp), owned(signature));
            Ok(Layout::Fields(Fields { pair, joint: owned(between), ..fields }))
        }
        _ => Err(bad()),
    }
}

/// `v1=` → `v1` and `=`.
fn keyed(text: &str) -> Option<(&str, char)> {
    let pair = text.chars().next_back().filter(|c| c.is_ascii_punctuation())?;
    let key = text.strip_suffix(pair)?;
    (!key.is_empty()).then_some((key, pair))
}

fn piece(name: &str) -> Result<Piece, TemplateError> {
    let owned = |text: &str| Cow::Owned(text.to_owned());
    Ok(match name.split_once(':') {
        Some(("header", header)) => Piece::Header(owned(header)),
        Some(("json", pointer)) => Piece::Field(Field::Json(owned(pointer))),
        Some(("setting", setting)) => Piece::Setting(owned(setting)),
        Some(_) => return Err(TemplateError::Unknown(name.to_owned())),
        None => match name {
            "id" => Piece::Id,
            "timestamp" => Piece::Timestamp,
            "body" => Piece::Body,
            "method" => Piece::Method,
            "url" => Piece::Url,
            "path" => Piece::Path,
            "body_sha256" => Piece::BodySha256,
            "sorted_form" => Piece::SortedForm(Repeats::Keep),
            _ => return Err(TemplateError::Unknown(name.to_owned())),
        },
    })
}

/// Why a template cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its partner.
    #[error("a brace has no partner; write {{{{ or }}}} for a literal one")]
    Brace,
    /// A pattern of another kind.
    #[error(
        "{0:?} is no pattern: write PREFIX{{signature}}, or KEY={{timestamp}},KEY={{signature}} with the signs that part them"
    )]
    Pattern(String),
    /// A name that is no piece.
    #[error(
        "{{{0}}} is not known: use id, timestamp, body, method, url, path, header:NAME, json:POINTER, setting:NAME, body_sha256 or sorted_form"
    )]
    Unknown(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let pieces = template("v0:{timestamp}:{body}").unwrap();
        let want =
            [Piece::Text("v0:".into()), Piece::Timestamp, Piece::Text(":".into()), Piece::Body];
        assert_eq!(pieces, want);
        assert_eq!(
            template("{{{id}}}").unwrap(),
            [Piece::Text("{".into()), Piece::Id, Piece::Text("}".into())]
        );
        assert_eq!(template("{header:x-a}").unwrap(), [Piece::Header("x-a".into())]);
        assert_eq!(template("{nope}"), Err(TemplateError::Unknown("nope".into())));
        assert_eq!(pattern("sha256={signature}"), Ok(Layout::Whole { prefix: "sha256=".into() }));
        assert_eq!(
            pattern("t={timestamp},v1={signature}"),
            Ok(Layout::Fields(Fields::stamped(",", "t", "v1")))
        );
        let ours = Fields { pair: ':', joint: "; ".into(), ..Fields::stamped(";", "ts", "h1") };
        assert_eq!(pattern("h1:{signature}; ts:{timestamp}"), Ok(Layout::Fields(ours)));
        for bad in [
            "",
            "{timestamp}",
            "{signature}x",
            "t={timestamp}v1={signature}",
            "t={timestamp},v1:{signature}",
            "t={signature},v1={signature}",
            "={timestamp},v1={signature}",
            "t={timestamp},v1={signature},x={x}",
        ] {
            assert!(matches!(pattern(bad), Err(TemplateError::Pattern(_))), "{bad}");
        }
        assert_eq!(template("a{b"), Err(TemplateError::Brace));
        assert_eq!(template("a}"), Err(TemplateError::Brace));
    }
}
