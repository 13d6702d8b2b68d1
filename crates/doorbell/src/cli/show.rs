//! How answers of the API are shown: as they are with `--json`, else as a table of chosen fields or as `field  value` lines.

use crate::report::Report;
use serde_json::Value;

/// A column: its head and the JSON pointer of its field.
pub(crate) type Column = (&'static str, &'static str);

/// Shows a list answer (`data` and `next_cursor`).
pub(crate) fn list(report: Report, answer: &Value, columns: &[Column]) {
    if report.is_json() {
        report.json(answer);
        return;
    }
    let rows: Vec<Vec<String>> = answer
        .get("data")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|item| columns.iter().map(|(_, pointer)| field(item, pointer)).collect())
        .collect();
    if rows.is_empty() {
        report.text("none");
        return;
    }
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    report.table(&heads, rows);
    if let Some(next) = answer.get("next_cursor").and_then(Value::as_str) {
        report.text(&format!("there are more: --cursor {next}"));
    }
}

/// A field of an item. In place of a name that nobody knows any more stands the id.
pub(crate) fn field(item: &Value, pointer: &str) -> String {
    let removed = pointer.strip_suffix("_name").filter(|what| {
        item.pointer(&format!("{what}_removed")).and_then(Value::as_bool) == Some(true)
    });
    match removed {
        Some(id) => format!("{} (removed)", cell(item.pointer(id))),
        None => cell(item.pointer(pointer)),
    }
}

/// Shows one thing.
pub(crate) fn one(report: Report, answer: &Value) {
    if report.is_json() {
        report.json(answer);
        return;
    }
    let mut lines = Vec::new();
    flatten("", answer, &mut lines);
    lines.sort_by_key(|(name, _)| {
        FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len())
    });
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in lines {
        report.text(format!("{name:width$}  {}", cut(&value)).trim_end());
    }
}

/// The fields that say what one is looking at; the others follow in the order of the alphabet.
const FIRST: &[&str] = &["id", "name", "type", "url", "path", "explanation"];

/// Characters of a value that are shown: a body must not push all else off the screen.
const SHOWN_MAX: usize = 400;

fn cut(value: &str) -> String {
    match value.char_indices().nth(SHOWN_MAX) {
        None => value.to_owned(),
        Some((end, _)) => {
            format!("{}… (cut; --json shows it all)", value.get(..end).unwrap_or_default())
        }
    }
}

/// Says that something was done.
pub(crate) fn done(report: Report, answer: &Value, sentence: &str) {
    if report.is_json() {
        report.json(answer);
    } else {
        report.text(sentence);
    }
}

fn flatten(prefix: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let name =
                    if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&name, field, lines);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (place, item) in items.iter().enumerate() {
                match pair(item) {
                    Some((name, value)) => {
                        lines.push((format!("{prefix}.{}", visible(name)), visible(value)));
                    }
                    None => flatten(&format!("{prefix}[{place}]"), item, lines),
                }
            }
        }
        Value::Null => {}
        Value::Array(_) | Value::String(_) | Value::Bool(_) | Value::Number(_) => {
            lines.push((prefix.to_owned(), cell(Some(value))));
        }
    }
}

/// A header: an object of a name and a value and nothing else.
fn pair(item: &Value) -> Option<(&str, &str)> {
    let fields = item.as_object().filter(|fields| fields.len() == 2)?;
    Some((fields.get("name")?.as_str()?, fields.get("value")?.as_str()?))
}

/// A field as a person reads it. Control characters are shown, not obeyed: a payload must not steer the terminal.
pub(crate) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::Array(items)) if items.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => visible(text),
        Some(Value::Array(items)) => {
            items.iter().map(|item| cell(Some(item))).collect::<Vec<_>>().join(", ")
        }
        Some(other @ (Value::Bool(_) | Value::Number(_) | Value::Object(_))) => {
            visible(&other.to_string())
        }
    }
}

/// The text with its control characters written out.
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_removed_is_told_by_its_id() {
        let gone = json!({"source": "src_1", "source_name": null, "source_removed": true});
        assert_eq!(field(&gone, "/source_name"), "src_1 (removed)");
        let there = json!({"source": "src_1", "source_name": "a", "source_removed": false});
        assert_eq!(field(&there, "/source_name"), "a");
        let published = json!({"source": null, "source_name": null, "source_removed": false});
        assert_eq!(field(&published, "/source_name"), "-");
    }

    #[test]
    fn a_payload_cannot_steer_the_terminal() {
        assert_eq!(cell(Some(&json!("a\u{1b}[31mb\n"))), "a\\u{1b}[31mb\\n");
    }

    #[test]
    fn nested_fields_become_lines() {
        let mut lines = Vec::new();
        flatten(
            "",
            &json!({"a": {"b": 1}, "c": [{"d": "x"}], "e": ["y", "z"], "f": null}),
            &mut lines,
        );
        let lines: Vec<String> = lines.into_iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(lines, ["a.b=1", "c[0].d=x", "e=y, z"]);
    }

    #[test]
    fn a_header_is_one_line() {
        let mut lines = Vec::new();
        let headers =
            json!({"headers": [{"name": "host", "value": "a"}, {"name": "x", "value": ""}]});
        flatten("", &headers, &mut lines);
        let lines: Vec<String> = lines.into_iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(lines, ["headers.host=a", "headers.x="]);
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(cut("ab"), "ab");
        assert!(cut(&"é".repeat(SHOWN_MAX + 1)).starts_with(&("é".repeat(SHOWN_MAX) + "… (cut")));
    }
}
