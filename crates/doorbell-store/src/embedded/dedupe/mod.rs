//! Which dedupe keys were seen: fingerprints in memory, confirmed by reading the record they point at.
//!
//! A key is hashed with a secret of the store, so nobody outside can aim at collisions. The table holds 12 bytes a slot in
//! many small shards (one big table would stall for seconds when it grows); it is owned by the commit thread, which
//! decides in commit order. A sealed segment's keys stand in a file beside it, so that opening does not read the events.

mod table;
pub(crate) mod keys;
pub(crate) mod load;

pub(crate) use table::{SHARDS, Table};

use doorbell_core::event::{Event, Origin};
use doorbell_core::id::TenantId;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// The hash of a dedupe key within its source or tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct KeyHash(pub(crate) u64);

impl KeyHash {
    /// The hash of an event's dedupe key, if it has one.
    pub(crate) fn of(secret: &[u8; 16], event: &Event) -> Option<Self> {
        let key = event.dedupe_key.as_ref()?;
        Some(Self::of_parts(secret, event.origin, event.tenant, key))
    }

    /// A key counts within its source, a published one within its tenant.
    pub(crate) fn of_parts(
        secret: &[u8; 16],
        origin: Origin,
        tenant: TenantId,
        key: &[u8],
    ) -> Self {
        let mut hasher = SipHasher13::new_with_key(secret);
        match origin {
            Origin::Source(source) => {
                hasher.write_u8(1);
                hasher.write(&source.bytes());
            }
            Origin::Api => {
                hasher.write_u8(0);
                hasher.write(&tenant.bytes());
            }
        }
        hasher.write(key);
        Self(hasher.finish())
    }
}
