//! What several resources share: pages, and where a key stands.

use doorbell_core::key::{self, RuleRefused};
use doorbell_core::source;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub struct Page<T> {
    /// The items.
    pub data: Vec<T>,
    /// Give it as `cursor` to get the next page; `null`: this was the last.
    pub next_cursor: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// At most so many items, 1 to 1000; 50 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Where a key stands in a request: `{"header": "x-key"}` or `{"pointer": "/data/id"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyRule {
    /// A header's value.
    Header(String),
    /// A JSON pointer into the body (RFC 6901).
    Pointer(String),
}

impl KeyRule {
    /// The rule, checked.
    ///
    /// # Errors
    /// When the header is no header name or the pointer no JSON pointer.
    pub fn read(&self) -> Result<source::KeyRule, RuleRefused> {
        let rule = match self {
            Self::Header(name) => source::KeyRule::Header(name.to_ascii_lowercase()),
            Self::Pointer(pointer) => source::KeyRule::Pointer(pointer.clone()),
        };
        key::check(&rule).map(|()| rule)
    }
}

impl From<&source::KeyRule> for KeyRule {
    fn from(rule: &source::KeyRule) -> Self {
        match rule {
            source::KeyRule::Header(name) => Self::Header(name.clone()),
            source::KeyRule::Pointer(pointer) => Self::Pointer(pointer.clone()),
        }
    }
}
