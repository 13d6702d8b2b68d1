//! What files say: heads that tell what lives there, no leftovers, no traces of the machine they were written on, a page
//! for every public error code, and how long files are.

use super::Source;

/// Lines after which a file should be looked at, and after which it is too long. Tables may be longer than other files.
const LONG: usize = 500;
const TOO_LONG: usize = 900;

/// Words that must not be committed. They are written in halves here, so that this file does not find itself.
const FORBIDDEN: [(&str, &str); 10] = [
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/ho", "me/"),
    ("TO", "DO"),
    ("FIX", "ME"),
    ("unimple", "mented!"),
    ("farm", "-"),
    ("before", "-stop"),
    ("for n", "ow,"),
    ("#[al", "low("),
];

/// Names that say nothing.
const EMPTY_NAMES: [&str; 8] =
    ["util", "utils", "helper", "helpers", "misc", "manager", "managers", "stuff"];

/// Checks every file.
pub(super) fn check(files: &[Source]) -> Vec<String> {
    let mut findings: Vec<String> = files.iter().flat_map(one).collect();
    findings.extend(pages(files));
    findings
}

/// Says which files are long; that is no fault yet.
pub(super) fn report_long(files: &[Source]) {
    let mut long: Vec<_> =
        files.iter().filter(|file| file.is_rust() && lines(file) > LONG).collect();
    long.sort_by_key(|file| std::cmp::Reverse(lines(file)));
    for file in long {
        println!("tidy: note: {} has {} lines", file.shown(), lines(file));
    }
}

fn lines(file: &Source) -> usize {
    file.text.lines().count()
}

fn one(file: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    let path = file.shown();
    if path.starts_with("testdata/") || path.ends_with("package-lock.json") || path == "Cargo.lock"
    {
        return findings;
    }
    for (a, b) in FORBIDDEN {
        let word = format!("{a}{b}");
        if let Some(at) = file.text.lines().position(|line| line.contains(&word)) {
            findings.push(format!("{path}:{}: says `{word}`", at + 1));
        }
    }
    if let Some(name) = file
        .path
        .components()
        .filter_map(|part| part.as_os_str().to_str())
        .find(|part| EMPTY_NAMES.contains(&part.split('.').next().unwrap_or_default()))
    {
        findings.push(format!("{path}: `{name}` says nothing about what lives there"));
    }
    if file.is_rust() {
        findings.extend(rust(file).map(|fault| format!("{path}: {fault}")));
    }
    findings
}

fn rust(file: &Source) -> impl Iterator<Item = String> {
    let path = file.shown();
    let is_test = path.contains("/tests/");
    let head = file
        .text
        .lines()
        .find(|line| !line.is_empty() && !line.starts_with("#!["))
        .unwrap_or_default();
    let no_head = (!head.starts_with("//!"))
        .then(|| "does not open with what lives there (`//!`)".to_owned());
    let not_test = (path.ends_with("tests/it/main.rs") && !file.text.contains("#![cfg(test)]"))
        .then(|| "does not say `#![cfg(test)]`".to_owned());
    let count = lines(file);
    let too_long = (count > TOO_LONG && !is_test).then(|| format!("has {count} lines"));
    no_head.filter(|_| !is_test).into_iter().chain(not_test).chain(too_long)
}

/// Every public error code has its page, once there are pages.
fn pages(files: &[Source]) -> Vec<String> {
    let there = |path: String| files.iter().any(|file| file.shown() == path);
    if !files.iter().any(|file| file.shown().starts_with("docs/errors/")) {
        return Vec::new();
    }
    let table = files.iter().find(|file| file.path.ends_with("doorbell-wire/src/problem.rs"));
    let codes = table.map(|file| codes(&file.text)).unwrap_or_default();
    if codes.is_empty() {
        return vec!["no error codes were found in doorbell-wire/src/problem.rs".to_owned()];
    }
    let missing = codes.into_iter().filter(|code| !there(format!("docs/errors/{code}.md")));
    missing
        .map(|code| format!("the error code `{code}` has no page docs/errors/{code}.md"))
        .collect()
}

/// The words of the table `codes! { Name "word" status … }`.
fn codes(text: &str) -> Vec<String> {
    let table = text.split("\ncodes! {").nth(1).unwrap_or_default();
    let rows = table
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    rows.filter_map(|row| row.split('"').nth(1).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> Source {
        Source { path: path.into(), text: text.to_owned() }
    }

    #[test]
    fn finds_planted_faults() {
        let machine = ["// see /wo", "rk/x"].concat();
        assert_eq!(check(&[file("crates/a/src/b.rs", &format!("//! B.\n{machine}"))]).len(), 1);
        assert_eq!(check(&[file("crates/a/src/b.rs", "fn f() {}")]).len(), 1);
        assert_eq!(check(&[file("crates/a/src/utils.rs", "//! U.")]).len(), 1);
        assert_eq!(check(&[file("crates/a/tests/it/main.rs", "mod a;")]).len(), 1);
        assert!(check(&[file("crates/a/src/b.rs", "//! B.\nfn f() {}")]).is_empty());
    }

    #[test]
    fn finds_codes_without_a_page() {
        let table = file(
            "crates/doorbell-wire/src/problem.rs",
            "//! P.\ncodes! {\n    /// A.\n    One \"one\" 400 \"a\": \"b\";\n}\n",
        );
        let page = file("docs/errors/two.md", "");
        assert_eq!(check(&[table, page]).len(), 1);
    }
}
