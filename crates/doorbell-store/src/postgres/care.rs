//! What is done beside the beats of a node: gives back what it does not want, frees what dead nodes held, looks for work that
//! nobody told it of, and tidies up.

use super::line::Open;
use super::partitions::{Day, Days};
use super::parts::Parts;
use super::place::first_at;
use super::read;
use super::rows::{Id, get, time};
use super::ticks;
use crate::store::StoreError;
use doorbell_core::id::{DeliveryId, EndpointId};
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_postgres::Row;

/// Keys that are forgotten at once.
const KEYS_AT_ONCE: i64 = 10_000;

/// How long something must be missing before it is given back.
const MISSED: Duration = Duration::from_secs(2);

/// What is to be done in a round beside what always is.
#[derive(Debug, Default, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "one for each thing that may be due")]
pub(super) struct Due {
    pub(super) free_dead: bool,
    pub(super) look: bool,
    pub(super) tidy: bool,
}

/// What is remembered from round to round.
#[derive(Debug, Default)]
pub(super) struct Care {
    /// What the database believes that this node has, and it has not; since when.
    missing: HashMap<DeliveryId, Instant>,
    /// The last round could not do all, which was told.
    told: bool,
    /// It was to be looked round, and that failed.
    look: bool,
}

impl Care {
    /// All that is due. What one step cannot do keeps no other from its own; the first fault is told.
    pub(super) async fn round(
        &mut self,
        due: Due,
        parts: &Parts,
        days: &Days,
    ) -> Result<(), StoreError> {
        self.look |= due.look;
        let line = parts.keeper.open().await?;
        let doubted = parts.doubt.swap(false, Ordering::SeqCst);
        self.look |= doubted;
        let mut told = Ok(());
        if due.free_dead {
            told = free_dead(parts, &line).await;
        }
        let hands = parts.hands.lock().await;
        // In doubt at once; and whenever it is looked round, since what was asked on a connection that broke may be done later.
        if self.look || !self.missing.is_empty() {
            let looked = self.look_for_missing(parts, &line).await;
            parts.doubt.fetch_or(looked.is_err(), Ordering::SeqCst);
            told = told.and(looked);
        }
        let freed = give_back(parts, &line).await;
        drop(hands);
        match freed {
            Ok(freed) => parts.wake(freed).await,
            Err(fault) => told = told.and(Err(fault)),
        }
        if self.look {
            let looked = look_round(parts).await;
            self.look = looked.is_err();
            told = told.and(looked);
        }
        if due.tidy {
            told = told.and(tidy(&line, days).await);
        }
        told
    }

    /// Whether the last round's outcome is news.
    pub(super) fn is_news(&mut self, failed: bool) -> bool {
        std::mem::replace(&mut self.told, failed) != failed && failed
    }

    /// What was lent by a statement whose answer never came is given back. Seen for a while: what was lent just now is written
    /// down here a moment after the database has it.
    async fn look_for_missing(&mut self, parts: &Parts, line: &Open) -> Result<(), StoreError> {
        let held = line.query(HELD, &[&parts.node()]).await?;
        let held: Vec<DeliveryId> =
            held.iter().map(|row| get::<Id>(row, 0).map(Into::into)).collect::<Result<_, _>>()?;
        let mut leases = parts.leases();
        let now = ticks::now();
        let missing = held.into_iter().filter(|delivery| !leases.holds(*delivery));
        let since = |id: DeliveryId| (id, self.missing.get(&id).copied().unwrap_or(now));
        let (gone, missing): (HashMap<_, _>, HashMap<_, _>) =
            missing.map(since).partition(|(_, since)| now.duration_since(*since) >= MISSED);
        leases.never_got(gone.into_keys());
        drop(leases);
        self.missing = missing;
        Ok(())
    }
}

/// What this node was lent and does not want any more; of which endpoints.
async fn give_back(parts: &Parts, line: &Open) -> Result<BTreeSet<EndpointId>, StoreError> {
    let unwanted = parts.leases().unwanted();
    if unwanted.is_empty() {
        return Ok(BTreeSet::new());
    }
    let ids: Vec<Id> = unwanted.iter().map(|id| (*id).into()).collect();
    let freed = line.query(GIVE_BACK, &[&ids, &parts.node()]).await?;
    parts.leases().given_back(&unwanted);
    endpoints(&freed)
}

/// Frees what nodes hold that are not alive, whoever they were.
async fn free_dead(parts: &Parts, line: &Open) -> Result<(), StoreError> {
    line.query("DELETE FROM nodes WHERE alive_until < now()", &[]).await?;
    let freed = line.query(FREE_DEAD, &[]).await?;
    if !freed.is_empty() {
        tracing::warn!(endpoints = freed.len(), "took over what a dead node held");
        parts.wake(endpoints(&freed)?).await;
    }
    Ok(())
}

fn endpoints(rows: &[Row]) -> Result<BTreeSet<EndpointId>, StoreError> {
    rows.iter().map(|row| Ok(get::<Id>(row, 0)?.into())).collect()
}

/// Finds the endpoints of this node for which something waits.
pub(super) async fn look_round(parts: &Parts) -> Result<(), StoreError> {
    let waiting = read::backlog(parts).await?;
    parts.stir(waiting.into_iter().map(|backlog| backlog.endpoint));
    Ok(())
}

/// Makes the days that come, and forgets keys whose time is over: by the time of the newest event, since the store has
/// no clock of its own.
async fn tidy(line: &Open, days: &Days) -> Result<(), StoreError> {
    let found = line.query(TIMES, &[]).await?;
    let Some(row) = found.first() else { return Ok(()) };
    let (now, newest): (i64, Option<i64>) = (get(row, 0)?, get(row, 1)?);
    let today = Day::of_place(first_at(time(now)));
    days.ensure([today, today.next()], line).await?;
    if let Some(newest) = newest {
        line.query(FORGET_KEYS, &[&newest, &KEYS_AT_ONCE]).await?;
    }
    line.query(FORGET_ARRIVED, &[]).await?;
    Ok(())
}

const HELD: &str = "SELECT id FROM deliveries WHERE state = 0 AND holder = $1";

const GIVE_BACK: &str = "UPDATE deliveries SET holder = 0, lease = lease + 1
WHERE id = ANY($1::uuid[]) AND holder = $2 AND state = 0 RETURNING endpoint";

/// From holder to holder.
const FREE_DEAD: &str = "
WITH RECURSIVE h (holder) AS (
    (SELECT holder FROM deliveries WHERE state = 0 AND holder > 0 ORDER BY holder LIMIT 1)
    UNION ALL
    SELECT (SELECT d.holder FROM deliveries d WHERE d.state = 0 AND d.holder > h.holder ORDER BY d.holder LIMIT 1)
    FROM h WHERE h.holder IS NOT NULL
), f AS (
    UPDATE deliveries d SET holder = 0, lease = d.lease + 1 FROM h
    WHERE d.state = 0 AND d.holder = h.holder AND NOT EXISTS (SELECT FROM nodes n WHERE n.id = h.holder)
    RETURNING d.endpoint
) SELECT DISTINCT endpoint FROM f";

const TIMES: &str =
    "SELECT (extract(epoch FROM now()) * 1000)::int8, (SELECT max(seq) >> 20 FROM events)";

const FORGET_KEYS: &str = "DELETE FROM dedupe WHERE (scope, key) IN
(SELECT scope, key FROM dedupe WHERE until < $1 LIMIT $2)";

/// By the clock of the database, as for the nodes: it is about what may go on at the same moment.
const FORGET_ARRIVED: &str = "DELETE FROM arrived WHERE id IN
(SELECT id FROM arrived WHERE at < now() - interval '10 minutes' ORDER BY at LIMIT 100000)";
