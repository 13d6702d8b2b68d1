//! The indexer: a thread that reads the journal's files behind the commit thread and feeds the index, in batches. After a
//! start it begins where the index is, so that catching up after a crash is the same path as every day.

use super::dedupe::keys::SegmentKeys;
use super::dedupe::load::Loaded;
use super::index::Entry;
use super::journal::read::ReadError;
use super::journal::segment::{Ahead, Segment};
use super::journal::walk::{Damaged, Framed, Step};
use super::progress::Woken;
use super::shared::Shared;
use crate::store::StoreError;
use doorbell_wire::stored::RecordHead;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Records that are applied in one transaction.
const BATCH: usize = 4096;
/// How long the indexer waits before it tries again what failed.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes of the journal after which the index is made safe: so much is read again after a crash.
const CHECKPOINT: u64 = 64 << 20;

/// What is fed from the journal.
pub(crate) trait View: Send + 'static {
    /// Everything before this position is safe in it; what comes after may be there or not.
    fn replay_from(&self) -> u64;

    /// Brings in the next records, in the order of the journal: all that stand before `upto`. To bring in what is there
    /// already changes nothing.
    ///
    /// # Errors
    /// When it could not; then the same records are brought in again.
    fn apply(&mut self, records: &[Entry], upto: u64) -> Result<(), StoreError>;

    /// Makes what was brought in survive a power cut, now and then.
    ///
    /// # Errors
    /// When it could not; nothing is lost.
    fn checkpoint(&mut self) -> Result<(), StoreError>;
}

/// The indexer's thread.
#[derive(Debug)]
pub(crate) struct Tail<V> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) view: V,
    pub(crate) lag: Duration,
    /// Everything before is in the view.
    upto: u64,
    /// Where the view was last made safe.
    safe: u64,
    /// Where the journal ended at the start: what comes behind is counted.
    opened_at: u64,
}

/// Records that go to the index together.
#[derive(Debug)]
struct Gathered {
    records: Vec<Entry>,
    upto: u64,
}

impl<V: View> Tail<V> {
    pub(crate) fn new(shared: Arc<Shared>, view: V, lag: Duration) -> Self {
        // The position may lie within a segment, and behind the beginning of a record: start with its segment.
        let safe = view.replay_from();
        let segments = shared.reader.segments().all();
        let holds = segments.iter().rev().find(|segment| segment.base <= safe);
        let upto = holds.map_or(0, |segment| segment.base);
        shared.progress.applied(upto);
        let opened_at = shared.reader.segments().durable();
        Self { shared, view, lag, upto, safe, opened_at }
    }

    /// Works until the store closes.
    pub(crate) fn run(mut self) {
        // What is already in the journal counts as new.
        self.shared.progress.grew();
        let mut lag = Duration::ZERO;
        while self.shared.progress.wait(lag) == Woken::ToWork {
            lag = self.lag;
            self.write_keys();
            while let Err(fault) = self.catch_up() {
                if let StoreError::Corrupt(why) = fault {
                    // It has seen to it that it is built again when the store is opened next.
                    return self.shared.break_down(format!("the index is damaged: {why}"));
                }
                tracing::warn!(%fault, "the index could not be brought up to date and is tried again");
                self.shared.progress.stuck(fault);
                if self.shared.progress.pause(PATIENCE) == Woken::ToStop {
                    return;
                }
            }
        }
        self.make_safe();
    }

    /// Brings in everything that is durable by now.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        loop {
            let written = self.shared.meters.written.load(Ordering::Relaxed);
            let segment = match self.shared.reader.segments().ahead(self.upto) {
                Ahead::Frames(segment) => segment,
                Ahead::Nothing { durable } => {
                    self.upto = self.upto.max(durable);
                    self.shared.progress.applied(self.upto);
                    // Also what could not be understood counts as seen.
                    self.shared.meters.indexed.fetch_max(written, Ordering::Relaxed);
                    return Ok(());
                }
            };
            let gathered = self.gather(segment).map_err(|fault| failed(&fault))?;
            self.view.apply(&gathered.records, gathered.upto)?;
            self.count(&gathered.records);
            self.upto = gathered.upto;
            self.shared.leases.applied(self.upto);
            self.shared.progress.applied(self.upto);
            if self.upto - self.safe.min(self.upto) >= CHECKPOINT {
                self.make_safe();
            }
        }
    }

    fn count(&self, records: &[Entry]) {
        let new = records.iter().filter(|(position, _)| *position >= self.opened_at).count();
        self.shared.meters.indexed.fetch_add(new as u64, Ordering::Relaxed);
    }

    fn make_safe(&mut self) {
        match self.view.checkpoint() {
            Ok(()) => self.safe = self.upto,
            Err(fault) => {
                tracing::warn!(%fault, "the index could not be made safe; a start after a crash takes longer");
            }
        }
    }

    /// Reads the next records of a segment; the damaged ones are left out.
    fn gather(&self, segment: Segment) -> Result<Gathered, ReadError> {
        let mut gathered = Gathered { records: Vec::new(), upto: segment.end };
        let mut walk = match self.shared.reader.walk(segment, self.upto) {
            // Retention took it in this moment.
            Err(ReadError::Missing(_)) => return Ok(gathered),
            other => other?,
        };
        loop {
            match walk.step()? {
                Step::Frame(frame) => {
                    gathered.records.extend(self.understood(frame));
                    if gathered.records.len() >= BATCH {
                        gathered.upto = frame.end;
                        return Ok(gathered);
                    }
                }
                Step::Damaged(Damaged { position, bytes }) => {
                    tracing::error!(position, bytes, "the journal is damaged here; run doctor");
                }
                Step::End => return Ok(gathered),
            }
        }
    }

    fn understood(&self, frame: Framed<'_>) -> Option<Entry> {
        let position = frame.position;
        if position < self.safe {
            return None;
        }
        match RecordHead::decode(frame.kind, frame.version, frame.payload) {
            Ok(head) => Some((position, head)),
            Err(fault) => {
                tracing::error!(position, %fault, "a record of the journal cannot be understood");
                None
            }
        }
    }

    /// Writes the key files of segments that are full. What fails is made anew at the next open.
    fn write_keys(&self) {
        for (segment, keys) in self.shared.sealed.take() {
            self.write_key_file(segment, keys);
        }
    }

    fn write_key_file(&self, segment: Segment, keys: SegmentKeys) {
        let dir = self.shared.reader.dir();
        let expires = keys.expires();
        if let Err(fault) = keys.write(dir, &self.shared.secret, segment) {
            tracing::warn!(%fault, "a file of dedupe keys could not be written; the next start takes longer");
        }
        self.shared.keyed.put(Loaded { segment, expires });
    }
}

fn failed(fault: &ReadError) -> StoreError {
    StoreError::Failed(fault.to_string())
}
