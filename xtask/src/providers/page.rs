//! The pages in `docs/providers/`: one for each row, and an index.

use super::evidence::Evidence;
use super::{trying, words};
use doorbell_core::header::{ORIGINAL, is_ours};
use std::fmt::Write as _;
use webhook_signatures::{Provider, Scheme, SecretNeed, Signed};

/// All pages: the file's name and its text.
pub(super) fn all(rows: &[(&Provider, Evidence)]) -> Vec<(String, String)> {
    let mut pages = vec![("README.md".to_owned(), index(rows))];
    pages.extend(
        rows.iter().map(|(row, evidence)| (format!("{}.md", row.name), page(row, evidence))),
    );
    pages
}

const MADE: &str =
    "<!-- Made from the rows of webhook-signatures by `cargo xtask providers --write`. -->\n";

fn index(rows: &[(&Provider, Evidence)]) -> String {
    let mut text = format!(
        "{MADE}# Providers\n\nWho can be verified, how, and what shows that it is right: *judge* is a library of the provider's or \
         another's\nthat agreed, *vector* a captured or published request, *example* a published example in a test, *source* what was \
         only read,\n*uncertain* what is from general knowledge. A scheme of your own: `hmac`, `token`, `basic`, `bearer`.\n\n\
         | provider | name | scheme | sure | shown by |\n|---|---|---|---|---|\n"
    );
    for (row, evidence) in rows {
        let line =
            (&row.title, &row.name, words::family(row), evidence.sure(row), evidence.shown());
        let (title, name, family, sure, shown) = line;
        let _infallible =
            writeln!(text, "| [{title}]({name}.md) | `{name}` | {family} | {sure} | {shown} |");
    }
    text
}

fn page(row: &Provider, evidence: &Evidence) -> String {
    let mut text = format!("{MADE}# {}\n\n", row.title);
    if !row.docs.is_empty() {
        let _infallible = writeln!(text, "Its own page about this: <{}>\n", row.docs);
    }
    text += "## Set it up\n\n";
    text += &set_up(row);
    text += "\n## What is checked\n\n";
    for check in words::checks(row) {
        let _infallible = writeln!(text, "- {check}");
    }
    text += &passed_on(row);
    text += &facts(row, evidence);
    if !row.caveats.is_empty() {
        text += "\n## Traps\n\n";
        for caveat in &row.caveats {
            let _infallible = writeln!(text, "- {caveat}");
        }
    }
    text += &try_it(row, evidence);
    let shown = match evidence.shown() {
        shown if shown == "-" => words::claim(&row.confidence),
        shown => shown,
    };
    let _infallible = writeln!(text, "\n## How sure we are\n\n{} ({shown}).", sure(row, evidence));
    text
}

/// Headers of the sender's that stand under another name in the request which the operator's service gets: its own by those
/// names are Doorbell's.
fn passed_on(row: &Provider) -> String {
    let signed = row.schemes.iter().filter_map(Scheme::as_signed);
    let ours = |signed: &Signed| {
        let mut names = signed.signatures.iter().filter_map(|place| place.at.as_header());
        names.any(is_ours)
    };
    if !signed.into_iter().any(ours) {
        return String::new();
    }
    format!(
        "\nIn the request that your service gets, the headers `webhook-…` are Doorbell's own, by the secret of the endpoint. \
         Those of the sender stand beside them as `{ORIGINAL}webhook-…`, values as they came: to check the sender's \
         signature once more, give its library these under their first names.\n"
    )
}

fn sure(row: &Provider, evidence: &Evidence) -> &'static str {
    match evidence.sure(row) {
        "judge" => "A library of somebody else's agrees",
        "vector" => "Captured requests agree",
        "example" => "A published example agrees",
        "definition" => "By definition",
        "source" => "Read and not tried against the provider",
        _ => "From general knowledge: check before you rely on it",
    }
}

fn set_up(row: &Provider) -> String {
    let name = &row.name;
    let address = format!("{}{name}", trying::PUBLIC);
    let required = row.settings.iter().filter(|setting| setting.required);
    let options: String = required.map(|setting| trying::option(row, setting)).collect();
    let need = row.secret_need();
    let secret = match need {
        SecretNeed::Required | SecretNeed::OrSetting => " --secret \"$SECRET\"",
        SecretNeed::HandedOut | SecretNeed::Fetched | SecretNeed::None => "",
    };
    let url = if row.signs_url() { format!(" --set public_url={address}") } else { String::new() };
    let mut text = format!(
        "```sh\ndoorbell source create {name} --provider {name}{secret}{options}{url}\n```\n\n"
    );
    let _infallible = writeln!(
        text,
        "{} The URL: `{address}`, with your own host in place of this one.",
        row.setup
    );
    if !row.setup_source.is_empty() {
        let _infallible = writeln!(text, "Read in <{}>.", row.setup_source);
    }
    if row.signs_url() {
        text += "It is signed: `public_url` must be what the provider calls, to the letter.\n";
    }
    text += &secrets(row, need);
    if !row.settings.is_empty() {
        text += "\n| option | what it is | |\n|---|---|---|\n";
        for setting in &row.settings {
            let must = if setting.required { "required" } else { "" };
            let _infallible = writeln!(text, "| `{}` | {} | {must} |", setting.name, setting.title);
        }
    }
    text
}

/// What is to be known about the secret.
fn secrets(row: &Provider, need: SecretNeed) -> String {
    let form = trying::secret(row).unwrap_or_default();
    match need {
        SecretNeed::Required => format!("\n{form}\n"),
        SecretNeed::HandedOut => {
            "\nThe provider hands the secret out in its first request; the source begins without one.\n".to_owned()
        }
        SecretNeed::Fetched => {
            "\nNo secret is needed: the provider's public key is fetched.\n".to_owned()
        }
        SecretNeed::OrSetting => {
            format!("\n{form} With the option `jwks_url` in its place, public keys are fetched from there.\n")
        }
        SecretNeed::None => "\nThere is no secret.\n".to_owned(),
    }
}

fn facts(row: &Provider, evidence: &Evidence) -> String {
    let field = |field: &Option<webhook_signatures::Field>| {
        field.as_ref().map_or_else(|| "none".to_owned(), words::field)
    };
    let mut text = String::from("\n## What it wants\n\n");
    let response = &row.response;
    let body = if response.body.is_empty() { "" } else { " with a body" };
    let mut lines = vec![
        format!(
            "Answer: {}{body}; {}{} for a wrong signature.",
            response.success,
            response.bad_signature,
            if response.bad_body.is_empty() { "" } else { " with a body" }
        ),
        format!("Event id, by which a repetition is known: {}.", field(&row.event_id)),
        format!("Event type: {}.", field(&row.event_type)),
    ];
    if let Some(ms) = row.deadline_ms {
        lines.push(format!("Deadline: {} s.", f64::from(ms) / 1000.0));
    }
    if !row.retries.is_empty() {
        lines.push(format!("Retries: {}.", row.retries));
    }
    let captured = if evidence.handshakes > 0 { "" } else { " (no captured one to test against)" };
    for challenge in &row.challenges {
        lines.push(format!("Handshake: {}{captured}.", words::question(*challenge).1));
    }
    for line in lines {
        let _infallible = writeln!(text, "- {line}");
    }
    text
}

fn try_it(row: &Provider, evidence: &Evidence) -> String {
    let mut text = trying::section(row);
    if evidence.samples.is_empty() {
        if text.contains("```") {
            text += trying::PLAIN;
        }
        return text;
    }
    let all: Vec<_> = evidence.samples.iter().map(|kind| format!("`{kind}`")).collect();
    let _infallible = writeln!(text, "\nSamples: {}.", all.join(", "));
    text
}
