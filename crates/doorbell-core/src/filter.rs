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

pub use crate::document::Document;
use crate::document::{PARTS, Part};
use crate::limits;
use serde_json::{Map, Value};
use std::cmp::Ordering;

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
