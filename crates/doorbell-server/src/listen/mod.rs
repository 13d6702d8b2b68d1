//! Listening sockets: TCP and TLS, HTTP/1 and HTTP/2, limits and deadlines before anything else.
//!
//! What lives here knows connections, not webhooks: a listener hands whole requests to a [`Handler`] and carries the
//! answers back. Each connection's bytes are under watch (`watched`): heads and bodies that are overdue, too large or
//! ambiguous end it with a clean 408, 414, 431 or 400, and after an answer that did not wait for the rest of a request
//! the rest is read out (within bounds) before the socket closes, so that the answer arrives.

mod framing;
mod hosts;
mod proxies;
mod tls;
mod watched;
mod connection;
mod listener;

pub use connection::{Caller, Handler};
pub use hosts::Hosts;
pub use listener::{ListenConfig, ListenError, Listener, Socket};
pub use proxies::TrustedProxies;
pub use tls::{Reload, Tls, TlsError, TlsFiles};
pub use watched::Deadlines;
