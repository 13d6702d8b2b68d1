//! Bearer tokens: made, listed and removed; never shown again.

use super::auth::Caller;
use super::find;
use super::input::{Json, Named, Query, json};
use super::refused::Refused;
use super::session;
use super::state::ApiState;
use super::tenants::NAME_MAX;
use super::token::{self, TokenText};
use axum::extract::State;
use axum::response::Response;
use doorbell_core::configuration::{Change, Resource, ResourceId, Scope, Token};
use doorbell_core::id::TokenId;
use doorbell_wire::api::v1::common::PageQuery;
use doorbell_wire::api::v1::token::{TokenIn, TokenOut};
use doorbell_wire::problem::Faults;
use http::StatusCode;
use std::time::Duration;

/// The longest a token with an end may be good.
const LIFE_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Nobody makes a token that outlives his own. (Only admin tokens come here, so none gets more scopes than its maker.)
const TOO_LONG: &str = "a token cannot outlive the one that makes it; ask for less, or use one that lasts: yours ends at";

pub(super) async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<PageQuery>,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let own = settings.tokens().filter(|token| token.tenant == caller.tenant);
    let page = find::page(own, &query, |t| t.id, |t| TokenOut::from(*t))?;
    Ok(json(StatusCode::OK, &page))
}

pub(super) async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Json(body): Json<TokenIn>,
) -> Result<Response, Refused> {
    let text = TokenText::new(state.random());
    let token = read(&state, caller, &body, &text)?;
    let shown = TokenOut { token: Some(text.reveal().to_owned()), ..TokenOut::from(&token) };
    let change = vec![Change::Put(Resource::Token(token))];
    state.configured.change(|_| Ok::<_, Refused>((change, ()))).await?;
    Ok(json(StatusCode::CREATED, &shown))
}

fn read(
    state: &ApiState,
    caller: Caller,
    body: &TokenIn,
    text: &TokenText,
) -> Result<Token, Refused> {
    let mut faults = Faults::new();
    if !(1..=NAME_MAX).contains(&body.name.len()) {
        faults.add("/name", format_args!("1 to {NAME_MAX} bytes"));
    }
    let mut scopes: Vec<Scope> = body.scopes.iter().map(|scope| Scope::from(*scope)).collect();
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        faults.add("/scopes", "a token that may do nothing is of no use: name at least one");
    }
    let life = body.expires_in.map(|span| span.0);
    if life.is_some_and(|life| life.is_zero() || life > LIFE_MAX) {
        faults.add("/expires_in", "more than 0s, at most ten years");
    }
    let now = state.admitting.clock.now();
    let expires = life.map(|life| now.after(life)).or(caller.ends);
    if let Some(ends) = caller.ends.filter(|ends| expires.is_none_or(|expires| expires > *ends)) {
        faults.add("/expires_in", format_args!("{TOO_LONG} {ends}"));
    }
    faults
        .finish(Some(Token {
            id: TokenId::new(now, state.admitting.clock.dice()),
            tenant: caller.tenant,
            name: body.name.clone(),
            scopes,
            hash: token::hash(text),
            expires,
            created: now,
        }))
        .map_err(Refused::invalid)
}

pub(super) async fn delete(
    State(state): State<ApiState>,
    caller: Caller,
    Named(name): Named,
) -> Result<StatusCode, Refused> {
    let id: TokenId = find::id(&name, "token")?;
    let removed = state.configured.change(|settings| {
        if settings.token_by_id(id).is_none_or(|token| token.tenant != caller.tenant) {
            return Err(Refused::not_found("token"));
        }
        let sessions = session::let_in_by(settings, id);
        let gone = std::iter::once(id).chain(sessions).map(ResourceId::Token).map(Change::Delete);
        Ok((gone.collect(), ()))
    });
    removed.await?;
    Ok(StatusCode::NO_CONTENT)
}
