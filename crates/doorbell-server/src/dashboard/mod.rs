//! The dashboard: a page that uses the public API and nothing else. It is public itself; what it shows is not.
//!
//! It is one HTML file, one script, one style sheet and a picture, all within the binary, and may load nothing else.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use doorbell_wire::problem::Problem;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The media type of pages.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// Nothing but what this server serves, and no page of another server around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Which files there are: path, media type, text.
const FILES: [(&str, &str, &str); 4] = [
    ("/", HTML, include_str!("index.html")),
    ("/dashboard/app.js", "text/javascript; charset=utf-8", include_str!("app.js")),
    ("/dashboard/style.css", "text/css; charset=utf-8", include_str!("style.css")),
    ("/dashboard/bell.svg", "image/svg+xml", include_str!("bell.svg")),
];

/// The page for whoever could not sign in; `{…}` is filled in.
const REFUSED: &str = include_str!("refused.html");

/// The routes of the files.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    FILES.into_iter().fold(Router::new(), |router, (path, media, text)| {
        router.route(path, get(move || async move { file(media, text) }))
    })
}

fn file(media: &'static str, text: &'static str) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    guard(headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// What every answer to a browser says.
pub(crate) fn guard(headers: &mut HeaderMap) {
    let own = |name| HeaderName::from_static(name);
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (own("cross-origin-opener-policy"), "same-origin"),
        (own("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// A problem as a page. Its words are our own, all of them: nothing from the request stands in it.
pub(crate) fn refused(problem: &Problem) -> String {
    REFUSED.replace("{title}", &problem.title).replace("{remedy}", &marked(&problem.remedy))
}

/// Sets what stands between backquotes as code.
fn marked(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts
        .map(
            |(at, part)| if at % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(end: &str) -> &'static str {
        FILES.into_iter().find(|(path, ..)| path.ends_with(end)).unwrap().2
    }

    /// What comes from outside reaches the page as text nodes and attributes of ours, never as markup or code.
    #[test]
    fn the_script_writes_no_markup() {
        let script = text("app.js");
        assert!(script.contains("textContent") || script.contains("createTextNode"));
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "createContextualFragment",
            "DOMParser",
            "srcdoc",
            "setTimeout(\"",
            "location =",
            "location.href",
        ] {
            assert!(!script.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn the_pages_load_nothing_from_elsewhere_and_hold_no_code() {
        for page in [text("/"), REFUSED] {
            for forbidden in ["http://", "https://", "style=", " on", "<style", "javascript:"] {
                let found = page.match_indices(forbidden).map(|(at, _)| &page[at..]);
                // Prose may say " on"; a tag may not have it.
                let found = found.filter(|at| forbidden != " on" || at[..12].contains('='));
                assert_eq!(found.count(), 0, "{forbidden}");
            }
            assert_eq!(page.matches("<script").count(), page.matches("<script src=").count());
        }
        assert!(!text("style.css").contains("url("));
    }

    #[test]
    fn every_file_that_the_page_names_is_there() {
        let page = text("/");
        for (path, ..) in FILES.into_iter().skip(1) {
            assert!(page.contains(&format!("\"{path}\"")), "{path}");
        }
    }
}
