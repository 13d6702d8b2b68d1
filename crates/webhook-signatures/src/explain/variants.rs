//! What a secret, a body or a URL may have been before a likely mistake was made with it.

use crate::encoding::Encoding;
use crate::incoming::Incoming;
use crate::{form, json};

/// Other texts that the secret may have been meant to be: the finding's code, the text, and what to say.
pub(super) fn secret_variants(text: &str) -> Vec<(&'static str, String, &'static str)> {
    let mut all = Vec::new();
    let trimmed = text.trim();
    if trimmed != text {
        all.push((
            "secret_white_space",
            trimmed.to_owned(),
            "The secret has white space at its beginning or end: take it away.",
        ));
    }
    let quotes = |c: char| c == '"' || c == '\'';
    if trimmed.trim_matches(quotes) != trimmed {
        all.push((
            "secret_quotes",
            trimmed.trim_matches(quotes).to_owned(),
            "The secret stands in quotes: take them away.",
        ));
    }
    match text.strip_prefix("whsec_") {
        Some(rest) => all.push((
            "whsec_prefix",
            rest.to_owned(),
            "The sender's secret has no `whsec_` before it: take the prefix away.",
        )),
        None => all.push((
            "whsec_prefix",
            format!("whsec_{text}"),
            "The prefix `whsec_` belongs to the secret: put it back.",
        )),
    }
    all.push((
        "secret_white_space",
        format!("{text}\n"),
        "The sender's secret ends with a line break: it was pasted so at the provider.",
    ));
    all
}

/// The finding's code, the body as it may have been, and what to say.
type BodyVariant = (&'static str, Vec<u8>, &'static str);

/// Bodies that this one may have been before something on the way changed it.
pub(super) fn body_variants(body: &[u8]) -> Vec<BodyVariant> {
    let replaced =
        |from: &str, to: &str| String::from_utf8_lossy(body).replace(from, to).into_bytes();
    let line_end = "The body's line ends were changed on the way: pass its bytes on as they are.";
    let last = "The line break at the body's end is signed, and it was added or lost on the way.";
    let reserialised = "The body was parsed and written again on the way (its spacing differs): check the raw bytes.";
    let escapes = "The body was parsed and written again on the way (its \\u escapes differ): check the raw bytes.";
    let minified = json::minified(body);
    let mut all: Vec<BodyVariant> = vec![
        ("trailing_newline", body.trim_ascii_end().to_vec(), last),
        ("trailing_newline", [body, b"\n"].concat(), last),
        ("trailing_newline", [body, b"\r\n"].concat(), last),
        ("line_ends", replaced("\r\n", "\n"), line_end),
        (
            "line_ends",
            replaced("\r\n", "\n")
                .split(|byte| *byte == b'\n')
                .collect::<Vec<_>>()
                .join(&b"\r\n"[..]),
            line_end,
        ),
        (
            "byte_order_mark",
            body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).to_vec(),
            "A byte order mark was put before the body on the way.",
        ),
        ("reserialised", minified.clone(), reserialised),
        ("reserialised", json::spaced(&minified), reserialised),
        ("reserialised", pretty(body), reserialised),
        ("reserialised", json::indented(&minified, 4), reserialised),
        ("reserialised_escapes", json::escaped(body), escapes),
        ("reserialised_escapes", json::unescaped(body), escapes),
        ("reserialised_escapes", json::escaped(&json::spaced(&minified)), escapes),
        ("reserialised_escapes", json::unescaped(&minified), escapes),
        ("reserialised_escapes", replaced("\\/", "/"), escapes),
        ("reserialised_escapes", replaced("/", "\\/"), escapes),
        ("reserialised_escapes", for_html(body), escapes),
        (
            "body_lost",
            Vec::new(),
            "The sender signed an empty body, or the request that it signed was another one.",
        ),
        (
            "wrapped_in_json",
            json::text(body.trim_ascii()).unwrap_or_default().into_owned().into_bytes(),
            "The body was wrapped into a JSON string on the way.",
        ),
    ];
    if let Some(decoded) = Encoding::Base64.decode(body.trim_ascii()) {
        all.push(("base64_body", decoded, "The body came as base64 (some serverless platforms do that): decode it before checking."));
    }
    if let Some(value) = form::value(body, "payload") {
        all.push(("form_for_json", value, "The body is a form and the sender signed JSON: set the webhook's content type to JSON."));
    }
    let as_form = [b"payload=".to_vec(), form::encode(body).into_bytes()].concat();
    all.push((
        "json_for_form",
        as_form,
        "The body is JSON and the sender signed a form: something on the way took the form apart.",
    ));
    all
}

/// With the escapes that Go writes, so that no browser takes JSON for a page.
fn for_html(body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body).replace('&', "\\u0026");
    text.replace('<', "\\u003c").replace('>', "\\u003e").into_bytes()
}

/// Two blanks for each level, as `JSON.stringify(x, null, 2)` writes it.
fn pretty(body: &[u8]) -> Vec<u8> {
    json::indented(&json::minified(body), 2)
}

/// Public URLs that the sender may have called.
pub(super) fn url_variants(incoming: &Incoming<'_>) -> Vec<String> {
    let url = incoming.url;
    let (scheme, rest) = url.split_once("://").unwrap_or(("https", url));
    let other = if scheme == "https" { "http" } else { "https" };
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let mut all = vec![format!("{other}://{rest}")];
    let (bare, query) = path.split_once('?').map_or((path, ""), |(bare, query)| (bare, query));
    let slashed = bare.strip_suffix('/').map_or_else(|| format!("{bare}/"), str::to_owned);
    let mark = if query.is_empty() { "" } else { "?" };
    all.push(format!("{scheme}://{host}{slashed}{mark}{query}"));
    all.push(format!("{scheme}://{host}{bare}"));
    let name = host.split(':').next().unwrap_or(host);
    all.push(format!("{scheme}://{name}{path}"));
    for port in [":443", ":80", ":8080"] {
        all.push(format!("{scheme}://{name}{port}{path}"));
    }
    for header in ["host", "x-forwarded-host", "x-original-host"] {
        if let Some(host) = incoming.header_str(header) {
            all.push(format!("{scheme}://{host}{path}"));
            all.push(format!("{other}://{host}{path}"));
        }
    }
    all
}
