//! What a node does by itself: says that it lives, sees who else does, frees what dead ones held, hears of changes.

use super::LIFE;
use super::line::{Open, told};
use super::members::Members;
use super::partitions::{Day, Days};
use super::parts::Parts;
use super::place::first_at;
use super::read;
use super::rows::{Id, get, time};
use super::ticks;
use crate::store::StoreError;
use doorbell_core::id::{DeliveryId, EndpointId};
use futures_util::{FutureExt as _, StreamExt as _, stream};
use std::collections::{BTreeSet, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio_postgres::AsyncMessage;

/// How often a node says that it lives.
const BEAT: Duration = Duration::from_millis(500);
/// How many beats a node must have been heard itself before it declares others dead.
const LIFE_IN_BEATS: u32 = 6;
/// How often a node looks for work that nobody told it of, in beats.
const LOOK_ROUND: u32 = 30;
/// How often old dedupe keys are forgotten and coming days made, in beats.
const TIDY: u32 = 120;
/// Keys that are forgotten at once.
const KEYS_AT_ONCE: i64 = 10_000;

/// A new node in the list; its number.
pub(super) async fn register(line: &Open) -> Result<i64, StoreError> {
    let name = format!("process {}", std::process::id());
    let found = line.query(REGISTER, &[&name, &LIFE.as_secs_f64()]).await?;
    found.first().map_or(Err(StoreError::Busy), |row| get(row, 0))
}

/// Leaves the list and lets go of what is held.
pub(super) async fn leave(parts: &Parts) -> Result<(), StoreError> {
    let line = parts.worker.open().await?;
    let node = parts.node();
    line.query(FREE_OF, &[&node]).await?;
    line.query("DELETE FROM nodes WHERE id = $1", &[&node]).await.map(drop)
}

/// Starts both tasks; they end when the home closes.
pub(super) fn start(parts: &Arc<Parts>, days: Arc<Days>, generation: i64) {
    let (beating, hearing) = (Arc::clone(parts), Arc::clone(parts));
    tokio::spawn(async move {
        let mut heart = Heart { generation, beats: 0, settled: 0, missing: HashSet::new() };
        while beating.check().is_ok() {
            if let Err(fault) = heart.beat(&beating, &days).await {
                tracing::warn!(%fault, "the database was not told that this node lives");
            }
            let closing = beating.closing.notified();
            drop(tokio::time::timeout(BEAT, closing).await);
        }
    });
    tokio::spawn(async move {
        while hearing.check().is_ok() {
            let closing = hearing.closing.notified();
            tokio::select! {
                ended = listen(&hearing) => if let Err(fault) = ended {
                    tracing::debug!(%fault, "nothing is heard from the other nodes");
                },
                () = closing => return,
            }
            tokio::time::sleep(BEAT).await;
        }
    });
}

/// What a heart remembers from beat to beat.
struct Heart {
    /// Of the configuration, as this node has it.
    generation: i64,
    beats: u32,
    /// Beats in a row that were heard: one that was away itself must not declare others dead.
    settled: u32,
    /// What the database believed at the last beat that this node has, and it did not.
    missing: HashSet<DeliveryId>,
}

impl Heart {
    async fn beat(&mut self, parts: &Parts, days: &Days) -> Result<(), StoreError> {
        let asked = ticks::now();
        let done = self.one(parts, days, asked).await;
        self.settled = if done.is_ok() { self.settled.saturating_add(1) } else { 0 };
        self.beats = self.beats.wrapping_add(1);
        done
    }

    async fn one(&mut self, parts: &Parts, days: &Days, asked: Instant) -> Result<(), StoreError> {
        let line = parts.worker.open().await?;
        let news = self.tell(parts, &line, asked).await?;
        let doubted = parts.doubt.swap(false, Ordering::SeqCst);
        if doubted || !self.missing.is_empty() {
            let looked = self.look_for_missing(parts, &line).await;
            parts.doubt.fetch_or(looked.is_err(), Ordering::SeqCst);
            looked?;
        }
        give_back(parts, &line).await?;
        if self.settled >= LIFE_IN_BEATS {
            free_dead(parts, &line).await?;
        }
        if news || doubted || self.beats.is_multiple_of(LOOK_ROUND) {
            look_round(parts).await?;
        }
        if self.beats.is_multiple_of(TIDY) {
            tidy(&line, days).await?;
        }
        Ok(())
    }

    /// What was lent by a statement whose answer never came is given back. Seen at two beats in a row: what was lent just
    /// now is written down here a moment after the database has it.
    async fn look_for_missing(&mut self, parts: &Parts, line: &Open) -> Result<(), StoreError> {
        let held = line.query(HELD, &[&parts.node()]).await?;
        let held: Vec<DeliveryId> =
            held.iter().map(|row| get::<Id>(row, 0).map(Into::into)).collect::<Result<_, _>>()?;
        let mut leases = parts.leases();
        let missing: HashSet<DeliveryId> =
            held.into_iter().filter(|delivery| !leases.holds(*delivery)).collect();
        leases.never_got(self.missing.intersection(&missing).copied());
        drop(leases);
        self.missing = missing;
        Ok(())
    }

    /// Says that this node lives; whether others came or went.
    async fn tell(
        &mut self,
        parts: &Parts,
        line: &Open,
        asked: Instant,
    ) -> Result<bool, StoreError> {
        let mut node = parts.node();
        let found = line.query(BEAT_SQL, &[&node, &LIFE.as_secs_f64()]).await?;
        let Some(row) = found.first() else { return Err(StoreError::Busy) };
        let (heard, generation): (i64, i64) = (get(row, 0)?, get(row, 1)?);
        let alive: Option<Vec<i64>> = get(row, 2)?;
        if heard == 0 {
            let old = node;
            node = register(line).await?;
            tracing::warn!(
                old,
                new = node,
                "the other nodes took this one for dead; it begins anew"
            );
        }
        parts.leases().alive(node, asked);
        if std::mem::replace(&mut self.generation, generation) != generation {
            parts.reconfigured.notify_one();
        }
        Ok(parts.meet(Members::new(node, alive.unwrap_or_default())))
    }
}

/// What this node was lent and does not want any more.
async fn give_back(parts: &Parts, line: &Open) -> Result<(), StoreError> {
    let unwanted = parts.leases().unwanted();
    if unwanted.is_empty() {
        return Ok(());
    }
    let ids: Vec<Id> = unwanted.iter().map(|id| (*id).into()).collect();
    let freed = line.query(GIVE_BACK, &[&ids, &parts.node()]).await?;
    parts.leases().given_back(&unwanted);
    parts.wake(endpoints(&freed)?).await;
    Ok(())
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

fn endpoints(rows: &[tokio_postgres::Row]) -> Result<BTreeSet<EndpointId>, StoreError> {
    rows.iter().map(|row| Ok(get::<Id>(row, 0)?.into())).collect()
}

/// Finds the endpoints of this node for which something waits.
async fn look_round(parts: &Parts) -> Result<(), StoreError> {
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

/// Hears what the other nodes say, until the connection ends.
async fn listen(parts: &Parts) -> Result<(), StoreError> {
    let (client, mut connection) = parts.address.connect().await?;
    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
    let listen = format!("LISTEN \"{}\"", parts.channel);
    let listening = client.batch_execute(&listen);
    let mut listening = pin!(listening.fuse());
    loop {
        tokio::select! {
            done = &mut listening => {
                done.map_err(|fault| StoreError::Failed(told(&fault)))?;
                // What was said before we listened is not heard.
                parts.reconfigured.notify_one();
                look_round(parts).await?;
            }
            message = messages.next() => match message {
                Some(Ok(AsyncMessage::Notification(notice))) => hear(parts, notice.payload()).await?,
                Some(Ok(_)) => {}
                Some(Err(fault)) => return Err(StoreError::Failed(told(&fault))),
                None => return Ok(()),
            },
        }
    }
}

async fn hear(parts: &Parts, said: &str) -> Result<(), StoreError> {
    match said {
        "configuration" => parts.reconfigured.notify_one(),
        "*" => look_round(parts).await?,
        names => parts.stir(names.split(' ').filter_map(|name| name.parse().ok())),
    }
    Ok(())
}

const REGISTER: &str = "INSERT INTO nodes (id, name, alive_until)
VALUES (nextval('node_ids'), $1, now() + make_interval(secs => $2)) RETURNING id";

const BEAT_SQL: &str = "
WITH beat AS (UPDATE nodes SET alive_until = now() + make_interval(secs => $2) WHERE id = $1 RETURNING id)
SELECT (SELECT count(*) FROM beat), (SELECT number FROM generation),
    (SELECT array_agg(id ORDER BY id) FROM nodes WHERE alive_until > now())";

const FREE_OF: &str =
    "UPDATE deliveries SET holder = 0, lease = lease + 1 WHERE state = 0 AND holder = $1";

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
