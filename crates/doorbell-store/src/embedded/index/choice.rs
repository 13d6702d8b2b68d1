//! A reader's filters, looked up among the kinds and lanes of a partition: which lists have the rows that fit.

use super::Error;
use super::codes::{fate_code, id_bytes, state_code};
use super::dictionary::read_type;
use super::merge::List;
use crate::store::{EventQuery, FateWord, StateWord};
use doorbell_core::id::{EndpointId, SourceId, TenantId};
use doorbell_core::name::{EventType, EventTypePattern};
use rusqlite::{Connection, OptionalExtension as _, Row};
use std::collections::HashMap;

/// Lanes that are read one by one, where one list has what is wanted of all of them and not much else.
const LANES_EACH: usize = 64;

/// What is asked of an event, but for its time and its deliveries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) tenant: TenantId,
    pub(super) source: Option<SourceId>,
    pub(super) event_type: Option<&'a EventTypePattern>,
    pub(super) fates: &'a [FateWord],
}

impl<'a> Wanted<'a> {
    pub(super) const fn all_of(tenant: TenantId) -> Self {
        Self { tenant, source: None, event_type: None, fates: &[] }
    }

    pub(super) fn of(query: &'a EventQuery) -> Self {
        Self {
            tenant: query.tenant,
            source: query.source,
            event_type: query.event_type.as_ref(),
            fates: &query.fates,
        }
    }

    fn wants_type(&self, event_type: Option<&EventType>) -> bool {
        self.event_type
            .is_none_or(|pattern| event_type.is_some_and(|event_type| pattern.fits(event_type)))
    }

    fn wants(&self, kind: &Kind) -> bool {
        kind.tenant == self.tenant
            && self.source.is_none_or(|source| kind.source == Some(source))
            && (self.fates.is_empty()
                || self.fates.iter().any(|fate| fate_code(*fate) == kind.fate))
            && (kind.mixed || self.wants_type(kind.event_type.as_ref()))
    }
}

/// Tenant, source, type and fate of some events.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) tenant: TenantId,
    pub(super) source: Option<SourceId>,
    pub(super) event_type: Option<EventType>,
    pub(super) fate: i64,
    /// The type stands in each event's row.
    mixed: bool,
}

impl Kind {
    pub(super) const COLUMNS: &str = "tenant, source, event_type, fate, mixed";

    pub(super) fn read(row: &Row<'_>, from: usize) -> Result<Self, Error> {
        let source: Option<Vec<u8>> = row.get(from + 1)?;
        Ok(Self {
            tenant: TenantId::from_bytes(id_bytes(&row.get::<_, Vec<u8>>(from)?)?),
            source: source.map(|id| id_bytes(&id).map(SourceId::from_bytes)).transpose()?,
            event_type: read_type(row.get(from + 2)?)?,
            fate: row.get(from + 3)?,
            mixed: row.get(from + 4)?,
        })
    }

    /// The type of an event of this kind, in whose row `column` stands.
    pub(super) fn type_of(&self, column: Option<String>) -> Result<Option<EventType>, Error> {
        if self.mixed { read_type(column) } else { Ok(self.event_type.clone()) }
    }
}

/// The kinds that are wanted.
#[derive(Debug)]
pub(super) struct Choice<'a> {
    wanted: Wanted<'a>,
    kinds: HashMap<i64, Kind>,
    /// Whether they are all there are.
    all: bool,
}

impl<'a> Choice<'a> {
    pub(super) fn new(db: &Connection, wanted: Wanted<'a>) -> Result<Self, Error> {
        let sql = format!("SELECT ref, {} FROM kinds", Kind::COLUMNS);
        let mut statement = db.prepare_cached(&sql)?;
        let mut rows = statement.query([])?;
        let (mut kinds, mut all) = (HashMap::new(), true);
        while let Some(row) = rows.next()? {
            let kind = Kind::read(row, 1)?;
            if wanted.wants(&kind) {
                kinds.insert(row.get(0)?, kind);
            } else {
                all = false;
            }
        }
        Ok(Self { wanted, kinds, all })
    }

    /// The kind of that number, if it is wanted.
    pub(super) fn kind(&self, number: i64) -> Option<&Kind> {
        self.kinds.get(&number)
    }

    /// Whether an event of a wanted kind has a wanted type: to be asked where the kind does not say it.
    pub(super) fn wants_type(&self, event_type: Option<&EventType>) -> bool {
        self.wanted.wants_type(event_type)
    }

    /// The lists of the events that are wanted.
    pub(super) fn event_lists(&self) -> Vec<List> {
        if self.all {
            vec![List::Events]
        } else {
            self.kinds.keys().map(|kind| List::Kind(*kind)).collect()
        }
    }

    /// The lists of the deliveries of wanted events to this endpoint and in this state.
    pub(super) fn delivery_lists(
        &self,
        db: &Connection,
        endpoint: Option<EndpointId>,
        state: Option<StateWord>,
    ) -> Result<Vec<List>, Error> {
        if self.kinds.is_empty() {
            return Ok(Vec::new());
        }
        if self.all && endpoint.is_none() && state.is_none() {
            return Ok(vec![List::Deliveries]);
        }
        let endpoint = match endpoint {
            None => None,
            Some(id) => match endpoint_number(db, id)? {
                None => return Ok(Vec::new()),
                number => number,
            },
        };
        self.lanes(db, endpoint, state)
    }

    fn lanes(
        &self,
        db: &Connection,
        endpoint: Option<i64>,
        state: Option<StateWord>,
    ) -> Result<Vec<List>, Error> {
        let sql = "SELECT ref, kind, waiting, delivered, failed, discarded FROM lanes
            WHERE ?1 IS NULL OR endpoint = ?1";
        let mut statement = db.prepare_cached(sql)?;
        let mut rows = statement.query([endpoint])?;
        let (mut lists, mut wanted, mut others) = (Vec::new(), 0, 0);
        while let Some(row) = rows.next()? {
            let (lane, kind): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
            let fits = kind.is_none_or(|kind| self.kinds.contains_key(&kind));
            for (word, column) in StateWord::ALL.into_iter().zip(2_usize..) {
                let count: i64 = row.get(column)?;
                if count == 0 || state.is_some_and(|state| state != word) {
                    continue;
                }
                if fits {
                    lists.push(List::Lane { lane, state: state_code(word) });
                    wanted += count;
                } else {
                    others += count;
                }
            }
        }
        let whole = endpoint.is_none() && lists.len() > LANES_EACH && wanted >= others;
        match state {
            Some(word @ (StateWord::Failed | StateWord::Discarded)) if whole => {
                Ok(vec![List::State(state_code(word))])
            }
            Some(_) | None => Ok(lists),
        }
    }
}

/// The number of this endpoint in the partition, if it is in it.
pub(super) fn endpoint_number(db: &Connection, id: EndpointId) -> Result<Option<i64>, Error> {
    let mut statement = db.prepare_cached("SELECT ref FROM endpoints WHERE id = ?")?;
    Ok(statement.query_row([id.bytes()], |row| row.get(0)).optional()?)
}
