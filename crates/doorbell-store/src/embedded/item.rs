//! What the commit thread is given to do.

use super::dedupe::KeyHash;
use super::journal::frame::Frame;
use crate::store::{Admitted, Settled, StoreError};
use doorbell_core::delivery::Delivery;
use doorbell_core::event::Event;
use doorbell_core::id::{DeliveryId, EndpointId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Whom to tell what came of it; nobody may be listening any more.
pub(crate) type Done<T> = oneshot::Sender<Result<T, StoreError>>;

/// Something for the commit thread.
#[derive(Debug)]
pub(crate) struct Item {
    /// What is to be written, if anything.
    pub(crate) frame: Option<Frame>,
    pub(crate) work: Work,
}

/// What it is about.
#[derive(Debug)]
pub(crate) enum Work {
    /// An event comes in.
    Accept(Box<Accept>),
    /// A delivery changes.
    Settle { delivery: DeliveryId, stirs: Option<EndpointId>, done: Done<Settled> },
    /// An event gets new deliveries.
    Redeliver {
        event_at: u64,
        body_len: u64,
        lend: Vec<Delivery>,
        stirs: Vec<EndpointId>,
        done: Done<()>,
    },
    /// Nothing: it is answered when everything before it is durable.
    Flush(Done<()>),
    /// Keys expired, or went with their segment.
    Forget(Vec<(KeyHash, u64)>),
}

/// An event that comes in; its record is encoded as if it were new.
#[derive(Debug)]
pub(crate) struct Accept {
    pub(crate) event: Arc<Event>,
    pub(crate) dedupe_window: Duration,
    /// The hash of its key, when it may repeat and be repeated.
    pub(crate) key: Option<KeyHash>,
    /// Its deliveries that are lent at once.
    pub(crate) lend: Vec<Delivery>,
    /// Where the others wait.
    pub(crate) stirs: Vec<EndpointId>,
    /// `None`: nobody waits for it.
    pub(crate) done: Option<Done<Admitted>>,
}

impl Item {
    pub(crate) fn bytes(&self) -> usize {
        self.frame.as_ref().map_or(0, |frame| frame.bytes().len())
    }

    /// Whether it brings something new, which is refused when the disk is nearly full.
    pub(crate) const fn is_new(&self) -> bool {
        match self.work {
            Work::Accept(_) | Work::Redeliver { .. } => true,
            Work::Settle { .. } | Work::Flush(_) | Work::Forget(_) => false,
        }
    }
}
