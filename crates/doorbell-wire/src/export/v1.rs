//! Version 1 of the lines.

use super::{Begin, Counts, LineError};
use crate::api::v1::delivery::TriggerWord;
use crate::api::v1::text::Moment;
use crate::stored_config;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use doorbell_core::attempt::{self, ErrorClass, Outcome};
use doorbell_core::delivery::{self, DiscardReason};
use doorbell_core::event::{self, Origin, Rejection, RejectionReason};
use doorbell_core::id::{EventId, TenantId};
use doorbell_core::name::EventType;
use doorbell_core::past::{Past, PastDelivery};
use doorbell_core::request::{self, Headers};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::str::FromStr;
use std::time::Duration;

pub(super) const VERSION: u32 = 1;

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    DoorbellExport(First),
    Resource(Resource),
    Event(Box<Event>),
    End(Last),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct First {
    v: u32,
    at: Moment,
    from: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resource {
    kind: String,
    document: Box<RawValue>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Last {
    resources: u64,
    events: u64,
    deliveries: u64,
    attempts: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    id: String,
    tenant: String,
    at: Moment,
    /// None: published through the API.
    source: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    dedupe_key: Option<Blob>,
    dedupe_window_ms: u64,
    channels: Vec<String>,
    fate: Fate,
    request: Request,
    deliveries: Vec<Delivery>,
}

/// Bytes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Blob {
    Text(String),
    Base64(String),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, Blob)>,
    peer: Option<String>,
    body: Blob,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Fate {
    Accepted,
    NoEndpoint,
    Filtered,
    Duplicate { of: String },
    Rejected { reason: String, detail: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Delivery {
    id: String,
    endpoint: String,
    order_key: Option<u64>,
    replay: Option<String>,
    tries: u32,
    /// Of `tries`, those that someone asked for. Files from before those were counted apart have none.
    #[serde(default, skip_serializing_if = "is_none")]
    by_hand: u32,
    state: State,
    asked: bool,
    updated: Option<Moment>,
    attempts: Vec<Attempt>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum State {
    Waiting { due: Moment },
    Delivered { at: Moment },
    Failed { at: Moment, holds_key: bool },
    Discarded { at: Moment, why: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attempt {
    id: String,
    number: u32,
    at: Moment,
    trigger: TriggerWord,
    address: Option<String>,
    timings_us: Timings,
    outcome: Ending,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Timings {
    dns: Option<u64>,
    connect: Option<u64>,
    tls: Option<u64>,
    first_byte: Option<u64>,
    total: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Ending {
    Answered { status: u16, headers: Vec<(String, Blob)>, body: Blob, truncated: bool },
    Confirmed,
    Failed { class: String, detail: String },
}

/// A checked word or an id of its text.
fn word<T: FromStr>(text: &str, what: &'static str) -> Result<T, LineError> {
    text.parse().map_err(|_| LineError::Value(what))
}

fn maybe<T: FromStr>(text: Option<&String>, what: &'static str) -> Result<Option<T>, LineError> {
    text.map(|text| word(text, what)).transpose()
}

const fn is_none(count: &u32) -> bool {
    *count == 0
}

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

impl Blob {
    fn of(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Base64(STANDARD.encode(bytes)),
        }
    }

    fn read(self) -> Result<Vec<u8>, LineError> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Base64(text) => STANDARD.decode(text).map_err(|_| LineError::Value("base64")),
        }
    }
}

fn lines(headers: &Headers) -> Vec<(String, Blob)> {
    headers.iter().map(|(name, value)| (name.to_owned(), Blob::of(value))).collect()
}

fn headers(lines: Vec<(String, Blob)>) -> Result<Headers, LineError> {
    let mut headers = Headers::with_capacity(lines.len());
    for (name, value) in lines {
        headers.push(&name, value.read()?);
    }
    Ok(headers)
}

impl Line {
    pub(super) fn of(line: &super::Line) -> Result<Self, LineError> {
        Ok(match line {
            super::Line::Begin(Begin { at, from }) => {
                Self::DoorbellExport(First { v: VERSION, at: Moment(*at), from: from.clone() })
            }
            super::Line::Resource(resource) => Self::Resource(Resource {
                kind: stored_config::Kind::of(resource).word().to_owned(),
                document: RawValue::from_string(stored_config::encode(resource)?)?,
            }),
            super::Line::Event(past) => Self::Event(Box::new(Event::of(past))),
            super::Line::End(Counts { resources, events, deliveries, attempts }) => {
                Self::End(Last {
                    resources: *resources,
                    events: *events,
                    deliveries: *deliveries,
                    attempts: *attempts,
                })
            }
        })
    }

    pub(super) fn read(self) -> Result<super::Line, LineError> {
        Ok(match self {
            Self::DoorbellExport(First { v: VERSION, at, from }) => {
                super::Line::Begin(Begin { at: at.0, from })
            }
            Self::DoorbellExport(First { v: found, .. }) => {
                return Err(LineError::Version { found });
            }
            Self::Resource(Resource { kind, document }) => {
                let kind = stored_config::Kind::of_word(&kind);
                let kind = kind.ok_or(LineError::Value("kind of resource"))?;
                super::Line::Resource(stored_config::decode(kind, document.get())?)
            }
            Self::Event(event) => super::Line::Event(event.read()?),
            Self::End(Last { resources, events, deliveries, attempts }) => {
                super::Line::End(Counts { resources, events, deliveries, attempts })
            }
        })
    }
}

impl Event {
    fn of(past: &Past) -> Self {
        let event = &past.event;
        Self {
            id: event.id.to_string(),
            tenant: event.tenant.to_string(),
            at: Moment(event.at),
            source: text(event.origin.source()),
            event_type: text(event.event_type.as_ref()),
            dedupe_key: event.dedupe_key.as_deref().map(Blob::of),
            dedupe_window_ms: u64::try_from(past.dedupe_window.as_millis()).unwrap_or(u64::MAX),
            channels: event.channels.clone(),
            fate: Fate::of(&past.fate),
            request: Request::of(&event.request),
            deliveries: past.deliveries.iter().map(Delivery::of).collect(),
        }
    }

    fn read(self) -> Result<Past, LineError> {
        let (id, tenant) = (word(&self.id, "id")?, word(&self.tenant, "tenant")?);
        let source = maybe(self.source.as_ref(), "source")?;
        let event_type = self.event_type.as_deref().map(EventType::parse).transpose();
        let key = self.dedupe_key.map(Blob::read).transpose()?;
        let event = event::Event {
            id,
            tenant,
            at: self.at.0,
            origin: source.map_or(Origin::Api, Origin::Source),
            event_type: event_type.map_err(|_| LineError::Value("type"))?,
            dedupe_key: key.map(Into::into),
            channels: self.channels,
            request: self.request.read()?,
        };
        let deliveries = self.deliveries.into_iter().map(|one| one.read(tenant, id));
        Ok(Past {
            event,
            fate: self.fate.read()?,
            dedupe_window: Duration::from_millis(self.dedupe_window_ms),
            deliveries: deliveries.collect::<Result<_, _>>()?,
        })
    }
}

impl Request {
    fn of(request: &request::Request) -> Self {
        Self {
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: lines(&request.headers),
            peer: text(request.peer),
            body: Blob::of(&request.body),
        }
    }

    fn read(self) -> Result<request::Request, LineError> {
        Ok(request::Request {
            method: self.method,
            path: self.path,
            query: self.query,
            headers: headers(self.headers)?,
            peer: maybe(self.peer.as_ref(), "peer")?,
            body: self.body.read()?.into(),
        })
    }
}

impl Fate {
    fn of(fate: &event::Fate) -> Self {
        match fate {
            event::Fate::Accepted => Self::Accepted,
            event::Fate::NoEndpoint => Self::NoEndpoint,
            event::Fate::Filtered => Self::Filtered,
            event::Fate::Duplicate { of } => Self::Duplicate { of: of.to_string() },
            event::Fate::Rejected(Rejection { reason, detail }) => {
                Self::Rejected { reason: reason.word().to_owned(), detail: detail.clone() }
            }
        }
    }

    fn read(self) -> Result<event::Fate, LineError> {
        Ok(match self {
            Self::Accepted => event::Fate::Accepted,
            Self::NoEndpoint => event::Fate::NoEndpoint,
            Self::Filtered => event::Fate::Filtered,
            Self::Duplicate { of } => event::Fate::Duplicate { of: word(&of, "duplicate")? },
            Self::Rejected { reason, detail } => {
                let known = RejectionReason::ALL.into_iter().find(|known| known.word() == reason);
                let reason = known.ok_or(LineError::Value("reason"))?;
                event::Fate::Rejected(Rejection { reason, detail })
            }
        })
    }
}

impl Delivery {
    fn of(past: &PastDelivery) -> Self {
        let delivery = &past.delivery;
        Self {
            id: delivery.id.to_string(),
            endpoint: delivery.endpoint.to_string(),
            order_key: delivery.order_key,
            replay: text(delivery.replay),
            tries: delivery.attempts,
            by_hand: delivery.by_hand,
            state: State::of(delivery.state),
            asked: delivery.asked,
            updated: past.updated.map(Moment),
            attempts: past.attempts.iter().map(Attempt::of).collect(),
        }
    }

    fn read(self, tenant: TenantId, event: EventId) -> Result<PastDelivery, LineError> {
        let delivery = delivery::Delivery {
            id: word(&self.id, "delivery's id")?,
            tenant,
            event,
            endpoint: word(&self.endpoint, "endpoint")?,
            order_key: self.order_key,
            replay: maybe(self.replay.as_ref(), "replay")?,
            attempts: self.tries,
            by_hand: self.by_hand,
            state: self.state.read()?,
            asked: self.asked,
        };
        let attempts = self.attempts.into_iter().map(Attempt::read).collect::<Result<_, _>>()?;
        Ok(PastDelivery { delivery, updated: self.updated.map(|at| at.0), attempts })
    }
}

impl State {
    fn of(state: delivery::State) -> Self {
        match state {
            delivery::State::Waiting { due } => Self::Waiting { due: Moment(due) },
            delivery::State::Delivered { at } => Self::Delivered { at: Moment(at) },
            delivery::State::Failed { at, holds_key } => Self::Failed { at: Moment(at), holds_key },
            delivery::State::Discarded { at, why } => {
                Self::Discarded { at: Moment(at), why: why.word().to_owned() }
            }
        }
    }

    fn read(self) -> Result<delivery::State, LineError> {
        Ok(match self {
            Self::Waiting { due } => delivery::State::Waiting { due: due.0 },
            Self::Delivered { at } => delivery::State::Delivered { at: at.0 },
            Self::Failed { at, holds_key } => delivery::State::Failed { at: at.0, holds_key },
            Self::Discarded { at, why } => {
                let known = DiscardReason::ALL.into_iter().find(|known| known.word() == why);
                let why = known.ok_or(LineError::Value("reason to discard"))?;
                delivery::State::Discarded { at: at.0, why }
            }
        })
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Attempt {
    fn of(attempt: &attempt::Attempt) -> Self {
        let timings = attempt.timings;
        let outcome = match &attempt.outcome {
            Outcome::Answered(answer) => Ending::Answered {
                status: answer.status,
                headers: lines(&answer.headers),
                body: Blob::of(&answer.body),
                truncated: answer.truncated,
            },
            Outcome::Confirmed => Ending::Confirmed,
            Outcome::Failed(fault) => Ending::Failed {
                class: fault.class.word().to_owned(),
                detail: fault.detail.clone(),
            },
        };
        Self {
            id: attempt.id.to_string(),
            number: attempt.number,
            at: Moment(attempt.at),
            trigger: TriggerWord::from(attempt.trigger),
            address: text(attempt.address),
            timings_us: Timings {
                dns: timings.dns.map(micros),
                connect: timings.connect.map(micros),
                tls: timings.tls.map(micros),
                first_byte: timings.first_byte.map(micros),
                total: micros(timings.total),
            },
            outcome,
        }
    }

    fn read(self) -> Result<attempt::Attempt, LineError> {
        let trigger = match self.trigger {
            TriggerWord::Initial => attempt::Trigger::Initial,
            TriggerWord::Automatic => attempt::Trigger::Automatic,
            TriggerWord::Manual => attempt::Trigger::Manual,
            TriggerWord::Replay => attempt::Trigger::Replay,
        };
        let span = |micros: Option<u64>| micros.map(Duration::from_micros);
        let Timings { dns, connect, tls, first_byte, total } = self.timings_us;
        Ok(attempt::Attempt {
            id: word(&self.id, "attempt's id")?,
            number: self.number,
            at: self.at.0,
            trigger,
            address: maybe(self.address.as_ref(), "address")?,
            timings: attempt::Timings {
                dns: span(dns),
                connect: span(connect),
                tls: span(tls),
                first_byte: span(first_byte),
                total: Duration::from_micros(total),
            },
            outcome: self.outcome.read()?,
        })
    }
}

impl Ending {
    fn read(self) -> Result<Outcome, LineError> {
        Ok(match self {
            Self::Answered { status, headers: lines, body, truncated } => {
                let (headers, body) = (headers(lines)?, body.read()?.into());
                Outcome::Answered(attempt::Answer { status, headers, body, truncated })
            }
            Self::Confirmed => Outcome::Confirmed,
            Self::Failed { class, detail } => {
                let known = ErrorClass::ALL.into_iter().find(|known| known.word() == class);
                let class = known.ok_or(LineError::Value("class of failure"))?;
                Outcome::Failed(attempt::Fault { class, detail })
            }
        })
    }
}
