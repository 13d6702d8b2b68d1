//! Where the brokers are.

use bytes::Bytes;
use doorbell_core::time::Time;
use doorbell_queue::{Address, Dialer, Message, Plain};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Longer than anything here takes, and shorter than a hang.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// Dials whatever it is told to.
#[expect(clippy::disallowed_methods, reason = "SQS wants to know the time")]
pub(crate) fn dialer() -> Dialer {
    let now = || {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Time::from_ms(u64::try_from(since.as_millis()).unwrap())
    };
    Dialer::new(Arc::new(Plain), &[], Arc::new(now)).unwrap()
}

/// Where a broker is, from the environment; a test that finds none fails and says how to get one.
#[expect(clippy::disallowed_methods, reason = "tests hear of their brokers by the environment")]
pub(crate) fn broker(engine: &str) -> String {
    let name = format!("DOORBELL_TEST_{}", engine.to_uppercase());
    std::env::var(&name).unwrap_or_else(|_| {
        panic!("{name} says no broker; `cargo xtask ci` starts them, and `cargo xtask brokers -- COMMAND` for one command")
    })
}

/// A name that no other test has.
pub(crate) fn fresh(what: &str) -> String {
    format!("{what}-{}-{}", std::process::id(), rand())
}

fn rand() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

/// Two sides of the same queue, empty; each engine in its way.
pub(crate) fn addresses(engine: &str) -> (Address, Address) {
    let (base, name) = (broker(engine), fresh("t"));
    let parse = |text: String| text.parse::<Address>().unwrap();
    match engine {
        "amqp" => {
            let both = parse(format!("{base}?queue={name}&declare=quorum"));
            (both.clone(), both)
        }
        "nats" => {
            let both = parse(format!("{base}{name}?stream={name}&declare=stream"));
            (both.clone(), both)
        }
        "redis" => {
            let both = parse(format!("{base}?stream={name}"));
            (both.clone(), both)
        }
        "mqtt" => (parse(format!("{base}{name}")), parse(format!("{base}{name}?client={name}"))),
        // It knows two queues, and one test at a time uses each of them.
        _ => (parse(format!("{base}/tests")), parse(format!("{base}/tests"))),
    }
}

pub(crate) fn message(id: &str, body: &[u8]) -> Message {
    Message {
        id: id.to_owned(),
        content_type: Some("application/json".to_owned()),
        headers: vec![("x-one".to_owned(), "1 and more".to_owned())],
        body: Bytes::copy_from_slice(body),
        ..Message::default()
    }
}
