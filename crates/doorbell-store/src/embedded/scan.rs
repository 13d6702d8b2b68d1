//! Looks for text and JSON values in payloads: over the segments, the newest first, without the index until something is
//! found. A segment is read from its beginning, the bytes of each record searched as they are, and only those with the
//! text are decoded; so what is not there is found out at about the speed of the disk.

use super::journal::read::ReadError;
use super::journal::segment::Segment;
use super::journal::walk::Step;
use super::parts::Parts;
use crate::search;
use crate::store::{
    DeliveryQuery, EventQuery, FateWord, Search, SearchHit, SearchPage, StoreError,
};
use doorbell_core::limits;
use doorbell_core::time::Time;
use doorbell_wire::stored::{Kind, Received, Record};
use memchr::memmem;
use std::time::Instant;

/// How far a search is.
struct Progress<'a> {
    parts: &'a Parts,
    search: &'a Search,
    finder: memmem::Finder<'a>,
    began: Instant,
    most: usize,
    page: SearchPage,
}

/// Searches for as long as the budget lasts.
///
/// # Errors
/// [`StoreError::BadCursor`], otherwise those of reading.
pub(super) fn search(parts: &Parts, search: &Search) -> Result<SearchPage, StoreError> {
    let mut before = match search.among.cursor.as_deref() {
        None => u64::MAX,
        Some(cursor) => parse(cursor).ok_or(StoreError::BadCursor)?,
    };
    let mut progress = Progress {
        parts,
        search,
        finder: memmem::Finder::new(&search.text),
        began: now(),
        most: search.among.limit.clamp(1, limits::PAGE_MAX),
        page: SearchPage { hits: Vec::new(), next: None, reached: None, scanned: 0 },
    };
    for segment in parts.engine.shared.reader.segments().all().into_iter().rev() {
        if segment.base >= before {
            continue;
        }
        if let Some(stopped) = progress.look_through(segment, before)? {
            progress.page.next = Some(format!("{stopped:016x}"));
            break;
        }
        before = segment.base;
    }
    Ok(progress.page)
}

fn parse(cursor: &str) -> Option<u64> {
    let fits = cursor.len() == 16 && cursor.bytes().all(|b| b.is_ascii_hexdigit());
    fits.then(|| u64::from_str_radix(cursor, 16).ok()).flatten()
}

#[expect(clippy::disallowed_methods, reason = "the budget is time that passes, not a time of day")]
fn now() -> Instant {
    Instant::now()
}

impl Progress<'_> {
    /// Looks at the records of a segment before this position, the newest first. Returns where it stopped, if it did.
    fn look_through(&mut self, segment: Segment, before: u64) -> Result<Option<u64>, StoreError> {
        let candidates = match self.candidates(segment, before) {
            Ok(candidates) => candidates,
            // Retention took it in this moment, and everything before it.
            Err(ReadError::Missing(_)) => return Ok(None),
            Err(fault) => return Err(StoreError::Failed(fault.to_string())),
        };
        for position in candidates.into_iter().rev() {
            let is_hit = self.look_at(position)?;
            if (is_hit && self.page.hits.len() >= self.most) || self.is_over() {
                return Ok(Some(position));
            }
        }
        Ok(if self.is_over() { Some(segment.base) } else { None })
    }

    fn is_over(&self) -> bool {
        now().duration_since(self.began) >= self.search.budget
    }

    /// The events of a segment whose bytes hold the text.
    fn candidates(&mut self, segment: Segment, before: u64) -> Result<Vec<u64>, ReadError> {
        let mut candidates = Vec::new();
        let mut walk = self.parts.engine.shared.reader.walk(segment, segment.base)?;
        loop {
            match walk.step()? {
                Step::Frame(frame) if frame.position >= before => return Ok(candidates),
                Step::Frame(frame) if frame.kind == Kind::Received.byte() => {
                    self.page.scanned += 1;
                    if self.finder.find(frame.payload).is_some() {
                        candidates.push(frame.position);
                    }
                }
                Step::Frame(_) | Step::Damaged(_) => {}
                Step::End => return Ok(candidates),
            }
        }
    }

    /// Looks at one event; whether it is a hit.
    fn look_at(&mut self, position: u64) -> Result<bool, StoreError> {
        let received = match self.parts.engine.record(position) {
            Ok(Record::Received(received)) => received,
            Ok(Record::Settled(_) | Record::Redelivered(_)) | Err(StoreError::Corrupt(_)) => {
                return Ok(false);
            }
            Err(fault) => return Err(fault),
        };
        self.page.reached = Some(received.event.at);
        if !fits(&self.search.among, &received) {
            return Ok(false);
        }
        let Some(excerpt) = search::find(&received.event.request, self.search) else {
            return Ok(false);
        };
        let id = received.event.id;
        let found = self.parts.index.event(id)?;
        let Some(found) = found.filter(|found| found.position == position) else {
            return Ok(false);
        };
        if !self.has_delivery(&received)? {
            return Ok(false);
        }
        self.page.hits.push(SearchHit { row: found.row, excerpt });
        Ok(true)
    }

    /// Whether it has a delivery as asked for.
    fn has_delivery(&self, received: &Received) -> Result<bool, StoreError> {
        let EventQuery { tenant, endpoint, state, .. } = self.search.among;
        if endpoint.is_none() && state.is_none() {
            return Ok(true);
        }
        let event = Some(received.event.id);
        let query = DeliveryQuery { event, endpoint, state, limit: 1, ..DeliveryQuery::of(tenant) };
        Ok(!self.parts.index.deliveries(&query)?.items.is_empty())
    }
}

/// Whether an event is among those to look at, as far as its record tells.
fn fits(among: &EventQuery, received: &Received) -> bool {
    let event = &received.event;
    let within = |at: Time| {
        among.since.is_none_or(|since| at >= since) && among.until.is_none_or(|until| at < until)
    };
    event.tenant == among.tenant
        && among.source.is_none_or(|source| event.origin.source() == Some(source))
        && among.event_type.as_ref().is_none_or(|pattern| {
            event.event_type.as_ref().is_some_and(|event_type| pattern.fits(event_type))
        })
        && (among.fates.is_empty() || among.fates.contains(&FateWord::of(&received.fate)))
        && within(event.at)
}
