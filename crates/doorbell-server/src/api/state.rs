//! What the handlers work with.

use super::cookie::Cookie;
use super::failures::Failures;
use super::logins::{LoginCode, Logins};
use crate::admitting::Admitting;
use crate::configured::Configured;
use crate::keys::Keys;
use crate::moving::Moving;
use crate::replay::Replays;
use crate::standings::Standings;
use doorbell_core::limits;
use doorbell_core::name::Label;
use doorbell_core::time::Time;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// What a node gives to its API.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Taking events in; the store, the clock, the live feed and the metrics stand in it.
    pub admitting: Arc<Admitting>,
    /// What is configured.
    pub configured: Arc<Configured>,
    /// The keys of providers that sign with their own, as far as they are known.
    pub keys: Arc<Keys>,
    /// The replays.
    pub replays: Replays,
    /// How the deliveries of endpoints stand.
    pub standings: Standings,
    /// By whom the store may be moved.
    pub moving: Moving,
    /// The version of the program, as it is shown.
    pub version: &'static str,
    /// The address that receives; `/` and a source's name follow.
    pub ingest_url: String,
    /// The first part of the path under which sources receive.
    pub ingest_prefix: Label,
    /// SHA-256 of the root token's text: the operator's, good for everything.
    pub root_token: Option<[u8; 32]>,
    /// The login code that is printed at the start.
    pub first_login: Option<LoginCode>,
    /// The cookie of those who signed in.
    pub cookie: Cookie,
}

/// What the handlers share.
#[derive(Debug, Clone)]
pub struct ApiState(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    started: Time,
    failures: Failures,
    logins: Logins,
    room: Arc<Semaphore>,
}

/// KiB of published bodies that may be in memory at once; an eighth of what the receiving side may have.
const ROOM_KIB: usize = (limits::BODIES_IN_FLIGHT / 8) >> 10;

impl ApiState {
    /// The state of a node that starts now.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let (started, logins) = (parts.admitting.clock.now(), Logins::default());
        if let Some(code) = &parts.first_login {
            logins.add(code.hash(), None, started);
        }
        Self(Arc::new(Inner {
            started,
            failures: Failures::default(),
            logins,
            room: Arc::new(Semaphore::new(ROOM_KIB)),
            parts,
        }))
    }

    /// 256 random bits.
    pub(super) fn random(&self) -> [u8; 32] {
        let dice = || self.admitting.clock.dice().to_be_bytes();
        let mut bits = [0; 32];
        bits.copy_from_slice([dice(), dice()].as_flattened());
        bits
    }

    /// When the node started.
    pub(super) fn started(&self) -> Time {
        self.0.started
    }

    /// Login codes that were given out.
    pub(super) fn logins(&self) -> &Logins {
        &self.0.logins
    }

    /// Requests with bad tokens.
    pub(super) fn failures(&self) -> &Failures {
        &self.0.failures
    }

    /// KiB of published bodies that may still come into memory.
    pub(super) fn room(&self) -> &Arc<Semaphore> {
        &self.0.room
    }
}

impl Deref for ApiState {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0.parts
    }
}
