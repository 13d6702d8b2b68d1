//! From an address to a channel that is ready: login, tuning, what is to be there, confirms or a consumer.

use super::Purpose;
use super::codec::{Reader, Value, short, table};
use super::frames::{self, CHANNEL, METHOD, closed, declare, method, start_ok};
use crate::address::{Address, Credentials};
use crate::dial::Dialer;
use crate::limits;
use crate::message::QueueError;
use crate::wire::Wire;
use bytes::{BufMut as _, Bytes};

/// The largest frame that we ask for.
const FRAME_MAX: usize = 128 << 10;

/// A channel that is ready.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) wire: Wire,
    pub(super) frame_max: usize,
    /// Deliveries that may come without an ack.
    pub(super) prefetch: u16,
    /// Of the consumer.
    pub(super) queue: String,
}

pub(super) async fn open(
    dialer: &Dialer,
    address: &Address,
    purpose: &Purpose,
) -> Result<Opened, QueueError> {
    let mut wire = Wire::new(dialer.open(address.site()).await?);
    wire.out.put_slice(b"AMQP\0\0\x09\x01");
    wait(&mut wire, FRAME_MAX, (10, 10)).await?;
    let (user, password) = login(address.credentials());
    start_ok(&mut wire.out, &user, &password);
    let frame_max = tune(&wait(&mut wire, FRAME_MAX, (10, 30)).await?, &mut wire)?;
    method(&mut wire.out, 0, (10, 40), |out| {
        short(out, if address.path().is_empty() { "/" } else { address.path() });
        out.put_u16(0);
    });
    wait(&mut wire, frame_max, (10, 41)).await?;
    method(&mut wire.out, CHANNEL, (20, 10), |out| out.put_u8(0));
    wait(&mut wire, frame_max, (20, 11)).await?;
    let queue = address.option("queue").unwrap_or_default().to_owned();
    if address.option("declare") == Some("quorum") && !queue.is_empty() {
        inbox(&mut wire, frame_max, &queue, address).await?;
    }
    let prefetch = match purpose {
        Purpose::Put => {
            // A confirmation says that it was routed; whether the queue is there is told by `mandatory`.
            method(&mut wire.out, CHANNEL, (85, 10), |out| out.put_u8(0));
            wait(&mut wire, frame_max, (85, 11)).await?;
            0
        }
        Purpose::Take(prefetch) => {
            consume(&mut wire, frame_max, &queue, *prefetch).await?;
            *prefetch
        }
    };
    Ok(Opened { wire, frame_max, prefetch, queue })
}

fn login(credentials: Option<&Credentials>) -> (String, String) {
    let guest = || ("guest".to_owned(), "guest".to_owned());
    credentials.map_or_else(guest, |who| {
        let password = who.password.as_ref().map(|secret| secret.reveal().to_owned());
        (who.user.clone(), password.unwrap_or_default())
    })
}

/// Reads Tune and answers it; the frame size that both can do.
fn tune(arguments: &[u8], wire: &mut Wire) -> Result<usize, QueueError> {
    let mut reader = Reader(arguments);
    let read = (|| Some((reader.u16()?, reader.u32()?, reader.u16()?)))();
    let (_, theirs, _) = read.ok_or_else(|| QueueError::odd("a Tune that is none"))?;
    let theirs = usize::try_from(theirs).unwrap_or(0);
    let most = if theirs == 0 { FRAME_MAX } else { theirs.clamp(4096, FRAME_MAX) };
    method(&mut wire.out, 0, (10, 31), |out| {
        out.put_u16(CHANNEL);
        out.put_u32(u32::try_from(most).unwrap_or_default());
        out.put_u16(u16::try_from(limits::HEARTBEAT.as_secs()).unwrap_or_default());
    });
    Ok(most)
}

/// The queue with what it needs: on disk at a majority, and a queue beside it for what nobody could finish.
async fn inbox(
    wire: &mut Wire,
    frame_max: usize,
    queue: &str,
    address: &Address,
) -> Result<(), QueueError> {
    let dead = format!("{queue}.dead");
    declare(&mut wire.out, &dead, false, &[("x-queue-type", Value::Text("quorum"))]);
    wait(wire, frame_max, (50, 11)).await?;
    let limit = address.option("delivery_limit").and_then(|text| text.parse().ok());
    let arguments = [
        ("x-queue-type", Value::Text("quorum")),
        ("x-delivery-limit", Value::Number(limit.unwrap_or(DELIVERY_LIMIT))),
        ("x-dead-letter-exchange", Value::Text("")),
        ("x-dead-letter-routing-key", Value::Text(&dead)),
        // What is dead-lettered leaves the queue only when the other one has it.
        ("x-dead-letter-strategy", Value::Text("at-least-once")),
        ("x-overflow", Value::Text("reject-publish")),
        // One at a time takes from it, so that the order is kept when another takes over.
        ("x-single-active-consumer", Value::Yes),
    ];
    declare(&mut wire.out, queue, false, &arguments);
    wait(wire, frame_max, (50, 11)).await.map(drop)
}

/// How often a message may come back before it is put aside. Whatever ends a connection counts for all that was taken over
/// it, every half hour of a database that is away included (`consumer_timeout`), so this is no small number. It also makes
/// what comes back go to the head of the queue.
const DELIVERY_LIMIT: i64 = 1_000;

async fn consume(
    wire: &mut Wire,
    frame_max: usize,
    queue: &str,
    prefetch: u16,
) -> Result<(), QueueError> {
    method(&mut wire.out, CHANNEL, (60, 10), |out| {
        out.put_u32(0);
        out.put_u16(prefetch);
        out.put_u8(0);
    });
    wait(wire, frame_max, (60, 11)).await?;
    method(&mut wire.out, CHANNEL, (60, 20), |out| {
        out.put_u16(0);
        short(out, queue);
        short(out, "doorbell");
        out.put_u8(0);
        table(out, &[]);
    });
    wait(wire, frame_max, (60, 21)).await.map(drop)
}

/// The arguments of the method that must come now.
async fn wait(wire: &mut Wire, most: usize, wanted: (u16, u16)) -> Result<Bytes, QueueError> {
    loop {
        if let Some(frame) = frames::next(&mut wire.came, most)? {
            if frame.kind != METHOD {
                continue;
            }
            let mut reader = Reader(&frame.payload);
            let said = (reader.u16().unwrap_or_default(), reader.u16().unwrap_or_default());
            let arguments = frame.payload.slice_ref(reader.0);
            match said {
                said if said == wanted => return Ok(arguments),
                (10, 50) | (20, 40) => return Err(closed(&arguments)),
                // Blocked and unblocked.
                (10, 60 | 61) => {}
                _ => return Err(QueueError::odd("a method out of turn")),
            }
        } else {
            wire.turn().await.map_err(|error| refused_if_cut(error, wanted))?;
        }
    }
}

/// Who may not log in is not told by every version: the connection is cut instead of a Tune.
fn refused_if_cut(error: QueueError, wanted: (u16, u16)) -> QueueError {
    match (&error, wanted) {
        (QueueError::Unreachable(text), (10, 30 | 41)) => {
            QueueError::Refused(format!("the login, perhaps: {text}"))
        }
        _ => error,
    }
}
