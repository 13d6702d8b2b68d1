//! May this address be called? The guard against requests into the private network (SSRF), as allow-list logic: IPv4 and
//! IPv6 addresses are public only when no special-purpose block of IANA holds them, and an IPv4 address that is embedded
//! in an IPv6 one is judged as well. Only [`may_call`] makes a [`Vetted`], and only a [`Vetted`] may be connected to.
//!
//! Blocks: IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, 8190), plus what clouds use for metadata.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// An address and port that passed [`may_call`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Vetted(SocketAddr);

impl Vetted {
    /// What to connect to.
    #[must_use]
    pub const fn socket(self) -> SocketAddr {
        self.0
    }
}

/// Whether we may connect to this address.
///
/// # Errors
/// [`Forbidden`], which says what the address is.
pub fn may_call(address: SocketAddr, allow: &AllowPrivate) -> Result<Vetted, Forbidden> {
    let ip = address.ip().to_canonical();
    let inner = embedded(ip).map(IpAddr::V4);
    let all = || std::iter::once(ip).chain(inner);
    if let Some(block) = all().find_map(|ip| find(NEVER, ip)) {
        return Err(Forbidden { address: ip, what: block.what, never: true });
    }
    let fault = match judge(ip) {
        Some(what) if !allow.covers(ip) => Some(what),
        _ => inner.filter(|v4| !allow.covers(*v4)).and_then(judge),
    };
    match fault {
        Some(what) => Err(Forbidden { address: ip, what, never: false }),
        None => Ok(Vetted(SocketAddr::new(ip, address.port()))),
    }
}

/// Whether we may connect to what a name resolved to. One forbidden address condemns the whole name: a public name that
/// also points inside is an attack or a mistake, and never what the user meant.
///
/// # Errors
/// [`Forbidden`] for the first address that is.
pub fn may_call_all(
    addresses: &[SocketAddr],
    allow: &AllowPrivate,
) -> Result<Vec<Vetted>, Forbidden> {
    addresses.iter().map(|address| may_call(*address, allow)).collect()
}

/// An address that may not be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forbidden {
    /// The address, IPv4 where it was mapped into IPv6.
    pub address: IpAddr,
    /// What it is, such as `a private address (10.0.0.0/8)`.
    what: &'static str,
    /// Whether not even the operator can allow it.
    never: bool,
}

impl std::error::Error for Forbidden {}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; ", self.address, self.what)?;
        f.write_str(if self.never {
            "such addresses are never called"
        } else {
            "only public addresses are called, unless the operator lists it in allow_private"
        })
    }
}

/// The private addresses that the operator of this deployment lets us call. Metadata addresses stay forbidden.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowPrivate(Vec<Cidr>);

impl AllowPrivate {
    /// Only public addresses.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// 127.0.0.0/8 and `::1`: for trying things on one's own machine.
    #[must_use]
    pub fn loopback() -> Self {
        Self(vec![LOOPBACK_4, LOOPBACK_6])
    }

    /// Reads the operator's list: networks such as `10.0.0.0/8` or `fd00::/8`, single addresses, or the word `loopback`.
    ///
    /// # Errors
    /// [`CidrError`] for the first entry that is none of these.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, CidrError> {
        let mut nets = Vec::new();
        for entry in entries {
            match entry.trim() {
                "loopback" => nets.extend(Self::loopback().0),
                text => nets.push(text.parse()?),
            }
        }
        Ok(Self(nets))
    }

    fn covers(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|net| net.holds(ip))
    }
}

/// A network: an address and how many of its leading bits count.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

impl Cidr {
    const fn v4(a: u8, b: u8, c: u8, bits: u8) -> Self {
        Self { base: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), bits }
    }

    const fn host4(a: u8, b: u8, c: u8, d: u8) -> Self {
        Self { base: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits: 32 }
    }

    const fn v6(high: [u16; 4], low: u16, bits: u8) -> Self {
        let [a, b, c, d] = high;
        Self { base: IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, low)), bits }
    }

    /// Whether the address is in the network.
    #[must_use]
    pub fn holds(self, ip: IpAddr) -> bool {
        match (self.base, ip) {
            (IpAddr::V4(base), IpAddr::V4(ip)) => {
                same_head(u128::from(base.to_bits()), u128::from(ip.to_bits()), 32 - self.bits)
            }
            (IpAddr::V6(base), IpAddr::V6(ip)) => {
                same_head(base.to_bits(), ip.to_bits(), 128 - self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Whether two addresses agree but for their last `tail` bits (0 to 128).
fn same_head(a: u128, b: u128, tail: u8) -> bool {
    (a ^ b).checked_shr(u32::from(tail)).unwrap_or(0) == 0
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let syntax = || CidrError::Syntax(text.chars().take(80).collect());
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let base: IpAddr = address.parse().map_err(|_| syntax())?;
        let width = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().ok().filter(|bits| *bits <= width).ok_or_else(syntax)?
            }
            Some(_) => return Err(syntax()),
        };
        let net = Self { base: network(base, width - bits), bits };
        if net.base == base { Ok(net.canonical()) } else { Err(CidrError::HostBits(net)) }
    }
}

/// The address with its last `tail` bits zero.
fn network(base: IpAddr, tail: u8) -> IpAddr {
    let mask = u128::MAX.checked_shl(u32::from(tail)).unwrap_or(0);
    match base {
        IpAddr::V4(ip) => IpAddr::V4(low(u128::from(ip.to_bits()) & mask)),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask)),
    }
}

/// The last 32 bits as an IPv4 address.
fn low(bits: u128) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::try_from(bits & 0xffff_ffff).unwrap_or(0))
}

impl Cidr {
    /// `::ffff:10.0.0.0/104` means `10.0.0.0/8`: addresses are judged in that form.
    fn canonical(self) -> Self {
        match (self.base.to_canonical(), self.bits.checked_sub(96)) {
            (base @ IpAddr::V4(_), Some(bits)) if self.base.is_ipv6() => Self { base, bits },
            _ => self,
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Neither a network nor an address.
    #[error("{0:?} is not a network: write an address with a prefix length such as 10.0.0.0/8")]
    Syntax(String),
    /// The address has bits that the prefix length cuts off.
    #[error(
        "the address goes beyond its prefix length: write {0}, or the single address without a length"
    )]
    HostBits(Cidr),
}

/// What the address is when it is not public; `None`: it is.
fn judge(ip: IpAddr) -> Option<&'static str> {
    let special = find(SPECIAL, ip).map(|block| block.what);
    match ip {
        IpAddr::V4(_) => special,
        IpAddr::V6(ip) if is_isatap(ip) => Some("an IPv4 address inside an IPv6 one (ISATAP)"),
        IpAddr::V6(ip) => special.or_else(|| {
            (!GLOBAL_UNICAST.holds(IpAddr::V6(ip)))
                .then_some("outside the public IPv6 space (2000::/3)")
        }),
    }
}

/// The IPv4 address that a translator or tunnel would take out of this IPv6 address.
fn embedded(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    let bits = ip.to_bits();
    let within = |net: Cidr| net.holds(IpAddr::V6(ip));
    if ip.is_unspecified() || ip.is_loopback() {
        None
    } else if within(COMPATIBLE) || within(NAT64) || within(NAT64_LOCAL) || is_isatap(ip) {
        Some(low(bits))
    } else if within(SIX_TO_FOUR) {
        Some(low(bits >> 80))
    } else if within(TEREDO) {
        Some(low(!bits))
    } else {
        None
    }
}

/// RFC 5214: the interface identifier is `[02]00:5efe:` and the IPv4 address.
const fn is_isatap(ip: Ipv6Addr) -> bool {
    let [_, _, _, _, e, f, _, _] = ip.segments();
    matches!(e, 0 | 0x200) && f == 0x5efe
}

fn find(blocks: &'static [Block], ip: IpAddr) -> Option<&'static Block> {
    blocks.iter().find(|block| block.net.holds(ip))
}

struct Block {
    net: Cidr,
    what: &'static str,
}

const fn block(net: Cidr, what: &'static str) -> Block {
    Block { net, what }
}

const LOOPBACK_4: Cidr = Cidr::v4(127, 0, 0, 8);
const LOOPBACK_6: Cidr = Cidr::v6([0; 4], 1, 128);
const GLOBAL_UNICAST: Cidr = Cidr::v6([0x2000, 0, 0, 0], 0, 3);
const COMPATIBLE: Cidr = Cidr::v6([0; 4], 0, 96);
const NAT64: Cidr = Cidr::v6([0x64, 0xff9b, 0, 0], 0, 96);
const NAT64_LOCAL: Cidr = Cidr::v6([0x64, 0xff9b, 1, 0], 0, 48);
const TEREDO: Cidr = Cidr::v6([0x2001, 0, 0, 0], 0, 32);
const SIX_TO_FOUR: Cidr = Cidr::v6([0x2002, 0, 0, 0], 0, 16);

/// Where clouds keep a machine's credentials. No setting opens these.
const NEVER: &[Block] = &[
    block(
        Cidr::v4(169, 254, 0, 16),
        "a link-local address, where clouds keep credentials (169.254.0.0/16)",
    ),
    block(Cidr::host4(168, 63, 129, 16), "the address of Azure's host services"),
    block(Cidr::host4(100, 100, 100, 200), "the address of Alibaba Cloud's metadata"),
    block(Cidr::host4(192, 0, 0, 192), "the address of Oracle Cloud's metadata"),
    block(Cidr::v6([0xfd00, 0xec2, 0, 0], 0, 32), "an address of AWS's metadata (fd00:ec2::/32)"),
    block(Cidr::v6([0xfd20, 0xce, 0, 0], 0x254, 128), "the address of Google Cloud's metadata"),
];

/// Everything that is not the public internet; an operator may open parts of it.
const SPECIAL: &[Block] = &[
    block(LOOPBACK_4, "a loopback address (127.0.0.0/8)"),
    block(Cidr::v4(10, 0, 0, 8), "a private address (10.0.0.0/8)"),
    block(Cidr::v4(172, 16, 0, 12), "a private address (172.16.0.0/12)"),
    block(Cidr::v4(192, 168, 0, 16), "a private address (192.168.0.0/16)"),
    block(Cidr::v4(0, 0, 0, 8), "an address of \"this network\" (0.0.0.0/8)"),
    block(Cidr::v4(100, 64, 0, 10), "an address behind a carrier's NAT (100.64.0.0/10)"),
    block(Cidr::v4(192, 0, 0, 24), "a protocol assignment (192.0.0.0/24)"),
    block(Cidr::v4(192, 0, 2, 24), "a documentation address (192.0.2.0/24)"),
    block(Cidr::v4(192, 31, 196, 24), "an AS112 address (192.31.196.0/24)"),
    block(Cidr::v4(192, 52, 193, 24), "an AMT address (192.52.193.0/24)"),
    block(Cidr::v4(192, 88, 99, 24), "a 6to4 relay address (192.88.99.0/24)"),
    block(Cidr::v4(192, 175, 48, 24), "an AS112 address (192.175.48.0/24)"),
    block(Cidr::v4(198, 18, 0, 15), "a benchmarking address (198.18.0.0/15)"),
    block(Cidr::v4(198, 51, 100, 24), "a documentation address (198.51.100.0/24)"),
    block(Cidr::v4(203, 0, 113, 24), "a documentation address (203.0.113.0/24)"),
    block(Cidr::v4(224, 0, 0, 4), "a multicast address (224.0.0.0/4)"),
    block(Cidr::v4(240, 0, 0, 4), "a reserved address (240.0.0.0/4)"),
    block(LOOPBACK_6, "a loopback address (::1)"),
    block(COMPATIBLE, "unspecified or an IPv4 address inside an IPv6 one (::/96)"),
    block(NAT64, "an IPv4 address inside an IPv6 one (NAT64, 64:ff9b::/96)"),
    block(NAT64_LOCAL, "an IPv4 address inside an IPv6 one (NAT64, 64:ff9b:1::/48)"),
    block(TEREDO, "an IPv4 address inside an IPv6 one (Teredo, 2001::/32)"),
    block(SIX_TO_FOUR, "an IPv4 address inside an IPv6 one (6to4, 2002::/16)"),
    block(Cidr::v6([0x2001, 0, 0, 0], 0, 23), "a protocol assignment (2001::/23)"),
    block(Cidr::v6([0x2001, 0xdb8, 0, 0], 0, 32), "a documentation address (2001:db8::/32)"),
    block(Cidr::v6([0x2620, 0x4f, 0x8000, 0], 0, 48), "an AS112 address (2620:4f:8000::/48)"),
    block(Cidr::v6([0x3fff, 0, 0, 0], 0, 20), "a documentation address (3fff::/20)"),
    block(Cidr::v6([0xfc00, 0, 0, 0], 0, 7), "a private address (fc00::/7)"),
    block(Cidr::v6([0xfe80, 0, 0, 0], 0, 10), "a link-local address (fe80::/10)"),
    block(Cidr::v6([0xff00, 0, 0, 0], 0, 8), "a multicast address (ff00::/8)"),
];
