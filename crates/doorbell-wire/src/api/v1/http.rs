//! HTTP messages as they are shown: header lines and the beginning of a body. The whole body has an operation of its own.

use super::redact::{HIDDEN, Veil, is_credential};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorbell_core::request::Headers;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Bytes of a body that are shown within JSON.
pub const BODY_SHOWN: usize = 64 << 10;

/// One header line that is set on requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderIn {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl From<&(String, String)> for HeaderIn {
    fn from((name, value): &(String, String)) -> Self {
        Self { name: name.clone(), value: value.clone() }
    }
}

impl HeaderIn {
    /// The line, its value hidden where that is a credential.
    #[must_use]
    pub fn hidden(mut self) -> Self {
        if is_credential(&self.name) {
            HIDDEN.clone_into(&mut self.value);
        }
        self
    }
}

/// One header line, in the order of its arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeaderOut {
    /// Its name, in lower case.
    pub name: String,
    /// Its value, where that is UTF-8; `***` where it is hidden from this token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Its value in base64 (RFC 4648, section 4), where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
}

/// The lines of `headers` as they are shown.
#[must_use]
pub fn header_lines(headers: &Headers, veil: Veil<'_>) -> Vec<HeaderOut> {
    headers.iter().map(|(name, value)| header_line(name, value, veil)).collect()
}

fn header_line(name: &str, value: &[u8], veil: Veil<'_>) -> HeaderOut {
    let (value, value_base64) = match str::from_utf8(value) {
        _ if veil.hides_header(name, value) => (Some(HIDDEN.to_owned()), None),
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(base64(value))),
    };
    HeaderOut { name: name.to_owned(), value, value_base64 }
}

/// A body: its length, and its beginning as text or base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BodyOut {
    /// Bytes that are kept.
    pub len: u64,
    /// Its content type, as the header says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// Its beginning, at most 64 KiB, where that is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its beginning in base64, at most 64 KiB of bytes, where it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// Whether there is more than is shown here.
    pub truncated: bool,
    /// Whether it is hidden from this token, for a secret stands in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

impl BodyOut {
    /// A body as it is shown.
    #[must_use]
    pub fn of(body: &[u8], content_type: Option<&str>) -> Self {
        let shown = body.get(..BODY_SHOWN).unwrap_or(body);
        let (text, base64) = match as_text(shown) {
            Some(text) => (Some(text.to_owned()), None),
            None => (None, Some(base64(shown))),
        };
        Self {
            len: u64::try_from(body.len()).unwrap_or(u64::MAX),
            content_type: content_type.map(str::to_owned),
            text,
            base64,
            truncated: body.len() > shown.len(),
            hidden: false,
        }
    }

    /// A body that may not be seen, or as [`Self::of`].
    #[must_use]
    pub fn veiled(body: &[u8], content_type: Option<&str>, veil: Veil<'_>) -> Self {
        let whole = Self::of(body, content_type);
        if !veil.hides_body(body) {
            return whole;
        }
        Self { text: None, base64: None, truncated: false, hidden: true, ..whole }
    }
}

/// The bytes as text; a letter that was cut in two at the end is left out.
fn as_text(bytes: &[u8]) -> Option<&str> {
    match str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() => {
            bytes.get(..error.valid_up_to()).and_then(|whole| str::from_utf8(whole).ok())
        }
        Err(_) => None,
    }
}

/// Base64 with padding (RFC 4648, section 4).
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_between_letters_and_bytes_stay_bytes() {
        let long = "é".repeat(BODY_SHOWN / 2) + "é";
        let body = BodyOut::of(format!("a{long}").as_bytes(), None);
        assert!(body.truncated && body.text.unwrap().len() == BODY_SHOWN - 1);
        let body = BodyOut::of(&[0xff, 0xfe], Some("application/octet-stream"));
        assert_eq!((body.text, body.base64.as_deref()), (None, Some("//4=")));
    }
}
