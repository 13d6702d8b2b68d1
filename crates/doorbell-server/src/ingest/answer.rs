//! The answers of the ingest listener. An error says nothing but its status: the same bytes whatever check it was that
//! failed.

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::Full;

/// An answer that is whole from the start.
pub(crate) type Answer = Response<Full<Bytes>>;

/// When to try again, in seconds, after a 503.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");
const NOSNIFF: (HeaderName, HeaderValue) =
    (http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));

/// A status and nothing else.
pub(crate) fn bare(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// A bare answer to a request whose body was not read: the connection closes after it.
pub(crate) fn closing(status: StatusCode) -> Answer {
    let mut answer = bare(status);
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// The fault is ours: nothing was kept, try again soon.
pub(crate) fn unavailable() -> Answer {
    let mut answer = bare(StatusCode::SERVICE_UNAVAILABLE);
    answer.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    answer
}

/// A body with its type; never to be guessed at by a browser. What is no status or header value is a fault of ours.
pub(crate) fn with_body(status: u16, content_type: &str, body: Bytes) -> Answer {
    let Ok(status) = StatusCode::from_u16(status) else {
        return bare(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut answer = bare(status);
    if body.is_empty() {
        return answer;
    }
    if let Ok(value) = HeaderValue::from_str(content_type) {
        answer.headers_mut().insert(CONTENT_TYPE, value);
    }
    let (name, value) = NOSNIFF;
    answer.headers_mut().insert(name, value);
    *answer.body_mut() = Full::new(body);
    answer
}
