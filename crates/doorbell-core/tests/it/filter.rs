//! The filter language.

use bytes::Bytes;
use doorbell_core::event::{Event, Origin};
use doorbell_core::filter::Document;
use doorbell_core::filter::Filter;
use doorbell_core::id::{EventId, TenantId};
use doorbell_core::limits;
use doorbell_core::name::EventType;
use doorbell_core::request::{Headers, Request};
use doorbell_core::time::Time;
use proptest::prelude::*;
use serde_json::Value;

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
        assert_eq!(holds(&format!(r#"{{"body":{condition}}}"#), &event), expected, "{condition}");
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
            !holds(r#"{"body":{"a":1}}"#, &event) && holds(r#"{"body":{"$exist":false}}"#, &event),
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
