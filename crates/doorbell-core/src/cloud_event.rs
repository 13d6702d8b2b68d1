//! An event as `CloudEvents` 1.0.2 sees it: its attributes, and the one JSON document of the structured mode.

use crate::event::Event;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value;

/// The content type of a document.
pub const DOCUMENT: &str = "application/cloudevents+json";
/// The type of an event that has none: the standard demands one.
const UNTYPED: &str = "doorbell.event";

/// The attributes but for `datacontenttype`, in the standard's order. `source` is the path of a source's name, `/published`
/// where there is none.
#[must_use]
pub fn attributes(event: &Event, source: Option<&str>) -> Vec<(&'static str, String)> {
    let from = source.map_or_else(|| "/published".to_owned(), |name| format!("/sources/{name}"));
    let event_type = event.event_type.as_ref().map_or(UNTYPED, |event_type| event_type.as_str());
    vec![
        ("specversion", "1.0".to_owned()),
        ("id", event.id.to_string()),
        ("source", from),
        ("type", event_type.to_owned()),
        ("time", event.at.to_string()),
    ]
}

/// The whole as one document. A body that is JSON stands in it byte for byte; any other is Base64.
#[must_use]
pub fn document(event: &Event, source: Option<&str>) -> Bytes {
    let mut text = String::from("{");
    for (name, value) in attributes(event, source) {
        field(&mut text, name, &value);
    }
    let kind = event.request.headers.text("content-type");
    let kind = kind.filter(|kind| !kind.chars().any(char::is_control));
    if let Some(kind) = kind {
        field(&mut text, "datacontenttype", kind);
    }
    let body = &event.request.body;
    if body.is_empty() {
        text.pop();
    } else if let Some(json) = json(body, kind) {
        text.push_str("\"data\":");
        text.push_str(json);
    } else {
        field(&mut text, "data_base64", &STANDARD.encode(body));
        text.pop();
    }
    text.push('}');
    Bytes::from(text)
}

fn field(text: &mut String, name: &str, value: &str) {
    // `Value` writes a text with all its quotes.
    text.extend(["\"", name, "\":", &Value::from(value).to_string(), ","]);
}

/// The body, where it is said to be JSON (as it is when nothing is said) and is.
fn json<'a>(body: &'a [u8], kind: Option<&str>) -> Option<&'a str> {
    let media = kind.unwrap_or("application/json").split(';').next().unwrap_or_default().trim();
    let media = media.to_ascii_lowercase();
    let said = media == "application/json" || media == "text/json" || media.ends_with("+json");
    let text = said.then(|| str::from_utf8(body).ok()).flatten()?;
    serde_json::from_str::<Value>(text).ok().map(|_whole| text)
}
