//! The answers of the ingest listener. An error says nothing but its status: the same bytes whatever check it was that
//! failed.

use bytes::Bytes;
use doorbell_core::id::RequestId;
use doorbell_core::intake::Reply;
use doorbell_core::request::Headers;
use http::header::{CONNECTION, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use http_body_util::Full;

/// An answer that is whole from the start.
pub(crate) type Answer = Response<Full<Bytes>>;

/// When to try again, in seconds, after a 503.
const RETRY_SECONDS: HeaderValue = HeaderValue::from_static("5");

/// The header that names a request that was taken in.
const REQUEST_ID: HeaderName = HeaderName::from_static("doorbell-request-id");

/// A status and nothing else.
pub(crate) fn bare(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}

/// The fault is ours: nothing was kept, try again soon.
pub(crate) fn unavailable() -> Answer {
    let mut answer = bare(StatusCode::SERVICE_UNAVAILABLE);
    answer.headers_mut().insert(RETRY_AFTER, RETRY_SECONDS);
    answer
}

/// What the decision wants answered. What is no status or header line is left out, or a fault of ours.
pub(crate) fn of(reply: Reply) -> Answer {
    let Ok(status) = StatusCode::from_u16(reply.status) else {
        return bare(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut answer = bare(status);
    for (name, value) in reply.headers.iter() {
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value))
        {
            answer.headers_mut().append(name, value);
        }
    }
    if !reply.body.is_empty() {
        // Never to be guessed at by a browser: a handshake may echo what the caller sent.
        answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        *answer.body_mut() = Full::new(reply.body);
    }
    answer
}

/// Names the request, so that it can be looked up. It is the id of this very request, whether it became an event, repeats one
/// or is wanted by nobody: who sent it learns nothing of that.
pub(crate) fn named(mut answer: Answer, id: RequestId) -> Answer {
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        answer.headers_mut().insert(REQUEST_ID, id);
    }
    answer
}

/// A word in plain text.
pub(crate) fn text(status: u16, text: &'static str) -> Answer {
    let mut headers = Headers::default();
    headers.push("content-type", "text/plain; charset=utf-8");
    headers.push("cache-control", "no-store");
    of(Reply { status, headers, body: Bytes::from_static(text.as_bytes()) })
}

/// Lets the connection close after the answer: the request's body was not read to its end.
pub(crate) fn and_close(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
