//! The requests that the harnesses send: a key of our own in front, random bytes behind, signed as GitHub signs.

use ring::{digest, hmac};
use std::fmt::Write;

/// The secret of every source in the harnesses.
pub(crate) const SECRET: &str = "a secret of the harness, 32 bytes";

/// A small generator of repeatable dice (SplitMix64): the harness must be able to say them again from a seed.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number from 0 to `below - 1`; 0 when `below` is 0.
    pub(crate) const fn below(&mut self, below: u64) -> u64 {
        if below == 0 { 0 } else { self.roll() % below }
    }
}

/// A SHA-256.
pub(crate) type Hash = [u8; 32];

/// The SHA-256 of some bytes.
pub(crate) fn hash(bytes: &[u8]) -> Hash {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// A body that carries `key`: mostly about a kilobyte, sometimes tiny, sometimes a quarter of a megabyte; not UTF-8.
pub(crate) fn body(key: &str, dice: &mut Dice) -> Vec<u8> {
    let length = match dice.below(200) {
        0 => 262_144,
        1..=20 => 0,
        _ => 600 + dice.below(900),
    };
    let mut body = format!("{{\"key\":\"{key}\"}}\n").into_bytes();
    for _ in 0..length / 8 {
        body.extend_from_slice(&dice.roll().to_le_bytes());
    }
    body
}

/// The key of a body made by [`body`].
pub(crate) fn key(body: &[u8]) -> Option<&str> {
    let rest = body.strip_prefix(b"{\"key\":\"")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    rest.get(..end).and_then(|key| str::from_utf8(key).ok())
}

/// The header lines of a GitHub push with that delivery id.
pub(crate) fn github_headers(body: &[u8], delivery: &str, secret: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mut lines = format!(
        "content-type: application/json\r\nuser-agent: GitHub-Hookshot/044aadd\r\nx-github-delivery: {delivery}\r\n\
         x-github-event: push\r\nx-hub-signature-256: sha256="
    );
    for byte in hmac::sign(&key, body).as_ref() {
        let _written = write!(lines, "{byte:02x}");
    }
    lines.push_str("\r\n");
    lines
}
