//! A body for a provider of whose events there is no sample: it has the fields that are read here, and no more.

use crate::describe::describe;
use crate::incoming::Incoming;
use crate::json;
use crate::provider::Provider;
use crate::scheme::Field;

/// What stands in each field.
const VALUE: &str = "test";

/// A request in the provider's form, as far as its row says what that is.
pub(crate) struct Plain {
    pub(crate) provider: &'static str,
    pub(crate) event_type: String,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) body: Vec<u8>,
}

/// The fields by where they stand.
#[derive(Default)]
struct Fields<'a> {
    headers: Vec<(&'a str, &'static str)>,
    pointers: Vec<&'a str>,
    form: Vec<&'a str>,
    elements: Vec<&'a str>,
}

impl Plain {
    pub(crate) fn of(row: &'static Provider) -> Self {
        let mut fields = Fields::default();
        row.event_type.iter().chain(&row.event_id).for_each(|field| fields.add(field));
        let (content_type, body) = fields.body();
        let headers = fields.headers;
        let incoming = Incoming { method: "POST", url: "", headers: &headers, body: &body };
        let event_type = describe(row, &incoming).event_type.unwrap_or_default();
        Self { provider: &row.name, event_type, content_type, headers, body }
    }
}

impl<'a> Fields<'a> {
    fn add(&mut self, field: &'a Field) {
        match field {
            Field::Header(name) => self.headers.push((name, VALUE)),
            Field::Json(pointer) => self.pointers.push(pointer),
            Field::Form(name) => self.form.push(name),
            Field::Xml { form: None, element } => self.elements.push(element),
            Field::FirstKey { .. } => self.pointers.push("/test"),
            Field::First(fields) => fields.iter().take(1).for_each(|field| self.add(field)),
            Field::Joined { fields, .. } => fields.iter().for_each(|field| self.add(field)),
            // Made when it is signed, or in a form that only a real sample has.
            Field::Body
            | Field::Part(_)
            | Field::FormJson(..)
            | Field::Query(_)
            | Field::Claim { .. }
            | Field::BodyClaim(_)
            | Field::Xml { form: Some(_), .. }
            | Field::Fixed(_) => {}
        }
    }

    fn body(&self) -> (&'static str, Vec<u8>) {
        let (kind, text) = if !self.form.is_empty() {
            let pairs: Vec<_> = self.form.iter().map(|name| format!("{name}={VALUE}")).collect();
            ("application/x-www-form-urlencoded", pairs.join("&"))
        } else if !self.elements.is_empty() {
            let all = self.elements.iter().map(|name| format!("<{name}>{VALUE}</{name}>"));
            ("text/xml", format!("<test>{}</test>", all.collect::<String>()))
        } else {
            ("application/json", document(&self.pointers))
        };
        (kind, text.into_bytes())
    }
}

/// The JSON in which a text stands at each of these pointers; where all keys are numbers it is an array.
fn document(pointers: &[&str]) -> String {
    if pointers.contains(&"") {
        return json::quote(VALUE);
    }
    let mut members: Vec<(&str, Vec<&str>)> = Vec::new();
    for pointer in pointers {
        let path = pointer.strip_prefix('/').unwrap_or(pointer);
        let (key, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
        match members.iter_mut().find(|(other, _)| *other == key) {
            Some((_, inside)) => inside.push(rest),
            None => members.push((key, vec![rest])),
        }
    }
    let is_number = |key: &str| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
    if !members.is_empty() && members.iter().all(|(key, _)| is_number(key)) {
        let all: Vec<_> = members.iter().map(|(_, inside)| document(inside)).collect();
        return format!("[{}]", all.join(","));
    }
    let member =
        |(key, inside): &(&str, Vec<&str>)| format!("{}:{}", json::quote(key), document(inside));
    format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        assert_eq!(document(&[]), "{}");
        assert_eq!(
            document(&["/events/0/type", "/id", "/events/0/id"]),
            r#"{"events":[{"type":"test","id":"test"}],"id":"test"}"#
        );
        assert_eq!(document(&["/0/event"]), r#"[{"event":"test"}]"#);
        assert_eq!(document(&["/id", "/id", "/id/x"]), r#"{"id":"test"}"#);
    }
}
