//! The configuration: one row for each resource, the same documents as in the embedded home.

use super::fault::error;
use super::line::Open;
use super::parts::Parts;
use super::rows::{get, ms};
use crate::changes;
use crate::store::StoreError;
use doorbell_core::configuration::{Change, Configuration, Resource, ResourceId};
use doorbell_wire::stored_config::{self, Kind};
use std::collections::BTreeMap;
use tokio_postgres::error::SqlState;

/// Everything that is configured, each list sorted by id.
pub(super) async fn load(parts: &Parts) -> Result<Configuration, StoreError> {
    let line = parts.reader()?.open().await?;
    // Before what it counts: what comes in between is read once more.
    let number = generation(&line).await?;
    let all = read(&line).await?;
    parts.has_read(number);
    Ok(all)
}

/// The same, for one who is no node.
pub(super) async fn read(line: &Open) -> Result<Configuration, StoreError> {
    let mut all = Configuration::default();
    for row in line.query(ALL, &[]).await? {
        let (kind, id, document): (&str, &str, &str) =
            (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
        let unreadable = || StoreError::Corrupt(format!("the stored {kind} {id} cannot be read"));
        let kind = Kind::of_word(kind).ok_or_else(unreadable)?;
        let resource = stored_config::decode(kind, document).map_err(|_| unreadable())?;
        changes::collect(&mut all, resource);
    }
    Ok(all)
}

/// How often it was changed: nodes ask for it to see whether another has changed it.
pub(super) async fn generation(line: &Open) -> Result<i64, StoreError> {
    let found = line.query("SELECT number FROM generation", &[]).await?;
    found.first().map_or(Ok(0), |row| get(row, 0))
}

/// Puts the default tenant there, in a new database.
pub(super) async fn begin(line: &Open) -> Result<(), StoreError> {
    for tenant in changes::initial().tenants {
        insert(line, &Resource::Tenant(tenant)).await?;
    }
    Ok(())
}

/// Makes all changes or none, and tells the other nodes.
pub(super) async fn configure(parts: &Parts, changes: Vec<Change>) -> Result<(), StoreError> {
    parts.check()?;
    let after = changes::last_words(&changes)?;
    let _one = parts.amending.lock().await;
    let line = parts.amender.open().await?;
    line.batch("BEGIN").await?;
    let made = make(&parts.channel, &line, &after).await;
    let ended = line.batch(if made.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    ended?;
    parts.has_made(made?);
    Ok(())
}

/// One change at a time over all nodes: the row of the generation is held until the end.
pub(super) async fn make(
    channel: &str,
    line: &Open,
    after: &BTreeMap<ResourceId, Option<Resource>>,
) -> Result<i64, StoreError> {
    let found =
        line.query("UPDATE generation SET number = number + 1 RETURNING number", &[]).await?;
    let number = found.first().map_or(Err(StoreError::Busy), |row| get(row, 0))?;
    // All old ones go first: two may swap their names.
    for id in after.keys() {
        let sql = "DELETE FROM resources WHERE kind = $1 AND id = $2";
        line.query(sql, &[&Kind::of_id(*id).word(), &changes::id_text(*id)]).await?;
    }
    for resource in after.values().flatten() {
        insert(line, resource).await?;
    }
    line.query("SELECT pg_notify($1, 'configuration')", &[&channel]).await?;
    Ok(number)
}

async fn insert(line: &Open, resource: &Resource) -> Result<(), StoreError> {
    let kind = Kind::of(resource).word();
    let id = changes::id_text(resource.id());
    let document = stored_config::encode(resource)
        .map_err(|why| StoreError::Failed(format!("the {kind} {id} cannot be stored: {why}")))?;
    let (tenant, name, updated) = changes::columns(resource);
    let (tenant, updated) = (tenant.to_string(), ms(updated));
    let done = line.ask(INSERT, &[&kind, &id, &tenant, &name, &document, &updated]).await;
    done.map(drop).map_err(|fault| match fault.code() {
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => {
            changes::taken(kind, name.unwrap_or_default())
        }
        Some(_) | None => error(&fault),
    })
}

const ALL: &str = "SELECT kind, id, document FROM resources ORDER BY kind, id COLLATE \"C\"";

const INSERT: &str = "INSERT INTO resources (kind, id, tenant, name, document, updated)
VALUES ($1, $2, $3, $4, $5, $6)";
