//! Takes events that Doorbell put on a `RabbitMQ` queue: verify, do the work once, acknowledge.

use amqprs::channel::{
    BasicAckArguments, BasicConsumeArguments, BasicNackArguments, BasicQosArguments, Channel,
    ConsumerMessage,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::{FieldTable, FieldValue};
use anyhow::{Context as _, Result, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use std::collections::HashSet;
use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<()> {
    let webhook = Webhook::new(&env::var("WEBHOOK_SECRET").context("WEBHOOK_SECRET")?)
        .map_err(|why| anyhow!("WEBHOOK_SECRET: {why}"))?;
    let mut work = Work::open(&env::var("DATABASE").unwrap_or_else(|_| "orders.jsonl".to_owned()))?;
    loop {
        // The broker restarts, or the network broke: what was not acknowledged comes again.
        if let Err(why) = consume(&webhook, &mut work).await {
            println!("no connection, trying again: {why:#}");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn consume(webhook: &Webhook, work: &mut Work) -> Result<()> {
    let url = env::var("AMQP_URL").context("AMQP_URL")?;
    let queue = env::var("QUEUE").unwrap_or_else(|_| "orders".to_owned());
    // This client takes password and vhost as they stand there: no %XX in them. Without a path the vhost is "/".
    let connection = Connection::open(&OpenConnectionArguments::try_from(url.as_str())?).await?;
    let channel = connection.open_channel(None).await?;
    // So many are in hand at once; the others wait in the queue or go to other workers.
    channel.basic_qos(BasicQosArguments::new(0, 50, false)).await?;
    let consumer = BasicConsumeArguments::new(&queue, "").manual_ack(true).finish();
    let (_tag, mut messages) = channel.basic_consume_rx(consumer).await?;
    println!("ready");
    loop {
        let message = tokio::select! {
            message = messages.recv() => message.context("the channel ended")?,
            _ = connection.listen_network_io_failure() => return Err(anyhow!("the connection ended")),
        };
        settle(&channel, message, webhook, work).await?;
    }
}

/// Acknowledges what was done. What nobody signed goes to the dead-letter queue, where the queue has one. Anything else is
/// ours to repair: it comes again, at most as often as the queue's delivery limit says.
async fn settle(
    channel: &Channel,
    message: ConsumerMessage,
    webhook: &Webhook,
    work: &mut Work,
) -> Result<()> {
    let tag = message.deliver.as_ref().context("a message without a tag")?.delivery_tag();
    let body = message.content.unwrap_or_default();
    let properties = message.basic_properties.unwrap_or_default();
    let Some(event) = verified(webhook, properties.headers(), &body) else {
        println!("put aside: nobody signed it");
        return Ok(channel.basic_nack(BasicNackArguments::new(tag, false, false)).await?);
    };
    match work.once(&event, &body) {
        Ok(()) => Ok(channel.basic_ack(BasicAckArguments::new(tag, false)).await?),
        Err(why) => {
            println!("given back: {why:#}");
            Ok(channel.basic_nack(BasicNackArguments::new(tag, false, true)).await?)
        }
    }
}

/// The id of the event, if the signature over the body holds.
///
/// The library's own check also wants the message to be young; this one may have waited in the queue, and repeats are known
/// by their id. So the time is not judged here, only the signature.
fn verified(webhook: &Webhook, headers: Option<&FieldTable>, body: &[u8]) -> Option<String> {
    let header = |name: &str| match headers?.get(&name.try_into().ok()?)? {
        FieldValue::S(text) => Some(AsRef::<String>::as_ref(text).clone()),
        _ => None,
    };
    let (id, time) = (header("webhook-id")?, header("webhook-timestamp")?.parse().ok()?);
    let expected = webhook.sign(&id, time, body).ok()?;
    // There are several while a secret is changed.
    header("webhook-signature")?.split(' ').any(|given| same(given, &expected)).then_some(id)
}

/// Compares all of it, wherever the first difference is.
fn same(a: &str, b: &str) -> bool {
    let differences = a.bytes().zip(b.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    a.len() == b.len() && differences == 0
}

/// What was done, and that it was done, in one line of a file: a stand-in for your database, where both are one transaction.
/// What is not in that transaction (a payment, a mail) takes the event's id as its idempotency key.
struct Work {
    file: File,
    done: HashSet<String>,
}

impl Work {
    fn open(path: &str) -> Result<Self> {
        let text = fs::read(path).unwrap_or_default();
        // A line without an end was cut by a crash: it was never acknowledged, and comes again.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut done = HashSet::new();
        for line in text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Value = serde_json::from_slice(line)?;
            done.insert(line["event"].as_str().unwrap_or_default().to_owned());
        }
        let file = File::options().create(true).append(true).open(path)?;
        file.set_len(whole as u64)?;
        Ok(Self { file, done })
    }

    /// Returns when it is durable.
    fn once(&mut self, event: &str, body: &[u8]) -> Result<()> {
        if self.done.contains(event) {
            return Ok(());
        }
        let line = json!({ "event": event, "body": STANDARD.encode(body) });
        self.file.write_all(format!("{line}\n").as_bytes())?;
        self.file.sync_data()?;
        self.done.insert(event.to_owned());
        Ok(())
    }
}
