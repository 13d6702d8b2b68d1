//! Signing in: a login code becomes a token, which a browser carries in a cookie and a machine as any other token.

use super::auth::{Caller, Pass, peer};
use super::input::{Json, json};
use super::logins::LoginCode;
use super::refused::Refused;
use super::state::ApiState;
use super::token::{self, TokenText};
use axum::extract::{Extension, State};
use axum::response::Response;
use doorbell_core::configuration::{Change, Resource, ResourceId, Scope, Token};
use doorbell_core::directory::Directory;
use doorbell_core::id::{TenantId, TokenId};
use doorbell_core::limits;
use doorbell_core::time::Time;
use doorbell_wire::api::v1::login::{LoginCodeOut, LoginIn};
use doorbell_wire::api::v1::text::Moment;
use doorbell_wire::api::v1::token::TokenOut;
use doorbell_wire::problem::Code;
use http::StatusCode;
use std::time::Duration;

/// The name of the token of someone who signed in: each its own, and none that a token made by hand can have. It says
/// whose holder let them in.
fn name(id: TokenId, issuer: Option<TokenId>) -> String {
    match issuer {
        Some(issuer) => format!("{}{BY}{issuer}", name(id, None)),
        None => format!("login {id}"),
    }
}

/// Stands before the issuer in a session's name.
const BY: &str = " by ";

/// Whether it is the token of someone who signed in.
fn is_session(token: &Token) -> bool {
    let rest = token.name.strip_prefix(&name(token.id, None));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(BY))
}

/// The sessions that the holder of a token let in, and those that these let in: they end with it.
pub(super) fn let_in_by(directory: &Directory, issuer: TokenId) -> Vec<TokenId> {
    let mut ended = vec![issuer];
    let mut at = 0;
    while let Some(issuer) = ended.get(at).copied() {
        let theirs = |token: &&Token| token.name == name(token.id, Some(issuer));
        ended.extend(directory.tokens().filter(theirs).map(|token| token.id));
        at += 1;
    }
    ended.split_off(1)
}

/// A token that a login code was turned into.
pub(super) struct Session {
    pub(super) text: TokenText,
    /// How long it is good.
    pub(super) life: Duration,
    token: Token,
}

/// Turns a code into a token, or counts a bad one. The answer is the same whatever is wrong with it. A code that came to
/// nothing because the token could not be written is good again.
pub(super) async fn open(
    state: &ApiState,
    peer: std::net::IpAddr,
    code: &str,
) -> Result<Session, Refused> {
    let now = state.admitting.clock.now();
    let bad = || state.failures().note(peer, Code::Login, now);
    let code = state.logins().take(code, now).ok_or_else(bad)?;
    let text = TokenText::new(state.random());
    let id = TokenId::new(now, state.admitting.clock.dice());
    let made = state.configured.change(|settings| {
        let token = token((id, &text), code.issuer, settings, now).ok_or_else(bad)?;
        let over = settings.tokens().filter(|token| is_over(token, now)).map(removed);
        let put = Change::Put(Resource::Token(token.clone()));
        Ok::<_, Refused>((over.chain([put]).collect(), token))
    });
    match made.await {
        Ok(token) => {
            let end = token.expires.unwrap_or(now);
            Ok(Session { text, life: end.since(now), token })
        }
        Err(refused) => {
            state.logins().give_back(code);
            Err(refused)
        }
    }
}

/// The token of a session, which ends no later than its issuer; `None`: the issuer is gone.
fn token(
    (id, text): (TokenId, &TokenText),
    issuer: Option<TokenId>,
    directory: &Directory,
    now: Time,
) -> Option<Token> {
    let mut end = now.after(limits::SESSION_LIFE);
    if let Some(issuer) = issuer {
        let issuer = directory.token_by_id(issuer)?;
        end = issuer.expires.map_or(end, |expires| expires.min(end));
    }
    (end > now).then(|| Token {
        id,
        tenant: TenantId::DEFAULT,
        name: name(id, issuer),
        scopes: vec![Scope::Admin],
        hash: token::hash(text),
        expires: Some(end),
        created: now,
    })
}

/// A session that came to its end: the next one to be opened sweeps it away.
fn is_over(token: &Token, now: Time) -> bool {
    is_session(token) && token.expires.is_some_and(|expires| expires <= now)
}

const fn removed(token: &Token) -> Change {
    Change::Delete(ResourceId::Token(token.id))
}

/// Ends the session whose token this is; a token that someone made by hand stays.
pub(super) async fn close(state: &ApiState, text: &str) -> Result<(), Refused> {
    let Some(hash) = TokenText::parse(text).map(|text| token::hash(&text)) else { return Ok(()) };
    let ended = state.configured.change(|settings| {
        let ours = settings.tokens().find(|token| token.hash == hash && is_session(token));
        let Some(ours) = ours else { return Ok((Vec::new(), ())) };
        let theirs = let_in_by(settings, ours.id);
        let gone = std::iter::once(ours.id).chain(theirs).map(ResourceId::Token);
        Ok::<_, Refused>((gone.map(Change::Delete).collect(), ()))
    });
    ended.await
}

pub(super) async fn login(
    State(state): State<ApiState>,
    from: Option<Extension<super::auth::Peer>>,
    Json(body): Json<LoginIn>,
) -> Result<Response, Refused> {
    let Session { text, token, .. } = open(&state, peer(from.as_deref()), &body.code).await?;
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
    let issuer = match caller.by {
        Pass::Root => None,
        Pass::Token { id, .. } => Some(id),
    };
    let until = state.logins().add(code.hash(), issuer, state.admitting.clock.now());
    Ok(json(StatusCode::CREATED, &LoginCodeOut::of(code.reveal(), Moment(until))))
}
