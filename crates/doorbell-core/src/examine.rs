//! A request looked at once more, after the fact: whether its source would believe it, and if not, why.

use crate::directory::ReadySource;
use crate::intake::called_url;
use crate::limits;
use crate::request::Request;
use crate::time::Time;
use crate::verifier::Misconfigured;
use webhook_signatures::{
    Described, Explanation, Incoming, KeyRequest, Known, Provider, Refusal, Secret,
};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// The URL that the check took for the called one.
    pub url: String,
    /// Whether the check depends on it.
    pub url_signed: bool,
    /// The verdict, and why.
    pub explanation: Explanation,
    /// What the request says it is.
    pub described: Described,
    /// What of the request is not there, in a sentence.
    pub doubt: Option<String>,
}

/// What a request is examined with, beside its source.
#[derive(Clone, Copy)]
pub struct Tried<'a> {
    /// The called URL, where the caller knows better than the source's settings.
    pub url: Option<&'a str>,
    /// The secrets of other sources; with a large body they are not tried.
    pub known: &'a [Known<'a>],
    /// The provider's own key, where it was fetched before.
    pub fetched: &'a dyn Fn(&Provider, &KeyRequest) -> Option<Secret>,
}

impl std::fmt::Debug for Tried<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tried").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Examines a request as if it had come in at `at`.
///
/// It runs many checks: bytes times some fifty. Not for the way to an answer.
///
/// # Errors
/// [`Misconfigured`], when the source can believe nobody.
pub fn examine<'r>(
    ready: &'r ReadySource,
    request: &Request,
    at: Time,
    tried: Tried<'_>,
) -> Result<Examined, &'r Misconfigured> {
    let verifier = ready.verifier()?;
    let Tried { url, known, fetched } = tried;
    let url = url.map_or_else(|| called_url(ready, request), str::to_owned);
    let Request { method, headers, body, .. } = request;
    let incoming = Incoming { method, url: &url, headers, body };
    let known = if body.len() > limits::EXAMINED_WITH_OTHERS { &[] } else { known };
    let now = at.unix_seconds();
    let keyed = match verifier.verify(&incoming, now) {
        Err(Refusal::Need(key)) => fetched(verifier.provider(), &key),
        Ok(_) | Err(_) => None,
    };
    let keyed = keyed.map(|key| verifier.with_fetched(key));
    let explanation = keyed.as_ref().unwrap_or(verifier).explain(known, &incoming, now);
    let described = webhook_signatures::describe(verifier.provider(), &incoming);
    let url_signed = verifier.provider().signs_url();
    Ok(Examined { explanation, described, doubt: cut(request), url, url_signed })
}

/// Of a rejected request only the body's beginning is kept.
fn cut(request: &Request) -> Option<String> {
    let said: usize = request.headers.text("content-length")?.trim().parse().ok()?;
    let kept = request.body.len();
    (kept == limits::REJECTED_BODY_KEPT && said > kept).then(|| {
        format!("Only the first {kept} of the body's {said} bytes are kept of a rejected request, so no signature over it fits.")
    })
}
