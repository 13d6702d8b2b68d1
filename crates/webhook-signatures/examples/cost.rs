//! What a check costs beside the bare hash of the same bytes: `cargo run --release --example cost`.

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;
use webhook_signatures::{Hash, Incoming, Secret, ToSign, describe, find, sign, verify};

const NOW: i64 = 1_767_225_600;
const ROUNDS: u32 = 20_000;

fn micros(mut work: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..5 {
        #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
        let start = Instant::now();
        for _ in 0..ROUNDS {
            work();
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(ROUNDS) * 1e6);
    }
    best
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    let body =
        format!("{{\"id\":\"evt_1\",\"type\":\"invoice.paid\",\"data\":\"{}\"}}", "x".repeat(980))
            .into_bytes();
    writeln!(
        out,
        "{:28} {:>9} µs",
        "bare SHA-256 of 1 KB",
        micros(|| drop(black_box(Hash::Sha256.of(black_box(&body)))))
    )?;
    let none: [(&str, &[u8]); 0] = [];
    let names = [
        "github",
        "stripe",
        "slack",
        "standard-webhooks",
        "square",
        "twilio",
        "contentful",
        "coinbase-cdp",
        "netlify",
        "recurly",
    ];
    for name in names {
        let provider = find(name).ok_or("no such row")?;
        let secret = [Secret::parse(provider, Secret::generate_standard([1; 32]).expose())?];
        let url = "https://hooks.example.com/in/x";
        let request =
            ToSign { id: "evt_1", now: NOW, url, method: "POST", headers: &none, body: &body };
        let signed = sign(provider, &secret[0], &request)?;
        let mut headers: Vec<(String, String)> =
            (0..12).map(|n| (format!("x-other-header-{n}"), "value".to_owned())).collect();
        headers.extend(signed.headers.into_iter().map(|(name, value)| (name.into_owned(), value)));
        let url = signed.url.unwrap_or_else(|| url.to_owned());
        let incoming = Incoming { method: "POST", url: &url, headers: &headers, body: &body };
        verify(provider, &secret, &incoming, NOW)?;
        let check =
            micros(|| drop(black_box(verify(provider, &secret, black_box(&incoming), NOW))));
        let said = micros(|| drop(black_box(describe(provider, black_box(&incoming)))));
        writeln!(out, "{name:28} {check:>9.3} µs to verify, {said:>6.3} µs to describe")?;
    }
    Ok(())
}
