//! Errors of Amazon's services as ours.

use crate::message::QueueError;
use http::StatusCode;

/// One of AWS's errors as ours. Codes come as `com.amazonaws.sqs#QueueDoesNotExist` or, from older hands, as
/// `AWS.SimpleQueueService.NonExistentQueue`.
pub(crate) fn error(code: &str, text: &str) -> QueueError {
    let short = code.rsplit(['#', '.']).next().unwrap_or_default();
    let text = format!("{short} {text}");
    let says = |words: &[&str]| words.iter().any(|word| short.contains(word));
    if says(&["DoesNotExist", "NonExistentQueue", "QueueDeletedRecently"]) {
        QueueError::NoSuchQueue(text)
    } else if says(&[
        "AccessDenied",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "UnrecognizedClient",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "MissingAuthentication",
        "InvalidSecurity",
    ]) {
        QueueError::Refused(text)
    } else if says(&["TooLong", "TooLarge"]) || text.contains("must be shorter than") {
        QueueError::TooLarge(text)
    } else if says(&[
        "Throttl",
        "OverLimit",
        "Unavailable",
        "InternalError",
        "InternalFailure",
        "RequestTimeout",
    ]) {
        QueueError::Busy(text)
    } else {
        QueueError::Failed(text)
    }
}

/// What the status says where the code said nothing that is known here.
pub(crate) fn by_status(error: QueueError, status: StatusCode, text: String) -> QueueError {
    let server = status.is_server_error() || status.as_u16() == 429;
    if !matches!(error, QueueError::Failed(_)) {
        error
    } else if server {
        QueueError::Busy(text)
    } else if matches!(status.as_u16(), 401 | 403) {
        QueueError::Refused(text)
    } else {
        error
    }
}
