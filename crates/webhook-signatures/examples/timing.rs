//! Whether the time of a check tells where a wrong signature differs: `cargo run --release --example timing`.
//!
//! After dudect (Reparaz, Balasch, Verbauwhede 2017): two classes of wrong signatures, one wrong in its first byte and
//! one in its last, are checked in random order, and Welch's t of their times must stay below 5. So that a quiet result
//! means something, a planted leak is measured in the same way, and it must be found.

use std::hint::black_box;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;
use webhook_signatures::{Incoming, Secret, ToSign, find, sign, verify};

const NOW: i64 = 1_767_225_600;
const SAMPLES: usize = 200_000;
const LIMIT: f64 = 5.0;

/// Mean, sum of squared distances and count (Welford).
#[derive(Default)]
struct Class {
    mean: f64,
    squares: f64,
    count: f64,
}

impl Class {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let distance = value - self.mean;
        self.mean += distance / self.count;
        self.squares += distance * (value - self.mean);
    }

    fn error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

/// The header's value with the hex digit at `at` changed: a figure to a figure, a letter to a letter, for how long it takes
/// to read them may differ, and that tells a sender nothing but what it sent.
fn wrong(value: &str, at: usize) -> String {
    let change = |(index, c): (usize, char)| match (index == at, c) {
        (true, '0') => '1',
        (true, '1'..='9') => '0',
        (true, 'a') => 'b',
        (true, _) => 'a',
        (false, c) => c,
    };
    value.chars().enumerate().map(change).collect()
}

/// A comparison that ends at the first difference: the leak that must be found.
fn ends_early(a: &[u8], b: &[u8]) -> bool {
    a.iter().zip(b).all(|(a, b)| black_box(a) == black_box(b))
}

/// The kind of each wrong signature and the nanoseconds that its check took, with a leak planted or without.
fn times(name: &str, planted: bool) -> Result<Vec<(usize, f64)>, Box<dyn std::error::Error>> {
    let provider = find(name).ok_or("no such row")?;
    let secret = [Secret::parse(provider, "a secret of the usual length")?];
    let none: [(&str, &[u8]); 0] = [];
    let request = ToSign {
        id: "evt_1",
        now: NOW,
        url: "https://a.example/",
        method: "POST",
        headers: &none,
        body: b"{}",
    };
    let signed = sign(provider, &secret[0], &request)?.headers;
    let (_, value) = signed.last().ok_or("no signature")?;
    let first = value.rfind('=').map_or(0, |at| at + 1);
    let kinds = [first, value.len() - 1].map(|at| wrong(value, at));
    // Both classes use the same memory, so that addresses tell nothing either.
    let mut headers = signed.clone();
    let mut times = Vec::with_capacity(SAMPLES);
    let mut dice = 0x2545_F491_4F6C_DD1D_u64;
    for _ in 0..SAMPLES {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let kind = usize::from(dice & 1 == 1);
        let (Some(text), Some((_, place))) = (kinds.get(kind), headers.last_mut()) else {
            continue;
        };
        place.clone_from(text);
        let incoming =
            Incoming { method: "POST", url: "https://a.example/", headers: &headers, body: b"{}" };
        #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
        let start = Instant::now();
        let verdict = black_box(verify(provider, &secret, black_box(&incoming), NOW));
        let same = planted && ends_early(value.as_bytes(), text.as_bytes());
        let took = start.elapsed().as_secs_f64() * 1e9;
        assert!(verdict.is_err() && !same, "a wrong signature passes");
        times.push((kind, took));
    }
    Ok(times)
}

/// Welch's t of the two classes. What the operating system held up is left out, in both alike.
fn welch(times: &[(usize, f64)]) -> f64 {
    let mut sorted: Vec<f64> = times.iter().map(|(_, took)| *took).collect();
    sorted.sort_by(f64::total_cmp);
    let most = sorted.get(SAMPLES * 9 / 10).copied().unwrap_or(f64::MAX);
    let mut classes = [Class::default(), Class::default()];
    for (kind, took) in times.iter().filter(|(_, took)| *took <= most) {
        if let Some(class) = classes.get_mut(*kind) {
            class.add(*took);
        }
    }
    let [a, b] = classes;
    (a.mean - b.mean) / (a.error() + b.error()).sqrt()
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut out = std::io::stdout().lock();
    let mut fine = true;
    for name in ["github", "github-sha1", "stripe", "slack", "zoom"] {
        let (own, planted) = (welch(&times(name, false)?), welch(&times(name, true)?));
        writeln!(out, "{name:12} t = {own:7.2}   with a planted leak {planted:8.2}")?;
        fine &= own.abs() < LIMIT && planted.abs() >= LIMIT;
    }
    Ok(if fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
