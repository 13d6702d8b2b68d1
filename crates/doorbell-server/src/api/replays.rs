//! Replays: planned, begun, shown and cancelled. The work is done by [`crate::replay`].

use super::auth::Caller;
use super::find;
use super::input::{Json, Named, Query, json};
use super::refused::Refused;
use super::state::ApiState;
use crate::replay::{CancelError, Engine};
use axum::extract::State;
use axum::response::Response;
use doorbell_core::configuration::{Replay, ReplayChoice, ReplayState};
use doorbell_core::directory::Directory;
use doorbell_core::endpoint::Status;
use doorbell_core::id::{EndpointId, EventId, ParseIdError, ReplayId, RequestId};
use doorbell_core::name::EventTypePattern;
use doorbell_wire::api::v1::common::PageQuery;
use doorbell_wire::api::v1::replay::{
    ChoiceIn, EVENTS_NAMED, LeftOut, PlanOut, RATE_DEFAULT, RATE_MAX, ReplayIn, ReplayOut,
};
use doorbell_wire::problem::{Code, Faults};
use http::StatusCode;
use std::time::Duration;

/// How long a plan may count.
const PLAN_BUDGET: Duration = Duration::from_secs(5);
/// Replays that may be under way at once, of all tenants.
const RUNNING_MAX: usize = 100;

pub(super) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response, Refused> {
    let own = state.replays.of(caller.tenant);
    let page = find::page(own.iter(), &query, |r| r.id, |r| ReplayOut::from(*r))?;
    Ok(json(StatusCode::OK, &page))
}

pub(super) async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let id: ReplayId = find::id(&name, "replay")?;
    let replay = state.replays.one(caller.tenant, id);
    let replay = replay.ok_or_else(|| Refused::not_found("replay"))?;
    Ok(json(StatusCode::OK, &ReplayOut::from(&replay)))
}

pub(super) async fn plan(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<ReplayIn>,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let replay = read(&state, &settings, caller, &body)?;
    let (store, clock) = (&state.admitting.store, &state.admitting.clock);
    let plan = Engine::plan((store, &settings), &replay, clock, PLAN_BUDGET).await?;
    let left = Engine::left_out((store, &settings), &replay, clock, PLAN_BUDGET).await?;
    let left = left.into_iter().map(|one| LeftOut { event: one.event.to_string(), why: one.why });
    let shown = PlanOut {
        deliveries: plan.deliveries,
        events: plan.events,
        complete: plan.complete,
        left_out: left.collect(),
    };
    Ok(json(StatusCode::OK, &shown))
}

pub(super) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<ReplayIn>,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let replay = read(&state, &settings, caller, &body)?;
    if state.replays.running() >= RUNNING_MAX {
        return Err(Refused::new(Code::Busy, "Too many replays are under way."));
    }
    something_is_made(&state, &settings, &replay).await?;
    state.replays.begin(replay.clone()).await?;
    Ok(json(StatusCode::ACCEPTED, &ReplayOut::from(&replay)))
}

/// A replay of events that were named one by one is refused where nothing comes of any of them, with the reasons. (Of a
/// choice by source, type or state nothing may be left, and that is no fault.)
async fn something_is_made(
    state: &ApiState,
    settings: &Directory,
    replay: &Replay,
) -> Result<(), Refused> {
    let (store, clock) = (&state.admitting.store, &state.admitting.clock);
    let left = Engine::makes_nothing((store, settings), replay, clock, PLAN_BUDGET).await?;
    let mut faults = Faults::new();
    for one in left.into_iter().flatten() {
        faults.add(
            format!("/choice/events/{}", one.place),
            format_args!("{}: {}", one.event, one.why),
        );
    }
    faults.finish(Some(())).map_err(Refused::invalid)
}

pub(super) async fn cancel(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let id: ReplayId = find::id(&name, "replay")?;
    let now = state.admitting.clock.now();
    let cancelled =
        state.replays.cancel(caller.tenant, id, now).await.map_err(|error| match error {
            CancelError::Unknown => Refused::not_found("replay"),
            CancelError::Over => Refused::new(Code::State, "It is done or cancelled already."),
            CancelError::Store(error) => Refused::from(error),
        });
    Ok(json(StatusCode::OK, &ReplayOut::from(&cancelled?)))
}

/// The replay that is asked for, checked.
fn read(
    state: &ApiState,
    settings: &Directory,
    caller: Caller,
    body: &ReplayIn,
) -> Result<Replay, Refused> {
    let now = state.admitting.clock.now();
    let mut faults = Faults::new();
    let rate = body.rate_per_second.unwrap_or(RATE_DEFAULT);
    if !(1..=RATE_MAX).contains(&rate) {
        faults.add("/rate_per_second", format_args!("between 1 and {RATE_MAX}"));
    }
    let to = endpoint(settings, caller, ("/to", body.to.as_deref()), &mut faults);
    let choice = choice(settings, caller, &body.choice, &mut faults);
    let replay = to.zip(choice).map(|(to, choice)| Replay {
        id: ReplayId::new(now, state.admitting.clock.dice()),
        tenant: caller.tenant,
        choice: ReplayChoice {
            until: Some(choice.until.map_or(now, |until| until.min(now))),
            ..choice
        },
        to,
        rate_per_second: rate,
        planned: 0,
        made: 0,
        cursor: None,
        state: ReplayState::Running,
        created: now,
        updated: now,
    });
    faults.finish(replay).map_err(Refused::invalid)
}

fn choice(
    settings: &Directory,
    caller: Caller,
    written: &ChoiceIn,
    faults: &mut Faults,
) -> Option<ReplayChoice> {
    if written.events.len() > EVENTS_NAMED {
        faults.add("/choice/events", format_args!("at most {EVENTS_NAMED} events"));
        return None;
    }
    let filtered = written.source.is_some()
        || written.event_type.is_some()
        || written.since.is_some()
        || written.until.is_some();
    if filtered && !written.events.is_empty() {
        faults
            .add("/choice/events", "events are named one by one or found by source, type and time");
    }
    let events = written
        .events
        .iter()
        .enumerate()
        .map(|(place, text)| faults.take(format!("/choice/events/{place}"), named_event(text)));
    let events: Option<Vec<EventId>> = events.collect::<Vec<_>>().into_iter().collect();
    let endpoint = past_endpoint(settings, caller, written.endpoint.as_deref(), faults);
    let source = match written.source.as_deref() {
        None => Some(None),
        Some(name) => {
            let found = settings.source_of(caller.tenant, name).map(|source| source.id);
            faults.take("/choice/source", found.ok_or("there is no such source")).map(Some)
        }
    };
    if let Some(pattern) = &written.event_type {
        faults.take("/choice/event_type", EventTypePattern::parse(pattern));
    }
    let state = written.state.as_deref();
    if state.is_some_and(|state| !["delivered", "failed", "discarded"].contains(&state)) {
        faults.add("/choice/state", "one of delivered, failed, discarded");
    }
    Some(ReplayChoice {
        events: events?,
        endpoint: endpoint?,
        source: source?,
        event_type: written.event_type.clone(),
        state: written.state.clone(),
        since: find::time(written.since),
        until: find::time(written.until),
    })
}

/// An event by its own id or by that of its request: they share their 26 characters.
fn named_event(text: &str) -> Result<EventId, ParseIdError> {
    text.parse()
        .or_else(|error| text.parse().map(|id: RequestId| EventId::from(id)).map_err(|_| error))
}

/// The endpoint of the first time; one that is gone can be named by its id.
fn past_endpoint(
    settings: &Directory,
    caller: Caller,
    name: Option<&str>,
    faults: &mut Faults,
) -> Option<Option<EndpointId>> {
    let found = find::endpoint_filter(settings, caller, name);
    faults.take("/choice/endpoint", found.map_err(|_| "there is no such endpoint"))
}

/// An endpoint that can be delivered to.
fn endpoint(
    settings: &Directory,
    caller: Caller,
    (pointer, name): (&str, Option<&str>),
    faults: &mut Faults,
) -> Option<Option<EndpointId>> {
    let Some(name) = name else { return Some(None) };
    let found = settings.endpoint_of(caller.tenant, name).ok_or("there is no such endpoint");
    let open = found.and_then(|endpoint| match endpoint.status {
        Status::Enabled | Status::Paused => Ok(endpoint.id),
        Status::Disabled { .. } => Err("the endpoint is disabled: enable it first"),
    });
    faults.take(pointer, open).map(Some)
}
