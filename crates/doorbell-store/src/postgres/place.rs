//! The places of events: milliseconds, then 20 bits from a sequence of the database, so that no two nodes give the same.

use super::line::Open;
use super::rows::get;
use crate::store::StoreError;
use doorbell_core::time::Time;

/// Bits below the milliseconds.
const LOW: u32 = 20;
/// Numbers that come with one value of the sequence.
const BLOCK: i64 = 1024;
/// The last millisecond that fits (the year 2248).
const LAST_MS: u64 = (1 << 43) - 1;

/// The first place of this time.
pub(super) fn first_at(at: Time) -> i64 {
    i64::try_from(at.ms().min(LAST_MS)).unwrap_or(i64::MAX) << LOW
}

/// Gives places that grow.
#[derive(Debug, Default)]
pub(super) struct Places {
    last: i64,
    numbers: Vec<std::ops::Range<i64>>,
}

impl Places {
    /// Places go on behind this one.
    pub(super) fn behind(last: i64) -> Self {
        Self { last, numbers: Vec::new() }
    }

    /// What comes next comes behind this place, too.
    pub(super) fn pass(&mut self, place: i64) {
        self.last = self.last.max(place);
    }

    /// Sees to it that so many can be given.
    pub(super) async fn reserve(&mut self, wanted: usize, line: &Open) -> Result<(), StoreError> {
        let have: i64 = self.numbers.iter().map(|range| range.end - range.start).sum();
        let missing = super::rows::whole(wanted) - have;
        if missing <= 0 {
            return Ok(());
        }
        let blocks = missing.div_euclid(BLOCK) + 1;
        let sql = "SELECT nextval('places') FROM generate_series(1, $1::int8)";
        for row in line.query(sql, &[&blocks]).await? {
            let block: i64 = get(&row, 0)?;
            self.numbers.push(block * BLOCK..(block + 1) * BLOCK);
        }
        Ok(())
    }

    /// The next place, at this time or as soon after as places grow; `None` when none is reserved.
    pub(super) fn next(&mut self, at: Time) -> Option<i64> {
        let number = loop {
            let range = self.numbers.first_mut()?;
            match range.next() {
                Some(number) => break number,
                None => drop(self.numbers.remove(0)),
            }
        };
        let low = number & ((1 << LOW) - 1);
        let wanted = first_at(at).max(self.last >> LOW << LOW) | low;
        self.last = if wanted > self.last { wanted } else { wanted + (1 << LOW) };
        Some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_grow_and_tell_the_time() {
        let mut places =
            Places { last: 0, numbers: std::iter::once(1_048_570..1_048_580).collect() };
        let at = Time::from_ms(1_767_225_600_000);
        let given: Vec<i64> = std::iter::from_fn(|| places.next(at)).collect();
        assert_eq!(given.len(), 10);
        assert!(given.is_sorted_by(|a, b| a < b), "{given:?}");
        assert_eq!(given[0] >> LOW, 1_767_225_600_000);
        assert_eq!(given[9] >> LOW, 1_767_225_600_001, "the numbers began anew");
        places.numbers.push(7..8);
        let late = places.next(Time::EPOCH).unwrap();
        assert!(late > given[9], "a clock that was put back changes nothing");
        assert_eq!(places.next(at), None);
    }
}
