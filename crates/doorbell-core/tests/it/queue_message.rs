//! The message that carries an event to a broker.

use crate::world::{NOW, WHSEC, configuration, endpoint, event, lines, types};
use bytes::Bytes;
use doorbell_core::attempt::ErrorClass;
use doorbell_core::directory::{Directory, Settings};
use doorbell_core::event::{Event, Origin};
use doorbell_core::id::DeliveryId;
use doorbell_core::limits;
use doorbell_core::queue_address::{Connection, Connections, Engine};
use doorbell_core::queue_message::{self, About, QueueMessage, may_go_on};
use proptest::prelude::*;
use webhook_signatures::{Incoming, Secret, find, verify};

const ENGINES: [(&str, Engine); 5] = [
    ("amqp", Engine::Amqp),
    ("nats", Engine::Nats),
    ("sqs", Engine::Sqs),
    ("redis", Engine::Redis),
    ("mqtt", Engine::Mqtt),
];

fn settings() -> Settings {
    let one = |(name, engine): (&str, Engine)| {
        (name.to_owned(), Connection { engine, tenants: Vec::new() })
    };
    let mut settings = Settings::default();
    settings.urls.queues = Connections(ENGINES.into_iter().map(one).collect());
    settings
}

fn write_to(
    url: &str,
    event: &Event,
    order_key: Option<u64>,
    own: &[(&str, &str)],
) -> Result<QueueMessage, ErrorClass> {
    let mut endpoint = endpoint(1, types(&[]));
    url.clone_into(&mut endpoint.url);
    endpoint.headers = own.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    let id = endpoint.id;
    let directory = Directory::new(configuration(&[], &[endpoint]), settings());
    let delivery = DeliveryId::from_bytes([7; 16]);
    let about =
        About { delivery, order_key, source: Some("shop"), number: 2, trace: None, now: NOW };
    queue_message::write(event, directory.endpoint(id).unwrap(), about).map_err(|fault| fault.class)
}

fn written(url: &str, event: &Event) -> QueueMessage {
    write_to(url, event, None, &[]).unwrap()
}

fn pushed(headers: &[(&str, &str)], body: &'static [u8]) -> Event {
    let mut event = event(Origin::Api, Some("order.paid"));
    event.request.headers = lines(headers);
    event.request.body = Bytes::from_static(body);
    event
}

fn header<'a>(message: &'a QueueMessage, name: &str) -> Option<&'a str> {
    let found = message.headers.iter().find(|(other, _)| other == name);
    found.map(|(_, value)| value.as_str())
}

fn believed(message: &QueueMessage) -> bool {
    let standard = find("standard-webhooks").unwrap();
    let lines: Vec<_> = message.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let headers = crate::world::lines(&lines);
    let incoming = Incoming { method: "POST", url: "", headers: &headers, body: &message.body };
    let secret = Secret::parse(standard, WHSEC).unwrap();
    verify(standard, &[secret], &incoming, NOW.unix_seconds()).is_ok()
}

#[test]
fn raw_is_what_came_in_signed() {
    let came = pushed(
        &[
            ("Content-Type", "text/odd"),
            ("X-Github-Event", "push"),
            ("X-Dup", "1"),
            ("X-Dup", "2"),
            ("webhook-id", "theirs"),
        ],
        b"{ \"a\":\xff}",
    );
    for (name, _) in ENGINES {
        let message = written(&format!("queue://{name}/place"), &came);
        assert_eq!(&message.body[..], b"{ \"a\":\xff}", "{name}");
        assert_eq!(message.content_type.as_deref(), Some("text/odd"), "{name}");
        assert!(message.id.starts_with("dlv_") && believed(&message), "{name}");
        assert_eq!(header(&message, "webhook-id").unwrap(), came.id.to_string(), "{name}");
        assert_eq!(header(&message, "doorbell-event-type"), Some("order.paid"), "{name}");
        assert_eq!(header(&message, "x-github-event"), Some("push"), "{name}");
        assert!(header(&message, "content-type").is_none(), "{name}");
        if name != "sqs" {
            assert_eq!(header(&message, "x-dup"), Some("1, 2"), "{name}");
            assert_eq!(header(&message, "doorbell-original-webhook-id"), Some("theirs"), "{name}");
        }
    }
}

#[test]
fn nothing_goes_on_that_a_broker_would_act_upon() {
    let hostile = [
        ("Nats-Rollup", "all"),
        ("Nats-Expected-Stream", "x"),
        ("CC", "a"),
        ("bcc", "a"),
        ("x-delay", "1"),
        ("X-Death", "1"),
        ("x-stream-offset", "1"),
        ("doorbell-id", "forged"),
        ("doorbell-encoding", "base64"),
        ("x-odd", "a\u{7f}b"),
        ("x-fine", "1"),
    ];
    for (name, _) in ENGINES {
        let url = format!("queue://{name}/place");
        let message =
            write_to(&url, &pushed(&hostile, b"x"), None, &[("CC", "own"), ("x-own", "1")]);
        let message = message.unwrap();
        let last: Vec<_> = message.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        assert!(last.iter().all(|name| may_go_on(name)), "{name}: {last:?}");
        assert!(!last.contains(&"cc".to_owned()) && header(&message, "x-odd").is_none(), "{name}");
        assert_eq!(header(&message, "x-own"), Some("1"), "{name}");
    }
    assert!(!may_go_on("") && !may_go_on("a:b") && !may_go_on("a b") && !may_go_on("a\r\nb"));
}

#[test]
fn there_is_no_more_than_a_broker_carries() {
    let many: Vec<(String, String)> =
        (0..90).map(|n| (format!("x-{n}"), "v".repeat(100))).collect();
    let many: Vec<_> = many.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let came = pushed(&many, b"x");
    for (name, most) in [("sqs", 7), ("amqp", limits::QUEUE_HEADERS)] {
        let message = written(&format!("queue://{name}/place"), &came);
        assert_eq!(message.headers.len(), most);
        assert!(believed(&message), "ours come first");
    }
}

#[test]
fn cloud_events_by_their_bindings() {
    let came =
        pushed(&[("content-type", "application/json"), ("x-secret", "1")], b"{ \"a\": 1e2 }");
    for (name, id, kind) in [
        ("amqp", "cloudEvents_id", "cloudEvents_type"),
        ("nats", "ce-id", "ce-type"),
        ("mqtt", "id", "type"),
    ] {
        let message = written(&format!("queue://{name}/place?format=cloudevents"), &came);
        assert_eq!(header(&message, id).unwrap(), came.id.to_string(), "{name}");
        assert_eq!(header(&message, kind), Some("order.paid"), "{name}");
        assert_eq!((&message.body, believed(&message)), (&came.request.body, true), "{name}");
        assert!(header(&message, "x-secret").is_none(), "{name}");
    }
    for name in ["sqs", "redis"] {
        let message = written(&format!("queue://{name}/place?format=cloudevents"), &came);
        let document: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
        assert_eq!(
            (document["specversion"].as_str(), document["source"].as_str()),
            (Some("1.0"), Some("/sources/shop"))
        );
        assert!(message.body.ends_with(b"\"data\":{ \"a\": 1e2 }}"), "byte for byte");
        assert_eq!(message.content_type.as_deref(), Some("application/cloudevents+json"));
        assert!(believed(&message));
    }
}

#[test]
fn where_it_goes() {
    let came = pushed(&[], b"x");
    let key = |url: &str, order_key| write_to(url, &came, order_key, &[]).map(|m| m.key);
    let amqp = "queue://amqp/events?routing_key={tenant}.{source}.{type}";
    assert_eq!(key(amqp, Some(1)).unwrap(), "default.shop.order.paid");
    assert_eq!(key("queue://sqs/q.fifo", Some(255)).unwrap(), "00000000000000ff");
    assert_eq!(key("queue://sqs/q.fifo", None).unwrap(), "");
    assert_eq!(key("queue://gone/q", None).unwrap_err(), ErrorClass::RequestInvalid);
    assert_eq!(key("https://example.com/", None).unwrap_err(), ErrorClass::RequestInvalid);
}

proptest! {
    #[test]
    fn any_event_makes_a_message_that_every_client_takes(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        kind in any::<String>(),
        name in "[ -~]{0,20}",
        value in any::<Vec<u8>>(),
    ) {
        let mut came = event(Origin::Api, None);
        came.request.headers.push("content-type", kind);
        came.request.headers.push(&name, value);
        came.request.body = Bytes::from(body);
        for (engine, _) in ENGINES {
            for format in ["raw", "cloudevents"] {
                let message = written(&format!("queue://{engine}/p?format={format}"), &came);
                prop_assert!(believed(&message));
                let plain = |text: &str| text.len() <= 4096 && !text.contains(char::is_control);
                prop_assert!(message.content_type.as_deref().is_none_or(plain));
                prop_assert!(message.headers.iter().all(|(name, value)| may_go_on(name) && plain(value)));
                if format == "cloudevents" && matches!(engine, "sqs" | "redis") {
                    prop_assert!(serde_json::from_slice::<serde_json::Value>(&message.body).is_ok());
                }
            }
        }
    }
}
