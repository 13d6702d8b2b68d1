//! Events and requests: lists, one whole, and its body byte for byte.

use super::auth::Caller;
use super::find;
use super::input::{Named, Query, json};
use super::refused::Refused;
use super::state::ApiState;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doorbell_core::credentials::Credentials;
use doorbell_core::id::RequestId;
use doorbell_store::{EventDetail, EventRow, FateWord, Page as StorePage, Store, Tally};
use doorbell_wire::api::v1::common::Page;
use doorbell_wire::api::v1::event::{
    EventLine, EventOut, EventQuery, RequestLine, RequestOut, Row, TallyOut,
};
use doorbell_wire::api::v1::redact::Veil;
use doorbell_wire::problem::Code;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

/// The fates that make an event of a request.
pub(super) const EVENTS: [FateWord; 3] =
    [FateWord::Accepted, FateWord::NoEndpoint, FateWord::Filtered];

pub(super) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<EventQuery>,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let query = find::event_query(&settings, caller, &query, &EVENTS)?;
    if query.fates.iter().any(|fate| !EVENTS.contains(fate)) {
        let detail = "any of accepted, no_endpoint, filtered; requests that became no event are in /v1/requests, `doorbell request list`";
        return Err(Refused::at(Code::Parameter, "?fate", detail));
    }
    let found = state.admitting.store.events(query).await?;
    Ok(json(StatusCode::OK, &page(found, |row| EventLine::of(shown(row), &settings))))
}

pub(super) async fn list_requests(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<EventQuery>,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let found =
        state.admitting.store.events(find::event_query(&settings, caller, &query, &[])?).await?;
    Ok(json(StatusCode::OK, &page(found, |row| RequestLine::of(shown(row), &settings))))
}

fn page<O>(found: StorePage<EventRow>, show: impl Fn(&EventRow) -> O) -> Page<O> {
    Page { data: found.items.iter().map(show).collect(), next_cursor: found.next }
}

/// A row of the store as the formats take it.
pub(super) fn shown(row: &EventRow) -> Row<'_> {
    Row {
        id: row.id,
        at: row.at,
        source: row.source,
        event_type: row.event_type.as_ref(),
        method: &row.method,
        fate: &row.fate,
        body_len: row.body_len,
        tally: tally(row.tally),
    }
}

pub(super) fn tally(tally: Tally) -> TallyOut {
    TallyOut {
        waiting: tally.waiting,
        delivered: tally.delivered,
        failed: tally.failed,
        discarded: tally.discarded,
    }
}

pub(super) async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let found = event(&state, caller, &name).await?;
    let settings = state.configured.directory();
    let parts = (&found.event, &found.fate);
    let known = Credentials::of(found.event.origin, &settings);
    let veil = Veil::of(caller.view, &known);
    let shown = EventOut::of(parts, tally(found.tally), &settings, veil);
    Ok(json(StatusCode::OK, &shown))
}

pub(super) async fn show_request(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let found = request(&state, caller, &name).await?;
    let settings = state.configured.directory();
    let known = Credentials::of(found.event.origin, &settings);
    let veil = Veil::of(caller.view, &known);
    let shown = RequestOut::of((&found.event, &found.fate), &settings, veil);
    Ok(json(StatusCode::OK, &shown))
}

pub(super) async fn body(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let found = event(&state, caller, &name).await?;
    whole_body(&state, caller, found, &name)
}

pub(super) async fn request_body(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let found = request(&state, caller, &name).await?;
    whole_body(&state, caller, found, &name)
}

/// The body, unless a secret stands in it that the caller must not see.
fn whole_body(
    state: &ApiState,
    caller: Caller,
    found: EventDetail,
    name: &str,
) -> Result<Response, Refused> {
    let known = Credentials::of(found.event.origin, &state.configured.directory());
    let body = found.event.request.body;
    if Veil::of(caller.view, &known).hides_body(&body) {
        let detail = "The secret of its source stands, or may stand, in this body: it needs the scope `admin`.";
        return Err(Refused::new(Code::Scope, detail));
    }
    Ok(download(body, name))
}

/// A request that did not become an event is none.
async fn event(state: &ApiState, caller: Caller, name: &str) -> Result<EventDetail, Refused> {
    let id = find::event_id(name, "event")?;
    let found = state.admitting.store.event(caller.tenant, id).await?;
    let found = found.ok_or_else(|| Refused::not_found("event"))?;
    if found.fate.is_event() {
        return Ok(found);
    }
    let (fate, id) = (found.fate.word(), RequestId::from(id));
    Err(Refused::new(
        Code::NotFound,
        format!("The request {id} became no event, it is {fate}: see /v1/requests/{id}."),
    ))
}

pub(super) async fn request(
    state: &ApiState,
    caller: Caller,
    name: &str,
) -> Result<EventDetail, Refused> {
    let id = find::event_id(name, "request")?;
    let found = state.admitting.store.event(caller.tenant, id).await?;
    found.ok_or_else(|| Refused::not_found("request"))
}

/// Bytes from outside, so that no browser takes them for a page: an attachment of a type that nothing runs, in a sandbox.
/// `name` is an id: letters, digits and one `_`.
fn download(body: Bytes, name: &str) -> Response {
    let text = str::from_utf8(&body).is_ok();
    let media = if text { "text/plain; charset=utf-8" } else { "application/octet-stream" };
    let suffix = if text { "txt" } else { "bin" };
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}.{suffix}\""));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let attachment = disposition.unwrap_or(HeaderValue::from_static("attachment"));
    headers.insert(CONTENT_DISPOSITION, attachment);
    let policy = HeaderValue::from_static("default-src 'none'; sandbox");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    response
}
