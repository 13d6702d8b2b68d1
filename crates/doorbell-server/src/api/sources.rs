//! Sources: made, changed and removed. A source that could never believe a request is refused when it is saved.

use super::auth::Caller;
use super::find;
use super::input::{Json, Named, Query, from_json, json};
use super::refused::Refused;
use super::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use doorbell_core::configuration::{Change, Resource, ResourceId};
use doorbell_core::directory::Directory;
use doorbell_core::endpoint_url::{EndpointUrl, UrlPolicy, UrlRefused};
use doorbell_core::hub;
use doorbell_core::id::SourceId;
use doorbell_core::limits;
use doorbell_core::queue_address::{QueueAddress, Side};
use doorbell_core::secret::SecretText;
use doorbell_core::source::Source;
use doorbell_core::verifier::{Misconfigured, Verifier};
use doorbell_wire::api::v1::common::PageQuery;
use doorbell_wire::api::v1::patch::merged;
use doorbell_wire::api::v1::source::{SourceIn, SourceOut, SourceSecretIn, SourceSecretOut};
use doorbell_wire::problem::{Code, Faults};
use http::StatusCode;
use serde_json::Value;
use webhook_signatures::SecretNeed;

pub(super) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let own = settings.sources().filter(|source| source.tenant == caller.tenant);
    let page = find::page(own, &query, |s| s.id, |s| SourceOut::of(s, &state.ingest_prefix))?;
    Ok(json(StatusCode::OK, &page))
}

pub(super) async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let source = find::source(&settings, caller, &name)?;
    Ok(json(StatusCode::OK, &SourceOut::of(source, &state.ingest_prefix)))
}

pub(super) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<SourceIn>,
) -> Result<Response, Refused> {
    let id = SourceId::new(state.admitting.clock.now(), state.admitting.clock.dice());
    let made = state.configured.change(|settings| {
        let source = read(&state, caller, &body, id)?;
        save(&state, settings, source)
    });
    Ok(saved(StatusCode::CREATED, &made.await?))
}

pub(super) async fn update(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
    Json(patch): Json<Value>,
) -> Result<Response, Refused> {
    let changed = state.configured.change(|settings| {
        let before = find::source(settings, caller, &name)?;
        let body = patched(&SourceIn::from(before), patch)?;
        let read = read(&state, caller, &body, before.id)?;
        let mut source = Source { created: before.created, ..read };
        keep_hub(&mut source, before);
        save(&state, settings, source)
    });
    Ok(saved(StatusCode::OK, &changed.await?))
}

/// What is asked for, after a JSON Merge Patch on what is there.
pub(super) fn patched<T: serde::Serialize + serde::de::DeserializeOwned>(
    before: &T,
    patch: Value,
) -> Result<T, Refused> {
    if !patch.is_object() {
        return Err(Refused::at(Code::Malformed, "", "a change is a JSON object"));
    }
    let whole = serde_json::to_value(before).map(|before| merged(before, patch));
    let text = whole.and_then(|whole| serde_json::to_vec(&whole));
    from_json(&text.map_err(|_| Refused::new(Code::Internal, "The change could not be made."))?)
}

pub(super) async fn rotate(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
    Json(body): Json<SourceSecretIn>,
) -> Result<Response, Refused> {
    let changed = state.configured.change(|settings| {
        let mut source = find::source(settings, caller, &name)?.clone();
        let secret = SecretText::parse(&body.secret)
            .map_err(|blank| Refused::at(Code::Invalid, "/secret", blank.to_string()))?;
        let secrets = &mut source.verification.secrets;
        secrets.truncate(usize::from(body.keep.unwrap_or(1)));
        secrets.retain(|old| *old != secret);
        secrets.insert(0, secret);
        secrets.truncate(limits::SECRETS);
        source.updated = state.admitting.clock.now();
        believable(&source, &state.configured.settings().urls)?;
        save(&state, settings, source)
    });
    Ok(saved(StatusCode::OK, &changed.await?))
}

/// The operator gave no such secret and may have to show it to the provider, so it must be had once.
pub(super) async fn reveal(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let verification = &find::source(&settings, caller, &name)?.verification;
    let row = webhook_signatures::find(&verification.provider);
    if row.is_none_or(|row| row.secret_need() != SecretNeed::HandedOut) {
        let detail = format!("{} hands no secret out: it was given by you.", verification.provider);
        return Err(Refused::new(Code::State, detail));
    }
    let newest = verification.secrets.first().ok_or_else(|| {
        Refused::new(Code::State, "The provider has not handed its secret out yet.")
    })?;
    let shown = SourceSecretOut { secret: newest.reveal().to_owned() };
    Ok(json(StatusCode::OK, &shown))
}

pub(super) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<StatusCode, Refused> {
    let removed = state.configured.change(|settings| {
        let source = find::source(settings, caller, &name)?;
        if let Some(user) = settings.endpoint_naming(source) {
            let detail = format!("The endpoint {} names it: change that first.", user.name);
            return Err(Refused::new(Code::Conflict, detail));
        }
        Ok((vec![Change::Delete(ResourceId::Source(source.id))], ()))
    });
    removed.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The source that is asked for, past all gates.
pub(super) fn read(
    state: &ApiState,
    caller: Caller,
    body: &SourceIn,
    id: SourceId,
) -> Result<Source, Refused> {
    let mut faults = Faults::new();
    let source = body.read(id, caller.tenant, state.admitting.clock.now(), &mut faults);
    let source = faults.finish(source).map_err(Refused::invalid)?;
    believable(&source, &state.configured.settings().urls)?;
    takeable(state, &source)?;
    Ok(source)
}

/// How its subscription stands is no setting: it stays, as long as the source is to have one.
pub(super) fn keep_hub(after: &mut Source, before: &Source) {
    after.hub = before.hub.clone().filter(|_| hub::options(after).is_some());
}

/// A source must be able to believe somebody: its provider exists, its options are known, its secrets have the right form.
fn believable(source: &Source, urls: &UrlPolicy) -> Result<(), Refused> {
    let at = |misconfigured: &Misconfigured| match misconfigured {
        Misconfigured::Provider(_) => "/provider".to_owned(),
        Misconfigured::Option { option, .. } | Misconfigured::Value { option, .. } => {
            format!("/options/{option}")
        }
        Misconfigured::Unset { option, .. } => format!("/options/{option}"),
        Misconfigured::NoSecret(_) | Misconfigured::TooManySecrets => "/secrets".to_owned(),
        Misconfigured::Secret { number, .. } => format!("/secrets/{}", number.saturating_sub(1)),
    };
    let checked = Verifier::new(&source.verification);
    let checked = checked.map_err(|why| Refused::at(Code::Invalid, at(&why), why.to_string()))?;
    if let Some(address) = checked.provider().key_address() {
        callable(source, address, urls)?;
    }
    subscribable(source, urls)
}

/// The addresses of hub and topic pass the gate of endpoints', too.
fn subscribable(source: &Source, urls: &UrlPolicy) -> Result<(), Refused> {
    let mut options = source.verification.options.iter();
    if source.verification.provider != hub::PROVIDER || !options.any(|(name, _)| name == "hub") {
        return Ok(());
    }
    let refused =
        |option: &str, why: String| Refused::at(Code::Invalid, format!("/options/{option}"), why);
    let Some((at, topic)) = hub::options(source) else {
        return Err(refused("topic", "a hub is asked for a topic: set it too".to_owned()));
    };
    let called = if at == hub::DISCOVER { ("topic", topic) } else { ("hub", at) };
    EndpointUrl::parse(called.1, urls).map(drop).map_err(|why| refused(called.0, why.to_string()))
}

/// The queue that it takes messages from is one that its tenant may use.
fn takeable(state: &ApiState, source: &Source) -> Result<(), Refused> {
    let Some(from) = &source.from else { return Ok(()) };
    let (settings, directory) = (state.configured.settings(), state.configured.directory());
    let tenant = directory.tenant_uid(source.tenant);
    let read = QueueAddress::parse(from, &settings.urls.queues, tenant, Side::From);
    read.map(drop).map_err(|why| Refused::at(Code::Invalid, "/from", why.to_string()))
}

/// The address of keys passes the same gate as an endpoint's: the same sender calls it.
fn callable(source: &Source, address: &str, urls: &UrlPolicy) -> Result<(), Refused> {
    let mut options = source.verification.options.iter();
    let option = options.find(|(_, value)| value == address).map_or("", |(name, _)| name);
    let refused = |why: UrlRefused| {
        Refused::at(
            Code::Invalid,
            format!("/options/{option}"),
            format!("the keys' address: {why}"),
        )
    };
    EndpointUrl::parse(address, urls).map(drop).map_err(refused)
}

/// The change that saves it, unless its name is taken. Names are unique over all tenants, for they stand in the address.
fn save(
    state: &ApiState,
    settings: &Directory,
    source: Source,
) -> Result<(Vec<Change>, SourceOut), Refused> {
    let named = settings.source_named(source.name.as_str());
    if named.is_some_and(|other| other.id != source.id) {
        let taken = format!("The name {} is taken.", source.name);
        return Err(Refused::new(Code::Conflict, taken));
    }
    let shown = SourceOut::of(&source, &state.ingest_prefix);
    Ok((vec![Change::Put(Resource::Source(source))], shown))
}

fn saved(status: StatusCode, source: &SourceOut) -> Response {
    warn("source", &source.name, &source.warnings);
    json(status, source)
}

/// Says in the log, too, what is weak about a source that was saved.
pub(super) fn warn(kind: &str, name: &str, warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(kind, name, warning, "it works, and has a weakness");
    }
}
