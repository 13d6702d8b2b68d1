//! The cookie of someone who signed in: it carries a token, for this server's own pages only.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use std::net::SocketAddr;
use std::time::Duration;

/// How the cookie is called and set. Browsers keep cookies by host name, not by port: so the port is part of its name, and
/// two servers of one machine do not sign each other out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    name: String,
    /// Sent over TLS only.
    secure: &'static str,
}

impl Cookie {
    /// Of a server that is asked here in clear text.
    #[must_use]
    pub fn plain(listening: SocketAddr) -> Self {
        Self { name: format!("doorbell-{}", listening.port()), secure: "" }
    }

    /// Of a server that is asked here over TLS: browsers take `__Host-` only from it, for it alone (RFC 6265bis, section
    /// 4.1.3.2).
    #[must_use]
    pub fn over_tls(listening: SocketAddr) -> Self {
        Self { name: format!("__Host-doorbell-{}", listening.port()), secure: "; Secure" }
    }

    /// The header that sets it. `value` is a token: letters, digits and `_`.
    pub(super) fn set(&self, value: &str, life: Duration) -> Option<HeaderValue> {
        let Self { name, secure } = self;
        let seconds = life.as_secs();
        let text =
            format!("{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
        HeaderValue::try_from(text).ok()
    }

    /// The header that removes it.
    pub(super) fn clear(&self) -> Option<HeaderValue> {
        self.set("", Duration::ZERO)
    }

    /// What a request carries in it; `None` when it carries none, or two.
    pub(super) fn read<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
        let mut ours = pairs.filter(|(name, _)| name.trim() == self.name);
        let (Some((_, value)), None) = (ours.next(), ours.next()) else { return None };
        Some(value.trim())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_str(line).unwrap());
        }
        Cookie::plain(([127, 0, 0, 1], 8081).into()).read(&headers).map(str::to_owned)
    }

    #[test]
    fn one_of_our_name_is_read_among_others() {
        assert_eq!(read(&["a=b; doorbell-8081=db_live_x; c=d"]).unwrap(), "db_live_x");
        assert_eq!(read(&["a=b", "doorbell-8081=db_live_x"]).unwrap(), "db_live_x");
        for none in [
            vec![],
            vec!["doorbell-8082=x"],
            vec!["xdoorbell-8081=x"],
            vec!["doorbell-8081"],
            vec!["doorbell-8081=x; doorbell-8081=y"],
        ] {
            assert_eq!(read(&none), None, "{none:?}");
        }
    }

    #[test]
    fn it_is_for_this_server_alone() {
        let address = ([127, 0, 0, 1], 8081).into();
        let set = |cookie: Cookie| cookie.set("db_live_x", Duration::from_secs(60)).unwrap();
        assert_eq!(
            set(Cookie::plain(address)),
            "doorbell-8081=db_live_x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"
        );
        assert_eq!(
            set(Cookie::over_tls(address)),
            "__Host-doorbell-8081=db_live_x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"
        );
        assert_eq!(Cookie::plain(address).set("a\nb", Duration::ZERO), None);
    }
}
