//! Whichever broker an address names: forwards by `match`.

use crate::address::{Address, Engine};
#[cfg(feature = "amqp")]
use crate::amqp;
use crate::dial::Dialer;
use crate::limits;
use crate::message::{Message, QueueError, Taken, Token};
#[cfg(feature = "mqtt")]
use crate::mqtt;
#[cfg(feature = "nats")]
use crate::nats;
#[cfg(feature = "redis")]
use crate::redis;
use crate::room;
#[cfg(feature = "sqs")]
use crate::sqs;
use std::time::Duration;

/// Where messages are put. Connects when it is first used, and again by itself when the connection broke.
#[derive(Debug)]
pub struct Outlet(ToPut);

#[derive(Debug)]
enum ToPut {
    #[cfg(feature = "amqp")]
    Amqp(amqp::Outlet),
    #[cfg(feature = "nats")]
    Nats(nats::Outlet),
    #[cfg(feature = "sqs")]
    Sqs(sqs::Outlet),
    #[cfg(feature = "redis")]
    Redis(redis::Outlet),
    #[cfg(feature = "mqtt")]
    Mqtt(mqtt::Outlet),
}

/// Where messages are taken from. Connects and connects again like an [`Outlet`]. One caller takes at a time.
#[derive(Debug)]
pub struct Tap(ToTake);

#[derive(Debug)]
enum ToTake {
    #[cfg(feature = "amqp")]
    Amqp(amqp::Tap),
    #[cfg(feature = "nats")]
    Nats(Box<nats::Tap>),
    #[cfg(feature = "sqs")]
    Sqs(sqs::Tap),
    #[cfg(feature = "redis")]
    Redis(Box<redis::Tap>),
    #[cfg(feature = "mqtt")]
    Mqtt(mqtt::Tap),
}

/// This build knows nothing of the engine.
#[cfg(not(all(
    feature = "amqp",
    feature = "nats",
    feature = "sqs",
    feature = "redis",
    feature = "mqtt"
)))]
fn left_out(engine: Engine) -> QueueError {
    QueueError::Failed(format!("this build was made without {}", engine.name()))
}

fn tokens(taken: &[Taken]) -> Vec<Token> {
    taken.iter().map(|one| one.token.clone()).collect()
}

impl Outlet {
    /// An outlet to what the address names; nothing is opened yet. To be used within one runtime.
    ///
    /// # Errors
    /// [`QueueError::Failed`] when this build knows nothing of the engine.
    pub fn new(address: Address, dialer: Dialer) -> Result<Self, QueueError> {
        let engine = address.engine();
        Ok(Self(match engine {
            #[cfg(feature = "amqp")]
            Engine::Amqp => ToPut::Amqp(amqp::Outlet::new(address, dialer)),
            #[cfg(feature = "nats")]
            Engine::Nats => ToPut::Nats(nats::Outlet::new(address, dialer, limits::PREFETCH)),
            #[cfg(feature = "sqs")]
            Engine::Sqs => ToPut::Sqs(sqs::Outlet::new(address, dialer)),
            #[cfg(feature = "redis")]
            Engine::Redis => ToPut::Redis(redis::Outlet::new(address, dialer)),
            #[cfg(feature = "mqtt")]
            Engine::Mqtt => ToPut::Mqtt(mqtt::Outlet::new(address, dialer)),
            #[cfg(not(feature = "amqp"))]
            Engine::Amqp => return Err(left_out(engine)),
            #[cfg(not(feature = "nats"))]
            Engine::Nats => return Err(left_out(engine)),
            #[cfg(not(feature = "sqs"))]
            Engine::Sqs => return Err(left_out(engine)),
            #[cfg(not(feature = "redis"))]
            Engine::Redis => return Err(left_out(engine)),
            #[cfg(not(feature = "mqtt"))]
            Engine::Mqtt => return Err(left_out(engine)),
        }))
    }

    /// Opens the connection, so that the first who puts need not wait for it. Without one (SQS, Redis, MQTT), nothing.
    ///
    /// # Errors
    /// [`QueueError`]; the next who puts tries again.
    pub(crate) async fn open(&self) -> Result<(), QueueError> {
        match &self.0 {
            #[cfg(feature = "amqp")]
            ToPut::Amqp(outlet) => outlet.open().await,
            #[cfg(feature = "nats")]
            ToPut::Nats(outlet) => outlet.open().await,
            #[cfg(feature = "sqs")]
            ToPut::Sqs(_) => Ok(()),
            #[cfg(feature = "redis")]
            ToPut::Redis(_) => Ok(()),
            #[cfg(feature = "mqtt")]
            ToPut::Mqtt(_) => Ok(()),
        }
    }

    /// Puts a message; `Ok` means that the broker confirmed it: `RabbitMQ` by a publisher confirm (and the message was routed),
    /// `JetStream` by the stream's ack, SQS and Redis by their answer, MQTT by PUBACK. Messages that are put one after
    /// the other without waiting keep their order. Within [`limits::ANSWER`].
    ///
    /// # Errors
    /// [`QueueError`]; after [`QueueError::Unreachable`] and [`QueueError::Busy`] nobody knows whether the broker has it.
    pub async fn put(&self, message: Message) -> Result<(), QueueError> {
        room::check(&message)?;
        let putting = async {
            match &self.0 {
                #[cfg(feature = "amqp")]
                ToPut::Amqp(outlet) => outlet.put(message).await,
                #[cfg(feature = "nats")]
                ToPut::Nats(outlet) => outlet.put(message).await,
                #[cfg(feature = "sqs")]
                ToPut::Sqs(outlet) => outlet.put(message).await,
                #[cfg(feature = "redis")]
                ToPut::Redis(outlet) => outlet.put(message).await,
                #[cfg(feature = "mqtt")]
                ToPut::Mqtt(outlet) => outlet.put(message).await,
            }
        };
        tokio::time::timeout(limits::ANSWER, putting)
            .await
            .unwrap_or_else(|_| Err(QueueError::late()))
    }
}

impl Tap {
    /// A tap at what the address names, from which at most `prefetch` messages (about; 1 to 65,535) are taken before some are
    /// done; nothing is opened yet. To be used within one runtime.
    ///
    /// # Errors
    /// [`QueueError::Failed`] when this build knows nothing of the engine.
    pub fn new(address: Address, dialer: Dialer, prefetch: usize) -> Result<Self, QueueError> {
        let engine = address.engine();
        Ok(Self(match engine {
            #[cfg(feature = "amqp")]
            Engine::Amqp => ToTake::Amqp(amqp::Tap::new(address, dialer, prefetch)),
            #[cfg(feature = "nats")]
            Engine::Nats => {
                let tap = nats::Tap::new(address, dialer, prefetch);
                ToTake::Nats(Box::new(tap))
            }
            #[cfg(feature = "sqs")]
            Engine::Sqs => ToTake::Sqs(sqs::Tap::new(address, dialer)),
            #[cfg(feature = "redis")]
            Engine::Redis => ToTake::Redis(Box::new(redis::Tap::new(address, &dialer))),
            #[cfg(feature = "mqtt")]
            Engine::Mqtt => ToTake::Mqtt(mqtt::Tap::new(address, dialer, prefetch)),
            #[cfg(not(feature = "amqp"))]
            Engine::Amqp => return Err(left_out(engine)),
            #[cfg(not(feature = "nats"))]
            Engine::Nats => return Err(left_out(engine)),
            #[cfg(not(feature = "sqs"))]
            Engine::Sqs => return Err(left_out(engine)),
            #[cfg(not(feature = "redis"))]
            Engine::Redis => return Err(left_out(engine)),
            #[cfg(not(feature = "mqtt"))]
            Engine::Mqtt => return Err(left_out(engine)),
        }))
    }

    /// Takes messages, at most so many, as soon as there are some; none when none came within `wait` (SQS: in whole seconds).
    ///
    /// # Errors
    /// [`QueueError`]; to be tried again after a pause.
    pub async fn take(&self, most: usize, wait: Duration) -> Result<Vec<Taken>, QueueError> {
        let most = most.max(1);
        match &self.0 {
            #[cfg(feature = "amqp")]
            ToTake::Amqp(tap) => tap.take(most, wait).await,
            #[cfg(feature = "nats")]
            ToTake::Nats(tap) => tap.take(most, wait).await,
            #[cfg(feature = "sqs")]
            ToTake::Sqs(tap) => tap.take(most, wait).await,
            #[cfg(feature = "redis")]
            ToTake::Redis(tap) => tap.take(most, wait).await,
            #[cfg(feature = "mqtt")]
            ToTake::Mqtt(tap) => tap.take(most, wait).await,
        }
    }

    /// These are done with: the broker may forget them. What it does not hear of it gives to somebody again.
    ///
    /// # Errors
    /// [`QueueError`]; they will come again.
    pub async fn done(&self, tokens: &[Token]) -> Result<(), QueueError> {
        match &self.0 {
            #[cfg(feature = "amqp")]
            ToTake::Amqp(tap) => tap.done(tokens).await,
            #[cfg(feature = "nats")]
            ToTake::Nats(tap) => tap.done(tokens).await,
            #[cfg(feature = "sqs")]
            ToTake::Sqs(tap) => tap.done(tokens).await,
            #[cfg(feature = "redis")]
            ToTake::Redis(tap) => tap.done(tokens).await,
            #[cfg(feature = "mqtt")]
            ToTake::Mqtt(tap) => tap.done(tokens).await,
        }
    }

    /// These were not done with: somebody is to have them again, soon.
    ///
    /// # Errors
    /// [`QueueError`]; they will come again, later.
    pub async fn back(&self, taken: Vec<Taken>) -> Result<(), QueueError> {
        match &self.0 {
            #[cfg(feature = "amqp")]
            ToTake::Amqp(tap) => tap.back(&tokens(&taken)).await,
            #[cfg(feature = "nats")]
            ToTake::Nats(tap) => tap.back(&tokens(&taken)).await,
            #[cfg(feature = "sqs")]
            ToTake::Sqs(tap) => tap.back(&tokens(&taken)).await,
            #[cfg(feature = "redis")]
            ToTake::Redis(tap) => {
                tap.back(taken).await;
                Ok(())
            }
            #[cfg(feature = "mqtt")]
            ToTake::Mqtt(tap) => {
                tap.back(taken).await;
                Ok(())
            }
        }
    }

    /// These are still being worked on. To be said every [`limits::HOLD_EVERY`]: NATS gives a message to somebody else after
    /// 3 s, SQS after 30 (and is asked more seldom); the others when the connection ends (Redis: after 60 s, to another consumer).
    ///
    /// # Errors
    /// [`QueueError`]; they may come again, to somebody else.
    pub async fn hold(&self, tokens: &[Token]) -> Result<(), QueueError> {
        match &self.0 {
            #[cfg(feature = "nats")]
            ToTake::Nats(tap) => tap.hold(tokens).await,
            #[cfg(feature = "sqs")]
            ToTake::Sqs(tap) => tap.hold(tokens).await,
            #[cfg(feature = "amqp")]
            ToTake::Amqp(_) => Ok(()),
            #[cfg(feature = "redis")]
            ToTake::Redis(_) => Ok(()),
            #[cfg(feature = "mqtt")]
            ToTake::Mqtt(_) => Ok(()),
        }
    }

    /// Takes nothing more. These, and what came and nobody took, come to others: at once, on NATS after 10 s; in their order and
    /// before what is newer, where the broker has an order (`RabbitMQ`, NATS with `order=strict`, SQS FIFO).
    ///
    /// # Errors
    /// [`QueueError`]; others wait for it.
    pub async fn close(&self, left: Vec<Taken>) -> Result<(), QueueError> {
        match &self.0 {
            #[cfg(feature = "amqp")]
            ToTake::Amqp(tap) => tap.close().await,
            #[cfg(feature = "nats")]
            ToTake::Nats(tap) => tap.close().await,
            #[cfg(feature = "sqs")]
            ToTake::Sqs(tap) => return tap.back(&tokens(&left)).await,
            #[cfg(feature = "redis")]
            ToTake::Redis(tap) => tap.back(left).await,
            #[cfg(feature = "mqtt")]
            ToTake::Mqtt(tap) => tap.close().await,
        }
        Ok(())
    }

    /// How many messages wait; `None` where the broker does not say.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn waiting(&self) -> Result<Option<u64>, QueueError> {
        match &self.0 {
            #[cfg(feature = "amqp")]
            ToTake::Amqp(tap) => tap.waiting().await.map(Some),
            #[cfg(feature = "nats")]
            ToTake::Nats(tap) => tap.waiting().await.map(Some),
            #[cfg(feature = "sqs")]
            ToTake::Sqs(tap) => tap.waiting().await.map(Some),
            #[cfg(feature = "redis")]
            ToTake::Redis(_) => Ok(None),
            #[cfg(feature = "mqtt")]
            ToTake::Mqtt(_) => Ok(None),
        }
    }

    /// Why what this broker confirms may be lost all the same, in words; `None`: as far as can be seen it is not.
    ///
    /// # Errors
    /// [`QueueError`].
    pub async fn doubt(&self) -> Result<Option<String>, QueueError> {
        match &self.0 {
            #[cfg(feature = "nats")]
            ToTake::Nats(tap) => tap.doubt().await,
            #[cfg(feature = "amqp")]
            ToTake::Amqp(_) => Ok(None),
            #[cfg(feature = "sqs")]
            ToTake::Sqs(_) => Ok(None),
            #[cfg(feature = "redis")]
            ToTake::Redis(_) => Ok(None),
            #[cfg(feature = "mqtt")]
            ToTake::Mqtt(_) => Ok(None),
        }
    }
}
