//! What waits in all partitions together: claims, due times, the backlog.

use super::choice::endpoint_number;
use super::codes::time_of;
use super::due::{self, Due, Heads, Keyed, Lent, Round, Turn};
use super::parts::Part;
use super::place::{event_seq, number};
use super::rows::{Assembly, DeliveryColumns};
use super::{Error, Index};
use crate::store::{Backlog, Claim};
use doorbell_core::delivery::Delivery;
use doorbell_core::id::{DeliveryId, EndpointId};
use doorbell_core::time::Time;
use rusqlite::Connection;
use std::collections::{BTreeMap, BTreeSet};

/// Keys that one look at a partition passes over at most.
const KEYS_AT_ONCE: usize = 4096;
/// Looks that one claim takes at most, where none finds anything.
const LOOKS: usize = 16;

/// A delivery that may be lent out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The delivery.
    pub delivery: Delivery,
    /// The position of its event's record.
    pub event_at: u64,
    /// The position of the record of its last attempt.
    pub last_attempt: Option<u64>,
}

/// What may be lent on a claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimable {
    /// The deliveries, oldest due first.
    pub waiting: Vec<Waiting>,
    /// When the first is due that waits, is not lent, and is not among those.
    pub next_due: Option<Time>,
}

/// First deliveries of keys, in the order of their turns, each in its partition.
type Found = BTreeMap<Turn, (Part, Due)>;

/// Where a delivery stands among all that wait: due, event's position, number.
type Place = (i64, u64, i64);

fn place(part: &Part, (due, seq): Due) -> Place {
    (due, part.position(event_seq(seq)), number(seq))
}

impl Index {
    /// What a claim may lend out, without what is `lent`.
    ///
    /// # Errors
    /// Those of reading.
    pub fn claim(&self, claim: &Claim, lent: Lent<'_>) -> Result<Claimable, Error> {
        if claim.by_key { self.claim_by_key(claim, lent) } else { self.claim_by_due(claim, lent) }
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
    fn part_waiting(
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

    fn claim_by_key(&self, claim: &Claim, lent: Lent<'_>) -> Result<Claimable, Error> {
        let mut best: BTreeMap<Place, Waiting> = BTreeMap::new();
        for part in self.parts_where(|part| part.meta.waiting > 0) {
            best.extend(self.part_waiting(&part, claim.endpoint, |db, endpoint| {
                let mut free = due::waiting(db, endpoint, Keyed::No, claim.most, lent)?;
                free.retain(|(due, _)| time_of(*due) <= claim.due_by);
                Ok(free)
            })?);
        }
        for (part, dues) in self.heads_of_keys(claim, lent)? {
            best.extend(self.part_waiting(&part, claim.endpoint, |_, _| Ok(dues))?);
        }
        let waiting: Vec<Waiting> = best.into_values().take(claim.most).collect();
        let chosen: BTreeSet<DeliveryId> = waiting.iter().map(|w| w.delivery.id).collect();
        let taken = |id| chosen.contains(&id) || lent(id);
        let next = self.first_dues(claim.endpoint, &taken)?;
        let next_due = next.into_iter().map(|(due, _)| time_of(due)).min();
        Ok(Claimable { waiting, next_due })
    }

    /// First deliveries of keys that may be lent, by partition; each key has its turn.
    fn heads_of_keys(&self, claim: &Claim, lent: Lent<'_>) -> Result<Vec<(Part, Vec<Due>)>, Error> {
        let parts = self.parts_where(|part| part.meta.waiting > 0 || part.meta.holding > 0);
        for _ in 0..LOOKS {
            let start = self.turn(claim.endpoint);
            let (mut found, reached) = self.look_at_keys(&parts, claim, start, lent)?;
            let more =
                found.split_off(&found.keys().nth(claim.most).copied().unwrap_or((u8::MAX, 0)));
            let last = if more.is_empty() { reached } else { found.keys().next_back().copied() };
            self.set_turn(claim.endpoint, last.map_or(start, |(_, key)| key));
            if !found.is_empty() || last.is_none() {
                let mut by_part: BTreeMap<u64, (Part, Vec<Due>)> = BTreeMap::new();
                for (part, due) in found.into_values() {
                    by_part.entry(part.first).or_insert((part, Vec::new())).1.push(due);
                }
                return Ok(by_part.into_values().collect());
            }
        }
        Ok(Vec::new())
    }

    /// First deliveries of keys as far as all partitions were looked at, and how far that is.
    fn look_at_keys(
        &self,
        parts: &[Part],
        claim: &Claim,
        start: i64,
        lent: Lent<'_>,
    ) -> Result<(Found, Option<Turn>), Error> {
        let mut found = Found::new();
        let mut reached: Option<Turn> = None;
        for part in parts {
            let heads = self.ask(part, |db| {
                let Some(endpoint) = endpoint_number(db, claim.endpoint)? else {
                    return Ok(Heads::default());
                };
                // What an older partition still has of a key goes first.
                let due_by = claim.due_by;
                let round =
                    Round { endpoint, start, due_by, most: claim.most, budget: KEYS_AT_ONCE };
                due::heads(db, round, lent)
            })?;
            let heads = heads.unwrap_or_default();
            reached = match (reached, heads.reached) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            for (turn, due) in heads.found {
                found.entry(turn).or_insert((*part, due));
            }
        }
        if let Some(reached) = reached {
            found.retain(|turn, _| *turn <= reached);
        }
        for older in parts {
            self.drop_occupied(older, claim.endpoint, &mut found)?;
        }
        Ok((found, reached))
    }

    /// Drops what stands behind a delivery of the same key in an older partition.
    fn drop_occupied(
        &self,
        older: &Part,
        endpoint: EndpointId,
        found: &mut Found,
    ) -> Result<(), Error> {
        let keys: Vec<Turn> = found
            .iter()
            .filter(|(_, (part, _))| part.first > older.first)
            .map(|(turn, _)| *turn)
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let occupied = self.ask(older, |db| {
            let Some(endpoint) = endpoint_number(db, endpoint)? else { return Ok(Vec::new()) };
            let mut occupied = Vec::new();
            for turn in keys {
                if due::occupies(db, endpoint, turn.1)? {
                    occupied.push(turn);
                }
            }
            Ok(occupied)
        })?;
        for turn in occupied.unwrap_or_default() {
            found.remove(&turn);
        }
        Ok(())
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
        event_at: part.position(event_seq(seq)),
        last_attempt: columns.last_at,
    })
}
