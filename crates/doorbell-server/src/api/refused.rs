//! A request that gets a problem for its answer.

use axum::response::{IntoResponse, Response};
use doorbell_store::StoreError;
use doorbell_wire::problem::{Code, FieldError, MEDIA_TYPE, Problem};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use std::time::Duration;

/// Why a request was refused. A handler returns it, and it becomes the answer.
#[derive(Debug)]
pub struct Refused {
    problem: Box<Problem>,
    retry_after: Option<Duration>,
}

impl Refused {
    /// A problem of that kind, with a sentence for this occurrence.
    pub(super) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { problem: Box::new(Problem::new(code, detail)), retry_after: retry_after(code) }
    }

    /// The parts of the body that are wrong.
    pub(super) fn invalid(errors: Vec<FieldError>) -> Self {
        Self::parts(Code::Invalid, errors)
    }

    /// The parts of the request that are wrong in this way.
    pub(super) fn parts(code: Code, errors: Vec<FieldError>) -> Self {
        Self { problem: Box::new(Problem::with_errors(code, errors)), retry_after: None }
    }

    /// One part of the request that is wrong.
    pub(super) fn at(code: Code, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let error = FieldError { pointer: pointer.into(), detail: detail.into() };
        Self { problem: Box::new(Problem::with_errors(code, vec![error])), retry_after: None }
    }

    /// There is no such thing, or it is another tenant's: the answer is the same.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("There is no such {what}."))
    }

    /// The same, to be tried again only after `wait`.
    pub(super) fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The problem that is answered.
    pub(super) fn problem(&self) -> &Problem {
        &self.problem
    }
}

/// When to try again, where the caller did nothing wrong.
fn retry_after(code: Code) -> Option<Duration> {
    let waits = [(Code::Busy, 1), (Code::Unavailable, 5), (Code::Full, 60)];
    let wait = waits.iter().find(|(one, _)| *one == code);
    wait.map(|(_, seconds)| Duration::from_secs(*seconds))
}

/// The details are the operator's, in the log; the caller learns the kind.
impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::new(Code::Busy, "Too much is waiting to be written."),
            StoreError::Full => Self::new(Code::Full, "No space is left for new events."),
            StoreError::Conflict(what) => Self::new(Code::Conflict, what),
            StoreError::BadCursor => {
                Self::at(Code::Parameter, "?cursor", "not a cursor that this list gave")
            }
            StoreError::Corrupt(what) => {
                tracing::error!(%what, "stored bytes are damaged");
                Self::new(Code::Damaged, "The rest is readable.")
            }
            StoreError::Broken(what) | StoreError::Failed(what) => {
                tracing::error!(%what, "the store failed");
                Self::new(Code::Unavailable, "The store failed; the server's log says more.")
            }
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"doorbell\""));
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        response
    }
}
