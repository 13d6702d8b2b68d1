//! Where a broker is and what of it is meant: one URL.

use crate::site::{self, Site};
pub use crate::site::{AddressError, Credentials};
pub use doorbell_core::queue_address::Engine;
use std::fmt;
use std::str::FromStr;

/// A scheme: engine, TLS, port.
const SCHEMES: [(&str, Engine, bool, u16); 11] = [
    ("amqp", Engine::Amqp, false, 5672),
    ("amqps", Engine::Amqp, true, 5671),
    ("nats", Engine::Nats, false, 4222),
    ("nats+tls", Engine::Nats, true, 4222),
    ("tls", Engine::Nats, true, 4222),
    ("redis", Engine::Redis, false, 6379),
    ("rediss", Engine::Redis, true, 6379),
    ("mqtt", Engine::Mqtt, false, 1883),
    ("mqtts", Engine::Mqtt, true, 8883),
    ("sqs", Engine::Sqs, true, 443),
    ("sqs+http", Engine::Sqs, false, 80),
];

/// Where a broker is and what of it is meant.
///
/// | | address |
/// |---|---|
/// | `RabbitMQ` | `amqp://user:password@host:5672/vhost?exchange=…&key=…` to put, `?queue=…` to take from or to put into |
/// | NATS | `nats://user:password@host:4222/subject` to put; `?stream=…&consumer=…` to take |
/// | SQS | `sqs://sqs.eu-central-1.amazonaws.com/123456789012/queue`, as its own URL; `?region=…` for another host |
/// | Redis | `redis://user:password@host:6379/0?stream=…&group=…` |
/// | MQTT | `mqtt://user:password@host:1883/topic?client=…` |
///
/// With TLS: `amqps`, `nats+tls`, `rediss`, `mqtts`; `sqs+http` is SQS without.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    engine: Engine,
    site: Site,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let url = site::url(text)?;
        let scheme = SCHEMES.iter().find(|(scheme, ..)| *scheme == url.scheme());
        let Some((_, engine, tls, port)) = scheme else {
            return Err(AddressError::Scheme(url.scheme().to_owned()));
        };
        Ok(Self { engine: *engine, site: Site::read(&url, *tls, *port)? })
    }
}

impl Address {
    /// The kind of broker.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Whether the connection is to be encrypted.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.site.tls
    }

    /// The host, a name or an IP address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.site.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.site.port
    }

    /// Who we are.
    #[must_use]
    pub const fn credentials(&self) -> Option<&Credentials> {
        self.site.credentials.as_ref()
    }

    /// The same place for somebody else.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.site.credentials = Some(credentials);
        self
    }

    /// The path without its first slash, decoded: what of the broker is meant.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.site.path
    }

    /// What the query says of this; an empty value says nothing.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        self.site.option(name)
    }

    /// The same with another path, as it is (decoded, without its first slash).
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.site.path);
        self
    }

    /// The same with one thing of the query said otherwise.
    #[must_use]
    pub fn with_option(mut self, name: &str, value: &str) -> Self {
        self.site.options.retain(|(given, _)| given != name);
        self.site.options.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The names of all that the query says.
    pub fn option_names(&self) -> impl Iterator<Item = &str> {
        self.site.options.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) const fn site(&self) -> &Site {
        &self.site
    }

    #[cfg(feature = "sqs")]
    pub(crate) fn into_site(self) -> Site {
        self.site
    }

    /// Engine, host and port, for a log.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{} at {}:{}", self.engine.name(), self.site.host, self.site.port)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_address() {
        let address: Address =
            "amqps://me:p%40ss@[::1]/%2Fhooks?exchange=a%20b&queue=".parse().unwrap();
        assert_eq!((address.host(), address.port(), address.is_tls()), ("::1", 5671, true));
        assert_eq!((address.path(), address.option("exchange")), ("/hooks", Some("a b")));
        assert_eq!(address.option("queue"), None);
        let who = address.credentials().unwrap();
        assert_eq!((who.user.as_str(), who.password.as_ref().unwrap().reveal()), ("me", "p@ss"));
        assert!(!format!("{address:?}").contains("p@ss"));
    }

    #[test]
    fn what_is_no_address() {
        for text in [
            "",
            "rabbit",
            "http://a/",
            "amqp:///x",
            "amqp://h/%ff",
            "nats://h/a%0d%0ab",
            "mqtt://h/?a=%00",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
