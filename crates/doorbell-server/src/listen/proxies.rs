//! Who really calls, when a proxy that we trust stands in between.

use doorbell_core::address::Cidr;
use std::net::IpAddr;

/// Entries of `X-Forwarded-For` that are looked at, from the right.
const HOPS: usize = 16;

/// The networks whose `X-Forwarded-For` is believed. Empty: nobody's.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Vec<Cidr>);

impl TrustedProxies {
    /// Trusts these networks.
    #[must_use]
    pub const fn new(networks: Vec<Cidr>) -> Self {
        Self(networks)
    }

    /// The caller's address: from the right of the list, the first that is no proxy of ours. What stands to the left of
    /// it was written by the caller and may be a lie. `lines` are the values of `X-Forwarded-For`, in order.
    #[must_use]
    pub fn caller<'a>(
        &self,
        peer: IpAddr,
        lines: impl DoubleEndedIterator<Item = &'a [u8]>,
    ) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let mut caller = peer;
        let entries = lines.rev().flat_map(|line| line.rsplit(|b| *b == b','));
        for entry in entries.take(HOPS) {
            let Some(ip) = address(entry) else { break };
            caller = ip;
            if !self.trusts(ip) {
                break;
            }
        }
        caller
    }

    fn trusts(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(ip.to_canonical()))
    }
}

/// One entry: an address, perhaps in brackets, perhaps with a port.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = text.strip_prefix('[').and_then(|t| t.split_once(']')).map_or(text, |(ip, _)| ip);
    bare.parse().ok().or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(peer: &str, lines: &[&str]) -> String {
        let proxies = TrustedProxies::new(
            ["10.0.0.0/8", "fd00::/8"].iter().map(|n| n.parse().unwrap()).collect(),
        );
        let lines = lines.iter().map(|line| line.as_bytes());
        proxies.caller(peer.parse().unwrap(), lines).to_string()
    }

    #[test]
    fn believes_only_proxies_and_only_the_last_hop() {
        assert_eq!(caller("203.0.113.9", &["1.2.3.4"]), "203.0.113.9");
        assert_eq!(caller("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(caller("10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(caller("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.9.9.9"]), "1.2.3.4");
        assert_eq!(caller("10.0.0.1", &["6.6.6.6", "1.2.3.4:555"]), "1.2.3.4");
        assert_eq!(caller("fd00::1", &["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(caller("10.0.0.1", &["1.2.3.4, rubbish"]), "10.0.0.1");
        assert_eq!(caller("::ffff:10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
    }
}
