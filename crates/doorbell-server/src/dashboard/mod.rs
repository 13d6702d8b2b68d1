//! The dashboard: a page that uses the public API and nothing else. It is public itself; what it shows is not.
//!
//! It is one HTML file, two scripts, one style sheet and a picture, all within the binary, and may load nothing else.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use doorbell_wire::problem::{Code, PAGES, Problem};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// The media type of pages.
pub(crate) const HTML: &str = "text/html; charset=utf-8";

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Nothing but what this server serves, and no page of another server around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Which files there are: path, media type, text.
const FILES: [(&str, &str, &str); 5] = [
    ("/", HTML, include_str!("index.html")),
    ("/dashboard/app.js", SCRIPT, include_str!("app.js")),
    ("/dashboard/detail.js", SCRIPT, include_str!("detail.js")),
    ("/dashboard/style.css", "text/css; charset=utf-8", include_str!("style.css")),
    ("/dashboard/bell.svg", "image/svg+xml", include_str!("bell.svg")),
];

/// The page for whoever could not sign in; `{…}` is filled in.
const REFUSED: &str = include_str!("refused.html");

/// The page of a kind of problem; `{…}` is filled in.
const PROBLEM: &str = include_str!("problem.html");

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

/// The page of a kind of problem, for people.
pub(crate) fn problem(code: Code) -> String {
    let meaning: Vec<&str> = code.meaning().lines().map(str::trim).collect();
    let content = format!(
        "<p class=\"quiet\"><code>{}</code>, HTTP {}</p><p>{}</p><p><strong>What to do.</strong> {}</p>\
         <p><a href=\"{PAGES}\">All problems</a></p>",
        code.word(),
        code.status(),
        marked(&meaning.join(" ")),
        marked(code.remedy()),
    );
    PROBLEM.replace("{title}", code.title()).replace("{content}", &content)
}

/// The page of all kinds of problem, for people.
pub(crate) fn problems() -> String {
    let rows = Code::ALL.iter().map(|code| {
        let (word, status, title) = (code.word(), code.status(), code.title());
        format!("<tr><td><a href=\"{PAGES}{word}\">{word}</a></td><td>{status}</td><td>{title}</td></tr>")
    });
    let table = rows.collect::<String>();
    let content =
        format!("<table><tr><th>code</th><th>status</th><th>meaning</th></tr>{table}</table>");
    PROBLEM.replace("{title}", "Problems").replace("{content}", &content)
}

/// Our own words as markup: what stands between backquotes is code.
fn marked(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
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
        let scripts = [text("app.js"), text("detail.js")].concat();
        assert!(scripts.contains("textContent") && scripts.contains("element.append("));
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
            "setAttribute(\"style",
            "setAttribute(\"href",
            "location =",
            "location.href",
        ] {
            assert!(!scripts.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn the_pages_load_nothing_from_elsewhere_and_hold_no_code() {
        for page in [text("/"), REFUSED, PROBLEM] {
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
