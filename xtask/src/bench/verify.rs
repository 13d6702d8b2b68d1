//! What a check costs for each kind of scheme, beside the bare hash of the same bytes.

use super::Flags;
use super::report::{self, Row};
use super::signed::{self, NOW, ROWS};
use anyhow::{Context, Result};
use ring::hmac;
use std::hint::black_box;
use std::time::Instant;
use webhook_signatures::{Hash, Incoming, describe, verify, verify_and_describe};

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
    let wanted = |name: &str| flags.provider.as_deref().is_none_or(|wanted| wanted == name);
    for (name, secret) in ROWS.into_iter().filter(|(name, _)| wanted(name)) {
        rows.push(one(name, secret, rounds).with_context(|| format!("{name} cannot be measured"))?);
    }
    report::keep("verify: a check of 1 KB beside the bare hash of the same bytes, us", &rows)
}

fn one(name: &str, secret: &str, rounds: u32) -> Result<Row> {
    let row = signed::set_up(name)?;
    let secret = [webhook_signatures::Secret::parse(&row, secret)?];
    let request = signed::request(&row, &secret[0], ("https://hooks.example.com/in/x?a=b", NOW))?;
    // As many header lines as an ordinary request has.
    let mut headers: Vec<(String, String)> =
        (0..12).map(|n| (format!("x-other-header-{n}"), "value".to_owned())).collect();
    headers.extend(request.headers);
    let (url, body) = (request.url, request.body);
    let incoming = Incoming { method: "POST", url: &url, headers: &headers, body: &body };
    verify(&row, &secret, &incoming, NOW)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key of some length for the bare HMAC");
    let hash = micros(rounds, || drop(black_box(Hash::Sha256.of(black_box(&body)))));
    let mac = micros(rounds, || _ = black_box(hmac::sign(&key, black_box(&body))));
    let check =
        micros(rounds, || drop(black_box(verify(&row, &secret, black_box(&incoming), NOW))));
    let said = micros(rounds, || drop(black_box(describe(&row, black_box(&incoming)))));
    let both = micros(rounds, || {
        drop(black_box(verify_and_describe(&row, &secret, black_box(&incoming), NOW)));
    });
    Ok(Row::new(name)
        .number("bytes", body.len() as f64)
        .number("sha256", hash)
        .number("hmac", mac)
        .number("verify", check)
        .number("of_hash", check / hash)
        .number("describe", said)
        .number("both", both))
}
