//! What waits in all partitions together: claims, due times, the backlog.

use super::choice::endpoint_number;
use super::claimable::{Claimable, Place, Waiting, place};
use super::codes::time_of;
use super::due::{self, Due, Lent, Taken};
use super::keys::Pace;
use super::parts::Part;
use super::place::event_seq;
use super::rows::{Assembly, DeliveryColumns};
use super::{Error, Index};
use crate::store::{Backlog, Claim, WaitingCount};
use doorbell_core::id::EndpointId;
use rusqlite::Connection;
use std::collections::BTreeMap;

impl Index {
    /// What a claim may lend out, without what is `taken`.
    ///
    /// # Errors
    /// Those of reading.
    pub fn claim(&self, claim: &Claim, taken: Taken<'_>) -> Result<Claimable, Error> {
        if claim.by_key {
            self.claim_by_key(claim, taken, Pace::USUAL)
        } else {
            self.claim_by_due(claim, taken.delivery)
        }
    }

    fn claim_by_due(&self, claim: &Claim, lent: Lent<'_>) -> Result<Claimable, Error> {
        let mut dues = self.first_dues(claim.endpoint, lent)?;
        dues.sort_unstable_by_key(|(due, part)| (*due, part.first));
        let enough = claim.most.saturating_add(1);
        let mut best: BTreeMap<Place, Waiting> = BTreeMap::new();
        for (first_due, part) in dues {
            let last = best.last_key_value().map(|((due, ..), _)| *due);
            if best.len() >= enough && last < Some(first_due) {
                break;
            }
            best.extend(self.part_waiting(&part, claim.endpoint, |db, endpoint| {
                due::all_waiting(db, endpoint, enough, lent)
            })?);
            while best.len() > enough {
                best.pop_last();
            }
        }
        Ok(split(best, claim))
    }

    /// When the first delivery of each partition is due that waits for this endpoint and is not lent.
    fn first_dues(&self, endpoint: EndpointId, lent: Lent<'_>) -> Result<Vec<(i64, Part)>, Error> {
        let mut dues = Vec::new();
        for part in self.parts_where(|part| part.meta.waiting > 0) {
            let first = self.ask(&part, |db| {
                let Some(number) = endpoint_number(db, endpoint)? else { return Ok(None) };
                Ok(due::all_waiting(db, number, 1, lent)?.first().copied())
            })?;
            dues.extend(first.flatten().map(|(due, _)| (due, part)));
        }
        Ok(dues)
    }

    /// The deliveries that `which` finds in a partition, whole.
    pub(super) fn part_waiting(
        &self,
        part: &Part,
        endpoint: EndpointId,
        which: impl FnOnce(&Connection, i64) -> Result<Vec<Due>, Error>,
    ) -> Result<Vec<(Place, Waiting)>, Error> {
        let found = self.ask(part, |db| {
            let Some(endpoint) = endpoint_number(db, endpoint)? else { return Ok(Vec::new()) };
            let mut assembly = Assembly::new(db);
            let whole = |due| Ok((place(part, due), whole(db, part, due, &mut assembly)?));
            which(db, endpoint)?.into_iter().map(whole).collect()
        })?;
        Ok(found.unwrap_or_default())
    }

    /// The endpoints for which something waits that is not lent, and when the first is due.
    ///
    /// # Errors
    /// Those of reading.
    pub fn backlog(&self, lent: Lent<'_>) -> Result<Vec<Backlog>, Error> {
        let mut first: BTreeMap<EndpointId, i64> = BTreeMap::new();
        for part in self.parts_where(|part| part.meta.waiting > 0) {
            let dues = self.ask(&part, |db| {
                let mut dues = Vec::new();
                for (number, id) in due::endpoints(db)? {
                    let waiting = due::all_waiting(db, number, 1, lent)?;
                    dues.extend(waiting.first().map(|(due, _)| (id, *due)));
                }
                Ok(dues)
            })?;
            for (endpoint, due) in dues.unwrap_or_default() {
                let earliest = first.entry(endpoint).or_insert(due);
                *earliest = due.min(*earliest);
            }
        }
        let backlog = |(endpoint, due)| Backlog { endpoint, next_due: time_of(due) };
        Ok(first.into_iter().map(backlog).collect())
    }

    /// How many deliveries wait for each endpoint.
    ///
    /// # Errors
    /// Those of reading.
    pub fn waiting_counts(&self) -> Result<Vec<WaitingCount>, Error> {
        let mut counts: BTreeMap<EndpointId, u64> = BTreeMap::new();
        for part in self.parts_where(|part| part.meta.waiting > 0) {
            for (endpoint, waiting) in self.ask(&part, due::counts)?.unwrap_or_default() {
                *counts.entry(endpoint).or_default() += waiting;
            }
        }
        let waiting = |(endpoint, deliveries)| WaitingCount { endpoint, deliveries };
        Ok(counts.into_iter().map(waiting).collect())
    }

    /// The position of the first event with a delivery that waits: nothing from there on may be forgotten.
    ///
    /// # Errors
    /// Those of reading.
    pub fn oldest_waiting_position(&self) -> Result<Option<u64>, Error> {
        for part in self.parts_where(|part| part.meta.waiting > 0) {
            if let Some(Some(seq)) = self.ask(&part, due::oldest_waiting)? {
                return Ok(Some(part.position(seq)));
            }
        }
        Ok(None)
    }
}

/// What is due by then, at most `most`; of the rest the first tells when to come again.
fn split(best: BTreeMap<Place, Waiting>, claim: &Claim) -> Claimable {
    let mut claimable = Claimable::default();
    for ((due, ..), waiting) in best {
        let due = time_of(due);
        if due <= claim.due_by && claimable.waiting.len() < claim.most {
            claimable.waiting.push(waiting);
        } else {
            claimable.next_due = Some(due);
            break;
        }
    }
    claimable
}

fn whole(
    db: &Connection,
    part: &Part,
    (_, seq): Due,
    assembly: &mut Assembly<'_>,
) -> Result<Waiting, Error> {
    let columns = DeliveryColumns::read(db, seq)?;
    let columns = columns.ok_or(Error::Damaged("a delivery has gone"))?;
    Ok(Waiting {
        delivery: assembly.row(&columns)?.delivery,
        body_len: assembly.event(seq)?.body_len(),
        event_at: part.position(event_seq(seq)),
        last_attempt: columns.last_at,
    })
}
