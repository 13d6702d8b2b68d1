//! Which partitions there are, and into which one a record belongs.

use super::meta::Meta;
use super::partition::Entry;
use super::place::SPAN_MAX;
use doorbell_wire::stored::RecordHead;
use std::collections::{BTreeMap, BTreeSet};

/// How large a partition becomes before the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Events of one partition.
    pub events: u64,
    /// Deliveries of one partition.
    pub deliveries: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { events: 1_000_000, deliveries: 4_000_000 }
    }
}

/// One partition: the journal position at which it begins, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) first: u64,
    pub(super) meta: Meta,
}

impl Part {
    /// Whether some of its events are not forgotten.
    pub(super) const fn is_alive(&self) -> bool {
        self.meta.events > self.meta.forgotten
    }

    /// The position of the event with this `seq`.
    pub(super) const fn position(&self, seq: i64) -> u64 {
        self.first.saturating_add_signed(seq)
    }
}

/// All partitions, in the order of their positions.
pub(super) type Parts = BTreeMap<u64, Part>;

/// What a batch brings to each partition, those that it begins included.
pub(super) type Work<'a> = BTreeMap<u64, Vec<&'a Entry>>;

/// How full the last partition is.
#[derive(Debug, Clone, Copy)]
struct Load {
    first: u64,
    events: u64,
    deliveries: u64,
}

impl Load {
    fn of(part: &Part) -> Self {
        let (events, deliveries) = (part.meta.events, part.meta.deliveries);
        Self {
            first: part.first,
            events: events.cast_unsigned(),
            deliveries: deliveries.cast_unsigned(),
        }
    }

    const fn is_full(&self, sizes: Sizes, position: u64) -> bool {
        self.events >= sizes.events
            || self.deliveries >= sizes.deliveries
            || position - self.first >= SPAN_MAX
    }
}

/// Sorts records into the partitions to which they belong. What is applied already is left out, and so is what concerns
/// an event before the first partition (it was forgotten).
pub(super) fn route<'a>(parts: &Parts, sizes: Sizes, entries: &'a [Entry]) -> Work<'a> {
    let mut route = Route {
        parts,
        sizes,
        firsts: parts.keys().copied().collect(),
        last: parts.values().next_back().map(Load::of),
    };
    let mut work = Work::new();
    for entry in entries {
        let (position, head) = entry;
        let first = match head {
            RecordHead::Received(head) => {
                Some(route.received(*position, head.deliveries.len() as u64))
            }
            RecordHead::Settled(settled) => route.holder(settled.event_at),
            RecordHead::Redelivered(record) => route.holder(record.event_at),
        };
        if let Some(first) = first
            && *position >= route.applied(first)
        {
            work.entry(first).or_default().push(entry);
        }
    }
    work
}

struct Route<'a> {
    parts: &'a Parts,
    sizes: Sizes,
    /// Where partitions begin, those included that this batch begins.
    firsts: BTreeSet<u64>,
    last: Option<Load>,
}

impl Route<'_> {
    fn applied(&self, first: u64) -> u64 {
        self.parts.get(&first).map_or(0, |part| part.meta.applied)
    }

    /// Which partition holds the event at this position.
    fn holder(&self, event_at: u64) -> Option<u64> {
        self.firsts.range(..=event_at).next_back().copied()
    }

    /// The partition of an event at this position; a new one when the last is full.
    fn received(&mut self, position: u64, deliveries: u64) -> u64 {
        let held = self.holder(position).filter(|first| {
            let known = position < self.applied(*first);
            let full = |last: Load| last.first == *first && last.is_full(self.sizes, position);
            known || !self.last.is_some_and(full)
        });
        let first = held.unwrap_or(position);
        self.firsts.insert(first);
        if self.last.is_none_or(|last| last.first < first) {
            self.last = Some(Load { first, events: 0, deliveries: 0 });
        }
        if let Some(last) = self.last.as_mut()
            && last.first == first
            && position >= self.parts.get(&first).map_or(0, |part| part.meta.applied)
        {
            last.events += 1;
            last.deliveries += deliveries;
        }
        first
    }
}
