//! What is declared whole, compared with what is there and made so: one plan, one change, all or nothing.

use super::auth::Caller;
use super::declared::Declared;
use super::input::json;
use super::refused::Refused;
use super::state::ApiState;
use super::{endpoints, sources};
use axum::extract::State;
use axum::response::Response;
use doorbell_core::configuration::{Change, Resource, ResourceId};
use doorbell_core::directory::Directory;
use doorbell_core::endpoint::{Endpoint, SigningSecret};
use doorbell_core::id::{EndpointId, SourceId};
use doorbell_core::limits;
use doorbell_core::source::Source;
use doorbell_core::time::Time;
use doorbell_core::verifier::{signing_warnings, warnings};
use doorbell_store::{DeliveryQuery, StateWord, Store as _};
use doorbell_wire::api::v1::apply::{
    AppliedAction, AppliedField, AppliedKind, AppliedOut, ApplyIn, ApplyOut,
};
use doorbell_wire::api::v1::endpoint::{EndpointIn, EndpointOut, EndpointStatus, OVERLAP_DEFAULT};
use doorbell_wire::api::v1::source::{SourceIn, SourceOut, masked};
use doorbell_wire::problem::{Code, Faults, FieldError};
use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json as value};
use std::collections::{BTreeMap, BTreeSet};

pub(super) async fn apply(
    State(state): State<ApiState>,
    caller: Caller,
    Declared { body, misread }: Declared,
) -> Result<Response, Refused> {
    let waiting = waiting(&state, caller, &body).await?;
    let done = state.configured.change(|settings| {
        let mut plan = Plan::new(&state, settings, caller, &body);
        plan.waiting = &waiting;
        let planned = plan.whole();
        if misread.is_empty() { planned } else { Err(beside(misread, planned.err())) }
    });
    let done = done.await?;
    if !done.dry_run {
        for one in &done.changes {
            let kind = match one.kind {
                AppliedKind::Source => "source",
                AppliedKind::Endpoint => "endpoint",
            };
            sources::warn(kind, &one.name, &one.warnings);
        }
    }
    Ok(json(StatusCode::OK, &done))
}

/// What could not be read, and what is wrong with the rest.
fn beside(mut misread: Vec<FieldError>, refused: Option<Refused>) -> Refused {
    let others = refused.map(|refused| refused.problem().errors.clone()).unwrap_or_default();
    let new = |fault: &FieldError| !misread.iter().any(|known| known.pointer == fault.pointer);
    let others: Vec<FieldError> = others.into_iter().filter(new).collect();
    misread.extend(others);
    Refused::parts(Code::Malformed, misread)
}

/// Endpoints that are to be removed and whose waiting deliveries are counted, at most.
const COUNTED: usize = 100;

/// How many deliveries wait for each endpoint that would be removed.
async fn waiting(
    state: &ApiState,
    caller: Caller,
    body: &ApplyIn,
) -> Result<BTreeMap<EndpointId, u64>, Refused> {
    let settings = state.configured.directory();
    let declared: BTreeSet<&str> =
        body.endpoints.iter().flatten().map(|endpoint| endpoint.name.as_str()).collect();
    let gone = settings.endpoints().filter(|endpoint| {
        body.prune && endpoint.tenant == caller.tenant && !declared.contains(endpoint.name.as_str())
    });
    let mut counts = BTreeMap::new();
    for endpoint in gone.take(COUNTED) {
        let query = DeliveryQuery {
            tenant: caller.tenant,
            event: None,
            endpoint: Some(endpoint.id),
            state: Some(StateWord::Waiting),
            replay: None,
            since: None,
            until: None,
            cursor: None,
            limit: limits::PAGE_MAX,
        };
        let found = state.admitting.store.deliveries(query).await?.items.len();
        counts.insert(endpoint.id, u64::try_from(found).unwrap_or(u64::MAX));
    }
    Ok(counts)
}

static NONE_WAIT: BTreeMap<EndpointId, u64> = BTreeMap::new();

/// What is to be done, while it is found out.
struct Plan<'a> {
    state: &'a ApiState,
    settings: &'a Directory,
    caller: Caller,
    body: &'a ApplyIn,
    now: Time,
    /// The declared sources by name, the faulty ones too.
    sources: BTreeMap<&'a str, SourceId>,
    /// The names of the declared endpoints.
    endpoints: BTreeSet<&'a str>,
    /// The names of the sources that are there, and those that are made.
    names: Directory,
    /// How many deliveries wait for endpoints that may be removed.
    waiting: &'a BTreeMap<EndpointId, u64>,
    faults: Faults,
    changes: Vec<Change>,
    told: Vec<AppliedOut>,
}

impl<'a> Plan<'a> {
    fn new(
        state: &'a ApiState,
        settings: &'a Directory,
        caller: Caller,
        body: &'a ApplyIn,
    ) -> Self {
        Self {
            state,
            settings,
            caller,
            body,
            now: state.admitting.clock.now(),
            sources: BTreeMap::new(),
            endpoints: BTreeSet::new(),
            names: Directory::default(),
            waiting: &NONE_WAIT,
            faults: Faults::new(),
            changes: Vec::new(),
            told: Vec::new(),
        }
    }

    fn whole(mut self) -> Result<(Vec<Change>, ApplyOut), Refused> {
        self.sources()?;
        self.endpoints()?;
        self.undeclared();
        self.finish()
    }

    fn own_sources(&self) -> impl Iterator<Item = &'a Source> + use<'a> {
        let tenant = self.caller.tenant;
        self.settings.sources().filter(move |source| source.tenant == tenant)
    }

    fn own_endpoints(&self) -> impl Iterator<Item = &'a Endpoint> + use<'a> {
        let tenant = self.caller.tenant;
        self.settings.endpoints().filter(move |one| one.tenant == tenant)
    }

    /// Faults of a part are gathered; anything else ends the plan.
    fn gather<T>(&mut self, pointer: &str, read: Result<T, Refused>) -> Result<Option<T>, Refused> {
        match read {
            Ok(value) => Ok(Some(value)),
            Err(refused) if refused.problem().errors.is_empty() => Err(refused),
            Err(refused) => {
                self.faults.under(pointer, &refused.problem().errors);
                Ok(None)
            }
        }
    }

    fn sources(&mut self) -> Result<(), Refused> {
        let there: BTreeMap<&str, &Source> =
            self.own_sources().map(|source| (source.name.as_str(), source)).collect();
        for (at, body) in self.body.sources.iter().flatten().enumerate() {
            let pointer = format!("/sources/{at}");
            let before = there.get(body.name.as_str()).copied();
            let dice = || SourceId::new(self.now, self.state.admitting.clock.dice());
            let id = before.map_or_else(dice, |before| before.id);
            if self.sources.insert(&body.name, id).is_some() {
                self.faults.add(format!("{pointer}/name"), "this name is declared twice");
            } else if self.settings.source_named(&body.name).is_some_and(|other| other.id != id) {
                self.faults.add(format!("{pointer}/name"), "this name is taken");
            }
            let read = sources::read(self.state, self.caller, &with_secrets(body, before), id);
            if let Some(source) = self.gather(&pointer, read)? {
                self.source(before, source);
            }
        }
        self.names = self.settings.changed(self.changes.iter().cloned());
        Ok(())
    }

    fn source(&mut self, before: Option<&Source>, mut after: Source) {
        let kind = AppliedKind::Source;
        let name = after.name.to_string();
        let warnings = warnings(&after.verification);
        let Some(before) = before else {
            self.told.push(AppliedOut { warnings, ..told(kind, name, AppliedAction::Create) });
            self.changes.push(Change::Put(Resource::Source(after)));
            return;
        };
        after.created = before.created;
        sources::keep_hub(&mut after, before);
        let whole = (&SourceIn::from(before), &SourceIn::from(&after));
        let shown = |source: &Source| SourceOut::of(source, &self.state.ingest_prefix);
        let fields = changed(whole, (&shown(before), &shown(&after)));
        let told = AppliedOut { warnings, fields, ..told(kind, name, AppliedAction::Unchanged) };
        self.tell_difference(told, Resource::Source(after));
    }

    fn endpoints(&mut self) -> Result<(), Refused> {
        let there: BTreeMap<&str, &Endpoint> =
            self.own_endpoints().map(|endpoint| (endpoint.name.as_str(), endpoint)).collect();
        let declared = || self.body.endpoints.iter().flatten();
        let new = declared().filter(|body| !there.contains_key(body.name.as_str())).count();
        endpoints::room_for(self.settings, self.caller, new)?;
        for (at, body) in self.body.endpoints.iter().flatten().enumerate() {
            let pointer = format!("/endpoints/{at}");
            if !self.endpoints.insert(&body.name) {
                self.faults.add(format!("{pointer}/name"), "this name is declared twice");
            }
            let before = there.get(body.name.as_str()).copied();
            let read = self.endpoint(body, before);
            let secrets = self.secrets(body, before);
            let (read, secrets) = (self.gather(&pointer, read)?, self.gather(&pointer, secrets)?);
            if let (Some(mut endpoint), Some(secrets)) = (read, secrets) {
                endpoint.secrets = secrets;
                self.tell_endpoint(body, before, endpoint);
            }
        }
        Ok(())
    }

    fn endpoint(&self, body: &EndpointIn, before: Option<&Endpoint>) -> Result<Endpoint, Refused> {
        let dice = || EndpointId::new(self.now, self.state.admitting.clock.dice());
        let id = before.map_or_else(dice, |before| before.id);
        let mut body = body.clone();
        if let Some(before) = before {
            body.status = body.status.or(Some(EndpointStatus::from(&before.status)));
            body = endpoints::kept_values(body, &EndpointIn::of(before, &self.names));
        }
        let sources = |name: &str| self.named(name);
        let mut endpoint = endpoints::read(self.state, self.caller, (&body, id), &sources)?;
        if let Some(before) = before {
            endpoint.created = before.created;
            endpoints::keep_status(&mut endpoint, before);
        }
        Ok(endpoint)
    }

    /// The source of that name or id, unless it is going to be removed.
    fn named(&self, name: &str) -> Option<SourceId> {
        let there = || {
            let found = self.settings.source_of(self.caller.tenant, name)?;
            let stays = !self.body.prune || self.sources.contains_key(found.name.as_str());
            stays.then_some(found.id)
        };
        self.sources.get(name).copied().or_else(there)
    }

    /// The endpoint's own secrets, unless another one is declared.
    fn secrets(
        &self,
        body: &EndpointIn,
        before: Option<&Endpoint>,
    ) -> Result<Vec<SigningSecret>, Refused> {
        let Some(before) = before else {
            let secret = endpoints::signing(self.state, body.secret.as_deref())?;
            return Ok(vec![SigningSecret { secret, expires: None }]);
        };
        let Some(text) = &body.secret else { return Ok(before.secrets.clone()) };
        let secret = endpoints::signing(self.state, Some(text))?;
        if before.secrets.first().is_some_and(|newest| newest.secret == secret) {
            return Ok(before.secrets.clone());
        }
        Ok(endpoints::rotated(&before.secrets, &secret, OVERLAP_DEFAULT, self.now))
    }

    fn tell_endpoint(&mut self, body: &EndpointIn, before: Option<&Endpoint>, after: Endpoint) {
        let kind = AppliedKind::Endpoint;
        let name = after.name.to_string();
        let warnings = signing_warnings(&after.secrets);
        let Some(before) = before else {
            let told_once = body.secret.is_none() && !self.body.dry_run;
            let secret = after
                .secrets
                .first()
                .filter(|_| told_once)
                .map(|made| made.secret.reveal().to_owned());
            let told = AppliedOut { secret, warnings, ..told(kind, name, AppliedAction::Create) };
            self.told.push(told);
            self.changes.push(Change::Put(Resource::Endpoint(after)));
            return;
        };
        let names = &self.names;
        let whole = (&EndpointIn::of(before, names), &EndpointIn::of(&after, names));
        let seen = |of: &Endpoint| EndpointOut::of(of, names).seen(self.caller.view);
        let shown = (&seen(before), &seen(&after));
        let mut fields = changed(whole, shown);
        if before.secrets != after.secrets {
            let newest = |of: &Endpoint| of.secrets.first().map(|newest| masked(&newest.secret));
            let (from, to) = (value!(newest(before)), value!(newest(&after)));
            fields.push(AppliedField { name: "secret".to_owned(), from, to });
        }
        let told = AppliedOut { warnings, fields, ..told(kind, name, AppliedAction::Unchanged) };
        self.tell_difference(told, Resource::Endpoint(after));
    }

    /// Something that is there: an update, where fields of it change.
    fn tell_difference(&mut self, unchanged: AppliedOut, after: Resource) {
        if unchanged.fields.is_empty() {
            self.told.push(unchanged);
        } else {
            self.told.push(AppliedOut { action: AppliedAction::Update, ..unchanged });
            self.changes.push(Change::Put(after));
        }
    }

    /// An empty or wrong declaration must not remove everything.
    fn may_prune(&mut self) {
        let missing = [
            ("sources", self.body.sources.is_none()),
            ("endpoints", self.body.endpoints.is_none()),
        ];
        for (kind, _) in missing.into_iter().filter(|(_, missing)| *missing) {
            let why = format!(
                "no {kind} are declared, and to prune would remove all of them: declare those that are to stay, or \
                 write an empty list (`{kind} = []`)"
            );
            self.faults.add(format!("/{kind}"), why);
        }
    }

    /// What is there and not declared. Endpoints go before the sources that they name.
    fn undeclared(&mut self) {
        if self.body.prune {
            self.may_prune();
        }
        for endpoint in self.own_endpoints() {
            if !self.endpoints.contains(endpoint.name.as_str()) {
                let id = ResourceId::Endpoint(endpoint.id);
                self.tell_undeclared(AppliedKind::Endpoint, endpoint.name.to_string(), id);
            }
        }
        for source in self.own_sources() {
            if !self.sources.contains_key(source.name.as_str()) {
                let id = ResourceId::Source(source.id);
                self.tell_undeclared(AppliedKind::Source, source.name.to_string(), id);
            }
        }
    }

    fn tell_undeclared(&mut self, kind: AppliedKind, name: String, id: ResourceId) {
        if self.body.prune {
            let waiting = id.endpoint().and_then(|id| self.waiting.get(&id).copied());
            self.told.push(AppliedOut { waiting, ..told(kind, name, AppliedAction::Delete) });
            self.changes.push(Change::Delete(id));
        } else {
            self.told.push(told(kind, name, AppliedAction::Undeclared));
        }
    }

    fn finish(self) -> Result<(Vec<Change>, ApplyOut), Refused> {
        let dry_run = self.body.dry_run;
        let out = ApplyOut { dry_run, changes: self.told };
        let changes = if dry_run { Vec::new() } else { self.changes };
        self.faults.finish(Some((changes, out))).map_err(Refused::invalid)
    }
}

/// A source that is declared without secrets keeps those that it has: they may have been handed out by its provider.
fn with_secrets(body: &SourceIn, before: Option<&Source>) -> SourceIn {
    let mut body = body.clone();
    let kept = before.filter(|before| before.verification.provider == body.provider);
    if let Some(before) = kept.filter(|_| body.secrets.is_empty()) {
        body.secrets = SourceIn::from(before).secrets;
    }
    body
}

fn told(kind: AppliedKind, name: String, action: AppliedAction) -> AppliedOut {
    let (fields, warnings) = (Vec::new(), Vec::new());
    AppliedOut { kind, name, action, fields, waiting: None, secret: None, warnings }
}

/// The fields in which the whole of one differs from the whole of the other, as each may be shown.
fn changed<T: Serialize, S: Serialize>(whole: (&T, &T), shown: (&S, &S)) -> Vec<AppliedField> {
    let whole = (members(whole.0), members(whole.1));
    let shown = (members(shown.0), members(shown.1));
    let names: BTreeSet<&String> = whole.0.keys().chain(whole.1.keys()).collect();
    let differ = names.into_iter().filter(|name| whole.0.get(*name) != whole.1.get(*name));
    let field = |name: &String| AppliedField {
        name: name.clone(),
        from: shown.0.get(name).cloned().unwrap_or_default(),
        to: shown.1.get(name).cloned().unwrap_or_default(),
    };
    differ.map(field).collect()
}

fn members<T: Serialize>(of: &T) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(members)) => members,
        Ok(_) | Err(_) => Map::new(),
    }
}
