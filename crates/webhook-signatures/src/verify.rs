//! The check itself: a request, a provider and its secrets in; a proof or a reason out.

use crate::check::{Check, Verified};
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
    let mut furthest = Refusal::NoSecret;
    for (index, scheme) in provider.schemes.iter().enumerate() {
        let check = Check { provider, secrets, incoming, now, index };
        match one(check, scheme) {
            Ok(verified) => return Ok(verified),
            Err(refusal) if refusal.rank() > furthest.rank() => furthest = refusal,
            Err(_) => {}
        }
    }
    Err(furthest)
}

fn one<'a>(check: Check<'a>, scheme: &'a Scheme) -> Result<Verified, Refusal> {
    match scheme {
        Scheme::None => Ok(check.open()),
        Scheme::Signed(signed) => signed::verify(check, signed),
        Scheme::Token(token) => shared::verify_token(check, token),
        Scheme::Basic => shared::verify_basic(check),
        Scheme::HttpSignature(scheme) => httpsig::verify(check, scheme),
        Scheme::Jwt(jwt) => jwt::verify(check, jwt),
    }
}
