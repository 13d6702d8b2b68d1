//! The text of a secret. It lives here and in the store, and in no log, dump, error or answer.

use std::fmt;
use std::sync::Arc;

/// A secret as the operator gave it. `Debug` prints `***`; [`SecretText::reveal`] is what to search for in a review.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Arc<str>);

impl SecretText {
    /// Takes a secret; blank ones are refused.
    ///
    /// # Errors
    /// [`BlankSecret`] when nothing but white space is in it.
    pub fn parse(text: &str) -> Result<Self, BlankSecret> {
        if text.trim().is_empty() { Err(BlankSecret) } else { Ok(Self(text.into())) }
    }

    /// The text itself, for signing, verifying and storing.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The secret has nothing in it: anybody could sign with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret is empty or blank; anybody could sign with it")]
pub struct BlankSecret;
