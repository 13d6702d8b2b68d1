//! The bounds of this crate in one list.

use std::time::Duration;

/// How long opening a connection may take: TCP, TLS, login and what is declared.
pub const OPEN: Duration = Duration::from_secs(5);
/// How long a broker may take to confirm what was put, or to answer a question.
pub const ANSWER: Duration = Duration::from_secs(5);
/// What no broker confirmed for so long makes its connection count as dead.
pub const STALLED: Duration = Duration::from_secs(30);
/// How long after a failed connection the next one is tried; it doubles up to [`BACKOFF_MAX`].
pub const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// See [`BACKOFF_MIN`].
pub const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// A connection on which nothing is heard for twice as long is dead; so often something is said.
pub const HEARTBEAT: Duration = Duration::from_secs(10);
/// Messages of one outlet that wait for their confirmation.
pub const IN_FLIGHT: usize = 2_048;
/// Their bytes, in KiB.
pub const IN_FLIGHT_KIB: usize = 64 << 10;
/// Largest message that is taken from or given to a broker, in bytes; many brokers' own limits are lower.
pub const MESSAGE: usize = 64 << 20;
/// Messages that a tap has taken and that are not done, unless asked otherwise.
pub const PREFETCH: usize = 256;
/// Longest single value of a message's properties (key, header), in bytes.
pub const TEXT: usize = 4_096;
/// Most headers of a message.
pub const HEADERS: usize = 64;
/// Largest letter that goes into an inbox, in bytes; a larger one goes to the store directly. NATS and SQS take no more
/// either, and what was taken and is not done is in memory.
pub const INBOX_LETTER: usize = 900 << 10;
/// Letters that are taken from an inbox before some are done.
pub const INBOX_PREFETCH: usize = 128;
/// How long a sender waits until its event is in the inbox.
pub const INBOX_PATIENCE: Duration = Duration::from_secs(3);
/// Bytes that wait to be written before no more is handed to a connection.
pub(crate) const UNWRITTEN: usize = 1 << 20;
/// How often it is to be said of what was taken that it is being worked on.
pub const HOLD_EVERY: Duration = Duration::from_millis(400);
/// Largest thing that is put into or got from a bucket, in bytes.
pub const S3_BODY: usize = 40 << 20;
/// How long putting it or getting it may take, the wait for a turn included.
pub const S3_MOVE: Duration = Duration::from_secs(30);
/// Questions about a bucket that are on their way at once, since what they bring is in memory; more of them wait.
pub const S3_AT_ONCE: usize = 32;
