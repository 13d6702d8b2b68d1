//! The settings of a node: one table of keys, read from a TOML file, the environment and flags, in rising order.
//!
//! `keys` lists every key with its default and its sentence; `layers` finds out what was written where; this file turns
//! it into what is meant. All faults are told at once, each with its place and its remedy.

mod keys;
mod value;
mod layers;
mod flags;

pub(crate) use flags::{Flags, variable, variables};
pub(crate) use keys::{DATA_DIR, KEYS, masked};
pub(crate) use layers::{Layers, QUEUES, line_of, unknown_variables};
pub(crate) use value::{expand_variables, human_bytes, parse_bytes, parse_duration};

use doorbell_core::name::Label;
use doorbell_core::source::Verification;
use doorbell_queue::{Address, AddressError};
use doorbell_server::roles::{NoRole, Role, Roles};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Most tries at once that can be set.
const TRIES_MAX: usize = 1_000_000;

/// What the settings mean.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) ingest: Listener,
    pub(crate) prefix: String,
    pub(crate) public_url: Option<String>,
    pub(crate) trusted_proxies: Vec<String>,
    pub(crate) max_connections: usize,
    pub(crate) header_deadline: Duration,
    pub(crate) idle_deadline: Duration,
    pub(crate) body_deadline: Duration,
    pub(crate) bodies_in_flight: usize,
    pub(crate) admin: Listener,
    pub(crate) admin_hosts: Vec<String>,
    /// The database, for a store that nodes share.
    pub(crate) store_url: Option<String>,
    /// The object store in which large bodies lie.
    pub(crate) bodies: Option<String>,
    pub(crate) bodies_over: usize,
    /// Where events wait before they get to the store.
    pub(crate) inbox_url: Option<Address>,
    pub(crate) roles: Roles,
    pub(crate) retention_age: Option<Duration>,
    pub(crate) retention_bytes: Option<u64>,
    pub(crate) retention_share: f64,
    pub(crate) free_bytes_min: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) allow_private: Vec<String>,
    pub(crate) allow_http: bool,
    pub(crate) max_in_flight: usize,
    pub(crate) ca_files: Vec<PathBuf>,
    pub(crate) drain: Duration,
    pub(crate) drain_delay: Duration,
    pub(crate) log_level: String,
    pub(crate) log_json: bool,
    /// Connections to message brokers, by their names.
    pub(crate) queues: BTreeMap<String, Queue>,
}

/// A connection to a message broker.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    pub(crate) address: Address,
    /// `uid`s of those who may use it; `*`: all, none: the default tenant.
    pub(crate) tenants: Vec<String>,
}

/// Where a listener listens, and its certificate.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub(crate) addr: SocketAddr,
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
}

/// All that is wrong with the settings.
#[derive(Debug)]
pub(crate) struct ConfigErrors(pub(crate) Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the settings cannot be used:")?;
        for error in &self.0 {
            writeln!(f, "  - {error}")?;
        }
        write!(
            f,
            "nothing was started. `doorbell config show` prints every key with its value and where it came from"
        )
    }
}

impl std::error::Error for ConfigErrors {}

impl Config {
    /// Reads all layers.
    ///
    /// # Errors
    /// Every fault that was found: unknown keys, unset variables, values that do not fit.
    pub(crate) fn from_layers(layers: &Layers) -> Result<Self, ConfigErrors> {
        let mut read = Read { layers, errors: layers.errors.clone() };
        let config = Self {
            data_dir: read.path("data_dir"),
            ingest: read.listener("ingest"),
            prefix: read.checked("ingest.prefix", prefix),
            public_url: read.optional("ingest.public_url", public_url),
            trusted_proxies: read.list("ingest.trusted_proxies", network),
            max_connections: read.checked("ingest.max_connections", number),
            header_deadline: read.checked("ingest.header_deadline", deadline),
            idle_deadline: read.checked("ingest.idle_deadline", deadline),
            body_deadline: read.checked("ingest.body_deadline", deadline),
            bodies_in_flight: read.checked("ingest.bodies_in_flight", size),
            admin: read.listener("admin"),
            admin_hosts: read.list("admin.hosts", |text| Ok(text.to_owned())),
            store_url: read.optional("store.url", store_url),
            bodies: read.optional("store.bodies_url", |text| Ok(text.to_owned())),
            bodies_over: read.checked("store.bodies_over", size),
            inbox_url: read.optional("inbox.url", inbox_url),
            roles: read.list("role", role).into_iter().collect(),
            retention_age: read.optional("store.retention_age", age),
            retention_bytes: read.optional("store.retention_bytes", parse_bytes),
            retention_share: read.checked("store.retention_share", share),
            free_bytes_min: read.checked("store.free_bytes_min", reserve),
            segment_bytes: read.checked("store.segment_bytes", segment),
            allow_private: read.list("delivery.allow_private", network),
            allow_http: read.checked("delivery.allow_http", boolean),
            max_in_flight: read.checked("delivery.max_in_flight", tries),
            ca_files: read.list("delivery.ca_files", |text| Ok(PathBuf::from(text))),
            drain: read.checked("drain", parse_duration),
            drain_delay: read.checked("drain_delay", parse_duration),
            log_level: read.checked("log.level", log_level),
            log_json: read.checked("log.format", log_format),
            queues: read.queues(),
        };
        if !config.roles.are_all() && config.store_url.is_none() {
            let fault = "role: a node that leaves something out needs others that do it, and a database that they share: set store.url";
            read.errors.push(fault.to_owned());
        }
        if config.bodies.is_some() && config.store_url.is_none() {
            let fault = "store.bodies_url: only bodies of a database lie elsewhere; an embedded store keeps its own: set store.url, or leave this out";
            read.errors.push(fault.to_owned());
        }
        if read.errors.is_empty() { Ok(config) } else { Err(ConfigErrors(read.errors)) }
    }
}

fn store_url(text: &str) -> Result<String, String> {
    let known = ["postgres://", "postgresql://", "host="];
    if known.iter().any(|begin| text.starts_with(begin)) {
        return Ok(text.to_owned());
    }
    Err("it is no database that Doorbell knows: postgres://user:password@host/database".to_owned())
}

fn inbox_url(text: &str) -> Result<Address, String> {
    text.parse().map_err(|fault: AddressError| fault.to_string())
}

fn role(text: &str) -> Result<Role, String> {
    text.parse().map_err(|fault: NoRole| format!("{text:?} is none: {fault}"))
}

/// Reads keys one by one and collects what is wrong.
struct Read<'a> {
    layers: &'a Layers,
    errors: Vec<String>,
}

impl Read<'_> {
    fn checked<T: Default>(&mut self, path: &str, parse: impl Fn(&str) -> Result<T, String>) -> T {
        self.optional(path, parse).unwrap_or_default()
    }

    fn optional<T>(&mut self, path: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let setting = self.layers.setting(path)?;
        let text = setting.values.first().filter(|text| !text.is_empty())?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(why) => {
                self.errors.push(format!("{path} ({}): {why}", setting.place));
                None
            }
        }
    }

    fn list<T>(&mut self, path: &str, parse: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let Some(setting) = self.layers.setting(path) else { return Vec::new() };
        let mut list = Vec::new();
        for text in setting.values.iter().filter(|text| !text.is_empty()) {
            match parse(text) {
                Ok(value) => list.push(value),
                Err(why) => self.errors.push(format!("{path} ({}): {why}", setting.place)),
            }
        }
        list
    }

    fn queues(&mut self) -> BTreeMap<String, Queue> {
        let mut queues = BTreeMap::new();
        for (name, table) in &self.layers.queues {
            let address = table.url.parse::<Address>().map_err(|why| format!("url: {why}"));
            let label = Label::parse(name).map_err(|why| why.to_string());
            match label.and(address) {
                Ok(address) => {
                    let tenants = table.tenants.clone();
                    queues.insert(name.clone(), Queue { address, tenants });
                }
                Err(why) => self.errors.push(format!("{QUEUES}.{name} ({}): {why}", table.place)),
            }
        }
        queues
    }

    /// A path that must be given.
    fn path(&mut self, path: &str) -> PathBuf {
        if let Some(setting) = self.layers.setting(path)
            && setting.values.first().is_none_or(|text| text.trim().is_empty())
        {
            let fault = format!(
                "{path} ({}): it is empty: name a folder, such as doorbell-data",
                setting.place
            );
            self.errors.push(fault);
        }
        self.checked(path, |text| Ok(PathBuf::from(text)))
    }

    fn listener(&mut self, section: &str) -> Listener {
        let addr = self.optional(&format!("{section}.addr"), address);
        let cert = self.optional(&format!("{section}.tls_cert"), |text| Ok(PathBuf::from(text)));
        let key = self.optional(&format!("{section}.tls_key"), |text| Ok(PathBuf::from(text)));
        if cert.is_some() != key.is_some() {
            self.errors.push(format!(
                "{section}.tls_cert and {section}.tls_key go together: set both or neither"
            ));
        }
        Listener {
            addr: addr.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
            tls: cert.zip(key),
        }
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?} is no address to listen on: write IP:PORT, such as 127.0.0.1:8080")
    })
}

fn prefix(text: &str) -> Result<String, String> {
    let fits = !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no path segment: use letters, digits, - and _"))
    }
}

fn public_url(text: &str) -> Result<String, String> {
    let read = Verification::public_url(text).ok().filter(|_| !text.contains('?'));
    let read = read.ok_or_else(|| {
        format!(
            "{text:?} is no address that a provider can call, such as https://hooks.example.com"
        )
    })?;
    Ok(read.trim_end_matches('/').to_owned())
}

fn network(text: &str) -> Result<String, String> {
    if text == "loopback" {
        return Ok(text.to_owned());
    }
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
    let width = match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => {
            return Err(format!("{text:?} is no network: write 10.0.0.0/8, fd00::/8 or loopback"));
        }
    };
    match bits.map(str::parse::<u8>) {
        None => Ok(text.to_owned()),
        Some(Ok(bits)) if bits <= width => Ok(text.to_owned()),
        Some(_) => Err(format!("{text:?} has no prefix length between 0 and {width}")),
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| format!("{text:?} is no whole number above 0"))
}

fn tries(text: &str) -> Result<usize, String> {
    let fault = || format!("{text:?} is no whole number from 1 to {TRIES_MAX}");
    text.parse().ok().filter(|n| (1..=TRIES_MAX).contains(n)).ok_or_else(fault)
}

fn size(text: &str) -> Result<usize, String> {
    usize::try_from(parse_bytes(text)?)
        .map_err(|_| format!("{text:?} is too large for this machine"))
}

/// The least room that the store needs: to write down what is in flight, and for the index to take in what was accepted;
/// without it a full disk could no longer be read.
const RESERVE_MIN: u64 = 8 << 20;

fn reserve(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    if bytes < RESERVE_MIN {
        return Err(format!(
            "{text:?} is too little: write 8MiB or more; with less, what is on a full disk could no longer be read"
        ));
    }
    Ok(bytes)
}

/// What is kept is forgotten by whole segments, and each is a file: neither thousands of them, nor one that outgrows the disk.
const SEGMENTS: RangeInclusive<u64> = 1 << 20..=4 << 30;

fn segment(text: &str) -> Result<u64, String> {
    let bytes = parse_bytes(text)?;
    let fits = SEGMENTS.contains(&bytes).then_some(bytes);
    fits.ok_or_else(|| format!("{text:?} is no size of a segment: write 1MiB to 4GiB"))
}

fn deadline(text: &str) -> Result<Duration, String> {
    let span = parse_duration(text)?;
    let fits = (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(&span);
    fits.then_some(span).ok_or_else(|| {
        format!("{text:?} is no deadline: with it no request would come through, or none would end; write 1s to 1d")
    })
}

fn age(text: &str) -> Result<Duration, String> {
    let span = parse_duration(text)?;
    if span < Duration::from_secs(60) {
        return Err(format!(
            "{text:?} forgets everything at once: write 1m or more, or nothing to keep all"
        ));
    }
    Ok(span)
}

fn share(text: &str) -> Result<f64, String> {
    let fits = text.parse().ok().filter(|share| (0.01..=0.95).contains(share));
    fits.ok_or_else(|| format!("{text:?} is no share: write a number between 0.01 and 0.95"))
}

fn boolean(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("{text:?} is neither true nor false"))
}

/// Words of levels, alone or behind what they are for. A bare word that is no level would be taken for the name of a module,
/// and nothing else would be logged.
fn log_level(text: &str) -> Result<String, String> {
    let level = |word: &str| word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let stands = |part: &str| part.contains(['=', '[']) || part.contains("::") || level(part);
    let fits = text.split(',').map(str::trim).all(stands)
        && tracing_subscriber::EnvFilter::try_new(text).is_ok();
    fits.then(|| text.to_owned()).ok_or_else(|| {
        format!(
            "{text:?} is no level: write error, warn, info, debug or trace, or a filter such as info,doorbell_server=debug"
        )
    })
}

fn log_format(text: &str) -> Result<bool, String> {
    match text {
        "json" => Ok(true),
        "text" => Ok(false),
        _ => Err(format!("{text:?} is neither text nor json")),
    }
}

#[cfg(test)]
mod tests {
    use super::{RESERVE_MIN, age, deadline, log_level, reserve, segment};

    #[test]
    fn a_level_that_would_log_nothing_is_refused() {
        for text in ["info", "WARN", "off", "doorbell_server=debug", "info,doorbell_server=trace"] {
            assert_eq!(log_level(text).as_deref(), Ok(text));
        }
        for text in ["inof", "info,debgu", "doorbell_server=inof", "doorbell_server"] {
            let why = log_level(text).unwrap_err();
            assert!(why.starts_with(&format!("{text:?} is no level: write error, warn")), "{why}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["1MiB", "64MiB", "4GiB"] {
            assert!(segment(text).is_ok(), "{text}");
        }
        for text in ["0", "1", "1048575", "5GiB", "99999TiB"] {
            assert!(segment(text).unwrap_err().contains("1MiB to 4GiB"), "{text}");
        }
        assert!(deadline("10s").is_ok() && deadline("0s").is_err() && deadline("2d").is_err());
        assert!(age("7d").is_ok() && age("0s").is_err());
    }

    #[test]
    fn some_room_is_always_kept() {
        for (text, bytes) in [("8MiB", RESERVE_MIN), ("256MiB", 256 << 20)] {
            assert_eq!(reserve(text), Ok(bytes));
        }
        for text in ["0", "1", "8388607"] {
            assert!(reserve(text).unwrap_err().contains("8MiB or more"), "{text}");
        }
    }
}
