//! Bodies that lie in an object store, and not in the record of their event.
//!
//! They lie in a folder for each day, so that they go with the day. A body is put there before its event is written down:
//! what is left of an event that was never written goes with its day, too. Where the object store does not take one in time
//! it stays in the database, and nothing waits for it.

use super::partitions::{self, Day};
use super::parts::Parts;
use super::place::first_at;
use super::rows;
use crate::bodies::{Bodies, BodiesError, LargeBodies};
use crate::store::{Admission, StoreError};
use bytes::Bytes;
use doorbell_core::event::{Event, Fate};
use doorbell_core::id::EventId;
use doorbell_core::time::Time;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long whoever sent an event may wait for the object store.
const PATIENCE: Duration = Duration::from_secs(3);
/// Begins the record of an event whose body lies elsewhere. No record of the journal's begins so: a node that knows nothing of
/// this takes it for damaged, and delivers nothing without its body.
const MARK: u8 = 0xA0;
/// Bodies that are forgotten in one round.
const FORGOTTEN: usize = 500;

/// An event as its record has it.
#[derive(Debug)]
pub(super) enum Kept {
    /// With its body.
    Whole(Event),
    /// Its body lies elsewhere.
    Away(Away),
}

/// An event without its body, and what is known of that.
#[derive(Debug)]
pub(super) struct Away {
    pub(super) event: Event,
    length: u64,
    crc: u32,
}

impl Kept {
    /// Whether its body is with it.
    pub(super) fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(_))
    }

    /// All but the body, which may be there too.
    pub(super) fn event(self) -> Event {
        match self {
            Self::Whole(event) => event,
            Self::Away(away) => away.event,
        }
    }
}

/// An event as bytes, without its body.
pub(super) fn encode(event: &Event, fate: &Fate) -> Vec<u8> {
    let body = &event.request.body;
    let mut bare = event.clone();
    bare.request.body = Bytes::new();
    let mut out = vec![MARK];
    out.extend_from_slice(&(body.len() as u64).to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    out.extend(rows::encode_event(&bare, fate));
    out
}

/// What is in an event's record.
pub(super) fn decode(record: &[u8]) -> Result<Kept, StoreError> {
    let Some(rest) = record.strip_prefix(&[MARK]) else {
        return rows::decode_event(record).map(Kept::Whole);
    };
    let parts = rest.split_first_chunk().and_then(|(length, rest)| {
        let (crc, rest) = rest.split_first_chunk()?;
        Some((u64::from_le_bytes(*length), u32::from_le_bytes(*crc), rest))
    });
    let (length, crc, rest) = parts.ok_or_else(|| rows::corrupt("an event"))?;
    Ok(Kept::Away(Away { event: rows::decode_event(rest)?, length, crc }))
}

/// Whether a body lies elsewhere, or will in a moment.
#[derive(Debug)]
pub(super) enum Put {
    Done(bool),
    Running(JoinHandle<bool>),
}

impl Put {
    /// Puts the body of what is handed in away, where it is a large one. What comes from a queue keeps its order: its body is
    /// waited for when its turn comes.
    pub(super) async fn of(bodies: Option<&LargeBodies>, admission: &Admission) -> Self {
        let event = &admission.event;
        let large = bodies.filter(|large| event.request.body.len() > large.over);
        let Some(large) = large.cloned() else { return Self::Done(false) };
        let event = Arc::clone(event);
        let mut put = Self::Running(tokio::spawn(async move { put(&large, &event).await }));
        if !admission.once {
            put.end().await;
        }
        put
    }

    /// Waits until it is known.
    pub(super) async fn end(&mut self) {
        if let Self::Running(task) = self {
            *self = Self::Done(task.await.unwrap_or(false));
        }
    }

    pub(super) fn is_away(&self) -> bool {
        matches!(self, Self::Done(true))
    }
}

/// Puts a body away, if that can be done in time; whether it lies there now.
async fn put(large: &LargeBodies, event: &Event) -> bool {
    let body = &event.request.body;
    let name = name(event.at, event.id);
    let putting = tokio::time::timeout(PATIENCE, large.at.put(&name, body.clone()));
    let late = |_| Err(BodiesError(format!("no answer within {PATIENCE:?}")));
    match putting.await.unwrap_or_else(late) {
        Ok(()) => true,
        Err(fault) => {
            tracing::warn!(event = %event.id, %fault, "a large body stays in the database: the object store did not take it");
            false
        }
    }
}

/// The whole event.
pub(super) async fn whole(bodies: Option<&LargeBodies>, kept: Kept) -> Result<Event, StoreError> {
    let Away { mut event, length, crc } = match kept {
        Kept::Whole(event) => return Ok(event),
        Kept::Away(away) => away,
    };
    let large = bodies.ok_or_else(|| {
        StoreError::Failed(
            "its body lies in an object store, and store.bodies says none".to_owned(),
        )
    })?;
    let found = large.at.get(&name(event.at, event.id)).await;
    let found = found.map_err(|fault| StoreError::Failed(format!("the object store: {fault}")))?;
    let body = found.ok_or_else(|| {
        StoreError::Corrupt(format!("the body of {} is not in the object store", event.id))
    })?;
    if body.len() as u64 != length || crc32c::crc32c(&body) != crc {
        return Err(StoreError::Corrupt(format!(
            "the body of {} in the object store is not the one that was put there",
            event.id
        )));
    }
    event.request.body = body;
    Ok(event)
}

/// By the day of the event, which the place of its row may follow by one.
fn name(at: Time, id: EventId) -> String {
    format!("{}/{id}", Day::of_place(first_at(at)).number())
}

/// Forgets some of the bodies whose events are gone: those of the days before the first that is kept, and one more.
pub(super) async fn forget(parts: &Parts) -> Result<(), StoreError> {
    let Some(large) = &parts.bodies else { return Ok(()) };
    let days = partitions::all(&*parts.keeper.open().await?).await?;
    let Some(first) = days.first() else { return Ok(()) };
    let done = forget_before(&large.at, first.number().saturating_sub(1)).await;
    done.map_err(|fault| StoreError::Failed(format!("the object store: {fault}")))
}

async fn forget_before(bodies: &Arc<dyn Bodies>, first: u64) -> Result<(), BodiesError> {
    let mut left = FORGOTTEN;
    for folder in bodies.list(None).await?.folders {
        if folder.parse::<u64>().is_ok_and(|day| day < first) {
            for name in bodies.list(Some(&folder)).await?.names.iter().take(left) {
                bodies.delete(&format!("{folder}/{name}")).await?;
                left = left.saturating_sub(1);
            }
        }
    }
    Ok(())
}
