//! The pages to which the `type` of a problem leads. Everyone may read them, without a token: they are the same for all.

use super::refused::Refused;
use super::state::ApiState;
use crate::dashboard;
use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use doorbell_wire::problem::{self, Code, PAGES};
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue};

/// The media type of the pages as they stand in `docs/errors/` (RFC 7763).
const MARKDOWN: &str = "text/markdown; charset=utf-8";

/// The routes of the pages.
pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route(PAGES, get(all))
        .route(PAGES.trim_end_matches('/'), get(all))
        .route("/docs/errors/{code}", get(one))
}

async fn all(headers: HeaderMap) -> Response {
    if wants_html(&headers) { html(dashboard::problems()) } else { markdown(problem::index()) }
}

/// The links of the index in Markdown name files, so `.md` may stand behind the code.
async fn one(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Refused> {
    let code = Code::of_word(name.strip_suffix(".md").unwrap_or(&name));
    let code = code.ok_or_else(|| Refused::not_found("problem"))?;
    let html_wanted = wants_html(&headers);
    Ok(if html_wanted { html(dashboard::problem(code)) } else { markdown(problem::page(code)) })
}

/// Browsers name HTML; what takes anything is a command line, and text is better there.
fn wants_html(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|range| range.trim_start().starts_with("text/html"))
}

fn html(page: String) -> Response {
    answer(page, dashboard::HTML)
}

fn markdown(page: String) -> Response {
    answer(page, MARKDOWN)
}

fn answer(page: String, media: &'static str) -> Response {
    let mut response = page.into_response();
    let headers = response.headers_mut();
    dashboard::guard(headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
