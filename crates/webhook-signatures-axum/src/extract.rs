//! The extractor.

use crate::receiver::{Receiver, Refused};
use axum::body::Body;
use axum::extract::{FromRef, FromRequest, Request};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use webhook_signatures::{Described, Verified};

/// A webhook that its provider signed. Only the extractor makes one; the router's state must hold a [`Receiver`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Webhook {
    /// The body's bytes as they came.
    pub body: Bytes,
    /// The headers.
    pub headers: HeaderMap,
    /// The method.
    pub method: Method,
    /// The request's target.
    pub uri: Uri,
    /// Which secret it was, and when it was signed.
    pub verified: Verified,
    /// The event's id and type.
    pub described: Described,
}

impl<S> FromRequest<S> for Webhook
where
    Receiver: FromRef<S>,
    S: Send + Sync,
{
    /// The answer to whoever is not believed, or to the provider's question.
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let receiver = Receiver::from_ref(state);
        let (parts, body) = request.into_parts();
        let body = match Limited::new(body, receiver.limit()).collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(fault) => {
                let status = if fault.is::<LengthLimitError>() { 413 } else { 400 };
                return Err(receiver.refuse(status, &Refused::Body).map(Body::from));
            }
        };
        let (verified, described) =
            receiver.judge(&parts, &body).map_err(|answer| answer.map(Body::from))?;
        let http::request::Parts { headers, method, uri, .. } = parts;
        Ok(Self { body, headers, method, uri, verified, described })
    }
}
