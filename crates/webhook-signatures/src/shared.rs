//! Checking a shared secret that is sent as it is: tokens and HTTP Basic.

use crate::check::{Check, Verified, after_word};
use crate::encoding::Encoding;
use crate::incoming::Incoming;
use crate::refusal::Refusal;
use crate::scheme::Token;
use crate::{field, form, hash, json, message};
use std::borrow::Cow;

pub(crate) fn verify_token(check: Check<'_>, token: &Token) -> Result<Verified, Refusal> {
    one_secret(check, &sent_tokens(token, check.incoming)?)
}

pub(crate) fn verify_basic(check: Check<'_>) -> Result<Verified, Refusal> {
    one_secret(check, &[basic(check.incoming)?])
}

/// All that was sent must be one and the same secret.
fn one_secret(check: Check<'_>, sent: &[Vec<u8>]) -> Result<Verified, Refusal> {
    if check.keys().next().is_none() {
        return Err(Refusal::NoSecret);
    }
    for (at, secret, _) in check.keys() {
        if !sent.is_empty()
            && sent.iter().all(|token| hash::same(token, secret.expose().as_bytes()))
        {
            return check.passed(at, None);
        }
    }
    Err(Refusal::WrongToken)
}

/// The tokens that a request carries; all of them must be right.
fn sent_tokens(token: &Token, incoming: &Incoming<'_>) -> Result<Vec<Vec<u8>>, Refusal> {
    let one = |token: Option<Vec<u8>>, name: Cow<'static, str>| {
        token.map(|t| vec![t]).ok_or(Refusal::Missing(name))
    };
    match token {
        Token::Header(name) => Ok(vec![message::one_header(incoming, name)?.to_vec()]),
        Token::Bearer => {
            let value = message::one_header(incoming, "authorization")?;
            one(after_word(value, "bearer").map(<[u8]>::to_vec), "the bearer token".into())
        }
        Token::Query(name) => {
            one(incoming.query(name), Cow::Owned(format!("the query parameter {name}")))
        }
        Token::Field(wanted) => {
            one(field::read(wanted, incoming, incoming.body).map(Cow::into_owned), wanted.shown())
        }
        Token::Each { array, pointer } => {
            let missing =
                || Refusal::Missing(Cow::Owned(format!("{pointer} in each element of {array}")));
            let array = json::find(incoming.body, array)
                .and_then(|array| json::elements(array, form::PAIRS_MAX + 1));
            let elements = array
                .filter(|all| !all.is_empty() && all.len() <= form::PAIRS_MAX)
                .ok_or_else(missing)?;
            let tokens = elements.into_iter().map(|element| json::find_text(element, pointer));
            tokens
                .map(|token| token.map(|t| t.into_owned().into_bytes()).ok_or_else(missing))
                .collect()
        }
        Token::AnyOf(tokens) => {
            let mut last = Err(Refusal::Missing("the token".into()));
            for token in tokens {
                last = sent_tokens(token, incoming);
                if last.is_ok() {
                    break;
                }
            }
            last
        }
    }
}

/// `user:password` of HTTP Basic (RFC 7617).
fn basic(incoming: &Incoming<'_>) -> Result<Vec<u8>, Refusal> {
    let value = message::one_header(incoming, "authorization")?;
    let text =
        after_word(value, "basic").ok_or(Refusal::Missing("the Basic credentials".into()))?;
    Encoding::Base64.decode(text).ok_or(Refusal::Malformed {
        what: "the Basic credentials".into(),
        why: "they are not base64",
    })
}
