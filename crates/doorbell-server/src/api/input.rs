//! Reading what goes in: JSON bodies, queries, paths. All bounded, and every fault names its place.

use super::refused::Refused;
use super::state::ApiState;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doorbell_core::limits;
use doorbell_wire::misread::{self, Misread};
use doorbell_wire::problem::{Code, Problem};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path as Place, Segment};
use std::fmt::Write as _;

/// The whole body, at most `limit` bytes, within the deadline of bodies.
pub(super) async fn bytes(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Refused> {
    let too_large =
        || Refused::new(Code::TooLarge, format!("This operation takes at most {limit} bytes."));
    if announced(headers).is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let read = tokio::time::timeout(limits::BODY_DEADLINE, Limited::new(body, limit).collect());
    match read.await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refused::new(Code::Malformed, "The body broke off.")),
        Err(_) => Err(Refused::new(Code::Timeout, "The body was not there in time.")),
    }
}

/// How long the body is said to be.
pub(super) fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The content type without its parameters, in lower case; empty where none is sent.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Reads JSON; a fault names its place by a JSON pointer.
pub(super) fn from_json<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refused> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let refused = |place: String, error: &serde_json::Error| {
        let Misread { field, detail } = misread::json(body, error);
        Refused::at(Code::Malformed, below(place, field), detail)
    };
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| refused(pointer(error.path()), error.inner()))?;
    reader.end().map_err(|error| refused(String::new(), &error))?;
    Ok(value)
}

/// The field at a place, unless the place is the field's own already.
fn below(mut place: String, field: Option<String>) -> String {
    if let Some(field) = field {
        let end = format!("/{}", escaped(&field));
        if !place.ends_with(&end) {
            place.push_str(&end);
        }
    }
    place
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// A place as a JSON pointer (RFC 6901).
fn pointer(place: &Place) -> String {
    let mut text = String::new();
    for segment in place {
        let _infallible = match segment {
            Segment::Seq { index } => write!(text, "/{index}"),
            Segment::Map { key } => write!(text, "/{}", escaped(key)),
            Segment::Enum { .. } | Segment::Unknown => Ok(()),
        };
    }
    text
}

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

/// A JSON body, or its default where there is none.
pub(super) struct OptionalJson<T>(pub(super) T);

/// The head and the body of an operation that configures or asks.
pub(super) async fn config_body(request: Request) -> Result<(HeaderMap, Bytes), Refused> {
    let (parts, body) = request.into_parts();
    let body = bytes(&parts.headers, body, limits::API_BODY).await?;
    Ok((parts.headers, body))
}

/// A form that a foreign web page can send (`text/plain`, a form, no type) is no JSON.
pub(super) fn is_json(headers: &HeaderMap) -> Result<(), Refused> {
    match media_type(headers).as_str() {
        "application/json" | "application/merge-patch+json" => Ok(()),
        "" => Err(Refused::new(Code::MediaType, "The request has no content type.")),
        other => Err(Refused::new(Code::MediaType, format!("{other} is not taken here."))),
    }
}

impl<T: DeserializeOwned> FromRequest<ApiState> for Json<T> {
    type Rejection = Refused;
    async fn from_request(request: Request, _: &ApiState) -> Result<Self, Refused> {
        let (headers, body) = config_body(request).await?;
        is_json(&headers)?;
        from_json(&body).map(Self)
    }
}

impl<T: DeserializeOwned + Default> FromRequest<ApiState> for OptionalJson<T> {
    type Rejection = Refused;
    async fn from_request(request: Request, _: &ApiState) -> Result<Self, Refused> {
        let (headers, body) = config_body(request).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        is_json(&headers)?;
        from_json(&body).map(Self)
    }
}

/// The parameters of the query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<ApiState> for Query<T> {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, _: &ApiState) -> Result<Self, Refused> {
        let raw = parts.uri.query().unwrap_or_default();
        let pairs = url::form_urlencoded::parse(raw.as_bytes());
        let reader = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(reader).map(Self).map_err(|error| {
            let name = error.path().to_string();
            let name = if name == "." { String::new() } else { name };
            let Misread { field, detail } = misread::query(&error.into_inner().to_string());
            Refused::at(Code::Parameter, format!("?{}", field.unwrap_or(name)), detail)
        })
    }
}

/// What stands in the one `{…}` of the path.
pub(super) struct Named(pub(super) String);

impl FromRequestParts<ApiState> for Named {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Refused> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Self(name)).map_err(|_| Refused::not_found("thing"))
    }
}

/// How many items a page has.
pub(super) fn limit(asked: Option<u32>) -> Result<usize, Refused> {
    let limit = asked.map_or(Some(limits::PAGE_DEFAULT), |limit| usize::try_from(limit).ok());
    limit.filter(|limit| (1..=limits::PAGE_MAX).contains(limit)).ok_or_else(|| {
        let detail = format!("between 1 and {}", limits::PAGE_MAX);
        Refused::at(Code::Parameter, "?limit", detail)
    })
}

/// A value as a JSON answer.
pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => {
            let mut response = (status, body).into_response();
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            Refused::new(Code::Internal, "The answer could not be written.").into_response()
        }
    }
}

/// The problem that a stream ends with.
pub(super) fn problem_of(error: doorbell_store::StoreError) -> Problem {
    Refused::from(error).problem().clone()
}
