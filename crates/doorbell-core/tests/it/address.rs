//! Which addresses may be called.

use doorbell_core::address::{AllowPrivate, Cidr, Forbidden, Vetted, may_call, may_call_all};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[expect(clippy::unwrap_in_result, reason = "a wrong address in a test is the test's fault")]
fn check(ip: &str, allow: &AllowPrivate) -> Result<Vetted, Forbidden> {
    let ip: IpAddr = ip.parse().expect("a test's address");
    may_call(SocketAddr::new(ip, 443), allow)
}

fn allowing(nets: &[&str]) -> AllowPrivate {
    AllowPrivate::parse(nets.iter().copied()).unwrap()
}

#[test]
fn public_addresses_may_be_called() {
    for ip in [
        "1.1.1.1",
        "8.8.8.8",
        "172.15.255.255",
        "172.32.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "192.0.1.0",
        "::ffff:8.8.8.8",
        "2606:4700:4700::1111",
        "2a00:1450:4001:81b::200e",
        "2001:200::1",
        "3ffe::1",
    ] {
        assert!(check(ip, &AllowPrivate::none()).is_ok(), "{ip}");
    }
}

#[test]
fn embedded_ipv4_is_found_in_every_form() {
    for ip in [
        "::ffff:127.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
        "2606:4700::5efe:7f00:1",
        "2606:4700::200:5efe:a00:1",
    ] {
        assert!(check(ip, &AllowPrivate::none()).is_err(), "{ip}");
    }
}

#[test]
fn an_allowed_tunnel_still_ends_at_a_judged_address() {
    let nat64 = allowing(&["64:ff9b::/96"]);
    assert!(check("64:ff9b::808:808", &nat64).is_ok());
    assert!(check("64:ff9b::a00:1", &nat64).is_err());
    assert!(check("64:ff9b::a9fe:a9fe", &allowing(&["64:ff9b::/96", "169.254.0.0/16"])).is_err());
    assert!(check("64:ff9b::a00:1", &allowing(&["64:ff9b::/96", "10.0.0.0/8"])).is_ok());
}

#[test]
fn what_the_operator_allows() {
    let allow = allowing(&["10.1.0.0/16", "fd12::/16", "loopback", "192.168.1.7"]);
    for ip in ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1", "127.0.0.1", "::1", "192.168.1.7"] {
        assert!(check(ip, &allow).is_ok(), "{ip}");
    }
    for ip in ["10.2.0.1", "fd13::1", "192.168.1.8", "0.0.0.0", "::"] {
        assert!(check(ip, &allow).is_err(), "{ip}");
    }
    assert_eq!(allowing(&["::ffff:10.0.0.0/104"]), allowing(&["10.0.0.0/8"]));
}

#[test]
fn metadata_is_never_allowed() {
    let all = allowing(&["0.0.0.0/0", "::/0"]);
    assert!(check("10.0.0.1", &all).is_ok() && check("fc00::1", &all).is_ok());
    for ip in [
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "100.100.100.200",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::a9fe:a9fe",
        "fd00::5efe:a9fe:a9fe",
        "2001:0:1:2:3:4:5601:5601",
    ] {
        let refused = check(ip, &all).unwrap_err();
        assert!(refused.to_string().ends_with("never called"), "{ip}: {refused}");
    }
}

#[test]
fn networks_are_read_strictly() {
    for bad in [
        "",
        "10.0.0.0/33",
        "10.0.0/8",
        "::/129",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "localhost",
        "10.0.0.1/8",
    ] {
        assert!(bad.parse::<Cidr>().is_err(), "{bad}");
    }
    assert_eq!(
        "10.0.0.1/8".parse::<Cidr>().unwrap_err().to_string(),
        "the address goes beyond its prefix length: write 10.0.0.0/8, or the single address without a length"
    );
    assert_eq!("10.1.2.3".parse::<Cidr>().unwrap().to_string(), "10.1.2.3/32");
}

#[test]
fn one_forbidden_address_condemns_the_name() {
    let both = ["8.8.8.8:443".parse().unwrap(), "10.0.0.1:443".parse().unwrap()];
    let refused = may_call_all(&both, &AllowPrivate::none()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "10.0.0.1 is a private address (10.0.0.0/8); only public addresses are called, unless the operator lists it in allow_private"
    );
    assert_eq!(may_call_all(&both[..1], &AllowPrivate::none()).map(|v| v.len()), Ok(1));
}

/// The registries as text, apart from the table above, so that a slip in one of them shows.
const IANA: [&str; 31] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.31.196.0/24",
    "192.52.193.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "192.175.48.0/24",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "224.0.0.0/4",
    "::1/128",
    "::/128",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "2620:4f:8000::/48",
    "3fff::/20",
    "5f00::/16",
    "fc00::/7",
    "fe80::/10",
];

/// An address in the block, with random bits behind the prefix.
fn inside(block: &str, random: u128) -> IpAddr {
    let (base, bits) = block.split_once('/').unwrap();
    let bits: u32 = bits.parse().unwrap();
    match base.parse().unwrap() {
        IpAddr::V4(base) => {
            let tail = u32::MAX.checked_shr(bits).unwrap_or(0);
            let random = u32::try_from(random >> 96).unwrap();
            IpAddr::V4(Ipv4Addr::from_bits(base.to_bits() | (random & tail)))
        }
        IpAddr::V6(base) => {
            let tail = u128::MAX.checked_shr(bits).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(base.to_bits() | (random & tail)))
        }
    }
}

/// All the ways in which an IPv4 address hides in an IPv6 one, beside being mapped.
fn hidden(v4: Ipv4Addr, random: u128) -> [Ipv6Addr; 6] {
    let low = u128::from(v4.to_bits());
    let net = |text: &str| text.parse::<Ipv6Addr>().unwrap().to_bits();
    let teredo = net("2001::")
        | (random & 0xffff_ffff_ffff_ffff_0000_0000 & !(u128::MAX << 96))
        | (low ^ 0xffff_ffff);
    [
        low,
        net("64:ff9b::") | low,
        net("64:ff9b:1::") | (random & 0xffff_ffff_ffff_0000_0000) | low,
        net("2002::") | (low << 80) | (random >> 48),
        teredo,
        net("2a00::5efe:0:0") | (random & (0xffff_ffff << 64)) | low,
    ]
    .map(Ipv6Addr::from_bits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn no_special_purpose_address_is_called(random: u128) {
        for block in IANA {
            let ip = inside(block, random);
            let target = SocketAddr::new(ip, 80);
            prop_assert!(may_call(target, &AllowPrivate::none()).is_err(), "{ip} of {block}");
            if let IpAddr::V4(v4) = ip {
                let mapped = SocketAddr::new(IpAddr::V6(v4.to_ipv6_mapped()), 80);
                prop_assert!(may_call(mapped, &AllowPrivate::none()).is_err(), "{mapped}");
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Not even an operator who opens all of IPv6 opens the private IPv4 network behind a translator.
    #[test]
    fn an_open_tunnel_leads_to_no_private_address(random: u128) {
        let all_of_ipv6 = allowing(&["::/0"]);
        for block in IANA.iter().filter(|block| block.contains('.') && !block.starts_with("0.")) {
            let IpAddr::V4(v4) = inside(block, random) else { continue };
            for ip in hidden(v4, random) {
                prop_assert!(may_call(SocketAddr::new(IpAddr::V6(ip), 80), &all_of_ipv6).is_err(), "{v4} in {ip}");
            }
        }
    }

    #[test]
    fn a_network_holds_what_shares_its_head(random: u128, bits in 1_u32..=128, other: u128) {
        let tail = u128::MAX.checked_shr(bits).unwrap_or(0);
        let base = Ipv6Addr::from_bits(random & !tail);
        prop_assume!(base.to_ipv4_mapped().is_none());
        let net: Cidr = format!("{base}/{bits}").parse().unwrap();
        let within = (random & !tail) | (other & tail);
        prop_assert!(net.holds(IpAddr::V6(Ipv6Addr::from_bits(within))));
        let outside = within ^ (1 << (128 - bits));
        prop_assert!(!net.holds(IpAddr::V6(Ipv6Addr::from_bits(outside))));
        prop_assert_eq!(net.to_string(), format!("{base}/{bits}"));
    }
}
