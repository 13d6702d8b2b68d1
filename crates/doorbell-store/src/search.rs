//! Whether a payload holds what a search looks for, and the bytes around it. The same in every home.

use crate::store::Search;
use bytes::Bytes;
use doorbell_core::request::Request;
use memchr::memmem;
use serde_json::Value;

/// Bytes of an excerpt.
const EXCERPT: usize = 200;

/// The bytes around the find, when the request holds all that is looked for.
#[must_use]
pub(crate) fn find(request: &Request, search: &Search) -> Option<Bytes> {
    let by_pointer = match &search.pointer {
        None => None,
        Some((pointer, wanted)) => Some(at_pointer(&request.body, pointer, wanted.as_deref())?),
    };
    let by_text = find_text(request, &search.text)?;
    if search.text.is_empty() { by_pointer.or(Some(by_text)) } else { Some(by_text) }
}

fn find_text(request: &Request, text: &Bytes) -> Option<Bytes> {
    let finder = memmem::Finder::new(text);
    let query = request.query.as_deref().map(str::as_bytes);
    std::iter::once(request.body.as_ref())
        .chain(query)
        .chain(request.headers.iter().map(|(_, value)| value))
        .find_map(|bytes| finder.find(bytes).map(|at| around(bytes, at, text.len())))
}

/// At most [`EXCERPT`] bytes with the find (or its beginning) in their middle.
fn around(bytes: &[u8], at: usize, len: usize) -> Bytes {
    let margin = EXCERPT.saturating_sub(len) / 2;
    let from = at.saturating_sub(margin);
    let to = bytes.len().min(from + EXCERPT);
    Bytes::copy_from_slice(bytes.get(from..to).unwrap_or_default())
}

fn at_pointer(body: &[u8], pointer: &str, wanted: Option<&str>) -> Option<Bytes> {
    let tree: Value = serde_json::from_slice(body).ok()?;
    let value = tree.pointer(pointer)?;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string()
        }
    };
    let fits = wanted.is_none_or(|wanted| wanted == text);
    fits.then(|| around(text.as_bytes(), 0, text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::EventQuery;
    use doorbell_core::id::TenantId;
    use doorbell_core::request::Headers;
    use std::time::Duration;

    fn found(text: &str, pointer: Option<(&str, Option<&str>)>) -> Option<String> {
        let request = Request {
            method: "POST".to_owned(),
            path: String::new(),
            query: Some("a=needle1".to_owned()),
            headers: Headers::from_iter([("x-kind", "needle2")]),
            body: r#"{"data":{"id":42,"name":"needle3"}}"#.into(),
            peer: None,
        };
        let search = Search {
            among: EventQuery::of(TenantId::DEFAULT),
            text: Bytes::copy_from_slice(text.as_bytes()),
            pointer: pointer.map(|(p, w)| (p.to_owned(), w.map(str::to_owned))),
            budget: Duration::ZERO,
        };
        find(&request, &search).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn looks_into_body_query_and_headers() {
        assert_eq!(found("needle1", None).as_deref(), Some("a=needle1"));
        assert_eq!(found("needle2", None).as_deref(), Some("needle2"));
        assert!(found("needle3", None).unwrap().contains("\"name\":\"needle3\""));
        assert_eq!(found("needle4", None), None);
        assert!(found("", None).is_some());
    }

    #[test]
    fn looks_at_pointers() {
        assert_eq!(found("", Some(("/data/id", None))).as_deref(), Some("42"));
        assert_eq!(found("", Some(("/data/id", Some("42")))).as_deref(), Some("42"));
        assert_eq!(found("", Some(("/data/name", Some("needle3")))).as_deref(), Some("needle3"));
        assert_eq!(found("", Some(("/data/id", Some("43")))), None);
        assert_eq!(found("needle4", Some(("/data/id", None))), None);
        assert!(found("needle1", Some(("/data/id", None))).is_some());
    }

    #[test]
    fn an_excerpt_is_short_and_holds_the_find() {
        let bytes = [b'a'; 1000];
        assert_eq!(around(&bytes, 990, 5).len(), 107);
        assert_eq!(around(&bytes, 500, 500).len(), EXCERPT);
    }
}
