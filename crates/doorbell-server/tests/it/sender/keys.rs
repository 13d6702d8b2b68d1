//! Keys from the network: a node whose sources' keys are served by a key server on this machine, good and bad.

use super::rig::*;
use super::tls::{Authority, NAME};
use crate::raw::{exchange, header, status};
use crate::world::{NOW, World, config, rejection, source, start};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use doorbell_core::attempt::{Answer, Outcome};
use doorbell_core::configuration::{Change, Resource};
use doorbell_core::limits;
use doorbell_core::request::Headers;
use doorbell_server::clock::Clock;
use doorbell_server::metrics::Metric;
use doorbell_server::sender::{AnySender, Script, Sender, SenderOptions, Step};
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use webhook_signatures::{Secret, ToSign, find, sign};

/// A key pair of the sender's, under a name.
struct Pair {
    kid: &'static str,
    pair: rcgen::KeyPair,
}

impl Pair {
    fn new(kid: &'static str) -> Self {
        Self { kid, pair: rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap() }
    }

    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key_raw());
        serde_json::json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "x": x})
    }
}

fn jwks(pairs: &[&Pair]) -> String {
    let keys: Vec<Value> = pairs.iter().map(|pair| pair.jwk()).collect();
    ok(&serde_json::json!({ "keys": keys }).to_string())
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A server of keys: it says what it is told to, once it may.
#[derive(Clone)]
struct KeyServer {
    says: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    may: Arc<Semaphore>,
}

impl KeyServer {
    fn saying(answer: String) -> Self {
        let may = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { says: Arc::new(Mutex::new(answer)), asked: Arc::default(), may }
    }

    fn say(&self, answer: String) {
        *self.says.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn serve(&self, authority: &Authority) -> Receiver {
        let own = self.clone();
        super::tls::receiver(authority.acceptor(NAME, &[], |_| ()), move |mut stream| {
            let own = own.clone();
            async move {
                loop {
                    read_request(&mut stream).await?;
                    own.asked.fetch_add(1, Ordering::SeqCst);
                    own.may.acquire().await.unwrap().forget();
                    let answer = own.says.lock().unwrap().clone();
                    stream.write_all(answer.as_bytes()).await?;
                    stream.flush().await?;
                }
            }
        })
        .await
    }
}

/// A node with the source `signed`, whose keys are at a key server, and that trusts it.
struct Gateway {
    world: World,
    _receiver: Receiver,
}

impl Gateway {
    async fn over(server: &KeyServer) -> Self {
        let authority = Authority::new();
        let sender = authority.sender();
        Self::with(server, &authority, sender).await
    }

    async fn with(server: &KeyServer, authority: &Authority, sender: Sender) -> Self {
        let receiver = server.serve(authority).await;
        let mut config = config();
        config.keys = Some(AnySender::Real(Arc::new(sender)));
        let world = start(config).await;
        let mut signed = source("signed", "http-signature");
        signed.verification.secrets.clear();
        let jwks = format!("https://{NAME}:{}/jwks.json", receiver.address.port());
        signed.verification.options = vec![("jwks_url".to_owned(), jwks)];
        world.change(vec![Change::Put(Resource::Source(signed))]).await;
        Self { world, _receiver: receiver }
    }

    /// Sends a request signed with this pair, and gives the answer.
    async fn send(&self, pair: &Pair) -> String {
        self.world.clock.advance(Duration::from_millis(1));
        let mut row = find("http-signature").unwrap().clone();
        assert!(row.set("keyid", pair.kid));
        let key = Secret::parse(&row, &pair.pair.serialize_pem()).unwrap();
        let now = Clock::Manual(self.world.clock.clone()).now().unix_seconds();
        let headers: [(&str, &[u8]); 0] = [];
        let request = ToSign {
            id: "msg_1",
            now,
            url: "https://x/in/signed",
            method: "POST",
            headers: &headers,
            body: b"{}",
        };
        let signature = sign(&row, &key, &request).unwrap();
        let lines: String =
            signature.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let text =
            format!("POST /in/signed HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: 2\r\n\r\n{{}}");
        exchange(self.world.ingest(), text.as_bytes()).await
    }

    async fn sends(&self, pair: &Pair) -> u16 {
        status(&self.send(pair).await)
    }

    /// Why the only request was refused.
    async fn why(&self) -> String {
        let kept = self.world.kept_when(1).await;
        rejection(&kept[0]).detail.clone()
    }
}

#[tokio::test]
async fn a_key_is_fetched_once_however_many_need_it() {
    let pair = Pair::new("k1");
    let server = KeyServer::saying(jwks(&[&pair]));
    let gateway = Gateway::over(&server).await;
    let (a, b, c, d) = tokio::join!(
        gateway.sends(&pair),
        gateway.sends(&pair),
        gateway.sends(&pair),
        gateway.sends(&pair)
    );
    assert_eq!([a, b, c, d], [202; 4]);
    assert_eq!(gateway.sends(&pair).await, 202);
    assert_eq!((server.asked(), gateway.world.count(Metric::KeysFetched)), (1, 1));
    let forged = Pair::new("k1");
    assert_eq!(gateway.sends(&forged).await, 401, "the same name, another key");
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_when_the_provider_changes_its_own() {
    let (old, new) = (Pair::new("k1"), Pair::new("k2"));
    let server = KeyServer::saying(jwks(&[&old]));
    let gateway = Gateway::over(&server).await;
    assert_eq!(gateway.sends(&old).await, 202);
    server.say(jwks(&[&new]));
    let soon = gateway.send(&new).await;
    assert_eq!(
        (status(&soon), header(&soon, "retry-after")),
        (503, Some("60")),
        "not so soon again"
    );
    assert_eq!(server.asked(), 1);
    gateway.world.clock.advance(limits::KEY_AGAIN);
    assert_eq!(gateway.sends(&new).await, 202);
    assert_eq!(gateway.sends(&old).await, 503, "what was withdrawn is good no more");
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn a_key_that_nobody_has_is_looked_for_once_in_a_while() {
    let (known, unknown) = (Pair::new("k1"), Pair::new("nobody's"));
    let server = KeyServer::saying(jwks(&[&known]));
    let gateway = Gateway::over(&server).await;
    assert_eq!(gateway.sends(&unknown).await, 401, "all keys were just fetched");
    for _ in 0..5 {
        assert_eq!(gateway.sends(&unknown).await, 503, "it may be a new one");
    }
    assert_eq!(gateway.sends(&known).await, 202);
    assert_eq!(server.asked(), 1);
    gateway.world.clock.advance(limits::KEY_AGAIN);
    assert_eq!(gateway.sends(&unknown).await, 401);
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn nobody_waits_long_for_a_slow_server_and_the_key_is_there_afterwards() {
    let pair = Pair::new("k1");
    let server = KeyServer::saying(jwks(&[&pair]));
    server.may.forget_permits(Semaphore::MAX_PERMITS);
    let gateway = Gateway::over(&server).await;
    let began = tokio::time::Instant::now();
    let answer = gateway.send(&pair).await;
    assert_eq!((status(&answer), header(&answer, "retry-after")), (503, Some("60")));
    assert!(began.elapsed() < limits::KEY_PATIENCE + Duration::from_secs(1));
    assert!(gateway.why().await.contains("takes its time"));
    server.may.add_permits(1);
    let soon = async { while gateway.sends(&pair).await != 202 {} };
    tokio::time::timeout(LONG, soon).await.unwrap();
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn what_is_no_key_is_not_asked_for_again_at_once() {
    let pair = Pair::new("k1");
    let moved = "HTTP/1.1 302 Found\r\nlocation: /other.json\r\ncontent-length: 0\r\n\r\n";
    let large = ok(&format!("{{\"keys\":[{}]}}", " ".repeat(limits::KEY_DOCUMENT)));
    let broken = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
    for (answer, said) in [
        (moved.to_owned(), "it answered 302, and no redirect is followed"),
        (broken.to_owned(), "it answered 500"),
        (large, "the answer has more than 256 KiB"),
        (ok("<html>hello</html>"), "the secret is not a public key"),
        (ok(r#"{"keys":[]}"#), "the secret is not a public key"),
        (ok(""), "the secret is empty"),
        ("garbage\r\n\r\n".to_owned(), "cannot be fetched"),
    ] {
        let server = KeyServer::saying(answer.clone());
        let gateway = Gateway::over(&server).await;
        assert_eq!(gateway.sends(&pair).await, 503, "{answer}");
        let why = gateway.why().await;
        assert!(why.contains(said) && why.contains("/jwks.json"), "{why}");
        let asked = server.asked();
        assert_eq!((gateway.sends(&pair).await, server.asked()), (503, asked), "{answer}");
        server.say(jwks(&[&pair]));
        gateway.world.clock.advance(limits::KEY_AGAIN);
        assert_eq!(gateway.sends(&pair).await, 202, "{answer}");
    }
}

#[tokio::test]
async fn a_large_set_of_keys_is_taken() {
    let pair = Pair::new("k1");
    let set = serde_json::json!({"keys": [pair.jwk()], "more": "x".repeat(200 << 10)});
    let server = KeyServer::saying(ok(&set.to_string()));
    let gateway = Gateway::over(&server).await;
    assert_eq!(gateway.sends(&pair).await, 202);
}

#[tokio::test]
async fn keys_come_from_genuine_servers_at_public_addresses_only() {
    let pair = Pair::new("k1");
    let server = KeyServer::saying(jwks(&[&pair]));
    let authority = Authority::new();
    let careful = SenderOptions {
        extra_roots: vec![authority.root.clone()],
        resolver: all_names_are(&["127.0.0.1"]),
        ..SenderOptions::new(Clock::real())
    };
    let careful = Sender::new(careful).unwrap();
    let gateway = Gateway::with(&server, &authority, careful).await;
    assert_eq!(gateway.sends(&pair).await, 503);
    let gateway = Gateway::with(&server, &authority, Authority::new().sender()).await;
    assert_eq!(gateway.sends(&pair).await, 503);
    assert_eq!(server.asked(), 0);
}

/// A captured request of a provider, and the key that its address serves.
fn vector(text: &str) -> (Vec<u8>, Value) {
    let all: Vec<Value> = serde_json::from_str(text).unwrap();
    captured(all.into_iter().find(|vector| vector["valid"] == true).unwrap())
}

fn captured(vector: Value) -> (Vec<u8>, Value) {
    let body = STANDARD.decode(vector["body_base64"].as_str().unwrap()).unwrap();
    let lines: String = vector["headers"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| format!("{name}: {}\r\n", value.as_str().unwrap()))
        .collect();
    let head = format!(
        "POST /in/keyed HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {}\r\n\r\n",
        body.len()
    );
    ([head.as_bytes(), &body].concat(), vector)
}

/// Sends the captured request to a source of the provider without a secret. The script serves `key` at any address.
async fn keyed(
    provider: &str,
    options: &[(&str, &str)],
    request: &[u8],
    key: String,
) -> (u16, Script) {
    let answer =
        Answer { status: 200, headers: Headers::default(), body: key.into(), truncated: false };
    let script = Script::by(move |_| Step::Now(Outcome::Answered(answer.clone())));
    let mut config = config();
    config.keys = Some(AnySender::Script(script.clone()));
    let world = start(config).await;
    let mut keyed = source("keyed", provider);
    keyed.verification.secrets.clear();
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    keyed.verification.options = options.collect();
    world.change(vec![Change::Put(Resource::Source(keyed))]).await;
    assert_eq!(NOW.unix_seconds(), 1_767_225_600, "the moment of the vectors");
    (status(&exchange(world.ingest(), request).await), script)
}

#[tokio::test]
async fn sns_paypal_and_plaid_are_believed_by_the_keys_at_their_addresses() {
    let (request, vector_of) =
        vector(include_str!("../../../../webhook-signatures/tests/vectors/aws-sns.json"));
    let pem = vector_of["certificate"].as_str().unwrap().to_owned();
    let (status, script) = keyed("aws-sns", &[("topic_arn", "*")], &request, pem).await;
    let [asked] = &script.carried()[..] else { panic!("asked more than once") };
    assert_eq!((status, asked.method.as_str(), asked.timeout), (200, "GET", limits::KEY_DEADLINE));
    assert!(asked.url.as_str().starts_with("https://sns.us-east-1.amazonaws.com/"));

    let (request, vector_of) =
        vector(include_str!("../../../../webhook-signatures/tests/vectors/paypal.json"));
    let pem = vector_of["certificate"].as_str().unwrap().to_owned();
    let webhook_id = vector_of["webhook_id"].as_str().unwrap();
    let (status, script) = keyed("paypal", &[("webhook_id", webhook_id)], &request, pem).await;
    assert_eq!((status / 100, script.carried().len()), (2, 1));

    let (request, vector_of) =
        vector(include_str!("../../../../webhook-signatures/tests/vectors/plaid.json"));
    let options = [("client_id", "id"), ("api_secret", "shh"), ("environment", "sandbox")];
    let jwk = format!(r#"{{"key":{},"request_id":"x"}}"#, vector_of["jwk"]);
    let (status, script) = keyed("plaid", &options, &request, jwk).await;
    let [asked] = &script.carried()[..] else { panic!("asked more than once") };
    assert_eq!((status / 100, asked.method.as_str()), (2, "POST"));
    assert_eq!(asked.url.as_str(), "https://sandbox.plaid.com/webhook_verification_key/get");
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!((&body["client_id"], &body["secret"]), (&"id".into(), &"shh".into()));
}

#[tokio::test]
async fn a_topic_is_confirmed_if_it_is_the_one_that_is_meant() {
    let text = include_str!("../../../../webhook-signatures/tests/vectors/aws-sns.json");
    let all: Vec<Value> = serde_json::from_str(text).unwrap();
    let asks = all.into_iter().find(|vector| !vector["handshake"].is_null()).unwrap();
    let (request, vector) = captured(asks);
    let pem = vector["certificate"].as_str().unwrap();
    let topic = vector["headers"]["x-amz-sns-topic-arn"].as_str().unwrap();
    let (status, script) =
        keyed("aws-sns", &[("topic_arn", topic)], &request, pem.to_owned()).await;
    let called: Vec<_> =
        script.carried().iter().map(|asked| asked.url.as_str().to_owned()).collect();
    assert_eq!((status, called.len()), (200, 2), "the certificate, then the confirmation");
    assert_eq!(called[1], vector["handshake"]["then_GET"]);
    let other = [("topic_arn", "arn:aws:sns:us-east-1:1:another")];
    let (status, script) = keyed("aws-sns", &other, &request, pem.to_owned()).await;
    assert_eq!((status, script.carried().len()), (401, 0), "somebody else's topic");
    let (status, script) = keyed("aws-sns", &[("topic_arn", "*")], &request, pem.to_owned()).await;
    assert_eq!((status, script.carried().len()), (503, 1), "nobody said that it is ours");
    let (status, script) = keyed("aws-sns", &[], &request, pem.to_owned()).await;
    assert_eq!((status, script.carried().len()), (503, 0), "nobody said whose topics are believed");
}

#[tokio::test]
async fn without_a_sender_such_requests_get_503() {
    let (request, _) =
        vector(include_str!("../../../../webhook-signatures/tests/vectors/aws-sns.json"));
    let world = start(config()).await;
    let mut keyed = source("keyed", "aws-sns");
    keyed.verification.secrets.clear();
    keyed.verification.options = vec![("topic_arn".to_owned(), "*".to_owned())];
    world.change(vec![Change::Put(Resource::Source(keyed))]).await;
    assert_eq!(status(&exchange(world.ingest(), &request).await), 503);
}
