//! Events and deliveries as they stand in a partition.

use super::Error;
use super::choice::Kind;
use super::codes::{
    attempts_of, ending_of, fate_of, id_bytes, id_of, state_code, state_of, time_of,
};
use super::place::{delivery_seq, event_seq};
use crate::store::{DeliveryRow, EventRow, StateWord, Tally};
use doorbell_core::delivery::Delivery;
use doorbell_core::id::{DeliveryId, EndpointId, EventId, ReplayId, TenantId};
use doorbell_core::time::Time;
use rusqlite::{Connection, OptionalExtension as _};
use std::collections::HashMap;

/// An event's row, before its kind is looked at.
#[derive(Debug, Clone)]
pub(super) struct EventColumns {
    pub(super) seq: i64,
    pub(super) id: EventId,
    pub(super) at: Time,
    pub(super) kind: i64,
    pub(super) event_type: Option<String>,
    body_len: i64,
    method: Option<String>,
    fate: Option<Vec<u8>>,
}

impl EventColumns {
    pub(super) fn read(db: &Connection, seq: i64) -> Result<Option<Self>, Error> {
        let sql = "SELECT id_high, id_low, at, kind, event_type, body_len, method, fate
            FROM events WHERE seq = ?";
        let read = db.prepare_cached(sql)?.query_row([seq], |row| {
            Ok(Self {
                seq,
                id: EventId::from_bytes(id_of(row.get(0)?, row.get(1)?)),
                at: time_of(row.get(2)?),
                kind: row.get(3)?,
                event_type: row.get(4)?,
                body_len: row.get(5)?,
                method: row.get(6)?,
                fate: row.get(7)?,
            })
        });
        Ok(read.optional()?)
    }

    /// Bytes of its body.
    pub(super) const fn body_len(&self) -> u64 {
        self.body_len.cast_unsigned()
    }

    /// The whole line, with how its deliveries stand.
    pub(super) fn row(self, db: &Connection, kind: &Kind) -> Result<EventRow, Error> {
        Ok(EventRow {
            id: self.id,
            at: self.at,
            source: kind.source,
            event_type: kind.type_of(self.event_type)?,
            fate: fate_of(kind.fate, self.fate.as_deref())?,
            method: self.method.unwrap_or_else(|| "POST".to_owned()),
            body_len: self.body_len.cast_unsigned(),
            tally: tally(db, self.seq)?,
        })
    }
}

/// How the deliveries of an event stand.
pub(super) fn tally(db: &Connection, event: i64) -> Result<Tally, Error> {
    let sql = "SELECT sum(state = 0), sum(state = 1), sum(state = 2), sum(state = 3)
        FROM deliveries WHERE seq >= ? AND seq < ?";
    let bounds = [delivery_seq(event, 0), delivery_seq(event + 1, 0)];
    Ok(db.prepare_cached(sql)?.query_row(bounds, |row| {
        let count =
            |column| row.get::<_, Option<i64>>(column).map(|sum| sum.unwrap_or(0).cast_unsigned());
        Ok(Tally {
            waiting: count(0)?,
            delivered: count(1)?,
            failed: count(2)?,
            discarded: count(3)?,
        })
    })?)
}

/// A delivery's row.
#[derive(Debug, Clone)]
pub(super) struct DeliveryColumns {
    pub(super) seq: i64,
    pub(super) id: DeliveryId,
    endpoint: i64,
    state: (i64, i64, i64),
    attempts: i64,
    pub(super) last_at: Option<u64>,
    ending: Option<i64>,
    updated: Option<Time>,
    order_key: Option<u64>,
    replay: Option<i64>,
}

impl DeliveryColumns {
    pub(super) fn read(db: &Connection, seq: i64) -> Result<Option<Self>, Error> {
        let sql = "SELECT id_high, id_low, endpoint, state, detail, moment, attempts, last_at,
            ending, updated, order_key, replay FROM deliveries WHERE seq = ?";
        let read = db.prepare_cached(sql)?.query_row([seq], |row| {
            Ok(Self {
                seq,
                id: DeliveryId::from_bytes(id_of(row.get(0)?, row.get(1)?)),
                endpoint: row.get(2)?,
                state: (row.get(3)?, row.get(4)?, row.get(5)?),
                attempts: row.get(6)?,
                last_at: row.get::<_, Option<i64>>(7)?.map(i64::cast_unsigned),
                ending: row.get(8)?,
                updated: row.get::<_, Option<i64>>(9)?.map(time_of),
                order_key: row.get::<_, Option<i64>>(10)?.map(i64::cast_unsigned),
                replay: row.get(11)?,
            })
        });
        Ok(read.optional()?)
    }

    pub(super) const fn endpoint(&self) -> i64 {
        self.endpoint
    }
}

/// Puts deliveries together from their rows and those of their events; remembers ids that come again and again.
pub(super) struct Assembly<'a> {
    db: &'a Connection,
    endpoints: HashMap<i64, EndpointId>,
    replays: HashMap<i64, ReplayId>,
    kinds: HashMap<i64, Kind>,
    event: Option<EventColumns>,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(db: &'a Connection) -> Self {
        let (endpoints, replays, kinds) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { db, endpoints, replays, kinds, event: None }
    }

    /// The event of the delivery with this `seq`.
    pub(super) fn event(&mut self, delivery: i64) -> Result<&EventColumns, Error> {
        let seq = event_seq(delivery);
        let held = self.event.take().filter(|event| event.seq == seq);
        let event = match held {
            Some(event) => event,
            None => EventColumns::read(self.db, seq)?
                .ok_or(Error::Damaged("a delivery is without its event"))?,
        };
        Ok(self.event.insert(event))
    }

    fn kind(&mut self, number: i64) -> Result<&Kind, Error> {
        if !self.kinds.contains_key(&number) {
            let kind = read_kind(self.db, number)?;
            self.kinds.insert(number, kind);
        }
        self.kinds.get(&number).ok_or(Error::Damaged("an event is of no kind"))
    }

    /// The whole line; whether it is in flight is not known here.
    pub(super) fn row(&mut self, columns: &DeliveryColumns) -> Result<DeliveryRow, Error> {
        let event = self.event(columns.seq)?;
        let (id, at, event_type) = (event.id, event.at, event.event_type.clone());
        let kind = event.kind;
        let kind = self.kind(kind)?;
        let (tenant, event_type) = (kind.tenant, kind.type_of(event_type)?);
        Ok(DeliveryRow {
            delivery: self.delivery(columns, tenant, id)?,
            in_flight: false,
            event_type,
            at,
            updated: columns.updated,
            last: columns.ending.map(ending_of).transpose()?,
        })
    }

    fn delivery(
        &mut self,
        columns: &DeliveryColumns,
        tenant: TenantId,
        event: EventId,
    ) -> Result<Delivery, Error> {
        let db = self.db;
        let (state, detail, moment) = columns.state;
        let endpoint = remembered(&mut self.endpoints, columns.endpoint, |number| {
            read_id(db, "SELECT id FROM endpoints WHERE ref = ?", number)
                .map(EndpointId::from_bytes)
        })?;
        let replay = columns.replay.map(|number| {
            remembered(&mut self.replays, number, |number| {
                read_id(db, "SELECT id FROM replays WHERE ref = ?", number)
                    .map(ReplayId::from_bytes)
            })
        });
        let (attempts, by_hand) = attempts_of(columns.attempts);
        Ok(Delivery {
            id: columns.id,
            tenant,
            event,
            endpoint,
            order_key: columns.order_key,
            replay: replay.transpose()?,
            attempts,
            by_hand,
            state: state_of(state, detail, moment)?,
            asked: state == state_code(StateWord::Waiting) && detail == 1,
        })
    }
}

fn remembered<T: Copy>(
    known: &mut HashMap<i64, T>,
    number: i64,
    read: impl FnOnce(i64) -> Result<T, Error>,
) -> Result<T, Error> {
    if let Some(value) = known.get(&number) {
        return Ok(*value);
    }
    let value = read(number)?;
    known.insert(number, value);
    Ok(value)
}

fn read_id(db: &Connection, sql: &str, number: i64) -> Result<[u8; 16], Error> {
    let id: Vec<u8> = db.prepare_cached(sql)?.query_row([number], |row| row.get(0))?;
    id_bytes(&id)
}

/// The kind with this number.
pub(super) fn read_kind(db: &Connection, number: i64) -> Result<Kind, Error> {
    let sql = format!("SELECT {} FROM kinds WHERE ref = ?", Kind::COLUMNS);
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query([number])?;
    let row = rows.next()?.ok_or(Error::Damaged("an event is of no kind"))?;
    Kind::read(row, 0)
}
