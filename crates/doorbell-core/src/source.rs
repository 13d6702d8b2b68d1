//! A named address that receives: how its requests are believed, what it wants, how it answers.

use crate::id::{SourceId, TenantId};
use crate::name::{EventTypePattern, Label};
use crate::secret::SecretText;
use crate::time::Time;
use std::time::Duration;
use url::Url;

/// A source as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its id.
    pub id: SourceId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name, the `{source}` of `/in/{source}`; unique.
    pub name: Label,
    /// Whether it receives.
    pub enabled: bool,
    /// How a request is believed.
    pub verification: Verification,
    /// Methods it takes, upper case. Empty: all.
    pub methods: Vec<String>,
    /// Event types it wants. Empty: all.
    pub event_types: Vec<EventTypePattern>,
    /// Where the event type is read, when not where the provider says.
    pub type_rule: Option<KeyRule>,
    /// How duplicates are known.
    pub dedupe: Dedupe,
    /// Largest body, in bytes.
    pub body_max: usize,
    /// What the caller gets on success, when not what the provider wants.
    pub response: Option<Response>,
    /// How its subscription at a WebSub hub stands, where we keep one. Nobody configures it.
    pub hub: Option<HubSubscription>,
    /// A queue whose messages become its requests, beside those that are sent to it: `queue://NAME/QUEUE`.
    pub from: Option<String>,
    /// When it was made.
    pub created: Time,
    /// When it was last changed.
    pub updated: Time,
}

/// How a request is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// The provider's name in the table of `webhook-signatures`, such as `github`, `hmac` or `none`.
    pub provider: String,
    /// Settings of the generic providers (`header`, `algorithm`, `encoding`, `prefix`, `template`, `tolerance`, …).
    pub options: Vec<(String, String)>,
    /// All secrets that are good now, newest first.
    pub secrets: Vec<SecretText>,
    /// The address under which the provider knows us, for schemes that sign the URL; as [`Verification::public_url`] gives it.
    pub public_url: Option<String>,
}

/// Why an address cannot be a source's public one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the address that the provider calls, such as https://hooks.example.com/in/stripe: https:// or http://, a host, and \
     neither a user nor a fragment"
)]
pub struct NoPublicUrl;

impl Verification {
    /// The longest public address, in bytes.
    const URL_MAX: usize = 2048;

    /// The address under which the provider calls, from what was written. A query is left out: what the provider calls has it
    /// too, so each request brings its own.
    ///
    /// # Errors
    /// When nobody could call it, or not to the letter.
    pub fn public_url(text: &str) -> Result<String, NoPublicUrl> {
        let text = text.trim();
        let (bare, _) = text.split_once('?').unwrap_or((text, ""));
        let is_plain =
            text.len() <= Self::URL_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        let url = Url::parse(bare)
            .ok()
            .filter(|url| is_plain && matches!(url.scheme(), "https" | "http"));
        let url = url.ok_or(NoPublicUrl)?;
        let host = url.host_str().ok_or(NoPublicUrl)?;
        // Parsers mend what is spelt otherwise, and who signs the address may not.
        let (_, behind) = bare.split_once("://").unwrap_or_default();
        let spelt = behind.get(..host.len()).is_some_and(|text| text.eq_ignore_ascii_case(host));
        let ends =
            !matches!(behind.as_bytes().get(host.len()), Some(byte) if !b":/".contains(byte));
        if spelt && ends && url.port() != Some(0) && !text.contains('#') {
            Ok(format!("{}://{behind}", url.scheme()))
        } else {
            Err(NoPublicUrl)
        }
    }
}

/// How a subscription at a WebSub hub stands; the decisions are in [`crate::hub`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubSubscription {
    /// What the hub was asked for, as a hash: when the source's settings come to another one, it is asked anew.
    pub wanted: String,
    /// The last part of the address that the hub calls, which nobody can guess: who calls it is the hub.
    pub token: String,
    /// The hub's address; empty while it is not known.
    pub hub: String,
    /// The topic under the name that the hub knows.
    pub topic: String,
    /// Since when the hub was asked and has not asked back.
    pub asked: Option<Time>,
    /// It is subscribed until then.
    pub until: Option<Time>,
    /// When the hub is asked next.
    pub next: Time,
    /// How often in a row that failed.
    pub failures: u32,
    /// Why it failed last.
    pub error: Option<String>,
}

/// Where a key stands in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRule {
    /// A header's value.
    Header(String),
    /// A JSON pointer into the body (RFC 6901).
    Pointer(String),
}

/// How duplicates are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dedupe {
    /// How long a key is remembered; zero switches it off.
    pub window: Duration,
    /// Where the key stands, when not where the provider says.
    pub key: Option<KeyRule>,
}

/// A fixed answer to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 2xx.
    pub status: u16,
    /// Its content type.
    pub content_type: String,
    /// Its body.
    pub body: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_is_one_that_can_be_called() {
        let read = Verification::public_url;
        for (text, base) in [
            ("https://hooks.example.com/in/a", "https://hooks.example.com/in/a"),
            ("http://127.0.0.1:8080/in/a/", "http://127.0.0.1:8080/in/a/"),
            ("https://h.example/in/a?memberID=14&mainModel=true", "https://h.example/in/a"),
            ("https://h.example?a", "https://h.example"),
            ("https://[::1]/x%20y", "https://[::1]/x%20y"),
            (" https://h.example/a\n", "https://h.example/a"),
            ("HTTPS://Hooks.Example.com:8443/in", "https://Hooks.Example.com:8443/in"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(base));
        }
        for text in [
            "",
            "hooks.example.com/in/a",
            "/in/a",
            "ftp://h.example/a",
            "https://",
            "https://?a",
            "https:h.example",
            "https:///h.example/a",
            "https://h.example\\in\\a",
            "https://%68.example/a",
            "https://h.example:99999/a",
            "https://user@h.example/a",
            "https://:pass@h.example/a",
            "https://h.example/a#b",
            "https://h.example/a?b#c",
            "https://h.example/a b",
            "https://h.example:0/a",
            "https://h.example/\u{e9}",
            &format!("https://h.example/{}", "a".repeat(2048)),
        ] {
            assert_eq!(read(text), Err(NoPublicUrl), "{text}");
        }
    }
}
