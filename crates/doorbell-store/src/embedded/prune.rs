//! Retention: forgets the oldest segments, whole, and never one with or behind a delivery that waits.
//!
//! Segments go in their order: attempts and changes of a kept event are then always kept with it, so an index that is
//! built again never takes something for waiting that was delivered.

use super::dedupe::SHARDS;
use super::dedupe::keys::KeyFile;
use super::dedupe::load::Loaded;
use super::engine::sealed;
use super::item::{Item, Work};
use super::journal::read::ReadError;
use super::journal::segment::{self, Segment};
use super::journal::walk::Step;
use super::journal::write::sync_dir;
use super::parts::Parts;
use super::queue::Urgency;
use crate::store::{Pruned, Retention, StoreError};
use doorbell_core::time::Time;
use doorbell_wire::stored::RecordHead;
use std::fs;
use std::io;
use std::path::Path;

/// Segments that one call forgets at most.
const MOST: usize = 16;
/// Keys that are forgotten in one go, so that nobody waits long for the commit thread.
const KEYS: usize = 2048;

/// Forgets what retention allows, and the dedupe keys that have expired.
///
/// # Errors
/// Those of reading and writing; what was forgotten stays forgotten.
pub(super) fn prune(parts: &Parts, now: Time, retention: Retention) -> Result<Pruned, StoreError> {
    forget_expired_keys(parts, now)?;
    let mut pruned = Pruned::default();
    let all = parts.engine.shared.reader.segments().all();
    let waiting = parts.index.oldest_waiting_position()?.unwrap_or(u64::MAX);
    let mut bytes: u64 = all.iter().map(|segment| segment.end - segment.base).sum();
    for (segment, next) in sealed(&all).iter().zip(all.iter().skip(1)).take(MOST) {
        let too_big = retention.bytes.is_some_and(|most| bytes > most);
        let goes = segment.end <= waiting && (too_big || is_too_old(parts, *next, now, retention)?);
        if !goes {
            break;
        }
        let length = segment.end - segment.base;
        pruned.events += forget(parts, *segment)?;
        pruned.bytes += length;
        bytes -= length;
    }
    Ok(pruned)
}

/// Whether everything before this segment is older than is kept: its first event tells.
fn is_too_old(
    parts: &Parts,
    next: Segment,
    now: Time,
    retention: Retention,
) -> Result<bool, StoreError> {
    let Some(age) = retention.age else { return Ok(false) };
    let first = first_event(parts, next).map_err(|fault| failed(&fault))?;
    Ok(first.is_some_and(|at| at.after(age) < now))
}

/// When the first event of a segment was received.
fn first_event(parts: &Parts, segment: Segment) -> Result<Option<Time>, ReadError> {
    let mut walk = parts.engine.shared.reader.walk(segment, segment.base)?;
    loop {
        match walk.step()? {
            Step::Frame(frame) => {
                let head = RecordHead::decode(frame.kind, frame.version, frame.payload);
                if let Ok(RecordHead::Received(head)) = head {
                    return Ok(Some(head.at));
                }
            }
            Step::Damaged(_) => {}
            Step::End => return Ok(None),
        }
    }
}

/// The index first: what it does not know any more nobody asks for. Then the keys, then the file.
fn forget(parts: &Parts, segment: Segment) -> Result<u64, StoreError> {
    let events = parts.index.forget(segment.end)?;
    forget_keys(parts, segment)?;
    let shared = &parts.engine.shared;
    shared.reader.segments().remove(segment.base);
    shared.reader.forget(segment.base);
    remove(shared.reader.dir(), segment.base)
        .map_err(|fault| StoreError::Failed(format!("a segment cannot be removed: {fault}")))?;
    Ok(events)
}

fn remove(dir: &Path, base: u64) -> io::Result<()> {
    for path in [segment::keys_path(dir, base), segment::path(dir, base)] {
        match fs::remove_file(path) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            Ok(()) | Err(_) => {}
        }
    }
    sync_dir(dir)
}

fn forget_expired_keys(parts: &Parts, now: Time) -> Result<(), StoreError> {
    let shared = &parts.engine.shared;
    let expired: Vec<Loaded> =
        shared.keyed.all().into_iter().filter(|loaded| loaded.expires <= now).collect();
    for Loaded { segment, expires: _ } in expired {
        forget_keys(parts, segment)?;
    }
    Ok(())
}

/// Takes a segment's keys out of the table, if they are in it.
fn forget_keys(parts: &Parts, segment: Segment) -> Result<(), StoreError> {
    let shared = &parts.engine.shared;
    if !shared.keyed.remove(segment.base) {
        return Ok(());
    }
    // Without a readable key file its keys stay until the next start: they point at nothing, and so match nothing.
    let Some(file) = KeyFile::open(shared.reader.dir(), &shared.secret, segment) else {
        return Ok(());
    };
    let mut keys = Vec::new();
    let mut buffer = Vec::new();
    for shard in 0..SHARDS {
        keys.extend(file.shard(shard, &mut buffer).into_iter().flatten());
        if keys.len() >= KEYS {
            send(parts, std::mem::take(&mut keys))?;
        }
    }
    send(parts, keys)
}

fn send(parts: &Parts, keys: Vec<(super::dedupe::KeyHash, u64)>) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    parts.engine.push(Item { frame: None, work: Work::Forget(keys) }, Urgency::Now)
}

fn failed(fault: &ReadError) -> StoreError {
    StoreError::Failed(fault.to_string())
}

/// Bytes of all files under a directory.
///
/// # Errors
/// When it cannot be read.
pub(super) fn bytes_under(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        // A file may go in this moment.
        let Ok(metadata) = entry.as_ref().map_err(|_| ()).and_then(|e| e.metadata().map_err(drop))
        else {
            continue;
        };
        if metadata.is_dir() {
            bytes += entry.map_or(Ok(0), |entry| bytes_under(&entry.path()))?;
        } else {
            bytes += metadata.len();
        }
    }
    Ok(bytes)
}
