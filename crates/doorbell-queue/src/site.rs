//! What the URLs of all that is called say alike: host, port, who we are, a path and options.

use doorbell_core::secret::SecretText;
use std::fmt;
use url::{Host, Url};

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

/// Where something is that is called: what of an [`Address`](crate::Address) does not depend on what is there.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) tls: bool,
    /// A name or an IP address.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) credentials: Option<Credentials>,
    /// Decoded, without its first slash.
    pub(crate) path: String,
    pub(crate) options: Vec<(String, String)>,
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

/// A URL that is not overlong.
pub(crate) fn url(text: &str) -> Result<Url, AddressError> {
    if text.len() > LONGEST {
        return Err(AddressError::NoUrl);
    }
    Url::parse(text).map_err(|_| AddressError::NoUrl)
}

impl Site {
    /// What a URL says, whose scheme means TLS or not, and a port where none is named.
    pub(crate) fn read(url: &Url, tls: bool, port: u16) -> Result<Self, AddressError> {
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
        let credentials = credentials(url)?;
        let port = url.port().unwrap_or(port);
        Ok(Self { tls, host, port, credentials, path, options })
    }

    /// What the query says of this; an empty value says nothing.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().find(|(given, value)| given == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
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
