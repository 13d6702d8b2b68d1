//! Verified webhooks of any provider as an axum extractor, and for any service over `http` types.
//!
//! ```
//! use axum::{Router, routing::any};
//! use webhook_signatures_axum::{Receiver, Webhook};
//!
//! async fn on_push(webhook: Webhook) -> String {
//!     // The bytes are GitHub's; a repetition has the same id.
//!     format!("{:?} {:?}", webhook.described.event_type, webhook.body.len())
//! }
//!
//! let github = Receiver::new("github", &["It's a Secret to Everybody"])?;
//! let app: Router = Router::new().route("/hooks/github", any(on_push)).with_state(github);
//! # Ok::<(), webhook_signatures_axum::SetUpError>(())
//! ```
//!
//! The handler runs only for an event that its provider signed. A question of the provider's (Slack's `url_verification`,
//! Meta's `hub.challenge`, …) is answered here: route all methods to the handler, since some questions are GET. A wrong
//! signature gets the status that the provider wants and no word about why; the reason goes to
//! [`Receiver::on_refusal`]. Bodies are read whole, at most [`Receiver::with_limit`].
//!
//! Keys from the network are not fetched here: give the key as a secret. Schemes that sign the URL need
//! [`Receiver::with_public_url`], because what a proxy makes of the URL is not what was signed.

#![forbid(unsafe_code)]

mod receiver;
mod extract;

pub use extract::Webhook;
pub use receiver::{Receiver, Refused, SetUpError};
pub use webhook_signatures as signatures;
