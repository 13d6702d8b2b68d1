//! Addresses: good ones, hostile ones, and whom they are for.

use super::*;
use proptest::prelude::*;

fn connections() -> Connections {
    let one = |name: &str, engine, tenants: &[&str]| {
        let tenants = tenants.iter().map(|uid| (*uid).to_owned()).collect();
        (name.to_owned(), Connection { engine, tenants })
    };
    Connections(BTreeMap::from([
        one("rabbit", Engine::Amqp, &[]),
        one("nats", Engine::Nats, &["acme"]),
        one("sqs", Engine::Sqs, &["*"]),
        one("redis", Engine::Redis, &["*"]),
        one("mqtt", Engine::Mqtt, &["*"]),
    ]))
}

fn to(text: &str, tenant: &str) -> Result<QueueAddress, QueueRefused> {
    QueueAddress::parse(text, &connections(), tenant, Side::To)
}

fn from(text: &str) -> Result<QueueAddress, QueueRefused> {
    QueueAddress::parse(text, &connections(), "acme", Side::From)
}

fn key(text: &str, event_type: &str) -> Result<String, String> {
    let values = Values { event_type: Some(event_type), source: Some("s"), ..Values::default() };
    let tenant = if text.contains("rabbit") { "default" } else { "acme" };
    let address = to(text, tenant).map_err(|why| why.to_string())?;
    address.target(&values).map(|target| target.key)
}

#[test]
fn good_addresses_and_where_they_lead() {
    for (text, wanted) in [
        ("queue://rabbit/orders", "orders"),
        ("queue://rabbit/a%20b%2Fc", "a b/c"),
        ("queue://rabbit/events?routing_key=orders.{type}", "orders.invoice.paid"),
        ("queue://rabbit/events?routing_key=", ""),
        ("queue://rabbit/q{tag}", "q{tag}"),
        ("queue://nats/hooks.{source}.{type}?format=cloudevents", "hooks.s.invoice.paid"),
        ("queue://sqs/orders.fifo", ""),
        ("queue://redis/orders?maxlen=1000", ""),
        ("queue://mqtt/doorbell/{source}", "doorbell/s"),
    ] {
        assert_eq!(key(text, "invoice.paid").as_deref(), Ok(wanted), "{text}");
    }
    let exchange = to("queue://rabbit/events?routing_key=", "default").unwrap();
    assert!(exchange.is_exchange() && exchange.place() == "events");
    assert!(!to("queue://rabbit/events", "default").unwrap().is_exchange());
    for text in [
        "queue://rabbit/x",
        "queue://nats/EVENTS?consumer=door",
        "queue://sqs/in",
        "queue://redis/in?group=g",
        "queue://mqtt/a/+/b/%23",
        "queue://mqtt/$share/g/a",
    ] {
        let tenants = Connections(
            connections()
                .0
                .into_iter()
                .map(|(name, one)| (name, Connection { tenants: vec!["*".to_owned()], ..one }))
                .collect(),
        );
        assert!(QueueAddress::parse(text, &tenants, "acme", Side::From).is_ok(), "{text}");
    }
}

#[test]
fn hostile_addresses_are_refused() {
    for text in [
        "",
        "queue:",
        "queue://",
        "queue://rabbit",
        "queue://rabbit/",
        "QUEUE://rabbit/x",
        "queue://Rabbit/x",
        "queue://user:pass@rabbit/x",
        "queue://rabbit:5672/x",
        "queue://../x",
        "queue://rabbit/x#y",
        "queue://rabbit/x y",
        "queue://rabbit/x\r\ny",
        "queue://rabbit/x%0d%0ay",
        "queue://rabbit/x%00",
        "queue://rabbit/x%",
        "queue://rabbit/x%+1",
        "queue://rabbit/%ff",
        "queue://rabbit/b\u{fc}cher",
        "queue://rabbit/x?routing_key=a&routing_key=b",
        "queue://rabbit/x?routing_key={body}",
        "queue://rabbit/x?routing_key=a%0d%0ab",
        "queue://rabbit/x?declare=quorum",
        "queue://rabbit/x?format=xml",
        "queue://nats/a..b",
        "queue://nats/a.%3E",
        "queue://nats/a.*",
        "queue://nats/$JS.API.STREAM.DELETE.x",
        "queue://nats/_INBOX.x",
        "queue://nats/a%20b",
        "queue://nats/a?routing_key=b",
        "queue://sqs/../other",
        "queue://sqs/a%2Fb",
        "queue://sqs/.fifo",
        "queue://redis/x?maxlen=-1",
        "queue://redis/ce-{type}",
        "queue://rabbit/q{type}",
        "queue://mqtt/a/%23",
        "queue://mqtt/$SYS/x",
    ] {
        assert!(to(text, "default").is_err() && to(text, "acme").is_err(), "{text}");
    }
    let long = format!("queue://rabbit/{}", "a".repeat(limits::QUEUE_PLACE + 1));
    assert!(matches!(to(&long, "default"), Err(QueueRefused::Place(..))));
    let longer = format!("queue://rabbit/{}", "a".repeat(limits::ENDPOINT_URL));
    assert_eq!(to(&longer, "default"), Err(QueueRefused::TooLong));
    for text in [
        "queue://nats/a.b",
        "queue://nats/A?consumer=a.b",
        "queue://mqtt/$SYS/%23",
        "queue://nats/A?format=raw",
    ] {
        assert!(from(text).is_err(), "{text}");
    }
}

#[test]
fn a_connection_is_for_whom_it_is_named() {
    let unknown =
        |text: &str, tenant: &str| matches!(to(text, tenant), Err(QueueRefused::Unknown(_)));
    assert!(unknown("queue://rabbit/x", "acme") && to("queue://rabbit/x", "default").is_ok());
    assert!(unknown("queue://nats/x", "default") && to("queue://nats/x", "acme").is_ok());
    assert!(unknown("queue://other/x", "default") && to("queue://sqs/x", "anyone").is_ok());
    // Whether it is there is not told.
    let said = |name: &str| {
        to(&format!("queue://{name}/x"), "acme").unwrap_err().to_string().replace(name, "")
    };
    assert_eq!(said("rabbit"), said("other"));
}

#[test]
fn what_a_type_makes_of_it_is_looked_at_again() {
    assert_eq!(
        key("queue://nats/{type}", "_INBOX.x").unwrap_err(),
        "the event's own words make no subject of the address: \"_INBOX.x\""
    );
    assert_eq!(key("queue://nats/{type}", "$JS.API.x").as_deref(), Ok("_JS.API.x"));
    let long = "a".repeat(limits::QUEUE_PLACE);
    assert!(key("queue://rabbit/e?routing_key=x.{type}", &long).is_err());
    assert!(key("queue://nats/x.{type}", &long).is_err());
}

proptest! {
    #[test]
    fn whatever_is_taken_is_safe(text in "queue://(rabbit|nats|sqs|redis|mqtt)/[ -~]{0,30}", event_type in any::<String>()) {
        for tenant in ["default", "acme"] {
            let Ok(address) = to(&text, tenant) else { continue };
            prop_assert_eq!(address.as_str(), text.as_str());
            let values = Values { event_type: Some(&event_type), ..Values::default() };
            if let Ok(target) = address.target(&values) {
                prop_assert!(target.key.len() <= limits::QUEUE_PLACE && !target.key.contains(char::is_control));
            }
        }
    }
}
