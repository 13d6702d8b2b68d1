//! The gate for an address on a message broker: `queue://NAME/DESTINATION?…`. NAME is a connection that the operator has
//! named in the settings, with its secrets; a tenant only says what of it is meant. So no endpoint and no source can make
//! the server call into a network of their choice. Only [`QueueAddress::parse`] makes a [`QueueAddress`].
//!
//! What tenants and senders write becomes part of subjects and routing keys, and some of those are commands to a broker
//! (`$JS.API.…` would delete a stream): see [`Engine::takes`], which is asked at the gate and of what a template makes.

use crate::limits;
use crate::name::Label;
use crate::template::{Template, TemplateRefused, Values};
use std::collections::BTreeMap;
use std::fmt;

/// A kind of broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// `RabbitMQ`, by AMQP 0-9-1.
    Amqp,
    /// NATS `JetStream`.
    Nats,
    /// Amazon SQS.
    Sqs,
    /// Redis streams.
    Redis,
    /// MQTT 5.
    Mqtt,
}

impl Engine {
    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Amqp => "RabbitMQ",
            Self::Nats => "NATS JetStream",
            Self::Sqs => "Amazon SQS",
            Self::Redis => "Redis streams",
            Self::Mqtt => "MQTT",
        }
    }

    /// What a destination to put to is there.
    #[must_use]
    pub const fn destination(self) -> &'static str {
        match self {
            Self::Amqp => "queue or exchange",
            Self::Nats => "subject",
            Self::Sqs => "queue",
            Self::Redis => "stream",
            Self::Mqtt => "topic",
        }
    }

    /// Whether this may be put to, word for word: nothing that is a pattern or a command there.
    #[must_use]
    pub fn takes(self, to: &str) -> bool {
        let plain = !to.is_empty() && to.len() <= limits::QUEUE_PLACE && is_plain(to);
        plain
            && match self {
                Self::Amqp | Self::Redis => true,
                Self::Nats => {
                    let odd = |c: char| c.is_whitespace() || matches!(c, '*' | '>');
                    // `$JS.API…` and `$SYS…` are the server's own, `_INBOX…` the answers to others.
                    let ours =
                        !to.starts_with('$') && !to.to_ascii_uppercase().starts_with("_INBOX");
                    ours && !to.contains(odd) && to.split('.').all(|word| !word.is_empty())
                }
                Self::Sqs => is_sqs_name(to),
                Self::Mqtt => !to.starts_with('$') && !to.contains(['+', '#']),
            }
    }

    /// Whether this may be taken from.
    fn gives(self, from: &str) -> bool {
        let plain = !from.is_empty() && from.len() <= limits::QUEUE_PLACE && is_plain(from);
        plain
            && match self {
                Self::Amqp | Self::Redis => true,
                Self::Nats => is_word(from),
                Self::Sqs => is_sqs_name(from),
                Self::Mqtt => !from.starts_with('$') || from.starts_with("$share/"),
            }
    }

    /// What the query of an address may say, beside `format`.
    const fn options(self, side: Side) -> &'static [&'static str] {
        match (self, side) {
            (Self::Amqp, Side::To) => &["routing_key", "format"],
            (Self::Redis, Side::To) => &["maxlen", "format"],
            (Self::Nats | Self::Sqs | Self::Mqtt, Side::To) => &["format"],
            (Self::Nats, Side::From) => &["consumer"],
            (Self::Redis, Side::From) => &["group"],
            (Self::Amqp | Self::Sqs | Self::Mqtt, Side::From) => &[],
        }
    }
}

fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

/// A name that `JetStream` takes for a stream or consumer.
fn is_word(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || matches!(c, '.' | '*' | '>' | '/' | '\\');
    !text.is_empty() && is_plain(text) && !text.contains(odd)
}

/// 1 to 80 of letters, digits, `-` and `_`; a FIFO queue ends with `.fifo`.
fn is_sqs_name(name: &str) -> bool {
    let stem = name.strip_suffix(".fifo").unwrap_or(name);
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    name.len() <= 80 && !stem.is_empty() && stem.bytes().all(fits)
}

/// Which way messages go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To the broker: an endpoint.
    To,
    /// From the broker: a source.
    From,
}

/// A connection that the operator named, as far as an address has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// What it leads to.
    pub engine: Engine,
    /// The `uid`s of the tenants who may use it; `*` stands for all, and none for the default tenant alone.
    pub tenants: Vec<String>,
}

impl Connection {
    fn is_for(&self, tenant: &str) -> bool {
        let listed = self.tenants.iter().any(|uid| uid == "*" || uid == tenant);
        listed || (self.tenants.is_empty() && tenant == DEFAULT_TENANT)
    }
}

/// The `uid` of the tenant that exists from the start.
pub const DEFAULT_TENANT: &str = "default";

/// The connections that the operator named, by their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Connections(pub BTreeMap<String, Connection>);

/// In which form an event goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The body as it came, the rest beside it.
    Raw,
    /// `CloudEvents` 1.0: in binary mode where the engine has headers, else structured.
    CloudEvents,
}

/// A place on a broker.
#[derive(Clone, PartialEq, Eq)]
pub struct QueueAddress {
    text: String,
    engine: Engine,
    name: Label,
    place: Template,
    routing_key: Option<Template>,
    format: Format,
    options: Vec<(String, String)>,
}

/// The scheme, as it must be written.
pub const SCHEME: &str = "queue://";

impl QueueAddress {
    /// Checks and takes an address, for what belongs to the tenant with this `uid`.
    ///
    /// # Errors
    /// [`QueueRefused`], a sentence that says what is wrong and what to do.
    pub fn parse(
        text: &str,
        connections: &Connections,
        tenant: &str,
        side: Side,
    ) -> Result<Self, QueueRefused> {
        if text.len() > limits::ENDPOINT_URL {
            return Err(QueueRefused::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(QueueRefused::Shape)?;
        // What is shown, logged and compared is the text itself, so it is plain; the rest is written as %XX.
        if !rest.bytes().all(|b| b.is_ascii_graphic() && b != b'#' && b != b'\\') {
            return Err(QueueRefused::Letters);
        }
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (name, place) = path.split_once('/').ok_or(QueueRefused::Shape)?;
        let name = Label::parse(name).map_err(|_| QueueRefused::Shape)?;
        let found = connections.0.get(name.as_str()).filter(|found| found.is_for(tenant));
        let engine = found.ok_or_else(|| QueueRefused::Unknown(name.to_string()))?.engine;
        let mut address = Self {
            text: text.to_owned(),
            engine,
            name,
            place: Template::plain(&decoded(place)?),
            routing_key: None,
            format: Format::Raw,
            options: Vec::new(),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            address.option(pair, side)?;
        }
        address.checked(side)
    }

    fn option(&mut self, pair: &str, side: Side) -> Result<(), QueueRefused> {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        let known = self.engine.options(side);
        if !known.contains(&name.as_str()) {
            return Err(QueueRefused::Option(clip(&name), self.engine.name(), known.join(", ")));
        }
        if self.options.iter().any(|(other, _)| *other == name) {
            return Err(QueueRefused::Twice(name));
        }
        let fits = match name.as_str() {
            "format" => ["raw", "cloudevents"].contains(&value.as_str()),
            "maxlen" => value.parse::<u64>().is_ok_and(|most| most > 0),
            "consumer" => is_word(&value) && value.len() <= limits::QUEUE_PLACE,
            _ => value.len() <= limits::QUEUE_PLACE && is_plain(&value),
        };
        if !fits {
            return Err(QueueRefused::Value(name, clip(&value)));
        }
        match name.as_str() {
            "routing_key" => self.routing_key = Some(Template::parse(&value)?),
            "format" if value == "cloudevents" => self.format = Format::CloudEvents,
            _ => {}
        }
        self.options.push((name, value));
        Ok(())
    }

    fn checked(mut self, side: Side) -> Result<Self, QueueRefused> {
        let place = self.place.text().to_owned();
        let templated = matches!(self.engine, Engine::Nats | Engine::Mqtt);
        let fits = match side {
            Side::From => self.engine.gives(&place),
            Side::To if templated => {
                self.place = Template::parse(&place)?;
                // With every value the plainest: what is wrong then is wrong in the text itself.
                self.engine.takes(&self.place.fill(&Values::default()))
            }
            // A name in braces would stand there as it is, which nobody means.
            Side::To => self.engine.takes(&place) && is_literal(&place),
        };
        if fits {
            Ok(self)
        } else {
            Err(QueueRefused::Place(clip(&place), self.engine.name(), self.engine.destination()))
        }
    }

    /// Where a message with these values goes.
    ///
    /// # Errors
    /// A sentence when the values make nothing that can be put to.
    pub fn target(&self, values: &Values<'_>) -> Result<QueueTarget, String> {
        let place = self.place.fill(values);
        let key = match (self.engine, &self.routing_key) {
            (Engine::Amqp, Some(template)) => template.fill(values),
            (Engine::Amqp | Engine::Nats | Engine::Mqtt, _) => place.clone(),
            (Engine::Sqs | Engine::Redis, _) => String::new(),
        };
        let fits = key.len() <= limits::QUEUE_PLACE && self.engine.takes(&place);
        if !fits {
            let (key, kind) = (clip(&key), self.engine.destination());
            return Err(format!("the event's own words make no {kind} of the address: {key:?}"));
        }
        Ok(QueueTarget { key })
    }

    /// The address as it is stored and shown; there is no secret in it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it leads to.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// The name of the connection.
    #[must_use]
    pub const fn name(&self) -> &Label {
        &self.name
    }

    /// The queue, exchange, stream or topic as it is written, decoded; on NATS and MQTT it may hold `{…}` yet.
    #[must_use]
    pub fn place(&self) -> &str {
        self.place.text()
    }

    /// On `RabbitMQ`: whether [`QueueAddress::place`] is an exchange. It is one where there is a routing key, though an empty one.
    #[must_use]
    pub const fn is_exchange(&self) -> bool {
        self.routing_key.is_some()
    }

    /// In which form events go.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// What the query says of this.
    #[must_use]
    pub fn said(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().find(|(other, value)| other == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }
}

/// Whether nothing would be filled in. (Redis Cluster has a use of its own for braces.)
fn is_literal(place: &str) -> bool {
    Template::parse(place).map_or(true, |template| template.fill(&Values::default()) == place)
}

impl fmt::Debug for QueueAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where one message goes within its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueTarget {
    /// Routing key, subject or topic; empty where the engine has nothing of the kind.
    pub key: String,
}

/// Why an address is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueRefused {
    /// Longer than [`limits::ENDPOINT_URL`].
    #[error("the address is longer than {} bytes: shorten it", limits::ENDPOINT_URL)]
    TooLong,
    /// Not of the form.
    #[error(
        "write queue://NAME/DESTINATION, where NAME is a connection of the operator's, such as queue://rabbit/orders"
    )]
    Shape,
    /// A character that does not stand in an address.
    #[error("use printable ASCII without spaces, # and \\; write others as %XX")]
    Letters,
    /// There is none of that name, or it is not for this tenant; which one is not said.
    #[error(
        "there is no connection {0:?} for this tenant: the operator names it in the settings, [queues.{0}]"
    )]
    Unknown(String),
    /// It cannot be decoded.
    #[error("a %XX of it makes no text (UTF-8)")]
    Encoding,
    /// Something that this engine does not know.
    #[error("{0:?} is nothing that can be said of an address on {1} here; known: {2}")]
    Option(String, &'static str, String),
    /// Said twice.
    #[error("{0} is said twice")]
    Twice(String),
    /// A value that cannot be.
    #[error(
        "{1:?} cannot be the {0}: formats are raw and cloudevents, maxlen is a number above 0, names are short and plain"
    )]
    Value(String, String),
    /// A template that cannot be.
    #[error(transparent)]
    Template(#[from] TemplateRefused),
    /// A destination that the engine does not have.
    #[error(
        "{0:?} is no {2} of {1}: its characters, its length or its beginning are not taken there"
    )]
    Place(String, &'static str, &'static str),
}

/// Text with its `%XX` put right (RFC 3986, section 2.1).
fn decoded(text: &str) -> Result<String, QueueRefused> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let (pair, tail) = rest.split_at_checked(2).ok_or(QueueRefused::Encoding)?;
            let digits = str::from_utf8(pair)
                .ok()
                .filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()));
            let byte = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok());
            bytes.push(byte.ok_or(QueueRefused::Encoding)?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).map_err(|_| QueueRefused::Encoding)
}

fn clip(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests;
