//! Deliveries and their attempts.

use super::http::{BodyOut, HeaderOut, header_lines};
use super::redact::{Veil, View};
use super::standing::WaitsFor;
use super::text::Moment;
use doorbell_core::attempt::{self, Attempt, Ending, Outcome, Timings};
use doorbell_core::credentials::Credentials;
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::directory::Directory;
use doorbell_core::endpoint::{Endpoint, Status};
use doorbell_core::explain;
use doorbell_core::name::EventType;
use doorbell_core::standing::{self, Standing};
use doorbell_core::time::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Due now; it waits for its turn.
    Pending,
    /// Due later: a retry, or a delay that was asked for.
    Scheduled,
    /// Being tried at this moment.
    InFlight,
    /// It waits because its endpoint is paused.
    Paused,
    /// The endpoint took it.
    Delivered,
    /// Given up: a dead letter. It can be retried and replayed.
    Failed,
    /// Not to be tried, on purpose. It can be replayed.
    Discarded,
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryOut {
    /// Its id.
    pub id: String,
    /// What is delivered.
    pub event: String,
    /// The event's type.
    pub event_type: Option<String>,
    /// When the event was received.
    pub at: Moment,
    /// The id of the endpoint to which it goes.
    pub endpoint: String,
    /// The endpoint's name; `null` when the endpoint was removed.
    pub endpoint_name: Option<String>,
    /// Whether the endpoint was removed: its name is not known any more.
    #[serde(default)]
    pub endpoint_removed: bool,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it is due, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Moment>,
    /// For what it waits, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<WaitsFor>,
    /// Until when it waits for that, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_until: Option<Moment>,
    /// Why it waits, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_because: Option<String>,
    /// When it was delivered, failed or discarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_at: Option<Moment>,
    /// Why it was discarded: `endpoint_disabled`, `endpoint_deleted`, `filtered` or `cancelled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discarded_because: Option<String>,
    /// Whether later deliveries of its order key wait until it is retried or cancelled.
    pub holds_key: bool,
    /// Tries so far, those that someone asked for included.
    pub attempts: u32,
    /// The HTTP status of the last try, if one was answered.
    pub last_status: Option<u16>,
    /// The kind of failure of the last try, from a fixed list (`connection_refused`, `timeout_response`, `server_error`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// The replay that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
    /// When it was last settled.
    pub updated_at: Option<Moment>,
}

/// What a list says of a delivery beside the delivery itself, whatever store it comes from.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// Whether it is lent out just now.
    pub in_flight: bool,
    /// Its endpoint, unless that is gone.
    pub endpoint: Option<&'a Endpoint>,
    /// How the deliveries of its endpoint stand, if dispatch told.
    pub standing: Option<&'a Standing>,
    /// Its event's type.
    pub event_type: Option<&'a EventType>,
    /// When its event was received.
    pub at: Time,
    /// When it was last settled.
    pub updated: Option<Time>,
    /// What came of the last attempt.
    pub last: Option<Ending>,
}

impl DeliveryOut {
    /// A delivery as it is shown at `now`.
    #[must_use]
    pub fn of(delivery: &Delivery, beside: Beside<'_>, directory: &Directory, now: Time) -> Self {
        let (due_at, settled_at, discarded_because) = match delivery.state {
            State::Waiting { due } => (Some(due), None, None),
            State::Delivered { at } | State::Failed { at, .. } => (None, Some(at), None),
            State::Discarded { at, why } => (None, Some(at), Some(why.word().to_owned())),
        };
        let waits = beside
            .endpoint
            .filter(|_| !beside.in_flight)
            .and_then(|endpoint| standing::wait(delivery, endpoint, beside.standing, now));
        let name = directory.endpoint_name(delivery.endpoint);
        Self {
            id: delivery.id.to_string(),
            event: delivery.event.to_string(),
            event_type: beside.event_type.map(ToString::to_string),
            at: Moment(beside.at),
            endpoint: delivery.endpoint.to_string(),
            endpoint_removed: name.is_none(),
            endpoint_name: name.map(ToString::to_string),
            state: state(delivery.state, beside, now),
            due_at: due_at.map(Moment),
            waits_for: waits.as_ref().map(|waits| WaitsFor::from(waits.what)),
            waits_until: waits.as_ref().and_then(|waits| waits.until).map(Moment),
            waits_because: waits.map(|waits| waits.because),
            settled_at: settled_at.map(Moment),
            discarded_because,
            holds_key: matches!(delivery.state, State::Failed { holds_key: true, .. }),
            attempts: delivery.attempts,
            last_status: beside.last.and_then(Ending::status),
            last_error: beside.last.and_then(Ending::class).map(|class| class.word().to_owned()),
            replay: delivery.replay.map(|id| id.to_string()),
            updated_at: beside.updated.map(Moment),
        }
    }
}

fn state(state: State, beside: Beside<'_>, now: Time) -> DeliveryState {
    let paused = beside.endpoint.is_some_and(|endpoint| endpoint.status == Status::Paused);
    match state {
        State::Waiting { .. } if beside.in_flight => DeliveryState::InFlight,
        State::Waiting { .. } if paused => DeliveryState::Paused,
        State::Waiting { due } if due > now => DeliveryState::Scheduled,
        State::Waiting { .. } => DeliveryState::Pending,
        State::Delivered { .. } => DeliveryState::Delivered,
        State::Failed { .. } => DeliveryState::Failed,
        State::Discarded { .. } => DeliveryState::Discarded,
    }
}

/// Which deliveries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeliveryQuery {
    /// Of this event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// To this endpoint (name or id).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// In this state: `waiting` (pending, scheduled, in flight or paused), `delivered`, `failed` or `discarded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Made by this replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<String>,
    /// Whose event was received at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
    /// Whose event was received before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Moment>,
    /// At most so many items, 1 to 1000; 50 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One try at a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptOut {
    /// Its id.
    pub id: String,
    /// From 1.
    pub number: u32,
    /// When it began.
    pub at: Moment,
    /// Why it was made.
    pub trigger: TriggerWord,
    /// The address that was connected to.
    pub address: Option<String>,
    /// How long its parts took.
    pub timings: TimingsOut,
    /// Whether the endpoint took it (2xx).
    pub succeeded: bool,
    /// The response, where one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseOut>,
    /// The kind of failure, from a fixed list (`connection_refused`, `timeout_response`, `server_error`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What the system said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_detail: Option<String>,
    /// What happened, in a sentence, and what to do about it.
    pub explanation: String,
}

/// Why a try was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TriggerWord {
    /// The first try.
    Initial,
    /// A retry by policy.
    Automatic,
    /// Someone asked for this one delivery to be tried.
    Manual,
    /// Part of a replay.
    Replay,
}

impl From<attempt::Trigger> for TriggerWord {
    fn from(trigger: attempt::Trigger) -> Self {
        match trigger {
            attempt::Trigger::Initial => Self::Initial,
            attempt::Trigger::Automatic => Self::Automatic,
            attempt::Trigger::Manual => Self::Manual,
            attempt::Trigger::Replay => Self::Replay,
        }
    }
}

/// How long the parts of an exchange took, in milliseconds; a part that was not reached, or not needed, is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimingsOut {
    /// Looking up the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_ms: Option<f64>,
    /// Opening the TCP connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<f64>,
    /// The TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ms: Option<f64>,
    /// From the request's first byte sent to the response's first byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_ms: Option<f64>,
    /// From beginning to end.
    pub total_ms: f64,
}

/// To the microsecond.
fn ms(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl From<Timings> for TimingsOut {
    fn from(timings: Timings) -> Self {
        Self {
            dns_ms: timings.dns.map(ms),
            connect_ms: timings.connect.map(ms),
            tls_ms: timings.tls.map(ms),
            first_byte_ms: timings.first_byte.map(ms),
            total_ms: ms(timings.total),
        }
    }
}

/// A response, cut to what is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResponseOut {
    /// The HTTP status.
    pub status: u16,
    /// The header lines that are kept.
    pub headers: Vec<HeaderOut>,
    /// The body's beginning.
    pub body: BodyOut,
}

impl ResponseOut {
    fn of(answer: &attempt::Answer, view: View) -> Self {
        let mut body = BodyOut::of(&answer.body, answer.headers.text("content-type"));
        body.truncated |= answer.truncated;
        Self {
            status: answer.status,
            headers: header_lines(&answer.headers, Veil::of(view, &Credentials::NONE)),
            body,
        }
    }
}

impl AttemptOut {
    /// An attempt as it is shown.
    #[must_use]
    pub fn of(attempt: &Attempt, view: View) -> Self {
        let class = attempt.outcome.class();
        let (response, error_detail) = match &attempt.outcome {
            Outcome::Answered(answer) => (Some(ResponseOut::of(answer, view)), None),
            Outcome::Confirmed => (None, None),
            Outcome::Failed(fault) => (None, Some(fault.detail.clone())),
        };
        Self {
            id: attempt.id.to_string(),
            number: attempt.number,
            at: Moment(attempt.at),
            trigger: TriggerWord::from(attempt.trigger),
            address: attempt.address.map(|address| address.to_string()),
            timings: TimingsOut::from(attempt.timings),
            succeeded: class.is_none(),
            response,
            error: class.map(|class| class.word().to_owned()),
            error_detail,
            explanation: explain::attempt(attempt),
        }
    }
}

/// All attempts of a delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptList {
    /// The attempts, oldest first.
    pub data: Vec<AttemptOut>,
}
