//! Records of a journal by counted dice, for tests that feed the index directly.

use doorbell_core::attempt::{Ending, ErrorClass, Trigger};
use doorbell_core::delivery::{Delivery, DiscardReason, State};
use doorbell_core::event::{Fate, Origin};
use doorbell_core::id::{AttemptId, DeliveryId, EndpointId, EventId, SourceId, TenantId};
use doorbell_core::name::EventType;
use doorbell_core::time::Time;
use doorbell_store::embedded::index::{Entry, Index};
use doorbell_store::{DeliveryQuery, DeliveryRow, EventQuery, EventRow};
use doorbell_wire::stored::{AttemptHead, ReceivedHead, RecordHead, Redelivered, SettledHead};
use std::time::Duration;

pub(crate) const BEGIN: Time = Time::from_ms(1_767_225_600_000);

/// What one record takes of the journal.
const RECORD: u64 = 100;

pub(crate) fn endpoint(number: u64) -> EndpointId {
    EndpointId::new(BEGIN, u128::from(number))
}

/// Writes a journal; the same one each time.
pub(crate) struct Script {
    pub(crate) journal: Vec<Entry>,
    deliveries: Vec<(u64, Delivery)>,
    events: Vec<(u64, EventId)>,
    dice: u64,
}

impl Script {
    pub(crate) const fn new() -> Self {
        Self { journal: Vec::new(), deliveries: Vec::new(), events: Vec::new(), dice: 1 }
    }

    pub(crate) fn dice(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    fn now(&self) -> Time {
        BEGIN.after(Duration::from_millis(self.journal.len() as u64))
    }

    /// The position behind the last record.
    pub(crate) fn end(&self) -> u64 {
        (self.journal.len() as u64 + 1) * RECORD
    }

    fn write(&mut self, head: RecordHead) {
        self.journal.push((self.end(), head));
    }

    fn delivery(&mut self, event: EventId, to: EndpointId) -> Delivery {
        let (now, dice) = (self.now(), u128::from(self.dice(u64::MAX)));
        Delivery {
            id: DeliveryId::new(now, dice),
            tenant: TenantId::DEFAULT,
            event,
            endpoint: to,
            order_key: (dice % 3 == 0).then_some(self.dice(4)),
            replay: None,
            attempts: 0,
            by_hand: 0,
            state: State::Waiting { due: now },
            asked: false,
        }
    }

    /// An event of this type with a delivery to each endpoint.
    pub(crate) fn receive(&mut self, event_type: &str, to: &[EndpointId]) {
        let (at, dice) = (self.now(), u128::from(self.dice(u64::MAX)));
        let (id, event_at) = (EventId::new(at, dice), self.end());
        let deliveries: Vec<Delivery> = to.iter().map(|to| self.delivery(id, *to)).collect();
        self.events.push((event_at, id));
        self.deliveries.extend(deliveries.iter().map(|delivery| (event_at, delivery.clone())));
        let head = ReceivedHead {
            id,
            tenant: TenantId::DEFAULT,
            at,
            origin: Origin::Source(SourceId::new(BEGIN, dice % 3)),
            event_type: EventType::parse(event_type).ok(),
            dedupe_key: None,
            dedupe_window: Duration::ZERO,
            fate: if to.is_empty() { Fate::Filtered } else { Fate::Accepted },
            method: "PUT".to_owned(),
            body_len: 3,
            deliveries,
        };
        self.write(RecordHead::Received(head));
    }

    /// A delivery changes to some state.
    fn settle(&mut self) {
        let most = self.deliveries.len() as u64;
        if most == 0 {
            return;
        }
        let which = usize::try_from(self.dice(most)).unwrap();
        let (dice, at) = (self.dice(6), self.now());
        let (event_at, delivery) = &mut self.deliveries[which];
        delivery.attempts += 1;
        delivery.state = match dice {
            0 => State::Waiting { due: at.after(Duration::from_secs(5)) },
            1 => State::Failed { at, holds_key: true },
            2 => State::Failed { at, holds_key: false },
            3 => State::Discarded { at, why: DiscardReason::Cancelled },
            _ => State::Delivered { at },
        };
        let outcome = match dice {
            0 => Ending::Failed(ErrorClass::TlsFailed),
            _ => Ending::Answered(200),
        };
        let number = delivery.attempts;
        let attempt = AttemptHead {
            id: AttemptId::new(at, 0),
            number,
            at,
            trigger: Trigger::Manual,
            outcome,
        };
        let (event_at, delivery) = (*event_at, delivery.clone());
        let attempt = (dice != 3).then_some(attempt);
        self.write(RecordHead::Settled(SettledHead {
            event_at,
            previous: None,
            at: Some(at),
            delivery,
            attempt,
        }));
    }

    fn redeliver(&mut self) {
        let most = self.events.len() as u64;
        if most == 0 {
            return;
        }
        let which = usize::try_from(self.dice(most)).unwrap();
        let (event_at, event) = self.events[which];
        let to = endpoint(self.dice(3));
        let deliveries = vec![self.delivery(event, to), self.delivery(event, to)];
        self.deliveries.extend(deliveries.iter().map(|delivery| (event_at, delivery.clone())));
        let (at, tenant) = (self.now(), TenantId::DEFAULT);
        self.write(RecordHead::Redelivered(Redelivered {
            event_at,
            at,
            tenant,
            event,
            deliveries,
        }));
    }

    /// `count` records of all kinds.
    pub(crate) fn play(&mut self, count: usize) {
        for _ in 0..count {
            match self.dice(10) {
                0..4 => {
                    let to = [endpoint(self.dice(3)), endpoint(self.dice(3))];
                    let most = usize::try_from(self.dice(3)).unwrap();
                    let event_type = ["a.one", "a.two", "b.one"][most];
                    self.receive(event_type, &to[..most]);
                }
                4..9 => self.settle(),
                _ => self.redeliver(),
            }
        }
    }
}

/// Brings the records of the journal in that stand at `from` or later, so many at a time.
pub(crate) fn feed(index: &Index, journal: &[Entry], from: u64, batch: usize) {
    let start = journal.partition_point(|(position, _)| *position < from);
    for entries in journal[start..].chunks(batch) {
        let upto = entries.last().map_or(0, |(position, _)| position + RECORD);
        index.apply(entries, upto).unwrap();
    }
}

/// Everything that an index shows.
#[derive(Debug, PartialEq)]
pub(crate) struct Shown {
    events: Vec<EventRow>,
    deliveries: Vec<DeliveryRow>,
    attempts: Vec<Option<u64>>,
    backlog: Vec<doorbell_store::Backlog>,
    counts: doorbell_store::embedded::index::Counts,
    oldest_waiting: Option<u64>,
}

pub(crate) fn shown(index: &Index) -> Shown {
    let (mut events, mut deliveries) = (Vec::new(), Vec::new());
    let mut query = EventQuery { limit: 100, ..EventQuery::of(TenantId::DEFAULT) };
    loop {
        let page = index.events(&query).unwrap();
        events.extend(page.items);
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let mut query = DeliveryQuery { limit: 100, ..DeliveryQuery::of(TenantId::DEFAULT) };
    loop {
        let page = index.deliveries(&query).unwrap();
        deliveries.extend(page.items);
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    let found = |row: &DeliveryRow| index.delivery(row.delivery.id).unwrap().unwrap().last_attempt;
    Shown {
        attempts: deliveries.iter().map(found).collect(),
        events,
        deliveries,
        backlog: index.backlog(&|_| false).unwrap(),
        counts: index.counts().unwrap(),
        oldest_waiting: index.oldest_waiting_position().unwrap(),
    }
}
