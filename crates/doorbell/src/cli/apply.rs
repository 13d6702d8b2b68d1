//! `doorbell apply`: sources and endpoints as a file declares them. The server compares and changes; here the file is
//! read, its variables are filled in, and what the server says is brought back to the file's lines.

use super::counted::goes;
use super::show::visible;
use crate::config::{expand_variables, line_of, variable};
use crate::remote::{ApiProblem, Node};
use crate::report::Report;
use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What to make so.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// A TOML file with `sources` and `endpoints`, in the fields of the API; or the same in JSON. ${VARIABLE} in a
    /// value is taken from the environment
    file: PathBuf,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Remove sources and endpoints that the file does not name. Where it has no table of a kind, write `sources = []` or
    /// `endpoints = []` to remove all of it
    #[arg(long)]
    prune: bool,
}

pub(crate) async fn run(asked: &Apply, node: &Node, report: Report) -> Result<()> {
    let text = std::fs::read_to_string(&asked.file)
        .with_context(|| format!("{} cannot be read", asked.file.display()))?;
    let (declared, lines) = declared(&asked.file, &text, variable)?;
    let mut body = declared;
    body.insert("dry_run".to_owned(), asked.dry_run.into());
    body.insert("prune".to_owned(), asked.prune.into());
    let body = Value::Object(body);
    let answer = node.remote()?.post("/v1/apply", body.clone()).await;
    let answer = answer.map_err(|error| match error.downcast::<ApiProblem>() {
        Ok(problem) => anyhow!(in_the_file(&asked.file, &problem, &body, &lines)),
        Err(other) => other,
    })?;
    if report.is_json() {
        report.json(&answer);
    } else {
        show(&answer, asked, report);
    }
    Ok(())
}

/// Lines of the file by JSON pointers.
type Lines = BTreeMap<String, usize>;

/// Reads the file, whatever it is written in, and fills in its variables.
fn declared(
    path: &Path,
    text: &str,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<(Map<String, Value>, Lines)> {
    let (mut whole, lines) = if path.extension().is_some_and(|end| end == "json") {
        let whole = serde_json::from_str(text);
        (whole.with_context(|| format!("{} is no JSON object", path.display()))?, Lines::new())
    } else {
        from_toml(path, text)?
    };
    for name in whole.keys() {
        ensure!(
            matches!(name.as_str(), "sources" | "endpoints"),
            "{}: there is no table {name}: write [[sources]] and [[endpoints]]",
            path.display()
        );
    }
    let mut faults = Vec::new();
    for (name, value) in &mut whole {
        fill_in(&format!("/{name}"), value, &lookup, &mut |pointer, why| {
            faults.push(format!("{}: {why}", place(path, pointer, &lines)));
        });
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n  "));
    Ok((whole, lines))
}

fn from_toml(path: &Path, text: &str) -> Result<(Map<String, Value>, Lines)> {
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        anyhow!("{}, line {line}: {}", path.display(), error.message())
    })?;
    let mut lines = Lines::new();
    let whole = members("", table.get_ref(), text, &mut lines)?;
    Ok((whole, lines))
}

fn members(
    pointer: &str,
    table: &DeTable<'_>,
    text: &str,
    lines: &mut Lines,
) -> Result<Map<String, Value>> {
    let mut object = Map::new();
    for (name, value) in table {
        let place = format!("{pointer}/{}", name.get_ref().replace('~', "~0").replace('/', "~1"));
        lines.insert(place.clone(), line_of(text, name.span().start));
        object.insert(name.get_ref().to_string(), as_json(&place, value, text, lines)?);
    }
    Ok(object)
}

fn as_json(
    pointer: &str,
    value: &Spanned<DeValue<'_>>,
    text: &str,
    lines: &mut Lines,
) -> Result<Value> {
    let line = line_of(text, value.span().start);
    let wrong = |what: &dyn std::fmt::Display| anyhow!("line {line}: {what} is no number here");
    Ok(match value.get_ref() {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            Value::from(read.map_err(|_| wrong(number))?)
        }
        DeValue::Float(number) => {
            Value::from(number.as_str().parse::<f64>().map_err(|_| wrong(number))?)
        }
        DeValue::Boolean(truth) => Value::from(*truth),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(items) => {
            let mut all = Vec::new();
            for (at, item) in items.iter().enumerate() {
                let place = format!("{pointer}/{at}");
                lines.insert(place.clone(), line_of(text, item.span().start));
                all.push(as_json(&place, item, text, lines)?);
            }
            Value::from(all)
        }
        DeValue::Table(table) => Value::from(members(pointer, table, text, lines)?),
    })
}

/// Fills in the variables of every text; names of fields stay as they are, for filters have `$eq` there.
fn fill_in(
    pointer: &str,
    value: &mut Value,
    lookup: &impl Fn(&str) -> Option<String>,
    fault: &mut impl FnMut(&str, String),
) {
    match value {
        Value::String(text) => match expand_variables(text, lookup) {
            Ok(whole) => *text = whole,
            Err(why) => fault(pointer, why),
        },
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                fill_in(&format!("{pointer}/{at}"), item, lookup, fault);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                fill_in(&format!("{pointer}/{name}"), member, lookup, fault);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The file, and the line of the nearest thing around what the pointer names.
fn place(path: &Path, pointer: &str, lines: &Lines) -> String {
    match nearest_line(pointer, lines) {
        Some(line) => format!("{}, line {line}", path.display()),
        None => path.display().to_string(),
    }
}

fn nearest_line(pointer: &str, lines: &Lines) -> Option<usize> {
    let mut around = Some(pointer);
    while let Some(here) = around.filter(|here| !here.is_empty()) {
        if let Some(line) = lines.get(here) {
            return Some(*line);
        }
        around = here.rsplit_once('/').map(|(outer, _)| outer);
    }
    None
}

/// What the server says about the body, said about the file.
fn in_the_file(path: &Path, problem: &ApiProblem, body: &Value, lines: &Lines) -> String {
    if problem.parts.is_empty() {
        return problem.to_string();
    }
    let mut text = format!("{} cannot be applied, and nothing was changed:", path.display());
    let mut parts: Vec<&(String, String)> = problem.parts.iter().collect();
    parts.sort_by_key(|(pointer, _)| nearest_line(pointer, lines));
    for (pointer, detail) in parts {
        let part = named(pointer, body);
        let place = place(path, pointer, lines);
        let _infallible = write!(text, "\n  {place}: {part}: {detail}");
    }
    text
}

/// `/endpoints/0/headers/1` as `endpoint app, headers/1`.
fn named(pointer: &str, body: &Value) -> String {
    let mut parts = pointer.splitn(4, '/').skip(1);
    let (list, at, rest) = (parts.next(), parts.next(), parts.next());
    let (Some(list), Some(at)) = (list, at) else { return "the file".to_owned() };
    let kind = list.trim_end_matches('s');
    let name = body.pointer(&format!("/{list}/{at}/name")).and_then(Value::as_str);
    let number = at.parse::<usize>().map_or(0, |at| at + 1);
    let thing =
        name.map_or_else(|| format!("{kind} number {number}"), |name| format!("{kind} {name}"));
    rest.map_or(thing.clone(), |rest| format!("{thing}, {rest}"))
}

fn show(answer: &Value, asked: &Apply, report: Report) {
    let changes = answer.get("changes").and_then(Value::as_array);
    let changes: Vec<&Value> = changes.into_iter().flatten().collect();
    let text = |change: &Value, name: &str| {
        visible(change.get(name).and_then(Value::as_str).unwrap_or_default())
    };
    let many =
        |action: &str| changes.iter().filter(|change| text(change, "action") == action).count();
    for change in &changes {
        let (sign, note) = match text(change, "action").as_str() {
            "create" => ("+", ""),
            "update" => ("~", ""),
            "delete" => ("-", ""),
            "undeclared" => ("?", "  not declared, left alone"),
            _ => (" ", "  as declared"),
        };
        let waiting = change.get("waiting").and_then(Value::as_u64).map_or_else(String::new, goes);
        let line =
            format!("{sign} {:<8}  {}{note}{waiting}", text(change, "kind"), text(change, "name"));
        report.text(&line);
        for field in change.get("fields").and_then(Value::as_array).into_iter().flatten() {
            report.text(&format!("      {}", difference(field)));
        }
        for warning in change.get("warnings").and_then(Value::as_array).into_iter().flatten() {
            let warning = visible(warning.as_str().unwrap_or_default());
            report.text(&format!("      warning: {warning}"));
        }
        if change.get("secret").is_some() {
            report.text(&format!("      secret  {}   (shown this once)", text(change, "secret")));
        }
    }
    let [made, changed, gone] = ["create", "update", "delete"].map(many);
    let same = many("unchanged");
    let alone = match many("undeclared") {
        0 => String::new(),
        number => format!(", {number} not declared and left alone"),
    };
    if !changes.is_empty() {
        report.text("");
    }
    report.text(&if asked.dry_run {
        format!("a dry run, nothing was done: {made} to make, {changed} to change, {gone} to remove, {same} as declared{alone}")
    } else if made + changed + gone == 0 {
        format!("nothing to do: all is as declared{alone}")
    } else {
        format!("{made} made, {changed} changed, {gone} removed, {same} as declared{alone}")
    });
}

/// `url  "https://a" → "https://b"`; a difference that may not be shown is only told.
fn difference(field: &Value) -> String {
    let name = visible(field.get("name").and_then(Value::as_str).unwrap_or_default());
    let side = |which: &str| field.get(which).cloned().unwrap_or_default();
    let (from, to) = (side("from"), side("to"));
    let is_secret = matches!(name.as_str(), "secret" | "secrets");
    if from == to {
        let what = if is_secret { "replaced" } else { "changed (hidden)" };
        return format!("{name}  {what}");
    }
    let nothing = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let shown = |value: &Value| {
        if value.is_null() { "nothing".to_owned() } else { visible(&value.to_string()) }
    };
    if nothing(&to) {
        return format!("{name}  {} removed: it is not declared", shown(&from));
    }
    let replaced = if is_secret { "replaced: " } else { "" };
    format!("{name}  {replaced}{} → {}", shown(&from), shown(&to))
}

#[cfg(test)]
mod tests {
    use super::super::counted::COUNTED;
    use super::*;
    use serde_json::json;

    const FILE: &str = r#"
[[sources]]
name = "github"
provider = "github"
secrets = ["${SECRET}"]

[[endpoints]]
name = "app"
url = "https://example.com/${PLACE}"
concurrency = 0x10
headers = [{ name = "x-key", value = "$$1" }]
filter = { body = { amount = { "$gt" = 1.5 } } }
"#;

    fn read(text: &str, set: bool) -> Result<(Map<String, Value>, Lines)> {
        let lookup = |_: &str| set.then(|| "filled".to_owned());
        declared(Path::new("doorbell.d/hooks.toml"), text, lookup)
    }

    #[test]
    fn toml_becomes_what_the_api_takes() {
        let (whole, lines) = read(FILE, true).unwrap();
        let wanted = json!({
            "sources": [{"name": "github", "provider": "github", "secrets": ["filled"]}],
            "endpoints": [{
                "name": "app", "url": "https://example.com/filled", "concurrency": 16,
                "headers": [{"name": "x-key", "value": "$1"}],
                "filter": {"body": {"amount": {"$gt": 1.5}}},
            }],
        });
        assert_eq!(Value::Object(whole), wanted);
        assert_eq!((lines["/sources/0"], lines["/endpoints/0/headers/0/value"]), (2, 11));
        let json = declared(Path::new("a.json"), &wanted.to_string(), |_| None).unwrap();
        assert_eq!(Value::Object(json.0), wanted);
    }

    #[test]
    fn faults_name_the_variable_the_file_and_the_line() {
        let why = read(FILE, false).unwrap_err().to_string();
        assert!(why.contains("hooks.toml, line 5: ") && why.contains("SECRET"), "{why}");
        assert!(why.contains("line 9: ") && why.contains("PLACE"), "{why}");
        for (text, part) in [("[[source]]\n", "no table source"), ("\nx = [", "line 2")] {
            let why = read(text, true).unwrap_err().to_string();
            assert!(why.contains(part), "{why}");
        }
    }

    #[test]
    fn what_goes_is_said_in_words() {
        let field = |name: &str, from: Value, to: Value| {
            difference(&json!({"name": name, "from": from, "to": to}))
        };
        assert_eq!(
            field("event_types", json!(["push"]), json!([])),
            "event_types  [\"push\"] removed: it is not declared"
        );
        assert_eq!(
            field("secrets", json!(["…0123"]), json!(["…4567"])),
            "secrets  replaced: [\"…0123\"] → [\"…4567\"]"
        );
        assert_eq!(field("secrets", json!(["…0"]), json!(["…0"])), "secrets  replaced");
        assert_eq!(field("url", json!("a"), json!("b")), "url  \"a\" → \"b\"");
        assert_eq!(field("headers", json!([1]), json!([1])), "headers  changed (hidden)");
        assert!(goes(1).contains("1 delivery") && goes(COUNTED).contains("or more"));
    }

    #[test]
    fn what_the_server_says_is_said_about_the_file() {
        let (whole, lines) = read(FILE, true).unwrap();
        let part = |pointer: &str| (pointer.to_owned(), "is wrong".to_owned());
        let parts = vec![part("/endpoints/0/headers/0"), part("/sources/0/options/x"), part("")];
        let problem = ApiProblem { sentence: String::new(), parts };
        let text = in_the_file(Path::new("f"), &problem, &Value::Object(whole), &lines);
        assert!(text.contains("f, line 11: endpoint app, headers/0: is wrong"), "{text}");
        assert!(text.contains("f, line 2: source github, options/x: is wrong"), "{text}");
        assert!(text.contains("f: the file: is wrong"), "{text}");
    }

    /// The page about private providers: its examples are taken.
    #[test]
    fn the_documented_schemes_can_be_applied() {
        use doorbell_core::endpoint_url::UrlPolicy;
        use doorbell_core::id::{EndpointId, SourceId, TenantId};
        use doorbell_core::time::Time;
        use doorbell_core::verifier::Verifier;
        use doorbell_wire::api::v1::endpoint::{EndpointIn, Gates};
        use doorbell_wire::api::v1::source::SourceIn;
        use doorbell_wire::problem::Faults;
        let page =
            include_str!("../../../../docs/private-providers.md").replace('…', "a secret of ours");
        let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
        let whole: toml::Table = blocks.collect::<String>().parse().unwrap();
        let whole = serde_json::to_value(whole).unwrap();
        let (tenant, now) = (TenantId::DEFAULT, Time::EPOCH);
        let mut seen = 0;
        for source in whole["sources"].as_array().unwrap() {
            let read: SourceIn = serde_json::from_value(source.clone()).unwrap();
            let mut faults = Faults::new();
            let made = read.read(SourceId::new(now, 1), tenant, now, &mut faults).unwrap();
            let verifier = Verifier::new(&made.verification);
            assert_eq!(verifier.err(), None, "{source}");
            seen += 1;
        }
        for endpoint in whole["endpoints"].as_array().unwrap() {
            let read: EndpointIn = serde_json::from_value(endpoint.clone()).unwrap();
            let mut faults = Faults::new();
            let gates = Gates {
                sources: &|_: &str| None,
                policy: &UrlPolicy::default(),
                tenant: "default",
            };
            let made = read.read((EndpointId::new(now, 1), tenant), now, &gates, &mut faults);
            assert_eq!(faults.finish(made).err(), None, "{endpoint}");
            seen += 1;
        }
        assert_eq!(seen, 6);
    }
}
