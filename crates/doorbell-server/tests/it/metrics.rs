//! What is told of the metrics outside of the code: `docs/metrics.md`, the alert rules and the dashboard name those that
//! there are.

use doorbell_core::id::EndpointId;
use doorbell_core::time::Time;
use doorbell_server::metrics::{Asked, Census, Metrics, Row, catalogue};
use doorbell_store::{Counted, EmbeddedVitals, PostgresVitals, Vitals};
use expect_test::expect_file;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

const HEAD: &str = "# Metrics

`GET /metrics` on the admin listener tells these, in Prometheus' text format, to any token with the scope `read`:
`doorbell token create prometheus --scope read`. A scrape costs the store nothing: what has to be counted there is
counted every 10 seconds or less often, and `doorbell_census_age_seconds` says how long ago.

The number of series has a bound. What a sender or a tenant does makes no new ones, but for `doorbell_endpoint_*`: the 50
endpoints for which most deliveries wait, and 50 that failed last, have lines of their own, all others together have
`endpoint=\"other\"`. They are told to tokens of the default tenant only, since they are those of all tenants.

On PostgreSQL each node tells its own. Sum what is counted (`_total`, histograms, `_in_flight`, `doorbell_endpoint_*`); of
what is the store's (`doorbell_store_*`) and of ages (`_oldest_`) take the maximum.

What to alert on is in [`deploy/prometheus/alerts.yml`](../deploy/prometheus/alerts.yml), with what each alert means and
what to do; a dashboard is in [`deploy/grafana/doorbell.json`](../deploy/grafana/doorbell.json).

This page is written by a test; `UPDATE_EXPECT=1 cargo nextest run -p doorbell-server -E 'test(fresh)'` brings it up.

| metric | kind | labels | what it says |
|---|---|---|---|
";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All that can be told, by both homes.
fn told() -> String {
    let metrics = Metrics::default();
    let endpoint = EndpointId::new(Time::EPOCH, 1);
    metrics.tried(endpoint, false, Time::EPOCH);
    metrics.counted(Census { most_waiting: vec![(endpoint, 1)], ..Census::default() });
    let asked = Asked { now: (Time::EPOCH, Duration::ZERO), version: "0", by_endpoint: true };
    let syncs = Counted::default();
    let embedded =
        EmbeddedVitals { syncs, queued: 0, queued_bytes: 0, lag_bytes: 0, lag_records: 0 };
    let postgres = PostgresVitals { commits: syncs, answers: true, nodes: 1 };
    metrics.text(&Vitals::Embedded(embedded), asked)
        + &metrics.text(&Vitals::Postgres(postgres), asked)
}

/// The name without what a histogram's lines add.
fn base(name: &str) -> &str {
    let stems = ["_bucket", "_sum", "_count"].into_iter().filter_map(|end| name.strip_suffix(end));
    stems.into_iter().find(|stem| catalogue().any(|row| row.name == *stem)).unwrap_or(name)
}

/// The labels of each metric, with their values where these are words of ours.
fn labels(text: &str) -> BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> {
    let mut all: BTreeMap<&str, BTreeMap<&str, BTreeSet<&str>>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, rest) = line.split_once(['{', ' ']).unwrap();
        let of = all.entry(base(name)).or_default();
        let Some((labels, _)) = rest.split_once('}') else { continue };
        for label in labels.split(',') {
            let (label, value) = label.split_once('=').unwrap();
            let value = value.trim_matches('"');
            let known = of.entry(label).or_default();
            if !["le", "endpoint", "version"].contains(&label) {
                known.insert(value);
            }
        }
    }
    all
}

fn line(row: Row, labels: &BTreeMap<&str, BTreeSet<&str>>) -> String {
    let label = |(name, values): (&&str, &BTreeSet<&str>)| {
        let values: Vec<&str> = values.iter().copied().collect();
        let values =
            if values.is_empty() { String::new() } else { format!(": {}", values.join(", ")) };
        format!("`{name}`{values}")
    };
    let labels: Vec<String> = labels.iter().filter(|(name, _)| **name != "le").map(label).collect();
    let help = row.help.trim_end_matches('.');
    format!("| `{}` | {} | {} | {help} |\n", row.name, row.kind, labels.join("; "))
}

#[test]
fn the_page_of_the_metrics_is_fresh() {
    let text = told();
    let labels = labels(&text);
    let lines = catalogue().map(|row| line(row, labels.get(row.name).unwrap_or(&BTreeMap::new())));
    expect_file!["../../../../docs/metrics.md"]
        .assert_eq(&(HEAD.to_owned() + &lines.collect::<String>()));
}

/// What is told is in the catalogue, under its kind, and all of it is told.
#[test]
fn all_that_is_told_is_listed_and_all_that_is_listed_is_told() {
    let text = told();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let told: BTreeSet<(&str, &str)> = types.map(|line| line.split_once(' ').unwrap()).collect();
    let listed: BTreeSet<(&str, &str)> = catalogue().map(|row| (row.name, row.kind)).collect();
    assert_eq!(told, listed);
}

/// Names in a text that look like metrics of ours.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    words
        .filter(|word| word.starts_with("doorbell_") || word.starts_with("process_"))
        .map(base)
        .collect()
}

#[test]
fn alerts_and_dashboard_name_metrics_that_exist() {
    let known: BTreeSet<&str> = catalogue().map(|row| row.name).collect();
    for file in ["deploy/prometheus/alerts.yml", "deploy/grafana/doorbell.json"] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        let named = named(&text);
        assert!(named.len() > 10, "{file} names {named:?}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{file} names {unknown:?}, which nobody tells");
    }
}

/// Each alert says what it means, what to do, how bad it is, and is explained for people.
#[test]
fn each_alert_has_its_place_in_the_handbook() {
    let rules = std::fs::read_to_string(root().join("deploy/prometheus/alerts.yml")).unwrap();
    let cases = std::fs::read_to_string(root().join("deploy/prometheus/alerts_test.yml")).unwrap();
    let handbook = std::fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let mut alerts = rules.split("- alert: ").skip(1).peekable();
    assert!(alerts.peek().is_some());
    for alert in alerts {
        let (name, rule) = alert.split_once('\n').unwrap();
        for part in ["severity:", "summary:", "meaning:", "action:"] {
            assert!(rule.contains(part), "{name} has no {part}");
        }
        assert!(handbook.contains(&format!("`{name}`")), "docs/operations.md does not name {name}");
        assert!(cases.contains(&format!("alertname: {name}\n")), "no case of {name}");
    }
}
