//! What every inbox promises, whatever broker it stands on.

use crate::world::{LONG, broker, dialer, fresh};
use bytes::Bytes;
use doorbell_queue::{Address, Inbox, QueueError, Taken, Tap, Token};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const WAIT: Duration = Duration::from_secs(2);

fn address(engine: &str) -> Address {
    let (base, name) = (broker(engine), fresh("inbox"));
    let text = match engine {
        "amqp" => format!("{base}?queue={name}"),
        "nats" => format!("{base}{name}?stream={name}"),
        // One test uses it, and leaves it empty.
        _ => format!("{base}/inbox.fifo?dead=123456789012/inbox-dead"),
    };
    text.parse().unwrap()
}

async fn take(inbox: &Inbox, count: usize) -> Vec<Taken> {
    let mut all = Vec::new();
    let taking = async {
        while all.len() < count {
            all.extend(inbox.take(WAIT).await.unwrap());
        }
    };
    tokio::time::timeout(LONG, taking).await.expect("they come");
    all
}

fn bodies(taken: &[Taken]) -> Vec<u32> {
    taken.iter().map(|one| str::from_utf8(&one.message.body).unwrap().parse().unwrap()).collect()
}

fn tokens(taken: &[Taken]) -> Vec<Token> {
    taken.iter().map(|one| one.token.clone()).collect()
}

/// In order, also for the one who goes on after another one left in the middle; what cannot be read is set aside; in the
/// end nothing waits.
async fn promises(engine: &str, dead: &str) {
    let (address, prefix) = (address(engine), fresh("e"));
    let first = Inbox::new(&address, &dialer()).unwrap();
    first.open().await.unwrap();
    for n in 0..10 {
        first.put(&format!("{prefix}-{n}"), Bytes::from(n.to_string())).await.unwrap();
    }
    let taken = take(&first, 10).await;
    assert_eq!(bodies(&taken), (0..10).collect::<Vec<_>>(), "{engine}");
    first.hold(&tokens(&taken)).await.unwrap();
    first.done(&tokens(&taken[..4])).await.unwrap();
    for n in 10..15 {
        first.put(&format!("{prefix}-{n}"), Bytes::from(n.to_string())).await.unwrap();
    }
    first.close(taken[4..].to_vec()).await.unwrap();
    let second = Inbox::new(&address, &dialer()).unwrap();
    let mut rest = Vec::new();
    while rest.len() < 11 {
        // An SQS group gives no more while some of it are out.
        let taken = take(&second, 1).await;
        let is_first = rest.is_empty();
        rest.extend(bodies(&taken));
        let (aside, done) = taken.split_at(usize::from(is_first));
        for one in aside {
            second.set_aside(one.clone()).await.unwrap();
        }
        second.done(&tokens(done)).await.unwrap();
    }
    assert_eq!(rest, (4..15).collect::<Vec<_>>(), "{engine}");
    let waiting = async {
        while second.waiting().await.unwrap() != Some(0) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("nothing waits in the end");
    let aside = dead
        .replace("NAME", address.option("queue").or(address.option("stream")).unwrap_or_default());
    if !aside.is_empty() {
        let aside: Address = aside.parse().unwrap();
        let tap = Tap::new(aside, dialer(), 10).unwrap();
        let found = tap.take(1, LONG).await.unwrap();
        assert_eq!(bodies(&found), [4], "{engine}");
        tap.done(&tokens(&found)).await.unwrap();
    }
}

#[tokio::test]
async fn rabbit_keeps_the_promises() {
    promises("amqp", &format!("{}?queue=NAME.dead", broker("amqp"))).await;
}

#[tokio::test]
async fn nats_keeps_the_promises() {
    promises("nats", "").await;
}

#[tokio::test]
async fn sqs_keeps_the_promises() {
    promises("sqs", &format!("{}/inbox-dead", broker("sqs"))).await;
}

/// One who dies without a word on NATS: what it had comes first to the next, though newer ones wait.
#[tokio::test]
async fn on_nats_nothing_newer_overtakes_what_a_dead_one_had() {
    let (address, prefix) = (address("nats"), fresh("e"));
    let first = Inbox::new(&address, &dialer()).unwrap();
    for n in 0..3 {
        first.put(&format!("{prefix}-{n}"), Bytes::from(n.to_string())).await.unwrap();
    }
    assert_eq!(bodies(&take(&first, 3).await), [0, 1, 2]);
    for n in 3..6 {
        first.put(&format!("{prefix}-{n}"), Bytes::from(n.to_string())).await.unwrap();
    }
    drop(first);
    let second = Inbox::new(&address, &dialer()).unwrap();
    let taken = take(&second, 6).await;
    assert_eq!(bodies(&taken), [0, 1, 2, 3, 4, 5]);
    second.done(&tokens(&taken)).await.unwrap();
}

/// Asks a NATS server something of its own; the JSON that it answers.
async fn ask_nats(subject: &str, body: &str) -> String {
    let base: Address = broker("nats").parse().unwrap();
    let mut server = TcpStream::connect((base.host(), base.port())).await.unwrap();
    let asked = format!(
        "CONNECT {{\"verbose\":false}}\r\nSUB answer 1\r\nPUB {subject} answer {}\r\n{body}\r\n",
        body.len()
    );
    server.write_all(asked.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(server).lines();
    let answer = async {
        while !lines.next_line().await.unwrap().unwrap().starts_with("MSG ") {}
        lines.next_line().await.unwrap().unwrap()
    };
    tokio::time::timeout(LONG, answer).await.expect("it answers")
}

/// The consumer that an older version made, which left what a dead node had for 10 s, is brought to this version's 1.5 s.
#[tokio::test]
async fn on_nats_the_consumer_of_an_older_version_is_brought_up() {
    let (address, prefix) = (address("nats"), fresh("e"));
    let first = Inbox::new(&address, &dialer()).unwrap();
    for n in 0..3 {
        first.put(&format!("{prefix}-{n}"), Bytes::from(n.to_string())).await.unwrap();
    }
    first.close(Vec::new()).await.unwrap();
    let stream = address.option("stream").unwrap();
    let of_consumer = |what: &str| format!("$JS.API.CONSUMER.{what}.{stream}.doorbell");
    ask_nats(&of_consumer("DELETE"), "").await;
    let old = format!(
        r#"{{"stream_name": "{stream}", "config": {{"durable_name": "doorbell", "deliver_policy": "all", "ack_policy": "explicit",
        "ack_wait": 10000000000, "max_deliver": -1, "max_ack_pending": 512, "filter_subject": "{}", "replay_policy": "instant"}}}}"#,
        address.path()
    );
    let made = ask_nats(&of_consumer("DURABLE.CREATE"), &old.replace('\n', " ")).await;
    assert!(made.contains("\"ack_wait\":10000000000"), "{made}");
    let second = Inbox::new(&address, &dialer()).unwrap();
    assert_eq!(bodies(&take(&second, 3).await), [0, 1, 2]);
    let info = ask_nats(&of_consumer("INFO"), "").await;
    assert!(info.contains("\"ack_wait\":1500000000"), "{info}");
    drop(second);
    let third = Inbox::new(&address, &dialer()).unwrap();
    let taken = take(&third, 3).await;
    assert_eq!(bodies(&taken), [0, 1, 2]);
    third.done(&tokens(&taken)).await.unwrap();
}

/// Too large for any broker, by our own word.
#[tokio::test]
async fn what_is_too_large_is_not_put() {
    let address: Address = "amqp://127.0.0.1:1/".parse().unwrap();
    let inbox = Inbox::new(&address, &dialer()).unwrap();
    let letter = Bytes::from(vec![0; doorbell_queue::limits::INBOX_LETTER + 1]);
    let error = inbox.put("e-1", letter).await.unwrap_err();
    assert!(matches!(error, QueueError::TooLarge(_)), "{error}");
}

/// Who starts while the broker is away is told, at once.
#[tokio::test]
async fn one_that_is_away_cannot_be_opened() {
    for scheme in ["amqp", "nats"] {
        let address: Address = format!("{scheme}://127.0.0.1:1/x").parse().unwrap();
        let error = Inbox::new(&address, &dialer()).unwrap().open().await.unwrap_err();
        assert!(matches!(error, QueueError::Unreachable(_)), "{scheme}: {error}");
    }
}
