//! The lines of an exported store: what is written is read again, and a line of version 1 stays as it is.

use super::stored_any::past;
use doorbell_core::attempt::{Answer, Attempt, ErrorClass, Fault, Outcome, Timings, Trigger};
use doorbell_core::configuration::{Resource, Tenant};
use doorbell_core::delivery::{Delivery, State};
use doorbell_core::event::{Event, Fate, Origin};
use doorbell_core::id::{AttemptId, DeliveryId, EndpointId, EventId, SourceId, TenantId};
use doorbell_core::name::EventType;
use doorbell_core::past::{Past, PastDelivery};
use doorbell_core::request::{Headers, Request};
use doorbell_core::time::Time;
use doorbell_wire::export::{Begin, Counts, Line, LineError, decode, encode};
use expect_test::expect_file;
use proptest::prelude::*;
use std::time::Duration;

const AT: Time = Time::from_ms(1_790_000_000_123);

fn attempt(number: u32, outcome: Outcome) -> Attempt {
    Attempt {
        id: AttemptId::from_bytes([u8::try_from(number).unwrap(); 16]),
        number,
        at: AT,
        trigger: Trigger::Automatic,
        address: Some(([192, 0, 2, 7], 443).into()),
        timings: Timings {
            dns: Some(Duration::from_micros(1_500)),
            total: Duration::from_millis(20),
            ..Timings::default()
        },
        outcome,
    }
}

fn example() -> Past {
    let (tenant, id) = (TenantId::DEFAULT, EventId::from_bytes([2; 16]));
    let headers: Headers =
        [("content-type", &b"text/plain"[..]), ("x-bytes", b"\xff")].into_iter().collect();
    let answer =
        Answer { status: 200, headers: Headers::default(), body: "ok\n".into(), truncated: false };
    let fault = Fault { class: ErrorClass::TimeoutConnect, detail: "10 s were over".to_owned() };
    let delivery = Delivery {
        id: DeliveryId::from_bytes([3; 16]),
        tenant,
        event: id,
        endpoint: EndpointId::from_bytes([4; 16]),
        order_key: Some(u64::MAX),
        replay: None,
        attempts: 2,
        by_hand: 0,
        state: State::Delivered { at: AT },
        asked: false,
    };
    let attempts = vec![attempt(1, Outcome::Failed(fault)), attempt(2, Outcome::Answered(answer))];
    Past {
        event: Event {
            id,
            tenant,
            at: AT,
            origin: Origin::Source(SourceId::from_bytes([5; 16])),
            event_type: Some(EventType::parse("invoice.paid").unwrap()),
            dedupe_key: Some("key".into()),
            channels: vec!["north".to_owned()],
            request: Request {
                method: "POST".to_owned(),
                path: "/a".to_owned(),
                query: Some("b=1".to_owned()),
                headers,
                body: "{\"n\": 1e2}\n".into(),
                peer: Some([192, 0, 2, 1].into()),
            },
        },
        fate: Fate::Accepted,
        dedupe_window: Duration::from_secs(60),
        deliveries: vec![PastDelivery { delivery, updated: Some(AT), attempts }],
    }
}

/// Never edited: files that were written once are read for ever.
#[test]
fn a_file_of_version_1() {
    let tenant = Tenant {
        id: TenantId::from_bytes([1; 16]),
        uid: "acme".to_owned(),
        name: "Acme".to_owned(),
        created: AT,
    };
    let mut lines = vec![
        Line::Begin(Begin { at: AT, from: "embedded".to_owned() }),
        Line::Resource(Resource::Tenant(tenant)),
        Line::Event(example()),
    ];
    let mut counts = Counts::default();
    lines.iter().for_each(|line| counts.add(line));
    assert_eq!(counts, Counts { resources: 1, events: 1, deliveries: 1, attempts: 2 });
    lines.push(Line::End(counts));
    let text: String = lines.iter().map(|line| encode(line).unwrap() + "\n").collect();
    expect_file!["../golden/export_v1.jsonl"].assert_eq(&text);
    let read: Vec<Line> = text.lines().map(|line| decode(line).unwrap()).collect();
    assert_eq!(read, lines);
}

/// Files of version 1 from before have no such count; where nobody asked, none is written.
#[test]
fn tries_by_hand_are_written_where_there_are_any() {
    let mut past = example();
    assert!(!encode(&Line::Event(past.clone())).unwrap().contains("by_hand"));
    past.deliveries[0].delivery.by_hand = 1;
    let text = encode(&Line::Event(past.clone())).unwrap();
    assert!(text.contains("\"tries\":2,\"by_hand\":1,"), "{text}");
    assert_eq!(decode(&text), Ok(Line::Event(past)));
}

#[test]
fn what_is_no_line_is_told_without_its_words() {
    let newer = r#"{"doorbell_export":{"v":2,"at":"2026-01-01T00:00:00Z","from":"embedded"}}"#;
    assert_eq!(decode(newer), Err(LineError::Version { found: 2 }));
    let good = encode(&Line::Event(example())).unwrap();
    for (from, to) in [
        ("\"accepted\"", "\"wanted\""),
        ("\"evt_", "\"req_"),
        ("\"timeout_connect\"", "\"secret\""),
        ("\"delivered\"", "\"secret\""),
        ("192.0.2.7:443", "secret"),
        ("{\"base64\":\"/w==\"}", "{\"base64\":\"secret!\"}"),
        ("\"channels\"", "\"secret\""),
    ] {
        assert!(good.contains(from), "{from}");
        let why = decode(&good.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(!why.contains("secret") && !why.contains("wanted"), "{why}");
    }
    for text in ["", "{}", "[]", "{\"end\":{}}", &good[..good.len() - 1]] {
        assert!(decode(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn any_event_comes_back_as_it_was(past in past()) {
        let line = Line::Event(past);
        let text = encode(&line).unwrap();
        prop_assert!(!text.contains('\n'));
        prop_assert_eq!(decode(&text), Ok(line));
    }

    #[test]
    fn no_text_panics(text in ".*") {
        let _either = decode(&text).is_ok();
    }
}
