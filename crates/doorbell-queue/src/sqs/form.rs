//! Messages as SQS carries them: text, and at most ten attributes of text.

use crate::aws::error;
use crate::message::{Message, QueueError, Taken, Token};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::str::FromStr;

/// Messages of one request.
pub(super) const BATCH: usize = 10;
const ATTRIBUTES: usize = 10;
const ID: &str = "doorbell-id";
const CONTENT_TYPE: &str = "content-type";
/// Says that the body is not as it stands there.
const ENCODING: &str = "doorbell-encoding";
const BASE64: &str = "base64";
const EMPTY: &str = "empty";
/// The group of what has none: everything is in one order.
const GROUP: &str = "doorbell";

/// The body as text, and how.
fn text(body: &[u8]) -> (Cow<'_, str>, Option<&'static str>) {
    // What SQS carries: the characters of XML 1.0.
    let carried = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    match str::from_utf8(body) {
        Ok("") => (Cow::Borrowed("-"), Some(EMPTY)),
        Ok(text) if text.chars().all(carried) => (Cow::Borrowed(text), None),
        _ => (Cow::Owned(STANDARD.encode(body)), Some(BASE64)),
    }
}

fn attributes(message: &Message) -> Vec<(&str, &str)> {
    let mut all = vec![(ID, message.id.as_str())];
    all.extend(message.content_type.as_deref().map(|kind| (CONTENT_TYPE, kind)));
    all.extend(text(&message.body).1.map(|how| (ENCODING, how)));
    let given = message.headers.iter().filter(|(_, value)| !value.is_empty());
    all.extend(given.map(|(name, value)| (name.as_str(), value.as_str())));
    all
}

/// Bytes of a message as SQS counts them.
pub(super) fn size(message: &Message) -> usize {
    let attributes = attributes(message);
    let attributes = attributes.iter().map(|(name, value)| name.len() + value.len() + 6);
    text(&message.body).0.len() + attributes.sum::<usize>()
}

/// The bytes of a message that can be sent.
pub(super) fn check(message: &Message) -> Result<usize, QueueError> {
    let attributes = attributes(message);
    let named = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if attributes.len() > ATTRIBUTES {
        let text =
            format!("SQS carries {ATTRIBUTES} attributes at most, id and content type among them");
        return Err(QueueError::Failed(text));
    }
    match attributes.iter().find(|(name, _)| !named(name)) {
        Some((name, _)) => {
            Err(QueueError::Failed(format!("SQS carries no attribute named {name:?}")))
        }
        None => Ok(size(message)),
    }
}

/// A message of a batch.
pub(super) fn entry(at: usize, message: &Message, fifo: bool) -> Value {
    let attributes: Map<String, Value> = attributes(message)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), json!({"DataType": "String", "StringValue": value})))
        .collect();
    let mut entry = json!({
        "Id": at.to_string(), "MessageBody": text(&message.body).0, "MessageAttributes": attributes,
    });
    if let (true, Some(fields)) = (fifo, entry.as_object_mut()) {
        let group = if message.key.is_empty() { GROUP } else { &message.key };
        fields.insert("MessageGroupId".to_owned(), json!(group));
        fields.insert("MessageDeduplicationId".to_owned(), json!(message.id));
    }
    entry
}

/// What the answer to a batch says of one of it.
pub(super) fn result(answer: &Value, at: usize) -> Result<(), QueueError> {
    let id = at.to_string();
    let of = |list: &str| {
        let entries = answer.get(list).and_then(Value::as_array)?;
        entries.iter().find(|entry| word(entry, "Id") == id)
    };
    if of("Successful").is_some() {
        return Ok(());
    }
    match of("Failed") {
        Some(entry) => Err(error(&word(entry, "Code"), &word(entry, "Message"))),
        None => Err(QueueError::odd("an answer that leaves messages out")),
    }
}

fn word(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// One attribute of a queue.
pub(super) fn attribute<T: FromStr>(answer: &Value, name: &str) -> Option<T> {
    answer.get("Attributes")?.get(name)?.as_str()?.parse().ok()
}

/// The messages of an answer.
pub(super) fn taken(answer: &Value) -> Result<Vec<Taken>, QueueError> {
    let Some(messages) = answer.get("Messages").and_then(Value::as_array) else {
        return Ok(Vec::new());
    };
    messages.iter().map(one).collect()
}

fn one(found: &Value) -> Result<Taken, QueueError> {
    let mut headers: Vec<(String, String)> = Vec::new();
    if let Some(attributes) = found.get("MessageAttributes").and_then(Value::as_object) {
        headers.extend(
            attributes.iter().map(|(name, value)| (name.clone(), word(value, "StringValue"))),
        );
    }
    let mut pull_out = |wanted: &str| {
        let at = headers.iter().position(|(name, _)| name == wanted)?;
        Some(headers.remove(at).1)
    };
    let (id, content_type, how) = (pull_out(ID), pull_out(CONTENT_TYPE), pull_out(ENCODING));
    let body = word(found, "Body");
    let body = match how.as_deref() {
        Some(BASE64) => {
            // What is no Base64 after all is left as it is: somebody else wrote that attribute.
            STANDARD.decode(&body).map_or_else(|_| Bytes::from(body), Bytes::from)
        }
        Some(EMPTY) => Bytes::new(),
        _ => Bytes::from(body),
    };
    let system =
        |name: &str| found.get("Attributes").map(|all| word(all, name)).unwrap_or_default();
    let handle = word(found, "ReceiptHandle");
    if handle.is_empty() {
        return Err(QueueError::odd("a message without a receipt handle"));
    }
    let given: u32 = system("ApproximateReceiveCount").parse().unwrap_or(1);
    let message = Message {
        key: system("MessageGroupId"),
        id: id.unwrap_or_else(|| word(found, "MessageId")),
        content_type,
        headers,
        body,
    };
    Ok(Taken { message, token: Token(handle), tries: given.saturating_sub(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &'static [u8]) -> Message {
        Message { id: "m1".to_owned(), body: Bytes::from_static(body), ..Message::default() }
    }

    #[test]
    fn a_body_comes_back_as_it_was() {
        for body in [
            &b"{\"a\":1}"[..],
            b"",
            b"\xff\x00",
            b"a\x00b",
            "\u{fffe}".as_bytes(),
            "\u{1f514}".as_bytes(),
        ] {
            let sent = entry(0, &message(body), false);
            let found = json!({"Messages": [{
                "MessageId": "x", "ReceiptHandle": "h", "Body": sent["MessageBody"], "MessageAttributes": sent["MessageAttributes"],
                "Attributes": {"ApproximateReceiveCount": "3"},
            }]});
            let taken = taken(&found).unwrap().remove(0);
            assert_eq!(
                (&taken.message.body[..], taken.message.id.as_str(), taken.tries),
                (body, "m1", 2)
            );
        }
    }

    #[test]
    fn text_goes_as_it_is() {
        assert_eq!(entry(0, &message(b"{}"), false)["MessageBody"], "{}");
        assert_eq!(entry(0, &message(b"{}"), true)["MessageGroupId"], GROUP);
    }

    #[test]
    fn too_many_attributes_are_refused_before_they_are_sent() {
        let mut many = message(b"x");
        many.headers = (0..9).map(|n| (format!("h{n}"), "v".to_owned())).collect();
        assert!(check(&many).is_ok());
        many.headers.push(("one-more".to_owned(), "v".to_owned()));
        assert!(check(&many).is_err());
    }
}
