//! A named address that receives: how its requests are believed, what it wants, how it answers.

use crate::id::{SourceId, TenantId};
use crate::name::{EventTypePattern, Label};
use crate::secret::SecretText;
use crate::time::Time;
use std::time::Duration;

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
    /// The address under which the provider knows us, for schemes that sign the URL.
    pub public_url: Option<String>,
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
