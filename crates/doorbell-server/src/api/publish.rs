//! Publishing: an event is born of a request to the API. Its body is kept as it came: the bytes of `data` in a JSON
//! envelope, or any other body whole. Repeating a request with the same key makes no second event.

use super::auth::Caller;
use super::input::{Query, announced, bytes, from_json, json, media_type};
use super::refused::Refused;
use super::state::ApiState;
use crate::admitting::admission;
use axum::extract::{Request as HttpRequest, State};
use axum::response::Response;
use bytes::Bytes;
use doorbell_core::delivery::State as Stage;
use doorbell_core::endpoint::Endpoint;
use doorbell_core::event::{Event, Fate, Origin};
use doorbell_core::id::{DeliveryId, EventId, TenantId};
use doorbell_core::name::EventType;
use doorbell_core::request::{Headers, Request};
use doorbell_core::trace::{Context, TRACEPARENT, TRACESTATE};
use doorbell_core::{intake, key, limits};
use doorbell_store::{Admission, Admitted, EventDetail, NewDelivery, Store};
use doorbell_wire::api::v1::endpoint::channels;
use doorbell_wire::api::v1::event::{Fate as FateWord, PublishIn, PublishOut, PublishQuery};
use doorbell_wire::api::v1::text::Moment;
use doorbell_wire::problem::{Code, Faults};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// The header of the key that tells an event from its repetitions (draft-ietf-httpapi-idempotency-key-header).
const KEY: &str = "idempotency-key";
/// The header of the type of an event whose body is published as it is.
const TYPE: &str = "doorbell-event-type";
/// The header of the channels of such an event.
const CHANNELS: &str = "doorbell-channels";
/// The type of the event that tests an endpoint.
const PING: &str = "doorbell.ping";

/// Bytes of a `tracestate` that goes on (the standard asks for 512 at least).
const TRACESTATE_MAX: usize = 512;

/// What is published, checked.
struct Published {
    event_type: EventType,
    body: Bytes,
    content_type: Option<String>,
    channels: Vec<String>,
    key: Option<Bytes>,
    /// The lines that name the publisher's span.
    trace: Vec<(&'static str, String)>,
}

pub(super) async fn publish(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<PublishQuery>,
    request: HttpRequest,
) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let _room = room(&state, &parts.headers)?;
    let body = bytes(&parts.headers, body, limits::BODY_DEFAULT).await?;
    let mut published = read(&parts.headers, &query, body)?;
    published.trace = trace(&parts.headers);
    let event = event(&state, caller.tenant, published);
    let directory = state.configured.directory();
    if directory.route(&event).take(limits::FANOUT + 1).count() > limits::FANOUT {
        let detail = format!("An event goes to at most {} endpoints.", limits::FANOUT);
        return Err(Refused::new(Code::Fanout, detail));
    }
    let accepted = intake::publish(&directory, event, limits::DEDUPE_WINDOW);
    let admission = admission(accepted, &state.admitting.clock);
    let (event, fate) = (Arc::clone(&admission.event), admission.fate.clone());
    let deliveries = admission.deliveries.len();
    match state.admitting.admit(admission).await? {
        // Again is never said of what was not asked to come once.
        Admitted::New | Admitted::Again => {
            Ok(json(StatusCode::ACCEPTED, &answer(&event, &fate, deliveries)))
        }
        Admitted::Repeat(first) => repeated(&state, &event, first).await,
        Admitted::KeyReused(first) => {
            Err(Refused::new(Code::KeyReused, format!("It was used for {first}.")))
        }
    }
}

/// Room for the body in memory; without a length it may become as long as allowed.
fn room(state: &ApiState, headers: &HeaderMap) -> Result<OwnedSemaphorePermit, Refused> {
    let most = announced(headers).unwrap_or(limits::BODY_DEFAULT).min(limits::BODY_DEFAULT);
    let kib = u32::try_from(most.div_ceil(1024)).unwrap_or(u32::MAX);
    let busy = |_| Refused::new(Code::Busy, "Too many bodies are coming in at once.");
    Arc::clone(state.room()).try_acquire_many_owned(kib).map_err(busy)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Refused> {
    let mut lines = headers.get_all(name).iter();
    let (Some(line), more) = (lines.next(), lines.next()) else { return Ok(None) };
    match (line.to_str(), more) {
        (Ok(text), None) => Ok(Some(text)),
        (Err(_), _) | (_, Some(_)) => {
            Err(Refused::at(Code::Parameter, name, "one line of printable ASCII"))
        }
    }
}

/// The publisher's span (W3C Trace Context), where it names one.
fn trace(headers: &HeaderMap) -> Vec<(&'static str, String)> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let parent = text(TRACEPARENT).filter(|parent| Context::parse(parent).is_some());
    let Some(parent) = parent else { return Vec::new() };
    let state = text(TRACESTATE).filter(|state| state.len() <= TRACESTATE_MAX);
    let line = |name| move |value: &str| (name, value.to_owned());
    Some(parent).map(line(TRACEPARENT)).into_iter().chain(state.map(line(TRACESTATE))).collect()
}

/// An envelope, or a body that is published as it is because its type stands elsewhere.
fn read(headers: &HeaderMap, query: &PublishQuery, body: Bytes) -> Result<Published, Refused> {
    let event_type = header(headers, TYPE)?.or(query.event_type.as_deref());
    let key = header(headers, KEY)?;
    match event_type {
        Some(event_type) => as_it_is(headers, query, (event_type, key), body),
        None if media_type(headers) == "application/json" => envelope(key, &body),
        None => Err(Refused::new(
            Code::MediaType,
            format!(
                "A body that is no JSON envelope needs its type in the header `{TYPE}` or the parameter `type`."
            ),
        )),
    }
}

fn as_it_is(
    headers: &HeaderMap,
    query: &PublishQuery,
    (event_type, key): (&str, Option<&str>),
    body: Bytes,
) -> Result<Published, Refused> {
    let listed = header(headers, CHANNELS)?.or(query.channels.as_deref()).unwrap_or_default();
    let listed: Vec<String> =
        listed.split(',').map(str::trim).filter(|c| !c.is_empty()).map(str::to_owned).collect();
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mut faults = Faults::new();
    let event_type = faults.take("?type", EventType::parse(event_type));
    let channels = channels("?channels", &listed, &mut faults);
    let key = checked_key(KEY, key, &mut faults);
    let published = event_type.zip(channels).zip(key).map(|((event_type, channels), key)| {
        let content_type = content_type.map(str::to_owned);
        Published { event_type, body, content_type, channels, key, trace: Vec::new() }
    });
    faults.finish(published).map_err(Refused::invalid)
}

fn envelope(header_key: Option<&str>, body: &Bytes) -> Result<Published, Refused> {
    let written: PublishIn<'_> = from_json(body)?;
    let key = match (header_key, written.dedupe_key.as_deref()) {
        (Some(header), Some(own)) if header != own => {
            let other = "the header Idempotency-Key has another value: give one of them";
            return Err(Refused::at(Code::Invalid, "/dedupe_key", other));
        }
        (header, own) => own.or(header),
    };
    let mut faults = Faults::new();
    let event_type = faults.take("/type", EventType::parse(&written.event_type));
    let channels = channels("/channels", &written.channels, &mut faults);
    let key = checked_key("/dedupe_key", key, &mut faults);
    let data = Bytes::copy_from_slice(written.data.get().as_bytes());
    let published = event_type.zip(channels).zip(key).map(|((event_type, channels), key)| {
        let content_type = Some("application/json".to_owned());
        Published { event_type, body: data, content_type, channels, key, trace: Vec::new() }
    });
    faults.finish(published).map_err(Refused::invalid)
}

/// `Some(None)`: there is no key. `None`: it is wrong.
fn checked_key(pointer: &str, key: Option<&str>, faults: &mut Faults) -> Option<Option<Bytes>> {
    match key {
        None => Some(None),
        Some(key) if (1..=limits::KEY).contains(&key.len()) => {
            Some(Some(Bytes::copy_from_slice(key.as_bytes())))
        }
        Some(_) => {
            faults.add(pointer, format_args!("1 to {} bytes", limits::KEY));
            None
        }
    }
}

/// Nothing of the API's request but the body, its content type and its trace goes on: its headers hold the caller's token.
fn event(state: &ApiState, tenant: TenantId, published: Published) -> Event {
    let now = state.admitting.clock.now();
    let mut headers = Headers::default();
    if let Some(content_type) = published.content_type {
        headers.push("content-type", content_type);
    }
    for (name, value) in published.trace {
        headers.push(name, value);
    }
    Event {
        id: EventId::new(now, state.admitting.clock.dice()),
        tenant,
        at: now,
        origin: Origin::Api,
        event_type: Some(published.event_type),
        dedupe_key: published.key,
        channels: published.channels,
        request: Request {
            method: "POST".to_owned(),
            path: String::new(),
            query: None,
            headers,
            body: published.body,
            peer: None,
        },
    }
}

fn answer(event: &Event, fate: &Fate, deliveries: usize) -> PublishOut {
    PublishOut {
        id: event.id.to_string(),
        event_type: event.event_type.as_ref().map(ToString::to_string).unwrap_or_default(),
        at: Moment(event.at),
        fate: FateWord::from(fate),
        deliveries: u64::try_from(deliveries).unwrap_or(u64::MAX),
    }
}

/// The key was used before, for the same event: the answer is the first one's.
async fn repeated(state: &ApiState, event: &Event, first: EventId) -> Result<Response, Refused> {
    let Some(kept) = state.admitting.store.event(event.tenant, first).await? else {
        // It was forgotten to make room; that it was taken in is still known.
        let forgotten = answer(event, &Fate::Duplicate { of: first }, 0);
        return Ok(json(StatusCode::OK, &PublishOut { id: first.to_string(), ..forgotten }));
    };
    Ok(json(StatusCode::OK, &first_answer(&kept)))
}

fn first_answer(kept: &EventDetail) -> PublishOut {
    let tally = kept.tally;
    let deliveries = [tally.waiting, tally.delivered, tally.failed, tally.discarded];
    let deliveries = deliveries.into_iter().fold(0, u64::saturating_add);
    PublishOut { deliveries, ..answer(&kept.event, &kept.fate, 0) }
}

/// Publishes an event for one endpoint alone, whatever its subscription says.
pub(super) async fn ping(
    state: &ApiState,
    endpoint: &Endpoint,
) -> Result<(EventId, DeliveryId), Refused> {
    let clock = &state.admitting.clock;
    let now = clock.now();
    let body = format!(
        r#"{{"type":"{PING}","timestamp":"{now}","data":{{"endpoint":"{}"}}}}"#,
        endpoint.id
    );
    let event_type = EventType::parse(PING);
    let published = Published {
        event_type: event_type.map_err(|error| Refused::new(Code::Internal, error.to_string()))?,
        body: body.into(),
        content_type: Some("application/json".to_owned()),
        channels: Vec::new(),
        key: None,
        trace: Vec::new(),
    };
    let event = event(state, endpoint.tenant, published);
    let order = endpoint.policy.order.as_ref();
    let delivery = NewDelivery {
        id: DeliveryId::new(now, clock.dice()),
        endpoint: endpoint.id,
        order_key: order.map(|order| key::order(&order.key, &event.request)),
        state: Stage::Waiting { due: now },
        replay: None,
        lend: false,
    };
    let made = (event.id, delivery.id);
    let admission = Admission {
        event: Arc::new(event),
        fate: Fate::Accepted,
        dedupe_window: Duration::ZERO,
        deliveries: vec![delivery],
        once: false,
    };
    state.admitting.admit(admission).await?;
    Ok(made)
}
