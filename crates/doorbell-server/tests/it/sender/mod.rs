//! The sender against receivers of every kind, each a small server on 127.0.0.1.

mod answers;
mod forbidden;
mod hell;
mod hubs;
mod http2;
mod keys;
mod lookups;
mod proxy;
mod reuse;
mod rig;
mod script;
mod tls;
