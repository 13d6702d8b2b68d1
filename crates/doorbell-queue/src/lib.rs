//! Clients of message brokers: `RabbitMQ` (AMQP 0-9-1), NATS `JetStream`, Amazon SQS, Redis streams and MQTT 5, all behind
//! the same two faces, [`Outlet`] (put) and [`Tap`] (take, done, back).
//!
//! They are our own because of what they must do and the usual ones do not let us say: every operation has a deadline and
//! ends when its connection does, so that a broker's restart wedges nothing; everything in flight is bounded in number
//! and bytes; and the connection is opened by a [`Dial`] that the caller gives, so that an address that a tenant chose is
//! vetted like that of any endpoint. They bring no crate that Doorbell does not have already.
//!
//! Beside them stands the client of a [`Bucket`] for large bodies, which is called like SQS.
//!
//! Not here: Kafka. The one Rust client that is widely used (rdkafka) wraps a C library, and those in Rust alone lack what we
//! would promise with them (idempotent producers, consumer groups), nor can a Kafka be started for the tests from what
//! Debian packages.

pub mod limits;

mod message;

mod site;

mod address;

mod dial;

mod wire;

mod room;

mod kept;

#[cfg(any(feature = "sqs", feature = "s3"))]
mod aws;

#[cfg(feature = "amqp")]
mod amqp;

#[cfg(feature = "nats")]
mod nats;

#[cfg(feature = "sqs")]
mod sqs;

#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "mqtt")]
mod mqtt;

#[cfg(feature = "s3")]
mod s3;

mod any;

mod inbox;

pub use address::{Address, AddressError, Credentials, Engine};
pub use any::{Outlet, Tap};
pub use dial::{Dial, Dialer, Dialing, Plain, TlsSetupError};
pub use inbox::{Inbox, InboxError};
pub use message::{Message, QueueError, Taken, Token};
#[cfg(feature = "s3")]
pub use s3::Bucket;
