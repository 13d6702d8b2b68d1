//! Asking SQS: one POST, whose answer is JSON.

use crate::address::Address;
use crate::aws::{self, Answer, Question, by_status, error};
use crate::dial::Dialer;
use crate::message::QueueError;
use bytes::Bytes;
use serde_json::Value;
use std::time::Duration;

/// Bytes of an answer: ten messages of the largest kind, and what stands around them.
const ANSWER_BYTES: usize = 24 << 20;
const KIND: &str = "application/x-amz-json-1.0";

/// Asks one host.
#[derive(Debug)]
pub(super) struct Client(aws::Client);

/// `sqs.eu-central-1.amazonaws.com` says where it is.
fn region(address: &Address) -> String {
    let named = address.host().strip_prefix("sqs.").and_then(|rest| rest.split('.').next());
    address.option("region").or(named).unwrap_or("us-east-1").to_owned()
}

impl Client {
    pub(super) fn new(address: Address, dialer: Dialer) -> Self {
        let region = region(&address);
        Self(aws::Client::new(address.into_site(), dialer, "sqs", region))
    }

    /// What SQS answers.
    pub(super) async fn ask(
        &self,
        action: &str,
        body: &Value,
        within: Duration,
    ) -> Result<Value, QueueError> {
        let body = Bytes::from(body.to_string());
        let target = format!("AmazonSQS.{action}");
        let question = Question {
            method: "POST",
            path: "/",
            headers: &[("content-type", KIND), ("x-amz-target", &target)],
            body: &body,
            most: ANSWER_BYTES,
        };
        value(&self.0.ask(question, within).await?)
    }
}

fn value(answer: &Answer) -> Result<Value, QueueError> {
    let long = || QueueError::Unreachable("length limit exceeded".to_owned());
    let bytes = answer.body.as_ref().ok_or_else(long)?;
    let value: Value = serde_json::from_slice(bytes).unwrap_or(Value::Null);
    if answer.status.is_success() {
        return Ok(value);
    }
    let word = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let text = [word("message"), word("Message")].concat();
    let text = if text.is_empty() { answer.status.to_string() } else { text };
    Err(by_status(error(word("__type"), &text), answer.status, text))
}
