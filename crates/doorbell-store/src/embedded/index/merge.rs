//! Rows of several lists in one order: each list comes from one index, read in small steps from its end.

use super::Error;
use rusqlite::{Connection, params};
use std::collections::{BinaryHeap, VecDeque};

/// Rows that one step reads at most.
const STEP_MAX: usize = 512;

/// A list of `seq`s, in the order of acceptance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// All events.
    Events,
    /// The events of a kind.
    Kind(i64),
    /// All deliveries.
    Deliveries,
    /// The deliveries of a lane in a state.
    Lane { lane: i64, state: i64 },
    /// All failed or all discarded deliveries; no other state has such a list.
    State(i64),
    /// The deliveries that a replay made, in a state.
    Replay { replay: i64, state: i64 },
}

impl List {
    /// The last `most` from `least` on and below `below`, the last first.
    fn read(
        self,
        db: &Connection,
        least: i64,
        below: i64,
        most: usize,
    ) -> Result<VecDeque<i64>, Error> {
        const RANGE: &str = "seq >= ?1 AND seq < ?2 ORDER BY seq DESC LIMIT ?3";
        let (source, one, two) = match self {
            Self::Events => ("events WHERE ?4 = ?5 AND", 0, 0),
            Self::Kind(kind) => ("events WHERE kind = ?4 AND ?5 = 0 AND", kind, 0),
            Self::Deliveries => ("deliveries WHERE ?4 = ?5 AND", 0, 0),
            Self::Lane { lane, state } => {
                ("deliveries WHERE lane = ?4 AND state = ?5 AND", lane, state)
            }
            Self::State(state) => (
                "deliveries INDEXED BY delivery_by_state WHERE state = ?4 AND state >= 2 AND ?5 = 0 AND",
                state,
                0,
            ),
            Self::Replay { replay, state } => {
                ("deliveries WHERE replay = ?4 AND state = ?5 AND", replay, state)
            }
        };
        let sql = format!("SELECT seq FROM {source} {RANGE}");
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut statement = db.prepare_cached(&sql)?;
        let seqs = statement.query_map(params![least, below, most, one, two], |row| row.get(0))?;
        Ok(seqs.collect::<Result<_, _>>()?)
    }
}

/// Reads lists together, the highest `seq` first.
pub(super) struct Merge<'a> {
    db: &'a Connection,
    least: i64,
    streams: Vec<Stream>,
    /// The highest `seq` of each list that has one left, and which list.
    heads: BinaryHeap<(i64, usize)>,
}

struct Stream {
    list: List,
    read: VecDeque<i64>,
    /// Rows that the next step reads.
    step: usize,
}

impl<'a> Merge<'a> {
    /// The rows with `least <= seq < below`; about `expected` of them will be wanted.
    pub(super) fn new(
        db: &'a Connection,
        lists: Vec<List>,
        (least, below): (i64, i64),
        expected: usize,
    ) -> Result<Self, Error> {
        let step = (2 * expected / lists.len().max(1)).clamp(1, STEP_MAX);
        let streams = lists.into_iter().map(|list| Stream { list, read: VecDeque::new(), step });
        let mut merge = Self { db, least, streams: streams.collect(), heads: BinaryHeap::new() };
        for at in 0..merge.streams.len() {
            merge.advance(at, below)?;
        }
        Ok(merge)
    }

    /// The highest one below `below` that was not given yet.
    pub(super) fn next_below(&mut self, below: i64) -> Result<Option<i64>, Error> {
        while let Some((seq, at)) = self.heads.pop() {
            self.advance(at, seq.min(below))?;
            if seq < below {
                return Ok(Some(seq));
            }
        }
        Ok(None)
    }

    /// Puts the next row of a list that is below `below` among the heads.
    fn advance(&mut self, at: usize, below: i64) -> Result<(), Error> {
        let Some(stream) = self.streams.get_mut(at) else { return Ok(()) };
        while stream.read.front().is_some_and(|seq| *seq >= below) {
            stream.read.pop_front();
        }
        if stream.read.is_empty() && stream.step > 0 {
            stream.read = stream.list.read(self.db, self.least, below, stream.step)?;
            let ended = stream.read.len() < stream.step;
            stream.step = if ended { 0 } else { (4 * stream.step).min(STEP_MAX) };
        }
        if let Some(seq) = stream.read.pop_front() {
            self.heads.push((seq, at));
        }
        Ok(())
    }
}
