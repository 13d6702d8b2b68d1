//! Spans as OpenTelemetry's collectors take them: OTLP/HTTP in its JSON form, version 1. Ids are hexadecimal and times
//! are decimal texts there, unlike in the JSON form of other protocol buffers.

use serde::Serialize;
use std::fmt::Write as _;

/// What kind of span it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request that was answered.
    Server,
    /// A request that was made.
    Client,
}

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// Something that took its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace's id.
    pub trace: [u8; 16],
    /// Its own.
    pub span: [u8; 8],
    /// That of the span that it is a part of.
    pub parent: Option<[u8; 8]>,
    /// What it is: few different ones.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Nanoseconds since 1970 at its begin and end.
    pub times: (u64, u64),
    /// What else is known.
    pub attributes: Vec<(&'static str, Value)>,
    /// What went wrong, if something did.
    pub fault: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: Vec<Attribute<'a>>,
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    scope: Scope<'a>,
    spans: Vec<SpanOut<'a>>,
}

#[derive(Serialize)]
struct Scope<'a> {
    name: &'a str,
    version: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SpanOut<'a> {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'a str,
    value: ValueOut<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum ValueOut<'a> {
    StringValue(&'a str),
    /// A 64-bit number is a text in JSON.
    IntValue(String),
}

#[derive(Serialize)]
struct Status<'a> {
    code: u8,
    message: &'a str,
}

/// `STATUS_CODE_ERROR`.
const ERROR: u8 = 2;

/// Spans of this resource (`service.name` and others) as one document.
#[must_use]
pub fn document(resource: &[(String, String)], version: &str, spans: &[Span]) -> Vec<u8> {
    let attribute = |(key, value): &'_ (String, String)| (key.clone(), value.clone());
    let owned: Vec<(String, String)> = resource.iter().map(attribute).collect();
    let attributes =
        owned.iter().map(|(key, value)| Attribute { key, value: ValueOut::StringValue(value) });
    let request = Request {
        resource_spans: [ResourceSpans {
            resource: Resource { attributes: attributes.collect() },
            scope_spans: [ScopeSpans {
                scope: Scope { name: "doorbell", version },
                spans: spans.iter().map(span).collect(),
            }],
        }],
    };
    // It is made of texts and numbers: it cannot fail.
    serde_json::to_vec(&request).unwrap_or_default()
}

fn span(span: &Span) -> SpanOut<'_> {
    let value = |value| match value {
        &Value::Number(number) => ValueOut::IntValue(i64::to_string(&number)),
        Value::Text(text) => ValueOut::StringValue(text),
    };
    let attributes = span.attributes.iter().map(|(key, of)| Attribute { key, value: value(of) });
    SpanOut {
        trace_id: hex(&span.trace),
        span_id: hex(&span.span),
        parent_span_id: span.parent.map(|parent| hex(&parent)),
        name: span.name,
        kind: match span.kind {
            Kind::Server => 2,
            Kind::Client => 3,
        },
        start_time_unix_nano: span.times.0.to_string(),
        end_time_unix_nano: span.times.1.to_string(),
        attributes: attributes.collect(),
        status: span.fault.as_deref().map(|message| Status { code: ERROR, message }),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").unwrap_or_default();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_as_collectors_take_it() {
        let one = Span {
            trace: [0xab; 16],
            span: [1; 8],
            parent: Some([2; 8]),
            name: "doorbell deliver",
            kind: Kind::Client,
            times: (1_767_225_600_000_000_000, 1_767_225_600_250_000_000),
            attributes: vec![
                ("http.response.status_code", Value::Number(503)),
                ("error.type", Value::Text("server_error".to_owned())),
            ],
            fault: Some("server_error".to_owned()),
        };
        let resource = [("service.name".to_owned(), "doorbell".to_owned())];
        let text = String::from_utf8(document(&resource, "1", &[one])).unwrap();
        assert_eq!(
            text,
            r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"doorbell"}}]},"scopeSpans":[{"scope":{"name":"doorbell","version":"1"},"spans":[{"traceId":"abababababababababababababababab","spanId":"0101010101010101","parentSpanId":"0202020202020202","name":"doorbell deliver","kind":3,"startTimeUnixNano":"1767225600000000000","endTimeUnixNano":"1767225600250000000","attributes":[{"key":"http.response.status_code","value":{"intValue":"503"}},{"key":"error.type","value":{"stringValue":"server_error"}}],"status":{"code":2,"message":"server_error"}}]}]}]}"#
        );
    }
}
