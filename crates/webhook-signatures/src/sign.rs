//! Signing: what a sender adds to a request so that [`crate::verify`], or the provider's own library, accepts it.

use crate::hash::Hash;
use crate::incoming::{Headers, Incoming};
use crate::layout;
use crate::message::{self, Source};
use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::scheme::{Algorithm, Field, Layout, Place, Scheme, Signed, Stamp, Text, Token};
use crate::secret::{Key, Secret};
use crate::{Encoding, field, form};
use std::borrow::Cow;

/// A request that is to be signed.
#[derive(Clone, Copy)]
pub struct ToSign<'a> {
    /// The message's id, the same on every try. Without a dot where it is signed (Standard Webhooks).
    pub id: &'a str,
    /// Unix time in seconds: the time of this try.
    pub now: i64,
    /// Where it goes, as the receiver will see it.
    pub url: &'a str,
    /// The method.
    pub method: &'a str,
    /// The headers it already has.
    pub headers: &'a dyn Headers,
    /// The body, exactly as it will be sent.
    pub body: &'a [u8],
}

impl std::fmt::Debug for ToSign<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ToSign({}, {} bytes)", self.id, self.body.len())
    }
}

/// What signing adds or replaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// Headers to add; they take the place of any of the same name.
    pub headers: Vec<(Text, String)>,
    /// The URL to call instead, where the signature goes into the query.
    pub url: Option<String>,
    /// The body to send instead, where the signature goes into the body.
    pub body: Option<Vec<u8>>,
}

/// Why a request cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The secret is for another provider, or only a public key.
    #[error("this secret cannot sign for this provider")]
    Secret,
    /// The provider's scheme cannot be made from outside.
    #[error("signing as this provider is not possible")]
    Scheme,
    /// The id has a character that a signed id must not have.
    #[error("the message id is empty or has a character other than letters, digits, `-` and `_`")]
    Id,
    /// Something that the message is made of is missing.
    #[error("the message to sign is incomplete: {0}")]
    Message(Refusal),
}

/// What to add to a request so that it passes as `provider`'s. Only the first scheme that the secret fits is used.
///
/// # Errors
/// When the secret cannot sign, or the scheme cannot be made from outside.
pub fn sign(
    provider: &Provider,
    secret: &Secret,
    request: &ToSign<'_>,
) -> Result<Signature, SignError> {
    let mut last = Err(SignError::Secret);
    for (index, scheme) in provider.schemes.iter().enumerate() {
        let Some(key) = secret.key(index) else { continue };
        last = match scheme {
            Scheme::None => Ok(Signature::default()),
            Scheme::Basic => {
                let text = Encoding::Base64.encode(secret.expose().as_bytes());
                Ok(header("authorization", format!("Basic {text}")))
            }
            Scheme::Token(token) => token_for(token, secret, request),
            Scheme::Jwt(_) => Err(SignError::Scheme),
            Scheme::Signed(signed) => signature(provider, signed, (secret, key), request),
        };
        if last.is_ok() {
            break;
        }
    }
    last
}

/// Signs with several secrets at once, so that a receiver who knows any of them accepts: the signatures stand side by
/// side in one header where the scheme allows it, as Standard Webhooks and Stripe do; else only the first signs.
///
/// # Errors
/// As [`sign`], for the first secret that fails; and [`SignError::Secret`] when there is none.
pub fn sign_all(
    provider: &Provider,
    secrets: &[Secret],
    request: &ToSign<'_>,
) -> Result<Signature, SignError> {
    let (first, others) = secrets.split_first().ok_or(SignError::Secret)?;
    let mut whole = sign(provider, first, request)?;
    for other in others {
        let more = sign(provider, other, request)?;
        for (name, value) in &mut whole.headers {
            let Some((_, new)) = more.headers.iter().find(|(other, _)| other == name) else {
                continue;
            };
            if let Some(separator) = listed(provider, name)
                && value != new
            {
                *value = join(value, new, separator);
            }
        }
    }
    Ok(whole)
}

/// The character between signatures in this header, where it may carry several.
fn listed(provider: &Provider, header: &str) -> Option<char> {
    let mut places =
        provider.schemes.iter().filter_map(Scheme::as_signed).flat_map(|signed| &signed.signatures);
    places.find_map(|place| match &place.layout {
        Layout::Fields(fields) if place.at.as_header() == Some(header) => {
            fields.between.chars().next()
        }
        Layout::Fields(_) | Layout::Whole { .. } | Layout::Positional => None,
    })
}

/// `t=1,v1=a` and `t=1,v1=b` → `t=1,v1=a,v1=b`.
fn join(first: &str, second: &str, separator: char) -> String {
    let had: Vec<&str> = first.split(separator).collect();
    let new = second.split(separator).filter(|part| !had.contains(part));
    new.fold(first.to_owned(), |whole, part| format!("{whole}{separator}{part}"))
}

fn header(name: impl Into<Text>, value: String) -> Signature {
    Signature { headers: vec![(name.into(), value)], ..Signature::default() }
}

fn token_for(token: &Token, secret: &Secret, request: &ToSign<'_>) -> Result<Signature, SignError> {
    let text = secret.expose();
    match token {
        Token::Header(name) => Ok(header(name.clone(), text.to_owned())),
        Token::Bearer => Ok(header("authorization", format!("Bearer {text}"))),
        Token::Query(name) => {
            let mark = if request.url.contains('?') { '&' } else { '?' };
            let pair =
                format!("{}={}", form::encode(name.as_bytes()), form::encode(text.as_bytes()));
            Ok(Signature {
                url: Some(format!("{}{mark}{pair}", request.url)),
                ..Signature::default()
            })
        }
        Token::AnyOf(tokens) => {
            tokens.first().map_or(Err(SignError::Scheme), |token| token_for(token, secret, request))
        }
        Token::Field(_) | Token::Each { .. } => Err(SignError::Scheme),
    }
}

/// The headers of the request and those that signing has added so far.
struct Both<'a> {
    added: Vec<(Text, String)>,
    given: &'a dyn Headers,
}

impl Headers for Both<'_> {
    fn at(&self, index: usize) -> Option<(&str, &[u8])> {
        if let Some((name, value)) = self.added.get(index) {
            return Some((name, value.as_bytes()));
        }
        self.given.at(index - self.added.len())
    }
}

fn signature(
    provider: &Provider,
    signed: &Signed,
    (secret, key): (&Secret, &Key),
    request: &ToSign<'_>,
) -> Result<Signature, SignError> {
    let place = signed.signatures.first().ok_or(SignError::Scheme)?;
    let Place { at: Field::Header(name), layout } = place else { return Err(SignError::Scheme) };
    let mut both = Both { added: Vec::new(), given: request.headers };
    if let Some(Field::Header(name)) = &signed.id {
        both.added.push((name.clone(), signable_id(request.id)?.to_owned()));
    }
    let mut stamp = String::new();
    if let Some(wanted) = &signed.stamp {
        stamp = wanted.unit.write(request.now);
        both.added.extend(stamp_header(wanted, &stamp, request)?);
    }
    let incoming =
        Incoming { method: request.method, url: request.url, headers: &both, body: request.body };
    let source = Source {
        provider,
        message: &signed.message,
        id: signed.id.as_ref(),
        body_hash_query: signed.body_hash_query.as_deref(),
        incoming: &incoming,
        body: request.body,
        url: request.url,
        stamp: Some(stamp.as_bytes()),
        names: None,
        secret: secret.expose(),
    };
    let parts = message::parts(source).map_err(SignError::Message)?;
    let slices: Vec<&[u8]> = parts.iter().map(|part| &**part).collect();
    let bytes = raw(signed.algorithm, key, &slices).ok_or(SignError::Secret)?;
    let text = layout::write(layout, &stamp, &signed.encoding.encode(&bytes));
    drop(parts);
    let mut headers = both.added;
    headers.push((name.clone(), text));
    Ok(Signature { headers, ..Signature::default() })
}

/// The header for the time; a time in the body must be there already.
fn stamp_header(
    wanted: &Stamp,
    stamp: &str,
    request: &ToSign<'_>,
) -> Result<Option<(Text, String)>, SignError> {
    let incoming = Incoming {
        method: request.method,
        url: request.url,
        headers: request.headers,
        body: request.body,
    };
    let Some(at) = &wanted.at else { return Ok(None) };
    let name = at
        .as_header()
        .or_else(|| if let Field::First(fields) = at { fields.first()?.as_header() } else { None });
    match name {
        Some(name) => Ok(Some((Cow::Owned(name.to_owned()), stamp.to_owned()))),
        None if field::read(at, &incoming, request.body).is_some() => Ok(None),
        None => Err(SignError::Message(Refusal::Missing(at.shown()))),
    }
}

fn signable_id(id: &str) -> Result<&str, SignError> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if id.is_empty() || !id.bytes().all(fine) { Err(SignError::Id) } else { Ok(id) }
}

/// The signature's bytes.
pub(crate) fn raw(algorithm: Algorithm, key: &Key, parts: &[&[u8]]) -> Option<Vec<u8>> {
    match (algorithm, key) {
        (Algorithm::Hmac(hash), Key::Hmac(key)) if key.hash() == hash => {
            Some(key.tag(parts).bytes().to_vec())
        }
        (Algorithm::Digest(hash), Key::Text) => Some(Hash::of_parts(hash, parts)),
        (algorithm, Key::Asymmetric(keys)) if keys.can_sign() => {
            keys.sign(algorithm, &parts.concat())
        }
        _ => None,
    }
}
