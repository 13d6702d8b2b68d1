//! `cargo xtask tidy`: the house rules that no compiler knows. Every finding is printed; one is enough to fail.

mod edges;
mod order;
mod floors;
mod text;

use crate::place;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of the repository, as Git knows it.
#[derive(Debug)]
struct Source {
    /// Its path from the root.
    path: PathBuf,
    /// Its text; empty for what is no UTF-8.
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.extension().is_some_and(|end| end == "rs")
    }

    fn shown(&self) -> std::borrow::Cow<'_, str> {
        self.path.to_string_lossy()
    }
}

/// What to do beside checking.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Flags {
    /// First list modules in the order in which they rest on each other, where there is one.
    #[arg(long)]
    fix: bool,
}

/// Checks everything; with `--fix`, after putting in order what can be.
pub(crate) fn run_with(flags: &Flags) -> Result<()> {
    if flags.fix {
        let root = place::root();
        for (file, better) in floors::better(&tracked(&root)?) {
            match better {
                Ok(text) => std::fs::write(root.join(&file.path), text)?,
                Err(circle) => println!("tidy: {}: a circle: {}", file.shown(), circle.join(", ")),
            }
        }
    }
    run()
}

/// Checks everything.
pub(crate) fn run() -> Result<()> {
    let files = tracked(&place::root())?;
    let mut findings = edges::check(&files)?;
    findings.extend(floors::check(&files));
    findings.extend(text::check(&files));
    text::report_long(&files);
    if findings.is_empty() {
        println!("tidy: {} files, nothing found", files.len());
        return Ok(());
    }
    for finding in &findings {
        println!("tidy: {finding}");
    }
    bail!("{} findings", findings.len())
}

/// All files that are or would be committed.
fn tracked(root: &Path) -> Result<Vec<Source>> {
    let mut git = Command::new("git");
    git.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = git.output().context("cannot ask Git for its files")?;
    let listed = String::from_utf8(listed.stdout)?;
    let files = listed.lines().map(PathBuf::from).filter(|path| root.join(path).is_file());
    let files = files.map(|path| {
        let text = std::fs::read(root.join(&path))
            .map(|bytes| String::from_utf8(bytes).unwrap_or_default());
        text.map(|text| Source { path, text }).context("a listed file cannot be read")
    });
    files.collect()
}
