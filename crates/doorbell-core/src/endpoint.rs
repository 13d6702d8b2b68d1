//! Where events go: subscription, address, signing and delivery policy.

use crate::id::{EndpointId, SourceId, TenantId};
use crate::name::{EventTypePattern, Label};
use crate::secret::SecretText;
use crate::source::KeyRule;
use crate::time::Time;
use std::time::Duration;

/// An endpoint as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name; unique within the tenant.
    pub name: Label,
    /// Whether it gets anything.
    pub status: Status,
    /// Which events it gets.
    pub subscription: Subscription,
    /// Where they go.
    pub url: String,
    /// Header lines that are added to each request.
    pub headers: Vec<(String, String)>,
    /// Secrets that sign each request (Standard Webhooks); several while they are rotated.
    pub secrets: Vec<SigningSecret>,
    /// How it is delivered.
    pub policy: Policy,
    /// When it was made.
    pub created: Time,
    /// When it was last changed.
    pub updated: Time,
}

/// Whether an endpoint gets anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It gets its events.
    Enabled,
    /// Its events wait until it is enabled again.
    Paused,
    /// Its events are recorded as discarded; they can be replayed.
    Disabled {
        /// Since when.
        at: Time,
        /// Why, in words (`410 Gone on …`, `by the operator`).
        why: String,
    },
}

/// Which events an endpoint gets. Each empty list means: all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscription {
    /// From these sources. Published events come from none and are wanted when the list is empty.
    pub sources: Vec<SourceId>,
    /// Of these types.
    pub event_types: Vec<EventTypePattern>,
    /// In one of these channels.
    pub channels: Vec<String>,
    /// And only when this filter holds: its JSON text, checked when saved (see the filter module).
    pub filter: Option<String>,
}

/// A signing secret and until when it signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSecret {
    /// `whsec_…` (HMAC-SHA256, v1) or `whsk_…` (Ed25519, v1a).
    pub secret: SecretText,
    /// It signs until then; `None`: for good.
    pub expires: Option<Time>,
}

/// How an endpoint is delivered to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// One deadline over DNS, connect, TLS, write, headers and body.
    pub timeout: Duration,
    /// Deliveries in flight at once.
    pub concurrency: u32,
    /// Deliveries per time, where limited.
    pub rate: Option<Rate>,
    /// When a failed one is tried again.
    pub retry: Retry,
    /// Order by key, where asked.
    pub order: Option<Order>,
    /// A signature by another scheme, beside that of Standard Webhooks, where asked.
    pub extra_signature: Option<ExtraSignature>,
}

/// How requests are signed for a receiver that checks another scheme: GitHub's, Stripe's, HTTP Message Signatures, one of
/// its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraSignature {
    /// The provider's name in the table of `webhook-signatures`, such as `github`.
    pub provider: String,
    /// Its options, as a source has them.
    pub options: Vec<(String, String)>,
    /// The secret or private key.
    pub secret: SecretText,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(15),
            concurrency: 16,
            rate: None,
            retry: Retry::default(),
            order: None,
            extra_signature: None,
        }
    }
}

/// `count` deliveries in each `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    /// In how long.
    pub per: Duration,
}

/// When a failed delivery is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The wait before each try, the first included (usually zero). Its length is the number of tries.
    pub schedule: Vec<Duration>,
    /// Statuses that are not tried again, such as 400-404. Empty: all but 2xx are.
    pub never: Vec<(u16, u16)>,
}

impl Default for Retry {
    /// The schedule that Standard Webhooks recommends: about three days.
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        let seconds = [
            0,
            5,
            5 * MINUTE,
            30 * MINUTE,
            2 * HOUR,
            5 * HOUR,
            10 * HOUR,
            14 * HOUR,
            20 * HOUR,
            24 * HOUR,
        ];
        Self { schedule: seconds.map(Duration::from_secs).to_vec(), never: Vec::new() }
    }
}

/// Order by key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Where the key stands; a request without it shares one key with all others that lack it.
    pub key: KeyRule,
    /// What a dead event does to its key.
    pub on_dead: OnDead,
}

/// What a dead event does to the later events of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnDead {
    /// They wait until someone retries or cancels it.
    Block,
    /// They go on.
    Skip,
}
