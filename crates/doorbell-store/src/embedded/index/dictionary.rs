//! The writer's side of the small numbers that stand for ids, kinds and lanes in a partition.

use super::Error;
use super::codes::{fate_code, id_bytes};
use crate::store::FateWord;
use doorbell_core::id::{EndpointId, ReplayId, SourceId, TenantId};
use doorbell_core::name::EventType;
use doorbell_wire::stored::ReceivedHead;
use rusqlite::{Connection, params};
use std::collections::HashMap;
use std::hash::Hash;

/// Kinds of one partition that have a number of their own; an event of a later one shares the number of its tenant,
/// source and fate ("mixed"), and its type stands in its row. So a provider that puts ids into types does no harm.
const KINDS_MAX: usize = 16 << 10;

/// Lanes of one partition that have a number of their own; a delivery of a later one shares that of its endpoint.
const LANES_MAX: usize = 64 << 10;

/// The numbers that were given, as they are in the tables.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    kinds: HashMap<Kind, i64>,
    lanes: HashMap<(Option<i64>, i64), i64>,
    endpoints: HashMap<[u8; 16], i64>,
    replays: HashMap<[u8; 16], i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Kind {
    tenant: TenantId,
    source: Option<SourceId>,
    event_type: Option<EventType>,
    fate: i64,
    mixed: bool,
}

impl Dictionary {
    /// Reads what is in the tables.
    pub(super) fn load(db: &Connection) -> Result<Self, Error> {
        let mut known = Self::default();
        let mut kinds =
            db.prepare("SELECT ref, tenant, source, event_type, fate, mixed FROM kinds")?;
        let mut rows = kinds.query([])?;
        while let Some(row) = rows.next()? {
            let source: Option<Vec<u8>> = row.get(2)?;
            let source = source.map(|id| id_bytes(&id).map(SourceId::from_bytes)).transpose()?;
            let kind = Kind {
                tenant: TenantId::from_bytes(id_bytes(&row.get::<_, Vec<u8>>(1)?)?),
                source,
                event_type: read_type(row.get(3)?)?,
                fate: row.get(4)?,
                mixed: row.get(5)?,
            };
            known.kinds.insert(kind, row.get(0)?);
        }
        let mut lanes = db.prepare("SELECT ref, kind, endpoint FROM lanes")?;
        let mut rows = lanes.query([])?;
        while let Some(row) = rows.next()? {
            known.lanes.insert((row.get(1)?, row.get(2)?), row.get(0)?);
        }
        known.endpoints = load_ids(db, "SELECT ref, id FROM endpoints")?;
        known.replays = load_ids(db, "SELECT ref, id FROM replays")?;
        Ok(known)
    }

    /// The number of the event's kind, and whether its type has to stand in its row.
    pub(super) fn kind(
        &mut self,
        db: &Connection,
        head: &ReceivedHead,
    ) -> Result<(i64, bool), Error> {
        let mut kind = Kind {
            tenant: head.tenant,
            source: head.origin.source(),
            event_type: head.event_type.clone(),
            fate: fate_code(FateWord::of(&head.fate)),
            mixed: false,
        };
        if let Some(known) = self.kinds.get(&kind) {
            return Ok((*known, false));
        }
        if self.kinds.len() >= KINDS_MAX {
            (kind.event_type, kind.mixed) = (None, true);
        }
        let mixed = kind.mixed;
        let number = number(&mut self.kinds, kind, |number, kind| {
            let source = kind.source.map(SourceId::bytes);
            let event_type = kind.event_type.as_ref().map(EventType::as_str);
            db.prepare_cached("INSERT INTO kinds VALUES (?, ?, ?, ?, ?, ?)")?.execute(params![
                number,
                kind.tenant.bytes(),
                source,
                event_type,
                kind.fate,
                kind.mixed
            ])
        })?;
        Ok((number, mixed))
    }

    /// The number of the lane of deliveries of events of this kind to this endpoint.
    pub(super) fn lane(&mut self, db: &Connection, kind: i64, endpoint: i64) -> Result<i64, Error> {
        let own = (Some(kind), endpoint);
        let shared = (None, endpoint);
        let full = self.lanes.len() >= LANES_MAX && !self.lanes.contains_key(&own);
        number(&mut self.lanes, if full { shared } else { own }, |number, (kind, endpoint)| {
            let sql = "INSERT INTO lanes (ref, kind, endpoint) VALUES (?, ?, ?)";
            db.prepare_cached(sql)?.execute(params![number, kind, endpoint])
        })
    }

    /// The number of this endpoint.
    pub(super) fn endpoint(&mut self, db: &Connection, id: EndpointId) -> Result<i64, Error> {
        number(&mut self.endpoints, id.bytes(), |number, id| {
            db.prepare_cached("INSERT INTO endpoints VALUES (?, ?)")?.execute(params![number, id])
        })
    }

    /// The number of this replay.
    pub(super) fn replay(&mut self, db: &Connection, id: ReplayId) -> Result<i64, Error> {
        number(&mut self.replays, id.bytes(), |number, id| {
            db.prepare_cached("INSERT INTO replays VALUES (?, ?)")?.execute(params![number, id])
        })
    }
}

/// The number of `key`; a new one is written down first.
fn number<K: Eq + Hash>(
    known: &mut HashMap<K, i64>,
    key: K,
    write: impl FnOnce(i64, &K) -> rusqlite::Result<usize>,
) -> Result<i64, Error> {
    if let Some(number) = known.get(&key) {
        return Ok(*number);
    }
    let number = i64::try_from(known.len()).unwrap_or(i64::MAX);
    write(number, &key)?;
    known.insert(key, number);
    Ok(number)
}

fn load_ids(db: &Connection, sql: &str) -> Result<HashMap<[u8; 16], i64>, Error> {
    let mut statement = db.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut known = HashMap::new();
    while let Some(row) = rows.next()? {
        known.insert(id_bytes(&row.get::<_, Vec<u8>>(1)?)?, row.get(0)?);
    }
    Ok(known)
}

/// The column `event_type`.
pub(super) fn read_type(column: Option<String>) -> Result<Option<EventType>, Error> {
    let parsed = column.map(|text| EventType::parse(&text)).transpose();
    parsed.map_err(|_| Error::Damaged("no event type"))
}
