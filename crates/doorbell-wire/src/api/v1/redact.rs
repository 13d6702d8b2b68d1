//! What is hidden of a request when it is shown to a token without the `admin` scope: values that could be used to act in
//! someone's name. What is stored stays whole.

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
pub fn query(view: View, raw: &str) -> String {
    if view == View::Whole {
        return raw.to_owned();
    }
    let parts = raw.split('&').map(|part| match part.split_once('=') {
        Some((name, value)) if !value.is_empty() && is_credential(name) => {
            format!("{name}={HIDDEN}")
        }
        Some(_) | None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("&")
}

/// A URL with the values of credentials in its query hidden.
#[must_use]
pub fn query_of(view: View, url: &str) -> String {
    match url.split_once('?') {
        Some((before, raw)) => format!("{before}?{}", query(view, raw)),
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
        assert_eq!(query(View::Redacted, "a=1&token=abc&b&key="), "a=1&token=***&b&key=");
        assert_eq!(query(View::Whole, "token=abc"), "token=abc");
    }
}
