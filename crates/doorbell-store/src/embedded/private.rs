//! How files and folders of a data directory are made: for their owner alone, since they hold bodies, headers and secrets.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// How a new file is opened for writing; what it is to be beside that is added.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(0o600);
    options
}

/// An empty file, in place of one that is there.
pub(crate) fn file(path: &Path) -> io::Result<File> {
    options().truncate(true).open(path)
}

/// An empty file, if none is there; one that is there is not even opened, for to close a database's file would end the
/// locks that this process has on it.
pub(crate) fn new_file(path: &Path) -> io::Result<Option<File>> {
    match options().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        made => made.map(Some),
    }
}

/// A folder, with those above it, unless it is there.
pub(crate) fn dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}
