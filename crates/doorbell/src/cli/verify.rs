//! `doorbell verify`: a captured request against a provider's secret, without a server and without the network.

use super::explained;
use super::provider::{Keys, time};
use super::show::visible;
use crate::captured::{self, CAPTURED_MAX, Captured};
use crate::report::{Report, Verdict};
use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};
use webhook_signatures::{
    Certainty, Described, Explanation, Incoming, Provider, describe, explain, recognise,
};

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The captured request: raw HTTP, a curl command, a HAR entry, or what `doorbell request get --json` prints; `-`
    /// reads standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Who sent it: github, stripe, …; `doorbell providers` lists them
    #[arg(long)]
    provider: Option<String>,
    #[command(flatten)]
    keys: Keys,
    /// When it came in: RFC 3339 or Unix seconds [default: what the capture says, else now]
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
    /// The address that the provider called, for schemes that sign it [default: what the capture says]
    #[arg(long)]
    url: Option<String>,
    /// A file with the body's bytes, in place of the capture's body
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
}

pub(crate) fn run(asked: &Verify, report: Report) -> Result<Verdict> {
    let mut captured = captured::parse(&read(&asked.file)?)?;
    if let Some(body) = &asked.body {
        captured.body = read(body)?;
        captured.doubt = None;
    }
    if let Some(url) = &asked.url {
        captured.url.clone_from(url);
        captured.assumed_before = None;
    }
    let incoming = Incoming {
        method: &captured.method,
        url: &captured.url,
        headers: &captured.headers,
        body: &captured.body,
    };
    let Some(name) = &asked.provider else { bail!(guess(&incoming)) };
    let (row, secrets) = asked.keys.read(name)?;
    let now = time(asked.now.as_deref().or(captured.at.as_deref()))?;
    let found = explain(&row, &secrets, &[], &incoming, now.unix_seconds());
    let described = describe(&row, &incoming);
    if report.is_json() {
        report.json(&document(&captured, &row, &found, &described));
    } else {
        show(&captured, &row, &found, &described, report);
    }
    Ok(if found.verdict.is_ok() { Verdict::Good } else { Verdict::Bad })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let most = u64::try_from(CAPTURED_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        let file = std::fs::File::open(path);
        let file = file.with_context(|| format!("{} cannot be read", path.display()))?;
        file.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn guess(incoming: &Incoming<'_>) -> String {
    let like = recognise(incoming);
    if like.is_empty() {
        return "say who sent it with --provider; `doorbell providers` lists them".to_owned();
    }
    format!("say who sent it: the headers look like --provider {}", like.join(" or --provider "))
}

fn document(all: &Captured, row: &Provider, found: &Explanation, described: &Described) -> Value {
    let findings = found.findings.iter().map(|finding| {
        json!({
            "code": finding.code, "proved": finding.certainty == Certainty::Proved, "detail": finding.sentence,
        })
    });
    json!({
        "verified": found.verdict.is_ok(),
        "provider": row.name,
        "secret": found.verdict.as_ref().ok().and_then(|verified| verified.secret()),
        "refusal": found.verdict.as_ref().err().map(ToString::to_string),
        "event_type": described.event_type, "event_id": described.event_id,
        "findings": findings.collect::<Vec<_>>(),
        "signed_text": found.signed_text, "received": found.received, "place": found.place,
        "skew_ms": found.skew_ms, "doubt": all.doubt,
    })
}

fn show(
    all: &Captured,
    row: &Provider,
    found: &Explanation,
    described: &Described,
    report: Report,
) {
    let line = |name: &str, text: &str| report.text(&format!("  {name:<9} {}", visible(text)));
    match &found.verdict {
        Ok(verified) => {
            let which =
                verified.secret().map_or_else(String::new, |at| format!(" by secret {}", at + 1));
            report.text(&format!("verified: signed{which} as {} signs", row.title));
        }
        Err(refusal) => report.text(&format!("does not verify: {refusal}")),
    }
    line("request", &format!("{} {}, {} bytes", all.method, shown_url(all, row), all.body.len()));
    for (name, value) in [("type", &described.event_type), ("id", &described.event_id)] {
        if let Some(value) = value {
            line(name, value);
        }
    }
    if let Some(place) = &found.place {
        line("where", place);
    }
    if let Some(ms) = found.skew_ms {
        line("clock", &explained::skew(ms));
    }
    if found.verdict.is_ok() {
        return;
    }
    if let Some(received) = &found.received {
        line("signature", received);
    }
    if let Some(signed) = &found.signed_text {
        line("signs", &explained::clipped(signed));
    }
    for finding in &found.findings {
        let how = if finding.certainty == Certainty::Proved { "found" } else { "perhaps" };
        report.text(&format!("\n{how}: {}", visible(&finding.sentence)));
    }
    if let Some(doubt) = &all.doubt {
        report.text(&format!("\nnote: {}", visible(doubt)));
    }
}

/// The address as the capture has it. Where it only has a path, the rest is assumed, which is told where it is signed.
fn shown_url<'a>(all: &'a Captured, row: &Provider) -> &'a str {
    let assumed = all.assumed_before.filter(|_| !row.signs_url());
    assumed.and_then(|end| all.url.get(end..)).unwrap_or(&all.url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(capture: &str, secret: &str) -> Option<Verdict> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("captured");
        std::fs::write(&file, capture).unwrap();
        let keys = Keys { secrets: vec![secret.to_owned()], ..Keys::default() };
        let provider = Some("github".to_owned());
        let asked = Verify { file, provider, keys, now: None, url: None, body: None };
        run(&asked, Report::new(true)).ok()
    }

    /// The example that GitHub publishes.
    const SIGNED: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    const SECRET: &str = "It's a Secret to Everybody";

    #[test]
    fn what_is_assumed_of_the_address_is_told_where_it_is_signed() {
        let raw = b"POST /in/a?b HTTP/1.1\r\nHost: h.example.com\r\n\r\n";
        let mut all = captured::parse(raw).unwrap();
        let shown = |all: &Captured, name| {
            shown_url(all, webhook_signatures::find(name).unwrap()).to_owned()
        };
        assert_eq!(shown(&all, "github"), "/in/a?b");
        assert_eq!(shown(&all, "twilio"), "https://h.example.com/in/a?b");
        all = captured::parse(b"curl http://h.example.com/in/a -d x").unwrap();
        assert_eq!(shown(&all, "github"), "http://h.example.com/in/a");
    }

    #[test]
    fn one_request_in_three_forms() {
        let raw = format!(
            "POST / HTTP/1.1\nX-Hub-Signature-256: {SIGNED}\nContent-Length: 13\n\nHello, World!\n"
        );
        let curl = format!("curl http://x -H 'X-Hub-Signature-256: {SIGNED}' -d 'Hello, World!'");
        let har = json!({"request": {
            "method": "POST", "url": "http://x/", "postData": {"text": "Hello, World!"},
            "headers": [{"name": "X-Hub-Signature-256", "value": SIGNED}],
        }});
        for capture in [raw, curl, har.to_string()] {
            assert_eq!(verdict(&capture, SECRET), Some(Verdict::Good), "{capture}");
            assert_eq!(verdict(&capture, "another"), Some(Verdict::Bad), "{capture}");
        }
        assert_eq!(verdict("nothing of the kind", SECRET), None);
    }
}
