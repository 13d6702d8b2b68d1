//! What waits in one partition: in the order of due times, and the first of each order key.

use super::Error;
use super::codes::id_of;
use super::place::event_seq;
use doorbell_core::id::{DeliveryId, EndpointId};
use rusqlite::{Connection, OptionalExtension as _, params};

/// Tells which deliveries are lent out, and so not to be lent again.
pub type Lent<'a> = &'a dyn Fn(DeliveryId) -> bool;

/// What a claim must leave alone.
#[derive(Clone, Copy)]
pub struct Taken<'a> {
    /// Deliveries that are lent out.
    pub delivery: Lent<'a>,
    /// Order keys of the endpoint of which a delivery is lent out, not the first of its key perhaps: an older one may
    /// have been retried or replayed meanwhile.
    pub key: &'a dyn Fn(u64) -> bool,
}

impl std::fmt::Debug for Taken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Taken")
    }
}

/// Whether deliveries have an order key: each has an index of its own, so that neither is in the way of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyed {
    No,
    Yes,
}

/// A delivery that waits: when it is due, and its `seq`. They sort as they are to be tried.
pub(super) type Due = (i64, i64);

/// The first `most` deliveries to this endpoint that wait and are not lent.
pub(super) fn waiting(
    db: &Connection,
    endpoint: i64,
    keyed: Keyed,
    most: usize,
    lent: Lent<'_>,
) -> Result<Vec<Due>, Error> {
    let sql = match keyed {
        Keyed::No => {
            "SELECT moment, seq, id_high, id_low FROM deliveries INDEXED BY delivery_by_due
            WHERE endpoint = ? AND state = 0 AND order_key IS NULL ORDER BY moment, seq"
        }
        Keyed::Yes => {
            "SELECT moment, seq, id_high, id_low FROM deliveries INDEXED BY delivery_by_due_keyed
            WHERE endpoint = ? AND state = 0 AND order_key IS NOT NULL ORDER BY moment, seq"
        }
    };
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([endpoint])?;
    let mut found = Vec::new();
    while found.len() < most
        && let Some(row) = rows.next()?
    {
        if !lent(DeliveryId::from_bytes(id_of(row.get(2)?, row.get(3)?))) {
            found.push((row.get(0)?, row.get(1)?));
        }
    }
    Ok(found)
}

/// As [`waiting`], with and without a key.
pub(super) fn all_waiting(
    db: &Connection,
    endpoint: i64,
    most: usize,
    lent: Lent<'_>,
) -> Result<Vec<Due>, Error> {
    let mut all = waiting(db, endpoint, Keyed::No, most, lent)?;
    all.extend(waiting(db, endpoint, Keyed::Yes, most, lent)?);
    all.sort_unstable();
    all.truncate(most);
    Ok(all)
}

/// A key's place on the way round: keys above the start come in the first lap, the others in the second.
pub(super) type Turn = (u8, i64);

/// Which keys to look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) endpoint: i64,
    /// Behind which key the way round begins (and with which it ends).
    pub(super) began: i64,
    /// Up to where the keys of this round were looked at before.
    pub(super) after: Turn,
    /// No further than here, if anywhere.
    pub(super) within: Option<Turn>,
    /// At no more keys than that.
    pub(super) budget: usize,
}

/// The first delivery of a key, in one partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    key: i64,
    pub(super) id: DeliveryId,
    pub(super) due: Due,
    /// It waits and is not lent; else it keeps the others of its key back.
    pub(super) open: bool,
}

/// First deliveries of keys.
#[derive(Debug, Default)]
pub(super) struct Heads {
    pub(super) found: Vec<(Turn, Head)>,
    /// The last key that was looked at; `None`: all were.
    pub(super) reached: Option<Turn>,
}

/// Goes from key to key, without a look at what stands behind the first of each.
pub(super) fn heads(db: &Connection, look: Look, taken: Taken<'_>) -> Result<Heads, Error> {
    let mut heads = Heads::default();
    let laps = [(0, look.began.checked_add(1), i64::MAX), (1, Some(i64::MIN), look.began)];
    for (lap, first, to) in laps.into_iter().filter(|(lap, ..)| *lap >= look.after.0) {
        let mut from = if lap == look.after.0 { look.after.1.checked_add(1) } else { first };
        while let Some(least) = from
            && let Some(head) = first_of_next_key(db, (look.endpoint, least, to), taken)?
        {
            let turn = (lap, head.key);
            if let Some(within) = look.within.filter(|within| turn > *within) {
                heads.reached = Some(within);
                return Ok(heads);
            }
            heads.found.push((turn, head));
            if heads.found.len() >= look.budget {
                heads.reached = Some(turn);
                return Ok(heads);
            }
            from = head.key.checked_add(1);
        }
    }
    Ok(heads)
}

fn first_of_next_key(
    db: &Connection,
    (endpoint, least, greatest): (i64, i64, i64),
    taken: Taken<'_>,
) -> Result<Option<Head>, Error> {
    let sql = "SELECT held_key, moment, seq, state = 0, id_high, id_low
        FROM deliveries INDEXED BY delivery_by_key
        WHERE endpoint = ? AND held_key >= ? AND held_key <= ? ORDER BY held_key, seq LIMIT 1";
    let head = db.prepare_cached(sql)?.query_row(params![endpoint, least, greatest], |row| {
        let due = (row.get(1)?, row.get(2)?);
        let id = DeliveryId::from_bytes(id_of(row.get(4)?, row.get(5)?));
        let key: i64 = row.get(0)?;
        let waits: bool = row.get(3)?;
        let open = waits && !(taken.delivery)(id) && !(taken.key)(key.cast_unsigned());
        Ok(Head { key, id, due, open })
    });
    Ok(head.optional()?)
}

/// The endpoints with deliveries that wait here, lent ones included.
pub(super) fn endpoints(db: &Connection) -> Result<Vec<(i64, EndpointId)>, Error> {
    let sql = "SELECT DISTINCT lanes.endpoint, endpoints.id FROM lanes
        JOIN endpoints ON endpoints.ref = lanes.endpoint WHERE lanes.waiting > 0";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id = super::codes::id_bytes(&row.get::<_, Vec<u8>>(1)?)?;
        found.push((row.get(0)?, EndpointId::from_bytes(id)));
    }
    Ok(found)
}

/// How many deliveries wait here for each endpoint, lent ones included.
pub(super) fn counts(db: &Connection) -> Result<Vec<(EndpointId, u64)>, Error> {
    let sql = "SELECT endpoints.id, sum(lanes.waiting) FROM lanes
        JOIN endpoints ON endpoints.ref = lanes.endpoint WHERE lanes.waiting > 0 GROUP BY lanes.endpoint";
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id = super::codes::id_bytes(&row.get::<_, Vec<u8>>(0)?)?;
        found.push((EndpointId::from_bytes(id), row.get::<_, i64>(1)?.cast_unsigned()));
    }
    Ok(found)
}

/// The `seq` of the first event with a delivery that waits.
pub(super) fn oldest_waiting(db: &Connection) -> Result<Option<i64>, Error> {
    let sql = "SELECT min(first) FROM (SELECT
        (SELECT seq FROM deliveries WHERE lane = lanes.ref AND state = 0 ORDER BY seq LIMIT 1)
        AS first FROM lanes WHERE waiting > 0)";
    let seq: Option<i64> = db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(seq.map(event_seq))
}
