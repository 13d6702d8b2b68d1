//! The text of a bearer token: `db_live_`, 256 random bits in base 62, and a checksum, so that a scanner for leaked secrets
//! knows one when it sees one and a truncated one is told from a wrong one without a look-up.

use std::fmt;

/// What stands before a token's random part.
const PREFIX: &str = "db_live_";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Digits that hold 256 bits (62^43 > 2^256).
const RANDOM_LEN: usize = 43;
/// Digits that hold 32 bits (62^6 > 2^32).
const CHECK_LEN: usize = 6;

/// A token's text; shown once, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText(String);

impl TokenText {
    /// The token of these random bits.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        let body = format!("{PREFIX}{}", base62(&random, RANDOM_LEN));
        let check = base62(&crc32(body.as_bytes()).to_be_bytes(), CHECK_LEN);
        Self(format!("{body}{check}"))
    }

    /// Takes a text that has the form of a token, checksum included.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let random = text.strip_prefix(PREFIX)?;
        if random.len() != RANDOM_LEN + CHECK_LEN {
            return None;
        }
        let (body, check) = text.split_at_checked(PREFIX.len() + RANDOM_LEN)?;
        (base62(&crc32(body.as_bytes()).to_be_bytes(), CHECK_LEN) == check)
            .then(|| Self(text.to_owned()))
    }

    /// The text itself, for the one answer that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(***)")
    }
}

/// What is kept of a token. Its text has 256 random bits, so a plain hash cannot be turned back (no slow one is needed).
#[must_use]
pub fn hash(token: &TokenText) -> [u8; 32] {
    sha256(&token.0)
}

/// The SHA-256 of a text.
pub(super) fn sha256(text: &str) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    digest.as_ref().try_into().unwrap_or([0; 32])
}

/// The number in `length` digits, the most significant first; what does not fit is cut off.
pub(super) fn base62(number: &[u8], length: usize) -> String {
    let mut rest = number.to_vec();
    let mut digits = Vec::with_capacity(length);
    for _ in 0..length {
        let mut remainder = 0_u32;
        for byte in &mut rest {
            let value = (remainder << 8) | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        let place = usize::try_from(remainder).unwrap_or(0);
        digits.push(char::from(ALPHABET.get(place).copied().unwrap_or(b'0')));
    }
    digits.iter().rev().collect()
}

/// CRC-32 (ISO-HDLC, as in zip and PNG), bit by bit: it is done once a request.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_of_the_catalogue() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn what_is_made_is_taken_and_nothing_else() {
        for random in [[0; 32], [0xff; 32], [7; 32]] {
            let token = TokenText::new(random);
            assert_eq!(token.reveal().len(), PREFIX.len() + RANDOM_LEN + CHECK_LEN);
            assert_eq!(TokenText::parse(token.reveal()), Some(token.clone()));
            assert!(!format!("{token:?}").contains(token.reveal()));
            let mut other = token.reveal().to_owned();
            let last = if other.pop() == Some('0') { '1' } else { '0' };
            other.push(last);
            assert_eq!(TokenText::parse(&other), None);
        }
        for text in ["", "db_live_", "db_live_é", "Bearer", &"db_live_".repeat(8)] {
            assert_eq!(TokenText::parse(text), None, "{text}");
        }
        assert_ne!(TokenText::new([1; 32]), TokenText::new([2; 32]));
    }
}
