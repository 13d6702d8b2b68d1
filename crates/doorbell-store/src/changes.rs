//! What a change of the configuration does to it, the same in every home: all or nothing, and no name twice.

use crate::store::StoreError;
use doorbell_core::configuration::{self, Change, Configuration, Resource, ResourceId, Tenant};
use doorbell_core::id::TenantId;
use doorbell_core::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The configuration of a new store: nothing but the default tenant.
#[must_use]
pub(crate) fn initial() -> Configuration {
    let default = Tenant {
        id: TenantId::DEFAULT,
        uid: "default".to_owned(),
        name: "Default".to_owned(),
        created: Time::EPOCH,
    };
    Configuration { tenants: vec![default], ..Configuration::default() }
}

/// What comes of each thing that is changed; `None`: it is removed.
///
/// # Errors
/// [`StoreError::Conflict`] when the default tenant would go.
pub(crate) fn last_words(
    changes: &[Change],
) -> Result<BTreeMap<ResourceId, Option<Resource>>, StoreError> {
    let last = configuration::last_words(changes.iter().cloned());
    match last.get(&ResourceId::Tenant(TenantId::DEFAULT)) {
        Some(None) => Err(StoreError::Conflict("the default tenant cannot be deleted".to_owned())),
        Some(Some(_)) | None => Ok(last),
    }
}

/// Puts a resource that was read behind those of its kind.
pub(crate) fn collect(all: &mut Configuration, resource: Resource) {
    match resource {
        Resource::Tenant(tenant) => all.tenants.push(tenant),
        Resource::Source(source) => all.sources.push(source),
        Resource::Endpoint(endpoint) => all.endpoints.push(endpoint),
        Resource::Token(token) => all.tokens.push(token),
        Resource::Replay(replay) => all.replays.push(replay),
    }
}

/// What a row keeps beside the document: whose it is, the name that nothing else of its kind has, and its last change.
pub(crate) fn columns(resource: &Resource) -> (TenantId, Option<&str>, Time) {
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

/// An id as a row keeps it.
pub(crate) fn id_text(id: ResourceId) -> String {
    match id {
        ResourceId::Tenant(id) => id.to_string(),
        ResourceId::Source(id) => id.to_string(),
        ResourceId::Endpoint(id) => id.to_string(),
        ResourceId::Token(id) => id.to_string(),
        ResourceId::Replay(id) => id.to_string(),
    }
}

/// A name is taken by another of its kind.
pub(crate) fn taken(kind: &str, name: impl fmt::Display) -> StoreError {
    StoreError::Conflict(format!("there is another {kind} named {name}"))
}

/// The configuration after these changes, each list sorted by id.
///
/// # Errors
/// [`StoreError::Conflict`] when a name would be there twice or the default tenant would go.
pub(crate) fn applied(
    mut configuration: Configuration,
    changes: &[Change],
) -> Result<Configuration, StoreError> {
    for (id, last) in last_words(changes)? {
        match last {
            Some(resource) => put(&mut configuration, &resource),
            None => delete(&mut configuration, id),
        }
    }
    check(&configuration)?;
    Ok(configuration)
}

/// Puts `item` where the one with the same id is, or where it belongs by its id.
fn place<T: Clone, K: Ord>(list: &mut Vec<T>, item: &T, id: impl Fn(&T) -> K) {
    match list.binary_search_by(|other| id(other).cmp(&id(item))) {
        Ok(at) => list.splice(at..=at, [item.clone()]).for_each(drop),
        Err(at) => list.insert(at, item.clone()),
    }
}

fn put(configuration: &mut Configuration, resource: &Resource) {
    match resource {
        Resource::Tenant(item) => place(&mut configuration.tenants, item, |t| t.id),
        Resource::Source(item) => place(&mut configuration.sources, item, |s| s.id),
        Resource::Endpoint(item) => place(&mut configuration.endpoints, item, |e| e.id),
        Resource::Token(item) => place(&mut configuration.tokens, item, |t| t.id),
        Resource::Replay(item) => place(&mut configuration.replays, item, |r| r.id),
    }
}

fn delete(configuration: &mut Configuration, id: ResourceId) {
    match id {
        ResourceId::Tenant(id) => configuration.tenants.retain(|item| item.id != id),
        ResourceId::Source(id) => configuration.sources.retain(|item| item.id != id),
        ResourceId::Endpoint(id) => configuration.endpoints.retain(|item| item.id != id),
        ResourceId::Token(id) => configuration.tokens.retain(|item| item.id != id),
        ResourceId::Replay(id) => configuration.replays.retain(|item| item.id != id),
    }
}

fn check(configuration: &Configuration) -> Result<(), StoreError> {
    once("tenant", configuration.tenants.iter().map(|tenant| &tenant.uid))?;
    once("source", configuration.sources.iter().map(|source| &source.name))?;
    let of_tenant = configuration.endpoints.iter().map(|e| Owned(e.tenant, e.name.as_str()));
    once("endpoint", of_tenant)?;
    once("token", configuration.tokens.iter().map(|t| Owned(t.tenant, t.name.as_str())))
}

/// A name that is unique within its tenant.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Owned<'a>(TenantId, &'a str);

impl fmt::Display for Owned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }
}

fn once<T: Ord + fmt::Display>(
    kind: &str,
    names: impl Iterator<Item = T>,
) -> Result<(), StoreError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if seen.contains(&name) {
            return Err(taken(kind, name));
        }
        seen.insert(name);
    }
    Ok(())
}
