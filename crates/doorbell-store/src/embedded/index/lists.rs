//! Lists of events and deliveries in one partition, the newest first.

use super::Error;
use super::choice::{Choice, Wanted, endpoint_number};
use super::codes::{state_code, time_column};
use super::merge::{List, Merge};
use super::parts::Part;
use super::place::{delivery_seq, event_seq};
use super::rows::{Assembly, DeliveryColumns, EventColumns};
use crate::store::{DeliveryQuery, DeliveryRow, EventQuery, EventRow, StateWord};
use doorbell_core::id::ReplayId;
use doorbell_core::time::Time;
use rusqlite::{Connection, OptionalExtension as _};

/// From when to when, where it matters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Period {
    pub(super) since: Option<Time>,
    pub(super) until: Option<Time>,
}

impl Period {
    const fn holds(&self, at: Time) -> bool {
        let late_enough = match self.since {
            Some(since) => at.ms() >= since.ms(),
            None => true,
        };
        let early_enough = match self.until {
            Some(until) => at.ms() < until.ms(),
            None => true,
        };
        late_enough && early_enough
    }

    /// Whether some event of the partition may be in it.
    pub(super) fn meets(&self, part: &Part) -> bool {
        self.since.is_none_or(|since| part.meta.times.greatest >= time_column(since))
            && self.until.is_none_or(|until| part.meta.times.least < time_column(until))
    }

    /// Between which `seq`s its events must be, the first included, the second not.
    fn bounds(&self, db: &Connection) -> Result<(i64, i64), Error> {
        const NEVER: (i64, i64) = (0, 0);
        let ask = |sql, argument: i64| -> Result<Option<i64>, Error> {
            Ok(db.prepare_cached(sql)?.query_row([argument], |row| row.get(0)).optional()?)
        };
        let (mut least, mut below) = (0, i64::MAX);
        if let Some(since) = self.since {
            let sql = "SELECT seq FROM marks WHERE newest >= ? ORDER BY seq LIMIT 1";
            let Some(seq) = ask(sql, time_column(since))? else { return Ok(NEVER) };
            least = seq;
        }
        if let Some(until) = self.until {
            let sql = "SELECT seq FROM marks WHERE oldest < ? ORDER BY seq DESC LIMIT 1";
            let Some(last) = ask(sql, time_column(until))? else { return Ok(NEVER) };
            let sql = "SELECT seq FROM marks WHERE seq > ? ORDER BY seq LIMIT 1";
            below = ask(sql, last)?.unwrap_or(i64::MAX);
        }
        Ok((least, below))
    }
}

/// The events of a partition that fit, those below `before`, at most `most`, with their `seq`s.
pub(super) fn events(
    db: &Connection,
    part: &Part,
    query: &EventQuery,
    before: i64,
    most: usize,
) -> Result<Vec<(i64, EventRow)>, Error> {
    let choice = Choice::new(db, Wanted::of(query))?;
    let period = Period { since: query.since, until: query.until };
    let (least, below) = period.bounds(db)?;
    let (least, below) = (least.max(part.meta.floor), below.min(before));
    let by_delivery = query.endpoint.is_some() || query.state.is_some();
    let lists = if by_delivery {
        choice.delivery_lists(db, query.endpoint, query.state)?
    } else {
        choice.event_lists()
    };
    // Deliveries stand in the order of their events, so a list of deliveries is one of events, with repetitions.
    let scaled = |seq: i64| if by_delivery { scale(seq) } else { seq };
    let mut merge = Merge::new(db, lists, (scaled(least), scaled(below)), most)?;
    let mut found = Vec::new();
    let mut next = scaled(below);
    while found.len() < most
        && let Some(seq) = merge.next_below(next)?
    {
        let seq = if by_delivery { event_seq(seq) } else { seq };
        next = scaled(seq);
        let columns = EventColumns::read(db, seq)?;
        let columns = columns.ok_or(Error::Damaged("a delivery is without its event"))?;
        if period.holds(columns.at)
            && let Some(row) = fitting(db, &choice, columns)?
        {
            found.push((seq, row));
        }
    }
    Ok(found)
}

/// The first `seq` of the deliveries of an event.
const fn scale(event: i64) -> i64 {
    if event > event_seq(i64::MAX) { i64::MAX } else { delivery_seq(event, 0) }
}

/// The event's line, if what its kind does not say fits as well.
fn fitting(
    db: &Connection,
    choice: &Choice<'_>,
    columns: EventColumns,
) -> Result<Option<EventRow>, Error> {
    let Some(kind) = choice.kind(columns.kind) else { return Ok(None) };
    let event_type = kind.type_of(columns.event_type.clone())?;
    if choice.wants_type(event_type.as_ref()) { columns.row(db, kind).map(Some) } else { Ok(None) }
}

/// Deliveries of which `seq`s: the first included, the second not.
pub(super) type Bounds = (i64, i64);

/// The deliveries of a partition that fit, those within `bounds`, at most `most`, with their `seq`s.
pub(super) fn deliveries(
    db: &Connection,
    part: &Part,
    query: &DeliveryQuery,
    bounds: Bounds,
    most: usize,
) -> Result<Vec<(i64, DeliveryRow)>, Error> {
    let choice = Choice::new(db, Wanted::all_of(query.tenant))?;
    let period = Period { since: query.since, until: query.until };
    let (least, below) = period.bounds(db)?;
    let least = scale(least.max(part.meta.floor)).max(bounds.0);
    let below = scale(below).min(bounds.1);
    let lists = match query.replay {
        None => choice.delivery_lists(db, query.endpoint, query.state)?,
        Some(replay) => replay_lists(db, replay, query.state)?,
    };
    let endpoint = match query.endpoint {
        None => None,
        Some(id) => Some(endpoint_number(db, id)?),
    };
    let mut merge = Merge::new(db, lists, (least, below), most)?;
    let mut assembly = Assembly::new(db);
    let (mut found, mut next) = (Vec::new(), below);
    while found.len() < most
        && let Some(seq) = merge.next_below(next)?
    {
        next = seq;
        let event = assembly.event(seq)?;
        let fits = period.holds(event.at) && choice.kind(event.kind).is_some();
        let columns = DeliveryColumns::read(db, seq)?;
        let columns = columns.ok_or(Error::Damaged("a delivery has gone"))?;
        if fits && endpoint.is_none_or(|number| number == Some(columns.endpoint())) {
            found.push((seq, assembly.row(&columns)?));
        }
    }
    Ok(found)
}

fn replay_lists(
    db: &Connection,
    replay: ReplayId,
    state: Option<StateWord>,
) -> Result<Vec<List>, Error> {
    let mut statement = db.prepare_cached("SELECT ref FROM replays WHERE id = ?")?;
    let number = statement.query_row([replay.bytes()], |row| row.get(0)).optional()?;
    let Some(replay) = number else { return Ok(Vec::new()) };
    let states = StateWord::ALL.into_iter().filter(|word| state.is_none_or(|state| state == *word));
    Ok(states.map(|word| List::Replay { replay, state: state_code(word) }).collect())
}
