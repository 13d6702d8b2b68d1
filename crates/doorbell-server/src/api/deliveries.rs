//! Deliveries and their attempts: lists, one, retry, cancel.

use super::auth::Caller;
use super::find;
use super::input::{Named, Query, json, limit};
use super::refused::Refused;
use super::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use doorbell_core::directory::Directory;
use doorbell_core::endpoint::Status;
use doorbell_core::id::{DeliveryId, EventId, ReplayId};
use doorbell_core::time::Time;
use doorbell_store::{Amended, Amendment, DeliveryQuery, DeliveryRow, Store};
use doorbell_wire::api::v1::common::Page;
use doorbell_wire::api::v1::delivery::{
    AttemptList, AttemptOut, Beside, DeliveryOut, DeliveryQuery as Filter,
};
use doorbell_wire::problem::Code;
use http::StatusCode;

pub(super) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let query = DeliveryQuery {
        tenant: caller.tenant,
        event: find::parsed::<EventId>("event", filter.event.as_deref())?,
        endpoint: find::endpoint_filter(&settings, caller, filter.endpoint.as_deref())?,
        state: find::state_filter(filter.state.as_deref())?,
        replay: find::parsed::<ReplayId>("replay", filter.replay.as_deref())?,
        since: find::time(filter.since),
        until: find::time(filter.until),
        cursor: filter.cursor,
        limit: limit(filter.limit)?,
    };
    let found = state.admitting.store.deliveries(query).await?;
    let now = state.admitting.clock.now();
    let data = found.items.iter().map(|row| shown(row, &settings, now)).collect();
    Ok(json(StatusCode::OK, &Page::<DeliveryOut> { data, next_cursor: found.next }))
}

fn shown(row: &DeliveryRow, settings: &Directory, now: Time) -> DeliveryOut {
    let endpoint = settings.endpoint(row.delivery.endpoint);
    let beside = Beside {
        in_flight: row.in_flight,
        paused: endpoint.is_some_and(|ready| ready.endpoint().status == Status::Paused),
        event_type: row.event_type.as_ref(),
        at: row.at,
        updated: row.updated,
        last_status: row.last_status,
    };
    DeliveryOut::of(&row.delivery, beside, settings, now)
}

async fn one(state: &ApiState, caller: Caller, id: DeliveryId) -> Result<DeliveryOut, Refused> {
    let row = state.admitting.store.delivery(caller.tenant, id).await?;
    let row = row.ok_or_else(|| Refused::not_found("delivery"))?;
    Ok(shown(&row, &state.configured.directory(), state.admitting.clock.now()))
}

pub(super) async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let id = find::id(&name, "delivery")?;
    Ok(json(StatusCode::OK, &one(&state, caller, id).await?))
}

pub(super) async fn retry(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let id: DeliveryId = find::id(&name, "delivery")?;
    let row = state.admitting.store.delivery(caller.tenant, id).await?;
    let row = row.ok_or_else(|| Refused::not_found("delivery"))?;
    let settings = state.configured.directory();
    match settings.endpoint(row.delivery.endpoint).map(|ready| &ready.endpoint().status) {
        None => return Err(Refused::new(Code::State, "Its endpoint is gone.")),
        Some(Status::Disabled { .. }) => {
            return Err(Refused::new(Code::State, "Its endpoint is disabled: enable it first."));
        }
        Some(Status::Enabled | Status::Paused) => {}
    }
    let due = state.admitting.clock.now();
    amend(&state, Amendment::Retry { tenant: caller.tenant, delivery: id, due }).await?;
    Ok(json(StatusCode::ACCEPTED, &one(&state, caller, id).await?))
}

pub(super) async fn cancel(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let id: DeliveryId = find::id(&name, "delivery")?;
    let at = state.admitting.clock.now();
    amend(&state, Amendment::Cancel { tenant: caller.tenant, delivery: id, at }).await?;
    Ok(json(StatusCode::OK, &one(&state, caller, id).await?))
}

async fn amend(state: &ApiState, amendment: Amendment) -> Result<(), Refused> {
    let settled = match &amendment {
        Amendment::Retry { .. } | Amendment::Redeliver { .. } => {
            "It cannot be tried again as it stands."
        }
        Amendment::Cancel { .. } => "It is delivered or discarded already.",
    };
    let amended = state.admitting.store.amend(vec![amendment]).await?;
    match amended.first() {
        Some(Amended::Done(_)) => Ok(()),
        Some(Amended::InFlight) => {
            Err(Refused::new(Code::InFlight, "It is being tried at this moment."))
        }
        Some(Amended::NotAllowed) => Err(Refused::new(Code::State, settled)),
        Some(Amended::Unknown) | None => Err(Refused::not_found("delivery")),
    }
}

pub(super) async fn attempts(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let id: DeliveryId = find::id(&name, "delivery")?;
    let row = state.admitting.store.delivery(caller.tenant, id).await?;
    row.ok_or_else(|| Refused::not_found("delivery"))?;
    let all = state.admitting.store.attempts(caller.tenant, id).await?;
    let data = all.iter().map(|attempt| AttemptOut::of(attempt, caller.view)).collect();
    Ok(json(StatusCode::OK, &AttemptList { data }))
}
