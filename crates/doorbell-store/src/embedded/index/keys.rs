//! Claims by order key: only the first delivery of each key may be lent, and each key has its turn.
//!
//! A claim goes from key to key without a look at what stands behind the first of each, and looks at so many keys at
//! most. It goes on where the last one stopped; when that was before the round was whole, it says so with a due time
//! that is past, so that the caller comes again. Only after a whole round in which nothing changed is it known when the
//! next delivery is due, and then the caller need not come before.

use super::choice::endpoint_number;
use super::claimable::{Claimable, Place, Waiting, place};
use super::codes::{time_column, time_of};
use super::due::{self, Due, Head, Heads, Keyed, Lent, Look, Taken, Turn};
use super::parts::Part;
use super::{Entry, Error, Index, lock};
use crate::store::Claim;
use doorbell_core::delivery::Delivery;
use doorbell_core::id::EndpointId;
use doorbell_wire::stored::RecordHead;
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

/// How many keys a claim looks at.
#[derive(Debug, Clone, Copy)]
pub(in crate::embedded) struct Pace {
    /// Keys of the first look at each partition; each look has twice as many as the one before.
    pub(in crate::embedded) first: usize,
    /// Keys of the largest look.
    pub(in crate::embedded) largest: usize,
    /// Looks of one claim, where none finds anything.
    pub(in crate::embedded) looks: usize,
}

impl Pace {
    /// Some 60,000 keys in each partition: about a second in a build that is not optimized.
    pub(in crate::embedded) const USUAL: Self = Self { first: 64, largest: 4096, looks: 20 };
}

/// The way round the keys of one endpoint.
#[derive(Debug, Clone, Copy)]
struct Round {
    /// Behind which key it began.
    began: i64,
    /// Up to where the keys were looked at.
    at: Turn,
    /// The earliest due time among the first deliveries up to there that could be lent and were not.
    earliest: Option<i64>,
    /// Counts what was brought in for the endpoint: what was seen of its keys before may be wrong now.
    changes: u64,
}

impl Round {
    const fn behind(key: i64, changes: u64) -> Self {
        Self { began: key, at: (0, key), earliest: None, changes }
    }

    fn is_due_at(&mut self, due: i64) {
        self.earliest = Some(self.earliest.map_or(due, |known| known.min(due)));
    }
}

/// The rounds of all endpoints with claims by key.
#[derive(Debug, Default)]
pub(super) struct Rounds(Mutex<HashMap<EndpointId, Round>>);

impl Rounds {
    fn of(&self, endpoint: EndpointId) -> Round {
        *lock(&self.0).entry(endpoint).or_insert(Round::behind(i64::MAX, 0))
    }

    /// The next claim goes on from here; with a new round, when something changed since `round` was asked for.
    fn keep(&self, endpoint: EndpointId, round: Round) {
        let mut rounds = lock(&self.0);
        let changes = rounds.get(&endpoint).map_or(round.changes, |known| known.changes);
        let same = changes == round.changes;
        let next = if same { round } else { Round::behind(round.at.1, changes) };
        rounds.insert(endpoint, next);
    }

    /// These records were brought in: their endpoints' rounds begin anew where they are.
    pub(super) fn changed(&self, entries: &[Entry]) {
        let mut rounds = lock(&self.0);
        if rounds.is_empty() {
            return;
        }
        let mut change = |endpoint| {
            if let Some(round) = rounds.get_mut(&endpoint) {
                *round = Round::behind(round.at.1, round.changes + 1);
            }
        };
        for (_, head) in entries {
            match head {
                RecordHead::Received(head) => {
                    head.deliveries.iter().for_each(|delivery| change(delivery.endpoint));
                }
                RecordHead::Redelivered(head) => {
                    head.deliveries.iter().for_each(|delivery| change(delivery.endpoint));
                }
                RecordHead::Settled(head) => change(head.delivery.endpoint),
            }
        }
    }

    /// Deliveries may have gone that held their keys: all rounds begin anew where they are.
    pub(super) fn restart(&self) {
        for round in lock(&self.0).values_mut() {
            *round = Round::behind(round.at.1, round.changes + 1);
        }
    }
}

/// A delivery that could be lent: in which partition, and its place there.
type Found = (Part, Due);

/// First deliveries of keys.
#[derive(Debug, Default)]
struct Seen {
    /// In the order of their turns, the oldest partition's of each key.
    heads: BTreeMap<Turn, (Part, Head)>,
    /// How far all partitions were looked at; `None`: to the end of the round.
    reached: Option<Turn>,
}

impl Index {
    /// What a claim by key may lend out, without what is `taken`.
    ///
    /// # Errors
    /// Those of reading.
    pub(in crate::embedded) fn claim_by_key(
        &self,
        claim: &Claim,
        taken: Taken<'_>,
        pace: Pace,
    ) -> Result<Claimable, Error> {
        let (heads, mut next) = self.due_heads(claim, taken, pace)?;
        let mut found = self.without_key(claim, taken.delivery)?;
        found.extend(heads.into_iter().map(|(part, due)| (place(&part, due), (part, due))));
        let due_by = time_column(claim.due_by);
        let mut chosen: BTreeMap<u64, (Part, Vec<Due>)> = BTreeMap::new();
        for (taken, (_, (part, due))) in found.into_iter().enumerate() {
            if due.0 > due_by || taken >= claim.most {
                next = Some(next.map_or(due.0, |known| known.min(due.0)));
                break;
            }
            chosen.entry(part.first).or_insert((part, Vec::new())).1.push(due);
        }
        let mut waiting: BTreeMap<Place, Waiting> = BTreeMap::new();
        for (part, dues) in chosen.into_values() {
            waiting.extend(self.part_waiting(&part, claim.endpoint, |_, _| Ok(dues))?);
        }
        Ok(Claimable { waiting: waiting.into_values().collect(), next_due: next.map(time_of) })
    }

    /// Whether no other delivery of its order key goes before it. One without a key has none before it.
    ///
    /// # Errors
    /// Those of reading.
    pub fn is_first_of_key(&self, delivery: &Delivery, taken: Taken<'_>) -> Result<bool, Error> {
        let Some(key) = delivery.order_key.map(u64::cast_signed) else { return Ok(true) };
        let parts = self.parts_where(|part| part.meta.waiting > 0 || part.meta.holding > 0);
        let round = Round::behind(key.wrapping_sub(1), 0);
        let seen = self.look_at_keys(&parts, (delivery.endpoint, round, 1), taken)?;
        let first = seen.heads.into_values().next();
        Ok(first.is_some_and(|(_, head)| head.open && head.id == delivery.id))
    }

    /// What waits and has no key: of each partition one more than is claimed, to know when the next is due.
    fn without_key(&self, claim: &Claim, lent: Lent<'_>) -> Result<BTreeMap<Place, Found>, Error> {
        let mut found = BTreeMap::new();
        for part in self.parts_where(|part| part.meta.waiting > 0) {
            let dues = self.ask(&part, |db| {
                let Some(endpoint) = endpoint_number(db, claim.endpoint)? else {
                    return Ok(Vec::new());
                };
                due::waiting(db, endpoint, Keyed::No, claim.most.saturating_add(1), lent)
            })?;
            let dues = dues.unwrap_or_default().into_iter();
            found.extend(dues.map(|due| (place(&part, due), (part, due))));
        }
        Ok(found)
    }

    /// First deliveries of keys that are due, at most as many as are claimed, and when to come again for others.
    fn due_heads(
        &self,
        claim: &Claim,
        taken: Taken<'_>,
        pace: Pace,
    ) -> Result<(Vec<Found>, Option<i64>), Error> {
        let parts = self.parts_where(|part| part.meta.waiting > 0 || part.meta.holding > 0);
        let due_by = time_column(claim.due_by);
        let mut round = self.rounds.of(claim.endpoint);
        let mut budget = pace.first;
        for _ in 0..pace.looks {
            let seen = self.look_at_keys(&parts, (claim.endpoint, round, budget), taken)?;
            budget = budget.saturating_mul(2).min(pace.largest);
            let (mut found, mut last) = (Vec::new(), None);
            for (turn, (part, head)) in seen.heads.into_iter().filter(|(_, (_, head))| head.open) {
                if head.due.0 <= due_by && found.len() < claim.most {
                    found.push((part, head.due));
                    last = Some(turn.1);
                } else {
                    round.is_due_at(head.due.0);
                }
            }
            let next = if seen.reached.is_none() { round.earliest } else { Some(due_by) };
            if seen.reached.is_none() || last.is_some() {
                let behind = last.unwrap_or(round.began);
                self.rounds.keep(claim.endpoint, Round::behind(behind, round.changes));
                return Ok((found, next));
            }
            round.at = seen.reached.unwrap_or(round.at);
        }
        self.rounds.keep(claim.endpoint, round);
        Ok((Vec::new(), Some(due_by)))
    }

    /// The next keys of a round, in all partitions: what an older partition has of a key goes first, or is in the way.
    fn look_at_keys(
        &self,
        parts: &[Part],
        (endpoint, round, budget): (EndpointId, Round, usize),
        taken: Taken<'_>,
    ) -> Result<Seen, Error> {
        let mut seen = Seen::default();
        for part in parts {
            let heads = self.ask(part, |db| {
                let Some(endpoint) = endpoint_number(db, endpoint)? else {
                    return Ok(Heads::default());
                };
                let Round { began, at: after, .. } = round;
                let look = Look { endpoint, began, after, within: seen.reached, budget };
                due::heads(db, look, taken)
            })?;
            let heads = heads.unwrap_or_default();
            seen.reached = [seen.reached, heads.reached].into_iter().flatten().min();
            for (turn, head) in heads.found {
                seen.heads.entry(turn).or_insert((*part, head));
            }
        }
        if let Some(reached) = seen.reached {
            seen.heads.retain(|turn, _| *turn <= reached);
        }
        Ok(seen)
    }
}
