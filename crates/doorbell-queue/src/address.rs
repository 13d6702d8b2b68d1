//! Where a broker is and what of it is meant: one URL.

pub use doorbell_core::queue_address::Engine;
use doorbell_core::secret::SecretText;
use std::fmt;
use std::str::FromStr;
use url::{Host, Url};

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

/// Most of an address, in bytes.
const LONGEST: usize = 2_048;

/// Who we are to a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user; on SQS the access key's id. Alone, on NATS, it is a token.
    pub user: String,
    /// The password; on SQS the secret access key.
    pub password: Option<SecretText>,
    /// The session token of temporary AWS credentials.
    pub session: Option<SecretText>,
}

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
    tls: bool,
    host: String,
    port: u16,
    credentials: Option<Credentials>,
    path: String,
    options: Vec<(String, String)>,
}

/// Why an address is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no URL.
    #[error("this is no URL")]
    NoUrl,
    /// It is none of the engines.
    #[error(
        "the scheme {0} is none of amqp, amqps, nats, nats+tls, sqs, sqs+http, redis, rediss, mqtt, mqtts"
    )]
    Scheme(String),
    /// There is no host.
    #[error("it names no host")]
    NoHost,
    /// Something else that the engine needs is missing.
    #[error("it lacks {0}")]
    Lacks(&'static str),
    /// A part of it cannot be used.
    #[error("{0} cannot be used")]
    Bad(&'static str),
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.len() > LONGEST {
            return Err(AddressError::NoUrl);
        }
        let url = Url::parse(text).map_err(|_| AddressError::NoUrl)?;
        let scheme = SCHEMES.iter().find(|(scheme, ..)| *scheme == url.scheme());
        let Some((_, engine, tls, port)) = scheme else {
            return Err(AddressError::Scheme(url.scheme().to_owned()));
        };
        let host = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => name.to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            Some(Host::Domain(_)) | None => return Err(AddressError::NoHost),
        };
        let path = decoded(url.path().strip_prefix('/').unwrap_or_default());
        let path = path.ok_or(AddressError::Bad("the path"))?;
        let options =
            url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned()));
        let options: Vec<_> = options.collect();
        let plain = |text: &str| !text.chars().any(char::is_control);
        if !plain(&path) || !options.iter().all(|(name, value)| plain(name) && plain(value)) {
            return Err(AddressError::Bad("a control character"));
        }
        let credentials = credentials(&url)?;
        let port = url.port().unwrap_or(*port);
        Ok(Self { engine: *engine, tls: *tls, host, port, credentials, path, options })
    }
}

fn credentials(url: &Url) -> Result<Option<Credentials>, AddressError> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let user = decoded(url.username()).ok_or(AddressError::Bad("the user"))?;
    let password = url.password().map(|text| {
        let text = decoded(text).ok_or(AddressError::Bad("the password"))?;
        SecretText::parse(&text).map_err(|_| AddressError::Bad("an empty password"))
    });
    Ok(Some(Credentials { user, password: password.transpose()?, session: None }))
}

/// Text with its `%XX` put right (RFC 3986, section 2.1); `None` where that makes no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let (pair, tail) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
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
        self.tls
    }

    /// The host, a name or an IP address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Who we are.
    #[must_use]
    pub const fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The same place for somebody else.
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// The path without its first slash, decoded: what of the broker is meant.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What the query says of this; an empty value says nothing.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().find(|(given, value)| given == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// The same with another path, as it is (decoded, without its first slash).
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The same with one thing of the query said otherwise.
    #[must_use]
    pub fn with_option(mut self, name: &str, value: &str) -> Self {
        self.options.retain(|(given, _)| given != name);
        self.options.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The names of all that the query says.
    pub fn option_names(&self) -> impl Iterator<Item = &str> {
        self.options.iter().map(|(name, _)| name.as_str())
    }

    /// Engine, host and port, for a log.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{} at {}:{}", self.engine.name(), self.host, self.port)
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
