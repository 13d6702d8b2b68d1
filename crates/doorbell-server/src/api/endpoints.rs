//! Endpoints: made, changed, paused, tested and removed.

use super::auth::Caller;
use super::find;
use super::input::{Json, Named, OptionalJson, Query, json};
use super::publish;
use super::refused::Refused;
use super::sources::{patched, warn};
use super::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use doorbell_core::configuration::{Change, Resource, ResourceId};
use doorbell_core::directory::Directory;
use doorbell_core::endpoint::{Endpoint, SigningSecret, Status};
use doorbell_core::id::EndpointId;
use doorbell_core::limits;
use doorbell_core::secret::SecretText;
use doorbell_core::time::Time;
use doorbell_wire::api::v1::common::{Page, PageQuery};
use doorbell_wire::api::v1::endpoint::{
    EndpointIn, EndpointOut, EndpointSecretIn, EndpointStatus, Gates, OVERLAP_DEFAULT, OVERLAP_MAX,
    SourceNames, TestOut, shown_url,
};
use doorbell_wire::api::v1::redact::{HIDDEN, View};
use doorbell_wire::api::v1::standing::StandingOut;
use doorbell_wire::problem::{Code, Faults};
use http::StatusCode;
use serde_json::Value;
use std::time::Duration;
use webhook_signatures::Secret;

pub(super) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let own = settings.endpoints().filter(|e| e.tenant == caller.tenant);
    let shown = |e: &&Endpoint| (e.id, EndpointOut::of(e, &settings).seen(caller.view));
    let Page { data, next_cursor } = find::page(own, &query, |e| e.id, shown)?;
    let data = with_standing(&state, data).await;
    Ok(json(StatusCode::OK, &Page { data, next_cursor }))
}

/// The same, with how their deliveries stand.
async fn with_standing(
    state: &ApiState,
    shown: Vec<(EndpointId, EndpointOut)>,
) -> Vec<EndpointOut> {
    let ids: Vec<EndpointId> = shown.iter().map(|(id, _)| *id).collect();
    let standings = state.standings.of(&ids).await;
    let standing = |id| standings.get(&id).map(StandingOut::from);
    shown.into_iter().map(|(id, out)| EndpointOut { standing: standing(id), ..out }).collect()
}

pub(super) async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let endpoint = find::endpoint(&settings, caller, &name)?;
    let shown = EndpointOut::of(endpoint, &settings).seen(caller.view);
    let shown = with_standing(&state, vec![(endpoint.id, shown)]).await;
    Ok(json(StatusCode::OK, &shown.first()))
}

pub(super) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<EndpointIn>,
) -> Result<Response, Refused> {
    let id = EndpointId::new(state.admitting.clock.now(), state.admitting.clock.dice());
    let secret = signing(&state, body.secret.as_deref());
    let made = state.configured.change(|settings| {
        room_for(settings, caller, 1)?;
        let mut endpoint = read(&state, caller, (&body, id), &within(settings, caller))?;
        let secret = secret?;
        endpoint.secrets = vec![SigningSecret { secret: secret.clone(), expires: None }];
        save_and_reveal(settings, endpoint, &secret)
    });
    Ok(json(StatusCode::CREATED, &made.await?.seen(caller.view)))
}

/// Refuses more endpoints than a tenant may have: an event that all of them want could not be taken in.
pub(super) fn room_for(settings: &Directory, caller: Caller, more: usize) -> Result<(), Refused> {
    if more <= settings.endpoint_room(caller.tenant) {
        return Ok(());
    }
    let most = limits::ENDPOINTS_PER_TENANT;
    let what =
        format!("A tenant has at most {most} endpoints: remove some, or use another tenant.");
    Err(Refused::new(Code::State, what))
}

/// What a signing secret looks like.
const SECRET_FORM: &str = "write whsec_ and 24 to 64 random bytes in base64 (32 to 88 characters), or whsk_ and an Ed25519 key; \
     or none, and one is made";

/// The secret that was given, or a new one.
pub(super) fn signing(state: &ApiState, given: Option<&str>) -> Result<SecretText, Refused> {
    let refused = |what: String| Refused::at(Code::Invalid, "/secret", what);
    let made = given.is_none().then(|| Secret::generate_standard(state.random()));
    let text = given.or(made.as_ref().map(Secret::expose)).unwrap_or_default();
    let secret = SecretText::parse(text).map_err(|blank| refused(blank.to_string()))?;
    let scheme = webhook_signatures::find("standard-webhooks");
    let scheme = scheme.ok_or_else(|| Refused::new(Code::Internal, "No way to sign."))?;
    Secret::parse(scheme, text).map_err(|error| refused(format!("{error}; {SECRET_FORM}")))?;
    Ok(secret)
}

pub(super) async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
    Json(patch): Json<Value>,
) -> Result<Response, Refused> {
    if patch.get("secret").is_some() {
        let detail =
            "A secret is changed by the operation rotate-secret, so that both sign for a while.";
        return Err(Refused::at(Code::Invalid, "/secret", detail));
    }
    let changed = state.configured.change(|settings| {
        let before = find::endpoint(settings, caller, &name)?;
        let written = EndpointIn::of(before, settings);
        let body = kept_values(patched(&written, patch)?, &written);
        let mut endpoint = read(&state, caller, (&body, before.id), &within(settings, caller))?;
        endpoint.secrets.clone_from(&before.secrets);
        endpoint.created = before.created;
        keep_status(&mut endpoint, before);
        save(settings, endpoint)
    });
    Ok(json(StatusCode::OK, &changed.await?.seen(caller.view)))
}

/// The same status as before keeps its time and its reason.
pub(super) fn keep_status(endpoint: &mut Endpoint, before: &Endpoint) {
    if EndpointStatus::from(&endpoint.status) == EndpointStatus::from(&before.status) {
        endpoint.status = before.status.clone();
    }
}

/// A header whose value is hidden keeps the value that it has, and so does a URL.
pub(super) fn kept_values(mut body: EndpointIn, before: &EndpointIn) -> EndpointIn {
    for line in body.headers.iter_mut().filter(|line| line.value == HIDDEN) {
        let same = |old: &&_| old_name(old).eq_ignore_ascii_case(&line.name);
        if let Some(old) = before.headers.iter().find(same) {
            line.value.clone_from(&old.value);
        }
    }
    if body.url == shown_url(View::Redacted, &before.url) {
        body.url.clone_from(&before.url);
    }
    body
}

fn old_name(line: &doorbell_wire::api::v1::http::HeaderIn) -> &str {
    &line.name
}

pub(super) async fn pause(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    set_status(&state, caller, &name, Status::Paused).await
}

pub(super) async fn enable(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    set_status(&state, caller, &name, Status::Enabled).await
}

pub(super) async fn disable(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let status =
        Status::Disabled { at: state.admitting.clock.now(), why: "by the operator".to_owned() };
    set_status(&state, caller, &name, status).await
}

async fn set_status(
    state: &ApiState,
    caller: Caller,
    name: &str,
    status: Status,
) -> Result<Response, Refused> {
    let changed = state.configured.change(|settings| {
        let mut endpoint = find::endpoint(settings, caller, name)?.clone();
        if EndpointStatus::from(&endpoint.status) != EndpointStatus::from(&status) {
            endpoint.status = status;
            endpoint.updated = state.admitting.clock.now();
        }
        save(settings, endpoint)
    });
    Ok(json(StatusCode::OK, &changed.await?.seen(caller.view)))
}

pub(super) async fn rotate(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
    OptionalJson(body): OptionalJson<EndpointSecretIn>,
) -> Result<Response, Refused> {
    let overlap = body.overlap.map_or(OVERLAP_DEFAULT, |span| span.0);
    if overlap > OVERLAP_MAX {
        return Err(Refused::at(Code::Invalid, "/overlap", "at most 7d"));
    }
    let secret = signing(&state, body.secret.as_deref())?;
    let changed = state.configured.change(|settings| {
        let mut endpoint = find::endpoint(settings, caller, &name)?.clone();
        endpoint.updated = state.admitting.clock.now();
        endpoint.secrets = rotated(&endpoint.secrets, &secret, overlap, endpoint.updated);
        save_and_reveal(settings, endpoint, &secret)
    });
    Ok(json(StatusCode::OK, &changed.await?.seen(caller.view)))
}

/// The new secret, and before it the old ones for as long as they may sign beside it.
pub(super) fn rotated(
    old: &[SigningSecret],
    new: &SecretText,
    overlap: Duration,
    now: Time,
) -> Vec<SigningSecret> {
    let until = now.after(overlap);
    let still_good = old.iter().filter(|one| one.secret != *new).map(|one| SigningSecret {
        secret: one.secret.clone(),
        expires: Some(one.expires.map_or(until, |expires| expires.min(until))),
    });
    let still_good = still_good.filter(|one| one.expires.is_some_and(|expires| expires > now));
    let first = SigningSecret { secret: new.clone(), expires: None };
    std::iter::once(first).chain(still_good).take(limits::SECRETS).collect()
}

pub(super) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<StatusCode, Refused> {
    let removed = state.configured.change(|settings| {
        let id = find::endpoint(settings, caller, &name)?.id;
        Ok::<_, Refused>((vec![Change::Delete(ResourceId::Endpoint(id))], ()))
    });
    removed.await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn test(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let endpoint = find::endpoint(&settings, caller, &name)?;
    if let Status::Disabled { why, .. } = &endpoint.status {
        return Err(Refused::new(Code::State, format!("The endpoint is disabled: {why}.")));
    }
    let (event, delivery) = publish::ping(&state, endpoint).await?;
    let made = TestOut { event: event.to_string(), delivery: delivery.to_string() };
    Ok(json(StatusCode::ACCEPTED, &made))
}

/// The endpoint that is asked for, past all gates, without secrets.
pub(super) fn read(
    state: &ApiState,
    caller: Caller,
    (body, id): (&EndpointIn, EndpointId),
    sources: &impl SourceNames,
) -> Result<Endpoint, Refused> {
    let settings = state.configured.directory();
    let tenant = settings.tenant_uid(caller.tenant);
    let gates = Gates { sources, policy: &state.configured.settings().urls, tenant };
    let mut faults = Faults::new();
    let now = state.admitting.clock.now();
    let endpoint = body.read((id, caller.tenant), now, &gates, &mut faults);
    faults.finish(endpoint).map_err(Refused::invalid)
}

/// The sources that the caller's endpoints may name.
fn within(settings: &Directory, caller: Caller) -> impl SourceNames {
    move |name: &str| settings.source_of(caller.tenant, name).map(|source| source.id)
}

/// The change that saves it, unless its name is taken within the tenant.
fn save(settings: &Directory, endpoint: Endpoint) -> Result<(Vec<Change>, EndpointOut), Refused> {
    let named = settings.endpoint_named(endpoint.tenant, endpoint.name.as_str());
    if named.is_some_and(|other| other.id != endpoint.id) {
        let taken = format!("The name {} is taken.", endpoint.name);
        return Err(Refused::new(Code::Conflict, taken));
    }
    let shown = EndpointOut::of(&endpoint, settings);
    Ok((vec![Change::Put(Resource::Endpoint(endpoint))], shown))
}

/// As [`save`]; the answer holds the new secret, this one time.
fn save_and_reveal(
    settings: &Directory,
    endpoint: Endpoint,
    secret: &SecretText,
) -> Result<(Vec<Change>, EndpointOut), Refused> {
    let (changes, shown) = save(settings, endpoint)?;
    warn("endpoint", &shown.name, &shown.warnings);
    Ok((changes, EndpointOut { secret: Some(secret.reveal().to_owned()), ..shown }))
}
