//! What each crate may see: its place on the floors, and the kinds of library that its floor must not know.

use super::Source;
use anyhow::{Context, Result};
use toml::Table;

/// A crate, the crates of ours that it may use, and the libraries that it must not.
struct Rule {
    name: &'static str,
    may_use: &'static [&'static str],
    must_not: &'static [&'static str],
}

const OURS: [&str; 8] = [
    "webhook-signatures",
    "webhook-signatures-axum",
    "doorbell-core",
    "doorbell-wire",
    "doorbell-store",
    "doorbell-queue",
    "doorbell-server",
    "doorbell",
];

/// The table of ARCHITECTURE.md.
const RULES: [Rule; 8] = [
    Rule {
        name: "webhook-signatures",
        may_use: &[],
        must_not: &[
            "tokio",
            "hyper",
            "axum",
            "serde",
            "serde_json",
            "rusqlite",
            "rand",
            "tracing",
            "anyhow",
        ],
    },
    Rule {
        name: "webhook-signatures-axum",
        may_use: &["webhook-signatures"],
        must_not: &["hyper", "serde", "rusqlite", "rand", "tracing", "anyhow"],
    },
    Rule {
        name: "doorbell-core",
        may_use: &["webhook-signatures"],
        must_not: &[
            "tokio", "hyper", "axum", "serde", "rusqlite", "rand", "tracing", "anyhow", "rustls",
        ],
    },
    Rule {
        name: "doorbell-wire",
        may_use: &["doorbell-core", "webhook-signatures"],
        must_not: &["tokio", "hyper", "axum", "rusqlite", "rand", "tracing", "anyhow", "rustls"],
    },
    Rule {
        name: "doorbell-store",
        may_use: &["doorbell-core", "doorbell-wire"],
        // rustls: for the connection to a database.
        must_not: &["hyper", "axum", "serde", "anyhow", "webhook-signatures"],
    },
    Rule {
        name: "doorbell-queue",
        may_use: &["doorbell-core", "doorbell-wire"],
        // hyper: SQS is asked over HTTP. serde_json: the questions of NATS and SQS are JSON.
        must_not: &["axum", "serde", "rusqlite", "rand", "anyhow", "webhook-signatures"],
    },
    Rule {
        name: "doorbell-server",
        may_use: &[
            "doorbell-core",
            "doorbell-wire",
            "doorbell-store",
            "doorbell-queue",
            "webhook-signatures",
        ],
        must_not: &["anyhow", "clap", "rusqlite"],
    },
    Rule {
        name: "doorbell",
        may_use: &[
            "doorbell-core",
            "doorbell-wire",
            "doorbell-store",
            "doorbell-queue",
            "doorbell-server",
            "webhook-signatures",
        ],
        must_not: &["rusqlite"],
    },
];

/// Nowhere, whoever asks for it.
const NEVER: [&str; 5] = ["openssl", "native-tls", "reqwest", "chrono", "async-std"];

/// Checks every manifest.
pub(super) fn check(files: &[Source]) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with("Cargo.toml")) {
        let manifest: Table =
            file.text.parse().with_context(|| format!("{}", file.path.display()))?;
        let Some(package) = manifest.get("package").and_then(|p| p.as_table()) else { continue };
        let name = package.get("name").and_then(|n| n.as_str()).unwrap_or_default();
        let inherits =
            manifest.get("lints").and_then(|l| l.get("workspace")).and_then(toml::Value::as_bool);
        if inherits != Some(true) {
            findings.push(format!("{}: no `[lints] workspace = true`", file.shown()));
        }
        findings.extend(
            faults(name, &manifest).into_iter().map(|fault| format!("{}: {fault}", file.shown())),
        );
    }
    Ok(findings)
}

fn faults(name: &str, manifest: &Table) -> Vec<String> {
    let used = |section: &str| -> Vec<String> {
        let table = manifest.get(section).and_then(|table| table.as_table());
        table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
    };
    let (normal, all) =
        (used("dependencies"), [used("dependencies"), used("dev-dependencies")].concat());
    let never = all.iter().filter(|dep| NEVER.contains(&dep.as_str()));
    let mut faults: Vec<String> = never.map(|dep| format!("`{dep}` has no place here")).collect();
    if let Some(rule) = RULES.iter().find(|rule| rule.name == name) {
        let strays = normal.iter().filter(|dep| {
            let ours = OURS.contains(&dep.as_str());
            ours && !rule.may_use.contains(&dep.as_str()) || rule.must_not.contains(&dep.as_str())
        });
        faults.extend(strays.map(|dep| format!("{name} must not use `{dep}`")));
    } else if OURS.contains(&name) {
        faults.push(format!("{name} has no rule in xtask/src/tidy/edges.rs"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_planted_faults() {
        let manifest =
            |deps: &str| format!("[dependencies]\n{deps} = \"1\"").parse::<Table>().unwrap();
        assert_eq!(
            faults("doorbell-core", &manifest("tokio")),
            ["doorbell-core must not use `tokio`"]
        );
        assert_eq!(
            faults("doorbell-wire", &manifest("doorbell-store")),
            ["doorbell-wire must not use `doorbell-store`"]
        );
        assert_eq!(faults("xtask", &manifest("openssl")), ["`openssl` has no place here"]);
        assert!(faults("doorbell-store", &manifest("doorbell-core")).is_empty());
    }
}
