//! What the database's errors mean.

use crate::store::StoreError;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

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
