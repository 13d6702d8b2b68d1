//! The message brokers that the operator named: events are put there, and sources take from them.
//!
//! A connection is shared by all that is put to the same place: on NATS and MQTT that is the whole broker, on `RabbitMQ` an
//! exchange (a broker closes the channel on which somebody names an exchange that is not there, and with it all that is on its
//! way; so it costs only those who named it). It is opened when it is first needed, and again by itself after it broke.

use super::Carried;
use super::faults::fault;
use crate::clock::Clock;
use doorbell_core::attempt::{ErrorClass, Fault, Outcome, Timings};
use doorbell_core::queue_address::{Engine, QueueAddress};
use doorbell_core::queue_message::QueueMessage;
use doorbell_queue::{Address, Dialer, Message, Outlet, QueueError, Tap};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// Places that are kept open. Past it those that nobody uses just now are closed.
const OUTLETS: usize = 1_024;

/// The brokers that may be spoken to, by the names that the operator gave them.
#[derive(Debug, Default)]
pub struct Brokers {
    /// `None`: there are none.
    dialer: Option<Dialer>,
    addresses: BTreeMap<String, Address>,
    outlets: Mutex<HashMap<(String, String), Arc<Outlet>>>,
}

impl Brokers {
    /// Those at these addresses, which are called by this dialer. Nothing is opened yet.
    #[must_use]
    pub fn new(dialer: Dialer, addresses: BTreeMap<String, Address>) -> Self {
        Self { dialer: Some(dialer), addresses, outlets: Mutex::default() }
    }

    /// Puts a message and waits for the broker's confirmation, at most as long as it allows.
    pub(super) async fn put(&self, message: QueueMessage, clock: &Clock) -> Carried {
        let (began, timeout) = (clock.monotonic(), message.timeout);
        let done = tokio::time::timeout(timeout, self.confirmed(message)).await;
        let outcome = match done {
            Ok(Ok(())) => Outcome::Confirmed,
            Ok(Err(error)) => Outcome::Failed(of(error)),
            Err(_) => {
                let detail =
                    format!("no confirmation within the endpoint's timeout of {timeout:?}");
                Outcome::Failed(fault(ErrorClass::QueueBusy, detail))
            }
        };
        let total = clock.monotonic().saturating_sub(began);
        Carried { outcome, timings: Timings { total, ..Timings::default() }, address: None }
    }

    async fn confirmed(&self, message: QueueMessage) -> Result<(), QueueError> {
        let outlet = self.outlet(&message.address)?;
        let QueueMessage { key, id, content_type, headers, body, .. } = message;
        outlet.put(Message { key, id, content_type, headers, body }).await
    }

    fn outlet(&self, to: &QueueAddress) -> Result<Arc<Outlet>, QueueError> {
        let place = (to.name().to_string(), place(to));
        let mut outlets = self.outlets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outlet) = outlets.get(&place) {
            return Ok(Arc::clone(outlet));
        }
        if outlets.len() >= OUTLETS {
            outlets.retain(|_, outlet| Arc::strong_count(outlet) > 1);
        }
        if outlets.len() >= OUTLETS {
            return Err(QueueError::Busy("too many places are put to at once".to_owned()));
        }
        let (dialer, base) = self.base(to)?;
        let outlet = Arc::new(Outlet::new(address_to(base, to), dialer)?);
        outlets.insert(place, Arc::clone(&outlet));
        Ok(outlet)
    }

    /// What a source takes from; `client` names it to the broker, and stays the same over restarts.
    ///
    /// # Errors
    /// [`QueueError`], when there is no such broker.
    pub fn tap(
        &self,
        from: &QueueAddress,
        client: &str,
        prefetch: usize,
    ) -> Result<Tap, QueueError> {
        let (dialer, base) = self.base(from)?;
        Tap::new(address_from(base, from, client), dialer, prefetch)
    }

    fn base(&self, of: &QueueAddress) -> Result<(Dialer, Address), QueueError> {
        let found = self.dialer.clone().zip(self.addresses.get(of.name().as_str()).cloned());
        found.ok_or_else(|| QueueError::Refused("the settings name no such connection".to_owned()))
    }
}

/// What of a broker needs a connection of its own.
fn place(to: &QueueAddress) -> String {
    match to.engine() {
        Engine::Amqp if !to.is_exchange() => String::new(),
        Engine::Redis => format!("{} {}", to.said("maxlen").unwrap_or_default(), to.place()),
        Engine::Amqp | Engine::Sqs => to.place().to_owned(),
        Engine::Nats | Engine::Mqtt => String::new(),
    }
}

fn address_to(base: Address, to: &QueueAddress) -> Address {
    let base = base.with_option("declare", "");
    match to.engine() {
        Engine::Amqp => {
            let exchange = if to.is_exchange() { to.place() } else { "" };
            base.with_option("queue", "").with_option("key", "").with_option("exchange", exchange)
        }
        Engine::Redis => {
            let most = to.said("maxlen").unwrap_or_default();
            base.with_option("stream", to.place()).with_option("maxlen", most)
        }
        Engine::Sqs => below(base, to.place()),
        Engine::Nats | Engine::Mqtt => base,
    }
}

fn address_from(base: Address, from: &QueueAddress, client: &str) -> Address {
    let base = base.with_option("declare", "");
    match from.engine() {
        Engine::Amqp => base.with_option("queue", from.place()),
        Engine::Redis => {
            let group = from.said("group").unwrap_or("doorbell");
            base.with_option("stream", from.place()).with_option("group", group)
        }
        Engine::Sqs => below(base, from.place()),
        Engine::Nats => {
            let consumer = from.said("consumer").unwrap_or("doorbell");
            base.with_option("stream", from.place()).with_option("consumer", consumer)
        }
        Engine::Mqtt => base.with_option("client", client).with_path(from.place()),
    }
}

/// The queue of the account that the connection names.
fn below(base: Address, queue: &str) -> Address {
    let path = format!("{}/{queue}", base.path().trim_end_matches('/'));
    base.with_path(path.trim_start_matches('/'))
}

fn of(error: QueueError) -> Fault {
    match error {
        QueueError::Unreachable(why) => fault(ErrorClass::QueueUnreachable, why),
        QueueError::Refused(why) => fault(ErrorClass::QueueRefused, why),
        QueueError::NoSuchQueue(why) => fault(ErrorClass::QueueMissing, why),
        QueueError::TooLarge(why) => fault(ErrorClass::QueueTooLarge, why),
        QueueError::Busy(why) => fault(ErrorClass::QueueBusy, why),
        QueueError::Failed(why) => fault(ErrorClass::QueueFailed, why),
    }
}
