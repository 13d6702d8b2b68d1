//! The routes: each operation of the table gets its handler and passes the check. A new operation without a handler does
//! not compile.

use super::auth;
use super::refused::Refused;
use super::state::ApiState;
use super::{
    apply, backup, deliveries, endpoints, events, explain, live, pages, problems, publish, replays,
    search, session, sources, status, tenants, tokens,
};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use doorbell_core::configuration::Scope;
use doorbell_wire::api::v1::operation::{Method, Operation};
use doorbell_wire::problem::Code;

/// Where the OpenAPI document stands.
const DOCUMENT: &str = "/v1/openapi.json";

/// The API of a node. The listener in front of it checks `Host`, puts [`super::Peer`] into each request's extensions, and
/// catches panics.
pub fn router(state: ApiState) -> Router {
    let mut router = Router::new().route(DOCUMENT, get(status::document));
    for operation in Operation::ALL {
        let spec = operation.spec();
        let mut handler = route(*operation);
        if let Some(scope) = spec.scope {
            let needed = (state.clone(), Scope::from(scope));
            handler = handler.route_layer(from_fn_with_state(needed, auth::check));
        }
        router = router.route(spec.path, handler);
    }
    router
        .merge(pages::routes())
        .merge(problems::routes())
        .fallback(unknown)
        .method_not_allowed_fallback(other_method)
        // Each handler bounds its own body, by its own limit and deadline.
        .layer(DefaultBodyLimit::disable())
        .with_state(state)
}

async fn unknown() -> Refused {
    Refused::not_found("path in this API; see /v1/openapi.json")
}

async fn other_method() -> Response {
    Refused::new(Code::Method, "This path has other methods.").into_response()
}

fn with<H, T>(operation: Operation, handler: H) -> MethodRouter<ApiState>
where
    H: Handler<T, ApiState>,
    T: 'static,
{
    let method = match operation.spec().method {
        Method::Get => MethodFilter::GET,
        Method::Post => MethodFilter::POST,
        Method::Patch => MethodFilter::PATCH,
        Method::Delete => MethodFilter::DELETE,
    };
    on(method, handler)
}

fn route(operation: Operation) -> MethodRouter<ApiState> {
    use Operation as O;
    match operation {
        O::ListSources => with(operation, sources::list),
        O::CreateSource => with(operation, sources::create),
        O::GetSource => with(operation, sources::show),
        O::UpdateSource => with(operation, sources::update),
        O::DeleteSource => with(operation, sources::delete),
        O::RotateSourceSecret => with(operation, sources::rotate),
        O::RevealSourceSecret => with(operation, sources::reveal),
        O::ExplainForSource => with(operation, explain::for_source),
        O::ListEndpoints => with(operation, endpoints::list),
        O::CreateEndpoint => with(operation, endpoints::create),
        O::GetEndpoint => with(operation, endpoints::show),
        O::UpdateEndpoint => with(operation, endpoints::update),
        O::DeleteEndpoint => with(operation, endpoints::delete),
        O::PauseEndpoint => with(operation, endpoints::pause),
        O::EnableEndpoint => with(operation, endpoints::enable),
        O::DisableEndpoint => with(operation, endpoints::disable),
        O::RotateEndpointSecret => with(operation, endpoints::rotate),
        O::TestEndpoint => with(operation, endpoints::test),
        O::Apply => with(operation, apply::apply),
        O::ListRequests => with(operation, events::list_requests),
        O::GetRequest => with(operation, events::show_request),
        O::ExplainRequest => with(operation, explain::request),
        O::GetRequestBody => with(operation, events::request_body),
        O::ListEvents => with(operation, events::list),
        O::PublishEvent => with(operation, publish::publish),
        O::GetEvent => with(operation, events::show),
        O::GetEventBody => with(operation, events::body),
        O::ListDeliveries => with(operation, deliveries::list),
        O::GetDelivery => with(operation, deliveries::show),
        O::RetryDelivery => with(operation, deliveries::retry),
        O::CancelDelivery => with(operation, deliveries::cancel),
        O::ListAttempts => with(operation, deliveries::attempts),
        O::ListReplays => with(operation, replays::list),
        O::PlanReplay => with(operation, replays::plan),
        O::CreateReplay => with(operation, replays::create),
        O::GetReplay => with(operation, replays::show),
        O::CancelReplay => with(operation, replays::cancel),
        O::Search => with(operation, search::find),
        O::Live => with(operation, live::watch),
        O::ListTenants => with(operation, tenants::list),
        O::CreateTenant => with(operation, tenants::create),
        O::GetTenant => with(operation, tenants::show),
        O::Login => with(operation, session::login),
        O::CreateLoginCode => with(operation, session::create_code),
        O::ListTokens => with(operation, tokens::list),
        O::CreateToken => with(operation, tokens::create),
        O::DeleteToken => with(operation, tokens::delete),
        O::Status => with(operation, status::show),
        O::Backup => with(operation, backup::make),
        O::Metrics => with(operation, status::metrics),
    }
}
