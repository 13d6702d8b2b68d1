//! Signing in: a login code becomes a token, which a browser carries in a cookie and a machine as any other token.

use super::auth::{Caller, peer};
use super::input::{Json, json};
use super::logins::LoginCode;
use super::refused::Refused;
use super::state::ApiState;
use super::token::{self, TokenText};
use axum::extract::{Extension, State};
use axum::response::Response;
use doorbell_core::configuration::{Change, Resource, ResourceId, Scope, Token};
use doorbell_core::id::{TenantId, TokenId};
use doorbell_core::limits;
use doorbell_core::time::Time;
use doorbell_wire::api::v1::login::{LoginCodeOut, LoginIn};
use doorbell_wire::api::v1::text::Moment;
use doorbell_wire::api::v1::token::TokenOut;
use doorbell_wire::problem::Code;
use http::StatusCode;

/// The name of the token of someone who signed in: each its own, and none that a token made by hand can have.
fn name(id: TokenId) -> String {
    format!("login {id}")
}

/// A token that a login code was turned into.
pub(super) struct Session {
    pub(super) text: TokenText,
    token: Token,
}

/// Turns a code into a token, or counts a bad one. The answer is the same whatever is wrong with it.
pub(super) async fn open(
    state: &ApiState,
    peer: std::net::IpAddr,
    code: &str,
) -> Result<Session, Refused> {
    let now = state.admitting.clock.now();
    if !state.logins().take(code, now) {
        return Err(state.failures().note(peer, Code::Login, now));
    }
    let text = TokenText::new(state.random());
    let id = TokenId::new(now, state.admitting.clock.dice());
    let token = Token {
        id,
        tenant: TenantId::DEFAULT,
        name: name(id),
        scopes: vec![Scope::Admin],
        hash: token::hash(&text),
        expires: Some(now.after(limits::SESSION_LIFE)),
        created: now,
    };
    let put = Change::Put(Resource::Token(token.clone()));
    let made = state.configured.change(|settings| {
        let tokens = settings.configuration.tokens.iter();
        let changes = tokens.filter(|token| is_over(token, now)).map(removed);
        Ok::<_, Refused>((changes.chain([put]).collect(), ()))
    });
    made.await?;
    Ok(Session { text, token })
}

/// A session that came to its end: the next one to be opened sweeps it away.
fn is_over(token: &Token, now: Time) -> bool {
    token.name == name(token.id) && token.expires.is_some_and(|expires| expires <= now)
}

const fn removed(token: &Token) -> Change {
    Change::Delete(ResourceId::Token(token.id))
}

/// Ends the session whose token this is; a token that someone made by hand stays.
pub(super) async fn close(state: &ApiState, text: &str) -> Result<(), Refused> {
    let Some(hash) = TokenText::parse(text).map(|text| token::hash(&text)) else { return Ok(()) };
    let ended = state.configured.change(|settings| {
        let mut tokens = settings.configuration.tokens.iter();
        let ours = tokens.find(|token| token.hash == hash && token.name == name(token.id));
        Ok::<_, Refused>((ours.map(removed).into_iter().collect(), ()))
    });
    ended.await
}

pub(super) async fn login(
    State(state): State<ApiState>,
    from: Option<Extension<super::auth::Peer>>,
    Json(body): Json<LoginIn>,
) -> Result<Response, Refused> {
    let Session { text, token } = open(&state, peer(from.as_deref()), &body.code).await?;
    let shown = TokenOut { token: Some(text.reveal().to_owned()), ..TokenOut::from(&token) };
    Ok(json(StatusCode::CREATED, &shown))
}

pub(super) async fn create_code(
    State(state): State<ApiState>,
    caller: Caller,
) -> Result<Response, Refused> {
    if !caller.operator {
        return Err(Refused::new(Code::Scope, "Only the operator lets someone sign in."));
    }
    let code = LoginCode::new(state.admitting.clock.dice());
    let until = state.logins().add(code.hash(), state.admitting.clock.now());
    Ok(json(StatusCode::CREATED, &LoginCodeOut::of(code.reveal(), Moment(until))))
}
