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
    let value = |digit: &u8| NIBBLES.get(usize::from(*digit)).copied().unwrap_or(NO_DIGIT);
    let mut all = 0;
    let byte = |[high, low]: &[u8; 2]| {
        let (high, low) = (value(high), value(low));
        all |= high | low;
        high << 4 | low
    };
    // Whether all were digits is asked once.
    let bytes = pairs.iter().map(byte).collect();
    (all < NO_DIGIT).then_some(bytes)
}

/// What a hexadecimal digit stands for.
pub(crate) fn nibble(digit: u8) -> Option<u8> {
    NIBBLES.get(usize::from(digit)).copied().filter(|value| *value < NO_DIGIT)
}

/// What each byte stands for as a hexadecimal digit.
const NIBBLES: [u8; 256] = nibbles();

const fn nibbles() -> [u8; 256] {
    let mut table = [NO_DIGIT; 256];
    let mut byte = 0;
    while byte < table.len() {
        #[expect(
            clippy::indexing_slicing,
            clippy::cast_possible_truncation,
            reason = "evaluated at compile time, the index is below 256"
        )]
        {
            table[byte] = match byte as u8 {
                digit @ b'0'..=b'9' => digit - b'0',
                digit @ b'a'..=b'f' => digit - b'a' + 10,
                digit @ b'A'..=b'F' => digit - b'A' + 10,
                _ => NO_DIGIT,
            };
        }
        byte += 1;
    }
    table
}

/// For what is no digit: a bit that no digit's value has.
const NO_DIGIT: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict() {
        assert_eq!(Encoding::Hex.decode(b"00fF"), Some(vec![0, 255]));
        assert_eq!(Encoding::Hex.decode(b"0"), None);
        assert_eq!(Encoding::Hex.decode(b"0g"), None);
        for byte in 0..=u8::MAX {
            let value = char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
            let decode = |text: [u8; 2]| Encoding::Hex.decode(&text);
            assert_eq!(nibble(byte), value, "{byte}");
            assert_eq!(decode([b'0', byte]), value.map(|value| vec![value]), "{byte}");
            assert_eq!(decode([byte, b'0']), value.map(|value| vec![value << 4]), "{byte}");
            assert_eq!(decode([byte, byte]), value.map(|value| vec![value * 17]), "{byte}");
        }
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
