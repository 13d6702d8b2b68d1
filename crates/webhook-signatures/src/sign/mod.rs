//! Signing: what a sender adds to a request so that [`crate::verify`], or the provider's own library, accepts it.

mod draft;
mod message;
mod httpsig;
mod jwt;

use crate::encoding::Encoding;
use crate::hash::Hash;
use crate::incoming::Headers;
use crate::json;
use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::scheme::{Algorithm, Field, Layout, Scheme, Text, Token};
use crate::secret::{Key, Secret};
use draft::Draft;
use message::Signer;

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
    /// The body has no place for what belongs into it.
    #[error(
        "the body is not of the kind that this provider sends, so the signature has no place in it"
    )]
    Body,
    /// Something that the message is made of is missing.
    #[error("the message to sign is incomplete: {0}")]
    Message(Refusal),
}

/// What to add to a request so that it passes as `provider`'s. Only the first scheme that the secret fits is used.
///
/// A time, an id, an algorithm or a URL's hash that the scheme signs is added or brought up to date; where the signature
/// stands in the body, the body is changed there and nowhere else. Public-key schemes want a private key as the secret.
///
/// # Errors
/// When the secret cannot sign, or the body has no place for what belongs into it.
pub fn sign(
    provider: &Provider,
    secret: &Secret,
    request: &ToSign<'_>,
) -> Result<Signature, SignError> {
    let mut last = Err(SignError::Secret);
    for (index, scheme) in provider.schemes.iter().enumerate() {
        let Some(key) = secret.key(index) else { continue };
        let signer = Signer { provider, secret, key };
        let mut draft = Draft::new(request);
        last = match scheme {
            Scheme::None => Ok(()),
            Scheme::Basic => {
                let text = Encoding::Base64.encode(secret.expose().as_bytes());
                draft.set_header("authorization", format!("Basic {text}"));
                Ok(())
            }
            Scheme::Token(token) => token_into(token, secret, &mut draft),
            Scheme::HttpSignature(scheme) => httpsig::sign(signer, scheme, &mut draft),
            Scheme::Jwt(jwt) => jwt::sign(signer, jwt, &mut draft),
            Scheme::Signed(signed) => message::sign(signer, signed, &mut draft),
        }
        .map(|()| draft.done());
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

fn token_into(token: &Token, secret: &Secret, draft: &mut Draft<'_>) -> Result<(), SignError> {
    let text = secret.expose();
    match token {
        Token::Header(name) => draft.set_header(name.clone(), text.to_owned()),
        Token::Bearer => draft.set_header("authorization", format!("Bearer {text}")),
        Token::Query(name) => draft.add_query(name, text),
        Token::Field(field) => draft.set(field, text)?,
        Token::AnyOf(tokens) => {
            return token_into(tokens.first().ok_or(SignError::Scheme)?, secret, draft);
        }
        Token::Each { array, pointer } => {
            let elements = json::find(&draft.body, array).and_then(|raw| json::elements(raw, 100));
            let count = elements.ok_or(SignError::Body)?.len();
            for index in 0..count {
                draft.set(&Field::json(format!("{array}/{index}{pointer}")), text)?;
            }
        }
    }
    Ok(())
}

/// The signature's bytes.
pub(crate) fn raw(algorithm: Algorithm, key: &Key, parts: &[&[u8]]) -> Option<Vec<u8>> {
    match (algorithm, key) {
        (Algorithm::Hmac(hash), Key::Hmac(key)) if key.hash() == hash => {
            Some(key.tag(parts).bytes().to_vec())
        }
        (Algorithm::Digest(hash), Key::Text) => Some(Hash::of_parts(hash, parts)),
        (algorithm, Key::Asymmetric(keys)) => keys.sign(algorithm, &parts.concat()),
        _ => None,
    }
}
