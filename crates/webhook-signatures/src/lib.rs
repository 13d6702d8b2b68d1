//! Verify and sign webhooks of any provider.
//!
//! A provider is a row of data ([`Provider`]): where the signature stands, what is signed, how old it may be, where the
//! event's id and type are, how it wants to be answered. [`find`] gives the built-in rows; one of your own is the same
//! type ([`generic`], or any [`Provider`] put together by hand).
//!
//! ```
//! use webhook_signatures::{Incoming, Secret, describe, find, verify};
//!
//! let github = find("github").unwrap();
//! let secrets = [Secret::parse(github, "It's a Secret to Everybody")?];
//! let headers: [(&str, &[u8]); 2] = [
//!     ("X-Hub-Signature-256", b"sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
//!     ("X-GitHub-Event", b"push"),
//! ];
//! let incoming = Incoming {
//!     method: "POST",
//!     url: "https://hooks.example.com/in/github",
//!     headers: &headers,
//!     body: b"Hello, World!",
//! };
//! let now = 1_767_225_600; // Unix time in seconds: the caller has the clock
//! let verified = verify(github, &secrets, &incoming, now)?;
//! assert_eq!(verified.secret(), Some(0));
//! assert_eq!(describe(github, &incoming).event_type.as_deref(), Some("push"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! There is no I/O here, no async, no clock. Bodies are bytes: empty, not UTF-8 and 32 MiB are all fine. Signatures are
//! compared in constant time on decoded bytes; the algorithm is the scheme's or the key's and never the message's; no
//! secret means that nothing passes. [`Refusal`] explains to the operator; nothing of it is for the sender.
//!
//! How a receiver uses it, in this order: build [`Incoming`] with the public URL; answer a [`handshake`](handshake());
//! else [`verify`](verify()); on
//! [`Refusal::Need`] fetch the key ([`KeyRequest`]), add [`Secret::fetched`] and ask again; on any other refusal answer
//! [`Response::bad_signature`] with [`Response::bad_body`]; on [`Verified`] read [`describe`](describe()) (or do both by
//! [`verify_and_describe`]), keep the bytes, and answer [`Response::success`]. A sender uses [`sign`](sign()) (or [`sign_all`] while a secret is being replaced).
//!
//! Features: `asymmetric` (default) is Ed25519, ECDSA and RSA.

// Each floor rests on those above it.
pub mod encoding;
pub mod hash;
pub mod time;

pub mod form;
mod multipart;
pub mod json;
mod survey;

mod incoming;
mod scheme;
mod template;

mod der;
mod field;
mod key;
mod layout;
mod provider;

mod refusal;
mod secret;

mod message;
pub mod urls;

mod check;

mod httpsig;
mod jwt;
mod shared;
mod signed;

mod describe;
mod sign;
mod verify;

mod handshake;

mod providers;

mod plain;
mod samples;
mod title;

mod explain;

pub use check::Verified;
pub use describe::{Described, ID_MAX, TYPE_MAX, describe};
pub use encoding::Encoding;
pub use explain::{Certainty, Explanation, Finding, Known, SHOWN_MAX, explain, recognise};
pub use handshake::{Answer, ECHO_MAX, Handshake, NewSecret, handshake};
pub use hash::Hash;
pub use incoming::{Headers, Incoming};
pub use key::KeyRequest;
pub use provider::{Challenge, Confidence, Provider, Response, SecretNeed, Setting};
pub use providers::{Generic, all, find, generic};
pub use refusal::Refusal;
pub use samples::{Origin, Sample, sample, samples};
pub use scheme::{
    Algorithm, Claims, Field, Fields, HttpSignature, Jwt, KeyForm, KeyHost, KeySource, Layout,
    Piece, Place, Repeats, Scheme, Signed, Stamp, Text, Token, Tolerance, UrlForms,
};
pub use secret::{Secret, SecretError};
pub use sign::{SignError, Signature, ToSign, sign, sign_all};
pub use template::{TemplateError, pattern, template};
pub use time::Unit;
pub use title::{TITLE_MAX, title};
pub use verify::{verify, verify_and_describe};
