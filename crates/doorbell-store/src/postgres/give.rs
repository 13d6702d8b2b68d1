//! Giving everything out for another home, as it stood at one moment.

use super::address::Address;
use super::away::{self, Shelf};
use super::batch::scope_of;
use super::line::{Line, Open};
use super::rows::{self, Id, count, get, time, whole};
use super::take::fits;
use super::{Options, config};
use crate::store::StoreError;
use doorbell_core::configuration::Configuration;
use doorbell_core::id::EventId;
use doorbell_core::limits;
use doorbell_core::past::{Past, PastDelivery};
use doorbell_core::time::Time;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Everything is read in one transaction, however long that takes.
const GREETING: &str =
    "SET plan_cache_mode = force_custom_plan; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Gives everything out, in the order in which it was accepted, on a connection of its own.
#[derive(Debug)]
pub struct Giver {
    line: Arc<Open>,
    bodies: Option<Arc<Shelf>>,
    /// The place of the last event that was given out.
    last: i64,
}

impl Giver {
    /// Goes to the database; what is given out is as it stands now.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the layout does not fit; those of connecting.
    pub async fn open(options: &Options) -> Result<Self, StoreError> {
        let line = Line::new(Address::parse(&options.address, &options.extra_roots)?, GREETING);
        let line = line.open().await?;
        fits(&line).await?;
        Ok(Self { line, bodies: options.bodies.clone().map(Shelf::new).map(Arc::new), last: -1 })
    }

    /// Everything that is configured.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn configuration(&self) -> Result<Configuration, StoreError> {
        config::read(&self.line).await
    }

    /// How many events there are; of many, the planner's estimate.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn events(&self) -> Result<u64, StoreError> {
        let found = self.line.query(COUNT, &[]).await?;
        found.first().map_or(Ok(0), |row| get(row, 0).map(count))
    }

    /// The next events; none: that was all.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when one cannot be understood; those of reading.
    pub async fn next(&mut self) -> Result<Vec<Past>, StoreError> {
        let (most, bytes) = (whole(limits::MOVED_EVENTS), whole(limits::MOVED_BYTES));
        let mut pasts = Vec::new();
        let mut places = HashMap::new();
        for row in self.line.query(EVENTS, &[&self.last, &most, &bytes]).await? {
            let seq: i64 = get(&row, 0)?;
            let fate = rows::fate(get(&row, 1)?, get(&row, 2)?, get(&row, 3)?, get(&row, 4)?)?;
            let kept = away::decode(get(&row, 5)?)?;
            let event = away::whole(self.bodies.as_ref(), kept).await?;
            places.insert(seq, pasts.len());
            pasts.push(Past { event, fate, dedupe_window: Duration::ZERO, deliveries: Vec::new() });
            self.last = seq;
        }
        self.windows(&mut pasts).await?;
        self.deliveries(&mut pasts, &places).await?;
        Ok(pasts)
    }

    /// Until when the keys of these events count, as far as they still do.
    async fn windows(&self, pasts: &mut [Past]) -> Result<(), StoreError> {
        let keyed = pasts.iter().filter_map(|past| {
            let key = past.event.dedupe_key.as_deref()?;
            past.fate.is_event().then(|| (scope_of(&past.event), key))
        });
        let (scopes, keys): (Vec<Id>, Vec<&[u8]>) = keyed.unzip();
        let mut until: HashMap<EventId, Time> = HashMap::new();
        for row in self.line.query(KEYS, &[&scopes, &keys]).await? {
            until.insert(get::<Id>(&row, 0)?.into(), time(get(&row, 1)?));
        }
        for past in pasts {
            if let Some(until) = until.get(&past.event.id) {
                past.dedupe_window = until.since(past.event.at);
            }
        }
        Ok(())
    }

    async fn deliveries(
        &self,
        pasts: &mut [Past],
        places: &HashMap<i64, usize>,
    ) -> Result<(), StoreError> {
        let all: Vec<i64> = places.keys().copied().collect();
        let mut attempts = HashMap::<(i64, i32), Vec<_>>::new();
        for row in self.line.query(ATTEMPTS, &[&all]).await? {
            let attempt = rows::decode_attempt(get(&row, 2)?)?;
            attempts.entry((get(&row, 0)?, get(&row, 1)?)).or_default().push(attempt);
        }
        for row in self.line.query(DELIVERIES, &[&all]).await? {
            let kept = rows::delivery(&row)?;
            let updated: Option<i64> = get(&row, 17)?;
            let attempts = attempts.remove(&(kept.seq, kept.nth)).unwrap_or_default();
            let past = places.get(&kept.seq).and_then(|at| pasts.get_mut(*at));
            if let Some(past) = past {
                past.deliveries.push(PastDelivery {
                    delivery: kept.delivery,
                    updated: updated.map(time),
                    attempts,
                });
            }
        }
        Ok(())
    }
}

const COUNT: &str = "
WITH size AS (
    SELECT coalesce(sum(c.reltuples), 0)::int8 AS events FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'events'::regclass
) SELECT CASE WHEN size.events > 100000 THEN size.events ELSE (SELECT count(*) FROM events) END FROM size";

/// The first always, and the next ones as long as those before them are no more than so many bytes.
const EVENTS: &str = "
SELECT e.seq, k.fate, e.first, e.reason, e.detail, e.record FROM (
    SELECT seq, sum(body_len) OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM (SELECT seq, body_len FROM events WHERE seq > $1 ORDER BY seq LIMIT $2) s
) w JOIN events e ON e.seq = w.seq JOIN kinds k ON k.id = e.kind
WHERE coalesce(w.before, 0) <= $3::int8 ORDER BY e.seq";

const KEYS: &str = "SELECT d.event, d.until FROM dedupe d
JOIN unnest($1::uuid[], $2::bytea[]) AS u (scope, key) ON d.scope = u.scope AND d.key = u.key";

const DELIVERIES: &str = concat!(
    "SELECT ",
    rows::delivery_columns!(),
    ", d.updated FROM deliveries d WHERE d.seq = ANY($1::int8[]) ORDER BY d.seq, d.nth"
);

const ATTEMPTS: &str =
    "SELECT seq, nth, record FROM attempts WHERE seq = ANY($1::int8[]) ORDER BY seq, nth, made";
