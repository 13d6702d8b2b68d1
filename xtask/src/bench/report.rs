//! Results: a table for people, and a line of JSON for each in `bench-results/`, one file for each kind of machine.

use super::process;
use super::sample::Histogram;
use crate::place;
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// One line of a result.
#[derive(Debug, Default)]
pub(super) struct Row(Map<String, Value>);

impl Row {
    /// A line with its name.
    pub(super) fn new(name: &str) -> Self {
        Self(Map::from_iter([("name".to_owned(), json!(name))]))
    }

    /// Adds a number; it is rounded to three places that matter.
    pub(super) fn number(mut self, name: &str, value: f64) -> Self {
        let digits = if value.abs() >= 100.0 {
            0
        } else if value.abs() >= 1.0 {
            2
        } else {
            4
        };
        let factor = 10_f64.powi(digits);
        self.0.insert(name.to_owned(), json!((value * factor).round() / factor));
        self
    }

    /// What each kind of thread has cost since `before`, in microseconds of CPU an event.
    pub(super) fn threads(
        before: &BTreeMap<String, f64>,
        after: &BTreeMap<String, f64>,
        events: f64,
    ) -> Self {
        let mut row = Self::new("cpu by thread, us an event");
        for (name, seconds) in after {
            let spent = seconds - before.get(name).copied().unwrap_or(0.0);
            if spent > 0.0 {
                row = row.number(name, spent * 1e6 / events);
            }
        }
        row
    }

    /// Adds p50, p99 and p99.9 in milliseconds.
    pub(super) fn quantiles(self, times: &Histogram) -> Self {
        self.number("p50_ms", times.quantile_ms(0.5))
            .number("p99_ms", times.quantile_ms(0.99))
            .number("p999_ms", times.quantile_ms(0.999))
    }
}

/// Where the results of this machine are.
pub(super) fn file() -> Result<PathBuf> {
    let folder = place::root().join("bench-results");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("{}.jsonl", process::machine())))
}

/// Prints the lines, and keeps them.
pub(super) fn keep(bench: &str, rows: &[Row]) -> Result<()> {
    print(bench, rows);
    let commit = told(Command::new("git").args(["rev-parse", "--short=10", "HEAD"]))?;
    let dirty = !told(Command::new("git").args(["status", "--porcelain", "--untracked-files=no"]))?
        .is_empty();
    let at = told(Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]))?;
    let rows: Vec<&Map<String, Value>> = rows.iter().map(|row| &row.0).collect();
    let line = json!({"bench": bench, "at": at, "commit": commit, "dirty": dirty, "rows": rows});
    let path = file()?;
    let mut out = File::options().create(true).append(true).open(&path)?;
    writeln!(out, "{line}").with_context(|| format!("cannot write {}", path.display()))
}

fn told(command: &mut Command) -> Result<String> {
    let output = command.current_dir(place::root()).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn print(bench: &str, rows: &[Row]) {
    println!("\n{bench}");
    for row in rows {
        let name = row.0.get("name").and_then(Value::as_str).unwrap_or_default();
        let rest = row.0.iter().filter(|(key, _)| *key != "name");
        let cells = rest.map(|(key, value)| format!("{key} {value:>9}")).collect::<Vec<_>>();
        println!("  {name:34} {}", cells.join("  "));
    }
}
