//! Events, deliveries and settlements for the promises, made from a counted clock and counted dice.

use crate::store::{Admission, Admitted, Claim, Claims, Lent, NewDelivery, Settlement, Store};
use bytes::Bytes;
use doorbell_core::attempt::{Answer, Attempt, ErrorClass, Fault, Outcome, Timings, Trigger};
use doorbell_core::delivery::State;
use doorbell_core::event::{Event, Fate, Origin, Rejection, RejectionReason};
use doorbell_core::id::{AttemptId, DeliveryId, EndpointId, EventId, ReplayId, SourceId, TenantId};
use doorbell_core::name::EventType;
use doorbell_core::request::{Headers, Request};
use doorbell_core::time::Time;
use std::sync::Arc;
use std::time::Duration;

/// The body of every event: no JSON that would survive being read and written again.
pub(super) const BODY: &[u8] = b"{\"amount\": 1e2,\"amount\":2}\xff\n";

/// When the scripts begin: 2026-01-01T00:00:00Z.
pub(super) const BEGIN: Time = Time::from_ms(1_767_225_600_000);

pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// A clock and dice that only go forward.
#[derive(Debug, Clone)]
pub(super) struct Maker {
    pub(super) now: Time,
    dice: u128,
}

/// The endpoint with this number.
pub(super) fn endpoint(number: u64) -> EndpointId {
    EndpointId::new(BEGIN, u128::from(number))
}

/// The source with this number.
pub(super) fn source(number: u64) -> SourceId {
    SourceId::new(BEGIN, u128::from(number))
}

/// The replay with this number.
pub(super) fn replay(number: u64) -> ReplayId {
    ReplayId::new(BEGIN, u128::from(number))
}

/// Tenant 0 is the default one.
pub(super) fn tenant(number: u64) -> TenantId {
    if number == 0 { TenantId::DEFAULT } else { TenantId::new(BEGIN, u128::from(number)) }
}

pub(super) fn event_type(text: &str) -> EventType {
    EventType::parse(text).unwrap()
}

pub(super) fn rejected() -> Fate {
    Fate::Rejected(Rejection {
        reason: RejectionReason::Verification,
        detail: "the signature does not fit; is the secret the current one?".to_owned(),
    })
}

impl Maker {
    pub(super) const fn new() -> Self {
        Self { now: BEGIN, dice: 0 }
    }

    /// A millisecond later; dice that are unlike the last.
    fn step(&mut self) -> (Time, u128) {
        self.now = self.now.after(Duration::from_millis(1));
        self.dice = self.dice.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5677);
        (self.now, self.dice)
    }

    /// An event that came to source 1, with bytes that no text could hold.
    pub(super) fn event(&mut self) -> Event {
        let (now, dice) = self.step();
        let mut headers = Headers::default();
        headers.push("content-type", "application/json");
        headers.push("x-twice", Bytes::from_static(b"\xff\x00first"));
        headers.push("x-twice", "second");
        Event {
            id: EventId::new(now, dice),
            tenant: TenantId::DEFAULT,
            at: now,
            origin: Origin::Source(source(1)),
            event_type: Some(event_type("invoice.paid")),
            dedupe_key: None,
            channels: vec!["north".to_owned()],
            request: Request {
                method: "POST".to_owned(),
                path: "/a%2Fb".to_owned(),
                query: Some("x=1&x=2".to_owned()),
                headers,
                body: Bytes::from_static(BODY),
                peer: Some([192, 0, 2, 7].into()),
            },
        }
    }

    /// A delivery to this endpoint, due now, not lent.
    pub(super) fn delivery(&mut self, endpoint: EndpointId) -> NewDelivery {
        let (now, dice) = self.step();
        NewDelivery {
            id: DeliveryId::new(now, dice),
            endpoint,
            order_key: None,
            state: State::Waiting { due: now },
            replay: None,
            lend: false,
        }
    }

    /// A delivery with an order key.
    pub(super) fn keyed(&mut self, endpoint: EndpointId, key: u64) -> NewDelivery {
        NewDelivery { order_key: Some(key), ..self.delivery(endpoint) }
    }

    pub(super) fn settlement(&mut self, lent: &Lent, state: State, status: u16) -> Settlement {
        let attempt = self.attempt(lent.delivery.attempts + 1, status);
        let mut delivery = lent.delivery.clone();
        delivery.attempts += 1;
        delivery.by_hand += u32::from(delivery.asked);
        delivery.state = state;
        delivery.asked = false;
        Settlement {
            lease: lent.lease,
            locator: lent.locator,
            delivery,
            attempt: Some(attempt),
            next: false,
        }
    }

    /// An attempt that was answered so; with status 0 it was not answered, with 1 a broker confirmed it.
    pub(super) fn attempt(&mut self, number: u32, status: u16) -> Attempt {
        let (now, dice) = self.step();
        let headers = Headers::from_iter([("retry-after", "7")]);
        let body = Bytes::from_static(b"no \xfe thanks");
        let outcome = match status {
            0 => Outcome::Failed(Fault {
                class: ErrorClass::ConnectionRefused,
                detail: "nobody listens at 192.0.2.1:443".to_owned(),
            }),
            1 => Outcome::Confirmed,
            status => Outcome::Answered(Answer { status, headers, body, truncated: true }),
        };
        let total = Duration::from_millis(20);
        Attempt {
            id: AttemptId::new(now, dice),
            number,
            at: now,
            trigger: if number == 1 { Trigger::Initial } else { Trigger::Automatic },
            address: Some(([192, 0, 2, 1], 443).into()),
            timings: Timings {
                dns: Some(Duration::from_micros(1500)),
                total,
                ..Timings::default()
            },
            outcome,
        }
    }

    pub(super) const fn delivered(&self) -> State {
        State::Delivered { at: self.now }
    }
}

/// An acceptance without dedupe.
pub(super) fn admission(event: &Event, deliveries: Vec<NewDelivery>) -> Admission {
    let fate = if deliveries.is_empty() { Fate::NoEndpoint } else { Fate::Accepted };
    let (event, dedupe_window) = (Arc::new(event.clone()), Duration::ZERO);
    Admission { event, fate, dedupe_window, deliveries, once: false }
}

/// Accepts a new event with these deliveries and returns it.
pub(super) async fn accept(
    home: &impl Store,
    maker: &mut Maker,
    deliveries: Vec<NewDelivery>,
) -> Event {
    let event = maker.event();
    let admitted = home.accept(admission(&event, deliveries)).await;
    assert_eq!(admitted, Ok(Admitted::New));
    event
}

/// All that is due at any time for this endpoint.
pub(super) fn everything(endpoint: EndpointId) -> Claim {
    Claim {
        endpoint,
        by_key: false,
        due_by: Time::MAX,
        most: 1_000,
        event_bytes: 0,
        lease_until: Time::MAX,
    }
}

pub(super) async fn claim_all(home: &impl Store, endpoint: EndpointId) -> Vec<Lent> {
    home.claim(everything(endpoint)).await.unwrap().lent
}

pub(super) async fn claim_one(home: &impl Store, endpoint: EndpointId) -> Lent {
    let mut lent = claim_all(home, endpoint).await;
    assert_eq!(lent.len(), 1);
    lent.remove(0)
}

/// The ids, in their order.
pub(super) fn ids(claims: &Claims) -> Vec<DeliveryId> {
    claims.lent.iter().map(|lent| lent.delivery.id).collect()
}
