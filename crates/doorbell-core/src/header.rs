//! Header lines on their way out: which of a request go on to the endpoint, and which an operator may add.

use crate::limits;
use crate::request::Headers;

/// What stands before the names of headers of a first sender that are ours on an outgoing request; see [`passed`].
pub const ORIGINAL: &str = "doorbell-original-";

/// Says which try at a delivery this is; each outgoing request has it.
pub const ATTEMPT: &str = "doorbell-attempt";

/// How many Doorbells have delivered the request before: each leaves its [`ATTEMPT`], and those of the ones before go on
/// behind [`ORIGINAL`]. A proxy between them may have joined the lines (RFC 9110, section 5.3).
#[must_use]
pub fn hops(headers: &Headers) -> usize {
    let left = |name: &str| name.strip_prefix(ORIGINAL).unwrap_or(name) == ATTEMPT;
    let lines = headers.iter().filter(|(name, _)| left(name));
    lines.map(|(_, value)| value.split(|byte| *byte == b',').count()).sum()
}

/// Lines about one connection, not about the message (RFC 9110, section 7.6.1), and those that the sender writes itself.
const OUR_CONNECTIONS: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "max-forwards",
];

/// Whether the line belongs to one connection and so neither passes nor may be added. `name` in lower case.
#[must_use]
pub fn is_hop(name: &str) -> bool {
    OUR_CONNECTIONS.contains(&name) || name.starts_with("proxy-")
}

/// Whether the name is ours on an outgoing request. `name` in lower case.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    name.starts_with("webhook-") || name.starts_with("doorbell-")
}

/// The lines of a received request that go on, in order, with their names. Left out: what belongs to the connection
/// ([`is_hop`]), and what the `Connection` lines name. What proxies before us wrote (`Forwarded`, `Via`) stays as it is,
/// and nothing is added to it: this is a new request, made later, and its header list is the sender's.
pub fn passed(headers: &Headers) -> impl Iterator<Item = (String, &[u8])> {
    let named = named_by_connection(headers);
    headers
        .iter()
        .filter(move |(name, _)| {
            !is_hop(name) && !named.iter().any(|n| n.eq_ignore_ascii_case(name))
        })
        .map(|(name, value)| (passed_name(name), value))
}

fn named_by_connection(headers: &Headers) -> Vec<&str> {
    headers
        .iter()
        .filter(|(name, _)| *name == "connection")
        .filter_map(|(_, value)| str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect()
}

/// A sender's own `webhook-…` (Standard Webhooks) and `doorbell-…` lines would be taken for ours, so they go on as
/// `doorbell-original-webhook-…`: the application can still check the first sender's signature, by these names.
fn passed_name(name: &str) -> String {
    if is_ours(name) && !name.starts_with(ORIGINAL) {
        format!("{ORIGINAL}{name}")
    } else {
        name.to_owned()
    }
}

/// The gate for one line that an operator adds to an endpoint.
///
/// # Errors
/// [`HeaderRefused`], with what to do.
pub fn may_add(name: &str, value: &str) -> Result<(), HeaderRefused> {
    let lower = name.to_ascii_lowercase();
    if !is_token(name) {
        return Err(HeaderRefused::Name(name.chars().take(80).collect()));
    }
    if is_hop(&lower) {
        return Err(HeaderRefused::Connection(lower));
    }
    if is_ours(&lower) {
        return Err(HeaderRefused::Ours(lower));
    }
    // RFC 9110, section 5.5: no CR, LF, NUL or other control; white space at the ends would be lost on the way.
    let plain = value.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f));
    if !plain || value.trim_matches([' ', '\t']) != value || value.len() > limits::HEADER_VALUE {
        return Err(HeaderRefused::Value(lower));
    }
    Ok(())
}

/// The gate for all the lines that an operator adds to an endpoint.
///
/// # Errors
/// [`HeaderRefused`] for the first that is wrong, or when there are more than [`limits::ENDPOINT_HEADERS`].
pub fn may_add_all(lines: &[(String, String)]) -> Result<(), HeaderRefused> {
    if lines.len() > limits::ENDPOINT_HEADERS {
        return Err(HeaderRefused::TooMany);
    }
    lines.iter().try_for_each(|(name, value)| may_add(name, value))
}

/// Why a header line cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderRefused {
    /// Not a name.
    #[error("{0:?} is not a header name: use letters, digits and '-', such as x-api-key")]
    Name(String),
    /// It belongs to the connection.
    #[error("the header {0} belongs to the connection and is set by Doorbell itself: remove it")]
    Connection(String),
    /// It is ours.
    #[error("headers that begin with webhook- or doorbell- are set by Doorbell itself: rename {0}")]
    Ours(String),
    /// The value cannot be sent.
    #[error(
        "the value of {0} cannot be sent: use one line of text without blanks at its ends, at most {max} bytes",
        max = limits::HEADER_VALUE
    )]
    Value(String),
    /// Too many.
    #[error("an endpoint has at most {} headers of its own", limits::ENDPOINT_HEADERS)]
    TooMany,
}

/// Whether the text is a token, as header names are (RFC 9110, section 5.6.2), of at most 256 bytes.
#[must_use]
pub fn is_token(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    (1..=256).contains(&name.len()) && name.bytes().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_goes_on() {
        let headers: Headers = [
            ("Host", "in.example.com"),
            ("X-Hub-Signature-256", "sha256=ab"),
            ("Connection", "close, X-Secret-Hop"),
            ("connection", "keep-alive"),
            ("x-secret-hop", "1"),
            ("Content-Type", "application/json"),
            ("Content-Length", "2"),
            ("X-Dup", "1"),
            ("x-dup", "2"),
            ("Transfer-Encoding", "chunked"),
            ("Proxy-Authorization", "x"),
            ("webhook-id", "msg_1"),
            ("doorbell-attempt", "9"),
            ("doorbell-original-webhook-id", "msg_0"),
            ("traceparent", "00-1"),
            ("via", "1.1 a"),
            ("forwarded", "for=1.2.3.4"),
        ]
        .into_iter()
        .collect();
        let lines: Vec<String> = passed(&headers)
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
            .collect();
        assert_eq!(
            lines,
            [
                "x-hub-signature-256: sha256=ab",
                "content-type: application/json",
                "x-dup: 1",
                "x-dup: 2",
                "doorbell-original-webhook-id: msg_1",
                "doorbell-original-doorbell-attempt: 9",
                "doorbell-original-webhook-id: msg_0",
                "traceparent: 00-1",
                "via: 1.1 a",
                "forwarded: for=1.2.3.4",
            ]
        );
    }

    #[test]
    fn what_may_be_added() {
        for (name, value) in [
            ("X-Api-Key", "secret"),
            ("authorization", "Bearer ü"),
            ("x-a", ""),
            ("cookie", "a=b"),
            ("x-t", "a\tb"),
        ] {
            assert_eq!(may_add(name, value), Ok(()), "{name}");
        }
        for (name, value) in [
            ("", "x"),
            ("x y", "x"),
            ("x:y", "x"),
            ("é", "x"),
            ("x\r\nevil", "x"),
            ("Host", "x"),
            ("Content-Length", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "close"),
            ("TE", "x"),
            ("Upgrade", "x"),
            ("Proxy-Authorization", "x"),
            ("Keep-Alive", "x"),
            ("trailer", "x"),
            ("Webhook-Id", "x"),
            ("doorbell-attempt", "1"),
            ("x", "a\r\nb: c"),
            ("x", "a\nb"),
            ("x", "a\0b"),
            ("x", "\x7f"),
            ("x", " a"),
            ("x", "a "),
        ] {
            assert!(may_add(name, value).is_err(), "{name}: {value}");
        }
        assert_eq!(
            may_add_all(&vec![("x".to_owned(), "y".to_owned()); limits::ENDPOINT_HEADERS + 1]),
            Err(HeaderRefused::TooMany)
        );
        assert!(may_add("x", &"a".repeat(limits::HEADER_VALUE + 1)).is_err());
    }

    proptest! {
        /// What the gate takes, the HTTP library takes as well: no delivery fails over it later.
        #[test]
        fn what_may_be_added_can_be_sent(name in "[!-~]{0,12}|\\PC{0,4}", value in "\\PC{0,12}|[\\x00-\\xff]{0,6}") {
            if may_add(&name, &value).is_ok() {
                prop_assert!(http::HeaderName::try_from(&*name).is_ok());
                prop_assert!(http::HeaderValue::try_from(&*value).is_ok());
            }
        }
    }
}
