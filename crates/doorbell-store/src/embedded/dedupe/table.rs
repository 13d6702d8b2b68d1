//! The table of fingerprints: from the hash of a key to the position of the record that had it last.

use super::KeyHash;
use crate::embedded::journal::frame::ALIGN;

/// How many shards; the first eight bits of a hash choose.
pub(crate) const SHARDS: usize = 256;
/// A shard grows when more than this many of 100 slots are taken, and then so that few more than `ROOMY` are.
const CROWDED: usize = 88;
const ROOMY: usize = 77;
/// A shard shrinks when fewer than this many of 100 slots are taken.
const SPARSE: usize = 40;
/// Positions are kept modulo this, in units of [`ALIGN`], plus one: they are told apart as long as fewer than eight
/// tebibytes of journal are kept.
const POSITIONS: u64 = (1 << 40) - 1;

/// 40 bits of position (zero: empty) and 56 bits of hash.
type Slot = [u32; 3];

/// All shards.
#[derive(Debug)]
pub(crate) struct Table(Vec<Shard>);

/// One open-addressing table with linear probing.
#[derive(Debug, Default)]
pub(super) struct Shard {
    slots: Vec<Slot>,
    taken: usize,
}

impl Table {
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self((0..SHARDS).map(|_| Shard::default()).collect())
    }

    pub(super) fn of_shards(shards: Vec<Shard>) -> Self {
        Self(shards)
    }

    /// The position of the record that had this key last; `end` is where the journal ends now.
    pub(crate) fn find(&self, hash: KeyHash, end: u64) -> Option<u64> {
        let packed = self.0.get(shard_of(hash))?.find(hash)?;
        Some(unpack(packed, end))
    }

    /// Remembers a key; returns the position it had before.
    pub(crate) fn put(&mut self, hash: KeyHash, position: u64) -> Option<u64> {
        let packed = self.0.get_mut(shard_of(hash))?.put(hash, pack(position))?;
        Some(unpack(packed, position))
    }

    /// Forgets a key, unless a record at another position has had it since.
    pub(crate) fn remove(&mut self, hash: KeyHash, position: u64) {
        if let Some(shard) = self.0.get_mut(shard_of(hash)) {
            shard.remove(hash, pack(position));
        }
    }

    /// How many keys are remembered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.taken).sum()
    }
}

pub(super) fn shard_of(hash: KeyHash) -> usize {
    (hash.0 >> 56) as usize
}

/// A position in 40 bits, never zero.
pub(super) const fn pack(position: u64) -> u64 {
    position / ALIGN % POSITIONS + 1
}

/// The last position before `end` with these 40 bits.
const fn unpack(packed: u64, end: u64) -> u64 {
    let end = end / ALIGN;
    let (turn, place) = (end / POSITIONS, end % POSITIONS);
    let packed = packed - 1;
    let turn = if packed > place { turn.saturating_sub(1) } else { turn };
    (turn * POSITIONS + packed) * ALIGN
}

impl Shard {
    /// A shard with room for so many keys.
    pub(super) fn with_room(keys: usize) -> Self {
        Self { slots: vec![[0; 3]; keys * 100 / ROOMY + 8], taken: 0 }
    }

    fn find(&self, hash: KeyHash) -> Option<u64> {
        self.place(hash).ok().and_then(|at| self.slots.get(at)).map(|slot| position_of(*slot))
    }

    pub(super) fn put(&mut self, hash: KeyHash, packed: u64) -> Option<u64> {
        if (self.taken + 1) * 100 > self.slots.len() * CROWDED {
            self.resize();
        }
        let (at, before) = match self.place(hash) {
            Ok(at) => (at, self.slots.get(at).map(|slot| position_of(*slot))),
            Err(at) => {
                self.taken += 1;
                (at, None)
            }
        };
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = slot_of(hash, packed);
        }
        before
    }

    fn remove(&mut self, hash: KeyHash, packed: u64) {
        let Ok(at) = self.place(hash) else { return };
        if self.slots.get(at).is_none_or(|slot| position_of(*slot) != packed) {
            return;
        }
        self.close(at);
        self.taken -= 1;
        if self.taken * 100 < self.slots.len() * SPARSE && self.slots.len() > 64 {
            self.resize();
        }
    }

    /// Empties a slot and moves those behind it up, so that no search ends too early.
    fn close(&mut self, mut hole: usize) {
        let count = self.slots.len();
        let mut at = hole;
        loop {
            at = if at + 1 == count { 0 } else { at + 1 };
            let Some(slot) = self.slots.get(at).copied().filter(|slot| position_of(*slot) != 0)
            else {
                break;
            };
            let home = home_of(slot, count);
            let stays =
                if hole <= at { hole < home && home <= at } else { hole < home || home <= at };
            if !stays {
                if let Some(place) = self.slots.get_mut(hole) {
                    *place = slot;
                }
                hole = at;
            }
        }
        if let Some(place) = self.slots.get_mut(hole) {
            *place = [0; 3];
        }
    }

    /// Where the key is (`Ok`) or would be (`Err`). There is always an empty slot, or no slot at all.
    fn place(&self, hash: KeyHash) -> Result<usize, usize> {
        let wanted = slot_of(hash, 0);
        let count = self.slots.len();
        let mut at = home_of(wanted, count);
        while let Some(slot) = self.slots.get(at) {
            if position_of(*slot) == 0 {
                return Err(at);
            }
            if same_key(*slot, wanted) {
                return Ok(at);
            }
            at = if at + 1 == count { 0 } else { at + 1 };
        }
        Err(0)
    }

    fn resize(&mut self) {
        let old = std::mem::take(self);
        *self = Self::with_room(old.taken + 1);
        for slot in old.slots.into_iter().filter(|slot| position_of(*slot) != 0) {
            self.take(slot);
        }
    }

    /// Puts a slot in that is known not to be there.
    fn take(&mut self, slot: Slot) {
        let count = self.slots.len();
        let mut at = home_of(slot, count);
        while self.slots.get(at).is_some_and(|other| position_of(*other) != 0) {
            at = if at + 1 == count { 0 } else { at + 1 };
        }
        if let Some(place) = self.slots.get_mut(at) {
            *place = slot;
            self.taken += 1;
        }
    }
}

const fn slot_of(KeyHash(hash): KeyHash, packed: u64) -> Slot {
    let [p0, p1, p2, p3, p4, ..] = packed.to_le_bytes();
    let [h0, h1, h2, h3, h4, h5, h6, _] = hash.to_le_bytes();
    [
        u32::from_le_bytes([p0, p1, p2, p3]),
        u32::from_le_bytes([p4, h0, h1, h2]),
        u32::from_le_bytes([h3, h4, h5, h6]),
    ]
}

const fn position_of([position, mixed, _]: Slot) -> u64 {
    position as u64 | ((mixed as u64 & 0xff) << 32)
}

const fn same_key([_, mixed, high]: Slot, [_, other_mixed, other_high]: Slot) -> bool {
    high == other_high && mixed >> 8 == other_mixed >> 8
}

/// The slot where the search for a key begins; it grows with the hash, so sorted keys are put in from left to right.
const fn home_of([_, _, high]: Slot, count: usize) -> usize {
    ((high as u64 * count as u64) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn positions_are_found_again_after_many_turns() {
        let turn = POSITIONS * ALIGN;
        for position in [64, 4096, turn - ALIGN, turn, turn + ALIGN, 5 * turn + 64] {
            for ahead in [ALIGN, 1 << 30, turn - ALIGN] {
                assert_eq!(
                    unpack(pack(position), position + ahead),
                    position,
                    "{position} {ahead}"
                );
            }
        }
    }

    proptest! {
        /// Few different hashes with long runs, so that slots collide, wrap around and are closed.
        #[test]
        fn a_table_is_a_map(steps in proptest::collection::vec((any::<bool>(), 0_u64..40, 1_u64..50), 0..400)) {
            let mut table = Table::new();
            let mut model = HashMap::new();
            for (put, key, position) in steps {
                let hash = KeyHash(if key % 2 == 0 { key << 20 } else { (0xff_ffff_ffff_ffff - key) << 1 & 0xff_ffff_ffff_ffff });
                let position = position * ALIGN;
                if put {
                    prop_assert_eq!(table.put(hash, position).is_some(), model.insert(hash, position).is_some());
                } else {
                    table.remove(hash, position);
                    if model.get(&hash) == Some(&position) {
                        model.remove(&hash);
                    }
                }
                prop_assert_eq!(table.len(), model.len());
                for (hash, position) in &model {
                    prop_assert_eq!(table.find(*hash, 1 << 20), Some(*position));
                }
            }
        }
    }
}
