//! Floors inside a crate: a file that declares modules lists them in the order in which they rest on each other, and no
//! module reaches for one that stands below it in that list. So there are no circles.

use super::Source;
use std::collections::BTreeMap;
use std::path::Path;

/// A module's path from its crate's root; the root's is empty.
type Module = Vec<String>;

/// One crate's modules: for each that declares others, which, in order.
type Lists = BTreeMap<Module, Vec<String>>;

/// Checks every crate.
pub(super) fn check(files: &[Source]) -> Vec<String> {
    let mut crates = BTreeMap::<String, Vec<(&Source, Module)>>::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        if let Some((root, module)) = place(&file.path) {
            crates.entry(root).or_default().push((file, module));
        }
    }
    crates.values().flat_map(|files| check_crate(files)).collect()
}

/// The crate's source folder and the module that a file holds.
fn place(path: &Path) -> Option<(String, Module)> {
    let text = path.to_str()?;
    let at = text.find("/src/")?;
    let inner = text.get(at + 5..)?.strip_suffix(".rs")?;
    let mut module: Module = inner.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    Some((text.get(..at)?.to_owned(), module))
}

fn check_crate(files: &[(&Source, Module)]) -> Vec<String> {
    let lists: Lists = files
        .iter()
        .map(|(file, module)| (module.clone(), declared(shipped(&file.text))))
        .collect();
    let mut findings = Vec::new();
    for (file, module) in files {
        for used in references(shipped(&file.text), module) {
            if let Some((low, high)) = upward(&lists, module, &used) {
                findings.push(format!(
                    "{}: `{low}` reaches up to `{high}`, which is listed after it",
                    file.shown()
                ));
            }
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

/// What ships of a file: its tests at the foot may use what they like.
fn shipped(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// The modules that a file declares, in order.
fn declared(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| {
        let line = line.strip_suffix(';')?;
        let (_, name) = line.rsplit_once("mod ")?;
        let before = line.strip_suffix(name)?.trim_end().strip_suffix("mod")?.trim_end();
        matches!(before, "" | "pub" | "pub(crate)" | "pub(super)").then(|| name.to_owned())
    });
    names.collect()
}

/// The paths from the crate's root that a file names with `crate::` or `super::`.
fn references(text: &str, module: &Module) -> Vec<Module> {
    let mut found = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let plain = !line.get(..at).is_some_and(|before| before.ends_with(['$', ':', '_']));
            if plain {
                found.extend(targets(&[], line.get(at + 7..).unwrap_or_default()));
            }
        }
        if let Some((at, _)) = line.match_indices("super::").next() {
            let mut rest = line.get(at..).unwrap_or_default();
            let mut base: &[String] = module;
            while let Some(after) = rest.strip_prefix("super::") {
                rest = after;
                base = base.split_last().map_or(base, |(_, parents)| parents);
            }
            found.extend(targets(base, rest));
        }
    }
    found
}

/// `a::b::C` or `{a, b::C}` behind a base.
fn targets(base: &[String], rest: &str) -> Vec<Module> {
    let (all, several) = rest.strip_prefix('{').map_or((rest, false), |inner| (inner, true));
    let parts: Vec<&str> = if several { all.split(',').collect() } else { vec![all] };
    let paths = parts.into_iter().map(|part| {
        let words = part.trim().split("::").map(|word| {
            word.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        });
        base.iter().cloned().chain(words.take_while(|word| !word.is_empty())).collect()
    });
    paths.collect()
}

/// The two siblings of which the first uses the second although it stands above it in their list.
fn upward<'a>(lists: &Lists, from: &'a Module, to: &'a Module) -> Option<(&'a str, &'a str)> {
    let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let (low, high) = (from.get(common)?, to.get(common)?);
    let list = lists.get(from.get(..common)?)?;
    let place = |name: &String| list.iter().position(|listed| listed == name);
    (place(low)? < place(high)?).then_some((low.as_str(), high.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(texts: &[(&str, &str)]) -> usize {
        let files: Vec<Source> = texts
            .iter()
            .map(|(path, text)| Source { path: path.into(), text: (*text).to_owned() })
            .collect();
        check(&files).len()
    }

    #[test]
    fn a_module_may_use_those_above_it_only() {
        let root = ("crates/x/src/lib.rs", "pub mod low;\nmod high;\n");
        assert_eq!(
            findings(&[
                root,
                ("crates/x/src/high.rs", "use crate::low::A;"),
                ("crates/x/src/low.rs", "")
            ]),
            0
        );
        assert_eq!(
            findings(&[
                root,
                ("crates/x/src/low.rs", "use crate::high::A;"),
                ("crates/x/src/high.rs", "")
            ]),
            1
        );
        assert_eq!(
            findings(&[
                root,
                ("crates/x/src/low.rs", "fn f() { super::high::a() }"),
                ("crates/x/src/high.rs", "")
            ]),
            1
        );
        assert_eq!(
            findings(&[
                root,
                ("crates/x/src/low.rs", "use crate::{high, low};"),
                ("crates/x/src/high.rs", "")
            ]),
            1
        );
        assert_eq!(
            findings(&[
                root,
                ("crates/x/src/low.rs", "x\n#[cfg(test)]\nmod tests { use crate::high; }"),
                ("crates/x/src/high.rs", "")
            ]),
            0
        );
    }

    #[test]
    fn the_rule_holds_in_every_folder() {
        let files = [
            ("crates/x/src/lib.rs", "mod a;"),
            ("crates/x/src/a/mod.rs", "mod one;\nmod two;"),
            ("crates/x/src/a/one.rs", "use super::two::T;"),
            ("crates/x/src/a/two.rs", "use crate::a::one::O;"),
        ];
        assert_eq!(findings(&files), 1);
    }
}
