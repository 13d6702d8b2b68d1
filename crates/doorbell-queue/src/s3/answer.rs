//! What S3 answers when something went wrong.

use super::xml;
use crate::aws::{Answer, by_status, error};
use crate::message::QueueError;
use crate::site::Credentials;

/// Characters of an error's own words that are said again.
const LONGEST_TEXT: usize = 300;

/// An answer that is no error.
pub(super) fn well(answer: Answer, who: Option<&Credentials>) -> Result<Answer, QueueError> {
    if answer.status.is_success() { Ok(answer) } else { Err(failure(&answer, who)) }
}

/// Whether it says that nothing is under that name.
pub(super) fn is_nothing(answer: &Answer) -> bool {
    answer.status.as_u16() == 404 && said(answer).0 == "NoSuchKey"
}

fn failure(answer: &Answer, who: Option<&Credentials>) -> QueueError {
    // Whole: of a secret that is cut short the rest would be said.
    let (code, text) = said(answer);
    let [code, text] = [code, text].map(|said| shortened(&without_credentials(said, who)));
    if code.is_empty() {
        let text = answer.status.to_string();
        return by_status(QueueError::Failed(text.clone()), answer.status, text);
    }
    let both = format!("{code} {text}");
    match code.as_str() {
        "NoSuchBucket" => QueueError::NoSuchQueue(both),
        // Another region or another host would do.
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "RequestTimeTooSkewed" => {
            QueueError::Refused(both)
        }
        // The first is what a bucket says that is so new that not every name server knows it.
        "TemporaryRedirect" | "SlowDown" | "OperationAborted" => QueueError::Busy(both),
        _ => by_status(error(&code, &text), answer.status, both),
    }
}

/// Code and message of an error document; empty where there is none.
fn said(answer: &Answer) -> (String, String) {
    let (mut code, mut message) = (String::new(), String::new());
    let bytes = answer.body.as_deref().unwrap_or_default();
    let read = xml::read(bytes, |path, text| match path {
        ["Error", "Code"] => text.clone_into(&mut code),
        ["Error", "Message"] => text.clone_into(&mut message),
        _ => {}
    });
    read.map(|()| (code, message)).unwrap_or_default()
}

/// What may stand in a line of a log.
fn shortened(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Some servers say again what they were sent: the key's id and the session's token are.
fn without_credentials(text: String, who: Option<&Credentials>) -> String {
    let Some(who) = who else { return text };
    let secrets = [who.session.as_ref(), who.password.as_ref()].into_iter().flatten();
    let secrets = secrets.map(|secret| secret.reveal()).chain([who.user.as_str()]);
    secrets
        .filter(|secret| !secret.is_empty())
        .fold(text, |text, secret| text.replace(secret, "***"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use doorbell_core::secret::SecretText;
    use http::StatusCode;

    fn answer(status: u16, body: &str) -> Answer {
        let body = Some(Bytes::copy_from_slice(body.as_bytes()));
        Answer { status: StatusCode::from_u16(status).unwrap(), body }
    }

    fn error_of(status: u16, code: &str) -> QueueError {
        let text = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>so it is</Message></Error>"
        );
        well(answer(status, &text), None).unwrap_err()
    }

    #[test]
    fn errors_say_what_to_do() {
        type Kind = fn(String) -> QueueError;
        let all: [(u16, &str, Kind); 16] = [
            (404, "NoSuchBucket", QueueError::NoSuchQueue),
            (403, "AccessDenied", QueueError::Refused),
            (403, "SignatureDoesNotMatch", QueueError::Refused),
            (403, "InvalidAccessKeyId", QueueError::Refused),
            (400, "ExpiredToken", QueueError::Refused),
            (400, "AuthorizationHeaderMalformed", QueueError::Refused),
            (403, "RequestTimeTooSkewed", QueueError::Refused),
            (403, "AllAccessDisabled", QueueError::Refused),
            (301, "PermanentRedirect", QueueError::Refused),
            (400, "EntityTooLarge", QueueError::TooLarge),
            (503, "SlowDown", QueueError::Busy),
            (500, "InternalError", QueueError::Busy),
            (400, "RequestTimeout", QueueError::Busy),
            (409, "OperationAborted", QueueError::Busy),
            (507, "XMinioStorageFull", QueueError::Busy),
            (400, "InvalidArgument", QueueError::Failed),
        ];
        for (status, code, kind) in all {
            assert_eq!(error_of(status, code), kind(format!("{code} so it is")));
        }
    }

    #[test]
    fn errors_without_a_document_go_by_their_status() {
        for body in ["", "<html>502</html>", "<Error><Code>SlowDown</Code>", "\u{0}"] {
            let error = |status| well(answer(status, body), None).unwrap_err();
            assert!(matches!(error(502), QueueError::Busy(_)), "{body}");
            assert!(matches!(error(403), QueueError::Refused(_)), "{body}");
            // Nobody said that the key is not there: a proxy that knows no such path says the same.
            assert!(matches!(error(404), QueueError::Failed(_)), "{body}");
            assert!(!is_nothing(&answer(404, body)), "{body}");
        }
        let long = Answer { status: StatusCode::SERVICE_UNAVAILABLE, body: None };
        assert!(matches!(well(long, None), Err(QueueError::Busy(_))));
    }

    #[test]
    fn errors_say_no_credentials() {
        let secret = |text| SecretText::parse(text).ok();
        let who = Credentials {
            user: "KEY".to_owned(),
            password: secret("SECRET"),
            session: secret("TOKEN"),
        };
        let text = "<Error><Code>AccessDenied</Code><Message>KEY, TOKEN\nand SECRET</Message><AWSAccessKeyId>KEY</AWSAccessKeyId></Error>";
        let error = well(answer(403, text), Some(&who)).unwrap_err();
        assert_eq!(error, QueueError::Refused("AccessDenied ***, *** and ***".to_owned()));
        // Longer than what is said again, and in the code: cut short it would not be known any more.
        let token = "TOKEN-".repeat(100);
        let who = Credentials { session: secret(&token), ..who };
        let text = format!("<Error><Code>{token}</Code><Message>not {token}</Message></Error>");
        let error = well(answer(400, &text), Some(&who)).unwrap_err().to_string();
        assert!(error.ends_with("*** not ***"), "{error}");
        let long =
            format!("<Error><Code>X</Code><Message>{}</Message></Error>", "x".repeat(10_000));
        assert!(well(answer(400, &long), None).unwrap_err().to_string().len() < 400);
    }
}
