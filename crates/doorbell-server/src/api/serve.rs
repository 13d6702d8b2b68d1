//! The API behind a listener: only under our own names, with the sender's address, and with health checks beside it.

use super::auth::Peer;
use super::refused::Refused;
use super::routes::router;
use super::state::ApiState;
use crate::admitting::Admitting;
use crate::health::Probe;
use crate::listen::{Caller, Handler, Hosts};
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use doorbell_wire::problem::{Code, PAGES};
use http::header::HOST;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use std::sync::Arc;
use tower_service::Service as _;

/// Where the metrics are.
const METRICS: &str = "/metrics";

/// Answers the requests of the admin listener.
#[derive(Debug)]
pub struct Api {
    router: Router,
    hosts: Hosts,
    admitting: Arc<Admitting>,
    /// Whether it answers more than health checks and metrics.
    whole: bool,
}

impl Api {
    /// The API of a node, answering to these names.
    #[must_use]
    pub fn new(state: ApiState, hosts: Hosts) -> Self {
        let admitting = Arc::clone(&state.admitting);
        Self { router: router(state), hosts, admitting, whole: true }
    }

    /// The same, but only for who looks after the node: health checks and metrics.
    #[must_use]
    pub fn for_operators_only(mut self) -> Self {
        self.whole = false;
        self
    }

    fn is_ours(&self, request: &Request<Incoming>) -> bool {
        let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        self.hosts.answer_to(request.uri().authority().map(|name| name.as_str()).or(header))
    }
}

impl Handler for Api {
    type Body = Body;

    async fn handle(self: Arc<Self>, mut request: Request<Incoming>, caller: Caller) -> Response {
        if let Some(probe) = Probe::at(request.uri().path()) {
            let (status, word) = self.admitting.health.answer(probe, self.admitting.clock.now());
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            return (status, word).into_response();
        }
        // The page that explains the refusal has to open under the name that was refused; it is the same for everyone.
        if !self.is_ours(&request) && !request.uri().path().starts_with(PAGES) {
            let detail = "The Host header names none of this server's names.";
            return Refused::new(Code::Misdirected, detail).into_response();
        }
        if !self.whole && request.uri().path() != METRICS {
            return Refused::not_found("API on this node: it was started without the role api")
                .into_response();
        }
        request.extensions_mut().insert(Peer(caller.address.ip().to_canonical()));
        let answer = self.router.clone().call(request.map(Body::new)).await;
        answer.unwrap_or_else(|never| match never {})
    }

    fn panicked(&self) -> Response {
        Refused::new(Code::Internal, "The server's log says more.").into_response()
    }
}
