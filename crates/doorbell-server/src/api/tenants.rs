//! Tenants. The operator makes and sees them all; any other admin token sees its own.

use super::auth::Caller;
use super::find;
use super::input::{Json, Named, Query, json};
use super::refused::Refused;
use super::state::ApiState;
use axum::extract::State;
use axum::response::Response;
use doorbell_core::configuration::{Change, Resource, Tenant};
use doorbell_core::id::TenantId;
use doorbell_core::name::Label;
use doorbell_wire::api::v1::common::PageQuery;
use doorbell_wire::api::v1::tenant::{TenantIn, TenantOut};
use doorbell_wire::problem::{Code, Faults};
use http::StatusCode;

/// Longest name for people of a tenant or token, in bytes.
pub(super) const NAME_MAX: usize = 100;

pub(super) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let all = settings.tenants();
    let seen = all.filter(|tenant| caller.operator || tenant.id == caller.tenant);
    let page = find::page(seen, &query, |t| t.id, |t| TenantOut::from(*t))?;
    Ok(json(StatusCode::OK, &page))
}

pub(super) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<TenantIn>,
) -> Result<Response, Refused> {
    if !caller.operator {
        return Err(Refused::new(Code::Scope, "Only the operator makes tenants."));
    }
    let tenant = read(&state, &body)?;
    let made = state.configured.change(|settings| {
        if settings.tenant_by_uid(&tenant.uid).is_some() {
            let taken = format!("There is a tenant {:?} already.", tenant.uid);
            return Err(Refused::new(Code::Conflict, taken));
        }
        Ok((vec![Change::Put(Resource::Tenant(tenant.clone()))], TenantOut::from(&tenant)))
    });
    Ok(json(StatusCode::CREATED, &made.await?))
}

fn read(state: &ApiState, body: &TenantIn) -> Result<Tenant, Refused> {
    let mut faults = Faults::new();
    let uid = faults.take("/uid", Label::parse(&body.uid));
    if body.uid.starts_with(TenantId::PREFIX) {
        faults.add("/uid", "a uid must not begin like an id (tnt_)");
    }
    let name = body.name.clone().unwrap_or_else(|| body.uid.clone());
    if !(1..=NAME_MAX).contains(&name.len()) {
        faults.add("/name", format_args!("1 to {NAME_MAX} bytes"));
    }
    let now = state.admitting.clock.now();
    let id = TenantId::new(now, state.admitting.clock.dice());
    let tenant = uid.map(|uid| Tenant { id, uid: uid.to_string(), name, created: now });
    faults.finish(tenant).map_err(Refused::invalid)
}

pub(super) async fn show(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let found = match name.parse() {
        Ok(id) => settings.tenant(id),
        Err(_) => settings.tenant_by_uid(&name),
    };
    let found = found.filter(|t| caller.operator || t.id == caller.tenant);
    let tenant = found.ok_or_else(|| Refused::not_found("tenant"))?;
    Ok(json(StatusCode::OK, &TenantOut::from(tenant)))
}
