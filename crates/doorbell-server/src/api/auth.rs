//! Who may do what: the check that every request passes before its handler.
//!
//! A token comes as a bearer token, or in the cookie of someone who signed in; the cookie counts only where one of our own
//! pages sent it (`origin`). The answer to a bad token is the same whatever is wrong with it. Bad tokens are counted per address, and past a bound
//! answered 429; a good token is never held up by them.

use super::origin;
use super::refused::Refused;
use super::state::ApiState;
use super::token::{self, TokenText};
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use doorbell_core::configuration::Scope;
use doorbell_core::id::{TenantId, TokenId};
use doorbell_core::time::Time;
use doorbell_wire::api::v1::redact::View;
use doorbell_wire::problem::Code;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use std::net::{IpAddr, Ipv4Addr};

/// The address that sent a request; the listener puts it into the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Who asks: what a request became by passing this check, and only so.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    /// Whose things it sees. Every query carries it.
    pub(super) tenant: TenantId,
    /// What it sees of requests.
    pub(super) view: View,
    /// By what it passed.
    pub(super) by: Pass,
    /// When its token ends; `None`: never.
    pub(super) ends: Option<Time>,
    /// Whether it runs this node: the root token, or an admin token of the default tenant.
    pub(super) operator: bool,
}

/// By what someone passed the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// The root token, which is good while the node runs.
    Root,
    /// A token that is configured, a session's too.
    Token {
        id: TokenId,
        /// SHA-256 of its text.
        hash: [u8; 32],
    },
}

impl Pass {
    /// Whether it is still good: for what lasts longer than one request.
    pub(super) fn is_good(&self, state: &ApiState) -> bool {
        match self {
            Self::Root => true,
            Self::Token { hash, .. } => {
                let now = state.admitting.clock.now();
                state.configured.directory().token(hash, now).is_some()
            }
        }
    }
}

/// The header by which the operator acts for a tenant.
const TENANT: &str = "doorbell-tenant";

/// Lets a request through to its operation, or answers why not.
pub(super) async fn check(
    State((state, needed)): State<(ApiState, Scope)>,
    mut request: Request,
    next: Next,
) -> Response {
    match caller(&state, needed, &request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refused) => refused.into_response(),
    }
}

fn caller(state: &ApiState, needed: Scope, request: &Request) -> Result<Caller, Refused> {
    let now = state.admitting.clock.now();
    let token = presented(state, request)?;
    let Some(holder) = token.and_then(|token| holder(state, &token, now)) else {
        let peer = peer(request.extensions().get());
        return Err(state.failures().note(peer, Code::Unauthorized, now));
    };
    if !holder.scopes.iter().any(|scope| *scope == needed || *scope == Scope::Admin) {
        let detail = format!("It needs the scope `{}`.", needed.word());
        return Err(Refused::new(Code::Scope, detail));
    }
    let admin = holder.scopes.contains(&Scope::Admin);
    let operator = admin && holder.tenant == TenantId::DEFAULT;
    let tenant = tenant(state, request.headers(), operator)?.unwrap_or(holder.tenant);
    let view = if admin { View::Whole } else { View::Redacted };
    Ok(Caller { tenant, view, by: holder.by, ends: holder.ends, operator })
}

/// The sender's address, for counting.
pub(super) fn peer(known: Option<&Peer>) -> IpAddr {
    known.map_or(UNKNOWN, |peer| peer.0)
}

/// Where the listener did not say who sent it.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What a token stands for.
struct Holder {
    by: Pass,
    tenant: TenantId,
    scopes: Vec<Scope>,
    ends: Option<Time>,
}

/// The token that a request shows. Where it has `Authorization`, its cookie does not count.
fn presented(state: &ApiState, request: &Request) -> Result<Option<TokenText>, Refused> {
    let headers = request.headers();
    if headers.contains_key(AUTHORIZATION) {
        return Ok(bearer(headers));
    }
    let Some(text) = state.cookie.read(headers) else { return Ok(None) };
    if !origin::is_ours(request.method(), request.uri(), headers) {
        return Err(Refused::new(Code::CrossSite, "Its cookie counts for our own pages only."));
    }
    Ok(TokenText::parse(text))
}

fn bearer(headers: &HeaderMap) -> Option<TokenText> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (scheme, text) = line.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    TokenText::parse(text.trim())
}

fn holder(state: &ApiState, token: &TokenText, now: Time) -> Option<Holder> {
    let hash = token::hash(token);
    if state.root_token == Some(hash) {
        return Some(Holder {
            by: Pass::Root,
            tenant: TenantId::DEFAULT,
            scopes: vec![Scope::Admin],
            ends: None,
        });
    }
    let directory = state.configured.directory();
    let token = directory.token(&hash, now)?;
    let by = Pass::Token { id: token.id, hash };
    Some(Holder { by, tenant: token.tenant, scopes: token.scopes.clone(), ends: token.expires })
}

/// The tenant that the operator acts for. For anyone else the header names nothing.
fn tenant(
    state: &ApiState,
    headers: &HeaderMap,
    operator: bool,
) -> Result<Option<TenantId>, Refused> {
    let Some(value) = headers.get(TENANT) else { return Ok(None) };
    let name = value.to_str().unwrap_or_default();
    let directory = state.configured.directory();
    let found = match name.parse() {
        Ok(id) => directory.tenant(id),
        Err(_) => directory.tenant_by_uid(name),
    };
    let found = found.filter(|_| operator).map(|tenant| tenant.id);
    found.map(Some).ok_or_else(|| Refused::not_found("tenant"))
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let passed = parts.extensions.get::<Self>().copied();
        passed.ok_or_else(|| Refused::new(Code::Internal, "The request passed no check."))
    }
}
