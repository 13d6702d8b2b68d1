//! Any record, for property tests.

use bytes::Bytes;
use doorbell_core::attempt::{Answer, Attempt, ErrorClass, Fault, Outcome, Timings, Trigger};
use doorbell_core::delivery::{Delivery, DiscardReason, State};
use doorbell_core::event::{Event, Fate, Origin, Rejection, RejectionReason};
use doorbell_core::id::{AttemptId, DeliveryId, EndpointId, EventId, ReplayId, SourceId, TenantId};
use doorbell_core::name::EventType;
use doorbell_core::past::{Past, PastDelivery};
use doorbell_core::request::{Headers, Request};
use doorbell_core::time::Time;
use doorbell_wire::stored::{Received, Record, Redelivered, Settled};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn time() -> impl Strategy<Value = Time> {
    (0..=Time::MAX.ms()).prop_map(Time::from_ms)
}

fn micros() -> impl Strategy<Value = Duration> {
    any::<u64>().prop_map(Duration::from_micros)
}

fn headers() -> impl Strategy<Value = Headers> {
    vec(("[a-z-]{0,12}", bytes()), 0..8).prop_map(|lines| lines.into_iter().collect())
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        time().prop_map(|due| State::Waiting { due }),
        time().prop_map(|at| State::Delivered { at }),
        (time(), any::<bool>()).prop_map(|(at, holds_key)| State::Failed { at, holds_key }),
        (time(), prop::sample::select(DiscardReason::ALL.to_vec()))
            .prop_map(|(at, why)| State::Discarded { at, why }),
    ]
}

fn delivery(tenant: TenantId, event: EventId) -> impl Strategy<Value = Delivery> {
    let ids = (any::<[u8; 16]>(), any::<[u8; 16]>(), option::of(any::<[u8; 16]>()));
    let tries = (any::<u32>(), any::<u32>());
    (ids, option::of(any::<u64>()), tries, state(), any::<bool>()).prop_map(
        move |((id, endpoint, replay), order_key, (attempts, by_hand), state, asked)| Delivery {
            id: DeliveryId::from_bytes(id),
            tenant,
            event,
            endpoint: EndpointId::from_bytes(endpoint),
            order_key,
            replay: replay.map(ReplayId::from_bytes),
            attempts,
            by_hand,
            state,
            asked: asked && !state.is_settled(),
        },
    )
}

fn owner() -> impl Strategy<Value = (TenantId, EventId)> {
    any::<([u8; 16], [u8; 16])>()
        .prop_map(|(tenant, event)| (TenantId::from_bytes(tenant), EventId::from_bytes(event)))
}

fn request() -> impl Strategy<Value = Request> {
    (
        "[A-Z]{1,8}",
        "(/\\PC{0,12})?",
        option::of("\\PC{0,12}"),
        headers(),
        bytes(),
        any::<Option<IpAddr>>(),
    )
        .prop_map(|(method, path, query, headers, body, peer)| Request {
            method,
            path,
            query,
            headers,
            body,
            peer,
        })
}

fn event(tenant: TenantId, id: EventId) -> impl Strategy<Value = Event> {
    let origin = option::of(any::<[u8; 16]>())
        .prop_map(|id| id.map_or(Origin::Api, |id| Origin::Source(SourceId::from_bytes(id))));
    let event_type = option::of("[!-~]{1,30}")
        .prop_map(|text| text.map(|text| EventType::parse(&text).unwrap()));
    (time(), origin, event_type, option::of(bytes()), vec("\\PC{0,8}", 0..4), request()).prop_map(
        move |(at, origin, event_type, dedupe_key, channels, request)| Event {
            id,
            tenant,
            at,
            origin,
            event_type,
            dedupe_key,
            channels,
            request,
        },
    )
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Accepted),
        Just(Fate::NoEndpoint),
        Just(Fate::Filtered),
        any::<[u8; 16]>().prop_map(|id| Fate::Duplicate { of: EventId::from_bytes(id) }),
        (prop::sample::select(RejectionReason::ALL.to_vec()), "\\PC{0,20}")
            .prop_map(|(reason, detail)| Fate::Rejected(Rejection { reason, detail })),
    ]
}

fn received() -> impl Strategy<Value = Received> {
    owner().prop_flat_map(|(tenant, id)| {
        (event(tenant, id), fate(), any::<u32>(), vec(delivery(tenant, id), 0..5)).prop_map(
            |(event, fate, window, deliveries)| Received {
                event,
                fate,
                dedupe_window: Duration::from_millis(window.into()),
                deliveries,
            },
        )
    })
}

fn timings() -> impl Strategy<Value = Timings> {
    let part = || option::of(micros());
    (part(), part(), part(), part(), micros()).prop_map(|(dns, connect, tls, first_byte, total)| {
        Timings { dns, connect, tls, first_byte, total }
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let classes = [
        ErrorClass::DnsNotFound,
        ErrorClass::TlsCertificateExpired,
        ErrorClass::TimeoutBody,
        ErrorClass::RequestInvalid,
        ErrorClass::QueueFailed,
    ];
    prop_oneof![
        (any::<u16>(), headers(), bytes(), any::<bool>()).prop_map(
            |(status, headers, body, truncated)| {
                Outcome::Answered(Answer { status, headers, body, truncated })
            }
        ),
        Just(Outcome::Confirmed),
        (prop::sample::select(classes.to_vec()), "\\PC{0,20}")
            .prop_map(|(class, detail)| Outcome::Failed(Fault { class, detail })),
    ]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let triggers = [Trigger::Initial, Trigger::Automatic, Trigger::Manual, Trigger::Replay];
    let address = any::<Option<(IpAddr, u16)>>()
        .prop_map(|address| address.map(|(ip, port)| SocketAddr::new(ip, port)));
    let trigger = prop::sample::select(triggers.to_vec());
    (any::<[u8; 16]>(), any::<u32>(), time(), trigger, address, timings(), outcome()).prop_map(
        |(id, number, at, trigger, address, timings, outcome)| Attempt {
            id: AttemptId::from_bytes(id),
            number,
            at,
            trigger,
            address,
            timings,
            outcome,
        },
    )
}

fn settled() -> impl Strategy<Value = Settled> {
    owner().prop_flat_map(|(tenant, event)| {
        let delivery = delivery(tenant, event);
        (any::<u64>(), any::<Option<u64>>(), option::of(time()), delivery, option::of(attempt()))
            .prop_map(|(event_at, previous, at, delivery, attempt)| Settled {
                event_at,
                previous,
                at,
                delivery,
                attempt,
            })
    })
}

fn redelivered() -> impl Strategy<Value = Redelivered> {
    owner().prop_flat_map(|(tenant, event)| {
        (any::<u64>(), time(), vec(delivery(tenant, event), 0..5)).prop_map(
            move |(event_at, at, deliveries)| Redelivered {
                event_at,
                at,
                tenant,
                event,
                deliveries,
            },
        )
    })
}

pub(crate) fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        received().prop_map(Record::Received),
        settled().prop_map(Record::Settled),
        redelivered().prop_map(Record::Redelivered),
    ]
}

pub(crate) fn past() -> impl Strategy<Value = Past> {
    received().prop_flat_map(|Received { event, fate, dedupe_window, deliveries }| {
        let count = deliveries.len();
        vec((option::of(time()), vec(attempt(), 0..3)), count).prop_map(move |more| {
            let with = |(delivery, (updated, attempts)): (&Delivery, (Option<Time>, _))| {
                PastDelivery { delivery: delivery.clone(), updated, attempts }
            };
            let deliveries = deliveries.iter().zip(more).map(with).collect();
            Past { event: event.clone(), fate: fate.clone(), dedupe_window, deliveries }
        })
    })
}
