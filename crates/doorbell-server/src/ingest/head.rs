//! From a request's head to the header list that is kept.
//!
//! On HTTP/1 the lines are read again from the head as it came: their order, their duplicates and their values' bytes
//! are the sender's. On HTTP/2 they come from the library's map, which keeps names in the order of their first
//! occurrence and puts lines of the same name together; `:authority` becomes `host`.

use bytes::Bytes;
use doorbell_core::request::Headers;
use http::request::Parts;

/// The request target and the header lines of an HTTP/1 head. `None` when it is not the head that the HTTP library read:
/// then the two are out of step, and neither may be believed.
pub(crate) fn of_http1<'a>(head: &'a Bytes, read: &Parts) -> Option<(&'a str, Headers)> {
    let (first, mut rest) = line(head)?;
    let mut words = first.split(|b| *b == b' ');
    let (method, target) = (words.next()?, words.next()?);
    if method != read.method.as_str().as_bytes() || !agrees(target, &read.uri) {
        return None;
    }
    let mut headers = Headers::with_capacity(24);
    while let Some((line, after)) = line(rest) {
        rest = after;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_at_checked(memchr::memchr(b':', line)?)?;
        let value = value.get(1..)?.trim_ascii();
        headers.push(str::from_utf8(name).ok()?, value);
    }
    Some((str::from_utf8(target).ok()?, headers))
}

/// Whether the library read this target: the same path and query, at the end of an absolute form or at the beginning.
fn agrees(target: &[u8], uri: &http::Uri) -> bool {
    let Some(read) = uri.path_and_query() else { return uri.authority().is_some() };
    let read = read.as_str().as_bytes();
    let target = target.split(|b| *b == b'#').next().unwrap_or_default();
    target == read || (uri.scheme().is_some() && (target.ends_with(read) || read == b"/"))
}

/// The first line without its end, and what follows it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr::memchr(b'\n', bytes)? + 1)?;
    Some((line.strip_suffix(b"\r\n")?, rest))
}

/// The request target and the header lines of an HTTP/2 request.
pub(crate) fn of_http2(parts: &Parts) -> (&str, Headers) {
    let mut headers = Headers::with_capacity(parts.headers.len() + 1);
    if let Some(authority) = parts.uri.authority()
        && !parts.headers.contains_key(http::header::HOST)
    {
        headers.push("host", authority.as_str());
    }
    for (name, value) in &parts.headers {
        headers.push(name.as_str(), value);
    }
    let target = parts.uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    (target, headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_their_order_duplicates_and_bytes() {
        let head = Bytes::from_static(
            b"POST /in/a?b HTTP/1.1\r\nHost: x\r\nB: 1\r\nA:\t two words \r\nb: \xff\r\nEmpty:\r\n\r\n",
        );
        let read = http::Request::post("/in/a?b").body(()).unwrap().into_parts().0;
        let (target, headers) = of_http1(&head, &read).unwrap();
        let lines: Vec<_> = headers.iter().collect();
        let expected: [(&str, &[u8]); 5] =
            [("host", b"x"), ("b", b"1"), ("a", b"two words"), ("b", b"\xff"), ("empty", b"")];
        assert_eq!((target, lines.as_slice()), ("/in/a?b", expected.as_slice()));
    }

    #[test]
    fn another_head_than_the_library_read_is_refused() {
        let head = |line: &'static str| Bytes::from(format!("{line}\r\nHost: x\r\n\r\n"));
        let read = |uri: &str| http::Request::get(uri).body(()).unwrap().into_parts().0;
        for (line, uri, agrees) in [
            ("GET /a?b HTTP/1.1", "/a?b", true),
            ("GET /a#b HTTP/1.1", "/a", true),
            ("GET http://h/a?b HTTP/1.1", "http://h/a?b", true),
            ("GET http://h HTTP/1.1", "http://h/", true),
            ("GET /b HTTP/1.1", "/a", false),
            ("GET /a?b HTTP/1.1", "/a", false),
            ("PUT /a HTTP/1.1", "/a", false),
            ("GET", "/", false),
        ] {
            assert_eq!(of_http1(&head(line), &read(uri)).is_some(), agrees, "{line}");
        }
    }

    #[test]
    fn http2_names_its_host() {
        let (parts, ()) = http::Request::builder()
            .uri("https://hooks.example.com/in/a?b")
            .header("x", "1")
            .body(())
            .unwrap()
            .into_parts();
        let (target, headers) = of_http2(&parts);
        assert_eq!(target, "/in/a?b");
        assert_eq!(headers.first("host"), Some(&b"hooks.example.com"[..]));
    }
}
