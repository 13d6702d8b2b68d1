//! Deliveries and their attempts: lists, one, retry, cancel.

use super::auth::Caller;
use super::find;
use super::input::{Named, Query, json, limit};
use super::refused::Refused;
use super::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use doorbell_core::delivery::{self, Delivery};
use doorbell_core::directory::Directory;
use doorbell_core::endpoint::Status;
use doorbell_core::id::{DeliveryId, EndpointId, EventId, ReplayId};
use doorbell_core::standing::Standing;
use doorbell_core::time::Time;
use doorbell_store::{Amended, Amendment, DeliveryQuery, DeliveryRow, Store};
use doorbell_wire::api::v1::common::Page;
use doorbell_wire::api::v1::delivery::{
    AttemptList, AttemptOut, Beside, DeliveryOut, DeliveryQuery as Filter,
};
use doorbell_wire::problem::Code;
use http::StatusCode;
use std::collections::{BTreeSet, HashMap};

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
    let data = shown(&state, &settings, &found.items).await;
    Ok(json(StatusCode::OK, &Page::<DeliveryOut> { data, next_cursor: found.next }))
}

/// Deliveries as they are shown; why one waits, dispatch is asked for.
async fn shown(state: &ApiState, settings: &Directory, rows: &[DeliveryRow]) -> Vec<DeliveryOut> {
    let waiting = rows.iter().filter(|row| !row.delivery.state.is_settled());
    let endpoints: BTreeSet<EndpointId> = waiting.map(|row| row.delivery.endpoint).collect();
    let standings = state.standings.of(&endpoints.into_iter().collect::<Vec<_>>()).await;
    let now = state.admitting.clock.now();
    rows.iter().map(|row| one_shown(row, settings, &standings, now)).collect()
}

fn one_shown(
    row: &DeliveryRow,
    settings: &Directory,
    standings: &HashMap<EndpointId, Standing>,
    now: Time,
) -> DeliveryOut {
    let endpoint = settings.endpoint(row.delivery.endpoint);
    let beside = Beside {
        in_flight: row.in_flight,
        endpoint: endpoint.map(|ready| ready.endpoint()),
        standing: standings.get(&row.delivery.endpoint),
        event_type: row.event_type.as_ref(),
        at: row.at,
        updated: row.updated,
        last: row.last,
    };
    DeliveryOut::of(&row.delivery, beside, settings, now)
}

async fn one(state: &ApiState, caller: Caller, id: DeliveryId) -> Result<DeliveryOut, Refused> {
    let row = state.admitting.store.delivery(caller.tenant, id).await?;
    let row = row.ok_or_else(|| Refused::not_found("delivery"))?;
    let mut shown = shown(state, &state.configured.directory(), &[row]).await;
    shown.pop().ok_or_else(|| Refused::not_found("delivery"))
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
    if matches!(row.delivery.state, delivery::State::Delivered { .. }) {
        return Err(Refused::new(Code::State, delivered(&row.delivery)));
    }
    let settings = state.configured.directory();
    let endpoint = row.delivery.endpoint;
    let mut promises = state.admitting.desk.promises();
    let lend = match settings.endpoint(endpoint).map(|ready| &ready.endpoint().status) {
        None => return Err(Refused::new(Code::State, "Its endpoint is gone.")),
        Some(Status::Disabled { .. }) => {
            return Err(Refused::new(Code::State, "Its endpoint is disabled: enable it first."));
        }
        // It waits in the store, as all the others do.
        Some(Status::Paused) => false,
        Some(Status::Enabled) => promises.ask_first(endpoint),
    };
    let due = state.admitting.clock.now();
    let amendment = Amendment::Retry { tenant: caller.tenant, delivery: id, due, lend };
    amend(&state, amendment, &delivered(&row.delivery)).await?;
    drop(promises);
    Ok(json(StatusCode::ACCEPTED, &one(&state, caller, id).await?))
}

/// Why a delivery is not retried that is delivered, or has been since we looked.
fn delivered(of: &Delivery) -> String {
    format!(
        "It is delivered, and stays so. A replay delivers its event once more, as a delivery of its own: \
        `doorbell replay run --event {} --endpoint {}`.",
        of.event, of.endpoint
    )
}

pub(super) async fn cancel(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let id: DeliveryId = find::id(&name, "delivery")?;
    let at = state.admitting.clock.now();
    let amendment = Amendment::Cancel { tenant: caller.tenant, delivery: id, at };
    amend(&state, amendment, "It is delivered or discarded already.").await?;
    Ok(json(StatusCode::OK, &one(&state, caller, id).await?))
}

async fn amend(state: &ApiState, amendment: Amendment, settled: &str) -> Result<(), Refused> {
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
