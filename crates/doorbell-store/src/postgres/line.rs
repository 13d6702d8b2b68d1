//! One connection to the database that comes back by itself.
//!
//! A connection carries statements one after the other; whoever wants several at once uses several lines. Statements
//! are prepared once for each connection.

use super::address::Address;
use super::fault::{error, told};
use crate::store::StoreError;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row, Statement};

/// How long the answer to the greeting may take.
const GREETING: Duration = Duration::from_secs(5);

/// One connection, made when it is needed and again when it broke.
#[derive(Debug)]
pub(super) struct Line {
    address: Address,
    /// Said to each new connection.
    greeting: &'static str,
    /// How long an answer may take; `None`: as long as it takes.
    limit: Option<Duration>,
    open: Mutex<Option<Arc<Open>>>,
}

/// A connection that was made.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) client: Client,
    prepared: Mutex<HashMap<&'static str, Statement>>,
    /// The server takes no writes any more: it is not the one that we want.
    demoted: AtomicBool,
    /// As [`Line::limit`].
    limit: Option<Duration>,
    /// What drives it.
    driver: AbortHandle,
}

impl Line {
    pub(super) fn new(address: Address, greeting: &'static str) -> Self {
        Self { address, greeting, limit: None, open: Mutex::new(None) }
    }

    /// The same; a connection on which an answer takes longer counts as broken.
    pub(super) fn within(self, limit: Duration) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// The connection.
    pub(super) async fn open(&self) -> Result<Arc<Open>, StoreError> {
        let mut open = self.open.lock().await;
        if let Some(open) = open.as_ref().filter(|open| open.is_good()) {
            return Ok(Arc::clone(open));
        }
        let (client, connection) = self.address.connect().await?;
        let driver = tokio::spawn(async move {
            if let Err(fault) = connection.await {
                tracing::debug!(fault = %told(&fault), "a connection to the database ended");
            }
        });
        let driver = driver.abort_handle();
        match tokio::time::timeout(GREETING, client.batch_execute(self.greeting)).await {
            Ok(done) => done.map_err(|fault| error(&fault))?,
            Err(_) => return Err(StoreError::Busy),
        }
        let (prepared, demoted) = (Mutex::default(), AtomicBool::new(false));
        let new = Arc::new(Open { client, prepared, demoted, limit: self.limit, driver });
        *open = Some(Arc::clone(&new));
        Ok(new)
    }

    /// Breaks the connection, if there is one: whoever waits for an answer on it is told that it broke.
    pub(super) fn cut(&self) {
        // One that is being made has a time of its own.
        if let Ok(open) = self.open.try_lock() {
            open.iter().for_each(|open| open.driver.abort());
        }
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
    fn is_good(&self) -> bool {
        !self.client.is_closed() && !self.demoted.load(Ordering::Relaxed)
    }

    /// A database that was demoted keeps its connections and refuses to write: it must be looked for anew.
    fn notice(&self, fault: &Error) {
        if fault.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION) {
            self.demoted.store(true, Ordering::Relaxed);
        }
    }

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
        let asked = async {
            let statement = self.prepared(sql).await?;
            self.client.query(&statement, values).await
        };
        self.in_time(asked).await.inspect_err(|fault| self.notice(fault))
    }

    /// Waits for an answer. One that does not come in time never will: the connection is broken, and whoever waits for anything
    /// on it is told so.
    async fn in_time<T>(&self, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let Some(limit) = self.limit else { return asked.await };
        let mut asked = pin!(asked);
        if let Ok(answer) = tokio::time::timeout(limit, &mut asked).await {
            return answer;
        }
        tracing::warn!("the database has left a question unanswered; its connection is given up");
        self.driver.abort();
        asked.await
    }

    /// Several statements as they are, without values.
    pub(super) async fn batch(&self, sql: &str) -> Result<(), StoreError> {
        let done = self.in_time(self.client.batch_execute(sql)).await;
        done.map_err(|fault| {
            self.notice(&fault);
            error(&fault)
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::disallowed_methods,
        reason = "a test is told by its runner where the database is"
    )]
    fn database() -> String {
        std::env::var("DOORBELL_TEST_POSTGRES").expect("the address of a database")
    }

    #[tokio::test]
    async fn a_database_that_refuses_writes_is_looked_for_anew() {
        let line = Line::new(Address::parse(&database(), &[]).unwrap(), "");
        let first = line.open().await.unwrap();
        first.batch("SET default_transaction_read_only = on").await.unwrap();
        assert!(Arc::ptr_eq(&first, &line.open().await.unwrap()));
        let write = "CREATE SEQUENCE IF NOT EXISTS doorbell_never";
        assert_eq!(line.query(write, &[]).await.unwrap_err(), StoreError::Busy);
        let second = line.open().await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second), "as it is now, the old connection is of no use");
        second.batch("SELECT 1").await.unwrap();
    }

    #[tokio::test]
    async fn a_question_without_an_answer_ends_the_connection() {
        let limit = Duration::from_millis(300);
        let line = Line::new(Address::parse(&database(), &[]).unwrap(), "").within(limit);
        let first = line.open().await.unwrap();
        let late = tokio::time::timeout(limit * 50, first.query("SELECT pg_sleep(60)::text", &[]));
        assert_eq!(late.await.unwrap().map(drop), Err(StoreError::Busy));
        let second = line.open().await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!(second.query("SELECT 1", &[]).await.unwrap().len(), 1, "it may take its time");
    }
}
