//! What a check costs for each kind of scheme, beside the bare hash of the same bytes.

use super::Flags;
use super::report::{self, Row};
use anyhow::{Context, Result};
use ring::hmac;
use std::hint::black_box;
use std::time::Instant;
use webhook_signatures::{
    Hash, Incoming, Provider, Secret, ToSign, describe, find, sample, sign, verify,
};

const NOW: i64 = 1_767_225_600;
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const HEX: &str = "00112233445566778899aabbccddeeff";
const ED25519: &str = include_str!("../../../crates/webhook-signatures/tests/data/ed25519.pem");
const P256: &str = include_str!("../../../crates/webhook-signatures/tests/data/p256.pem");
const RSA: &str = include_str!("../../../crates/webhook-signatures/tests/data/rsa.pem");

/// A row of each kind, with a secret that can sign; by family.
const ROWS: [(&str, &str); 22] = [
    ("github", SECRET),
    ("shopify", SECRET),
    ("vercel", SECRET),
    ("onfleet", HEX),
    ("stripe", SECRET),
    ("slack", SECRET),
    ("standard-webhooks", SECRET),
    ("recurly", SECRET),
    ("coinbase-cdp", SECRET),
    ("contentful", SECRET),
    ("telegram", SECRET),
    ("basic", "user:password"),
    ("square", SECRET),
    ("hubspot", SECRET),
    ("twilio", SECRET),
    ("netlify", SECRET),
    ("http-signature-hmac", SECRET),
    ("adyen", HEX),
    ("discord", ED25519),
    ("http-signature", ED25519),
    ("sendgrid", P256),
    ("kick", RSA),
];

/// Microseconds of one call: the best of `rounds`, each of a hundredth of a second.
fn micros(rounds: u32, mut work: impl FnMut()) -> f64 {
    let begun = Instant::now();
    work();
    let once = begun.elapsed().as_nanos().max(10);
    let times = u32::try_from(10_000_000 / once).unwrap_or(u32::MAX).clamp(10, 100_000);
    let mut best = f64::MAX;
    for _ in 0..rounds.max(1) {
        let begun = Instant::now();
        (0..times).for_each(|_| work());
        best = best.min(begun.elapsed().as_secs_f64() / f64::from(times) * 1e6);
    }
    best
}

/// `bench verify`.
pub(super) fn run(flags: &Flags) -> Result<()> {
    let rounds = flags.rounds.max(5) * 4;
    let mut rows = Vec::new();
    for (name, secret) in ROWS {
        rows.push(one(name, secret, rounds).with_context(|| format!("{name} cannot be measured"))?);
    }
    report::keep("verify: a check of 1 KB beside the bare hash of the same bytes, us", &rows)
}

fn one(name: &str, secret: &str, rounds: u32) -> Result<Row> {
    let row = set_up(find(name).context("no such row")?);
    let secret = [Secret::parse(&row, secret)?];
    let (kind, body) = body(name);
    let lines = [("content-type", kind)];
    let url = "https://hooks.example.com/in/x?a=b";
    let request =
        ToSign { id: "evt_1", now: NOW, url, method: "POST", headers: &lines, body: &body };
    let signed = sign(&row, &secret[0], &request)?;
    // As many header lines as an ordinary request has.
    let mut headers: Vec<(String, String)> =
        (0..12).map(|n| (format!("x-other-header-{n}"), "value".to_owned())).collect();
    headers.push(("content-type".to_owned(), kind.to_owned()));
    headers.extend(signed.headers.into_iter().map(|(name, value)| (name.into_owned(), value)));
    let url = signed.url.unwrap_or_else(|| url.to_owned());
    let body = signed.body.unwrap_or(body);
    let incoming = Incoming { method: "POST", url: &url, headers: &headers, body: &body };
    verify(&row, &secret, &incoming, NOW)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key of some length for the bare HMAC");
    let hash = micros(rounds, || drop(black_box(Hash::Sha256.of(black_box(&body)))));
    let mac = micros(rounds, || _ = black_box(hmac::sign(&key, black_box(&body))));
    let check =
        micros(rounds, || drop(black_box(verify(&row, &secret, black_box(&incoming), NOW))));
    let said = micros(rounds, || drop(black_box(describe(&row, black_box(&incoming)))));
    Ok(Row::new(name)
        .number("bytes", body.len() as f64)
        .number("sha256", hash)
        .number("hmac", mac)
        .number("verify", check)
        .number("of_hash", check / hash)
        .number("describe", said))
}

fn set_up(row: &Provider) -> Provider {
    let mut own = row.clone();
    for setting in &row.settings {
        let value = if setting.name == "topic_arn" { "*" } else { "https://a.example/x" };
        let _known = own.set(&setting.name, value);
    }
    own
}

/// A body of the row's kind: its sample where the signature has its place in it, else 1 KB of JSON or form.
fn body(name: &str) -> (&'static str, Vec<u8>) {
    let filling = "x".repeat(980);
    match name {
        "adyen" => ("application/json", sample(name, None).map_or(&b"{}"[..], |s| s.body).to_vec()),
        "twilio" => (
            "application/x-www-form-urlencoded",
            format!("CallSid=1&From=%2B1&Body={filling}").into_bytes(),
        ),
        _ => {
            let text =
                format!("{{\"id\":\"evt_1\",\"type\":\"invoice.paid\",\"data\":\"{filling}\"}}");
            ("application/json", text.into_bytes())
        }
    }
}
