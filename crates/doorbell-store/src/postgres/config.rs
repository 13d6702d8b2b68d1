//! The configuration: one row for each resource, the same documents as in the embedded home.

use super::line::{Open, error};
use super::parts::Parts;
use super::rows::{get, ms};
use crate::changes;
use crate::store::StoreError;
use doorbell_core::configuration::{Change, Configuration, Resource, ResourceId};
use doorbell_core::id::TenantId;
use doorbell_core::time::Time;
use doorbell_wire::stored_config::{self, Kind};
use std::collections::BTreeMap;
use tokio_postgres::error::SqlState;

/// Everything that is configured, each list sorted by id.
pub(super) async fn load(parts: &Parts) -> Result<Configuration, StoreError> {
    let mut all = Configuration::default();
    let line = parts.reader()?.open().await?;
    // Before what it counts: what comes in between is read once more.
    let number = generation(&line).await?;
    for row in line.query(ALL, &[]).await? {
        let (kind, id, document): (&str, &str, &str) =
            (get(&row, 0)?, get(&row, 1)?, get(&row, 2)?);
        let unreadable = || StoreError::Corrupt(format!("the stored {kind} {id} cannot be read"));
        let kind = Kind::of_word(kind).ok_or_else(unreadable)?;
        match stored_config::decode(kind, document).map_err(|_| unreadable())? {
            Resource::Tenant(tenant) => all.tenants.push(tenant),
            Resource::Source(source) => all.sources.push(source),
            Resource::Endpoint(endpoint) => all.endpoints.push(endpoint),
            Resource::Token(token) => all.tokens.push(token),
            Resource::Replay(replay) => all.replays.push(replay),
        }
    }
    parts.has_read(number);
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
    let mut after: BTreeMap<ResourceId, Option<Resource>> = BTreeMap::new();
    for change in changes {
        match change {
            Change::Put(resource) => after.insert(id_of(&resource), Some(resource)),
            Change::Delete(id) => after.insert(id, None),
        };
    }
    if after.get(&ResourceId::Tenant(TenantId::DEFAULT)).is_some_and(Option::is_none) {
        return Err(StoreError::Conflict("the default tenant cannot be deleted".to_owned()));
    }
    let _one = parts.amending.lock().await;
    let line = parts.amender.open().await?;
    line.batch("BEGIN").await?;
    let made = make(parts, &line, &after).await;
    let ended = line.batch(if made.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    ended?;
    parts.has_made(made?);
    Ok(())
}

/// One change at a time over all nodes: the row of the generation is held until the end.
async fn make(
    parts: &Parts,
    line: &Open,
    after: &BTreeMap<ResourceId, Option<Resource>>,
) -> Result<i64, StoreError> {
    let found =
        line.query("UPDATE generation SET number = number + 1 RETURNING number", &[]).await?;
    let number = found.first().map_or(Err(StoreError::Busy), |row| get(row, 0))?;
    // All old ones go first: two may swap their names.
    for id in after.keys() {
        let sql = "DELETE FROM resources WHERE kind = $1 AND id = $2";
        line.query(sql, &[&Kind::of_id(*id).word(), &id_text(*id)]).await?;
    }
    for resource in after.values().flatten() {
        insert(line, resource).await?;
    }
    line.query("SELECT pg_notify($1, 'configuration')", &[&parts.channel]).await?;
    Ok(number)
}

async fn insert(line: &Open, resource: &Resource) -> Result<(), StoreError> {
    let kind = Kind::of(resource).word();
    let id = id_text(id_of(resource));
    let document = stored_config::encode(resource)
        .map_err(|why| StoreError::Failed(format!("the {kind} {id} cannot be stored: {why}")))?;
    let (tenant, name, updated) = columns(resource);
    let (tenant, updated) = (tenant.to_string(), ms(updated));
    let done = line.ask(INSERT, &[&kind, &id, &tenant, &name, &document, &updated]).await;
    done.map(drop).map_err(|fault| match fault.code() {
        Some(code) if *code == SqlState::UNIQUE_VIOLATION => StoreError::Conflict(format!(
            "there is another {kind} named {}",
            name.unwrap_or_default()
        )),
        Some(_) | None => error(&fault),
    })
}

fn columns(resource: &Resource) -> (TenantId, Option<&str>, Time) {
    match resource {
        Resource::Tenant(tenant) => (tenant.id, Some(tenant.uid.as_str()), tenant.created),
        Resource::Source(source) => (source.tenant, Some(source.name.as_str()), source.updated),
        Resource::Endpoint(endpoint) => {
            (endpoint.tenant, Some(endpoint.name.as_str()), endpoint.updated)
        }
        Resource::Token(token) => (token.tenant, Some(token.name.as_str()), token.created),
        Resource::Replay(replay) => (replay.tenant, None, replay.updated),
    }
}

const fn id_of(resource: &Resource) -> ResourceId {
    match resource {
        Resource::Tenant(tenant) => ResourceId::Tenant(tenant.id),
        Resource::Source(source) => ResourceId::Source(source.id),
        Resource::Endpoint(endpoint) => ResourceId::Endpoint(endpoint.id),
        Resource::Token(token) => ResourceId::Token(token.id),
        Resource::Replay(replay) => ResourceId::Replay(replay.id),
    }
}

fn id_text(id: ResourceId) -> String {
    match id {
        ResourceId::Tenant(id) => id.to_string(),
        ResourceId::Source(id) => id.to_string(),
        ResourceId::Endpoint(id) => id.to_string(),
        ResourceId::Token(id) => id.to_string(),
        ResourceId::Replay(id) => id.to_string(),
    }
}

const ALL: &str = "SELECT kind, id, document FROM resources ORDER BY kind, id COLLATE \"C\"";

const INSERT: &str = "INSERT INTO resources (kind, id, tenant, name, document, updated)
VALUES ($1, $2, $3, $4, $5, $6)";
