//! What is wrong with a body or a query that cannot be read, in our own words: those of the reader speak of Rust's types.

use serde::de::IgnoredAny;
use serde_json::error::Category;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misread {
    /// The field, below the place where the reader was, that is missing or too much.
    pub field: Option<String>,
    /// What was given and what is expected.
    pub detail: String,
}

/// What is wrong with a JSON text that was refused with this error.
#[must_use]
pub fn json(text: &[u8], error: &serde_json::Error) -> Misread {
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
    let (line, column) = (error.line(), error.column());
    let detail = match error.classify() {
        Category::Data | Category::Io => return shape(message, "field"),
        _ if message == "recursion limit exceeded" => "it is nested too deeply".to_owned(),
        // The reader of words calls anything else a fault of the syntax.
        _ if serde_json::from_slice::<IgnoredAny>(text).is_ok() => {
            "a value of this kind cannot stand here; a word is expected".to_owned()
        }
        Category::Eof if text.is_empty() => "there is no body; JSON is expected".to_owned(),
        Category::Eof => format!("this is not JSON: it breaks off at line {line}, column {column}"),
        Category::Syntax => format!(
            "this is not JSON: look for a quote, comma or bracket that is missing or too much before line {line}, \
             column {column}"
        ),
    };
    Misread { field: None, detail }
}

/// What is wrong with a query that was refused with this message.
#[must_use]
pub fn query(message: &str) -> Misread {
    shape(message, "parameter")
}

/// What is wrong with the shape of something that has such parts.
fn shape(message: &str, part: &str) -> Misread {
    let quoted = message.split('`').nth(1).unwrap_or_default();
    let starts = |kind: &str| message.starts_with(kind);
    let field = ["missing field", "unknown field", "duplicate field"].into_iter().any(starts);
    let detail = if starts("missing field") {
        "it is missing, and has to be given".to_owned()
    } else if starts("unknown field") {
        match choices(message) {
            choices if choices.is_empty() => format!("there is no such {part}; none is taken here"),
            choices => format!("there is no such {part}; there are {choices}"),
        }
    } else if starts("duplicate field") {
        "it is given twice; once is expected".to_owned()
    } else if starts("unknown variant") {
        format!("{} is given; one of {} is expected", short(quoted), choices(message))
    } else {
        kinds(message).unwrap_or_else(|| number(message).to_owned())
    };
    Misread { field: field.then(|| short(quoted)), detail }
}

/// Letters of a word that are repeated to who wrote it.
const SHORT: usize = 60;

fn short(word: &str) -> String {
    match word.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", word.get(..end).unwrap_or_default()),
        None => word.to_owned(),
    }
}

/// The words that are expected, out of: `unknown …, expected one of …, …`.
fn choices(message: &str) -> String {
    let expected = message.rsplit_once(", expected ").map_or("", |(_, expected)| expected);
    let words: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    words.join(", ")
}

/// `invalid type: …, expected …` and its like.
fn kinds(message: &str) -> Option<String> {
    let rest = message.strip_prefix("invalid ")?;
    let (given, expected) = rest.rsplit_once(", expected ")?;
    let expected = expected_kind(expected);
    Some(match given.split_once(": ") {
        Some((_, given)) => format!("{} is given; {expected} is expected", given_kind(given)),
        None => format!("{expected} is expected"),
    })
}

/// A text is not repeated: it may be a secret at the wrong place.
fn given_kind(kind: &str) -> String {
    let value = kind.split('`').nth(1).unwrap_or_default();
    match kind.split([' ', '`']).next().unwrap_or_default() {
        "string" | "character" => "a text".to_owned(),
        "integer" | "floating" => format!("the number {}", short(value)),
        "boolean" => short(value),
        "unit" | "null" | "Option" => "null".to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "an object".to_owned(),
        _ => "something else".to_owned(),
    }
}

fn expected_kind(kind: &str) -> &str {
    match kind {
        "a string" | "string" | "a borrowed string" => "a text",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        "string or map" => "a word or an object",
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number that is not negative",
        _ if kind.starts_with("struct ") => "an object",
        _ if kind.starts_with("a sequence") || kind.starts_with("tuple") => "a list",
        _ => kind,
    }
}

/// What the readers of numbers in a query say; our own sentences stay as they are.
fn number(message: &str) -> &str {
    match message {
        "invalid digit found in string" | "cannot parse integer from empty string" => {
            "a whole number is expected"
        }
        "number too large to fit in target type" => "the number is too large",
        "provided string was not `true` or `false`" => "true or false is expected",
        other => other,
    }
}
