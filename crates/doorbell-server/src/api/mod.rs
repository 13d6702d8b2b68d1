//! Doorbell's own HTTP API: thin handlers over the store and the settings.
//!
//! A handler reads its input, asks one of the parts below, and answers. Which operations there are, and which scope may do
//! them, stands in `doorbell_wire::api::v1::operation`; every request passes `auth` before its handler sees it, and every
//! handler gets its tenant from there. Formats belong to `doorbell-wire`, rules to `doorbell-core`.

mod refused;

mod failures;

mod token;

mod logins;

mod cookie;

mod origin;

mod state;

mod input;

mod auth;

mod find;

mod sources;

mod events;

mod explain;

mod publish;

mod endpoints;

mod declared;

mod apply;

mod deliveries;

mod replays;

mod search;

mod live;

mod tenants;

mod moves;

mod session;

mod tokens;

mod status;

mod backup;

mod pages;

mod problems;

mod routes;

mod serve;

pub use auth::Peer;
pub use cookie::Cookie;
pub use logins::LoginCode;
pub use refused::Refused;
pub use routes::router;
pub use serve::Api;
pub use state::{ApiState, Parts};
pub use token::{TokenText, hash as token_hash};
