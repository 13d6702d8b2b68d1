//! How the server is, and what it counts.

use super::auth::Caller;
use super::input::json;
use super::refused::Refused;
use super::state::ApiState;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use doorbell_core::id::{EndpointId, TenantId};
use doorbell_core::time::Time;
use doorbell_store::{Stats, Store};
use doorbell_wire::api::v1::endpoint::EndpointStatus;
use doorbell_wire::api::v1::openapi;
use doorbell_wire::api::v1::standing::StandingOut;
use doorbell_wire::api::v1::status::{EndpointHealth, StatusOut, StoreOut};
use doorbell_wire::api::v1::text::Moment;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use std::collections::BTreeMap;
use std::sync::LazyLock;

pub(super) async fn show(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Response, Refused> {
    let stats = if caller.operator { Some(state.admitting.store.stats().await?) } else { None };
    let backlog = state.admitting.store.backlog().await?;
    let due: BTreeMap<EndpointId, Time> =
        backlog.into_iter().map(|backlog| (backlog.endpoint, backlog.next_due)).collect();
    let settings = state.configured.directory();
    let own = || settings.endpoints().filter(|e| e.tenant == caller.tenant);
    let standings =
        state.standings.of(&own().map(|endpoint| endpoint.id).collect::<Vec<_>>()).await;
    let endpoints = own().map(|endpoint| EndpointHealth {
        id: endpoint.id.to_string(),
        name: endpoint.name.to_string(),
        status: EndpointStatus::from(&endpoint.status),
        next_due_at: due.get(&endpoint.id).copied().map(Moment),
        standing: standings.get(&endpoint.id).map(StandingOut::from),
    });
    let status = StatusOut {
        version: state.version.to_owned(),
        now: Moment(state.admitting.clock.now()),
        started_at: Moment(state.started()),
        ingest_url: state.ingest_url.clone(),
        store: stats.map(store),
        endpoints: endpoints.collect(),
    };
    Ok(json(StatusCode::OK, &status))
}

fn store(stats: Stats) -> StoreOut {
    StoreOut {
        events: stats.events,
        waiting: stats.waiting,
        failed: stats.failed,
        bytes: stats.bytes,
        bytes_free: stats.bytes_free,
        oldest: stats.oldest.map(Moment),
    }
}

/// Single endpoints are told to tokens of the default tenant only: they are those of all tenants.
pub(super) async fn metrics(State(state): State<ApiState>, caller: Caller) -> Response {
    let text = state.admitting.metrics_text(state.version, caller.tenant == TenantId::DEFAULT);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// The document is public: it says what this API can do, not what is in it.
pub(super) async fn document() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(openapi::text);
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}
