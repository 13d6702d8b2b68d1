//! The generated documents that are committed: the OpenAPI document and the pages of the problems. `UPDATE_EXPECT=1`
//! writes them anew.

use doorbell_wire::api::v1::openapi;
use doorbell_wire::api::v1::operation::{Input, Operation, Output};
use doorbell_wire::problem::{self, Code};
use expect_test::expect_file;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

fn errors_folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors")
}

#[test]
fn the_openapi_document_is_fresh() {
    expect_file!["../../../../docs/openapi.json"].assert_eq(&openapi::text());
}

#[test]
fn the_pages_of_the_problems_are_fresh() {
    let mut names = BTreeSet::new();
    for (name, text) in problem::pages() {
        expect_file![errors_folder().join(&name)].assert_eq(&text);
        names.insert(name);
    }
    let there = std::fs::read_dir(errors_folder()).unwrap();
    let there = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, there, "a page without a code, or the other way round");
}

#[test]
fn codes_are_told_apart() {
    let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.word()).collect();
    assert_eq!(words.len(), Code::ALL.len());
    for code in Code::ALL {
        assert!((400..600).contains(&code.status()), "{}", code.word());
        assert!(code.word().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    }
}

#[test]
fn each_operation_has_its_own_place_in_the_document() {
    let document: Value = serde_json::from_str(&openapi::text()).unwrap();
    let mut ids = BTreeSet::new();
    for operation in Operation::ALL {
        let spec = operation.spec();
        let method = spec.method.word().to_lowercase();
        let written = &document["paths"][spec.path][&method];
        assert_eq!(written["operationId"], spec.id, "{} {}", method, spec.path);
        assert!(ids.insert(spec.id), "{} twice", spec.id);
        assert!(!written["responses"][spec.statuses[0].to_string()].is_null());
        assert!(!written["responses"]["401"].is_null());
        assert_eq!(written["requestBody"].is_null(), matches!(spec.input, Input::Nothing));
        let of_path =
            written["parameters"].as_array().unwrap().iter().filter(|p| p["in"] == "path");
        assert_eq!(of_path.count(), spec.path_names().count());
        if let Some(query) = spec.query {
            assert!(!query(&mut schemars::SchemaGenerator::default()).as_value().is_null());
            assert!(written["parameters"].as_array().unwrap().iter().any(|p| p["in"] == "query"));
        }
        assert_eq!(matches!(spec.output, Output::Nothing), spec.statuses == [204]);
    }
}

/// Every `$ref` of the document leads somewhere.
#[test]
fn references_hold() {
    fn check(value: &Value, document: &Value, seen: &mut usize) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(path)) = members.get("$ref") {
                    let pointer = path.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{path} leads nowhere");
                    *seen += 1;
                }
                members.values().for_each(|member| check(member, document, seen));
            }
            Value::Array(items) => items.iter().for_each(|item| check(item, document, seen)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document: Value = serde_json::from_str(&openapi::text()).unwrap();
    let mut seen = 0;
    check(&document, &document, &mut seen);
    assert!(seen > 100, "only {seen} references");
}
