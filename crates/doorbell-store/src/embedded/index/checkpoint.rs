//! The file that says up to which position everything is safely in the partitions, and which partitions there are. When
//! it is missing or does not fit what is there, the index is built again from the journal.

use super::Error;
use crate::embedded::private;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

const NAME: &str = "checkpoint";
const HEADING: &str = "doorbell index 1";
const END: &str = "end";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Checkpoint {
    /// Records below this position need not be read again.
    pub(super) position: u64,
    /// Where the partitions begin.
    pub(super) partitions: BTreeSet<u64>,
}

impl Checkpoint {
    /// `None`: there is none.
    pub(super) fn load(dir: &Path) -> Result<Option<Self>, Error> {
        match fs::read(dir.join(NAME)) {
            Ok(bytes) => {
                let read = std::str::from_utf8(&bytes).ok().and_then(Self::parse);
                read.map(Some).ok_or(Error::Damaged("its checkpoint is no checkpoint"))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next() != Some(HEADING) {
            return None;
        }
        let position = lines.next()?.strip_prefix("position ")?.parse().ok()?;
        let mut partitions = BTreeSet::new();
        loop {
            match lines.next()? {
                END => return Some(Self { position, partitions }),
                line => partitions.insert(line.strip_prefix("partition ")?.parse().ok()?),
            };
        }
    }

    fn text(&self) -> String {
        let partitions = self.partitions.iter().map(|first| format!("partition {first}\n"));
        let partitions: String = partitions.collect();
        format!("{HEADING}\nposition {}\n{partitions}{END}\n", self.position)
    }

    /// Replaces the file, whole or not at all; it and the names of all files in the folder survive a power cut.
    pub(super) fn save(&self, dir: &Path) -> Result<(), Error> {
        let draft = dir.join("checkpoint.new");
        let mut file = private::file(&draft)?;
        file.write_all(self.text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&draft, dir.join(NAME))?;
        File::open(dir)?.sync_all()?;
        Ok(())
    }

    /// Takes the file away, so that the index is built again when it is next opened.
    pub(super) fn remove(dir: &Path) -> Result<(), Error> {
        match fs::remove_file(dir.join(NAME)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// The file of the partition that begins there.
pub(super) fn partition_file(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:016x}.db"))
}

/// Where the partitions begin whose files are there.
pub(super) fn partitions_on_disk(dir: &Path) -> Result<BTreeSet<u64>, Error> {
    let mut firsts = BTreeSet::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let first = name.to_str().and_then(|name| name.strip_suffix(".db"));
        firsts.extend(first.and_then(|first| u64::from_str_radix(first, 16).ok()));
    }
    Ok(firsts)
}

/// Removes the files of a partition.
pub(super) fn remove_partition(dir: &Path, first: u64) -> Result<(), Error> {
    let file = partition_file(dir, first);
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(suffix);
        match fs::remove_file(&name) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_whole_or_none() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Checkpoint::load(dir.path()).unwrap(), None);
        let checkpoint = Checkpoint { position: u64::MAX, partitions: [0, 17].into() };
        checkpoint.save(dir.path()).unwrap();
        assert_eq!(Checkpoint::load(dir.path()).unwrap(), Some(checkpoint.clone()));
        let text = checkpoint.text();
        for len in 0..text.len() - 1 {
            assert_eq!(Checkpoint::parse(&text[..len]), None, "{:?}", &text[..len]);
        }
        Checkpoint::remove(dir.path()).unwrap();
        Checkpoint::remove(dir.path()).unwrap();
        assert_eq!(Checkpoint::load(dir.path()).unwrap(), None);
    }
}
