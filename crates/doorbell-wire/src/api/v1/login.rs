//! Signing in: a code that is good once becomes a token for some hours.

use super::text::Moment;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a browser takes a login code; the code stands in the parameter `code`.
pub const PATH: &str = "/login";

/// A code to be turned into a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoginIn {
    /// The code, as it was printed.
    pub code: String,
}

/// A code that was made just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoginCodeOut {
    /// The code.
    pub code: String,
    /// Where a browser takes it, on the address of this API.
    pub path: String,
    /// Until when it is good.
    pub expires_at: Moment,
}

impl LoginCodeOut {
    /// A code that is good until then. It consists of letters and digits.
    #[must_use]
    pub fn of(code: &str, expires_at: Moment) -> Self {
        Self { code: code.to_owned(), path: format!("{PATH}?code={code}"), expires_at }
    }
}
