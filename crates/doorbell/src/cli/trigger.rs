//! `doorbell trigger`: a provider's sample webhook, signed as the provider signs, sent to any URL.

use super::provider::Keys;
use super::providers;
use super::show::visible;
use crate::remote::{read_certificates, send};
use crate::report::{Report, Verdict};
use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use doorbell_server::clock::Clock;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use serde_json::json;
use std::path::PathBuf;
use url::{Position, Url};
use webhook_signatures::{Field, Origin, Sample, Signature, ToSign, find, sample, samples, sign};

/// Bytes of the answer that are shown.
const ANSWER_SHOWN: usize = 2_000;

/// What to send where.
#[derive(Debug, Args)]
pub(crate) struct Trigger {
    /// Who seems to send: github, stripe, …
    #[arg(required_unless_present = "list")]
    provider: Option<String>,
    /// Which event [default: the provider's first sample]
    event: Option<String>,
    /// Where to
    #[arg(long, value_name = "URL", required_unless_present = "list")]
    to: Option<Url>,
    #[command(flatten)]
    keys: Keys,
    /// A certificate (PEM) to believe beside the public ones
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// List the samples there are
    #[arg(long)]
    list: bool,
}

pub(crate) async fn run(asked: &Trigger, report: Report) -> Result<Verdict> {
    let (Some(name), Some(to), false) = (&asked.provider, &asked.to, asked.list) else {
        list(asked.provider.as_deref(), report);
        return Ok(Verdict::Good);
    };
    ensure!(matches!(to.scheme(), "http" | "https"), "--to {to}: write an http:// or https:// URL");
    let sample = chosen(name, asked.event.as_deref())?;
    let roots = asked.ca_file.as_deref().map_or(Ok(Vec::new()), read_certificates)?;
    let (url, request) = signed(sample, &asked.keys, to)?;
    let (clock, start) = (Clock::real(), Clock::real().now());
    let answer = send(&url, &roots, request).await?;
    let (status, took) = (answer.status(), clock.now().since(start));
    let kept_as = answer.headers().get("doorbell-request-id").and_then(|id| id.to_str().ok());
    let kept_as = kept_as.map(visible);
    let body = http_body_util::Limited::new(answer.into_body(), 1 << 20).collect().await;
    let body = body.map_err(|error| anyhow!(error)).context("the answer broke off")?.to_bytes();
    let shown = String::from_utf8_lossy(body.get(..ANSWER_SHOWN).unwrap_or(&body)).into_owned();
    if report.is_json() {
        report.json(&json!({
            "provider": sample.provider, "event_type": sample.event_type, "to": url.as_str(),
            "status": status.as_u16(), "took_ms": u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "body": shown,
            "request": kept_as,
        }));
    } else {
        report.text(&format!("──▶ {} {} to {url}", sample.provider, sample.event_type));
        report.text(&format!("◀── {status} after {} ms", took.as_millis()));
        if !shown.trim().is_empty() {
            report.text(&format!("    {}", visible(shown.trim_end())));
        }
        if let Some(id) = kept_as {
            report.text(&format!(
                "    kept as {id}: `doorbell request get {id}` shows what became of it"
            ));
        }
    }
    Ok(if status.is_success() { Verdict::Good } else { Verdict::Bad })
}

fn list(provider: Option<&str>, report: Report) {
    let wanted = samples().iter().filter(|one| provider.is_none_or(|name| one.provider == name));
    if report.is_json() {
        let rows = wanted.map(|one| {
            let from = if let Origin::Published(from) = one.origin { Some(from) } else { None };
            json!({"provider": one.provider, "event_type": one.event_type, "bytes": one.body.len(), "published_in": from})
        });
        report.json(&json!({ "data": rows.collect::<Vec<_>>() }));
        return;
    }
    let row = |one: &Sample| {
        let from = match one.origin {
            Origin::Published(from) => from,
            Origin::Made => "made up in the provider's form",
            Origin::Plain => "only the fields that are read here",
        };
        vec![one.provider.into(), one.event_type.into(), one.body.len().to_string(), from.into()]
    };
    report.table(&["PROVIDER", "EVENT", "BYTES", "FROM"], wanted.map(row).collect());
}

fn chosen(provider: &str, event: Option<&str>) -> Result<&'static Sample> {
    if let Some(found) = sample(provider, event) {
        return Ok(found);
    }
    let own: Vec<&str> =
        samples().iter().filter(|one| one.provider == provider).map(|one| one.event_type).collect();
    Err(match (find(provider), own.as_slice()) {
        (None, _) => anyhow!(providers::unknown(provider)),
        (Some(_), []) => {
            anyhow!(
                "there is no sample of {provider}: `doorbell trigger --list` lists those there are"
            )
        }
        (Some(_), own) => anyhow!("{provider} has no such sample: there is {}", own.join(", ")),
    })
}

/// The request with its signature, and where it goes.
fn signed(sample: &Sample, keys: &Keys, to: &Url) -> Result<(Url, Request<Full<Bytes>>)> {
    let (row, secrets) = keys.read(sample.provider)?;
    let mut headers = vec![("content-type", sample.content_type)];
    headers.extend(sample.headers);
    let clock = Clock::real();
    let id = format!("msg_{:032x}", clock.dice());
    if let Some(name) = row.event_id.as_ref().and_then(Field::as_header) {
        // A new event each time, as the provider would send it.
        headers.push((name, &id));
    }
    let to_sign = ToSign {
        id: &id,
        now: clock.now().unix_seconds(),
        url: to.as_str(),
        method: "POST",
        headers: &headers,
        body: sample.body,
    };
    let made = match secrets.first() {
        Some(secret) => sign(&row, secret, &to_sign).with_context(|| format!("as {}", row.name))?,
        None => Signature::default(),
    };
    let url = made.url.as_deref().map_or(Ok(to.clone()), Url::parse)?;
    let body = made.body.map_or(Bytes::from_static(sample.body), Bytes::from);
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let mut request = Request::post(path).header("host", host).body(Full::new(body))?;
    let all = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let signature = made.headers.into_iter().map(|(name, value)| (name.to_string(), value));
    for (name, value) in all.chain(signature) {
        // What signing adds takes the place of what was there.
        request.headers_mut().insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    Ok((url, request))
}

#[cfg(test)]
mod tests {
    use super::*;
    use webhook_signatures::{Incoming, describe, verify};

    #[tokio::test]
    async fn what_is_sent_verifies() {
        let to = Url::parse("http://127.0.0.1:8080/in/x?a=b").unwrap();
        for name in ["github", "stripe", "slack", "shopify", "standard-webhooks"] {
            let secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=".to_owned();
            let keys = Keys { secrets: vec![secret], ..Keys::default() };
            let sample = chosen(name, None).unwrap();
            let (url, request) = signed(sample, &keys, &to).unwrap();
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let headers: Vec<(&str, &[u8])> =
                parts.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
            let incoming =
                Incoming { method: "POST", url: url.as_str(), headers: &headers, body: &body };
            let (row, secrets) = keys.read(name).unwrap();
            let now = Clock::real().now().unix_seconds();
            assert!(verify(&row, &secrets, &incoming, now).is_ok(), "{name}");
            assert_eq!(describe(&row, &incoming).event_type.as_deref(), Some(sample.event_type));
            assert_eq!(
                (parts.uri.to_string(), parts.headers["host"].to_str().unwrap()),
                ("/in/x?a=b".to_owned(), "127.0.0.1:8080")
            );
        }
        assert!(chosen("github", Some("nope")).unwrap_err().to_string().contains("push"));
        assert!(chosen("githu", None).unwrap_err().to_string().contains("did you mean github"));
    }
}
