//! What clients of Amazon's services have in common, and of those that speak like them: questions over HTTP/1.1 on kept
//! connections, signed with Signature Version 4, and what errors mean for who asks.

mod sigv4;

mod error;

mod client;

#[cfg(feature = "sqs")]
pub(crate) use client::host;
pub(crate) use client::{Answer, Client, Question};
pub(crate) use error::{by_status, error};
#[cfg(feature = "s3")]
pub(crate) use sigv4::{CONTENT_HASH, hash_in_turns};
