//! Records: what is written is what is read, no bytes can hurt, and version 1 stays as it is.

use crate::stored_any::record;
use bytes::Bytes;
use doorbell_core::attempt::{
    Answer, Attempt, Ending, ErrorClass, Fault, Outcome, Timings, Trigger,
};
use doorbell_core::delivery::{Delivery, DiscardReason, State};
use doorbell_core::event::{Event, Fate, Origin, Rejection, RejectionReason};
use doorbell_core::id::{AttemptId, DeliveryId, EndpointId, EventId, ReplayId, SourceId, TenantId};
use doorbell_core::name::EventType;
use doorbell_core::request::Request;
use doorbell_core::time::Time;
use doorbell_wire::stored::{
    DecodeError, Kind, Received, Record, RecordHead, Redelivered, Settled, VERSION,
};
use proptest::prelude::*;
use std::time::Duration;

fn encoded(record: &Record) -> Bytes {
    let mut out = Vec::new();
    record.encode(&mut out);
    out.into()
}

fn decoded(kind: Kind, payload: &Bytes) -> Result<Record, DecodeError> {
    Record::decode(kind.byte(), VERSION, payload)
}

fn some_delivery(state: State) -> Delivery {
    Delivery {
        id: DeliveryId::from_bytes([4; 16]),
        tenant: TenantId::DEFAULT,
        event: EventId::from_bytes([1; 16]),
        endpoint: EndpointId::from_bytes([3; 16]),
        order_key: Some(0x0102_0304_0506_0708),
        replay: Some(ReplayId::from_bytes([5; 16])),
        attempts: 300,
        by_hand: 0,
        state,
        asked: false,
    }
}

fn some_received() -> Record {
    let at = Time::from_ms(1_790_000_000_123);
    Record::Received(Received {
        event: Event {
            id: EventId::from_bytes([1; 16]),
            tenant: TenantId::DEFAULT,
            at,
            origin: Origin::Source(SourceId::from_bytes([2; 16])),
            event_type: Some(EventType::parse("invoice.paid").unwrap()),
            dedupe_key: Some(Bytes::from_static(b"evt_1")),
            channels: vec!["eu".into(), "vip".into()],
            request: Request {
                method: "POST".into(),
                path: "/a%20b".into(),
                query: Some("x=1".into()),
                headers: [("content-type", &b"application/json"[..]), ("x", &b"\xff"[..])]
                    .into_iter()
                    .collect(),
                body: Bytes::from_static(b"{\"paid\":true}"),
                peer: Some([192, 0, 2, 7].into()),
            },
        },
        fate: Fate::Accepted,
        dedupe_window: Duration::from_secs(72 * 3600),
        deliveries: vec![
            some_delivery(State::Waiting { due: at }),
            some_delivery(State::Discarded { at, why: DiscardReason::EndpointDisabled }),
        ],
    })
}

fn some_rejected() -> Record {
    let Record::Received(mut received) = some_received() else { panic!("it is one") };
    received.event.origin = Origin::Api;
    received.event.event_type = None;
    received.event.dedupe_key = None;
    received.event.request.query = None;
    received.event.request.peer = Some("2001:db8::1".parse().unwrap());
    let detail = "the signature does not fit".to_owned();
    received.fate = Fate::Rejected(Rejection { reason: RejectionReason::Verification, detail });
    received.deliveries.clear();
    Record::Received(received)
}

fn some_settled(outcome: Outcome) -> Record {
    let at = Time::from_ms(1_790_000_001_000);
    Record::Settled(Settled {
        event_at: 4096,
        previous: Some(8192),
        at: Some(at),
        delivery: some_delivery(State::Failed { at, holds_key: true }),
        attempt: Some(Attempt {
            id: AttemptId::from_bytes([6; 16]),
            number: 2,
            at,
            trigger: Trigger::Automatic,
            address: Some(([192, 0, 2, 9], 443).into()),
            timings: Timings {
                dns: Some(Duration::from_micros(900)),
                tls: None,
                total: Duration::from_micros(70_000),
                ..Timings::default()
            },
            outcome,
        }),
    })
}

fn some_answer() -> Outcome {
    Outcome::Answered(Answer {
        status: 503,
        headers: [("retry-after", "5")].into_iter().collect(),
        body: Bytes::from_static(b"later"),
        truncated: true,
    })
}

fn some_fault() -> Outcome {
    Outcome::Failed(Fault {
        class: ErrorClass::TlsCertificateExpired,
        detail: "certificate expired on 2026-11-02".into(),
    })
}

fn some_redelivered() -> Record {
    let at = Time::from_ms(1_790_000_002_000);
    Record::Redelivered(Redelivered {
        event_at: 4096,
        at,
        tenant: TenantId::DEFAULT,
        event: EventId::from_bytes([1; 16]),
        deliveries: vec![some_delivery(State::Waiting { due: at })],
    })
}

/// Someone asked for a delivery's next try.
fn some_asked() -> Record {
    let due = Time::from_ms(1_790_000_000_123);
    let delivery = Delivery { asked: true, ..some_delivery(State::Waiting { due }) };
    let (event_at, previous) = (4096, Some(8192));
    Record::Settled(Settled { event_at, previous, at: None, delivery, attempt: None })
}

/// Some of its tries were made because someone asked.
fn some_by_hand() -> Record {
    let due = Time::from_ms(1_790_000_000_123);
    let delivery = Delivery { by_hand: 2, ..some_delivery(State::Waiting { due }) };
    let (event_at, previous) = (4096, Some(8192));
    Record::Settled(Settled { event_at, previous, at: None, delivery, attempt: None })
}

/// The golden bytes are never edited: a store that a release wrote must open for ever.
#[test]
fn version_1_keeps_its_bytes() {
    for (record, golden) in [
        (some_received(), include_str!("../golden/stored-1-received.hex")),
        (some_rejected(), include_str!("../golden/stored-1-rejected.hex")),
        (some_settled(some_answer()), include_str!("../golden/stored-1-answered.hex")),
        (some_settled(some_fault()), include_str!("../golden/stored-1-failed.hex")),
        (some_asked(), include_str!("../golden/stored-1-asked.hex")),
        (some_by_hand(), include_str!("../golden/stored-1-by-hand.hex")),
        (some_redelivered(), include_str!("../golden/stored-1-redelivered.hex")),
    ] {
        let payload = encoded(&record);
        assert_eq!(hex(&payload), golden);
        let bytes = Bytes::from(unhex(golden));
        assert_eq!(Record::decode(record.kind().byte(), 1, &bytes), Ok(record));
    }
}

fn hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(32).map(|line| line.iter().map(|b| format!("{b:02x}")).collect());
    lines.map(|line: String| line + "\n").collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits.chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn a_head_says_what_the_whole_says() {
    let payload = encoded(&some_received());
    let Ok(RecordHead::Received(head)) = RecordHead::decode(1, VERSION, &payload) else {
        panic!("it is a received record")
    };
    let Record::Received(whole) = some_received() else { panic!("it is one") };
    assert_eq!((head.id, head.body_len, &head.fate), (whole.event.id, 13, &whole.fate));
    assert_eq!((head.method.as_str(), head.event_type), ("POST", whole.event.event_type));
    assert_eq!((head.deliveries, head.dedupe_key), (whole.deliveries, whole.event.dedupe_key));

    let payload = encoded(&some_settled(some_fault()));
    let Ok(RecordHead::Settled(head)) = RecordHead::decode(2, VERSION, &payload) else {
        panic!("it is a settled record")
    };
    let attempt = head.attempt.unwrap();
    assert_eq!((attempt.number, attempt.outcome.status()), (2, None));
    assert_eq!(attempt.outcome, Ending::Failed(ErrorClass::TlsCertificateExpired));
}

/// A head must not depend on what follows it: the indexer and the search read it alone.
#[test]
fn a_head_needs_no_headers_and_no_body() {
    let payload = encoded(&some_received());
    let path_at = payload.windows(6).position(|bytes| bytes == b"/a%20b").unwrap();
    let whole = RecordHead::decode(1, VERSION, &payload);
    assert!(whole.is_ok());
    assert_eq!(RecordHead::decode(1, VERSION, &payload[..path_at]), whole);
}

#[test]
fn unknown_kinds_and_versions_are_told_apart() {
    let payload = encoded(&some_redelivered());
    assert_eq!(Record::decode(9, VERSION, &payload), Err(DecodeError::Kind(9)));
    assert_eq!(Record::decode(3, 77, &payload), Err(DecodeError::Version(77)));
}

/// A list that claims more items than bytes are left is refused before memory is taken for it.
#[test]
fn a_lying_count_is_refused() {
    let payload = encoded(&some_redelivered());
    let mut lying = payload.get(..48).unwrap().to_vec();
    lying.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]);
    assert_eq!(decoded(Kind::Redelivered, &lying.into()), Err(DecodeError::Short));
}

proptest! {
    #[test]
    fn what_is_written_is_read(record in record()) {
        let payload = encoded(&record);
        prop_assert!(RecordHead::decode(record.kind().byte(), VERSION, &payload).is_ok());
        prop_assert_eq!(decoded(record.kind(), &payload), Ok(record));
    }

    #[test]
    fn a_record_cut_short_is_refused(record in record(), at in any::<prop::sample::Index>()) {
        let payload = encoded(&record);
        let cut = payload.slice(..at.index(payload.len()));
        prop_assert!(decoded(record.kind(), &cut).is_err());
    }

    #[test]
    fn a_byte_too_many_is_refused(record in record()) {
        let mut payload = encoded(&record).to_vec();
        payload.push(0);
        prop_assert_eq!(decoded(record.kind(), &payload.into()), Err(DecodeError::Trailing(1)));
    }

    #[test]
    fn no_bytes_can_hurt(kind in 0_u8..5, bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let payload = Bytes::from(bytes);
        let head = RecordHead::decode(kind, VERSION, &payload);
        let whole = Record::decode(kind, VERSION, &payload);
        prop_assert!(whole.is_err() || head.is_ok());
    }

    #[test]
    fn a_changed_byte_cannot_hurt(record in record(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut payload = encoded(&record).to_vec();
        let at = at.index(payload.len());
        payload[at] = to;
        let payload = Bytes::from(payload);
        if let Ok(read) = decoded(record.kind(), &payload) {
            let mut again = Vec::new();
            read.encode(&mut again);
            prop_assert_eq!(decoded(record.kind(), &again.into()), Ok(read));
        }
    }
}
