//! The store moves to a database: asked for, shown and stopped by the operator. The work is done elsewhere.

use super::auth::Caller;
use super::input::{Json, json};
use super::refused::Refused;
use super::state::ApiState;
use crate::moving::{MovingError, Standing};
use axum::extract::State;
use axum::response::Response;
use doorbell_core::secret::SecretText;
use doorbell_store::postgres::Options;
use doorbell_wire::api::v1::moving::{MoveIn, MoveOut};
use doorbell_wire::api::v1::text::Moment;
use doorbell_wire::problem::{Code, Faults};
use http::StatusCode;

fn for_operator(caller: &Caller) -> Result<(), Refused> {
    if caller.operator {
        return Ok(());
    }
    Err(Refused::new(Code::Scope, "Only the operator moves the store."))
}

fn refused(error: MovingError) -> Refused {
    Refused::new(Code::State, error.to_string())
}

pub(super) async fn begin(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<MoveIn>,
) -> Result<Response, Refused> {
    for_operator(&caller)?;
    let mut faults = Faults::new();
    let shown = faults.take("/to", Options::shown(&body.to));
    let to = SecretText::parse(&body.to)
        .map_err(|_| "name a database: postgres://user:password@host/database");
    let to = faults.take("/to", to);
    let (shown, to) = faults.finish(shown.zip(to)).map_err(Refused::invalid)?;
    let now = state.admitting.clock.now();
    let standing = state.moving.ask(to, shown, now).map_err(refused)?;
    Ok(json(StatusCode::ACCEPTED, &out(standing)))
}

pub(super) async fn show(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Response, Refused> {
    for_operator(&caller)?;
    Ok(json(StatusCode::OK, &out(state.moving.standing())))
}

pub(super) async fn cancel(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Response, Refused> {
    for_operator(&caller)?;
    let standing = state.moving.cancel().map_err(refused)?;
    Ok(json(StatusCode::OK, &out(standing)))
}

fn out(standing: Standing) -> MoveOut {
    let (bytes_read, bytes) = standing.bytes;
    let ms = |pause: std::time::Duration| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    MoveOut {
        phase: standing.phase.word().to_owned(),
        to: standing.to,
        since: standing.since.map(Moment),
        events: standing.events,
        bytes_read,
        bytes,
        damaged: standing.damaged,
        pause_ms: standing.pause.map(ms),
        why: standing.why,
    }
}
