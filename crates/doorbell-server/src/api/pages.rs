//! What a browser gets: the dashboard, and signing in and out of it.

use super::auth::{Peer, peer};
use super::origin;
use super::refused::Refused;
use super::session::{self, Session};
use super::state::ApiState;
use crate::dashboard;
use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use doorbell_wire::api::v1::login;
use doorbell_wire::problem::Code;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, LOCATION, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

/// The dashboard's own routes.
pub(super) fn routes() -> Router<ApiState> {
    dashboard::routes().route(login::PATH, get(sign_in)).route("/logout", post(sign_out))
}

/// The address that was printed, opened in a browser. What only looks ahead (HEAD) uses no code up.
async fn sign_in(
    State(state): State<ApiState>,
    from: Option<Extension<Peer>>,
    method: Method,
    uri: Uri,
) -> Response {
    let Some(code) = code(&uri).filter(|_| method == Method::GET) else {
        return to_the_dashboard();
    };
    match session::open(&state, peer(from.as_deref()), &code).await {
        Ok(Session { text, life, .. }) => {
            let mut response = to_the_dashboard();
            let cookie = state.cookie.set(text.reveal(), life);
            response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
            response
        }
        Err(refused) => shown(refused),
    }
}

fn code(uri: &Uri) -> Option<String> {
    let query = uri.query().unwrap_or_default();
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "code").map(|(_, value)| value.into_owned())
}

/// The code stands in no history, and in no `Referer` of what comes next.
fn to_the_dashboard() -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    dashboard::guard(response.headers_mut());
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A problem as a page for people, with the problem's status and headers.
fn shown(refused: Refused) -> Response {
    let page = dashboard::refused(refused.problem());
    let mut response = refused.into_response();
    *response.body_mut() = Body::from(page);
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.remove(WWW_AUTHENTICATE);
    dashboard::guard(headers);
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(dashboard::HTML));
    response
}

async fn sign_out(
    State(state): State<ApiState>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    if !origin::is_ours(&method, &uri, &headers) {
        return Err(Refused::new(Code::CrossSite, "Signing out is for the dashboard."));
    }
    if let Some(text) = state.cookie.read(&headers) {
        session::close(&state, text).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().extend(state.cookie.clear().map(|cookie| (SET_COOKIE, cookie)));
    Ok(response)
}
