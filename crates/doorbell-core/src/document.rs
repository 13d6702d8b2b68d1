//! An event as filters see it: its parts as JSON values, each made when the first filter asks for it.
//!
//! `serde_json` is used as a parser into plain values; see [`crate::filter`].

use crate::event::Event;
use crate::limits;
use serde_json::{Map, Value};
use std::cell::OnceCell;
use webhook_signatures::form;

/// A part of an event that filters look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Body,
    Headers,
    Query,
    Path,
    Method,
    EventType,
    Channels,
}

/// Their names in a filter.
pub(crate) const PARTS: [(&str, Part); 7] = [
    ("body", Part::Body),
    ("headers", Part::Headers),
    ("query", Part::Query),
    ("path", Part::Path),
    ("method", Part::Method),
    ("event_type", Part::EventType),
    ("channels", Part::Channels),
];

/// An event as filters see it. Each part is made when the first filter asks for it.
#[derive(Debug)]
pub struct Document<'a> {
    event: &'a Event,
    parts: [OnceCell<Option<Value>>; PARTS.len()],
}

impl<'a> Document<'a> {
    /// The event, seen by filters; use one document for all filters of one event.
    #[must_use]
    pub const fn new(event: &'a Event) -> Self {
        Self { event, parts: [const { OnceCell::new() }; PARTS.len()] }
    }

    pub(crate) fn part(&self, part: Part) -> Option<&Value> {
        let at = PARTS.iter().position(|(_, other)| *other == part)?;
        self.parts.get(at)?.get_or_init(|| self.make(part)).as_ref()
    }

    fn make(&self, part: Part) -> Option<Value> {
        let request = &self.event.request;
        match part {
            Part::Body => self.body(),
            Part::Headers => Some(named(
                request.headers.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.to_vec())),
            )),
            Part::Query => {
                let query = request.query.as_deref().unwrap_or_default();
                Some(named(form::pairs(query.as_bytes(), limits::TARGET)))
            }
            Part::Path => Some(Value::from(request.path.as_str())),
            Part::Method => Some(Value::from(request.method.as_str())),
            Part::EventType => self.event.event_type.as_ref().map(|t| Value::from(t.as_str())),
            Part::Channels => Some(Value::from(self.event.channels.clone())),
        }
    }

    fn body(&self) -> Option<Value> {
        let request = &self.event.request;
        if request.body.len() > limits::FILTER_BODY {
            return None;
        }
        let kind = request.headers.text("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Some(named(form::pairs(&request.body, limits::TARGET)));
        }
        serde_json::from_slice(&request.body).ok()
    }
}

/// Names and texts as an object; a name that stands more than once has a list.
fn named(pairs: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Value {
    let mut object = Map::new();
    for (name, value) in pairs {
        let value = Value::from(String::from_utf8_lossy(&value).into_owned());
        let place = object.entry(String::from_utf8_lossy(&name)).or_insert(Value::Null);
        *place = match place.take() {
            Value::Null => value,
            Value::Array(mut list) => {
                list.push(value);
                Value::Array(list)
            }
            first @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                Value::Array(vec![first, value])
            }
        };
    }
    Value::Object(object)
}
