//! How an explanation of a request is shown to people.

use super::show::visible;
use crate::report::Report;
use serde_json::Value;

/// Shows what `/v1/requests/…/explain` answers.
pub(crate) fn show(report: Report, found: &Value) {
    if report.is_json() {
        report.json(found);
        return;
    }
    for line in lines(found) {
        report.text(&line);
    }
}

fn lines(found: &Value) -> Vec<String> {
    let text = |pointer: &str| found.pointer(pointer).and_then(Value::as_str).map(visible);
    let provider = text("/provider").unwrap_or_default();
    let mut lines = vec![match (found.get("verified"), text("/secret/hint")) {
        (Some(Value::Bool(true)), Some(hint)) => {
            let number = found.pointer("/secret/number").unwrap_or(&Value::Null);
            format!("verified: signed by secret {number} ({hint}) as {provider} signs")
        }
        (Some(Value::Bool(true)), None) => format!("verified, as {provider} is checked"),
        _ => format!("does not verify: {}", text("/refusal/detail").unwrap_or_default()),
    }];
    let clock = found.get("skew_ms").and_then(Value::as_i64).map(skew);
    for (name, value) in [
        ("source", text("/source")),
        ("type", text("/event_type")),
        ("id", text("/event_id")),
        ("where", text("/place")),
        ("clock", clock),
        ("url", text("/url").filter(|_| found.get("url_signed") == Some(&Value::Bool(true)))),
        ("signature", text("/received")),
        ("signs", text("/signed_text").map(|signed| clipped(&signed))),
    ] {
        lines.extend(value.map(|value| format!("  {name:<9} {value}")));
    }
    for finding in found.get("findings").and_then(Value::as_array).into_iter().flatten() {
        let proved = finding.get("proved") == Some(&Value::Bool(true));
        let detail = finding.get("detail").and_then(Value::as_str).unwrap_or_default();
        let how = if proved { "found" } else { "perhaps" };
        lines.push(format!("\n{how}: {}", visible(detail)));
    }
    lines.extend(text("/doubt").map(|doubt| format!("\nnote: {doubt}")));
    lines
}

/// How far the clock is from the request's own time.
pub(super) fn skew(ms: i64) -> String {
    let seconds = ms.unsigned_abs().div_ceil(1000);
    let side = if ms < 0 { "behind" } else { "after" };
    format!("{seconds} s {side} the request's own time")
}

/// The beginning of what is signed; the whole stands in `--json`.
pub(super) fn clipped(text: &str) -> String {
    let shown: String = text.chars().take(SIGNED_SHOWN).collect();
    if shown.len() < text.len() { format!("{shown} … (whole with --json)") } else { shown }
}

/// Characters of the signed text that are shown to people.
const SIGNED_SHOWN: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_people_see() {
        let found = json!({
            "source": "shop", "provider": "stripe", "verified": false, "secret": null,
            "refusal": {"code": "no_match", "detail": "no signature matches"},
            "findings": [{"code": "reserialised", "proved": true, "detail": "The body was parsed."}],
            "place": "the header stripe-signature", "received": "t=1,v1=ab", "signed_text": "1.{}",
            "skew_ms": 1500, "at": "2026-01-01T00:00:00Z", "url": "https://x/in/shop", "url_signed": true,
            "event_type": "invoice.paid", "event_id": null, "doubt": null,
        });
        assert_eq!(
            lines(&found).join("\n"),
            "does not verify: no signature matches\n  source    shop\n  type      invoice.paid\n  where     the header \
             stripe-signature\n  clock     2 s after the request's own time\n  url       https://x/in/shop\n  signature \
             t=1,v1=ab\n  signs     1.{}\n\nfound: The body was parsed."
        );
        // A URL that nobody signs was perhaps called otherwise, and does not matter.
        let good = json!({
            "provider": "stripe", "verified": true, "secret": {"number": 2, "hint": "whse…ab12"}, "findings": [],
            "url": "https://x/in/shop", "url_signed": false,
        });
        assert_eq!(lines(&good), ["verified: signed by secret 2 (whse…ab12) as stripe signs"]);
    }
}
