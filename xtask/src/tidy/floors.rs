//! Floors inside a crate: a file that declares modules lists them in the order in which they rest on each other, and no
//! module reaches for one that stands below it in that list. So there are no circles.

use super::Source;
use super::order::{self, Uses};
use std::collections::BTreeMap;
use std::path::Path;

/// A module's path from its crate's root; the root's is empty.
type Module = Vec<String>;

/// Checks every crate.
pub(super) fn check(files: &[Source]) -> Vec<String> {
    crates(files).values().flat_map(|files| check_crate(files)).collect()
}

/// The files of each crate, each with the module that it holds.
fn crates(files: &[Source]) -> BTreeMap<String, Vec<(&Source, Module)>> {
    let mut crates = BTreeMap::<String, Vec<(&Source, Module)>>::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        if let Some((root, module)) = place(&file.path) {
            crates.entry(root).or_default().push((file, module));
        }
    }
    crates
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
    let mut findings = Vec::new();
    for (file, names, uses) in lists(files) {
        let place = |name: &String| names.iter().position(|listed| listed == name);
        for (low, needs) in &uses {
            let above = needs.iter().filter(|high| place(low) < place(high));
            findings.extend(above.map(|high| {
                format!("{}: `{low}` uses `{high}`, which is listed after it", file.shown())
            }));
        }
    }
    findings
}

/// Files whose modules could be listed in a better order: the path and the new text, or what stands in the way.
pub(super) fn better(files: &[Source]) -> Vec<(&Source, Result<String, Vec<String>>)> {
    let mut found = Vec::new();
    for files in crates(files).values() {
        for (file, names, uses) in lists(files) {
            match order::sorted(&names, &uses) {
                Ok(sorted) if sorted == names => {}
                Ok(sorted) => {
                    found.push((file, Ok(order::rewritten(&file.text, &sorted, declaration))));
                }
                Err(circle) => found.push((file, Err(circle))),
            }
        }
    }
    found
}

/// Each file that declares modules, which it declares, and which of those use which.
fn lists<'a>(files: &[(&'a Source, Module)]) -> Vec<(&'a Source, Vec<String>, Uses)> {
    let mut lists: BTreeMap<&Module, (&Source, Vec<String>, Uses)> = BTreeMap::new();
    for (file, module) in files {
        lists.insert(module, (file, declared(shipped(&file.text)), Uses::new()));
    }
    for (file, module) in files {
        for used in references(shipped(&file.text), module) {
            let common = module.iter().zip(&used).take_while(|(a, b)| a == b).count();
            let (Some(low), Some(high)) = (module.get(common), used.get(common)) else { continue };
            let Some((_, names, uses)) =
                module.get(..common).and_then(|m| lists.get_mut(&m.to_vec()))
            else {
                continue;
            };
            if names.contains(low) && names.contains(high) {
                uses.entry(low.clone()).or_default().insert(high.clone());
            }
        }
    }
    lists.into_values().collect()
}

/// What ships of a file: its tests at the foot may use what they like.
fn shipped(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// The modules that a file declares, in order.
fn declared(text: &str) -> Vec<String> {
    text.lines().filter_map(declaration).collect()
}

/// The name in `mod name;`.
fn declaration(line: &str) -> Option<String> {
    let (before, name) = line.strip_suffix(';')?.rsplit_once("mod ")?;
    matches!(before, "" | "pub " | "pub(crate) " | "pub(super) ").then(|| name.to_owned())
}

/// The paths from the crate's root that a file names with `crate::` or `super::`.
fn references(text: &str, module: &Module) -> Vec<Module> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let plain = !code.get(..at).is_some_and(|before| before.ends_with(['$', ':', '_']));
        if plain {
            found.extend(targets(&[], code.get(at + 7..).unwrap_or_default()));
        }
    }
    for (at, _) in code.match_indices("super::") {
        // Only the first of `super::super::…`.
        if code.get(..at).is_some_and(|before| before.ends_with("super::")) {
            continue;
        }
        let (mut rest, mut base): (&str, &[String]) = (code.get(at..).unwrap_or_default(), module);
        while let Some(after) = rest.strip_prefix("super::") {
            rest = after;
            base = base.split_last().map_or(base, |(_, parents)| parents);
        }
        found.extend(targets(base, rest));
    }
    found
}

/// `a::b::C` or `{a, b::C}` behind a base.
fn targets(base: &[String], rest: &str) -> Vec<Module> {
    let inner =
        rest.strip_prefix('{').map(|inner| inner.split([';', '}']).next().unwrap_or_default());
    let (all, several) = inner.map_or((rest, false), |inner| (inner, true));
    let parts: Vec<&str> = if several { all.split(',').collect() } else { vec![all] };
    let paths = parts.into_iter().map(|part| {
        let words = part.trim().split("::").map(|word| {
            word.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
        });
        base.iter().cloned().chain(words.take_while(|word| !word.is_empty())).collect()
    });
    paths.collect()
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
