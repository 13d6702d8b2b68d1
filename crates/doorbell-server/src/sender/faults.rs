//! What the layers below say when something breaks, put into one of the fixed classes with words for the operator.

use super::meter::OverBudget;
use doorbell_core::attempt::{ErrorClass, Fault};
use doorbell_core::limits;
use doorbell_core::time::Time;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};
use std::error::Error;
use std::io;
use std::net::SocketAddr;

pub(super) const fn fault(class: ErrorClass, detail: String) -> Fault {
    Fault { class, detail }
}

/// Why none of these addresses could be connected to.
pub(super) fn of_connect(tried: &[(SocketAddr, io::Error)]) -> Fault {
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    let all_refused = !tried.is_empty() && tried.iter().all(|(_, error)| refused(error));
    let class = if all_refused { ErrorClass::ConnectionRefused } else { ErrorClass::ConnectFailed };
    let each: Vec<String> =
        tried.iter().map(|(address, error)| format!("{address}: {error}")).collect();
    fault(class, format!("could not connect: {}", each.join("; ")))
}

/// Why the TLS handshake failed.
pub(super) fn of_handshake(error: &io::Error) -> Fault {
    if find::<OverBudget>(error).is_some() {
        return fault(ErrorClass::TlsFailed, format!("in the TLS handshake: {OverBudget}"));
    }
    match find::<rustls::Error>(error) {
        Some(error) => of_tls(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => fault(
            ErrorClass::TlsFailed,
            "the receiver closed the connection during the TLS handshake".to_owned(),
        ),
        None => fault(ErrorClass::TlsFailed, format!("in the TLS handshake: {error}")),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign list that grows; each has words")]
fn of_tls(error: &rustls::Error) -> Fault {
    match error {
        rustls::Error::InvalidCertificate(why) => of_certificate(why),
        rustls::Error::InvalidMessage(_) => fault(
            ErrorClass::TlsFailed,
            format!("the receiver does not speak TLS on this port ({error})"),
        ),
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::AccessDenied,
        ) => fault(
            ErrorClass::TlsFailed,
            format!("the receiver wants a client certificate ({error})"),
        ),
        other => fault(ErrorClass::TlsFailed, other.to_string()),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "a foreign list that grows; each has words")]
fn of_certificate(why: &CertificateError) -> Fault {
    let (class, detail) = match why {
        CertificateError::ExpiredContext { not_after, .. } => (
            ErrorClass::TlsCertificateExpired,
            format!("certificate expired on {}", day(*not_after)),
        ),
        CertificateError::Expired => {
            (ErrorClass::TlsCertificateExpired, "certificate expired".to_owned())
        }
        CertificateError::NotValidForNameContext { expected, presented } => (
            ErrorClass::TlsCertificateName,
            format!(
                "certificate is not for {} but for {}",
                expected.to_str(),
                names(presented)
            ),
        ),
        CertificateError::NotValidForName => (
            ErrorClass::TlsCertificateName,
            "certificate is for another name".to_owned(),
        ),
        CertificateError::NotValidYetContext { not_before, .. } => (
            ErrorClass::TlsCertificateInvalid,
            format!("certificate is not valid before {}", day(*not_before)),
        ),
        CertificateError::UnknownIssuer => (
            ErrorClass::TlsCertificateInvalid,
            "certificate is signed by an unknown authority, or its intermediate certificate is missing"
                .to_owned(),
        ),
        other => (ErrorClass::TlsCertificateInvalid, format!("certificate is not valid: {other}")),
    };
    fault(class, detail)
}

fn names(presented: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> =
        presented.iter().take(SHOWN).map(|name| name.chars().take(100).collect()).collect();
    match (shown.is_empty(), presented.len() > SHOWN) {
        (true, _) => "no name at all".to_owned(),
        (false, more) => shown.join(", ") + if more { ", …" } else { "" },
    }
}

fn day(at: UnixTime) -> String {
    let at = Time::from_ms(at.as_secs().saturating_mul(1000)).to_string();
    at.split('T').next().unwrap_or_default().to_owned()
}

/// Why no response's headers came.
pub(super) fn of_head(error: &hyper::Error) -> Fault {
    let (block, lines) = (limits::RESPONSE_HEADER_BLOCK, limits::RESPONSE_HEADER_COUNT);
    if error.is_parse_too_large() {
        let detail = format!("the response's headers are more than {block} bytes or {lines} lines");
        return fault(ErrorClass::ProtocolError, detail);
    }
    if error.is_parse() {
        let detail = format!("the receiver's answer is not HTTP: {}", chain(error));
        return fault(ErrorClass::ProtocolError, detail);
    }
    of_stream(error, "before the response came")
}

/// Why the response's body did not come whole; `got` bytes of it did.
pub(super) fn of_body(error: &hyper::Error, status: u16, got: usize) -> Fault {
    of_stream(error, &format!("in the response's body (status {status}, {got} bytes came)"))
}

/// Whether the exchange read as much as it may: of a body, that is its end.
pub(super) fn is_over_budget(error: &hyper::Error) -> bool {
    find::<OverBudget>(error).is_some()
}

fn of_stream(error: &hyper::Error, when: &str) -> Fault {
    if is_over_budget(error) {
        return fault(ErrorClass::ProtocolError, format!("{OverBudget}, {when}"));
    }
    if let Some(error) = find::<rustls::Error>(error) {
        return of_tls(error);
    }
    let io_kind = find::<io::Error>(error).map(io::Error::kind);
    let garbled = matches!(io_kind, Some(io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput));
    let ours = find::<h2::Error>(error).is_some_and(|error| !error.is_remote() && !error.is_io());
    if garbled || ours {
        return fault(ErrorClass::ProtocolError, format!("{}, {when}", chain(error)));
    }
    fault(ErrorClass::ConnectionReset, format!("the connection broke {when}: {}", chain(error)))
}

/// An error of this type, itself or further down. `io::Error` hides what it wraps from [`Error::source`].
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

/// The error and its causes in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

/// An exchange that failed on its connection.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) fault: Fault,
    /// Whether nothing of a response had come. On a connection that was used before, this is what it looks like when the
    /// receiver has closed it in the meantime.
    pub(super) unanswered: bool,
}

impl Broken {
    pub(super) const fn before_head(fault: Fault) -> Self {
        Self { fault, unanswered: true }
    }

    pub(super) const fn after_head(fault: Fault) -> Self {
        Self { fault, unanswered: false }
    }

    /// Whether the same request may go out once more on a fresh connection, when this one was not fresh. The receiver may
    /// have seen it: delivery is at least once, under the same id.
    pub(super) fn is_stale(&self) -> bool {
        self.unanswered && self.fault.class == ErrorClass::ConnectionReset
    }
}
