//! What has happened so far, read from the journal for another home: event by event, each whole.
//!
//! Whoever copies a store that goes on working walks the journal. Up to where it ended when the copying began only the
//! arrivals count, since each event is read with what came of it since; from there on every record names an event that
//! has changed and is read again.

use super::index::FoundDelivery;
use super::journal::read::ReadError;
use super::journal::segment::{Ahead, Segment};
use super::journal::walk::{Framed, Step};
use super::parts::Parts;
use crate::store::{DeliveryQuery, StoreError};
use doorbell_core::attempt::Attempt;
use doorbell_core::delivery::Delivery;
use doorbell_core::id::{DeliveryId, EventId, TenantId};
use doorbell_core::limits;
use doorbell_core::past::{Past, PastDelivery};
use doorbell_wire::stored::{Received, Record, RecordHead};
use std::collections::BTreeSet;

/// Records that are looked at in one step.
const RECORDS: usize = 20_000;

/// How far a copy has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Everything before this position was read.
    at: u64,
    /// Where the journal ended when the copying began.
    began: u64,
}

impl Mark {
    pub(super) const fn new(began: u64) -> Self {
        Self { at: 0, began }
    }

    /// Bytes of the journal that were read, and that were there at the beginning of the copying.
    #[must_use]
    pub const fn progress(self) -> (u64, u64) {
        (self.at, self.began)
    }

    /// Bytes of a journal of that length that are still to be read.
    #[must_use]
    pub const fn left(self, durable: u64) -> u64 {
        durable.saturating_sub(self.at)
    }
}

/// What was touched, up to a bound.
#[derive(Debug)]
pub struct Touched {
    /// Events, in the order in which they were accepted.
    pub pasts: Vec<Past>,
    /// Where to go on.
    pub next: Mark,
    /// Records that are damaged and were passed over; `doorbell doctor` tells of them.
    pub damaged: u64,
}

/// Reads the events that were touched behind the mark, by records before `upto`, which the index has.
///
/// # Errors
/// Those of reading.
pub(super) fn touched(parts: &Parts, since: Mark, upto: u64) -> Result<Touched, StoreError> {
    let mut found = Found { mark: since, events: BTreeSet::new(), bytes: 0, damaged: 0 };
    let mut records = 0;
    while found.has_room() && records < RECORDS && found.mark.at < upto {
        match parts.engine.shared.reader.segments().ahead(found.mark.at) {
            Ahead::Frames(segment) if segment.first() < upto => {
                records += found.look_through(parts, segment, upto)?;
            }
            Ahead::Frames(_) | Ahead::Nothing { .. } => found.mark.at = upto,
        }
    }
    let mut pasts = Vec::with_capacity(found.events.len());
    for position in found.events {
        match past(parts, position) {
            Ok(past) => pasts.extend(past),
            Err(StoreError::Corrupt(why)) => {
                tracing::error!(position, why, "an event cannot be read and is not copied");
                found.damaged += 1;
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(Touched { pasts, next: found.mark, damaged: found.damaged })
}

/// The events that a step has found so far, by their positions.
struct Found {
    mark: Mark,
    events: BTreeSet<u64>,
    bytes: usize,
    damaged: u64,
}

impl Found {
    fn has_room(&self) -> bool {
        self.events.len() < limits::MOVED_EVENTS && self.bytes < limits::MOVED_BYTES
    }

    /// Goes on in this segment; how many records were looked at.
    fn look_through(
        &mut self,
        parts: &Parts,
        segment: Segment,
        upto: u64,
    ) -> Result<usize, StoreError> {
        let mut walk = match parts.engine.shared.reader.walk(segment, self.mark.at) {
            // Retention took it in this moment.
            Err(ReadError::Missing(_)) => {
                self.mark.at = segment.end;
                return Ok(0);
            }
            other => other.map_err(failed)?,
        };
        let mut records = 0;
        while self.has_room() && records < RECORDS {
            match walk.step().map_err(failed)? {
                Step::Frame(frame) if frame.position >= upto => {
                    self.mark.at = upto;
                    return Ok(records);
                }
                Step::Frame(frame) => {
                    self.note(frame);
                    self.mark.at = frame.end;
                    records += 1;
                }
                Step::Damaged(_) => self.damaged += 1,
                Step::End => {
                    self.mark.at = segment.end;
                    break;
                }
            }
        }
        Ok(records)
    }

    fn note(&mut self, frame: Framed<'_>) {
        let event_at = match RecordHead::decode(frame.kind, frame.version, frame.payload) {
            Ok(RecordHead::Received(_)) => Some(frame.position),
            Ok(RecordHead::Settled(head)) => self.changed(head.event_at, frame.position),
            Ok(RecordHead::Redelivered(head)) => self.changed(head.event_at, frame.position),
            Err(_) => {
                self.damaged += 1;
                None
            }
        };
        if let Some(position) = event_at
            && self.events.insert(position)
        {
            self.bytes += frame.payload.len();
        }
    }

    /// An event that changed before the copying began is read, with the change, where it arrived.
    fn changed(&self, event_at: u64, position: u64) -> Option<u64> {
        (position >= self.mark.began).then_some(event_at)
    }
}

fn failed(fault: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(format!("the journal cannot be read: {fault}"))
}

/// The event whose record stands there; `None` when retention has forgotten it.
fn past(parts: &Parts, position: u64) -> Result<Option<Past>, StoreError> {
    let received = match parts.engine.record(position) {
        Ok(Record::Received(received)) => received,
        Ok(Record::Settled(_) | Record::Redelivered(_)) => return Ok(None),
        Err(_) if parts.engine.shared.reader.segments().at(position).is_none() => return Ok(None),
        Err(fault) => return Err(fault),
    };
    let Received { event, fate, dedupe_window, deliveries: _ } = received;
    let Some(ids) = deliveries(parts, event.tenant, event.id)? else { return Ok(None) };
    let mut deliveries = Vec::with_capacity(ids.len());
    for id in ids {
        // State and attempts in one look: what is settled in between comes with its own record.
        let Some(FoundDelivery { last_attempt, row, .. }) = parts.index.delivery(id)? else {
            return Ok(None);
        };
        let attempts = attempts(parts, &row.delivery, last_attempt)?;
        deliveries.push(PastDelivery { updated: row.updated, delivery: row.delivery, attempts });
    }
    Ok(Some(Past { event, fate, dedupe_window, deliveries }))
}

/// The deliveries of an event, in the order in which they were made; `None`: the index does not have the event any more.
fn deliveries(
    parts: &Parts,
    tenant: TenantId,
    event: EventId,
) -> Result<Option<Vec<DeliveryId>>, StoreError> {
    if parts.index.event(event)?.is_none() {
        return Ok(None);
    }
    let all =
        DeliveryQuery { event: Some(event), limit: limits::PAGE_MAX, ..DeliveryQuery::of(tenant) };
    let mut query = all;
    let mut ids = Vec::new();
    loop {
        let page = parts.index.deliveries(&query)?;
        ids.extend(page.items.iter().map(|row| row.delivery.id));
        query.cursor = page.next;
        if query.cursor.is_none() {
            ids.reverse();
            return Ok(Some(ids));
        }
    }
}

/// The tries of a delivery, the oldest first. One that is damaged, and those before it, are left out: that is no reason to
/// leave the event behind.
fn attempts(
    parts: &Parts,
    delivery: &Delivery,
    last: Option<u64>,
) -> Result<Vec<Attempt>, StoreError> {
    match parts.attempts_to(last) {
        Err(StoreError::Corrupt(why)) => {
            tracing::error!(delivery = %delivery.id, why, "attempts cannot be read and are not copied");
            Ok(Vec::new())
        }
        other => other,
    }
}
