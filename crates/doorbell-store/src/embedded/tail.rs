//! The indexer: a thread that reads the journal's files behind the commit thread and feeds the index, in batches. After a
//! start it begins where the index is, so that catching up after a crash is the same path as every day.

use super::dedupe::keys::SegmentKeys;
use super::journal::read::ReadError;
use super::journal::segment::Segment;
use super::journal::walk::Step;
use super::progress::Woken;
use super::shared::Shared;
use crate::store::StoreError;
use doorbell_wire::stored::RecordHead;
use std::sync::Arc;
use std::time::Duration;

/// Records that are applied in one transaction.
const BATCH: usize = 4096;
/// How long the indexer waits before it tries again what failed.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is fed from the journal.
pub(crate) trait View: Send + 'static {
    /// The position up to which it has applied the journal.
    fn applied(&self) -> u64;

    /// Applies records in the order of the journal and remembers, in the same transaction, that everything before
    /// `upto` is applied.
    ///
    /// # Errors
    /// When it could not; then nothing of it is applied, and it is tried again.
    fn apply(&mut self, records: &[(u64, RecordHead)], upto: u64) -> Result<(), StoreError>;
}

/// The indexer's thread.
#[derive(Debug)]
pub(crate) struct Tail<V> {
    pub(crate) shared: Arc<Shared>,
    pub(crate) view: V,
    pub(crate) lag: Duration,
}

/// Records that go to the index together.
#[derive(Debug, Default)]
struct Gathered {
    records: Vec<(u64, RecordHead)>,
    upto: u64,
}

impl<V: View> Tail<V> {
    /// Works until the store closes.
    pub(crate) fn run(mut self) {
        // What is already in the journal counts as new.
        self.shared.progress.grew();
        let mut lag = Duration::ZERO;
        while self.shared.progress.wait(lag) == Woken::ToWork {
            lag = self.lag;
            self.write_keys();
            while let Err(fault) = self.catch_up() {
                tracing::warn!(%fault, "the index could not be brought up to date and is tried again");
                self.shared.progress.stuck(fault);
                if self.shared.progress.pause(PATIENCE) == Woken::ToStop {
                    return;
                }
            }
        }
    }

    /// Applies everything that is durable by now.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        loop {
            let from = self.view.applied();
            let Some(segment) = self.shared.reader.segments().from(from) else {
                self.advance(self.shared.reader.segments().durable());
                return Ok(());
            };
            let gathered = self.gather(segment, from).map_err(|fault| failed(&fault))?;
            self.view.apply(&gathered.records, gathered.upto)?;
            self.advance(gathered.upto);
        }
    }

    fn advance(&self, upto: u64) {
        self.shared.leases.applied(upto);
        self.shared.progress.applied(upto);
    }

    /// Reads the next records of a segment; the damaged ones are left out.
    fn gather(&self, segment: Segment, from: u64) -> Result<Gathered, ReadError> {
        let mut gathered = Gathered { records: Vec::new(), upto: segment.end };
        let mut walk = match self.shared.reader.walk(segment, from) {
            // Retention took it in this moment.
            Err(ReadError::Missing(_)) => return Ok(gathered),
            other => other?,
        };
        loop {
            match walk.step()? {
                Step::Frame(frame) => {
                    match RecordHead::decode(frame.kind, frame.version, frame.payload) {
                        Ok(head) => gathered.records.push((frame.position, head)),
                        Err(fault) => {
                            tracing::error!(position = frame.position, %fault, "a record of the journal cannot be understood");
                        }
                    }
                    if gathered.records.len() >= BATCH {
                        gathered.upto = frame.end;
                        return Ok(gathered);
                    }
                }
                Step::Damaged(damage) => {
                    tracing::error!(
                        position = damage.position,
                        bytes = damage.bytes,
                        "the journal is damaged here; run doctor"
                    );
                }
                Step::End => return Ok(gathered),
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
        if let Err(fault) = keys.write(dir, &self.shared.secret, segment) {
            tracing::warn!(%fault, "a file of dedupe keys could not be written; the next start takes longer");
        }
    }
}

fn failed(fault: &ReadError) -> StoreError {
    StoreError::Failed(fault.to_string())
}
