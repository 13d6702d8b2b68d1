//! The OpenAPI 3.1 document, made from the table of operations and the types of this version.

use super::operation::{Input, Operation, Output, Spec};
use crate::problem::{self, Code, Problem};
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The document, as JSON text with two spaces of indentation and a line's end.
#[must_use]
pub fn text() -> String {
    format!("{:#}\n", document())
}

fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut schemas = settings.into_generator();
    let problem = schemas.subschema_for::<Problem>();
    let mut paths = Map::new();
    for operation in Operation::ALL {
        let spec = operation.spec();
        let path = paths.entry(spec.path).or_insert_with(|| json!({}));
        if let Value::Object(methods) = path {
            let method = spec.method.word().to_ascii_lowercase();
            methods.insert(method, described(&spec, &mut schemas));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Doorbell",
            "version": "1",
            "summary": "The webhook gateway's own API",
            "description": "Errors are problem+json (RFC 9457). Lists are pages: give `next_cursor` back as `cursor`.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "parameters": {"tenant": tenant()},
            "responses": problem_answers(&problem),
            "schemas": schemas.take_definitions(true),
        },
    })
}

fn tenant() -> Value {
    json!({
        "name": "doorbell-tenant",
        "in": "header",
        "required": false,
        "description": "For the operator: the id or uid of the tenant that is meant; `default` unless said.",
        "schema": {"type": "string"},
    })
}

fn described(spec: &Spec, schemas: &mut SchemaGenerator) -> Value {
    let mut parameters = Vec::new();
    parameters.extend(spec.scope.map(|_| json!({"$ref": "#/components/parameters/tenant"})));
    parameters.extend(spec.path_names().map(path_parameter));
    parameters.extend(
        spec.query
            .map(|query| query(schemas))
            .map_or_else(Vec::new, |query| query_parameters(&query, schemas)),
    );
    if matches!(spec.input, Input::JsonOrRaw(_)) {
        parameters.extend(publish_headers());
    }
    let mut operation = json!({
        "operationId": spec.id,
        "tags": [spec.path.split('/').find(|part| !part.is_empty() && *part != "v1").unwrap_or("v1")],
        "summary": spec.summary,
        "description": format!("{}{}{}", spec.note, if spec.note.is_empty() { "" } else { " " }, needs(spec)),
        "parameters": parameters,
        "responses": responses(spec, schemas),
    });
    if let Value::Object(members) = &mut operation {
        let body = request_body(spec, schemas).map(|body| ("requestBody".to_owned(), body));
        members.extend(body);
        members.extend(spec.scope.is_none().then(|| ("security".to_owned(), json!([]))));
    }
    operation
}

fn needs(spec: &Spec) -> String {
    let scope = spec.scope.map(doorbell_core::configuration::Scope::from);
    scope.map_or_else(
        || "Needs no token.".to_owned(),
        |scope| format!("Needs the scope `{}`.", scope.word()),
    )
}

fn path_parameter(name: &str) -> Value {
    let what = match name {
        "source" | "endpoint" => "Its id or name.",
        "tenant" => "Its id or uid.",
        _ => "Its id.",
    };
    json!({"name": name, "in": "path", "required": true, "description": what, "schema": {"type": "string"}})
}

fn publish_headers() -> [Value; 3] {
    let header = |name: &str, what: &str| json!({"name": name, "in": "header", "required": false, "description": what, "schema": {"type": "string"}});
    [
        header("idempotency-key", "What tells this event from a repetition, at most 512 bytes."),
        header("doorbell-event-type", "The event's type; the body is then published as it is."),
        header("doorbell-channels", "Extra routing words, separated by commas."),
    ]
}

/// The members of a query's schema as parameters.
fn query_parameters(query: &Schema, schemas: &SchemaGenerator) -> Vec<Value> {
    let name = query.get("$ref").and_then(Value::as_str).and_then(|path| path.rsplit('/').next());
    let schema = name.and_then(|name| schemas.definitions().get(name));
    let members = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let what = schema.as_object_mut().and_then(|members| members.remove("description"));
        json!({"name": name, "in": "query", "required": false, "description": what, "schema": not_null(schema)})
    };
    members.map_or_else(Vec::new, |members| members.iter().map(parameter).collect())
}

/// A parameter is missing or there, never null.
fn not_null(mut schema: Value) -> Value {
    if let Some(members) = schema.as_object_mut() {
        members.remove("default");
        if let Some(Value::Array(types)) = members.get("type") {
            let first = types.iter().find(|one| **one != "null").cloned();
            members.insert("type".to_owned(), first.unwrap_or(Value::Null));
        }
        if let Some(Value::Array(any)) = members.get("anyOf") {
            let first = any.iter().find(|one| **one != json!({"type": "null"})).cloned();
            return first.unwrap_or(Value::Null);
        }
    }
    schema
}

fn request_body(spec: &Spec, schemas: &mut SchemaGenerator) -> Option<Value> {
    let json = |schema: Value| json!({"application/json": {"schema": schema}});
    let (required, content) = match spec.input {
        Input::Nothing => return None,
        Input::Json(shape) => (true, json(shape(schemas).to_value())),
        Input::OptionalJson(shape) => (false, json(shape(schemas).to_value())),
        Input::Patch(shape) => {
            let whole = shape(schemas);
            let name = part_of(&whole, schemas);
            let part = json!({"$ref": format!("#/components/schemas/{name}")});
            let part = json!({"schema": part});
            (true, json!({"application/json": &part, "application/merge-patch+json": &part}))
        }
        Input::JsonOrRaw(shape) => {
            let whole = json!({"schema": shape(schemas)});
            (true, json!({"application/json": whole, "*/*": {"schema": {}}}))
        }
    };
    Some(json!({"required": required, "content": content}))
}

/// Defines the schema of any part of what `whole` refers to: nothing is required, and `null` removes. Returns its name.
fn part_of(whole: &Schema, schemas: &mut SchemaGenerator) -> String {
    let path = whole.get("$ref").and_then(Value::as_str).unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default().to_owned();
    let part_name = format!("{}Patch", name.trim_end_matches("In"));
    let Some(mut part) = schemas.definitions().get(&name).cloned() else { return part_name };
    if let Some(members) = part.as_object_mut() {
        members.remove("required");
        members.insert(
            "description".to_owned(),
            json!(format!("Any part of {name} (RFC 7396): what is missing stays, null removes.")),
        );
        if let Some(Value::Object(properties)) = members.get_mut("properties") {
            properties.values_mut().for_each(or_null);
        }
    }
    schemas.definitions_mut().insert(part_name.clone(), part);
    part_name
}

/// What is missing keeps its value, so there is no default; `null` removes.
fn or_null(schema: &mut Value) {
    if let Value::Object(members) = schema {
        members.remove("default");
    }
    let null = json!("null");
    let listed = |list: Option<&Value>, one: &Value| {
        list.and_then(Value::as_array).is_some_and(|list| list.contains(one))
    };
    let nullable =
        listed(schema.get("type"), &null) || listed(schema.get("anyOf"), &json!({"type": "null"}));
    if !nullable {
        *schema = json!({"anyOf": [schema.take(), {"type": "null"}]});
    }
}

fn responses(spec: &Spec, schemas: &mut SchemaGenerator) -> Value {
    let mut all = Map::new();
    for status in spec.statuses {
        all.insert(status.to_string(), success(spec, *status, schemas));
    }
    for (status, codes) in problems(spec) {
        let path = format!("#/components/responses/{}", answer_name(&codes));
        all.insert(status.to_string(), json!({"$ref": path}));
    }
    Value::Object(all)
}

fn answer_name(codes: &[Code]) -> String {
    codes.iter().map(|code| code.word()).collect::<Vec<_>>().join("_or_")
}

/// Every answer that an operation refers to, by its name.
fn problem_answers(problem: &Schema) -> Map<String, Value> {
    let all = Operation::ALL.iter().flat_map(|operation| problems(&operation.spec()));
    let answer = |(_, codes): (u16, Vec<Code>)| {
        let words = codes.iter().map(|code| format!("`{}`: {}", code.word(), code.title()));
        let answer = json!({
            "description": words.collect::<Vec<_>>().join("; "),
            "content": {problem::MEDIA_TYPE: {"schema": problem}},
        });
        (answer_name(&codes), answer)
    };
    all.map(answer).collect()
}

fn success(spec: &Spec, status: u16, schemas: &mut SchemaGenerator) -> Value {
    let description = match status {
        201 => "It is made.",
        202 => "It is taken in.",
        204 => "It is gone.",
        _ if spec.statuses.len() > 1 => "It was taken in before.",
        _ => "As asked.",
    };
    let content = match spec.output {
        Output::Nothing => return json!({"description": description}),
        Output::Json(shape) => json!({"application/json": {"schema": shape(schemas)}}),
        Output::Lines(shape) => json!({"application/x-ndjson": {"schema": shape(schemas)}}),
        Output::Events(shape) => json!({"text/event-stream": {"schema": shape(schemas)}}),
        Output::Bytes => {
            json!({"text/plain": {"schema": {"type": "string"}}, "application/octet-stream": {"schema": {}}})
        }
        Output::Text(media) => json!({media: {"schema": {"type": "string"}}}),
    };
    json!({"description": description, "content": content})
}

/// The problems of an operation by their status: its own, and those that its shape brings.
fn problems(spec: &Spec) -> Vec<(u16, Vec<Code>)> {
    let mut codes: BTreeSet<Code> = spec.problems.iter().copied().collect();
    codes.extend([Code::TooMany, Code::Internal, Code::Unavailable]);
    if spec.scope.is_some() {
        codes.extend([Code::Unauthorized, Code::Scope, Code::CrossSite, Code::NotFound]);
    }
    if spec.query.is_some() {
        codes.insert(Code::Parameter);
    }
    if !matches!(spec.input, Input::Nothing) {
        codes.extend([
            Code::Malformed,
            Code::Timeout,
            Code::TooLarge,
            Code::Invalid,
            Code::Busy,
            Code::Full,
        ]);
    }
    if matches!(spec.input, Input::Json(_) | Input::OptionalJson(_) | Input::Patch(_)) {
        codes.insert(Code::MediaType);
    }
    let statuses: BTreeSet<u16> = codes.iter().map(|code| code.status()).collect();
    let of = |status: u16| codes.iter().copied().filter(|code| code.status() == status).collect();
    statuses.into_iter().map(|status| (status, of(status))).collect()
}
