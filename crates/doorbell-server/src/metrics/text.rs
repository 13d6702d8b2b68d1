//! Prometheus' text format, version 0.0.4.

use doorbell_store::{BOUNDS_US, Counted};
use std::fmt::Write as _;

/// A text that grows metric by metric.
#[derive(Debug)]
pub(crate) struct Text(String);

/// One metric: its kind, name and help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// `gauge`, `counter` or `histogram`.
    pub kind: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
}

impl Row {
    pub(crate) const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { kind: "gauge", name, help }
    }

    pub(crate) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { kind: "counter", name, help }
    }

    pub(crate) const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { kind: "histogram", name, help }
    }
}

impl Text {
    pub(crate) fn new() -> Self {
        Self(String::with_capacity(16 << 10))
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }

    /// Begins a metric. Writing to a String cannot fail.
    pub(crate) fn head(&mut self, Row { kind, name, help }: Row) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").unwrap_or_default();
    }

    /// `labels`: `a="b",c="d"`, or nothing. No value of a label here needs an escape.
    pub(crate) fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        if labels.is_empty() {
            writeln!(self.0, "{name} {value}").unwrap_or_default();
        } else {
            writeln!(self.0, "{name}{{{labels}}} {value}").unwrap_or_default();
        }
    }

    /// A metric with one value.
    pub(crate) fn one(&mut self, row: Row, value: impl std::fmt::Display) {
        self.head(row);
        self.line(row.name, "", value);
    }

    pub(crate) fn histogram(&mut self, row: Row, counted: &Counted) {
        let name = row.name;
        self.head(row);
        let mut sum = 0;
        let bounds = BOUNDS_US.iter().map(|us| seconds(*us)).chain(["+Inf".into()]);
        for (bound, bucket) in bounds.zip(counted.buckets) {
            sum += bucket;
            self.line(&format!("{name}_bucket"), &format!("le=\"{bound}\""), sum);
        }
        self.line(&format!("{name}_sum"), "", seconds(counted.sum_us));
        self.line(&format!("{name}_count"), "", sum);
    }
}

/// Microseconds as decimal seconds, exactly.
pub(crate) fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn seconds_are_exact() {
        let cases = [(0, "0"), (250, "0.00025"), (1_000_000, "1"), (9_000_700, "9.0007")];
        for (us, text) in cases {
            assert_eq!(seconds(us), text);
        }
    }
}
