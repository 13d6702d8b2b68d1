//! Explaining a request: whether its source believes it, and if not, why.

use super::auth::Caller;
use super::events;
use super::find;
use super::input::{Json, Named, json};
use super::refused::Refused;
use super::state::ApiState;
use crate::keys::{Keys, Wanted};
use axum::extract::State;
use axum::response::Response;
use doorbell_core::credentials::Credentials;
use doorbell_core::directory::Directory;
use doorbell_core::directory::ReadySource;
use doorbell_core::examine::{Tried, examine};
use doorbell_core::id::SourceId;
use doorbell_core::limits;
use doorbell_core::request::Request;
use doorbell_core::secret::SecretText;
use doorbell_core::time::Time;
use doorbell_wire::api::v1::explain::{ExplainIn, ExplainOut};
use doorbell_wire::api::v1::redact::Veil;
use doorbell_wire::problem::Code;
use http::StatusCode;
use std::sync::Arc;
use tokio::sync::Semaphore;
use webhook_signatures::{KeyRequest, Known, Provider};

/// It hashes the body some fifty times, so only so many at once, on threads where nobody else waits.
static ROOM: Semaphore = Semaphore::const_new(limits::EXAMINED_AT_ONCE);

pub(super) async fn for_source(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
    Json(body): Json<ExplainIn>,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let source = find::source(&settings, caller, &name)?.id;
    let mut question = match &body.request {
        Some(id) => {
            let found = events::request(&state, caller, id).await?.event;
            let known = Credentials::of(found.origin, &settings);
            Question { at: found.at, request: found.request, url: None, source, known }
        }
        None => {
            let request = body.read().map_err(Refused::invalid)?;
            let (at, known) = (state.admitting.clock.now(), Credentials::NONE);
            Question { at, request, url: None, source, known }
        }
    };
    question.at = body.at.map_or(question.at, |at| at.0);
    question.url = body.url;
    answer(&state, &settings, caller, question).await
}

pub(super) async fn request(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let found = events::request(&state, caller, &name).await?.event;
    let published =
        || Refused::new(Code::State, "It was published through the API and came to no source.");
    let source = found.origin.source().ok_or_else(published)?;
    let settings = state.configured.directory();
    let known = Credentials::of(found.origin, &settings);
    let question = Question { at: found.at, request: found.request, url: None, source, known };
    answer(&state, &settings, caller, question).await
}

struct Question {
    at: Time,
    request: Request,
    url: Option<String>,
    source: SourceId,
    /// Where credentials stand in it, for the source that received it.
    known: Credentials,
}

async fn answer(
    state: &ApiState,
    settings: &Directory,
    caller: Caller,
    question: Question,
) -> Result<Response, Refused> {
    let busy = || Refused::new(Code::Busy, "Other requests are being explained.");
    let room = ROOM.try_acquire().map_err(|_| busy())?;
    let ready = settings.source(question.source).ok_or_else(|| {
        Refused::new(
            Code::State,
            "The source that received it is gone: name another to explain it for.",
        )
    })?;
    let others = others(settings, caller, question.source);
    let (ready, keys) = (Arc::clone(ready), Arc::clone(&state.keys));
    let work = move || found(&keys, &ready, &question, (&others, caller));
    let found = tokio::task::spawn_blocking(work).await;
    drop(room);
    let found = found.map_err(|_| Refused::new(Code::Internal, "It could not be explained."))?;
    Ok(json(StatusCode::OK, &found?))
}

/// The secrets of the tenant's other sources, to find one that was mixed up.
fn others(settings: &Directory, caller: Caller, than: SourceId) -> Vec<(String, SecretText)> {
    let own =
        settings.sources().filter(|source| source.tenant == caller.tenant && source.id != than);
    let each = own.flat_map(|source| {
        let secrets = source.verification.secrets.iter();
        secrets.map(|secret| (source.name.to_string(), secret.clone()))
    });
    each.take(limits::EXAMINED_OTHERS).collect()
}

fn found(
    keys: &Keys,
    ready: &ReadySource,
    question: &Question,
    (others, caller): (&[(String, SecretText)], Caller),
) -> Result<ExplainOut, Refused> {
    let known: Vec<Known<'_>> =
        others.iter().map(|(name, secret)| Known { name, text: secret.reveal() }).collect();
    let Question { at, request, url, known: received, .. } = question;
    // By a key that was fetched for some request; for this look, which anyone with a token can cause, nobody is called.
    let fetched = |provider: &Provider, key: &KeyRequest| {
        keys.known(Wanted { provider, key, source: question.source })
    };
    let tried = Tried { url: url.as_deref(), known: &known, fetched: &fetched };
    let found = examine(ready, request, *at, tried).map_err(|why| {
        Refused::new(Code::State, format!("The source is not set up rightly: {why}"))
    })?;
    let hidden = Credentials::for_source(ready).and(received.clone());
    Ok(ExplainOut::of(ready.source(), found, *at, Veil::of(caller.view, &hidden)))
}
