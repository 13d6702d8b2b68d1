//! The HTTP messages themselves: the request as it goes out, and the answer as it is kept.

use super::faults::{fault, is_over_budget, of_body};
use super::trace::{Phase, Trace};
use bytes::Bytes;
use doorbell_core::attempt::{Answer, ErrorClass, Fault};
use doorbell_core::header::is_hop;
use doorbell_core::limits;
use doorbell_core::outgoing::Outgoing;
use doorbell_core::request::Headers;
use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};

/// Which protocol a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The request in the form that the protocol wants. Names and values are checked here once more: nothing that could end
/// a header line gets onto the wire.
pub(super) fn request(
    outgoing: &Outgoing,
    protocol: Protocol,
) -> Result<Request<Full<Bytes>>, Fault> {
    let invalid = |what: String| fault(ErrorClass::RequestInvalid, what);
    let method = Method::from_bytes(outgoing.method.as_bytes())
        .ok()
        .filter(|method| *method != Method::CONNECT)
        .ok_or_else(|| invalid(format!("{:?} is no method to deliver with", outgoing.method)))?;
    let target = match protocol {
        Protocol::Http1 => outgoing.url.path_and_query(),
        Protocol::Http2 => outgoing.url.as_str(),
    };
    let uri: Uri = target.parse().map_err(|error| invalid(format!("the URL: {error}")))?;
    let mut request = Request::new(Full::new(outgoing.body.clone()));
    *request.headers_mut() = header_map(outgoing, protocol, &method).map_err(invalid)?;
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    Ok(request)
}

fn header_map(
    outgoing: &Outgoing,
    protocol: Protocol,
    method: &Method,
) -> Result<HeaderMap, String> {
    let mut map = HeaderMap::with_capacity(outgoing.headers.len() + 2);
    if protocol == Protocol::Http1 {
        let host = HeaderValue::from_str(outgoing.url.authority());
        map.insert(HOST, host.map_err(|error| format!("the URL's host: {error}"))?);
    }
    for (name, value) in outgoing.headers.iter() {
        // One of these could cut the message short, smuggle a second one, or turn the connection into something else.
        if is_hop(name) {
            return Err(format!("the header {name} is not the request's to set"));
        }
        let bad = || {
            format!("the header {:?} cannot be sent", name.chars().take(100).collect::<String>())
        };
        let checked = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
        map.append(checked, HeaderValue::from_bytes(value).map_err(|_| bad())?);
    }
    // A method that usually has a body says so when it is empty (RFC 9110, section 8.6); some servers answer 411 else.
    if outgoing.body.is_empty() && [Method::POST, Method::PUT, Method::PATCH].contains(method) {
        map.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(map)
}

/// Whether a response was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It was: the connection can carry another.
    Complete,
    /// There was more than is read.
    Cut,
}

/// Reads a response: all of its headers, and of its body `keep` bytes; the rest up to [`limits::RESPONSE_READ`] is read
/// and thrown away, so that an ordinary long answer does not cost its connection.
pub(super) async fn answer(
    response: Response<Incoming>,
    keep: usize,
    trace: &mut Trace,
) -> Result<(Answer, Ending), Fault> {
    trace.enter(Phase::Body);
    let (head, mut body) = response.into_parts();
    let status = head.status.as_u16();
    let headers = kept_headers(&head.headers)?;
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut kept = Vec::with_capacity(expected.min(keep));
    let mut read = 0_usize;
    let mut ending = Ending::Complete;
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) if is_over_budget(&error) => {
                ending = Ending::Cut;
                break;
            }
            Err(error) => return Err(of_body(&error, status, read)),
        };
        let Ok(data) = frame.into_data() else { continue };
        let room = keep.saturating_sub(kept.len());
        kept.extend_from_slice(data.get(..room).unwrap_or(&data));
        read = read.saturating_add(data.len());
        if read > super::limits::read(keep) {
            ending = Ending::Cut;
            break;
        }
    }
    let truncated = read > kept.len() || ending == Ending::Cut;
    Ok((Answer { status, headers, body: kept.into(), truncated }, ending))
}

/// Copies of the header lines: hyper's own are slices of a read buffer that may be a thousand times their size.
fn kept_headers(map: &HeaderMap) -> Result<Headers, Fault> {
    if map.len() > limits::RESPONSE_HEADER_COUNT {
        let detail =
            format!("the response has more than {} header lines", limits::RESPONSE_HEADER_COUNT);
        return Err(fault(ErrorClass::ProtocolError, detail));
    }
    let mut headers = Headers::with_capacity(map.len());
    for (name, value) in map {
        headers.push(name.as_str(), Bytes::copy_from_slice(value.as_bytes()));
    }
    Ok(headers)
}
