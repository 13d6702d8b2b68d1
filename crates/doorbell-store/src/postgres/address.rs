//! Where the database is, and how a connection to it is made: host by host, each with its own time.

use super::fault::{error, told};
use crate::store::StoreError;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::time::Duration;
use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_postgres::{Client, Config, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;
use webpki_roots::TLS_SERVER_ROOTS;

/// How long connecting to one host may take, login included: where there are others, one that says nothing must not use up
/// the time of all.
const ALONE: Duration = Duration::from_secs(10);
const AMONG_OTHERS: Duration = Duration::from_secs(2);
/// What was sent and is not even received for so long breaks the connection: the machine is gone. The system's own
/// patience is a quarter of an hour.
const UNRECEIVED: Duration = Duration::from_secs(10);
/// The same for a connection on which nothing is sent: when it is asked whether the other side is there, and how often.
const IDLE: Duration = Duration::from_secs(10);
const PROBES: Duration = Duration::from_secs(3);

/// How to reach the database.
#[derive(Clone)]
pub(super) struct Address {
    /// One for each host, to be tried in this order.
    hosts: Vec<Config>,
    tls: MakeRustlsConnect,
    shown: String,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Address").field(&self.shown).finish()
    }
}

impl Address {
    /// Reads a connection string (`postgres://…`, or `host=… user=…`). Of several hosts the one is meant that can be
    /// written to.
    pub(super) fn parse(
        text: &str,
        extra_roots: &[CertificateDer<'static>],
    ) -> Result<Self, StoreError> {
        let mut config: Config = text.parse().map_err(|fault: Error| {
            StoreError::Failed(format!("the address of the database: {}", told(&fault)))
        })?;
        if config.get_application_name().is_none() {
            config.application_name("doorbell");
        }
        config.tcp_user_timeout(UNRECEIVED).keepalives_idle(IDLE).keepalives_interval(PROBES);
        let several = config.get_hosts().len() > 1;
        // For each address of a name: two are tried.
        config.connect_timeout(if several { AMONG_OTHERS / 2 } else { ALONE / 2 });
        if several && config.get_target_session_attrs() == TargetSessionAttrs::Any {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let mut roots = RootCertStore::from_iter(TLS_SERVER_ROOTS.iter().cloned());
        roots.add_parsable_certificates(extra_roots.iter().cloned());
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let (hosts, shown) = (apart(&config)?, shown(&config));
        Ok(Self { hosts, tls: MakeRustlsConnect::new(client), shown })
    }

    /// Without user and password.
    pub(super) fn shown(&self) -> String {
        self.shown.clone()
    }

    /// A new connection of its own; the second is to be polled.
    pub(super) async fn connect(
        &self,
    ) -> Result<
        (Client, Connection<Socket, impl tokio_postgres::tls::TlsStream + Unpin + Send + use<>>),
        StoreError,
    > {
        let patience = if self.hosts.len() > 1 { AMONG_OTHERS } else { ALONE };
        let mut last = StoreError::Busy;
        for host in &self.hosts {
            let connecting = host.connect(self.tls.clone());
            match tokio::time::timeout(patience, connecting).await {
                Ok(Ok(made)) => return Ok(made),
                Ok(Err(fault)) => last = error(&fault),
                Err(_) => last = StoreError::Busy,
            }
        }
        Err(last)
    }

    /// Why no connection comes about, in the words of the first that says something. One more is tried for it.
    pub(super) async fn why_not(&self) -> StoreError {
        for host in &self.hosts {
            let connecting = host.connect(self.tls.clone());
            if let Ok(Err(fault)) = tokio::time::timeout(AMONG_OTHERS, connecting).await {
                return StoreError::Failed(told(&fault));
            }
        }
        StoreError::Busy
    }
}

/// One configuration for each host: the library gives each of several hosts no time of its own for the login.
fn apart(config: &Config) -> Result<Vec<Config>, StoreError> {
    let (hosts, ports) = (config.get_hosts(), config.get_ports());
    if hosts.len() < 2 {
        return Ok(vec![config.clone()]);
    }
    if ports.len() > 1 && ports.len() != hosts.len() {
        let text = "the address of the database has another number of ports than of hosts";
        return Err(StoreError::Failed(text.to_owned()));
    }
    let ports = ports.iter().cycle().copied();
    let mut all: Vec<Config> = hosts
        .iter()
        .zip(ports.chain(std::iter::repeat(5432)))
        .map(|(host, port)| one(config, host, port))
        .collect();
    for (host, address) in all.iter_mut().zip(config.get_hostaddrs()) {
        host.hostaddr(*address);
    }
    Ok(all)
}

/// The same for this host only.
fn one(config: &Config, host: &Host, port: u16) -> Config {
    let mut one = Config::new();
    match host {
        Host::Tcp(name) => one.host(name),
        Host::Unix(path) => one.host_path(path),
    };
    one.port(port);
    config.get_user().map(|user| one.user(user));
    config.get_password().map(|password| one.password(password));
    config.get_dbname().map(|name| one.dbname(name));
    config.get_options().map(|options| one.options(options));
    config.get_application_name().map(|name| one.application_name(name));
    config.get_connect_timeout().map(|most| one.connect_timeout(*most));
    one.ssl_mode(config.get_ssl_mode())
        .ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .target_session_attrs(config.get_target_session_attrs())
        .keepalives(config.get_keepalives())
        .keepalives_idle(IDLE)
        .keepalives_interval(PROBES)
        .tcp_user_timeout(UNRECEIVED);
    one
}

fn shown(config: &Config) -> String {
    let hosts = config.get_hosts().iter().zip(config.get_ports().iter().cycle());
    let hosts = hosts.map(|(host, port)| match host {
        Host::Tcp(name) => format!("{name}:{port}"),
        Host::Unix(path) => path.display().to_string(),
    });
    let hosts: Vec<String> = hosts.collect();
    format!("postgres://{}/{}", hosts.join(","), config.get_dbname().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_stands_alone_with_all_that_was_said() {
        let text = "postgres://me:secret@one:1,two:2/db?options=-csearch_path%3Dx&sslmode=require";
        let address = Address::parse(text, &[]).unwrap();
        assert_eq!(address.shown(), "postgres://one:1,two:2/db");
        let [one, two] = &address.hosts[..] else { panic!("two hosts") };
        assert_eq!(
            (one.get_hosts(), one.get_ports()),
            (&[Host::Tcp("one".to_owned())][..], &[1][..])
        );
        assert_eq!(
            (two.get_hosts(), two.get_ports()),
            (&[Host::Tcp("two".to_owned())][..], &[2][..])
        );
        for host in &address.hosts {
            assert_eq!(host.get_user(), Some("me"));
            assert_eq!(host.get_password(), Some(&b"secret"[..]));
            assert_eq!(host.get_dbname(), Some("db"));
            assert_eq!(host.get_options(), Some("-csearch_path=x"));
            assert_eq!(host.get_ssl_mode(), tokio_postgres::config::SslMode::Require);
            assert_eq!(host.get_application_name(), Some("doorbell"));
            assert_eq!(host.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        }
    }

    /// A name may have two addresses of which the first says nothing.
    #[test]
    fn the_second_address_of_a_name_is_tried_within_the_time_of_its_host() {
        for (text, patience) in [("host=one", ALONE), ("host=one,two", AMONG_OTHERS)] {
            for host in &Address::parse(text, &[]).unwrap().hosts {
                assert!(*host.get_connect_timeout().unwrap() * 2 <= patience, "{text}");
            }
        }
    }

    #[test]
    fn a_single_host_may_be_one_to_read_from() {
        let address = Address::parse("postgres://me@one/db", &[]).unwrap();
        let [one] = &address.hosts[..] else { panic!("one host") };
        assert_eq!(one.get_target_session_attrs(), TargetSessionAttrs::Any);
        let ports = Address::parse("host=a,b,c port=1,2", &[]).unwrap_err();
        assert!(ports.to_string().contains("number of ports"), "{ports}");
    }
}
