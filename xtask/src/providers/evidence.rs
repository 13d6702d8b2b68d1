//! What there is on disk to show for a row: judges (other people's libraries, which `judges/run` installs and asks),
//! captured requests, published examples in tests, samples. Nothing here is taken from the row's own words.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use webhook_signatures::{Confidence, Origin, Provider, Sample, find, samples};

/// Everything that was found.
#[derive(Debug)]
pub(super) struct Facts {
    vectors: Vec<Vector>,
    /// Which libraries judge which provider.
    judges: Vec<(String, String)>,
    /// Rows whose published example stands in a test in place of a vector.
    examples: Vec<&'static str>,
}

#[derive(Debug)]
struct Vector {
    row: String,
    valid: bool,
    handshake: bool,
}

/// What there is for one row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// The libraries that judge it, with their versions.
    pub(super) judges: Vec<String>,
    /// Captured requests that must pass.
    pub(super) valid: usize,
    /// And those that must not.
    pub(super) invalid: usize,
    /// Captured handshakes.
    pub(super) handshakes: usize,
    /// Whether a published example stands in a test.
    pub(super) example: bool,
    /// The event types of its samples.
    pub(super) samples: Vec<String>,
}

/// Where in the tests the published examples of these rows stand: the row, and a text of the test.
const EXAMPLES: [(&str, &str); 2] =
    [("http-signature", "fn rfc_9421_vectors"), ("http-signature-hmac", "fn rfc_9421_vectors")];

impl Facts {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let home = root.join("crates/webhook-signatures");
        let read = |name: &str| {
            std::fs::read_to_string(home.join(name)).with_context(|| format!("{name} is missing"))
        };
        let tests = read("tests/it/keys.rs")?;
        let examples = EXAMPLES.iter().filter(|(_, text)| tests.contains(text));
        let mut judges = python(&read("judges/judge.py")?, &read("judges/requirements.txt")?);
        judges.extend(node(&read("judges/judge.mjs")?, &read("judges/package.json")?)?);
        Ok(Self {
            vectors: vectors(&home.join("tests/vectors"))?,
            judges,
            examples: examples.map(|(row, _)| *row).collect(),
        })
    }

    pub(super) fn of(&self, row: &Provider) -> Evidence {
        let own = |vector: &&Vector| vector.row == row.name;
        let count = |valid: bool| {
            let all = self.vectors.iter().filter(own);
            all.filter(|vector| !vector.handshake && vector.valid == valid).count()
        };
        let judges = self.judges.iter().filter(|(provider, _)| *provider == row.name);
        let is_own =
            |sample: &&Sample| sample.provider == row.name && sample.origin != Origin::Plain;
        let own_samples = samples().iter().filter(is_own);
        Evidence {
            judges: judges.map(|(_, library)| library.clone()).collect(),
            valid: count(true),
            invalid: count(false),
            handshakes: self.vectors.iter().filter(own).filter(|vector| vector.handshake).count(),
            example: self.examples.contains(&&*row.name),
            samples: own_samples.map(|sample| sample.event_type.to_owned()).collect(),
        }
    }
}

fn vectors(folder: &Path) -> Result<Vec<Vector>> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder)? {
        let path = file?.path();
        let list: Vec<Value> = serde_json::from_slice(&std::fs::read(&path)?)
            .with_context(|| format!("{} is no list of vectors", path.display()))?;
        for vector in list {
            let text = |name: &str| vector.get(name).and_then(Value::as_str);
            let named = ["provider", "scheme"].into_iter().filter_map(text).find_map(find);
            let row = named.with_context(|| format!("{}: no row for it", path.display()))?;
            all.push(Vector {
                row: row.name.to_string(),
                valid: vector.get("valid") == Some(&Value::Bool(true)),
                handshake: vector.get("handshake").is_some_and(|handshake| !handshake.is_null()),
            });
        }
    }
    Ok(all)
}

/// The judges in Python: functions that import a library of the list and name a provider's row.
fn python(script: &str, requirements: &str) -> Vec<(String, String)> {
    let versions: BTreeMap<String, &str> = requirements
        .lines()
        .filter_map(|line| line.split_once("=="))
        .map(|(name, _)| name)
        .zip(requirements.lines())
        .map(|(name, line)| (name.to_lowercase().replace('-', "_"), line))
        .collect();
    let (_, listed) = script.split_once("JUDGES = [").unwrap_or_default();
    let listed = listed.split(']').next().unwrap_or_default();
    let mut judges = Vec::new();
    for name in listed.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let Some((_, rest)) = script.split_once(&format!("\ndef {name}(")) else { continue };
        let body = rest.split("\n\n\ndef ").next().unwrap_or_default();
        let library = imported(body).find_map(|module| {
            let (_, line) = versions.iter().find(|(library, _)| is_of(library, module))?;
            Some(line.replace("==", " ") + " (PyPI)")
        });
        let Some(library) = library else { continue };
        judges.extend(rows_in(body).map(|row| (row, library.clone())));
    }
    unique(judges)
}

/// The modules that a Python function imports.
fn imported(body: &str) -> impl Iterator<Item = &str> {
    body.lines().map(str::trim).filter_map(|line| {
        let rest = line.strip_prefix("import ").or_else(|| line.strip_prefix("from "))?;
        rest.split([' ', '.', ',']).next()
    })
}

/// Whether a Python library has this module: few are called otherwise.
fn is_of(library: &str, module: &str) -> bool {
    const OTHERWISE: [(&str, &str); 9] = [
        ("hubspot_api_client", "hubspot"),
        ("line_bot_sdk", "linebot"),
        ("paddle_python_sdk", "paddle_billing"),
        ("pyjwt", "jwt"),
        ("pynacl", "nacl"),
        ("squareup", "square"),
        ("vonage_jwt", "vonage_jwt"),
        ("discord_interactions", "discord_interactions"),
        ("adyen", "Adyen"),
    ];
    let module = module.to_owned();
    OTHERWISE.contains(&(library, &module)) || library == module.to_lowercase()
}

/// The judges in JavaScript: members of `judges` called by their package.
fn node(script: &str, manifest: &str) -> Result<Vec<(String, String)>> {
    let manifest: Value = serde_json::from_str(manifest)?;
    let packages = manifest.get("dependencies").and_then(Value::as_object);
    let mut judges = Vec::new();
    for (name, version) in packages.into_iter().flatten() {
        let heads = [format!("\n  async {name}() {{"), format!("\n  async \"{name}\"() {{")];
        let body = heads.iter().find_map(|head| script.split_once(head.as_str()));
        let Some((_, rest)) = body else { continue };
        let body = rest.split("\n  },\n").next().unwrap_or_default();
        let library = format!("{name} {} (npm)", version.as_str().unwrap_or_default());
        judges.extend(rows_in(body).map(|row| (row, library.clone())));
    }
    Ok(unique(judges))
}

/// The rows whose names stand in quotes in a script, as the first word of a call of ours.
fn rows_in(body: &str) -> impl Iterator<Item = String> {
    const CALLS: [&str; 8] = [
        "both(crate, \"",
        "both(\"",
        "sign(\"",
        "accepts(\"",
        "standard(crate, \"",
        "crate.sign(\"",
        "crate.accepts(\"",
        "        (\"",
    ];
    // That something is not accepted shows nothing about the row.
    let found = CALLS.into_iter().flat_map(move |call| {
        body.match_indices(call).filter_map(move |(at, _)| {
            let (before, rest) = body.split_at_checked(at)?;
            let name = rest.strip_prefix(call)?.split('"').next();
            name.filter(|_| !before.ends_with("not "))
        })
    });
    found.filter(|name| find(name).is_some()).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn unique(mut judges: Vec<(String, String)>) -> Vec<(String, String)> {
    judges.sort();
    judges.dedup();
    judges
}

impl Evidence {
    /// How sure one may be, by what there is and not by what is claimed.
    pub(super) fn sure(&self, row: &Provider) -> &'static str {
        match &row.confidence {
            Confidence::Uncertain(_) => "uncertain",
            Confidence::Source(source) if source == "by definition" => "definition",
            Confidence::Source(_) => "source",
            Confidence::Verified(_) if !self.judges.is_empty() => "judge",
            Confidence::Verified(_) if self.valid > 0 => "vector",
            Confidence::Verified(_) if self.example => "example",
            Confidence::Verified(_) => "nothing",
        }
    }

    /// What it was verified by, in a line.
    pub(super) fn shown(&self) -> String {
        let mut all = self.judges.clone();
        if self.valid + self.invalid > 0 {
            let many = self.valid + self.invalid;
            all.push(format!("{many} vector{}", if many == 1 { "" } else { "s" }));
        }
        if self.example {
            all.push("published example".to_owned());
        }
        if all.is_empty() { "-".to_owned() } else { all.join("; ") }
    }
}

/// What a row claims and has not.
pub(super) fn claims(row: &Provider, evidence: &Evidence) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |text: &str| faults.push(format!("{}: {text}", row.name));
    if evidence.sure(row) == "nothing" {
        fault("says that it is verified, and there is neither judge nor vector");
    }
    let (Confidence::Verified(text) | Confidence::Source(text) | Confidence::Uncertain(text)) =
        &row.confidence;
    if text.contains("handshake has a vector") && evidence.handshakes == 0 {
        fault("says that its handshake has a vector, and there is none");
    }
    if text.contains("vectors follow it") && evidence.valid == 0 {
        fault("says that its vectors follow it, and there are none");
    }
    if text.contains("published vector") && evidence.valid == 0 && !evidence.example {
        fault("says that a published vector agrees, and there is none");
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place;

    fn facts() -> Facts {
        Facts::read(&place::root()).unwrap()
    }

    #[test]
    fn the_judges_are_found_in_their_scripts() {
        let facts = facts();
        let of = |name: &str| facts.of(find(name).unwrap()).judges;
        assert_eq!(of("stripe"), ["stripe 16.1.0 (PyPI)", "stripe 23.1.0 (npm)"]);
        assert_eq!(of("netlify"), ["PyJWT 2.15.1 (PyPI)"]);
        assert_eq!(of("square"), ["squareup 46.0.0.20260916 (PyPI)", "square 46.0.0 (npm)"]);
        assert!(of("telegram").is_empty());
    }

    #[test]
    fn a_row_that_claims_too_much_is_found() {
        let mut row = find("telegram").unwrap().clone();
        row.confidence = Confidence::Verified("everybody".into());
        assert_eq!(claims(&row, &Evidence::default()).len(), 1);
        row.confidence = Confidence::Source("it; the handshake has a vector".into());
        assert_eq!(claims(&row, &Evidence::default()).len(), 1);
        let shown = Evidence { handshakes: 1, ..Evidence::default() };
        assert!(claims(&row, &shown).is_empty());
    }
}
