//! The request that carries an event to an endpoint, written anew for each try, since the time in it is signed.
//!
//! What came in goes on: method, raw query, header lines in order, the body's bytes. Left out is what belongs to the
//! connection; added are the endpoint's own header lines (in place of any of the same name), Standard Webhooks' three, and
//! a few of ours. A first sender's own `webhook-…` lines go on under another name ([`crate::header::ORIGINAL`]), so an
//! application can still check both signatures: ours over `webhook-id`, the first sender's over
//! `doorbell-original-webhook-id` and its sisters. The path behind the source's name is not made part of the URL: nobody
//! signs it, and it could lead out of the endpoint's path; it goes on as `doorbell-path`.

use crate::attempt::{ErrorClass, Fault};
use crate::directory::{ReadyEndpoint, Signers};
use crate::endpoint_address::EndpointAddress;
use crate::endpoint_url::EndpointUrl;
use crate::event::Event;
use crate::header;
use crate::limits;
use crate::request::Headers;
use crate::time::Time;
use crate::trace::{Context, TRACEPARENT};
use bytes::Bytes;
use std::time::Duration;
use webhook_signatures::ToSign;

/// A request, ready to be carried. The sender adds `Host` and `Content-Length`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The method.
    pub method: String,
    /// Where it goes, the original query included.
    pub url: EndpointUrl,
    /// The header lines, in order.
    pub headers: Headers,
    /// The body's bytes.
    pub body: Bytes,
    /// The deadline over everything.
    pub timeout: Duration,
    /// Bytes of the response's body that are kept.
    pub keep: usize,
}

/// Writes the `number`-th try (from 1) of an event to an endpoint that is called by HTTP; with a `trace`, it is named in place
/// of the sender's.
///
/// # Errors
/// A [`Fault`] of class [`ErrorClass::RequestInvalid`] when the endpoint's URL, headers, filter or secrets cannot be used:
/// an outcome like any other, so that it is kept and shown.
pub fn write(
    event: &Event,
    endpoint: &ReadyEndpoint,
    (number, trace): (u32, Option<Context>),
    now: Time,
) -> Result<Outgoing, Fault> {
    let (address, signers) = endpoint.usable().map_err(invalid)?;
    let EndpointAddress::Http(url) = address else {
        return Err(invalid("the endpoint is a queue, and nothing that is called"));
    };
    let url = match event.request.query.as_deref() {
        Some(query) if !query.is_empty() => url.with_query(query).ok_or_else(|| {
            invalid("the query of the original request cannot be put behind the endpoint's URL")
        })?,
        _ => url.clone(),
    };
    let mut headers = passed(event, endpoint, trace)?;
    ours(&mut headers, event, number);
    let signed = Signed::of(event, url.as_str(), &event.request.body);
    sign(&mut headers, &signed, (signers, now))?;
    Ok(Outgoing {
        method: event.request.method.clone(),
        url,
        headers,
        body: event.request.body.clone(),
        timeout: endpoint.endpoint().policy.timeout.clamp(limits::TIMEOUT_MIN, limits::TIMEOUT_MAX),
        keep: limits::RESPONSE_KEPT,
    })
}

pub(crate) fn invalid(detail: impl Into<String>) -> Fault {
    Fault { class: ErrorClass::RequestInvalid, detail: detail.into() }
}

/// The original lines that go on, then the endpoint's own.
pub(crate) fn passed(
    event: &Event,
    endpoint: &ReadyEndpoint,
    trace: Option<Context>,
) -> Result<Headers, Fault> {
    let own = &endpoint.endpoint().headers;
    header::may_add_all(own).map_err(|why| invalid(why.to_string()))?;
    let mut headers = Headers::with_capacity(event.request.headers.len() + own.len() + 8);
    for (name, value) in header::passed(&event.request.headers) {
        let traced = trace.is_some() && name == TRACEPARENT;
        if !traced && !own.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name)) {
            headers.push(&name, Bytes::copy_from_slice(value));
        }
    }
    if let Some(trace) = trace {
        headers.push(TRACEPARENT, trace.to_string());
    }
    for (name, value) in own {
        headers.push(name, value.clone());
    }
    Ok(headers)
}

pub(crate) fn ours(headers: &mut Headers, event: &Event, number: u32) {
    headers.push(header::ATTEMPT, number.to_string());
    if let Some(event_type) = &event.event_type {
        headers.push("doorbell-event-type", event_type.to_string());
    }
    if !event.request.path.is_empty() {
        headers.push("doorbell-path", event.request.path.clone());
    }
}

/// What is signed.
pub(crate) struct Signed<'a> {
    id: String,
    url: &'a str,
    method: &'a str,
    body: &'a [u8],
}

impl<'a> Signed<'a> {
    /// The event, as it goes to this address with this body.
    pub(crate) fn of(event: &'a Event, url: &'a str, body: &'a [u8]) -> Self {
        Self { id: event.id.to_string(), url, method: &event.request.method, body }
    }

    fn request(&'a self, headers: &'a Headers, now: Time) -> ToSign<'a> {
        ToSign {
            id: &self.id,
            now: now.unix_seconds(),
            url: self.url,
            method: self.method,
            headers,
            body: self.body,
        }
    }
}

/// Standard Webhooks: `webhook-id` (the event's id, the same on every try), `webhook-timestamp` (of this try), and
/// `webhook-signature` by every secret that is good now; then the further signature, where the endpoint has one.
pub(crate) fn sign(
    headers: &mut Headers,
    signed: &Signed<'_>,
    (signers, now): (&Signers, Time),
) -> Result<(), Fault> {
    if signers.is_unsigned() {
        headers.push("webhook-id", &signed.id);
        headers.push("webhook-timestamp", now.unix_seconds().to_string());
    } else {
        standard(headers, signed, (signers, now))?;
    }
    let Some(extra) = &signers.extra else { return Ok(()) };
    let signature = extra
        .sign(&signed.request(headers, now))
        .map_err(|why| invalid(format!("the extra signature cannot be made: {why}")))?;
    let mut all = Headers::with_capacity(headers.len() + signature.headers.len());
    for (name, value) in headers.iter() {
        // The first sender's signature of the same name would be another one's.
        if !signature.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
            all.push(name, value);
        }
    }
    for (name, value) in signature.headers {
        all.push(&name, value);
    }
    *headers = all;
    Ok(())
}

fn standard(
    headers: &mut Headers,
    signed: &Signed<'_>,
    (signers, now): (&Signers, Time),
) -> Result<(), Fault> {
    let live = signers.live(now);
    if live.is_empty() {
        return Err(invalid("all signing secrets of the endpoint have expired: give it a new one"));
    }
    let request = signed.request(headers, now);
    let signature = webhook_signatures::sign_all(signers.provider, &live, &request)
        .map_err(|why| invalid(format!("the request cannot be signed: {why}")))?;
    for (name, value) in signature.headers {
        headers.push(&name, value);
    }
    Ok(())
}
