//! MQTT 5: what is put goes with `QoS` 1 and is confirmed by PUBACK; what is taken comes to a subscription of a session that
//! outlives its connection, and is confirmed when it is done.

mod packet;

mod driver;

use crate::address::Address;
use crate::dial::Dialer;
use crate::kept::{Kept, Opener};
use crate::limits;
use crate::message::{Message, QueueError, Taken, Token};
use crate::room::Room;
use driver::{Command, Line};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};

#[derive(Debug)]
pub(crate) struct Connecting {
    dialer: Dialer,
    address: Address,
    client: String,
    /// What is subscribed to, and how many may come without a PUBACK.
    tap: Option<(String, u16)>,
}

impl Opener for Connecting {
    type Line = Line;

    async fn open(&self) -> Result<Line, QueueError> {
        let stream = self.dialer.open(self.address.site()).await?;
        driver::open(stream, self.address.credentials(), &self.client, self.tap.as_ref()).await
    }

    fn lives(line: &Line) -> bool {
        line.lives()
    }
}

/// A topic.
#[derive(Debug)]
pub(crate) struct Outlet {
    kept: Kept<Connecting>,
    room: Room,
    topic: String,
}

impl Outlet {
    pub(crate) fn new(address: Address, dialer: Dialer) -> Self {
        let topic = address.path().to_owned();
        // A name of its own: who comes with the name of another cuts that one off.
        let client = own_name();
        let kept = Kept::new(Connecting { dialer, address, client, tap: None });
        Self { kept, room: Room::default(), topic }
    }

    pub(crate) async fn put(&self, message: Message) -> Result<(), QueueError> {
        let topic = if message.key.is_empty() { self.topic.clone() } else { message.key.clone() };
        if topic.is_empty() || topic.contains(['+', '#']) {
            return Err(QueueError::Failed(format!("{topic:?} is no topic to put to")));
        }
        let held = self.room.hold(&message).await?;
        let line = self.kept.line().await?;
        let (answer, answered) = oneshot::channel();
        line.tell(Command::Publish { topic, message, held, answer }).await?;
        answered.await.unwrap_or_else(|_| Err(line.why()))
    }
}

fn own_name() -> String {
    let mut random = [0_u8; 8];
    if SystemRandom::new().fill(&mut random).is_err() {
        // Then the broker gives one.
        return String::new();
    }
    let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("doorbell-{name}")
}

/// A subscription.
#[derive(Debug)]
pub(crate) struct Tap {
    kept: Kept<Connecting>,
    /// Given back to us.
    returned: Mutex<VecDeque<Taken>>,
}

impl Tap {
    pub(crate) fn new(address: Address, dialer: Dialer, prefetch: usize) -> Self {
        let client = address.option("client").map_or_else(own_name, str::to_owned);
        let most = u16::try_from(prefetch.max(1)).unwrap_or(u16::MAX);
        let tap = Some((address.path().to_owned(), most));
        Self {
            kept: Kept::new(Connecting { dialer, address, client, tap }),
            returned: Mutex::default(),
        }
    }

    pub(crate) async fn take(&self, most: usize, wait: Duration) -> Result<Vec<Taken>, QueueError> {
        let line = self.kept.line().await?;
        let mut returned = self.returned.lock().await;
        // What came over an earlier connection comes again over this one.
        returned.retain(|taken| line.is_of(&taken.token));
        if !returned.is_empty() {
            let count = most.min(returned.len());
            return Ok(returned.drain(..count).collect());
        }
        drop(returned);
        let mut deliveries = line.deliveries.lock().await;
        let mut taken = Vec::new();
        match tokio::time::timeout(wait, deliveries.recv_many(&mut taken, most)).await {
            Ok(0) if most > 0 => Err(line.why()),
            Ok(_) | Err(_) => Ok(taken),
        }
    }

    /// Lets go of the connection, and with it of what came and nobody took.
    pub(crate) async fn close(&self) {
        self.kept.forget().await;
    }

    pub(crate) async fn done(&self, tokens: &[Token]) -> Result<(), QueueError> {
        let line = self.kept.present().await.ok_or_else(QueueError::ended)?;
        for token in tokens {
            let packet = line.packet_of(token).ok_or_else(QueueError::ended)?;
            line.tell(Command::Done { packet }).await?;
        }
        Ok(())
    }

    /// MQTT knows no giving back: it is kept here and taken again, or comes again over the next connection.
    pub(crate) async fn back(&self, taken: Vec<Taken>) {
        self.returned.lock().await.extend(taken);
    }
}

/// How long a broker keeps a session without a connection, in seconds: as long as it can.
const SESSION: u32 = u32::MAX;
const KEEP_ALIVE: Duration = limits::HEARTBEAT;
