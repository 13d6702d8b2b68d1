//! The journal: append-only segment files, the truth of the embedded store.
//!
//! A position is an offset in bytes over all segments that ever were. Here live frames, segments, their recovery after
//! a power cut or damage, writing, and reading back. What the records mean is not known here, nor who writes them.
//! Only plain calls (write, fdatasync, ftruncate, pread) touch the files, so that tests can make each of them fail.

pub(crate) mod frame;
pub(crate) mod segment;
pub(crate) mod space;
pub(crate) mod walk;
pub(crate) mod read;
pub(crate) mod room;
pub(crate) mod recover;
pub(crate) mod write;
