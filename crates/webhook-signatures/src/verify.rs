//! The check itself: a request, a provider and its secrets in; a proof or a reason out.

use crate::check::{Check, Verified};
use crate::describe::{Described, describe_knowing};
use crate::field::Seen;
use crate::incoming::Incoming;
use crate::provider::Provider;
use crate::refusal::Refusal;
use crate::scheme::Scheme;
use crate::secret::Secret;
use crate::{httpsig, jwt, shared, signed};

/// Checks a request. `now` is Unix time in seconds; for a stored request give the time at which it came in.
///
/// Every secret is tried, so that an old and a new one work side by side. With no secret that fits nothing passes.
/// The cost is one hash of the body for each secret tried; at most ten signatures are compared, in constant time.
///
/// # Errors
/// The furthest that any of the provider's schemes came. [`Refusal::Need`] is no verdict yet: fetch that key, add it
/// to `secrets` with [`Secret::fetched`], and ask again.
pub fn verify(
    provider: &Provider,
    secrets: &[Secret],
    incoming: &Incoming<'_>,
    now: i64,
) -> Result<Verified, Refusal> {
    believed(provider, secrets, incoming, now).map(|(verified, _)| verified)
}

/// [`verify`], and [`describe`](crate::describe()) of a request that passes: what the check has read is not read again.
///
/// # Errors
/// Those of [`verify`].
pub fn verify_and_describe(
    provider: &Provider,
    secrets: &[Secret],
    incoming: &Incoming<'_>,
    now: i64,
) -> Result<(Verified, Described), Refusal> {
    let (verified, seen) = believed(provider, secrets, incoming, now)?;
    Ok((verified, describe_knowing(provider, incoming, seen)))
}

/// The proof, and what was read for it.
type Believed<'a> = (Verified, Seen<'a>);

fn believed<'a>(
    provider: &'a Provider,
    secrets: &'a [Secret],
    incoming: &'a Incoming<'a>,
    now: i64,
) -> Result<Believed<'a>, Refusal> {
    let mut furthest = Refusal::NoSecret;
    for (index, scheme) in provider.schemes.iter().enumerate() {
        let check = Check { provider, secrets, incoming, now, index };
        match one(check, scheme) {
            Ok(believed) => return Ok(believed),
            Err(refusal) if refusal.rank() > furthest.rank() => furthest = refusal,
            Err(_) => {}
        }
    }
    Err(furthest)
}

fn one<'a>(check: Check<'a>, scheme: &'a Scheme) -> Result<Believed<'a>, Refusal> {
    let verified = match scheme {
        Scheme::Signed(signed) => return signed::verify(check, signed),
        Scheme::Jwt(jwt) => return jwt::verify(check, jwt),
        Scheme::None => check.open(),
        Scheme::Token(token) => shared::verify_token(check, token)?,
        Scheme::Basic => shared::verify_basic(check)?,
        Scheme::HttpSignature(scheme) => httpsig::verify(check, scheme)?,
    };
    Ok((verified, Seen::default()))
}
