//! Looks over a data directory that no process has open, and says what is damaged. It changes nothing.

use super::home::{Home, journal_dir};
use super::journal::read::Reader;
use super::journal::recover::{self, Damage, DamageKind, Place};
use super::journal::segment::{self, Segment, Segments};
use super::journal::space;
use super::open::OpenError;
use bytes::Bytes;
use doorbell_wire::stored::Record;
use std::path::Path;
use std::sync::Arc;

/// What was found in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Inspected {
    /// Segments.
    pub segments: u64,
    /// Whole records.
    pub records: u64,
    /// Bytes.
    pub bytes: u64,
    /// Bytes that are free on its disk.
    pub free_bytes: u64,
    /// Everything that is not what it should be, oldest first. [`DamageKind::Torn`] at the very end is what a crash
    /// leaves behind; the next start covers it.
    pub damage: Vec<Damage>,
}

/// Reads the whole journal of the store in `dir` and checks every byte. It takes about a second for each gigabyte.
///
/// # Errors
/// [`OpenError::Locked`] while the store is open; otherwise when something cannot be read.
pub fn inspect(dir: &Path) -> Result<Inspected, OpenError> {
    let journal = journal_dir(dir);
    std::fs::read_dir(&journal).map_err(OpenError::at(&journal))?;
    let home = Home::take(dir)?;
    let found = recover::find(&journal, home.id)?;
    let free_bytes = space::free(&journal).map_err(OpenError::at(&journal))?;
    let reader = Reader::new(journal, home.id, Arc::new(Segments::new(found.segments.clone())));
    let mut inspected = Inspected { damage: found.damage, free_bytes, ..Inspected::default() };
    let sealed = found.segments.len().saturating_sub(1);
    for (at, segment) in found.segments.into_iter().enumerate() {
        let place = if at < sealed { Place::Inside } else { Place::AtTheEnd };
        look_through(&reader, segment, (place, found.filled), &mut inspected)?;
        inspected.segments += 1;
        inspected.bytes += segment.end - segment.base;
    }
    inspected.damage.sort_by(|a, b| (&a.segment, a.offset).cmp(&(&b.segment, b.offset)));
    inspected.damage.dedup_by(|next, before| grows(before, next));
    Ok(inspected)
}

fn look_through(
    reader: &Reader,
    segment: Segment,
    (place, filled): (Place, u64),
    inspected: &mut Inspected,
) -> Result<(), OpenError> {
    let path = segment::path(reader.dir(), segment.base);
    let mut unreadable = Vec::new();
    let mut records = 0;
    let mut walk = reader.walk(segment, segment.base)?;
    if place == Place::AtTheEnd {
        walk = walk.into_zeros(filled);
    }
    let scan = recover::scan(walk, segment, &mut |frame| {
        records += 1;
        let payload = Bytes::copy_from_slice(frame.payload);
        if Record::decode(frame.kind, frame.version, &payload).is_err() {
            unreadable.push(Damage {
                segment: path.clone(),
                offset: frame.position - segment.base,
                bytes: frame.end - frame.position,
                kind: DamageKind::Unreadable,
            });
        }
    });
    let scan = scan.map_err(OpenError::at(&path))?;
    inspected.records += records;
    inspected.damage.extend(scan.told(&path, segment, place));
    inspected.damage.extend(unreadable);
    Ok(())
}

/// Whether `next` begins where `before` ends and is of the same kind: then they are one.
fn grows(before: &mut Damage, next: &Damage) -> bool {
    let touches = before.segment == next.segment
        && before.offset + before.bytes == next.offset
        && before.kind == next.kind;
    if touches {
        before.bytes += next.bytes;
    }
    touches
}
