//! Columns of events and deliveries as every statement has them that makes some: an array each.

use super::away;
use super::rows::{self, Id, StateColumns, ms, whole};
use doorbell_core::delivery::Delivery;
use doorbell_core::event::{Event, Fate};
use tokio_postgres::types::ToSql;

/// Of events.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) seq: Vec<i64>,
    id: Vec<Id>,
    kind: Vec<i32>,
    at: Vec<i64>,
    pub(super) first: Vec<Option<Id>>,
    method: Vec<String>,
    body_len: Vec<i64>,
    reason: Vec<Option<&'static str>>,
    detail: Vec<Option<String>>,
    record: Vec<Vec<u8>>,
}

impl Events {
    /// `away`: its body lies elsewhere.
    pub(super) fn add(
        &mut self,
        (seq, kind): (i64, i32),
        (event, fate): (&Event, &Fate),
        away: bool,
    ) {
        let (reason, detail) = rows::rejection(fate);
        self.seq.push(seq);
        self.id.push(event.id.into());
        self.kind.push(kind);
        self.at.push(ms(event.at));
        self.first.push(rows::repeats(fate));
        self.method.push(event.request.method.clone());
        self.body_len.push(whole(event.request.body.len()));
        self.reason.push(reason);
        self.detail.push(detail.map(str::to_owned));
        let encode = if away { away::encode } else { rows::encode_event };
        self.record.push(encode(event, fate));
    }

    /// In their order.
    pub(super) fn values(&self) -> [&(dyn ToSql + Sync); 10] {
        [
            &self.seq,
            &self.id,
            &self.kind,
            &self.at,
            &self.first,
            &self.method,
            &self.body_len,
            &self.reason,
            &self.detail,
            &self.record,
        ]
    }
}

/// Of deliveries.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    pub(super) seq: Vec<i64>,
    nth: Vec<i32>,
    id: Vec<Id>,
    tenant: Vec<Id>,
    event: Vec<Id>,
    endpoint: Vec<Id>,
    order_key: Vec<Option<i64>>,
    replay: Vec<Option<Id>>,
    state: Vec<i16>,
    due: Vec<i64>,
    why: Vec<Option<&'static str>>,
}

impl Deliveries {
    pub(super) fn add(&mut self, (seq, nth): (i64, i32), delivery: &Delivery) {
        let StateColumns { state, due, why, .. } = delivery.state.into();
        self.seq.push(seq);
        self.nth.push(nth);
        self.id.push(delivery.id.into());
        self.tenant.push(delivery.tenant.into());
        self.event.push(delivery.event.into());
        self.endpoint.push(delivery.endpoint.into());
        self.order_key.push(delivery.order_key.map(u64::cast_signed));
        self.replay.push(delivery.replay.map(Into::into));
        self.state.push(state);
        self.due.push(due);
        self.why.push(why);
    }

    /// In their order.
    pub(super) fn values(&self) -> [&(dyn ToSql + Sync); 11] {
        [
            &self.seq,
            &self.nth,
            &self.id,
            &self.tenant,
            &self.event,
            &self.endpoint,
            &self.order_key,
            &self.replay,
            &self.state,
            &self.due,
            &self.why,
        ]
    }
}
