//! A copy of the embedded store while it works, as an archive that is written as it is read.

use super::auth::Caller;
use super::refused::Refused;
use super::state::ApiState;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doorbell_store::AnyStore;
use doorbell_store::embedded::Backup;
use doorbell_wire::problem::Code;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use std::io::{self, BufWriter, Write};
use tokio::sync::mpsc;

/// Bytes that are handed over at once, and how many such pieces may wait for a slow reader.
const PIECE: usize = 256 << 10;
const PIECES: usize = 4;

pub(super) async fn make(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Response, Refused> {
    if !caller.operator {
        return Err(Refused::new(Code::Scope, "Only the operator makes backups."));
    }
    let AnyStore::Embedded(store) = state.admitting.store.as_ref() else {
        let why = "Events are in a database here: back that up with its own tools (pg_dump, pg_basebackup).";
        return Err(Refused::new(Code::State, why));
    };
    let backup = store.backup().await?;
    let headers = [
        (CONTENT_TYPE, "application/x-tar".to_owned()),
        (CONTENT_LENGTH, backup.bytes().to_string()),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(pieces(backup))).into_response())
}

/// The archive in pieces. It is written by a thread of its own, which waits while nobody reads and ends with the reader.
fn pieces(backup: Backup) -> impl stream::Stream<Item = io::Result<Bytes>> {
    let (to, from) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        let out = BufWriter::with_capacity(PIECE, Pieces(to.clone()));
        if let Err(fault) = backup.write(out) {
            tracing::warn!(%fault, "a backup broke off");
            // Whoever reads has less than was announced, and is told so by the connection that ends.
            drop(to.blocking_send(Err(fault)));
        }
    });
    stream::unfold(from, |mut from| async { from.recv().await.map(|piece| (piece, from)) })
}

struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
