//! Whether a page of this server sent a request: a cookie comes along with whatever a browser sends, also when the page of
//! another site (or of another port, which is the same site) made it do so.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Method, Uri};

/// What the browser says of who sent it (W3C Fetch Metadata).
const SITE: &str = "sec-fetch-site";

/// Whether the request may use the cookie that it carries. What changes something needs a browser's word that one of our
/// pages sent it; for what only looks it is enough that no browser says otherwise, since no other page can read the
/// answer.
pub(super) fn is_ours(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let looks = matches!(*method, Method::GET | Method::HEAD);
    match (text(headers, SITE), text(headers, ORIGIN.as_str())) {
        (Some("same-origin"), _) => true,
        // Typed in, or from a bookmark.
        (Some("none"), _) => looks,
        (Some(_), _) => false,
        (None, Some(origin)) => host(uri, headers).is_some_and(|host| is_of(origin, host)),
        (None, None) => looks,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    // What is no text is nobody's word.
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    uri.authority().map(|name| name.as_str()).or_else(|| text(headers, HOST.as_str()))
}

/// The scheme is left out: behind a proxy that ends TLS we do not know it.
fn is_of(origin: &str, host: &str) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some_and(|authority| !host.is_empty() && authority.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn may(method: &Method, lines: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("127.0.0.1:8081"));
        for (name, value) in lines {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        is_ours(method, &Uri::from_static("/v1/sources"), &headers)
    }

    #[test]
    fn who_may_look_and_who_may_change() {
        let ours = "http://127.0.0.1:8081";
        for (lines, look, change) in [
            (vec![], true, false),
            (vec![(SITE, "same-origin")], true, true),
            (vec![(SITE, "same-origin"), ("origin", ours)], true, true),
            (vec![(SITE, "none")], true, false),
            (vec![(SITE, "same-site"), ("origin", "http://127.0.0.1:3000")], false, false),
            (vec![(SITE, "cross-site"), ("origin", ours)], false, false),
            (vec![(SITE, "\u{e4}")], false, false),
            (vec![("origin", ours)], true, true),
            (vec![("origin", "https://127.0.0.1:8081")], true, true),
            (vec![("origin", "http://127.0.0.1:3000")], false, false),
            (vec![("origin", "http://127.0.0.1")], false, false),
            (vec![("origin", "https://evil.test")], false, false),
            (vec![("origin", "https://127.0.0.1:8081.evil.test")], false, false),
            (vec![("origin", "null")], false, false),
            (vec![("origin", "")], false, false),
        ] {
            assert_eq!(may(&Method::GET, &lines), look, "GET {lines:?}");
            for method in [Method::POST, Method::PATCH, Method::DELETE] {
                assert_eq!(may(&method, &lines), change, "{method} {lines:?}");
            }
        }
    }

    #[test]
    fn on_http2_the_authority_counts() {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static("https://admin.example.com"));
        let uri = Uri::from_static("https://admin.example.com/v1/sources");
        assert!(is_ours(&Method::POST, &uri, &headers));
        let uri = Uri::from_static("https://other.example.com/v1/sources");
        assert!(!is_ours(&Method::POST, &uri, &headers));
    }
}
