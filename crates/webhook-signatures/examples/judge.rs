//! The crate behind a pipe, for judges in other languages: JSON lines in, JSON lines out.
//!
//! `{"op": "sign" | "verify", "provider", "secret", "settings": {…}, "url", "method", "headers": {…}, "body": base64,
//! "id", "now"}` is answered by `{"headers", "url", "body"}`, `{"ok": true}`, or `{"error": …}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::error::Error;
use std::io::{BufRead as _, Write as _};
use webhook_signatures::{Incoming, Provider, Secret, ToSign, find, sign, verify};

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let answer =
            serde_json::from_str(&line?).map_err(Into::into).and_then(|asked| answer(&asked));
        let answer =
            answer.unwrap_or_else(|error: Box<dyn Error>| json!({ "error": error.to_string() }));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn text<'v>(asked: &'v Value, name: &str) -> &'v str {
    asked.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn pairs(asked: &Value, name: &str) -> Vec<(String, String)> {
    let object = asked.get(name).and_then(Value::as_object).into_iter().flatten();
    object
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect()
}

fn set_up(asked: &Value) -> Result<Provider, Box<dyn Error>> {
    let mut provider = find(text(asked, "provider")).ok_or("no such provider")?.clone();
    for (name, value) in pairs(asked, "settings") {
        if !provider.set(&name, value) {
            return Err("no such setting".into());
        }
    }
    Ok(provider)
}

fn answer(asked: &Value) -> Result<Value, Box<dyn Error>> {
    let provider = set_up(asked)?;
    let secret = Secret::parse(&provider, text(asked, "secret"))?;
    let headers = pairs(asked, "headers");
    let body = STANDARD.decode(text(asked, "body"))?;
    let now = asked.get("now").and_then(Value::as_i64).ok_or("no time")?;
    let (url, method) = (text(asked, "url"), text(asked, "method"));
    if text(asked, "op") == "verify" {
        verify(
            &provider,
            &[secret],
            &Incoming { method, url, headers: &headers, body: &body },
            now,
        )?;
        return Ok(json!({ "ok": true }));
    }
    let request =
        ToSign { id: text(asked, "id"), now, url, method, headers: &headers, body: &body };
    let signature = sign(&provider, &secret, &request)?;
    let mut all: serde_json::Map<String, Value> =
        headers.into_iter().map(|(name, value)| (name, value.into())).collect();
    all.extend(
        signature.headers.into_iter().map(|(name, value)| (name.into_owned(), value.into())),
    );
    let url = signature.url.unwrap_or_else(|| url.to_owned());
    Ok(
        json!({ "headers": all, "url": url, "body": STANDARD.encode(signature.body.unwrap_or(body)) }),
    )
}
