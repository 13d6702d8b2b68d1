//! The task of one connection.

use super::KEEP_ALIVE;
use super::packet::{self, CONNACK, DISCONNECT, PUBACK, PUBLISH, Packet, Properties, SUBACK};
use crate::address::Credentials;
use crate::dial::Stream;
use crate::limits;
use crate::message::{Message, QueueError, Taken, Token};
use crate::room::Held;
use crate::wire::Wire;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, interval};

const COMMANDS: usize = 256;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

type Answer = oneshot::Sender<Result<(), QueueError>>;

/// What a connection is told.
#[derive(Debug)]
pub(super) enum Command {
    Publish { topic: String, message: Message, held: Held, answer: Answer },
    Done { packet: u16 },
}

/// A connection, as its users have it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    number: u64,
    commands: mpsc::Sender<Command>,
    pub(super) deliveries: Arc<Mutex<mpsc::Receiver<Taken>>>,
    ended: Arc<OnceLock<QueueError>>,
}

impl Line {
    pub(super) fn lives(&self) -> bool {
        !self.commands.is_closed()
    }

    pub(super) fn why(&self) -> QueueError {
        self.ended.get().cloned().unwrap_or_else(QueueError::ended)
    }

    pub(super) async fn tell(&self, command: Command) -> Result<(), QueueError> {
        self.commands.send(command).await.map_err(|_| self.why())
    }

    /// Which packet of this connection a token means.
    pub(super) fn packet_of(&self, token: &Token) -> Option<u16> {
        let (number, packet) = token.0.split_once(':')?;
        (number.parse() == Ok(self.number)).then(|| packet.parse().ok()).flatten()
    }

    pub(super) fn is_of(&self, token: &Token) -> bool {
        self.packet_of(token).is_some()
    }
}

#[derive(Debug)]
struct Driver {
    number: u64,
    wire: Wire,
    deliveries: mpsc::Sender<Taken>,
    next: u16,
    pending: HashMap<u16, Pending>,
    /// What the broker takes at once, and of one packet.
    most: usize,
    largest: usize,
    heard: Instant,
}

#[derive(Debug)]
struct Pending {
    since: Instant,
    answer: Answer,
    _held: Held,
}

/// Logs in, subscribes where that is wanted, and starts the task.
pub(super) async fn open(
    stream: Stream,
    who: Option<&Credentials>,
    client: &str,
    tap: Option<&(String, u16)>,
) -> Result<Line, QueueError> {
    let mut wire = Wire::new(stream);
    let prefetch = tap.map(|(_, prefetch)| *prefetch);
    packet::connect(&mut wire.out, who, client, prefetch);
    let first = wait(&mut wire).await?;
    if first.kind != CONNACK {
        return Err(QueueError::odd("something before CONNACK"));
    }
    let Properties { receive, packet: largest, .. } = packet::connected(&first.rest)?;
    if let Some((filter, _)) = tap {
        packet::subscribe(&mut wire.out, filter);
    }
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    let (commands, told) = mpsc::channel(COMMANDS);
    let (deliveries, taken) = mpsc::channel(usize::from(prefetch.unwrap_or(1)));
    let mut driver = Driver {
        number,
        wire,
        deliveries,
        next: 1,
        pending: HashMap::new(),
        most: usize::from(receive.unwrap_or(u16::MAX)).min(limits::IN_FLIGHT),
        largest: largest.and_then(|most| usize::try_from(most).ok()).unwrap_or(limits::MESSAGE),
        heard: Instant::now(),
    };
    if tap.is_some() {
        driver.until_subscribed().await?;
    }
    let ended = Arc::new(OnceLock::new());
    let why = Arc::clone(&ended);
    tokio::spawn(async move {
        let mut told = told;
        let error = driver.run(&mut told).await;
        drop(why.set(error.clone()));
        for (_, pending) in driver.pending.drain() {
            drop(pending.answer.send(Err(error.clone())));
        }
    });
    Ok(Line { number, commands, deliveries: Arc::new(Mutex::new(taken)), ended })
}

async fn wait(wire: &mut Wire) -> Result<Packet, QueueError> {
    loop {
        match packet::next(&mut wire.came)? {
            Some(packet) => return Ok(packet),
            None => wire.turn().await?,
        }
    }
}

impl Driver {
    /// What the session held back may come before the answer.
    async fn until_subscribed(&mut self) -> Result<(), QueueError> {
        loop {
            let packet = wait(&mut self.wire).await?;
            if packet.kind == SUBACK {
                return packet::subscribed(&packet.rest);
            }
            self.read(&packet)?;
        }
    }

    async fn run(&mut self, told: &mut mpsc::Receiver<Command>) -> QueueError {
        let mut beat = interval(KEEP_ALIVE / 2);
        loop {
            if let Err(error) = self.read_all() {
                return error;
            }
            let room = self.wire.has_room() && self.pending.len() < self.most;
            tokio::select! {
                turned = self.wire.turn() => match turned {
                    Ok(()) => {}
                    Err(error) => return error,
                },
                command = told.recv(), if room => match command {
                    Some(command) => self.obey(command),
                    None => {
                        packet::disconnect(&mut self.wire.out);
                        self.wire.finish().await;
                        return QueueError::ended();
                    }
                },
                now = beat.tick() => match self.beat(now) {
                    Ok(()) => {}
                    Err(error) => return error,
                },
            }
        }
    }

    fn beat(&mut self, now: Instant) -> Result<(), QueueError> {
        if now.duration_since(self.heard) > 2 * KEEP_ALIVE {
            return Err(QueueError::Unreachable("nothing was heard of it any more".to_owned()));
        }
        let stalled = |put: &Pending| now.duration_since(put.since) > limits::STALLED;
        if self.pending.values().any(stalled) {
            return Err(QueueError::Busy("it confirms nothing any more".to_owned()));
        }
        packet::ping(&mut self.wire.out);
        Ok(())
    }

    fn obey(&mut self, command: Command) {
        match command {
            // What came with QoS 0 wants no word.
            Command::Done { packet: 0 } => {}
            Command::Done { packet } => packet::puback(&mut self.wire.out, packet),
            Command::Publish { topic, message, held, answer } => {
                if answer.is_closed() {
                    return;
                }
                let number = self.number();
                let bytes = packet::publish(&topic, number, &message);
                if bytes.len() > self.largest {
                    let text = format!("{} bytes are the most", self.largest);
                    drop(answer.send(Err(QueueError::TooLarge(text))));
                    return;
                }
                self.wire.out.extend_from_slice(&bytes);
                self.pending.insert(number, Pending { since: Instant::now(), answer, _held: held });
            }
        }
    }

    /// One that nothing pending has. There are fewer of those than numbers.
    fn number(&mut self) -> u16 {
        while self.next == 0 || self.pending.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        number
    }

    fn read_all(&mut self) -> Result<(), QueueError> {
        while let Some(packet) = packet::next(&mut self.wire.came)? {
            self.read(&packet)?;
        }
        Ok(())
    }

    fn read(&mut self, packet: &Packet) -> Result<(), QueueError> {
        let odd = || QueueError::odd("a packet that cannot be read");
        self.heard = Instant::now();
        match packet.kind {
            PUBACK => {
                let (number, code) = packet::acked(&packet.rest).ok_or_else(odd)?;
                if let Some(pending) = self.pending.remove(&number) {
                    let taken = if code == 0 { Ok(()) } else { Err(packet::reason(code)) };
                    drop(pending.answer.send(taken));
                }
            }
            PUBLISH => {
                let (number, mut message) = packet::published(packet).ok_or_else(odd)?;
                // With QoS 0 there is no number, and nothing to be done with it.
                let number = number.unwrap_or(0);
                let token = Token(format!("{}:{number}", self.number));
                if message.id.is_empty() {
                    message.id = format!("{}-{number}", self.number);
                }
                let tries = u32::from(packet.flags & 0x08 != 0);
                let sent = self.deliveries.try_send(Taken { message, token, tries });
                // QoS 0 is under no limit, and promises nothing: what finds no room is lost.
                if sent.is_err() && number != 0 {
                    return Err(QueueError::odd("more messages than it was asked for"));
                }
            }
            DISCONNECT => return Err(packet::reason(packet.rest.first().copied().unwrap_or(0x8B))),
            _ => {}
        }
        Ok(())
    }
}
