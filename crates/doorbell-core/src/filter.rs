//! Which events an endpoint wants by what is in them: the family of filters that Hookdeck, Outpost and Convoy share.
//!
//! A filter is a JSON object whose keys say where to look: `body`, `headers`, `query`, `path`, `method`, `event_type`,
//! `channels`. Below them stands what the value must be:
//!
//! | condition | holds when |
//! |---|---|
//! | `5`, `"a"`, `true`, `null` | the value equals it, or is an array that contains it |
//! | `{"a": …, "b": …}` | the value is an object whose fields fit, or an array with an element that does |
//! | `["a", {…}]` | the value is an array, and each condition fits one of its elements |
//! | `{"$eq": x}` `{"$neq": x}` | the value is (is not) exactly `x`, arrays and objects as a whole |
//! | `$gt $gte $lt $lte` | a number against a number, or a text against a text (by code point) |
//! | `{"$in": [x, y]}` | the value is one of them, or an array with one of them in it |
//! | `{"$in": "x"}` | the value is a text with `x` in it, or an array with the element `x` |
//! | `$nin` | the opposite of `$in` |
//! | `$startsWith $endsWith` | of a text |
//! | `{"$exist": true}` | there is a value (`null` counts) |
//! | `{"$or": […]}` `{"$and": […]}` `{"$not": …}` | as they say; at any level, the topmost too |
//!
//! Several keys in one object must all hold. A value that is missing fits nothing; `$neq`, `$nin` and `$not` are the exact
//! opposites of what they deny, so they hold then. Types are strict: `"5"` is not `5`, and headers and query values are
//! texts. `body` is looked into when it is JSON, or a urlencoded form (then an object of texts, repeated names as arrays);
//! conditions on other bodies (XML, multipart, binary), and on bodies over [`limits::FILTER_BODY`], see no value.
//!
//! This module uses `serde_json` as a parser into plain values, nothing of serde is derived here: the filter language
//! *is* JSON, and comparing whole values by it needs a tree. No tree is built for endpoints without a filter.

use crate::event::Event;
use crate::limits;
use serde_json::{Map, Value};
use std::cell::OnceCell;
use std::cmp::Ordering;
use webhook_signatures::form;

/// A filter that was understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Test);

impl Filter {
    /// Reads a filter from its JSON text.
    ///
    /// # Errors
    /// [`FilterError`], with the place of the fault and what would be right.
    pub fn parse(text: &str) -> Result<Self, FilterError> {
        if text.len() > limits::FILTER {
            return Err(fault("", format!("the filter is longer than {} bytes", limits::FILTER)));
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| fault("", format!("the filter is not JSON: {error}")))?;
        root(&value, "", 0).map(Self)
    }

    /// Whether the event is wanted.
    #[must_use]
    pub fn holds(&self, document: &Document<'_>) -> bool {
        self.0.holds(document, None)
    }
}

/// What is wrong with a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", if path.is_empty() { String::new() } else { format!("at {path}: ") })]
pub struct FilterError {
    /// Where, such as `$or[1].body.amount.$gt`.
    pub path: String,
    /// What is wrong and what would be right.
    pub what: String,
}

fn fault(path: &str, what: impl Into<String>) -> FilterError {
    FilterError { path: path.to_owned(), what: what.into() }
}

/// A part of an event that filters look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Body,
    Headers,
    Query,
    Path,
    Method,
    EventType,
    Channels,
}

const PARTS: [(&str, Part); 7] = [
    ("body", Part::Body),
    ("headers", Part::Headers),
    ("query", Part::Query),
    ("path", Part::Path),
    ("method", Part::Method),
    ("event_type", Part::EventType),
    ("channels", Part::Channels),
];

#[derive(Debug, Clone, PartialEq)]
enum Test {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    /// Only at the top: the test is about this part of the event.
    Part(Part, Box<Self>),
    /// A scalar: equal, or contained.
    Scalar(Value),
    /// An object's fields: all fit.
    Fields(Vec<(String, Self)>),
    /// An array: each fits some element.
    Contains(Vec<Self>),
    Equal(Value),
    Compare(Order, Value),
    OneOf(Vec<Value>),
    Within(Value),
    StartsWith(String),
    EndsWith(String),
    Exist,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

impl Order {
    const fn accepts(self, ordering: Ordering) -> bool {
        match self {
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
        }
    }
}

/// The topmost object: parts of the event, and `$or`, `$and`, `$not` over more of the same.
fn root(value: &Value, path: &str, depth: usize) -> Result<Test, FilterError> {
    let Value::Object(fields) = value else {
        return Err(fault(
            path,
            "write an object such as {\"body\": {\"type\": \"invoice.paid\"}}",
        ));
    };
    let mut tests = Vec::with_capacity(fields.len());
    for (key, value) in fields {
        let path = join(path, key);
        tests.push(match PARTS.iter().find(|(name, _)| name == key) {
            Some((_, part)) => Test::Part(*part, Box::new(part_test(*part, value, &path)?)),
            None => match logic(key, value, &path, depth, root)? {
                Some(test) => test,
                None => return Err(fault(&path, "events have no such part: use body, headers, query, path, method, event_type or channels, or $or, $and, $not")),
            },
        });
    }
    Ok(Test::All(tests))
}

fn part_test(part: Part, value: &Value, path: &str) -> Result<Test, FilterError> {
    let mut test = condition(value, path, 0)?;
    if part == Part::Headers {
        lower_names(&mut test);
    }
    Ok(test)
}

/// Header names are compared in lower case.
fn lower_names(test: &mut Test) {
    match test {
        Test::Fields(fields) => fields.iter_mut().for_each(|(name, _)| name.make_ascii_lowercase()),
        Test::All(tests) | Test::Any(tests) => tests.iter_mut().for_each(lower_names),
        Test::Not(test) => lower_names(test),
        Test::Part(..)
        | Test::Scalar(_)
        | Test::Contains(_)
        | Test::Equal(_)
        | Test::Compare(..)
        | Test::OneOf(_)
        | Test::Within(_)
        | Test::StartsWith(_)
        | Test::EndsWith(_)
        | Test::Exist => {}
    }
}

/// What a value must be.
fn condition(value: &Value, path: &str, depth: usize) -> Result<Test, FilterError> {
    if depth > limits::FILTER_DEPTH {
        return Err(fault(path, format!("nested deeper than {} levels", limits::FILTER_DEPTH)));
    }
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Ok(Test::Scalar(value.clone()))
        }
        Value::Array(list) => conditions(list, path, depth, condition).map(Test::Contains),
        Value::Object(fields) => object(fields, path, depth),
    }
}

fn object(object: &Map<String, Value>, path: &str, depth: usize) -> Result<Test, FilterError> {
    let (mut tests, mut fields) = (Vec::new(), Vec::new());
    for (key, value) in object {
        let path = join(path, key);
        if !key.starts_with('$') {
            fields.push((key.clone(), condition(value, &path, depth + 1)?));
        } else if let Some(test) = logic(key, value, &path, depth, condition)? {
            tests.push(test);
        } else {
            tests.push(operator(key, value, &path)?);
        }
    }
    if !fields.is_empty() {
        tests.push(Test::Fields(fields));
    }
    Ok(Test::All(tests))
}

type Read = fn(&Value, &str, usize) -> Result<Test, FilterError>;

fn conditions(
    list: &[Value],
    path: &str,
    depth: usize,
    read: Read,
) -> Result<Vec<Test>, FilterError> {
    list.iter()
        .enumerate()
        .map(|(at, value)| read(value, &format!("{path}[{at}]"), depth + 1))
        .collect()
}

/// `$or`, `$and` and `$not`; `None` for another key.
fn logic(
    key: &str,
    value: &Value,
    path: &str,
    depth: usize,
    read: Read,
) -> Result<Option<Test>, FilterError> {
    if depth > limits::FILTER_DEPTH {
        return Err(fault(path, format!("nested deeper than {} levels", limits::FILTER_DEPTH)));
    }
    match (key, value) {
        ("$not", inner) => Ok(Some(Test::Not(Box::new(read(inner, path, depth + 1)?)))),
        ("$or" | "$and", Value::Array(list)) if !list.is_empty() => {
            let tests = conditions(list, path, depth, read)?;
            Ok(Some(if key == "$or" { Test::Any(tests) } else { Test::All(tests) }))
        }
        ("$or" | "$and", _) => Err(fault(path, "needs a list of conditions, at least one")),
        _ => Ok(None),
    }
}

fn operator(key: &str, value: &Value, path: &str) -> Result<Test, FilterError> {
    let not = |test: Test| Test::Not(Box::new(test));
    match key {
        "$eq" => Ok(Test::Equal(value.clone())),
        "$neq" => Ok(not(Test::Equal(value.clone()))),
        "$gt" => compare(Order::Greater, value, path),
        "$gte" => compare(Order::GreaterOrEqual, value, path),
        "$lt" => compare(Order::Less, value, path),
        "$lte" => compare(Order::LessOrEqual, value, path),
        "$in" => among(value, path),
        "$nin" => among(value, path).map(not),
        "$startsWith" => text(value, path).map(Test::StartsWith),
        "$endsWith" => text(value, path).map(Test::EndsWith),
        "$exist" => match value.as_bool() {
            Some(true) => Ok(Test::Exist),
            Some(false) => Ok(not(Test::Exist)),
            None => Err(fault(path, "needs true or false")),
        },
        _ => Err(fault(
            path,
            "no such operator: use $eq, $neq, $gt, $gte, $lt, $lte, $in, $nin, $startsWith, $endsWith, $exist, $or, $and or $not",
        )),
    }
}

fn compare(order: Order, value: &Value, path: &str) -> Result<Test, FilterError> {
    if value.is_number() || value.is_string() {
        Ok(Test::Compare(order, value.clone()))
    } else {
        Err(fault(path, "needs a number or a text"))
    }
}

fn among(value: &Value, path: &str) -> Result<Test, FilterError> {
    match value {
        Value::Array(list) => Ok(Test::OneOf(list.clone())),
        Value::Object(_) => Err(fault(path, "needs a list, or a single value")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Ok(Test::Within(value.clone()))
        }
    }
}

fn text(value: &Value, path: &str) -> Result<String, FilterError> {
    value.as_str().map(str::to_owned).ok_or_else(|| fault(path, "needs a text"))
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

impl Test {
    fn holds(&self, document: &Document<'_>, value: Option<&Value>) -> bool {
        match self {
            Self::All(tests) => tests.iter().all(|test| test.holds(document, value)),
            Self::Any(tests) => tests.iter().any(|test| test.holds(document, value)),
            Self::Not(test) => !test.holds(document, value),
            Self::Part(part, test) => test.holds(document, document.part(*part)),
            Self::Fields(fields) => value.is_some_and(|value| fit(fields, document, value)),
            Self::Contains(tests) => value.and_then(Value::as_array).is_some_and(|list| {
                tests.iter().all(|test| list.iter().any(|one| test.holds(document, Some(one))))
            }),
            Self::Exist => value.is_some(),
            Self::Scalar(_)
            | Self::Equal(_)
            | Self::Compare(..)
            | Self::OneOf(_)
            | Self::Within(_)
            | Self::StartsWith(_)
            | Self::EndsWith(_) => value.is_some_and(|value| self.fits(value)),
        }
    }

    /// The tests of a single value, without looking further.
    fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Scalar(wanted) => same_or_contained(value, wanted),
            Self::Equal(wanted) => same(value, wanted),
            Self::Compare(order, bound) => ordering(value, bound).is_some_and(|o| order.accepts(o)),
            Self::OneOf(list) => list.iter().any(|wanted| same_or_contained(value, wanted)),
            Self::Within(wanted) => match (value, wanted) {
                (Value::String(text), Value::String(part)) => text.contains(part.as_str()),
                _ => same_or_contained(value, wanted),
            },
            Self::StartsWith(head) => value.as_str().is_some_and(|text| text.starts_with(head)),
            Self::EndsWith(tail) => value.as_str().is_some_and(|text| text.ends_with(tail)),
            Self::All(_)
            | Self::Any(_)
            | Self::Not(_)
            | Self::Part(..)
            | Self::Fields(_)
            | Self::Contains(_)
            | Self::Exist => false,
        }
    }
}

/// All fields fit the object, or one of the array's elements.
fn fit(fields: &[(String, Test)], document: &Document<'_>, value: &Value) -> bool {
    match value {
        Value::Array(list) => list.iter().any(|one| fit(fields, document, one)),
        Value::Object(object) => {
            fields.iter().all(|(name, test)| test.holds(document, object.get(name)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn same_or_contained(value: &Value, wanted: &Value) -> bool {
    same(value, wanted)
        || value.as_array().is_some_and(|list| list.iter().any(|one| same(one, wanted)))
}

/// Equal as JSON means it: `1` and `1.0` are one number, and the order of an object's fields is nothing.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => ordering(a, b) == Some(Ordering::Equal),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Of two numbers or two texts; `None` for anything else.
fn ordering(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => match (a.as_i128(), b.as_i128()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
        },
        _ => None,
    }
}

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

    fn part(&self, part: Part) -> Option<&Value> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Origin;
    use crate::id::{EventId, TenantId};
    use crate::name::EventType;
    use crate::request::{Headers, Request};
    use crate::time::Time;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn event(body: &str, content_type: &str) -> Event {
        let headers: Headers =
            [("Content-Type", content_type), ("X-Shop", "a"), ("x-shop", "b"), ("x-one", "1")]
                .map(|(n, v)| (n, Bytes::copy_from_slice(v.as_bytes())))
                .into_iter()
                .collect();
        Event {
            id: EventId::from_bytes([0; 16]),
            tenant: TenantId::DEFAULT,
            at: Time::EPOCH,
            origin: Origin::Api,
            event_type: Some(EventType::parse("invoice.paid").unwrap()),
            dedupe_key: None,
            channels: vec!["eu".to_owned(), "vip".to_owned()],
            request: Request {
                method: "POST".to_owned(),
                path: "/a/b".to_owned(),
                query: Some("q=1&q=2&r=x%20y".to_owned()),
                headers,
                body: Bytes::copy_from_slice(body.as_bytes()),
                peer: None,
            },
        }
    }

    fn holds(filter: &str, event: &Event) -> bool {
        Filter::parse(filter)
            .unwrap_or_else(|error| panic!("{filter}: {error}"))
            .holds(&Document::new(event))
    }

    const INVOICE: &str = r#"{"type":"invoice.paid","amount":250,"rate":0.5,"big":9007199254740993,"live":true,"note":null,
        "tags":["new","eu"],"lines":[{"sku":"a","n":1},{"sku":"b","n":5}],"customer":{"name":"Ada","vip":false}}"#;

    const CONDITIONS: &[(&str, bool)] = &[
        (r#"{"type":"invoice.paid"}"#, true),
        (r#"{"type":"invoice"}"#, false),
        (r#"{"amount":250}"#, true),
        (r#"{"amount":250.0}"#, true),
        (r#"{"amount":"250"}"#, false),
        (r#"{"note":null}"#, true),
        (r#"{"none":null}"#, false),
        (r#"{"customer":{"name":"Ada"}}"#, true),
        (r#"{"customer":{"name":"Ada","vip":true}}"#, false),
        (r#"{"customer":"Ada"}"#, false),
        (r#"{"type":{"name":"x"}}"#, false),
        (r#"{}"#, true),
        // arrays
        (r#"{"tags":"eu"}"#, true),
        (r#"{"tags":"us"}"#, false),
        (r#"{"tags":["eu","new"]}"#, true),
        (r#"{"tags":["eu","us"]}"#, false),
        (r#"{"lines":{"sku":"b"}}"#, true),
        (r#"{"lines":{"sku":"a","n":5}}"#, false),
        (r#"{"lines":[{"sku":"a"},{"n":{"$gt":4}}]}"#, true),
        (r#"{"type":["invoice.paid"]}"#, false),
        (r#"{"tags":[{"$startsWith":"n"}]}"#, true),
        // operators
        (r#"{"amount":{"$eq":250}}"#, true),
        (r#"{"tags":{"$eq":["new","eu"]}}"#, true),
        (r#"{"tags":{"$eq":"eu"}}"#, false),
        (r#"{"customer":{"$eq":{"vip":false,"name":"Ada"}}}"#, true),
        (r#"{"amount":{"$neq":250}}"#, false),
        (r#"{"none":{"$neq":1}}"#, true),
        (r#"{"amount":{"$gt":249.5,"$lt":251}}"#, true),
        (r#"{"amount":{"$gt":250}}"#, false),
        (r#"{"amount":{"$gte":250}}"#, true),
        (r#"{"amount":{"$lte":250}}"#, true),
        (r#"{"amount":{"$lt":250}}"#, false),
        (r#"{"type":{"$gt":"invoice"}}"#, true),
        (r#"{"type":{"$gt":1}}"#, false),
        (r#"{"big":{"$gt":9007199254740992}}"#, true),
        (r#"{"big":9007199254740992}"#, false),
        (r#"{"rate":{"$lt":1}}"#, true),
        (r#"{"tags":{"$gt":0}}"#, false),
        (r#"{"amount":{"$in":[1,250]}}"#, true),
        (r#"{"amount":{"$nin":[1,250]}}"#, false),
        (r#"{"type":{"$in":"paid"}}"#, true),
        (r#"{"tags":{"$in":"eu"}}"#, true),
        (r#"{"tags":{"$in":"e"}}"#, false),
        (r#"{"tags":{"$in":["us","eu"]}}"#, true),
        (r#"{"tags":{"$nin":"eu"}}"#, false),
        (r#"{"none":{"$nin":[1]}}"#, true),
        (r#"{"none":{"$in":[null]}}"#, false),
        (r#"{"type":{"$startsWith":"invoice.","$endsWith":"paid"}}"#, true),
        (r#"{"amount":{"$startsWith":"2"}}"#, false),
        (r#"{"note":{"$exist":true}}"#, true),
        (r#"{"none":{"$exist":true}}"#, false),
        (r#"{"none":{"$exist":false}}"#, true),
        (r#"{"customer":{"$exist":true,"name":"Ada"}}"#, true),
        // logic at any level
        (r#"{"$or":[{"amount":1},{"live":true}]}"#, true),
        (r#"{"$or":[{"amount":1},{"live":false}]}"#, false),
        (r#"{"amount":{"$or":[1,250]}}"#, true),
        (r#"{"$and":[{"amount":250},{"live":false}]}"#, false),
        (r#"{"customer":{"$not":{"name":"Ada"}}}"#, false),
        (r#"{"none":{"$not":1}}"#, true),
        (r#"{"$not":{"amount":1},"live":true}"#, true),
        (r#"{"lines":{"n":{"$not":{"$lt":5}}}}"#, true),
    ];

    #[test]
    fn conditions_on_the_body() {
        let event = event(INVOICE, "application/json");
        for (condition, expected) in CONDITIONS {
            let expected = *expected;
            assert_eq!(
                holds(&format!(r#"{{"body":{condition}}}"#), &event),
                expected,
                "{condition}"
            );
            assert_eq!(
                holds(&format!(r#"{{"$not":{{"body":{condition}}}}}"#), &event),
                !expected,
                "not {condition}"
            );
        }
    }

    #[test]
    fn the_other_parts() {
        let event = event(INVOICE, "application/json");
        for (filter, expected) in [
            ("{}", true),
            (r#"{"headers":{"X-Shop":"b","x-one":"1"}}"#, true),
            (r#"{"headers":{"x-one":1}}"#, false),
            (r#"{"headers":{"$or":[{"X-ONE":"1"}]}}"#, true),
            (r#"{"query":{"q":["1","2"],"r":"x y"}}"#, true),
            (r#"{"query":{"q":"3"}}"#, false),
            (r#"{"path":"/a/b"}"#, true),
            (r#"{"path":{"$startsWith":"/a"}}"#, true),
            (r#"{"method":"POST"}"#, true),
            (r#"{"event_type":{"$endsWith":".paid"}}"#, true),
            (r#"{"channels":"vip"}"#, true),
            (r#"{"channels":["vip","us"]}"#, false),
            (r#"{"$or":[{"path":"/no"},{"body":{"amount":250}}],"method":"POST"}"#, true),
            (r#"{"$not":{"$and":[{"path":"/a/b"},{"method":"GET"}]}}"#, true),
        ] {
            assert_eq!(holds(filter, &event), expected, "{filter}");
        }
    }

    #[test]
    fn other_bodies() {
        let form = event("a=1&b=x+y&a=2", "Application/X-WWW-Form-Urlencoded; charset=utf-8");
        assert!(
            holds(r#"{"body":{"a":["1","2"],"b":"x y"}}"#, &form)
                && !holds(r#"{"body":{"a":1}}"#, &form)
        );
        for other in ["<a>1</a>", "", "{\"a\":1", "\u{feff}{}"] {
            let event = event(other, "text/xml");
            assert!(
                !holds(r#"{"body":{"a":1}}"#, &event)
                    && holds(r#"{"body":{"$exist":false}}"#, &event),
                "{other}"
            );
        }
        assert!(holds(r#"{"body":{"a":1}}"#, &event("{\"a\":1}", "text/plain")));
        assert!(
            holds(r#"{"body":5}"#, &event("5", "application/json"))
                && holds(r#"{"body":{"a":1}}"#, &event("[{\"a\":1}]", ""))
        );
        let large = format!("{{\"a\":1,\"b\":\"{}\"}}", "x".repeat(limits::FILTER_BODY));
        assert!(!holds(r#"{"body":{"a":1}}"#, &event(&large, "application/json")));
    }

    #[test]
    fn faults_are_told_with_their_place() {
        for (filter, sentence) in [
            ("{", "the filter is not JSON: EOF while parsing an object at line 1 column 1"),
            ("[]", "write an object such as {\"body\": {\"type\": \"invoice.paid\"}}"),
            (
                r#"{"type":"x"}"#,
                "at type: events have no such part: use body, headers, query, path, method, event_type or channels, or $or, $and, $not",
            ),
            (
                r#"{"$or":[{"body":{"a":{"$gt":[1]}}}]}"#,
                "at $or[0].body.a.$gt: needs a number or a text",
            ),
            (r#"{"body":{"$or":{}}}"#, "at body.$or: needs a list of conditions, at least one"),
            (r#"{"body":{"$and":[]}}"#, "at body.$and: needs a list of conditions, at least one"),
            (r#"{"body":{"a":{"$startsWith":1}}}"#, "at body.a.$startsWith: needs a text"),
            (r#"{"body":{"a":{"$exist":"yes"}}}"#, "at body.a.$exist: needs true or false"),
            (r#"{"body":{"a":{"$in":{}}}}"#, "at body.a.$in: needs a list, or a single value"),
            (
                r#"{"body":{"$ne":1}}"#,
                "at body.$ne: no such operator: use $eq, $neq, $gt, $gte, $lt, $lte, $in, $nin, $startsWith, $endsWith, $exist, $or, $and or $not",
            ),
            (
                r#"{"$or":["x"]}"#,
                "at $or[0]: write an object such as {\"body\": {\"type\": \"invoice.paid\"}}",
            ),
        ] {
            assert_eq!(Filter::parse(filter).unwrap_err().to_string(), sentence, "{filter}");
        }
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let deep = |n: usize| format!(r#"{{"body":{}1{}}}"#, r#"{"a":"#.repeat(n), "}".repeat(n));
        assert!(
            Filter::parse(&deep(limits::FILTER_DEPTH)).is_ok()
                && Filter::parse(&deep(limits::FILTER_DEPTH + 1)).is_err()
        );
        let not = |n: usize| format!("{}{{}}{}", r#"{"$not":"#.repeat(n), "}".repeat(n));
        assert!(
            Filter::parse(&not(limits::FILTER_DEPTH)).is_ok()
                && Filter::parse(&not(limits::FILTER_DEPTH + 2)).is_err()
        );
        let long = |n: usize| format!(r#"{{"path":"{}"}}"#, "x".repeat(n - 11));
        assert!(
            Filter::parse(&long(limits::FILTER)).is_ok()
                && Filter::parse(&long(limits::FILTER + 1)).is_err()
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            prop::sample::select(vec!["a", "b", "$eq", "$gt", "$in", ""]).prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let key = prop::sample::select(vec![
                "a",
                "b",
                "body",
                "$or",
                "$and",
                "$not",
                "$eq",
                "$neq",
                "$gt",
                "$in",
                "$nin",
                "$exist",
                "$startsWith",
            ]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key.prop_map(str::to_owned), inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Any filter is read or refused, any document judged, and `$not` is the opposite.
        #[test]
        fn not_is_the_opposite(condition in any_json(), body in any_json()) {
            let event = event(&body.to_string(), "application/json");
            let whole = |inner: &Value| Filter::parse(&serde_json::json!({ "body": inner }).to_string());
            if let (Ok(filter), Ok(not)) = (whole(&condition), whole(&serde_json::json!({ "$not": condition }))) {
                prop_assert_ne!(filter.holds(&Document::new(&event)), not.holds(&Document::new(&event)));
            }
        }

        /// A body fits itself, taken as a whole.
        #[test]
        fn equal_to_itself(body in any_json()) {
            let event = event(&body.to_string(), "application/json");
            let filter = serde_json::json!({ "body": { "$eq": body } }).to_string();
            prop_assert!(holds(&filter, &event));
        }

        #[test]
        fn any_text_is_survived(text in "\\PC*") {
            prop_assert!(Filter::parse(&text).map_or_else(|error| !error.to_string().is_empty(), |_| true));
        }
    }
}
