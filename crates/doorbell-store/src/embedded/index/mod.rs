//! The index: a view of the journal in `SQLite`, for lists, filters, counts and the scheduler's backlog.
//!
//! It may be deleted at any time: it is built again from the journal. It is fed in batches, after the journal is
//! durable, and is itself only made durable now and then ([`Index::checkpoint`]); after a crash the journal is read
//! again from the checkpoint, and what a partition has already is left out. It is split into one file for about a
//! million events, so that it does not slow down as it grows, and so that to forget is to remove a file. Only heads of
//! records come in here: headers, bodies and the journal itself are none of the index's affair, nor is what is lent out.

mod error;

mod checkpoint;
mod codes;
mod meta;
mod place;
mod schema;

mod dictionary;
mod due;
mod merge;
mod choice;
mod partition;
mod parts;
mod readers;
mod rows;

mod lists;

mod claimable;
pub(super) mod keys;
mod claims;
mod questions;

mod inspect;

pub use claimable::{Claimable, Waiting};
pub use due::{Lent, Taken};
pub use error::Error;
pub use inspect::{IndexDamage, inspect};
pub use partition::Entry;
pub use parts::Sizes;
pub use questions::{Counts, FoundDelivery, FoundEvent};

use crate::embedded::private;
use checkpoint::{Checkpoint, partition_file};
use keys::Rounds;
use meta::Meta;
use partition::Partition;
use parts::{Part, Parts};
use readers::Readers;
use rusqlite::Connection;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

/// Partitions that the writer keeps open.
const OPEN: usize = 8;

/// The index of one embedded store. All methods block; any number of threads may ask while one writes.
#[derive(Debug)]
pub struct Index {
    dir: PathBuf,
    sizes: Sizes,
    writer: Mutex<Writer>,
    parts: RwLock<Parts>,
    readers: Readers,
    /// Where the claims by key are on their way round.
    rounds: Rounds,
}

#[derive(Debug)]
struct Writer {
    /// The last used at the end.
    open: Vec<Partition>,
    /// Changed since the last checkpoint.
    dirty: BTreeSet<u64>,
    /// Everything below is in the partitions.
    applied_to: u64,
    /// Everything below is safely in the partitions.
    checkpoint: u64,
}

impl Index {
    /// Opens the index in this folder, which is made if need be. What cannot be used is removed, and the index begins
    /// anew: see [`Index::replay_from`].
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Sqlite`] when the files cannot be read.
    pub fn open(dir: &Path, sizes: Sizes) -> Result<Self, Error> {
        private::dir(dir)?;
        let (checkpoint, parts) = match Self::load(dir) {
            Ok(Some(loaded)) => loaded,
            Ok(None) => {
                tracing::info!("the index is behind: it is built from the journal");
                Self::discard(dir)?;
                (0, Parts::new())
            }
            Err(error) if error.wants_rebuild() => {
                tracing::warn!(%error, "the index is built again from the journal");
                Self::discard(dir)?;
                (0, Parts::new())
            }
            Err(error) => return Err(error),
        };
        let (open, dirty) = (Vec::new(), parts.keys().copied().collect());
        let writer = Writer { open, dirty, applied_to: checkpoint, checkpoint };
        Ok(Self {
            dir: dir.to_owned(),
            sizes,
            writer: Mutex::new(writer),
            parts: RwLock::new(parts),
            readers: Readers::new(dir.to_owned()),
            rounds: Rounds::default(),
        })
    }

    /// `None`: there are partitions and no checkpoint, as before the first one. What of them is safe is not known.
    fn load(dir: &Path) -> Result<Option<(u64, Parts)>, Error> {
        let on_disk = checkpoint::partitions_on_disk(dir)?;
        let Some(checkpoint) = Checkpoint::load(dir)? else {
            return Ok(on_disk.is_empty().then(|| (0, Parts::new())));
        };
        if !checkpoint.partitions.is_subset(&on_disk) {
            return Err(Error::Damaged("a partition is missing"));
        }
        let mut parts = Parts::new();
        for first in on_disk {
            let db = schema::open_writer(&partition_file(dir, first))?;
            parts.insert(first, Part { first, meta: Meta::load(&db)? });
        }
        Ok(Some((checkpoint.position, parts)))
    }

    /// Removes all files of an index that is not open; the next one begins anew.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn discard(dir: &Path) -> Result<(), Error> {
        Checkpoint::remove(dir)?;
        for first in checkpoint::partitions_on_disk(dir)? {
            checkpoint::remove_partition(dir, first)?;
        }
        Ok(())
    }

    /// Records from this position on may be missing: bring them in, in order, before anything is asked. To bring in
    /// what is there already changes nothing.
    #[must_use]
    pub fn replay_from(&self) -> u64 {
        lock(&self.writer).checkpoint
    }

    /// Records below this position were brought in since the index was opened (or were safe before).
    #[must_use]
    pub fn applied_to(&self) -> u64 {
        lock(&self.writer).applied_to
    }

    /// The end of what any partition has. Beyond the end of the journal it means that the journal has lost records since:
    /// then the index must be discarded.
    #[must_use]
    pub fn knows_upto(&self) -> u64 {
        self.parts().values().map(|part| part.meta.applied).max().unwrap_or(0)
    }

    /// Brings in the next records of the journal, in order: all that stand below position `upto`. What follows sees them.
    ///
    /// # Errors
    /// [`Error::Sqlite`], [`Error::Io`]: some partitions may have theirs; bring the same batch in again.
    pub fn apply(&self, entries: &[Entry], upto: u64) -> Result<(), Error> {
        let mut writer = lock(&self.writer);
        let work = parts::route(&self.parts(), self.sizes, entries);
        for (first, entries) in work {
            self.change(&mut writer, first, |partition| partition.apply(&entries, upto))?;
        }
        writer.applied_to = writer.applied_to.max(upto);
        drop(writer);
        self.rounds.changed(entries);
        Ok(())
    }

    /// Changes one partition and tells everyone what it holds now.
    fn change(
        &self,
        writer: &mut Writer,
        first: u64,
        how: impl FnOnce(&mut Partition) -> Result<Meta, Error>,
    ) -> Result<(), Error> {
        let mut partition = writer.take(&self.dir, first)?;
        writer.dirty.insert(first);
        // After an error the partition is dropped, and opened anew next time.
        let meta = how(&mut partition).inspect_err(|error| self.despair(error))?;
        writer.keep(partition);
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        parts.insert(first, Part { first, meta });
        drop(parts);
        Ok(())
    }

    /// Makes what was brought in survive a power cut, and returns up to which position it does. Call it now and then:
    /// after a crash the journal is read again from there.
    ///
    /// # Errors
    /// [`Error::Sqlite`], [`Error::Io`]: nothing is lost; try again later.
    pub fn checkpoint(&self) -> Result<u64, Error> {
        let mut writer = lock(&self.writer);
        for first in writer.dirty.clone() {
            let partition = writer.take(&self.dir, first)?;
            let done = partition.checkpoint()?;
            writer.keep(partition);
            if done {
                writer.dirty.remove(&first);
            }
        }
        if writer.dirty.is_empty() && writer.checkpoint < writer.applied_to {
            self.save_checkpoint(writer.applied_to)?;
            writer.checkpoint = writer.applied_to;
        }
        Ok(writer.checkpoint)
    }

    fn save_checkpoint(&self, position: u64) -> Result<(), Error> {
        let partitions = self.parts().keys().copied().collect();
        Checkpoint { position, partitions }.save(&self.dir)
    }

    /// Forgets all events below this position, and returns how many they were. Partitions with nothing else are removed.
    /// Nothing of it may wait: see [`Index::oldest_waiting_position`].
    ///
    /// # Errors
    /// [`Error::Sqlite`], [`Error::Io`]: part of it may be forgotten; try again later.
    pub fn forget(&self, before: u64) -> Result<u64, Error> {
        let mut writer = lock(&self.writer);
        let mut forgotten = 0;
        self.rounds.restart();
        for part in self.parts_where(|part| part.first < before) {
            let floor = i64::try_from(before - part.first).unwrap_or(i64::MAX);
            if part.meta.last < floor {
                forgotten += part.meta.events - part.meta.forgotten;
                self.remove(&mut writer, part.first)?;
            } else if part.meta.floor < floor {
                self.change(&mut writer, part.first, |partition| {
                    let meta = partition.forget(floor)?;
                    forgotten += meta.forgotten - part.meta.forgotten;
                    Ok(meta)
                })?;
            }
        }
        Ok(forgotten.cast_unsigned())
    }

    fn remove(&self, writer: &mut Writer, first: u64) -> Result<(), Error> {
        writer.open.retain(|partition| partition.first() != first);
        writer.dirty.remove(&first);
        self.parts.write().unwrap_or_else(PoisonError::into_inner).remove(&first);
        self.readers.close(first);
        self.save_checkpoint(writer.checkpoint)?;
        checkpoint::remove_partition(&self.dir, first)
    }

    fn parts(&self) -> Parts {
        self.parts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The partitions of which this holds, the oldest first.
    fn parts_where(&self, holds: impl Fn(&Part) -> bool) -> Vec<Part> {
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        parts.values().filter(|part| holds(part)).copied().collect()
    }

    /// Asks a partition; `None` when it was forgotten meanwhile.
    fn ask<T>(
        &self,
        part: &Part,
        question: impl FnOnce(&Connection) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        match self.readers.read(part.first, question) {
            Ok(answer) => Ok(Some(answer)),
            Err(_) if !self.parts().contains_key(&part.first) => Ok(None),
            Err(error) => {
                self.despair(&error);
                Err(error)
            }
        }
    }

    /// When the files are damaged, sees to it that the index is built again at the next start.
    fn despair(&self, error: &Error) {
        if error.wants_rebuild() {
            let removed = Checkpoint::remove(&self.dir).is_ok();
            tracing::error!(%error, removed, "the index is damaged; it is built again at the next start");
        }
    }
}

impl Writer {
    /// Takes a partition out of those that are open, or opens it.
    fn take(&mut self, dir: &Path, first: u64) -> Result<Partition, Error> {
        match self.open.iter().position(|partition| partition.first() == first) {
            Some(at) => Ok(self.open.remove(at)),
            None => {
                // When a new one begins little is written to those before: what they have cached would never be needed again.
                if self.open.iter().all(|partition| partition.first() < first) {
                    self.open.iter().for_each(Partition::rest);
                }
                Partition::open(&partition_file(dir, first), first)
            }
        }
    }

    fn keep(&mut self, partition: Partition) {
        self.open.push(partition);
        if self.open.len() > OPEN {
            self.open.remove(0);
        }
    }
}

/// A panic elsewhere leaves nothing half done that matters: partitions change in transactions.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
