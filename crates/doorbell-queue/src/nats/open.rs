//! From an address to a connection that takes messages: INFO, TLS, login.

use super::protocol::{self, Said};
use crate::address::Address;
use crate::dial::Dialer;
use crate::message::QueueError;
use crate::wire::Wire;
use bytes::{BufMut as _, Bytes};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Value, json};

/// A connection that is ready.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) wire: Wire,
    /// Bytes of a message that the server takes.
    pub(super) max_payload: usize,
    pub(super) version: String,
    /// Answers come to subjects that begin so.
    pub(super) inbox: String,
}

/// What the server takes when it does not say.
const MAX_PAYLOAD: usize = 1 << 20;

pub(super) async fn open(dialer: &Dialer, address: &Address) -> Result<Opened, QueueError> {
    // The server speaks first, and in the clear; whether TLS comes next is its or our wish.
    let mut tcp = dialer.tcp(address.site()).await?;
    let info = greeting(&mut tcp).await?;
    let info: Value =
        serde_json::from_slice(&info).map_err(|_| QueueError::odd("an INFO that is none"))?;
    let wants_tls = info.get("tls_required").and_then(Value::as_bool) == Some(true);
    let mut wire = if address.is_tls() || wants_tls {
        Wire::new(dialer.secure(tcp, address.site()).await?)
    } else {
        Wire::new(Box::new(tcp))
    };
    let inbox = inbox()?;
    wire.out.put_slice(
        format!("CONNECT {}\r\nSUB {inbox}* 1\r\nPING\r\n", connect(address)).as_bytes(),
    );
    loop {
        match protocol::next(&mut wire.came)? {
            Some(Said::Pong) => break,
            Some(Said::Error(text)) => return Err(error(text)),
            Some(_) => {}
            None => wire.turn().await?,
        }
    }
    let max_payload = info.get("max_payload").and_then(Value::as_u64);
    let max_payload = max_payload.and_then(|most| usize::try_from(most).ok());
    let version = info.get("version").and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(Opened { wire, max_payload: max_payload.unwrap_or(MAX_PAYLOAD), version, inbox })
}

/// The first line, and not a byte more: TLS may begin behind it.
async fn greeting(tcp: &mut tokio::net::TcpStream) -> Result<Bytes, QueueError> {
    use tokio::io::AsyncReadExt as _;
    let mut line = bytes::BytesMut::new();
    loop {
        let byte = tcp.read_u8().await.map_err(|error| crate::dial::unreachable(&error))?;
        line.put_u8(byte);
        if let Some(said) = protocol::next(&mut line)? {
            return match said {
                Said::Info(info) => Ok(info),
                Said::Error(text) => Err(error(text)),
                Said::Message(_) | Said::Ping | Said::Pong | Said::Ok => {
                    Err(QueueError::odd("a greeting that is none"))
                }
            };
        }
    }
}

fn connect(address: &Address) -> Value {
    let mut connect = json!({
        "verbose": false, "pedantic": false, "headers": true, "no_responders": true, "tls_required": address.is_tls(),
        "lang": "rust", "version": env!("CARGO_PKG_VERSION"), "name": "doorbell", "protocol": 1, "echo": true,
    });
    if let (Some(who), Some(fields)) = (address.credentials(), connect.as_object_mut()) {
        match &who.password {
            Some(password) => {
                fields.insert("user".to_owned(), json!(who.user));
                fields.insert("pass".to_owned(), json!(password.reveal()));
            }
            None => {
                fields.insert("auth_token".to_owned(), json!(who.user));
            }
        }
    }
    connect
}

/// A subject that nobody else has.
fn inbox() -> Result<String, QueueError> {
    let mut random = [0_u8; 12];
    let filled = SystemRandom::new().fill(&mut random);
    filled.map_err(|_| QueueError::Failed("no randomness".to_owned()))?;
    let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("_INBOX.{name}."))
}

/// What the server says before it cuts the connection.
pub(super) fn error(text: String) -> QueueError {
    let lower = text.to_ascii_lowercase();
    if lower.contains("authoriz") || lower.contains("authentic") || lower.contains("permission") {
        QueueError::Refused(text)
    } else if lower.contains("payload") {
        QueueError::TooLarge(text)
    } else if lower.contains("stale") || lower.contains("slow consumer") || lower.contains("shut") {
        QueueError::Unreachable(text)
    } else {
        QueueError::Failed(text)
    }
}
