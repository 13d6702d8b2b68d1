//! The message that carries an event to a broker, written anew for each try like a request ([`crate::outgoing`]).
//!
//! Raw: the body as it came; beside it Standard Webhooks' three headers over that body, a few of ours, the endpoint's own
//! lines, and the first sender's as far as there is room. `CloudEvents`: its attributes and ours only; where the engine has no
//! headers (SQS and Redis have no binding of that standard) the body is the structured document, and that is what is signed.
//!
//! Brokers act upon some headers (`Nats-Rollup` empties a subject, `CC` and `BCC` route a message elsewhere), and whoever
//! sends a webhook chooses its headers: those never go on ([`may_go_on`]).

use crate::attempt::Fault;
use crate::cloud_event;
use crate::directory::ReadyEndpoint;
use crate::endpoint_address::EndpointAddress;
use crate::event::Event;
use crate::id::DeliveryId;
use crate::limits;
use crate::outgoing::{Signed, invalid, ours, passed, sign};
use crate::queue_address::{Engine, Format, QueueAddress};
use crate::request::Headers;
use crate::template::Values;
use crate::time::Time;
use crate::trace::Context;
use bytes::Bytes;
use std::time::Duration;

/// A message, ready to be put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueMessage {
    /// Where it goes.
    pub address: QueueAddress,
    /// Routing key, subject or topic; on SQS the message group.
    pub key: String,
    /// By what a broker that can (`JetStream`, SQS FIFO) drops repeats: the delivery's id. Not the event's, for two endpoints may
    /// lead into one stream, and a replay is meant to arrive.
    pub id: String,
    /// What the body is.
    pub content_type: Option<String>,
    /// Names and values beside the body.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// The deadline over everything.
    pub timeout: Duration,
}

/// What is to be known of a try beside its event and endpoint.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Its delivery.
    pub delivery: DeliveryId,
    /// The hash of its order key, where the endpoint asks for order.
    pub order_key: Option<u64>,
    /// The name of the event's source.
    pub source: Option<&'a str>,
    /// The try, from 1.
    pub number: u32,
    /// The trace that is named in place of the sender's, if any.
    pub trace: Option<Context>,
    /// The time.
    pub now: Time,
}

/// Writes a try of an event to an endpoint that is a queue.
///
/// # Errors
/// A [`Fault`] of class [`crate::attempt::ErrorClass::RequestInvalid`], as [`crate::outgoing::write`].
pub fn write(
    event: &Event,
    endpoint: &ReadyEndpoint,
    about: About<'_>,
) -> Result<QueueMessage, Fault> {
    let (address, signers) = endpoint.usable().map_err(invalid)?;
    let EndpointAddress::Queue(address) = address else {
        return Err(invalid("the endpoint is called by HTTP, and no queue"));
    };
    let key = key(event, endpoint, address, about)?;
    let Content { body, content_type, attributes } = content(event, address, about.source);
    let mut head = Headers::default();
    let signed = Signed::of(event, address.as_str(), &body);
    sign(&mut head, &signed, (signers, about.now))?;
    ours(&mut head, event, about.number);
    if let Some(name) = about.source {
        head.push("doorbell-source", name);
    }
    let mut headers = Lines::new(address.engine());
    attributes.into_iter().for_each(|(name, value)| headers.push(&name, value.as_bytes()));
    head.iter().for_each(|(name, value)| headers.push(name, value));
    if address.format() == Format::Raw {
        first_senders(&mut headers, event, endpoint, about.trace)?;
    }
    Ok(QueueMessage {
        address: (**address).clone(),
        key,
        id: about.delivery.to_string(),
        content_type,
        headers: headers.lines,
        body,
        timeout: endpoint.endpoint().policy.timeout.clamp(limits::TIMEOUT_MIN, limits::TIMEOUT_MAX),
    })
}

fn key(
    event: &Event,
    endpoint: &ReadyEndpoint,
    address: &QueueAddress,
    about: About<'_>,
) -> Result<String, Fault> {
    let values = Values {
        event_type: event.event_type.as_ref().map(|event_type| event_type.as_str()),
        source: about.source,
        tenant: Some(endpoint.tenant_uid()),
        channel: event.channels.first().map(String::as_str),
    };
    let target = address.target(&values).map_err(invalid)?;
    Ok(match (address.engine(), about.order_key) {
        (Engine::Sqs, Some(hash)) => format!("{hash:016x}"),
        _ => target.key,
    })
}

struct Content {
    body: Bytes,
    content_type: Option<String>,
    attributes: Vec<(String, String)>,
}

fn content(event: &Event, address: &QueueAddress, source: Option<&str>) -> Content {
    let kind = event.request.headers.text("content-type");
    let kind = kind.filter(|kind| is_value(kind)).map(str::to_owned);
    let prefix = match (address.format(), address.engine()) {
        (Format::Raw, _) => {
            return Content {
                body: event.request.body.clone(),
                content_type: kind,
                attributes: Vec::new(),
            };
        }
        (Format::CloudEvents, Engine::Sqs | Engine::Redis) => {
            let content_type = Some(cloud_event::DOCUMENT.to_owned());
            let body = cloud_event::document(event, source);
            return Content { body, content_type, attributes: Vec::new() };
        }
        // By the standard's bindings of AMQP (section 3.1.3.1), NATS (3.1.3) and MQTT (3.1.3).
        (Format::CloudEvents, Engine::Amqp) => "cloudEvents_",
        (Format::CloudEvents, Engine::Nats) => "ce-",
        (Format::CloudEvents, Engine::Mqtt) => "",
    };
    let attributes = cloud_event::attributes(event, source);
    let attributes = attributes.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value));
    Content {
        body: event.request.body.clone(),
        content_type: kind,
        attributes: attributes.collect(),
    }
}

/// The endpoint's own lines, then those of the first sender, as far as there is room.
fn first_senders(
    lines: &mut Lines,
    event: &Event,
    endpoint: &ReadyEndpoint,
    trace: Option<Context>,
) -> Result<(), Fault> {
    let own = &endpoint.endpoint().headers;
    own.iter().for_each(|(name, value)| lines.push(name, value.as_bytes()));
    if let Some(query) = event.request.query.as_deref().filter(|query| !query.is_empty()) {
        lines.push("doorbell-query", query.as_bytes());
    }
    let said = |name: &str| {
        own.iter().any(|(other, _)| other.eq_ignore_ascii_case(name))
            || name.eq_ignore_ascii_case("content-type")
    };
    let passed = passed(event, endpoint, trace)?;
    passed.iter().filter(|(name, _)| !said(name)).for_each(|(name, value)| lines.push(name, value));
    Ok(())
}

/// Lines that fit what an engine carries; the others are left out.
struct Lines {
    engine: Engine,
    lines: Vec<(String, String)>,
}

impl Lines {
    const fn new(engine: Engine) -> Self {
        Self { engine, lines: Vec::new() }
    }

    /// SQS carries ten attributes; id, content type and encoding are three of them.
    const fn most(&self) -> usize {
        match self.engine {
            Engine::Sqs => 7,
            Engine::Amqp | Engine::Nats | Engine::Redis | Engine::Mqtt => limits::QUEUE_HEADERS,
        }
    }

    fn push(&mut self, name: &str, value: &[u8]) {
        let Some(value) = str::from_utf8(value).ok().filter(|value| is_value(value)) else {
            return;
        };
        if !may_go_on(name) || (self.engine == Engine::Sqs && !is_attribute(name)) {
            return;
        }
        let room = self.lines.len() < self.most();
        match self.lines.iter_mut().find(|(other, _)| other.eq_ignore_ascii_case(name)) {
            // Ours and the endpoint's come first and are not added to.
            Some(_) if name.starts_with("webhook-") || name.starts_with("doorbell-") => {}
            Some((_, there))
                if there.as_str() != value
                    && there.len() + value.len() + 2 <= limits::HEADER_VALUE =>
            {
                there.push_str(", ");
                there.push_str(value);
            }
            Some(_) => {}
            None if room => self.lines.push((name.to_owned(), value.to_owned())),
            None => {}
        }
    }
}

fn is_value(value: &str) -> bool {
    value.len() <= limits::HEADER_VALUE && !value.chars().any(char::is_control)
}

fn is_attribute(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    name.bytes().all(fits) && !lower.starts_with("aws") && !lower.starts_with("amazon")
}

/// Whether a header line may stand in a message: no broker acts upon it, and it is none of those that our clients write.
#[must_use]
pub fn may_go_on(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let fits = |b: u8| b.is_ascii_graphic() && b != b':';
    let shape =
        !name.is_empty() && name.len() <= limits::QUEUE_HEADER_NAME && name.bytes().all(fits);
    shape
        && !COMMANDS.contains(&lower.as_str())
        && !COMMAND_PREFIXES.iter().any(|prefix| lower.starts_with(prefix))
}

/// `RabbitMQ`'s own and its plug-ins', and what our clients write.
const COMMANDS: [&str; 9] = [
    "cc",
    "bcc",
    "x-delay",
    "x-match",
    "x-message-ttl",
    "x-expires",
    "doorbell-id",
    "doorbell-encoding",
    "body",
];
const COMMAND_PREFIXES: [&str; 10] = [
    "nats-",
    "x-death",
    "x-first-death",
    "x-last-death",
    "x-delivery-",
    "x-acquired-",
    "x-stream-",
    "x-opt-",
    "x-deduplication",
    "x-routing-",
];
