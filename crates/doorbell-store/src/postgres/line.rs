//! One connection to the database that comes back by itself, and what its errors mean.
//!
//! A connection carries statements one after the other; whoever wants several at once uses several lines. Statements
//! are prepared once for each connection.

use crate::store::StoreError;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, Error, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;
use webpki_roots::TLS_SERVER_ROOTS;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How to reach the database.
#[derive(Clone)]
pub(super) struct Address {
    config: Config,
    tls: MakeRustlsConnect,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address").field("hosts", &self.config.get_hosts()).finish_non_exhaustive()
    }
}

impl Address {
    /// Reads a connection string (`postgres://…`, or `host=… user=…`).
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
        config.connect_timeout(CONNECT).keepalives_idle(Duration::from_secs(10));
        let mut roots = RootCertStore::from_iter(TLS_SERVER_ROOTS.iter().cloned());
        roots.add_parsable_certificates(extra_roots.iter().cloned());
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Ok(Self { config, tls: MakeRustlsConnect::new(client) })
    }

    /// Without user and password.
    pub(super) fn shown(&self) -> String {
        let hosts = self.config.get_hosts().iter().zip(self.config.get_ports().iter().cycle());
        let hosts = hosts.map(|(host, port)| match host {
            tokio_postgres::config::Host::Tcp(name) => format!("{name}:{port}"),
            tokio_postgres::config::Host::Unix(path) => path.display().to_string(),
        });
        let hosts: Vec<String> = hosts.collect();
        format!("postgres://{}/{}", hosts.join(","), self.config.get_dbname().unwrap_or_default())
    }

    /// A new connection of its own; the second is to be polled.
    pub(super) async fn connect(
        &self,
    ) -> Result<
        (
            Client,
            tokio_postgres::Connection<
                tokio_postgres::Socket,
                impl tokio_postgres::tls::TlsStream + Unpin + Send + use<>,
            >,
        ),
        StoreError,
    > {
        let connecting = self.config.connect(self.tls.clone());
        match tokio::time::timeout(2 * CONNECT, connecting).await {
            Ok(done) => done.map_err(|fault| error(&fault)),
            Err(_) => Err(StoreError::Busy),
        }
    }
}

/// One connection, made when it is needed and again when it broke.
#[derive(Debug)]
pub(super) struct Line {
    address: Address,
    /// Said to each new connection.
    greeting: &'static str,
    open: Mutex<Option<Arc<Open>>>,
}

/// A connection that was made.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) client: Client,
    prepared: Mutex<HashMap<&'static str, Statement>>,
}

impl Line {
    pub(super) fn new(address: Address, greeting: &'static str) -> Self {
        Self { address, greeting, open: Mutex::new(None) }
    }

    /// The connection.
    pub(super) async fn open(&self) -> Result<Arc<Open>, StoreError> {
        let mut open = self.open.lock().await;
        if let Some(open) = open.as_ref().filter(|open| !open.client.is_closed()) {
            return Ok(Arc::clone(open));
        }
        let (client, connection) = self.address.connect().await?;
        tokio::spawn(async move {
            if let Err(fault) = connection.await {
                tracing::debug!(fault = %told(&fault), "a connection to the database ended");
            }
        });
        client.batch_execute(self.greeting).await.map_err(|fault| error(&fault))?;
        let new = Arc::new(Open { client, prepared: Mutex::default() });
        *open = Some(Arc::clone(&new));
        Ok(new)
    }

    /// Asks; a connection that broke is made anew for the next question, and this one is answered with an error.
    pub(super) async fn query(
        &self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        self.open().await?.query(sql, values).await
    }
}

impl Open {
    pub(super) async fn query(
        &self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        self.ask(sql, values).await.map_err(|fault| error(&fault))
    }

    /// As [`Open::query`], with the database's own error.
    pub(super) async fn ask(
        &self,
        sql: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.prepared(sql).await?;
        self.client.query(&statement, values).await
    }

    /// Several statements as they are, without values.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), StoreError> {
        self.client.batch_execute(sql).await.map_err(|fault| error(&fault))
    }

    async fn prepared(&self, sql: &'static str) -> Result<Statement, Error> {
        if let Some(statement) = self.prepared.lock().await.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.prepared.lock().await.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// Whether the same may be asked again at once with another outcome: the database chose us to give way to another, or
/// the connection went.
pub(super) fn is_passing(fault: &Error) -> bool {
    let Some(code) = fault.code() else { return fault.is_closed() || broke(fault) };
    let restarting = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    let gave_way = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::TOO_MANY_CONNECTIONS,
    ];
    restarting.contains(code) || gave_way.contains(code) || code.code().starts_with("08")
}

/// Whether a socket is behind it.
fn broke(fault: &Error) -> bool {
    let mut cause = std::error::Error::source(fault);
    while let Some(inner) = cause {
        if inner.is::<std::io::Error>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// What an error means to those who ask a store.
pub(super) fn error(fault: &Error) -> StoreError {
    match fault.code() {
        _ if is_passing(fault) => {
            tracing::debug!(fault = %told(fault), "the database is away or busy");
            StoreError::Busy
        }
        Some(code) if *code == SqlState::DISK_FULL || *code == SqlState::OUT_OF_MEMORY => {
            StoreError::Full
        }
        Some(_) | None => StoreError::Failed(told(fault)),
    }
}

/// An error with its causes: the outermost says hardly anything.
pub(super) fn told(fault: &dyn std::error::Error) -> String {
    let mut text = fault.to_string();
    let mut inner = fault.source();
    while let Some(cause) = inner {
        text = format!("{text}: {cause}");
        inner = cause.source();
    }
    text
}
