//! How much room the disk has.

use std::io;
use std::path::Path;

/// Bytes that are free for us on the disk under `dir`.
pub(crate) fn free(dir: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(dir)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Whether a write failed because there was no room: then it is undone and tried again later.
pub(crate) fn is_full(fault: &io::Error) -> bool {
    matches!(
        fault.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
