//! Version 1 of the documents. Times and durations are in milliseconds, ids in their text form.

mod source;
mod endpoint;
mod tenancy;

pub(super) use endpoint::Endpoint;
pub(super) use source::Source;
pub(super) use tenancy::{Replay, Tenant, Token};

use super::DocumentError;
use std::str::FromStr;
use std::time::Duration;

/// What stands in `v`.
pub(super) const VERSION: u32 = 1;

/// A duration as whole milliseconds.
fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A checked word or an id of its text.
fn word<T: FromStr>(text: &str, what: &'static str) -> Result<T, DocumentError> {
    text.parse().map_err(|_| DocumentError::Value(what))
}

/// As [`word`], for each.
fn words<T: FromStr>(texts: &[String], what: &'static str) -> Result<Vec<T>, DocumentError> {
    texts.iter().map(|text| word(text, what)).collect()
}

/// As [`word`], where there is one.
fn maybe<T: FromStr>(
    text: Option<&String>,
    what: &'static str,
) -> Result<Option<T>, DocumentError> {
    text.map(|text| word(text, what)).transpose()
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}
