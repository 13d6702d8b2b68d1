//! Hex and base64, read strictly: one text for each signature, so that a truncated or re-spelt one never passes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Two hexadecimal digits a byte; either case is read, lower case is written.
    Hex,
    /// RFC 4648 section 4, padded.
    Base64,
    /// RFC 4648 section 5, not padded.
    Base64Url,
}

impl Encoding {
    /// The bytes that `text` stands for; `None` unless it is exactly their one spelling (hex: in either case).
    #[must_use]
    pub fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex(text),
            Self::Base64 => base64(&STANDARD, text),
            Self::Base64Url => base64(&URL_SAFE_NO_PAD, text),
        }
    }

    /// `bytes` as text.
    #[must_use]
    pub fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => {
                let mut text = String::with_capacity(bytes.len() * 2);
                for byte in bytes {
                    text.extend([byte >> 4, byte & 15].map(digit));
                }
                text
            }
            Self::Base64 => STANDARD.encode(bytes),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
        }
    }
}

/// For secrets that people paste: base64 with or without its padding.
pub(crate) fn base64_pasted(text: &str) -> Option<Vec<u8>> {
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(text).ok()
}

/// The same as the engine's `decode`, which asks for zeroed memory: slow for so little.
fn base64(engine: &GeneralPurpose, text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(base64::decoded_len_estimate(text.len()));
    engine.decode_vec(text, &mut bytes).ok()?;
    Some(bytes)
}

fn digit(nibble: u8) -> char {
    char::from(if nibble < 10 { b'0' + nibble } else { b'a' - 10 + nibble })
}

fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let mut bytes = Vec::with_capacity(pairs.len());
    for [high, low] in pairs {
        bytes.push(nibble(*high)? << 4 | nibble(*low)?);
    }
    Some(bytes)
}

/// What a hexadecimal digit stands for.
pub(crate) fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict() {
        assert_eq!(Encoding::Hex.decode(b"00fF"), Some(vec![0, 255]));
        assert_eq!(Encoding::Hex.decode(b"0"), None);
        assert_eq!(Encoding::Hex.decode(b"0g"), None);
        assert_eq!(Encoding::Base64.decode(b"AA=="), Some(vec![0]));
        for bad in ["AA", "AA=", "AB==", "A_==", "AA==\n", " AA==", "AA==AA=="] {
            assert_eq!(Encoding::Base64.decode(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(Encoding::Base64Url.decode(b"_w"), Some(vec![255]));
        assert_eq!(Encoding::Base64Url.decode(b"_w=="), None);
        assert_eq!(base64_pasted("AA"), Some(vec![0]));
        assert_eq!(base64_pasted("AA=="), Some(vec![0]));
    }
}
