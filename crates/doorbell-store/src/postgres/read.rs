//! Lists, look-ups, counts and the search.

use super::away;
use super::kinds;
use super::line::Line;
use super::parts::Parts;
use super::place::first_at;
use super::rows::{self, Id, delivery_columns, get, ms, time, whole};
use super::ticks;
use crate::search;
use crate::store::{
    Backlog, DeliveryQuery, DeliveryRow, EventDetail, EventQuery, EventRow, Locator, Page, Search,
    SearchHit, SearchPage, Stats, StoreError, Tally, WaitingCount,
};
use doorbell_core::attempt::Attempt;
use doorbell_core::event::Event;
use doorbell_core::id::{DeliveryId, EventId, TenantId};
use doorbell_core::limits;
use doorbell_core::name::EventType;
use doorbell_core::time::Time;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// With more kinds than this it is cheaper to go through all events than from kind to kind.
const KINDS_ONE_BY_ONE: usize = 64;
/// By how much an event's place may be later than its time.
const LATE: Duration = Duration::from_secs(24 * 3600);
/// Events of which a search reads the bytes at once.
const SEARCH_STEP: usize = 100;

/// A place before which to list, and how many.
struct Window {
    before: i64,
    from: i64,
    until: i64,
    since_ms: i64,
    until_ms: i64,
    /// One more than the page has: tells whether there is another page.
    most: i64,
    limit: usize,
}

impl Window {
    fn new(before: i64, since: Option<Time>, until: Option<Time>, limit: usize) -> Self {
        let limit = limit.clamp(1, limits::PAGE_MAX);
        Self {
            before,
            from: since.map_or(0, first_at),
            until: until.map_or(i64::MAX, |until| first_at(until.after(LATE))),
            since_ms: since.map_or(0, ms),
            until_ms: until.map_or(i64::MAX, ms),
            most: whole(limit + 1),
            limit,
        }
    }
}

/// The page of a list of which one more than fits was read.
fn page<T>(mut rows: Vec<(String, T)>, limit: usize) -> Page<T> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(place, _)| place.clone());
    Page { items: rows.into_iter().map(|(_, row)| row).collect(), next }
}

/// See [`crate::Store::events`].
pub(super) async fn events(
    parts: &Parts,
    query: &EventQuery,
) -> Result<Page<EventRow>, StoreError> {
    let line = parts.reader()?;
    let before = match &query.cursor {
        None => i64::MAX,
        Some(cursor) => parse(cursor).ok_or(StoreError::BadCursor)?,
    };
    let window = Window::new(before, query.since, query.until, query.limit);
    let kinds = fitting_kinds(line, query).await?;
    let mut rows = Vec::new();
    for row in list_events(line, query, &kinds, &window).await? {
        let seq: i64 = get(&row, 0)?;
        rows.push((seq, event_row(&row)?));
    }
    let places: Vec<i64> = rows.iter().map(|(seq, _)| *seq).collect();
    let mut tallies = tallies(line, &places).await?;
    let tallied = |(seq, row): (i64, EventRow)| {
        (seq.to_string(), EventRow { tally: tallies.remove(&seq).unwrap_or_default(), ..row })
    };
    Ok(page(rows.into_iter().map(tallied).collect(), window.limit))
}

async fn fitting_kinds(line: &Line, query: &EventQuery) -> Result<Vec<i32>, StoreError> {
    let fates: Vec<i16> = query.fates.iter().map(|fate| rows::fate_code(*fate)).collect();
    let source = query.source.map(Id::from);
    let mut fitting = Vec::new();
    for row in line.query(kinds::FITTING, &[&Id::from(query.tenant), &source, &fates]).await? {
        let event_type: Option<&str> = get(&row, 1)?;
        let event_type = event_type.and_then(|text| EventType::parse(text).ok());
        let fits = query
            .event_type
            .as_ref()
            .is_none_or(|pattern| event_type.as_ref().is_some_and(|t| pattern.fits(t)));
        if fits {
            fitting.push(get(&row, 0)?);
        }
    }
    Ok(fitting)
}

async fn list_events(
    line: &Line,
    query: &EventQuery,
    kinds: &Vec<i32>,
    of: &Window,
) -> Result<Vec<Row>, StoreError> {
    let common: [&(dyn ToSql + Sync); 7] =
        [kinds, &of.before, &of.from, &of.until, &of.since_ms, &of.until_ms, &of.most];
    if query.endpoint.is_some() || query.state.is_some() {
        let endpoint = query.endpoint.map(Id::from);
        let state = query.state.map(rows::state_code);
        let all = common.into_iter().chain([&endpoint as &(dyn ToSql + Sync), &state]);
        return line.query(EVENTS_BY_DELIVERY, &all.collect::<Vec<_>>()).await;
    }
    let by_kind = kinds.len() <= KINDS_ONE_BY_ONE;
    line.query(if by_kind { EVENTS_BY_KIND } else { EVENTS_OF_ALL }, &common).await
}

fn event_row(row: &Row) -> Result<EventRow, StoreError> {
    let event_type: Option<&str> = get(row, 4)?;
    Ok(EventRow {
        id: get::<Id>(row, 1)?.into(),
        at: time(get(row, 2)?),
        source: get::<Option<Id>>(row, 3)?.map(Into::into),
        event_type: event_type.and_then(|text| EventType::parse(text).ok()),
        fate: rows::fate(get(row, 5)?, get(row, 6)?, get(row, 7)?, get(row, 8)?)?,
        method: get(row, 9)?,
        body_len: rows::count(get(row, 10)?),
        tally: Tally::default(),
    })
}

async fn tallies(line: &Line, places: &[i64]) -> Result<HashMap<i64, Tally>, StoreError> {
    let mut tallies: HashMap<i64, Tally> = HashMap::new();
    for row in line.query(TALLIES, &[&places]).await? {
        let (seq, state, count): (i64, i16, i64) = (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
        if let Some(word) = rows::state_word(state) {
            tallies.entry(seq).or_default().add(word, rows::count(count));
        }
    }
    Ok(tallies)
}

/// See [`crate::Store::event`].
pub(super) async fn event(
    parts: &Parts,
    tenant: TenantId,
    id: EventId,
) -> Result<Option<EventDetail>, StoreError> {
    let line = parts.reader()?;
    let found = line.query(EVENT, &[&Id::from(id), &Id::from(tenant)]).await?;
    let Some(row) = found.first() else { return Ok(None) };
    let seq: i64 = get(row, 0)?;
    let tally = tallies(line, &[seq]).await?.remove(&seq).unwrap_or_default();
    Ok(Some(EventDetail {
        event: away::whole(parts.bodies.as_ref(), away::decode(get(row, 11)?)?).await?,
        fate: event_row(row)?.fate,
        tally,
    }))
}

/// See [`crate::Store::event_at`].
pub(super) async fn event_at(parts: &Parts, locator: Locator) -> Result<Arc<Event>, StoreError> {
    let found = parts.reader()?.query(RECORD, &[&locator.0.cast_signed()]).await?;
    let Some(row) = found.first() else {
        return Err(StoreError::Failed("there is no event at that place".to_owned()));
    };
    let kept = away::decode(get(row, 0)?)?;
    Ok(Arc::new(away::whole(parts.bodies.as_ref(), kept).await?))
}

/// See [`crate::Store::deliveries`].
pub(super) async fn deliveries(
    parts: &Parts,
    query: &DeliveryQuery,
) -> Result<Page<DeliveryRow>, StoreError> {
    let line = parts.reader()?;
    let (seq, nth) = match &query.cursor {
        None => (i64::MAX, 0),
        Some(cursor) => parse_place(cursor).ok_or(StoreError::BadCursor)?,
    };
    let of = Window::new(seq, query.since, query.until, query.limit);
    let tenant = Id::from(query.tenant);
    let event = match query.event {
        None => None,
        Some(id) => match line.query(EVENT, &[&Id::from(id), &tenant]).await?.first() {
            Some(row) => Some(get::<i64>(row, 0)?),
            None => return Ok(Page { items: Vec::new(), next: None }),
        },
    };
    let (endpoint, replay) = (query.endpoint.map(Id::from), query.replay.map(Id::from));
    let state = query.state.map(rows::state_code);
    let values: [&(dyn ToSql + Sync); 12] = [
        &tenant,
        &event,
        &endpoint,
        &state,
        &replay,
        &of.before,
        &nth,
        &of.from,
        &of.until,
        &of.since_ms,
        &of.until_ms,
        &of.most,
    ];
    let mut rows = Vec::new();
    for row in line.query(DELIVERIES, &values).await? {
        let (place, row) = delivery_row(parts, &row)?;
        rows.push((format!("{}.{}", place.0, place.1), row));
    }
    Ok(page(rows, of.limit))
}

/// A place: a whole number that is not negative.
fn parse(place: &str) -> Option<i64> {
    place.parse().ok().filter(|place| *place >= 0)
}

fn parse_place(cursor: &str) -> Option<(i64, i32)> {
    let (event, nth) = cursor.split_once('.')?;
    Some((parse(event)?, i32::try_from(parse(nth)?).ok()?))
}

fn delivery_row(parts: &Parts, row: &Row) -> Result<((i64, i32), DeliveryRow), StoreError> {
    let kept = rows::delivery(row)?;
    let event_type: Option<&str> = get(row, 20)?;
    let updated: Option<i64> = get(row, 17)?;
    let last = rows::ending(get(row, 18)?, get(row, 19)?);
    let leases = parts.leases();
    // Of what another node holds we do not know whether its try has begun.
    let others = kept.holder != 0 && kept.holder != leases.node();
    let in_flight = others || leases.has_begun(kept.delivery.id);
    drop(leases);
    let row = DeliveryRow {
        in_flight: in_flight && !kept.delivery.state.is_settled(),
        event_type: event_type.and_then(|text| EventType::parse(text).ok()),
        at: time(get(row, 21)?),
        updated: updated.map(time),
        last,
        delivery: kept.delivery,
    };
    Ok(((kept.seq, kept.nth), row))
}

/// See [`crate::Store::delivery`].
pub(super) async fn delivery(
    parts: &Parts,
    tenant: TenantId,
    id: DeliveryId,
) -> Result<Option<DeliveryRow>, StoreError> {
    let found = parts.reader()?.query(DELIVERY, &[&Id::from(id), &Id::from(tenant)]).await?;
    found.first().map(|row| delivery_row(parts, row).map(|(_, row)| row)).transpose()
}

/// See [`crate::Store::attempts`].
pub(super) async fn attempts(
    parts: &Parts,
    tenant: TenantId,
    id: DeliveryId,
) -> Result<Vec<Attempt>, StoreError> {
    let found = parts.reader()?.query(ATTEMPTS, &[&Id::from(id), &Id::from(tenant)]).await?;
    found.iter().map(|row| rows::decode_attempt(get(row, 0)?)).collect()
}

/// Endpoints that this node looks after, with what waits for them.
pub(super) async fn backlog(parts: &Parts) -> Result<Vec<Backlog>, StoreError> {
    let mut all = Vec::new();
    for row in parts.reader()?.query(BACKLOG, &[]).await? {
        let endpoint: Id = get(&row, 0)?;
        if parts.owns(endpoint.0) {
            all.push(Backlog { endpoint: endpoint.into(), next_due: time(get(&row, 1)?) });
        }
    }
    Ok(all)
}

/// See [`crate::Store::waiting_counts`].
pub(super) async fn waiting_counts(parts: &Parts) -> Result<Vec<WaitingCount>, StoreError> {
    let mut all = Vec::new();
    for row in parts.reader()?.query(WAITING, &[]).await? {
        let endpoint: Id = get(&row, 0)?;
        if parts.owns(endpoint.0) {
            all.push(WaitingCount {
                endpoint: endpoint.into(),
                deliveries: rows::count(get(&row, 1)?),
            });
        }
    }
    Ok(all)
}

/// See [`crate::Store::stats`]. Of millions the counts are the planner's estimate.
pub(super) async fn stats(parts: &Parts) -> Result<Stats, StoreError> {
    let found = parts.reader()?.query(STATS, &[]).await?;
    let row = found.first().ok_or(StoreError::Busy)?;
    let oldest: Option<i64> = get(row, 4)?;
    Ok(Stats {
        events: rows::count(get(row, 0)?),
        waiting: rows::count(get(row, 1)?),
        failed: rows::count(get(row, 2)?),
        bytes: rows::count(get(row, 3)?),
        bytes_free: u64::MAX,
        oldest: oldest.map(time),
        unkept: 0,
    })
}

/// See [`crate::Store::search`].
pub(super) async fn look_for(parts: &Parts, search: &Search) -> Result<SearchPage, StoreError> {
    let begin = ticks::now();
    let wanted = search.among.limit.clamp(1, limits::PAGE_MAX);
    let mut among = EventQuery { limit: SEARCH_STEP, ..search.among.clone() };
    let mut found = SearchPage { hits: Vec::new(), next: None, reached: None, scanned: 0 };
    loop {
        let listed = events(parts, &among).await?;
        let ids: Vec<Id> = listed.items.iter().map(|row| row.id.into()).collect();
        let mut bodies = bodies(parts, &ids).await?;
        let last = listed.items.last().map(|row| row.id);
        for row in listed.items {
            let Some((seq, event)) = bodies.remove(&Id::from(row.id)) else { continue };
            found.scanned += 1;
            found.reached = Some(row.at);
            let is_last = Some(row.id) == last;
            if let Some(excerpt) = search::find(&event.request, search) {
                found.hits.push(SearchHit { row, excerpt });
            }
            if found.hits.len() >= wanted && !(is_last && listed.next.is_none()) {
                found.next = Some(seq.to_string());
                return Ok(found);
            }
        }
        found.next.clone_from(&listed.next);
        among.cursor = listed.next;
        if among.cursor.is_none() || begin.elapsed() >= search.budget {
            return Ok(found);
        }
    }
}

async fn bodies(parts: &Parts, ids: &[Id]) -> Result<HashMap<Id, (i64, Event)>, StoreError> {
    let mut found = HashMap::new();
    for row in parts.reader()?.query(RECORDS, &[&ids]).await? {
        // A damaged one is passed over: the rest stays readable. What lies elsewhere is not looked through.
        if let Ok(kept) = away::decode(get(&row, 2)?) {
            found.insert(get(&row, 1)?, (get(&row, 0)?, kept.event()));
        }
    }
    Ok(found)
}

macro_rules! event_columns {
    () => {
        "e.seq, e.id, e.at, k.source, k.event_type, k.fate, e.first, e.reason, e.detail, e.method, e.body_len"
    };
}

const EVENTS_BY_KIND: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM unnest($1::int4[]) AS w (kind) CROSS JOIN LATERAL (
    SELECT * FROM events e WHERE e.kind = w.kind AND e.seq < $2 AND e.seq >= $3 AND e.seq < $4 AND e.at >= $5 AND e.at < $6
    ORDER BY e.seq DESC LIMIT $7) e
    JOIN kinds k ON k.id = e.kind ORDER BY e.seq DESC LIMIT $7"
);

const EVENTS_OF_ALL: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM events e JOIN kinds k ON k.id = e.kind
    WHERE e.kind = ANY($1::int4[]) AND e.seq < $2 AND e.seq >= $3 AND e.seq < $4 AND e.at >= $5 AND e.at < $6
    ORDER BY e.seq DESC LIMIT $7"
);

const EVENTS_BY_DELIVERY: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM (SELECT DISTINCT d.seq FROM deliveries d WHERE ($8::uuid IS NULL OR d.endpoint = $8)
    AND ($9::int2 IS NULL OR d.state = $9) AND d.seq < $2 AND d.seq >= $3 AND d.seq < $4 ORDER BY d.seq DESC) s
    JOIN events e ON e.seq = s.seq JOIN kinds k ON k.id = e.kind
    WHERE e.kind = ANY($1::int4[]) AND e.at >= $5 AND e.at < $6
    ORDER BY e.seq DESC LIMIT $7"
);

const TALLIES: &str =
    "SELECT seq, state, count(*) FROM deliveries WHERE seq = ANY($1::int8[]) GROUP BY seq, state";

const EVENT: &str = concat!(
    "SELECT ",
    event_columns!(),
    ", e.record FROM events e JOIN kinds k ON k.id = e.kind WHERE e.id = $1 AND k.tenant = $2"
);

const RECORD: &str = "SELECT record FROM events WHERE seq = $1";

const RECORDS: &str = "SELECT seq, id, record FROM events WHERE id = ANY($1::uuid[])";

macro_rules! delivery_rows {
    () => {
        concat!(
            "SELECT ",
            delivery_columns!(),
            ", d.updated, d.last_status, d.last_class, k.event_type, e.at FROM deliveries d
            JOIN events e ON e.seq = d.seq JOIN kinds k ON k.id = e.kind "
        )
    };
}

const DELIVERIES: &str = concat!(
    delivery_rows!(),
    "WHERE d.tenant = $1 AND ($2::int8 IS NULL OR d.seq = $2) AND ($3::uuid IS NULL OR d.endpoint = $3)
    AND ($4::int2 IS NULL OR d.state = $4) AND ($5::uuid IS NULL OR d.replay = $5)
    AND d.seq <= $6 AND (d.seq, d.nth) < ($6, $7) AND d.seq >= $8 AND d.seq < $9 AND e.at >= $10 AND e.at < $11
    ORDER BY d.seq DESC, d.nth DESC LIMIT $12"
);

const DELIVERY: &str = concat!(delivery_rows!(), "WHERE d.id = $1 AND d.tenant = $2");

const ATTEMPTS: &str =
    "SELECT a.record FROM deliveries d JOIN attempts a ON a.seq = d.seq AND a.nth = d.nth
WHERE d.id = $1 AND d.tenant = $2 ORDER BY a.made";

/// From endpoint to endpoint.
const BACKLOG: &str = "
WITH RECURSIVE w (endpoint, due) AS (
    (SELECT endpoint, due FROM deliveries WHERE state = 0 AND holder = 0 ORDER BY endpoint, due LIMIT 1)
    UNION ALL
    SELECT n.endpoint, n.due FROM w CROSS JOIN LATERAL (
        SELECT endpoint, due FROM deliveries WHERE state = 0 AND holder = 0 AND endpoint > w.endpoint
        ORDER BY endpoint, due LIMIT 1) n
) SELECT endpoint, due FROM w";

/// Of the first so many: counting millions would take seconds.
const WAITING: &str = "SELECT endpoint, count(*) FROM
    (SELECT endpoint FROM deliveries WHERE state = 0 LIMIT 200000) w GROUP BY endpoint";

const STATS: &str = "
WITH size AS (
    SELECT coalesce(sum(c.reltuples) FILTER (WHERE i.inhparent = 'events'::regclass), 0)::int8 AS events,
        coalesce(sum(pg_total_relation_size(c.oid)), 0)::int8 AS bytes
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent IN ('events'::regclass, 'deliveries'::regclass, 'attempts'::regclass)
)
SELECT CASE WHEN size.events > 100000 THEN size.events ELSE (SELECT count(*) FROM events) END,
    (SELECT count(*) FROM (SELECT FROM deliveries WHERE state = 0 LIMIT 1000000) w),
    (SELECT count(*) FROM (SELECT FROM deliveries WHERE state = 2 LIMIT 1000000) f),
    size.bytes, (SELECT at FROM events ORDER BY seq LIMIT 1) FROM size";
