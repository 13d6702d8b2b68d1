//! Bodies that lie in an object store, and not in the record of their event.
//!
//! A body is put there, under the event's id, before its event is written down. Nothing is deleted there by us: the bucket's own
//! rules let it expire, so that no clock, no second installation and no fault of ours can take away what is still wanted.
//! What the object store does not take in time stays in the database. Then it is left alone for a while, and before it is
//! trusted (again) it must have given back what was put there: much on the way to it answers 200 and keeps nothing.

use super::rows;
use super::ticks;
use crate::bodies::{Bodies, BodiesError, LargeBodies};
use crate::store::{Admission, StoreError};
use bytes::Bytes;
use doorbell_core::event::{Event, Fate};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long whoever sent an event may wait for the object store: senders have little patience.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it is left alone when it failed.
const REST: Duration = Duration::from_secs(30);
/// How long a body may take to come back; the delivery has its place meanwhile.
const BACK: Duration = Duration::from_secs(10);
/// Begins the record of an event whose body lies elsewhere. No record of the journal's begins so: a node that knows nothing of
/// this takes it for damaged, and delivers nothing without its body.
const MARK: u8 = 0xA0;

/// The object store, as this node knows it.
#[derive(Debug)]
pub(super) struct Shelf {
    at: Arc<dyn Bodies>,
    over: usize,
    trust: Mutex<Trust>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// It has not shown yet that it gives back what it takes.
    New,
    Earned,
    /// It failed, and is left alone until then.
    Lost(Instant),
}

impl Shelf {
    pub(super) fn new(LargeBodies { at, over }: LargeBodies) -> Self {
        Self { at, over, trust: Mutex::new(Trust::New) }
    }

    fn trust(&self) -> Trust {
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judge(&self, trust: Trust) {
        *self.trust.lock().unwrap_or_else(PoisonError::into_inner) = trust;
    }

    /// Whether the body of what is handed in should lie there. What is refused is no event, and anybody may send it.
    fn wants(&self, admission: &Admission) -> bool {
        let rests = matches!(self.trust(), Trust::Lost(until) if ticks::now() < until);
        admission.event.request.body.len() > self.over && admission.fate.is_event() && !rests
    }

    /// Puts a body there, if that can be done in time; whether it lies there now.
    async fn put(&self, event: &Event) -> bool {
        let name = event.id.to_string();
        let putting = tokio::time::timeout(PATIENCE, self.put_and_see(&name, &event.request.body));
        let late = |_| Err(BodiesError(format!("it was not done within {PATIENCE:?}")));
        let done = putting.await.unwrap_or_else(late);
        if let Err(fault) = &done {
            self.judge(Trust::Lost(ticks::now() + REST));
            tracing::warn!(%fault, "large bodies stay in the database for {REST:?}: the object store failed");
        }
        done.is_ok()
    }

    async fn put_and_see(&self, name: &str, body: &Bytes) -> Result<(), BodiesError> {
        self.at.put(name, body.clone()).await?;
        if self.trust() != Trust::Earned {
            if self.at.get(name).await?.as_ref() != Some(body) {
                return Err(BodiesError("it does not give back what was put there".to_owned()));
            }
            self.judge(Trust::Earned);
        }
        Ok(())
    }
}

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
    pub(super) async fn of(shelf: Option<&Arc<Shelf>>, admission: &Admission) -> Self {
        let shelf = shelf.filter(|shelf| shelf.wants(admission));
        let Some(shelf) = shelf.cloned() else { return Self::Done(false) };
        let event = Arc::clone(&admission.event);
        let mut put = Self::Running(tokio::spawn(async move { shelf.put(&event).await }));
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

/// The whole event.
pub(super) async fn whole(shelf: Option<&Arc<Shelf>>, kept: Kept) -> Result<Event, StoreError> {
    let Away { mut event, length, crc } = match kept {
        Kept::Whole(event) => return Ok(event),
        Kept::Away(away) => away,
    };
    let failed = |what: &str| StoreError::Failed(format!("the body of {}: {what}", event.id));
    let unset = "it lies in an object store, and store.bodies_url names none";
    let shelf = shelf.ok_or_else(|| failed(unset))?;
    let name = event.id.to_string();
    let found = tokio::time::timeout(BACK, shelf.at.get(&name)).await;
    let found = found.map_err(|_| failed("the object store does not answer"))?;
    let found = found.map_err(|fault| failed(&format!("the object store: {fault}")))?;
    // It may be there again: a mistaken setting, a bucket that is restored.
    let body = found.ok_or_else(|| failed("it is not in the object store"))?;
    if body.len() as u64 != length || crc32c::crc32c(&body) != crc {
        let what = "what is in the object store is not what was put there";
        return Err(StoreError::Corrupt(format!("the body of {}: {what}", event.id)));
    }
    event.request.body = body;
    Ok(event)
}
