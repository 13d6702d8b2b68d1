//! A stored event that got new deliveries (a replay).

use super::DecodeError;
use super::bytes::{Reader, put_time, put_u64};
use super::delivery::{put_deliveries, read_deliveries};
use doorbell_core::delivery::Delivery;
use doorbell_core::id::{EventId, TenantId};
use doorbell_core::time::Time;

/// A stored event got new deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redelivered {
    /// The position of the event's record.
    pub event_at: u64,
    /// When.
    pub at: Time,
    /// Whose.
    pub tenant: TenantId,
    /// Which event.
    pub event: EventId,
    /// The new deliveries, as they start; their tenant and event are those above.
    pub deliveries: Vec<Delivery>,
}

impl Redelivered {
    /// Appends the payload to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(64 + 64 * self.deliveries.len());
        put_u64(out, self.event_at);
        put_time(out, self.at);
        out.extend_from_slice(&self.tenant.bytes());
        out.extend_from_slice(&self.event.bytes());
        put_deliveries(out, &self.deliveries);
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let event_at = from.u64()?;
        let at = from.time()?;
        let tenant = TenantId::from_bytes(from.array()?);
        let event = EventId::from_bytes(from.array()?);
        Ok(Self { event_at, at, tenant, event, deliveries: read_deliveries(from, tenant, event)? })
    }
}
