//! Which names a listener answers to. A page on the web that resolves to our address (DNS rebinding) sends another name
//! in `Host`, and is turned away before anything looks at the request.

use std::net::{IpAddr, SocketAddr};

/// The names that are answered to, lower case, without ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// `localhost`, `127.0.0.1`, `[::1]`, the address that is listened on (unless it is "any"), and the given names.
    #[must_use]
    pub fn new(bound: SocketAddr, names: impl IntoIterator<Item = String>) -> Self {
        let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        if !bound.ip().is_unspecified() {
            all.push(match bound.ip() {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"),
            });
        }
        all.extend(names.into_iter().map(|name| name.to_ascii_lowercase()));
        Self(all)
    }

    /// Whether the value of `Host` or `:authority` names us; the port does not matter. None, or an empty one, does not.
    #[must_use]
    pub fn answer_to(&self, host: Option<&str>) -> bool {
        let Some(name) = host.and_then(without_port) else { return false };
        self.0.iter().any(|ours| ours.eq_ignore_ascii_case(name))
    }
}

fn without_port(host: &str) -> Option<&str> {
    let end = if host.starts_with('[') {
        host.find(']')? + 1
    } else {
        host.find(':').unwrap_or(host.len())
    };
    let (name, port) = host.split_at_checked(end)?;
    let port = port.strip_prefix(':').unwrap_or(port);
    port.bytes().all(|b| b.is_ascii_digit()).then(|| name.strip_suffix('.').unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names() {
        let hosts = Hosts::new(([192, 0, 2, 7], 8081).into(), ["Admin.Example.com".to_owned()]);
        for ours in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:8081",
            "[::1]",
            "[::1]:8081",
            "192.0.2.7",
            "admin.example.com",
            "admin.example.com.:443",
        ] {
            assert!(hosts.answer_to(Some(ours)), "{ours}");
        }
        for other in [
            "",
            "evil.test",
            "localhost.evil.test",
            "evil.test:localhost",
            "localhost:evil",
            "[::1",
            "[::1]evil",
            "127.0.0.1.evil.test",
            "::1",
            "0.0.0.0",
            "localhost@evil.test",
            ":80",
        ] {
            assert!(!hosts.answer_to(Some(other)), "{other}");
        }
        assert!(!hosts.answer_to(None));
    }
}
