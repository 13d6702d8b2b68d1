//! What S3 answers: errors and listings.

use super::place::Place;
use super::xml;
use crate::aws::{Answer, by_status, error};
use crate::limits;
use crate::message::QueueError;
use crate::site::Credentials;

/// Characters of an error's own words that are said again.
const LONGEST_TEXT: usize = 300;

/// What is in a folder of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// Names of what can be got, relative to the prefix of the bucket, in S3's order. Somebody else may have put something
    /// there whose name [`Bucket`](super::Bucket) refuses.
    pub names: Vec<String>,
    /// Names of folders, relative as well, without a slash at their end.
    pub folders: Vec<String>,
    /// Whether there is more than was listed.
    pub more: bool,
}

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

/// A listing of what begins with `asked`.
pub(super) fn listed(bytes: &[u8], place: &Place, asked: &str) -> Result<Listed, QueueError> {
    // Who is told of nothing may take it for empty: what is not understood is not taken for a listing.
    let mut all = all(bytes).ok_or_else(|| QueueError::odd("a listing that is none"))?;
    if all.names.len() + all.folders.len() > limits::S3_LISTED {
        return Err(QueueError::odd("a listing longer than what was asked for"));
    }
    // Consoles make folders by an empty thing that is named like them.
    all.names.retain(|key| key != asked);
    let name = |key: &String| {
        let name = place.name(key).filter(|_| key.starts_with(asked));
        name.map(str::to_owned).ok_or_else(|| QueueError::odd("a key that was not asked for"))
    };
    let folder = |key: &String| {
        let name = name(key)?;
        Ok(name.strip_suffix('/').map(str::to_owned).unwrap_or(name))
    };
    let names = all.names.iter().map(name).collect::<Result<_, _>>()?;
    let folders = all.folders.iter().map(folder).collect::<Result<_, QueueError>>()?;
    Ok(Listed { names, folders, more: all.more })
}

/// All keys and common beginnings of keys, as they stand there.
fn all(bytes: &[u8]) -> Option<Listed> {
    let (mut names, mut folders, mut more) = (Vec::new(), Vec::new(), None);
    xml::read(bytes, |path, text| match path {
        ["ListBucketResult", "Contents", "Key"] => names.push(text.to_owned()),
        ["ListBucketResult", "CommonPrefixes", "Prefix"] => folders.push(text.to_owned()),
        ["ListBucketResult", "IsTruncated"] => more = Some(text == "true"),
        _ => {}
    })?;
    Some(Listed { names, folders, more: more? })
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
        let long =
            format!("<Error><Code>X</Code><Message>{}</Message></Error>", "x".repeat(10_000));
        assert!(well(answer(400, &long), None).unwrap_err().to_string().len() < 400);
    }

    #[test]
    fn a_listing_is_relative() {
        let place = Place::parse("s3+https://h/bucket/p").unwrap();
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
            <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>bucket</Name><Prefix>p/a/</Prefix>
              <KeyCount>4</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>true</IsTruncated>
              <Contents><Key>p/a/</Key><Owner><ID>x</ID></Owner></Contents>
              <Contents><Key>p/a/one</Key><ETag>&quot;1&quot;</ETag></Contents>
              <Contents><Key>p/a/&lt;&amp;&#233;&gt; .</Key></Contents>
              <CommonPrefixes><Prefix>p/a/b/</Prefix></CommonPrefixes>
            </ListBucketResult>";
        let names = ["a/one", "a/<&é> ."].map(str::to_owned).to_vec();
        let wanted = Listed { names, folders: vec!["a/b".to_owned()], more: true };
        assert_eq!(listed(text.as_bytes(), &place, "p/a/").unwrap(), wanted);
        assert!(listed(text.as_bytes(), &place, "p/b/").is_err());
    }

    #[test]
    fn what_is_no_listing_is_not_taken_for_an_empty_one() {
        let place = Place::parse("s3+https://h/bucket").unwrap();
        let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        assert_eq!(listed(empty.as_bytes(), &place, "").unwrap(), Listed::default());
        let many = "<Contents><Key>a</Key></Contents>".repeat(limits::S3_LISTED + 1);
        let many = empty.replace("</List", &format!("{many}</List"));
        for text in ["", "<html/>", "<ListBucketResult/>", &empty[..empty.len() - 1], &many] {
            assert!(listed(text.as_bytes(), &place, "").is_err(), "{:?}", text.get(..40));
        }
    }
}
