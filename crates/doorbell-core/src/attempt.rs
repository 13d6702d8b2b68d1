//! One try at a delivery, and what came of it. Every fault is an outcome, never an error.

use crate::id::AttemptId;
use crate::request::Headers;
use crate::time::Time;
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Duration;

/// Why a try was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The first try.
    Initial,
    /// A retry by policy.
    Automatic,
    /// Someone asked for this one delivery to be tried.
    Manual,
    /// Part of a replay.
    Replay,
}

impl Trigger {
    /// The word used in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Automatic => "automatic",
            Self::Manual => "manual",
            Self::Replay => "replay",
        }
    }
}

/// How long the parts of an exchange took; a part that was not reached (or a reused connection) is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// Looking up the name.
    pub dns: Option<Duration>,
    /// Opening the TCP connection.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// From the request's first byte sent to the response's first byte.
    pub first_byte: Option<Duration>,
    /// From beginning to end.
    pub total: Duration,
}

/// The kinds of fault, a fixed list: docs, metrics and filters name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorClass {
    /// The name does not exist.
    DnsNotFound,
    /// The name could not be looked up now.
    DnsFailed,
    /// The address is one we never call (private, metadata, …).
    AddressForbidden,
    /// Nobody listens there.
    ConnectionRefused,
    /// The connection could not be opened for another reason.
    ConnectFailed,
    /// The connection broke or was closed before the response was complete.
    ConnectionReset,
    /// The certificate is not valid: expired.
    TlsCertificateExpired,
    /// The certificate is not valid: other name.
    TlsCertificateName,
    /// The certificate is not valid: unknown issuer or another reason.
    TlsCertificateInvalid,
    /// The TLS handshake failed for another reason.
    TlsFailed,
    /// The deadline passed while connecting (DNS, TCP, TLS).
    TimeoutConnect,
    /// The deadline passed before the response's headers came.
    TimeoutResponse,
    /// The deadline passed while the body came.
    TimeoutBody,
    /// The response is no HTTP, or its headers are too large.
    ProtocolError,
    /// A redirect; they are not followed.
    Redirect,
    /// 410: the receiver does not want this any more.
    Gone,
    /// 429: too many requests.
    TooManyRequests,
    /// Any other 4xx.
    ClientError,
    /// Any 5xx.
    ServerError,
    /// A status outside 200-599.
    StatusInvalid,
    /// The request could not be built (URL, header) or signed.
    RequestInvalid,
    /// The message broker could not be reached, or went away before it confirmed.
    QueueUnreachable,
    /// The broker does not know us, or does not allow it.
    QueueRefused,
    /// The broker has no such queue, exchange or stream, or nothing is bound to where the message goes.
    QueueMissing,
    /// The message is larger than the broker takes.
    QueueTooLarge,
    /// The broker takes nothing more at present, or did not confirm within the time.
    QueueBusy,
    /// The broker answered with another error.
    QueueFailed,
}

impl ErrorClass {
    /// All of them, for docs and decoding.
    pub const ALL: [Self; 27] = [
        Self::DnsNotFound,
        Self::DnsFailed,
        Self::AddressForbidden,
        Self::ConnectionRefused,
        Self::ConnectFailed,
        Self::ConnectionReset,
        Self::TlsCertificateExpired,
        Self::TlsCertificateName,
        Self::TlsCertificateInvalid,
        Self::TlsFailed,
        Self::TimeoutConnect,
        Self::TimeoutResponse,
        Self::TimeoutBody,
        Self::ProtocolError,
        Self::Redirect,
        Self::Gone,
        Self::TooManyRequests,
        Self::ClientError,
        Self::ServerError,
        Self::StatusInvalid,
        Self::RequestInvalid,
        Self::QueueUnreachable,
        Self::QueueRefused,
        Self::QueueMissing,
        Self::QueueTooLarge,
        Self::QueueBusy,
        Self::QueueFailed,
    ];

    /// The word used in the API.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::DnsNotFound => "dns_not_found",
            Self::DnsFailed => "dns_failed",
            Self::AddressForbidden => "address_forbidden",
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectFailed => "connect_failed",
            Self::ConnectionReset => "connection_reset",
            Self::TlsCertificateExpired => "tls_certificate_expired",
            Self::TlsCertificateName => "tls_certificate_name",
            Self::TlsCertificateInvalid => "tls_certificate_invalid",
            Self::TlsFailed => "tls_failed",
            Self::TimeoutConnect => "timeout_connect",
            Self::TimeoutResponse => "timeout_response",
            Self::TimeoutBody => "timeout_body",
            Self::ProtocolError => "protocol_error",
            Self::Redirect => "redirect",
            Self::Gone => "gone",
            Self::TooManyRequests => "too_many_requests",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::StatusInvalid => "status_invalid",
            Self::RequestInvalid => "request_invalid",
            Self::QueueUnreachable => "queue_unreachable",
            Self::QueueRefused => "queue_refused",
            Self::QueueMissing => "queue_missing",
            Self::QueueTooLarge => "queue_too_large",
            Self::QueueBusy => "queue_busy",
            Self::QueueFailed => "queue_failed",
        }
    }

    /// The class of an answer with this status; `None`: 2xx, a success.
    #[must_use]
    pub const fn of_status(status: u16) -> Option<Self> {
        match status {
            200..=299 => None,
            300..=399 => Some(Self::Redirect),
            410 => Some(Self::Gone),
            429 => Some(Self::TooManyRequests),
            400..=499 => Some(Self::ClientError),
            500..=599 => Some(Self::ServerError),
            _ => Some(Self::StatusInvalid),
        }
    }
}

/// What came of a try, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A response with this status came.
    Answered(u16),
    /// A message broker confirmed that it has it.
    Confirmed,
    /// No complete response came.
    Failed(ErrorClass),
}

impl Ending {
    /// The status, where a response came.
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        match self {
            Self::Answered(status) => Some(status),
            Self::Confirmed | Self::Failed(_) => None,
        }
    }

    /// What kind of failure it is; `None`: a success.
    #[must_use]
    pub const fn class(self) -> Option<ErrorClass> {
        match self {
            Self::Answered(status) => ErrorClass::of_status(status),
            Self::Confirmed => None,
            Self::Failed(class) => Some(class),
        }
    }
}

/// What came of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A response came, whatever its status.
    Answered(Answer),
    /// A message broker confirmed that it has it.
    Confirmed,
    /// No complete response came, or no confirmation.
    Failed(Fault),
}

impl Outcome {
    /// The same in a word.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        match self {
            Self::Answered(answer) => Ending::Answered(answer.status),
            Self::Confirmed => Ending::Confirmed,
            Self::Failed(fault) => Ending::Failed(fault.class),
        }
    }

    /// What kind of failure it is; `None`: a success.
    #[must_use]
    pub const fn class(&self) -> Option<ErrorClass> {
        self.ending().class()
    }
}

/// A response, cut to what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The response's headers, at most [`crate::limits::RESPONSE_HEADER_COUNT`] lines.
    pub headers: Headers,
    /// The body's beginning, at most [`crate::limits::RESPONSE_KEPT`] bytes.
    pub body: Bytes,
    /// Whether there was more of the body than is kept.
    pub truncated: bool,
}

/// Why no complete response came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The kind.
    pub class: ErrorClass,
    /// What the system said, for the operator ("certificate expired on 2026-11-02").
    pub detail: String,
}

/// One try at a delivery, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// From 1.
    pub number: u32,
    /// When it began.
    pub at: Time,
    /// Why it was made.
    pub trigger: Trigger,
    /// The address that was connected to.
    pub address: Option<SocketAddr>,
    /// How long its parts took.
    pub timings: Timings,
    /// What came of it.
    pub outcome: Outcome,
}
