//! What is hidden of a request when it is shown to a token without the `admin` scope: values that could be used to act in
//! someone's name. They stand where a name tells it, and where the source that received the request looks for its own
//! secret (`doorbell_core::credentials`). What is stored stays whole.

use doorbell_core::credentials::Credentials;

/// What stands in place of a hidden value.
pub const HIDDEN: &str = "***";

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// Everything is shown (scope `admin`).
    Whole,
    /// Credentials are hidden.
    Redacted,
}

/// What is hidden of one request.
#[derive(Debug, Clone, Copy)]
pub enum Veil<'a> {
    /// Nothing.
    Nothing,
    /// Credentials: those whose names tell it, and these.
    Over(&'a Credentials),
}

impl<'a> Veil<'a> {
    /// What is hidden from who looks, of a request with these credentials.
    #[must_use]
    pub const fn of(view: View, credentials: &'a Credentials) -> Self {
        match view {
            View::Whole => Self::Nothing,
            View::Redacted => Self::Over(credentials),
        }
    }

    /// Whether the value of a header is hidden.
    #[must_use]
    pub fn hides_header(self, name: &str, value: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Over(known) => is_credential(name) || known.in_header(name, value),
        }
    }

    /// Whether the body is hidden.
    #[must_use]
    pub fn hides_body(self, body: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Over(known) => known.in_body(body),
        }
    }

    /// The text, or what stands in its place.
    #[must_use]
    pub fn text(self, text: String) -> String {
        match self {
            Self::Nothing => text,
            Self::Over(_) => HIDDEN.to_owned(),
        }
    }
}

/// Header names that carry credentials, whole.
const HEADERS: [&str; 5] =
    ["authorization", "proxy-authorization", "cookie", "set-cookie", "x-auth"];

/// Parts of names (of headers and query parameters) behind which credentials stand.
const PARTS: [&str; 10] = [
    "token",
    "secret",
    "api-key",
    "apikey",
    "api_key",
    "password",
    "passwd",
    "signature",
    "hmac",
    "hub-sig",
];

/// Whether the value behind a header or query parameter of that name is a credential.
#[must_use]
pub fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    HEADERS.contains(&name.as_str())
        || matches!(name.as_str(), "sig" | "key" | "auth" | "pass")
        || PARTS.iter().any(|part| name.contains(part))
}

/// The query with the values of credentials hidden.
#[must_use]
pub fn query(veil: Veil<'_>, raw: &str) -> String {
    let Veil::Over(known) = veil else { return raw.to_owned() };
    let hides = |name: &str, value: &str| is_credential(name) || known.in_parameter(name, value);
    let parts = raw.split('&').map(|part| match part.split_once('=') {
        Some((name, value)) if !value.is_empty() && hides(name, value) => {
            format!("{name}={HIDDEN}")
        }
        Some(_) => part.to_owned(),
        // A secret may stand without a name.
        None if known.in_parameter("", part) => HIDDEN.to_owned(),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("&")
}

/// A URL with the values of credentials in its query hidden.
#[must_use]
pub fn query_of(veil: Veil<'_>, url: &str) -> String {
    match url.split_once('?') {
        Some((before, raw)) => format!("{before}?{}", query(veil, raw)),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_credentials_and_nothing_else() {
        for name in ["Authorization", "X-Gitlab-Token", "x-hub-signature-256", "X-Api-Key", "sig"] {
            assert!(is_credential(name), "{name}");
        }
        for name in ["content-type", "x-github-event", "user-agent", "webhook-id", "keyword"] {
            assert!(!is_credential(name), "{name}");
        }
        assert_eq!(
            query(Veil::Over(&Credentials::NONE), "a=1&token=abc&b&key="),
            "a=1&token=***&b&key="
        );
        assert_eq!(query(Veil::Nothing, "token=abc"), "token=abc");
    }
}
