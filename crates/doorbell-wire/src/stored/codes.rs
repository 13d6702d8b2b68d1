//! The bytes that stand for the small enums. A byte is never reused.

use super::DecodeError;
use doorbell_core::attempt::{ErrorClass, Trigger};
use doorbell_core::delivery::DiscardReason;
use doorbell_core::event::RejectionReason;

macro_rules! codes {
    ($($(#[$doc:meta])* $vis:vis $to:ident $from:ident $type:ident $what:literal { $($variant:ident = $code:literal,)* })*) => {$(
        $(#[$doc])*
        $vis const fn $to(value: $type) -> u8 {
            match value {
                $($type::$variant => $code,)*
            }
        }

        $(#[$doc])*
        $vis const fn $from(code: u8) -> Result<$type, DecodeError> {
            match code {
                $($code => Ok($type::$variant),)*
                _ => Err(DecodeError::Code { what: $what, code }),
            }
        }
    )*};
}

codes! {
    pub(super) trigger_code trigger_of Trigger "a trigger" {
        Initial = 1,
        Automatic = 2,
        Manual = 3,
        Replay = 4,
    }
    pub(super) discard_code discard_of DiscardReason "a reason to discard" {
        EndpointDisabled = 1,
        EndpointDeleted = 2,
        Filtered = 3,
        Cancelled = 4,
    }
    pub(super) rejection_code rejection_of RejectionReason "a reason to reject" {
        Verification = 1,
        SourceDisabled = 2,
        Method = 3,
        BodyTooLarge = 4,
        Malformed = 5,
        KeyReused = 6,
    }
    /// The byte that stands for an error class, and back.
    ///
    /// # Errors
    /// [`DecodeError::Code`] for a byte that stands for none.
    pub class_code class_of ErrorClass "an error class" {
        DnsNotFound = 1,
        DnsFailed = 2,
        AddressForbidden = 3,
        ConnectionRefused = 4,
        ConnectFailed = 5,
        ConnectionReset = 6,
        TlsCertificateExpired = 7,
        TlsCertificateName = 8,
        TlsCertificateInvalid = 9,
        TlsFailed = 10,
        TimeoutConnect = 11,
        TimeoutResponse = 12,
        TimeoutBody = 13,
        ProtocolError = 14,
        Redirect = 15,
        Gone = 16,
        TooManyRequests = 17,
        ClientError = 18,
        ServerError = 19,
        StatusInvalid = 20,
        RequestInvalid = 21,
        QueueUnreachable = 22,
        QueueRefused = 23,
        QueueMissing = 24,
        QueueTooLarge = 25,
        QueueBusy = 26,
        QueueFailed = 27,
    }
}
