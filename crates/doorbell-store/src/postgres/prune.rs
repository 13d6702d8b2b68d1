//! Retention: days go whole, the oldest first, and none with a delivery that waits.

use super::line::Open;
use super::partitions::{self, Day, Days, LOCK, TABLES};
use super::parts::Parts;
use super::rows::{count, get};
use crate::store::{Pruned, Retention, StoreError};
use doorbell_core::time::Time;

/// Drops at most one day.
pub(super) async fn prune(
    parts: &Parts,
    days: &Days,
    now: Time,
    retention: Retention,
) -> Result<Pruned, StoreError> {
    parts.check()?;
    let _one = parts.amending.lock().await;
    let line = parts.amender.open().await?;
    let all = partitions::all(&line).await?;
    let mut bytes = total(&line).await?;
    // The newest day is in use.
    let old = all.split_last().map(|(_, old)| old).unwrap_or_default();
    for day in old.iter().copied() {
        let too_old = retention.age.is_some_and(|age| day.end().after(age) < now);
        let too_big = retention.bytes.is_some_and(|most| bytes > most);
        if !(too_old || too_big) {
            break;
        }
        let pruned = drop_day(&line, day).await?;
        if pruned != Pruned::default() {
            days.forget().await;
            return Ok(pruned);
        }
        // Something waits there: it stays, and so does its size.
        bytes = bytes.saturating_sub(size(&line, day).await?);
    }
    Ok(Pruned::default())
}

/// Drops the day unless something waits there; it is locked first, so that nothing begins to wait meanwhile.
async fn drop_day(line: &Open, day: Day) -> Result<Pruned, StoreError> {
    line.batch(&format!("BEGIN; SET LOCAL lock_timeout = '2s'; {LOCK}")).await?;
    let done = drop_locked(line, day).await;
    let keep = !matches!(&done, Ok(pruned) if *pruned != Pruned::default());
    line.batch(if keep { "ROLLBACK" } else { "COMMIT" }).await?;
    done
}

async fn drop_locked(line: &Open, day: Day) -> Result<Pruned, StoreError> {
    let tables: Vec<String> = TABLES.iter().map(|table| day.table(table)).collect();
    line.batch(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", "))).await?;
    let (from, to) = (day.first(), day.next().first());
    let waits = "SELECT EXISTS (SELECT FROM deliveries WHERE state = 0 AND seq >= $1 AND seq < $2)";
    let found = line.query(waits, &[&from, &to]).await?;
    if found.first().map_or(Ok(true), |row| get(row, 0))? {
        return Ok(Pruned::default());
    }
    let bytes = size(line, day).await?;
    let found = line.query(EVENTS, &[&from, &to, &day.table("events")]).await?;
    let events = found.first().map_or(Ok(0), |row| get(row, 0))?;
    line.batch(&format!("DROP TABLE {}", tables.join(", "))).await?;
    Ok(Pruned { events: count(events), bytes })
}

async fn size(line: &Open, day: Day) -> Result<u64, StoreError> {
    let tables: Vec<String> = TABLES.iter().map(|table| day.table(table)).collect();
    let found = line.query(SIZE, &[&tables]).await?;
    found.first().map_or(Ok(0), |row| get(row, 0).map(count))
}

async fn total(line: &Open) -> Result<u64, StoreError> {
    let found = line.query(TOTAL, &[]).await?;
    found.first().map_or(Ok(0), |row| get(row, 0).map(count))
}

/// How many there were; of many, the planner's estimate.
const EVENTS: &str = "SELECT CASE WHEN c.reltuples > 100000 THEN c.reltuples::int8
ELSE (SELECT count(*) FROM events WHERE seq >= $1 AND seq < $2) END FROM pg_class c WHERE c.oid = to_regclass($3)";

const SIZE: &str = "SELECT coalesce(sum(pg_total_relation_size(to_regclass(name))), 0)::int8 FROM unnest($1::text[]) AS name";

const TOTAL: &str =
    "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::int8 FROM pg_inherits
WHERE inhparent IN ('events'::regclass, 'deliveries'::regclass, 'attempts'::regclass)";
