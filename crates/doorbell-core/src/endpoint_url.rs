//! The gate for an endpoint's address: a URL that could never be delivered to, or that two parsers would read
//! differently, is refused when it is saved, with the reason. Only [`EndpointUrl::parse`] makes an [`EndpointUrl`].
//!
//! What a name resolves to is not known here: that is judged at every connection, by [`crate::address`].

use crate::address::{self, AllowPrivate, Forbidden};
use crate::limits;
use crate::queue_address::Connections;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use url::{Host, Url};

/// What the operator lets endpoints be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UrlPolicy {
    /// Whether `http://` is taken.
    pub http: PlainHttp,
    /// Which ports are called.
    pub ports: Ports,
    /// Private addresses that are called, and so may stand in a URL.
    pub allow: AllowPrivate,
    /// The message brokers that may stand in an address.
    pub queues: Connections,
}

/// Whether requests may go out without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainHttp {
    /// They may.
    #[default]
    Allowed,
    /// Only `https://` is taken.
    Refused,
}

/// Which ports are called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Ports {
    /// 80, 443 and everything from 1024 on: not mail, SSH and the like.
    #[default]
    Usual,
    /// Only these.
    Only(Vec<u16>),
}

impl Ports {
    fn take(&self, port: u16) -> bool {
        match self {
            Self::Usual => matches!(port, 80 | 443 | 1024..),
            Self::Only(list) => list.contains(&port),
        }
    }
}

/// A URL that may be delivered to, in the one form in which every parser reads it alike.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointUrl {
    text: String,
    /// Where the path begins in the text.
    path_at: usize,
    /// Where the authority begins in the text.
    authority_at: usize,
    host: Host<String>,
    port: u16,
}

/// Whom to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A name to look up; lower case, international names in punycode.
    Name(&'a str),
    /// An address; it passed the guard as part of the URL and is vetted again at each connection.
    Address(IpAddr),
}

impl EndpointUrl {
    /// Checks and takes a URL.
    ///
    /// # Errors
    /// [`UrlRefused`], a sentence that says what is wrong and what to do.
    pub fn parse(text: &str, policy: &UrlPolicy) -> Result<Self, UrlRefused> {
        if text.len() > limits::ENDPOINT_URL {
            return Err(UrlRefused::TooLong);
        }
        let url = Url::parse(text).map_err(|fault| UrlRefused::NotAUrl(fault.to_string()))?;
        scheme(&url, policy)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlRefused::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(UrlRefused::Fragment);
        }
        host(&url, policy)?;
        port(&url, policy)?;
        same_text(text, &url)?;
        Self::of(&url)
    }

    fn of(url: &Url) -> Result<Self, UrlRefused> {
        let text = url.as_str().to_owned();
        text.parse::<http::Uri>().map_err(|fault| UrlRefused::NotAUrl(fault.to_string()))?;
        let authority_at = url.scheme().len() + "://".len();
        let path_at = authority_at + url.authority().len();
        let host = url.host().ok_or_else(|| UrlRefused::Host(String::new()))?.to_owned();
        let port = url.port_or_known_default().ok_or(UrlRefused::Port(0, "443".to_owned()))?;
        Ok(Self { text, path_at, authority_at, host, port })
    }

    /// The same URL with this raw query behind its own, byte for byte; `None` when that makes no URL.
    #[must_use]
    pub fn with_query(&self, raw: &str) -> Option<Self> {
        let mark = if self.text.contains('?') { '&' } else { '?' };
        let text = format!("{}{mark}{raw}", self.text);
        let fits = !raw.contains('#') && text.parse::<http::Uri>().is_ok();
        fits.then(|| Self { text, ..self.clone() })
    }

    /// The URL as it is stored, shown and called.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the connection is TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.text.starts_with("https:")
    }

    /// Whom to connect to.
    #[must_use]
    pub fn target(&self) -> Target<'_> {
        match &self.host {
            Host::Domain(name) => Target::Name(name),
            Host::Ipv4(ip) => Target::Address(IpAddr::V4(*ip)),
            Host::Ipv6(ip) => Target::Address(IpAddr::V6(*ip)),
        }
    }

    /// Which port to connect to.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The `Host` header: the name or bracketed address, with the port when it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.text.get(self.authority_at..self.path_at).unwrap_or_default()
    }

    /// The request target: path and query.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        self.text.get(self.path_at..).unwrap_or("/")
    }
}

impl fmt::Debug for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a URL is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefused {
    /// No URL at all.
    #[error("this is not a URL ({0}): write it out, such as https://example.com/webhooks")]
    NotAUrl(String),
    /// Longer than [`limits::ENDPOINT_URL`].
    #[error("the URL is longer than {} bytes: shorten it", limits::ENDPOINT_URL)]
    TooLong,
    /// Neither http nor https.
    #[error("{0}:// cannot be delivered to: use https://")]
    Scheme(String),
    /// http where the operator wants TLS.
    #[error("http:// is switched off on this server: use https://")]
    PlainHttp,
    /// A user name or password.
    #[error(
        "the URL holds a user name or password, which would stand in logs: put it into an Authorization header of the endpoint"
    )]
    UserInfo,
    /// A fragment.
    #[error("the part after # is never sent: remove it")]
    Fragment,
    /// An address that may not be called.
    #[error(transparent)]
    Address(#[from] Forbidden),
    /// A name that no public resolver knows.
    #[error(
        "{0:?} can never be looked up on the public internet: use a full host name such as hooks.example.com (names of a private network need allow_private)"
    )]
    Host(String),
    /// A port that is not called.
    #[error("port {0} is not called: use {1}")]
    Port(u16, String),
    /// Parsers would read it differently.
    #[error("not every program would read this URL alike: write {0}")]
    Ambiguous(String),
}

fn scheme(url: &Url, policy: &UrlPolicy) -> Result<(), UrlRefused> {
    match (url.scheme(), policy.http) {
        ("https", _) | ("http", PlainHttp::Allowed) => Ok(()),
        ("http", PlainHttp::Refused) => Err(UrlRefused::PlainHttp),
        (other, _) => Err(UrlRefused::Scheme(other.to_owned())),
    }
}

fn host(url: &Url, policy: &UrlPolicy) -> Result<(), UrlRefused> {
    let literal = |ip| {
        address::may_call(SocketAddr::new(ip, 0), &policy.allow).map(drop).map_err(UrlRefused::from)
    };
    match url.host() {
        Some(Host::Ipv4(ip)) => literal(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => literal(IpAddr::V6(ip)),
        Some(Host::Domain(name)) if can_resolve(name, policy) => Ok(()),
        Some(Host::Domain(name)) => Err(UrlRefused::Host(name.to_owned())),
        None => Err(UrlRefused::Host(String::new())),
    }
}

/// Whether a name could have an address that we may call. Single words and the reserved endings (RFC 6761, 6762, 7686,
/// 8375, 9476, ICANN's `.internal`) live in private networks only, and need `allow_private`.
fn can_resolve(name: &str, policy: &UrlPolicy) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or_default();
    let labels = name.split('.').all(|l| (1..=63).contains(&l.len()));
    let never = matches!(last, "invalid" | "onion" | "alt");
    let private = !name.contains('.')
        || matches!(last, "localhost" | "local" | "internal" | "test" | "example")
        || name.ends_with(".home.arpa");
    name.len() <= 253 && labels && !never && (!private || policy.allow != AllowPrivate::none())
}

fn port(url: &Url, policy: &UrlPolicy) -> Result<(), UrlRefused> {
    let port = url.port_or_known_default().unwrap_or(0);
    if policy.ports.take(port) {
        return Ok(());
    }
    let usable = match &policy.ports {
        Ports::Usual => "443, 80, or one from 1024 on".to_owned(),
        Ports::Only(list) => list.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
    };
    Err(UrlRefused::Port(port, usable))
}

/// The parser repairs a lot (`http:127.0.0.1`, tabs, full-width digits, `..`); what had to be repaired is refused, apart
/// from letter case, a written default port and a missing slash.
fn same_text(text: &str, url: &Url) -> Result<(), UrlRefused> {
    if canonical(text, url).as_deref() == Some(url.as_str()) {
        Ok(())
    } else {
        Err(UrlRefused::Ambiguous(url.as_str().to_owned()))
    }
}

fn canonical(text: &str, url: &Url) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end)?;
    let mut authority = authority.to_ascii_lowercase();
    if url.port().is_none() {
        let own = format!(":{}", url.port_or_known_default()?);
        authority.truncate(authority.strip_suffix(&own).unwrap_or(&authority).len());
    }
    let slash = if tail.starts_with('/') { "" } else { "/" };
    Some(format!("{}://{authority}{slash}{tail}", scheme.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<EndpointUrl, UrlRefused> {
        EndpointUrl::parse(text, &UrlPolicy::default())
    }

    #[test]
    fn good_urls_are_taken_in_one_form() {
        for (text, stored) in [
            ("https://example.com/hooks", "https://example.com/hooks"),
            ("HTTPS://Example.COM", "https://example.com/"),
            ("https://example.com:443/A?b=C&d", "https://example.com/A?b=C&d"),
            ("http://example.com:80?x", "http://example.com/?x"),
            ("http://8.8.8.8:8080/", "http://8.8.8.8:8080/"),
            ("https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"),
            ("https://xn--bcher-kva.example.com/", "https://xn--bcher-kva.example.com/"),
            ("https://example.com./x", "https://example.com./x"),
            ("https://example.com/%7Ea;b=c,d/?{q}|^", "https://example.com/%7Ea;b=c,d/?{q}|^"),
        ] {
            assert_eq!(parse(text).map(|url| url.to_string()), Ok(stored.to_owned()));
        }
    }

    #[test]
    fn its_parts() {
        let url = parse("https://Example.com:8443/a/b?c=d").unwrap();
        assert_eq!((url.authority(), url.port(), url.is_tls()), ("example.com:8443", 8443, true));
        assert_eq!((url.path_and_query(), url.target()), ("/a/b?c=d", Target::Name("example.com")));
        let url = parse("http://[2606:4700:4700::1111]").unwrap();
        assert_eq!(
            (url.authority(), url.path_and_query(), url.port()),
            ("[2606:4700:4700::1111]", "/", 80)
        );
        assert!(matches!(url.target(), Target::Address(IpAddr::V6(_))));
    }

    #[test]
    fn a_query_is_added_as_it_is() {
        let url = parse("https://example.com/a").unwrap();
        let with = url.with_query("b=%20c'&d").unwrap();
        assert_eq!(
            (with.as_str(), with.path_and_query()),
            ("https://example.com/a?b=%20c'&d", "/a?b=%20c'&d")
        );
        let both = parse("https://example.com?x=1").unwrap().with_query("b").unwrap();
        assert_eq!(
            (both.as_str(), both.authority()),
            ("https://example.com/?x=1&b", "example.com")
        );
        for bad in ["a b", "a\r\nb", "a#b", "\0"] {
            assert_eq!(url.with_query(bad), None, "{bad:?}");
        }
    }

    /// The URLs with which filters of other gateways were passed by.
    const TRICKS: [&str; 36] = [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://0x7f000001/",
        "http:127.0.0.1/",
        "http:/127.0.0.1/",
        "http:\\\\127.0.0.1\\",
        "http://127。0。0。1/",
        "http://１２７.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b:1::a00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://[::]/",
        "http://0/",
        "http://0.0.0.0/",
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://192.168.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://100.100.100.200/",
        "http://168.63.129.16/",
        "http://255.255.255.255/",
        "http://224.0.0.1/",
        "http://localhost/",
        "http://%6cocalhost/",
        "http://①②⑦.0.0.1/",
    ];

    #[test]
    fn no_trick_leads_inside() {
        for text in TRICKS {
            let refused = parse(text).unwrap_err();
            assert!(
                matches!(refused, UrlRefused::Address(_) | UrlRefused::Host(_)),
                "{text}: {refused}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, sentence) in [
            (
                "example.com/hooks",
                "this is not a URL (relative URL without a base): write it out, such as https://example.com/webhooks",
            ),
            ("ftp://example.com/", "ftp:// cannot be delivered to: use https://"),
            (
                "https://u:p@example.com/",
                "the URL holds a user name or password, which would stand in logs: put it into an Authorization header of the endpoint",
            ),
            ("https://example.com/#top", "the part after # is never sent: remove it"),
            (
                "https://intranet/",
                "\"intranet\" can never be looked up on the public internet: use a full host name such as hooks.example.com (names of a private network need allow_private)",
            ),
            (
                "https://db.internal/",
                "\"db.internal\" can never be looked up on the public internet: use a full host name such as hooks.example.com (names of a private network need allow_private)",
            ),
            ("https://example.com:25/", "port 25 is not called: use 443, 80, or one from 1024 on"),
            (
                "https://ex\tample.com/",
                "not every program would read this URL alike: write https://example.com/",
            ),
            (
                "https://example.com/a b",
                "not every program would read this URL alike: write https://example.com/a%20b",
            ),
            (
                "https://example.com/a/../b",
                "not every program would read this URL alike: write https://example.com/b",
            ),
            (
                "https:example.com/b",
                "not every program would read this URL alike: write https://example.com/b",
            ),
            (
                "https://example.com\\b",
                "not every program would read this URL alike: write https://example.com/b",
            ),
            (
                " https://example.com/",
                "not every program would read this URL alike: write https://example.com/",
            ),
            (
                "https://bücher.de/",
                "not every program would read this URL alike: write https://xn--bcher-kva.de/",
            ),
            (
                "https://@example.com/",
                "not every program would read this URL alike: write https://example.com/",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), sentence, "{text}");
        }
        assert_eq!(
            parse(&format!("https://example.com/{}", "a".repeat(limits::ENDPOINT_URL))),
            Err(UrlRefused::TooLong)
        );
        assert!(parse(&format!("https://{}.com/", "a".repeat(64))).is_err());
    }

    #[test]
    fn the_operator_decides() {
        let strict = UrlPolicy {
            http: PlainHttp::Refused,
            ports: Ports::Only(vec![443, 8443]),
            ..UrlPolicy::default()
        };
        assert_eq!(EndpointUrl::parse("http://example.com/", &strict), Err(UrlRefused::PlainHttp));
        assert_eq!(
            EndpointUrl::parse("https://example.com:9443/", &strict).unwrap_err().to_string(),
            "port 9443 is not called: use 443, 8443"
        );
        let home = UrlPolicy { allow: AllowPrivate::loopback(), ..UrlPolicy::default() };
        for text in [
            "http://localhost:3000/",
            "http://127.0.0.1:3000/",
            "http://[::1]:3000/",
            "http://app:3000/",
        ] {
            assert!(EndpointUrl::parse(text, &home).is_ok(), "{text}");
        }
        for text in ["http://10.0.0.1/", "http://x.invalid/", "http://169.254.169.254/"] {
            assert!(EndpointUrl::parse(text, &home).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_read_alike_by_both_parsers(text in "https?://[a-z0-9.:@\\[\\]-]{1,20}[ -~]{0,30}") {
            if let Ok(url) = parse(&text) {
                let uri: http::Uri = url.as_str().parse().unwrap();
                prop_assert_eq!(uri.authority().map(http::uri::Authority::as_str), Some(url.authority()));
                prop_assert_eq!(uri.path_and_query().map(http::uri::PathAndQuery::as_str), Some(url.path_and_query()));
                prop_assert_eq!(parse(url.as_str()), Ok(url));
            }
        }
    }
}
