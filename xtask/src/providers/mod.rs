//! `cargo xtask providers`: every provider's row beside what there is on disk to show for it, and the pages about them
//! in `docs/providers/`, which are made from the rows.

mod evidence;
mod words;
mod trying;
mod page;

use crate::place;
use anyhow::{Result, ensure};
use clap::Args;
use evidence::{Evidence, Facts};
use serde_json::{Value, json};
use std::path::Path;
use webhook_signatures::{Provider, all};

/// What to do.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// Write the pages in docs/providers/.
    #[arg(long)]
    write: bool,
}

/// Prints the table, or writes the pages; a row that claims what is not there fails it, as does one that does not say
/// how it is set up.
pub(crate) fn run(flags: &Flags) -> Result<()> {
    let facts = Facts::read(&place::root())?;
    let rows: Vec<(&Provider, Evidence)> = all().iter().map(|row| (row, facts.of(row))).collect();
    let silent: Vec<&str> = rows
        .iter()
        .filter(|(row, _)| row.setup.is_empty())
        .map(|(row, _)| row.name.as_ref())
        .collect();
    ensure!(silent.is_empty(), "rows without .setup(…): {}", silent.join(", "));
    if flags.write {
        return write(&place::root(), &rows);
    }
    if flags.json {
        let rows: Vec<Value> = rows.iter().map(|(row, evidence)| document(row, evidence)).collect();
        println!("{:#}", json!({ "data": rows }));
    } else {
        table(&rows);
    }
    let claims: Vec<String> =
        rows.iter().flat_map(|(row, evidence)| evidence::claims(row, evidence)).collect();
    ensure!(claims.is_empty(), "rows claim what is not there:\n{}", claims.join("\n"));
    Ok(())
}

fn table(rows: &[(&Provider, Evidence)]) {
    println!(
        "{:<24} {:<24} {:<10} {:<58} {:<26} SAMPLES",
        "PROVIDER", "FAMILY", "SURE", "VERIFIED BY", "HANDSHAKE"
    );
    for (row, evidence) in rows {
        println!(
            "{:<24} {:<24} {:<10} {:<58} {:<26} {}",
            row.name,
            words::family(row),
            evidence.sure(row),
            clipped(&evidence.shown(), 58),
            clipped(&words::handshakes(row, evidence).join(", "), 26),
            evidence.samples.join(", "),
        );
    }
    println!("\n{}", sums(rows));
}

/// How many rows there are of each kind.
fn sums(rows: &[(&Provider, Evidence)]) -> String {
    let count = |is: &dyn Fn(&Provider, &Evidence) -> bool| {
        rows.iter().filter(|(row, evidence)| is(row, evidence)).count()
    };
    let sure = |word: &'static str| {
        count(&move |row: &Provider, evidence: &Evidence| evidence.sure(row) == word)
    };
    format!(
        "{} rows: {} by a judge, {} by a vector, {} by a published example in a test, {} from sources, {} uncertain, {} by \
         definition; {} have a judge, {} a vector, {} a handshake, {} samples; {} of {} say how they are set up",
        rows.len(),
        sure("judge"),
        sure("vector"),
        sure("example"),
        sure("source"),
        sure("uncertain"),
        sure("definition"),
        count(&|_, evidence| !evidence.judges.is_empty()),
        count(&|_, evidence| evidence.valid > 0),
        count(&|row, _| !row.challenges.is_empty()),
        count(&|_, evidence| !evidence.samples.is_empty()),
        count(&|row, _| !row.setup.is_empty()),
        rows.len(),
    )
}

fn clipped(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn document(row: &Provider, evidence: &Evidence) -> Value {
    json!({
        "name": row.name, "title": row.title, "family": words::family(row), "sure": evidence.sure(row),
        "judges": evidence.judges, "vectors": {"valid": evidence.valid, "invalid": evidence.invalid},
        "handshake_vectors": evidence.handshakes, "handshakes": words::handshakes(row, evidence),
        "published_example": evidence.example, "claim": words::claim(&row.confidence),
        "samples": evidence.samples, "setup": !row.setup.is_empty(),
    })
}

fn write(root: &Path, rows: &[(&Provider, Evidence)]) -> Result<()> {
    let folder = root.join("docs/providers");
    std::fs::create_dir_all(&folder)?;
    let pages = page::all(rows);
    for file in std::fs::read_dir(&folder)? {
        let file = file?;
        if !pages.iter().any(|(name, _)| file.file_name() == name.as_str()) {
            std::fs::remove_file(file.path())?;
        }
    }
    for (name, text) in &pages {
        std::fs::write(folder.join(name), text)?;
    }
    println!("{} pages in docs/providers/", pages.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_claims_more_than_it_has() {
        let facts = Facts::read(&place::root()).unwrap();
        let claims: Vec<String> =
            all().iter().flat_map(|row| evidence::claims(row, &facts.of(row))).collect();
        assert_eq!(claims, Vec::<String>::new());
    }

    #[test]
    fn the_pages_are_what_the_rows_say() {
        let root = place::root();
        let facts = Facts::read(&root).unwrap();
        let rows: Vec<_> = all().iter().map(|row| (row, facts.of(row))).collect();
        let folder = root.join("docs/providers");
        let pages = page::all(&rows);
        for (name, text) in &pages {
            let there = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            assert!(
                there == *text,
                "docs/providers/{name} is stale: cargo xtask providers --write"
            );
        }
        let there = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(there, pages.len(), "a page too many: cargo xtask providers --write");
    }
}
