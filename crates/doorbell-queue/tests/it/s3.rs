//! A bucket of `moto`, which plays S3 where it plays SQS, and buckets on servers that do what no server should.

use crate::world::{broker, dialer, fresh};
use bytes::Bytes;
use doorbell_core::secret::SecretText;
use doorbell_queue::{Address, Bucket, Credentials, QueueError, limits};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// An empty bucket, below a prefix.
async fn fresh_bucket(prefix: &str) -> Bucket {
    let moto: Address = broker("sqs").parse().unwrap();
    let (at, name) = (format!("{}:{}", moto.host(), moto.port()), fresh("bucket"));
    let mut tcp = TcpStream::connect(&at).await.unwrap();
    let question = format!(
        "PUT /{name} HTTP/1.1\r\nhost: {at}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    tcp.write_all(question.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tcp.read_to_string(&mut answer).await.unwrap();
    assert!(answer.lines().next().unwrap().contains(" 200 "), "{answer}");
    bucket(&at, &format!("{name}/{prefix}"))
}

fn bucket(at: &str, path: &str) -> Bucket {
    Bucket::new(&format!("s3+http://KEY:SECRET@{at}/{path}"), dialer()).unwrap()
}

#[tokio::test]
async fn what_was_put_is_got() {
    for prefix in ["", "one", "some/fold.ers/"] {
        let bucket = fresh_bucket(prefix).await;
        assert_eq!(bucket.get("a/b-1_2.z").await.unwrap(), None);
        for body in [&b""[..], b"{\"a\":1}", b"\xff\x00\r\n\r\n", &[7; 3_000_000]] {
            bucket.put("a/b-1_2.z", Bytes::copy_from_slice(body)).await.unwrap();
            let got = bucket.get("a/b-1_2.z").await.unwrap();
            assert!(got.as_deref() == Some(body), "{} bytes", body.len());
        }
        assert_eq!(bucket.get("a/b-1_2").await.unwrap(), None);
    }
}

#[tokio::test]
async fn no_such_bucket_is_not_an_empty_one() {
    let moto: Address = broker("sqs").parse().unwrap();
    let nowhere = bucket(&format!("{}:{}", moto.host(), moto.port()), &fresh("nowhere"));
    let errors = [nowhere.get("a").await.map(drop), nowhere.put("a", Bytes::new()).await];
    for error in errors {
        assert!(matches!(error, Err(QueueError::NoSuchQueue(_))), "{error:?}");
    }
}

/// Gives what it was told to give, one after the other, and remembers what it was asked.
#[derive(Debug, Default)]
struct Server {
    answers: Mutex<VecDeque<String>>,
    asked: Mutex<Vec<String>>,
    connections: Mutex<usize>,
}

impl Server {
    /// Each answer as it goes over the wire; with `CLOSE ` before it the connection is closed after it.
    async fn start(answers: &[&str]) -> (Arc<Self>, Bucket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let server = Arc::new(Self { answers: Mutex::new(answers), ..Self::default() });
        let serving = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                *serving.connections.lock().unwrap() += 1;
                tokio::spawn(Arc::clone(&serving).serve(tcp));
            }
        });
        (server, bucket(&at, "bucket/p"))
    }

    async fn serve(self: Arc<Self>, mut tcp: TcpStream) {
        let (mut read, mut piece) = (Vec::new(), [0; 4096]);
        loop {
            // A question without a body, or with one that says its end.
            let text = String::from_utf8_lossy(&read).into_owned();
            if text.ends_with("\r\n\r\n") || text.ends_with("END") {
                read.clear();
                self.asked.lock().unwrap().push(text);
                let Some(answer) = self.answers.lock().unwrap().pop_front() else { return };
                let (answer, closes) =
                    answer.strip_prefix("CLOSE ").map_or((answer.as_str(), false), |a| (a, true));
                tcp.write_all(answer.as_bytes()).await.unwrap();
                if closes {
                    return;
                }
            }
            match tcp.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(count) => read.extend_from_slice(&piece[..count]),
            }
        }
    }

    fn asked(&self, at: usize) -> String {
        self.asked.lock().unwrap()[at].to_ascii_lowercase()
    }

    fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx";

#[tokio::test]
async fn questions_are_signed_and_say_the_hash_of_the_body() {
    let (server, bucket) = Server::start(&[FINE, FINE]).await;
    let who = Credentials {
        user: "OTHER".to_owned(),
        password: SecretText::parse("secret").ok(),
        session: SecretText::parse("TOKEN").ok(),
    };
    let bucket = bucket.with_credentials(who);
    bucket.put("a/b", Bytes::from_static(b"END")).await.unwrap();
    bucket.get("a/b").await.unwrap();
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let end = "b891f9e2a69626266100a5fa3161423408bdf539816e578cc6464a315b138668";
    let all = [("put /bucket/p/a/b http", end), ("get /bucket/p/a/b http", empty)];
    for (at, (line, hash)) in all.into_iter().enumerate() {
        let asked = server.asked(at);
        assert!(asked.starts_with(line), "{asked}");
        for wanted in [
            format!("x-amz-content-sha256: {hash}\r\n"),
            "x-amz-security-token: token\r\n".to_owned(),
            "signedheaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,".to_owned(),
            "credential=other/".to_owned(),
            "/us-east-1/s3/aws4_request".to_owned(),
        ] {
            assert!(asked.contains(&wanted), "{wanted} in {asked}");
        }
    }
    assert!(server.asked(0).contains("content-length: 3\r\n"));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_opened_again() {
    let closing = format!("CLOSE {FINE}");
    let (server, bucket) = Server::start(&[FINE, &closing, FINE, &closing, FINE]).await;
    for _ in 0..5 {
        assert_eq!(bucket.get("a").await.unwrap().as_deref(), Some(&b"x"[..]));
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn what_is_too_large_is_neither_read_nor_sent() {
    let large = limits::S3_BODY + 1;
    let said = format!("HTTP/1.1 200 OK\r\ncontent-length: {large}\r\n\r\nx");
    let (server, bucket) = Server::start(&[&said, FINE]).await;
    let error = bucket.get("a").await.unwrap_err();
    assert!(matches!(error, QueueError::TooLarge(_)), "{error}");
    let error = bucket.put("a", Bytes::from(vec![0; large])).await.unwrap_err();
    assert!(matches!(error, QueueError::TooLarge(_)), "{error}");
    assert!(bucket.get("a").await.unwrap().is_some());
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn what_does_not_come_whole_has_not_come() {
    let cut = "CLOSE HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx";
    let chunks = "CLOSE HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n";
    let (_, bucket) =
        Server::start(&[cut, chunks, "CLOSE HTTP/1.1 200 OK\r\n", "CLOSE no HTTP\r\n\r\n"]).await;
    for _ in 0..4 {
        let error = bucket.get("a").await.unwrap_err();
        assert!(matches!(error, QueueError::Unreachable(_)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_says_nothing_is_busy_after_a_while() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bucket = bucket(&listener.local_addr().unwrap().to_string(), "bucket");
    let later = limits::S3_MOVE + Duration::from_secs(1);
    busy(later, bucket.put("a", Bytes::from_static(b"x"))).await;
    busy(later, async { bucket.get("a").await.map(drop) }).await;
}

async fn busy(within: Duration, asking: impl Future<Output = Result<(), QueueError>>) {
    let answered = tokio::time::timeout(within, asking).await.expect("it ends");
    assert!(matches!(answered, Err(QueueError::Busy(_))), "{answered:?}");
}

#[tokio::test]
async fn one_that_is_away_is_unreachable_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bucket = bucket(&listener.local_addr().unwrap().to_string(), "bucket");
    drop(listener);
    let error = bucket.get("a").await.unwrap_err();
    assert!(matches!(error, QueueError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn nobody_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("s3+http://{}/bucket", listener.local_addr().unwrap());
    let nobody = Bucket::new(&address, dialer()).unwrap();
    assert!(nobody.credentials().is_none());
    let error = nobody.get("a").await.unwrap_err();
    assert!(matches!(error, QueueError::Refused(_)), "{error}");
}

#[tokio::test]
async fn no_secret_is_shown() {
    let bucket = bucket("127.0.0.1:1", "bucket/p");
    let error = bucket.get("a").await.unwrap_err();
    for shown in [format!("{bucket:?}"), bucket.shown(), error.to_string()] {
        assert!(!shown.contains("SECRET") && !shown.contains("KEY"), "{shown}");
    }
    assert!(bucket.shown().contains("127.0.0.1:1/bucket/p"));
}
