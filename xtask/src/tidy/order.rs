//! Puts the modules of a file in the order in which they rest on each other, where there is one.

use std::collections::{BTreeMap, BTreeSet};

/// Which module uses which siblings.
pub(super) type Uses = BTreeMap<String, BTreeSet<String>>;

/// The names, each behind all that it uses, otherwise as they stood; or the names of a circle.
pub(super) fn sorted(names: &[String], uses: &Uses) -> Result<Vec<String>, Vec<String>> {
    let (mut left, mut done) = (names.to_vec(), Vec::new());
    while !left.is_empty() {
        let is_free = |name: &String| {
            let needs = uses.get(name);
            needs.is_none_or(|needs| {
                left.iter().all(|other| other == name || !needs.contains(other))
            })
        };
        let Some(at) = left.iter().position(is_free) else { return Err(left) };
        done.push(left.remove(at));
    }
    Ok(done)
}

/// The text with its declarations in that order; what stands right above a declaration goes with it.
pub(super) fn rewritten(
    text: &str,
    order: &[String],
    name_of: impl Fn(&str) -> Option<String>,
) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut spans = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = name_of(line) else { continue };
        let above = lines.get(..at).unwrap_or_default().iter().rev();
        let from =
            at - above.take_while(|line| line.starts_with("#[") || line.starts_with("///")).count();
        spans.push((name, from, at));
    }
    let mut places = spans.iter();
    let (mut out, mut next) = (Vec::new(), 0);
    for name in order {
        let (Some((_, from, to)), Some(wanted)) =
            (places.next(), spans.iter().find(|(n, ..)| n == name))
        else {
            break;
        };
        out.extend_from_slice(lines.get(next..*from).unwrap_or_default());
        out.extend_from_slice(lines.get(wanted.1..=wanted.2).unwrap_or_default());
        next = to + 1;
    }
    out.extend_from_slice(lines.get(next..).unwrap_or_default());
    out.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(pairs: &[(&str, &str)]) -> Uses {
        let mut uses = Uses::new();
        for (from, to) in pairs {
            uses.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        uses
    }

    #[test]
    fn sorts_and_finds_circles() {
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(sorted(&names, &uses(&[("a", "c"), ("c", "b")])).unwrap(), ["b", "c", "a"]);
        assert_eq!(sorted(&names, &uses(&[("a", "c"), ("c", "a")])).unwrap_err(), ["a", "c"]);
    }

    #[test]
    fn declarations_move_with_what_stands_above_them() {
        let text = "//! X.\n\n/// Of a.\nmod a;\nmod b;\n\nuse b::B;\n";
        let name_of = |line: &str| line.strip_prefix("mod ")?.strip_suffix(';').map(str::to_owned);
        let order = ["b", "a"].map(str::to_owned);
        assert_eq!(
            rewritten(text, &order, name_of),
            "//! X.\n\nmod b;\n/// Of a.\nmod a;\n\nuse b::B;\n"
        );
    }
}
