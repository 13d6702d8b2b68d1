//! A copy of a store that goes on working, as a tar archive, and the way back.
//!
//! What is durable in the journal never changes, so a copy is the journal's files up to one position, and the
//! configuration as it is a moment later; the index is a view and is built again. The last entry says that the copy is
//! whole. An archive holds secrets, like the data directory that it was made from.

use super::home::journal_dir;
use super::journal::segment::{self, Segment};
use super::journal::write::sync_dir;
use super::open::OpenError;
use super::parts::Parts;
use super::private;
use super::{Inspected, inspect};
use crate::store::StoreError;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

/// The archive's last entry, and what it says.
const COMPLETE: &str = "complete";
const WHOLE: &str = "doorbell backup 1: this copy is whole\n";
/// The smallest unit of a tar archive; each entry has one more of them, the end two.
const BLOCK: u64 = 512;
/// Entries of an archive that is read, at most: of a journal of 64 TiB.
const ENTRIES: usize = 2_000_000;

/// A store as it was at one moment, ready to be written out. It keeps its files open, so retention may go on.
#[derive(Debug)]
pub struct Backup {
    small: Vec<(&'static str, Vec<u8>)>,
    files: Vec<Part>,
}

/// The first bytes of a file.
#[derive(Debug)]
struct Part {
    name: String,
    file: File,
    bytes: u64,
}

/// Takes the moment.
///
/// # Errors
/// Those of reading.
pub(super) fn take(parts: &Parts) -> Result<Backup, StoreError> {
    let dir = &parts.engine.home.dir;
    let failed =
        |fault: io::Error| StoreError::Failed(format!("the store cannot be read: {fault}"));
    let journal = journal_dir(dir);
    let mut files = Vec::new();
    for segment in parts.engine.shared.reader.segments().all() {
        files.extend(open(&journal, segment).map_err(failed)?);
    }
    // After the journal: an event whose endpoint is not in the configuration would be written off.
    let config = parts.config.snapshot(&dir.join("config.backup"))?;
    let store = fs::read(dir.join("store")).map_err(failed)?;
    Ok(Backup { small: vec![("store", store), ("config.sqlite", config)], files })
}

/// A segment as far as it is durable, and its keys where they are written down. Retention may have taken it just now.
fn open(journal: &Path, segment: Segment) -> io::Result<Vec<Part>> {
    let mut parts = Vec::with_capacity(2);
    for path in [segment::path(journal, segment.base), segment::keys_path(journal, segment.base)] {
        match File::open(&path) {
            Ok(file) => {
                let all = file.metadata()?.len();
                let is_keys = !parts.is_empty();
                let bytes = if is_keys { all } else { all.min(segment.end - segment.base) };
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                parts.push(Part { name: format!("journal/{name}"), file, bytes });
            }
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(parts),
            Err(fault) => return Err(fault),
        }
    }
    Ok(parts)
}

impl Backup {
    /// How long the archive is, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let small = self.small.iter().map(|(_, bytes)| bytes.len() as u64);
        let all = small.chain(self.files.iter().map(|part| part.bytes)).chain([WHOLE.len() as u64]);
        all.map(|bytes| BLOCK + bytes.next_multiple_of(BLOCK)).sum::<u64>() + 2 * BLOCK
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// Those of reading the files and of writing.
    pub fn write(self, to: impl Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(to);
        for (name, bytes) in &self.small {
            tar.append_data(&mut header(bytes.len() as u64), name, bytes.as_slice())?;
        }
        for Part { name, file, bytes } in self.files {
            tar.append_data(&mut header(bytes), name, file.take(bytes))?;
        }
        tar.append_data(&mut header(WHOLE.len() as u64), COMPLETE, WHOLE.as_bytes())?;
        tar.into_inner()?.flush()
    }
}

fn header(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes);
    header.set_mode(0o600);
    header
}

/// Why an archive did not become a store.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Something is there already.
    #[error("{0} is there and not empty; restore into a new folder, or move it away")]
    Occupied(PathBuf),
    /// The archive is none of ours.
    #[error("this is no backup of Doorbell: {0}")]
    Foreign(String),
    /// The archive ends too early, or cannot be read to its end.
    #[error("the backup is cut short or damaged, so it was not restored; take another one")]
    Cut,
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was restored cannot be looked over.
    #[error("what was restored cannot be read")]
    Open(#[from] OpenError),
}

/// Makes a data directory from an archive; every byte of its journal is then checked. It appears under its name when it is
/// whole and on the disk.
///
/// # Errors
/// [`RestoreError`]; nothing is then at `dir`, and what was begun is removed.
pub fn restore(from: impl Read, dir: &Path) -> Result<Inspected, RestoreError> {
    if fs::read_dir(dir).is_ok_and(|mut there| there.next().is_some()) {
        return Err(RestoreError::Occupied(dir.to_owned()));
    }
    let mut name = dir.file_name().unwrap_or_default().to_owned();
    name.push(".restoring");
    let begun = dir.with_file_name(name);
    if begun.exists() {
        fs::remove_dir_all(&begun)?;
    }
    let done = unpack(from, &begun).and_then(|()| Ok(inspect(&begun)?));
    if done.is_err() {
        drop(fs::remove_dir_all(&begun));
    }
    let inspected = done?;
    fs::rename(&begun, dir)?;
    if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        sync_dir(parent)?;
    }
    Ok(inspected)
}

fn unpack(from: impl Read, dir: &Path) -> Result<(), RestoreError> {
    let journal = journal_dir(dir);
    private::dir(&journal)?;
    let mut archive = tar::Archive::new(from);
    let mut known = false;
    for entry in archive.entries()?.take(ENTRIES) {
        let mut entry = entry.map_err(|fault| cut(known, fault))?;
        let name = entry.path().map_err(|fault| cut(known, fault))?.into_owned();
        if name == Path::new(COMPLETE) {
            let mut text = String::new();
            entry.take(BLOCK).read_to_string(&mut text).map_err(|fault| cut(known, fault))?;
            if text != WHOLE {
                if WHOLE.starts_with(&text) {
                    return Err(RestoreError::Cut);
                }
                return Err(RestoreError::Foreign("it is of another version".to_owned()));
            }
            sync_dir(&journal)?;
            sync_dir(dir)?;
            return Ok(());
        }
        if !is_ours(&name) || !entry.header().entry_type().is_file() {
            return Err(RestoreError::Foreign(format!("it holds {}", name.display())));
        }
        known = true;
        let mut file = private::file(&dir.join(&name))?;
        let expected = entry.size();
        let copied = io::copy(&mut entry, &mut file).map_err(|fault| cut(known, fault))?;
        if copied != expected {
            return Err(RestoreError::Cut);
        }
        file.sync_all()?;
    }
    Err(RestoreError::Cut)
}

/// An archive that begins like ours and cannot be read on was cut (or damaged on its way).
fn cut(begins_like_ours: bool, fault: io::Error) -> RestoreError {
    if fault.kind() == io::ErrorKind::StorageFull {
        RestoreError::Io(fault)
    } else if begins_like_ours {
        RestoreError::Cut
    } else {
        RestoreError::Foreign(fault.to_string())
    }
}

/// Only what a backup holds, so that no archive writes elsewhere.
fn is_ours(name: &Path) -> bool {
    let parts: Vec<&str> = name
        .components()
        .filter_map(|part| if let Component::Normal(part) = part { part.to_str() } else { None })
        .collect();
    if name.components().count() != parts.len() {
        return false;
    }
    match parts.as_slice() {
        ["store" | "config.sqlite"] => true,
        ["journal", file] => {
            let stem = file.strip_suffix(".seg").or_else(|| file.strip_suffix(".keys"));
            stem.is_some_and(|stem| segment::base_of(&format!("{stem}.seg")).is_some())
        }
        _ => false,
    }
}
