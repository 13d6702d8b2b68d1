//! Each row says how its webhook is made at the provider.

use std::collections::BTreeMap;
use webhook_signatures::{Provider, all};

/// The shortest text that can say where, what and which secret.
const SHORTEST: usize = 40;
/// Signs of a text that somebody meant to write later.
const PLACEHOLDERS: [&str; 6] = ["todo", "tbd", "fixme", "xxx", "lorem", "placeholder"];

/// What is wrong with a row's text.
fn faults(row: &Provider) -> Vec<String> {
    let text = row.setup.as_ref();
    let lower = text.to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    let mut faults = Vec::new();
    let mut fault = |wrong: bool, what: &str| {
        if wrong {
            faults.push(format!("{}: {what}", row.name));
        }
    };
    fault(text.chars().count() < SHORTEST, "says too little about setting it up");
    fault(PLACEHOLDERS.iter().any(|word| words.contains(word)), "has a placeholder");
    fault(!text.contains("the URL below"), "does not say where the URL below goes");
    fault(!text.ends_with('.'), "does not end with a full stop: the page goes on behind it");
    fault(text.contains("  ") || text.contains('\n'), "has a break or two blanks in a sentence");
    let source = row.setup_source.as_ref();
    fault(!source.is_empty() && !source.starts_with("https://"), "was read in no page of the web");
    fault(text.matches('`').count() % 2 != 0, "has a backtick without another");
    faults
}

#[test]
fn every_row_says_how_it_is_set_up() {
    let faults: Vec<String> = all().iter().flat_map(faults).collect();
    assert!(faults.is_empty(), "see .setup(…) in the crate's README:\n{}", faults.join("\n"));
}

/// A text that was copied from another row is about another console.
#[test]
fn no_two_providers_share_a_text() {
    let mut by_text: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in all() {
        by_text.entry(&row.setup).or_default().push(&row.name);
    }
    let shared: Vec<_> = by_text.into_values().filter(|names| names.len() > 1).collect();
    let variants =
        [["aws-sns", "aws-sns-v2"], ["hubspot", "hubspot-v3"], ["twilio", "twilio-sha256"]];
    for names in shared {
        assert!(variants.iter().any(|variant| *variant == names[..]), "{names:?}");
    }
}

#[test]
fn a_bad_text_is_found() {
    let mut row = webhook_signatures::find("github").unwrap().clone();
    assert!(faults(&row).is_empty());
    for bad in
        ["", "Add the URL below.", "Placeholder: find out where in the console the URL below goes."]
    {
        row.setup = bad.into();
        assert!(!faults(&row).is_empty(), "{bad}");
    }
    let mut row = webhook_signatures::find("github").unwrap().clone();
    row.setup_source = "a book".into();
    assert!(!faults(&row).is_empty());
}
