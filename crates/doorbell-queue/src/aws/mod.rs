//! What clients of Amazon's services have in common, and of those that speak like them: questions over HTTP/1.1 on kept
//! connections, signed with Signature Version 4, and what errors mean for who asks.

mod sigv4;

mod error;

mod client;

pub(crate) use client::{Answer, Client, Question, host};
pub(crate) use error::{by_status, error};
