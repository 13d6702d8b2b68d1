//! `--set name=value`: any field of the API from the command line, so that flags exist for what is common only.

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Map, Value};
use std::path::PathBuf;

/// Fields beside those that have a flag.
#[derive(Debug, Clone, Args)]
pub(crate) struct Fields {
    /// Any other field: its name as `get` shows it (a.b for a nested one); the value is JSON, or else text
    #[arg(long = "set", value_name = "FIELD=VALUE")]
    set: Vec<String>,
    /// A JSON file with fields; --set and the other flags win over it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Fields {
    /// The file's fields, then `--set`, then those given by flags.
    ///
    /// # Errors
    /// When the file is no JSON object or a `--set` has no `=`.
    pub(crate) fn with(&self, flags: &[(&str, Option<Value>)]) -> Result<Value> {
        let mut object = match &self.file {
            Some(path) => {
                let text = std::fs::read(path)
                    .with_context(|| format!("{} cannot be read", path.display()))?;
                serde_json::from_slice(&text)
                    .with_context(|| format!("{} is no JSON object", path.display()))?
            }
            None => Map::new(),
        };
        for text in &self.set {
            let (name, value) =
                text.split_once('=').with_context(|| format!("--set {text}: write FIELD=VALUE"))?;
            put(
                &mut object,
                name,
                serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned())),
            );
        }
        for (name, value) in flags {
            if let Some(value) = value {
                put(&mut object, name, value.clone());
            }
        }
        Ok(Value::Object(object))
    }
}

fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            object.insert(name.to_owned(), value);
        }
        Some((head, rest)) => {
            let inner = object.entry(head).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// A list of texts as a field; nothing when it is empty.
pub(crate) fn texts(list: &[String]) -> Option<Value> {
    (!list.is_empty()).then(|| Value::from(list.to_vec()))
}

/// A text as a field.
pub(crate) fn text(one: Option<&String>) -> Option<Value> {
    one.map(|text| Value::from(text.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_nest_and_flags_win() {
        let fields =
            Fields { set: vec!["a.b=1".into(), "a.c=x".into(), "n=from-set".into()], file: None };
        let all = fields.with(&[("n", Some(json!("from-flag"))), ("m", None)]).unwrap();
        assert_eq!(all, json!({"a": {"b": 1, "c": "x"}, "n": "from-flag"}));
        assert!(Fields { set: vec!["a".into()], file: None }.with(&[]).is_err());
    }
}
