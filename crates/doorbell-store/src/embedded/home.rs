//! The data directory: its lock, and the small file that says which store lives there.
//!
//! `store` is a text of four lines: what it is, the id (secret: the checks of all frames begin with it), the key of the
//! dedupe hash (secret: nobody outside can aim at collisions), and a checksum. When it is gone or damaged the id is taken
//! from the journal and the key made anew; the key files of the segments are then rebuilt.

use super::journal::recover;
use super::journal::segment::StoreId;
use super::journal::write::sync_dir;
use super::open::OpenError;
use super::private;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const FIRST_LINE: &str = "doorbell store 1";

/// A data directory that nobody else has open.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) dir: PathBuf,
    pub(crate) id: StoreId,
    pub(crate) key: [u8; 16],
    /// The lock ends when this is closed.
    _lock: File,
}

impl Home {
    /// Takes the directory, makes what is missing in it.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when another process has it; [`OpenError::Io`] and those of the journal.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let journal = journal_dir(dir);
        let made = private::dir(&journal);
        made.and_then(|()| sync_dir(dir)).map_err(OpenError::at(&journal))?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(parent).map_err(OpenError::at(parent))?;
        }
        let lock = lock(dir)?;
        let path = dir.join("store");
        let written = match fs::read_to_string(&path) {
            Ok(text) => parse(&text),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => None,
            Err(fault) if fault.kind() == io::ErrorKind::InvalidData => None,
            Err(fault) => return Err(OpenError::at(&path)(fault)),
        };
        let (id, key) = match written {
            Some(found) => found,
            None => {
                let id = match recover::owner(&journal)? {
                    Some(id) => id,
                    None => StoreId(dice().map_err(OpenError::at(&path))?),
                };
                let key = dice().map_err(OpenError::at(&path))?;
                put(dir, &path, &text(id, key)).map_err(OpenError::at(&path))?;
                (id, key)
            }
        };
        Ok(Self { dir: dir.to_owned(), id, key, _lock: lock })
    }

    /// Where the segments are.
    pub(crate) fn journal(&self) -> PathBuf {
        journal_dir(&self.dir)
    }
}

pub(crate) fn journal_dir(dir: &Path) -> PathBuf {
    dir.join("journal")
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = private::options().truncate(false).open(&path);
    let file = file.map_err(OpenError::at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(dir.to_owned())),
        Err(TryLockError::Error(fault)) => Err(OpenError::at(&path)(fault)),
    }
}

/// Sixteen random bytes of the system.
fn dice() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn text(id: StoreId, key: [u8; 16]) -> String {
    let (id, key) = (u128::from_be_bytes(id.0), u128::from_be_bytes(key));
    let body = format!("{FIRST_LINE}\nid {id:032x}\nkey {key:032x}\n");
    let check = crc32c::crc32c(body.as_bytes());
    format!("{body}check {check:08x}\n")
}

fn parse(written: &str) -> Option<(StoreId, [u8; 16])> {
    let mut lines = written.lines().skip(1);
    let id = u128::from_str_radix(lines.next()?.strip_prefix("id ")?, 16).ok()?.to_be_bytes();
    let key = u128::from_str_radix(lines.next()?.strip_prefix("key ")?, 16).ok()?.to_be_bytes();
    (text(StoreId(id), key) == written).then_some((StoreId(id), key))
}

/// Writes a whole file that is either there or not, whatever happens.
fn put(dir: &Path, path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = private::file(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    sync_dir(dir)
}
