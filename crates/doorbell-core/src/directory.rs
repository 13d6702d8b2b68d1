//! The configuration as a running node looks things up in it: an immutable snapshot, of which a change makes the next one.
//!
//! Both share all that has not changed, so a change costs what it changes, however much is configured, and whoever holds a
//! snapshot is not disturbed.

use crate::configuration::{self, Change, Configuration, Resource, ResourceId, Tenant, Token};
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::id::{EndpointId, SourceId, TenantId, TokenId};
use crate::limits;
use crate::name::Label;
use crate::queue_address::DEFAULT_TENANT;
pub use crate::ready::{ReadyEndpoint, ReadySource, Settings, Signers};
use crate::routes::{Map, Routes};
use crate::source::Source;
use crate::time::Time;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Everything that is configured, ready to be used. Replays are configured too, but they route nothing and change all the
/// time: they are not in here.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    settings: Arc<Settings>,
    tenants: Map<TenantId, Tenant>,
    tenants_by_uid: Map<String, TenantId>,
    sources: Map<SourceId, Arc<ReadySource>>,
    sources_by_name: Map<String, SourceId>,
    endpoints: Map<EndpointId, Arc<ReadyEndpoint>>,
    endpoints_by_name: Map<(TenantId, String), EndpointId>,
    tokens: Map<TokenId, Token>,
    tokens_by_hash: Map<[u8; 32], TokenId>,
    routes: Routes,
}

impl Directory {
    /// A snapshot of the configuration.
    #[must_use]
    pub fn new(of: Configuration, settings: Settings) -> Self {
        let mut new = Self { settings: Arc::new(settings), ..Self::default() };
        of.resources().for_each(|resource| new.put(resource));
        new
    }

    /// The snapshot after these changes.
    #[must_use]
    pub fn changed(&self, changes: impl IntoIterator<Item = Change>) -> Self {
        let last = configuration::last_words(changes);
        let mut new = self.clone();
        // All old ones go first: two may swap their names.
        last.keys().for_each(|id| new.remove(*id));
        last.into_values().flatten().for_each(|resource| new.put(resource));
        new
    }

    /// The changes that lead from this snapshot to the configuration.
    #[must_use]
    pub fn difference(&self, to: Configuration) -> Vec<Change> {
        let mut gone: BTreeSet<ResourceId> = self.ids().collect();
        let mut changes = Vec::new();
        for resource in to.resources() {
            gone.remove(&resource.id());
            if !self.has(&resource) {
                changes.push(Change::Put(resource));
            }
        }
        changes.extend(gone.into_iter().map(Change::Delete));
        changes
    }

    fn ids(&self) -> impl Iterator<Item = ResourceId> {
        let tenants = self.tenants.keys().copied().map(ResourceId::Tenant);
        let sources = self.sources.keys().copied().map(ResourceId::Source);
        let endpoints = self.endpoints.keys().copied().map(ResourceId::Endpoint);
        let tokens = self.tokens.keys().copied().map(ResourceId::Token);
        tenants.chain(sources).chain(endpoints).chain(tokens)
    }

    /// Whether it is in here, exactly so.
    fn has(&self, resource: &Resource) -> bool {
        match resource {
            Resource::Tenant(tenant) => self.tenants.get(&tenant.id) == Some(tenant),
            Resource::Source(source) => {
                self.source(source.id).is_some_and(|ready| ready.source() == source)
            }
            Resource::Endpoint(endpoint) => {
                self.endpoint(endpoint.id).is_some_and(|ready| ready.endpoint() == endpoint)
            }
            Resource::Token(token) => self.tokens.get(&token.id) == Some(token),
            Resource::Replay(_) => true,
        }
    }

    fn put(&mut self, resource: Resource) {
        match resource {
            Resource::Tenant(tenant) => {
                self.tenants_by_uid.insert_mut(tenant.uid.clone(), tenant.id);
                self.tenants.insert_mut(tenant.id, tenant);
            }
            Resource::Source(source) => {
                self.sources_by_name.insert_mut(source.name.to_string(), source.id);
                let uid = self.tenant_uid(source.tenant);
                let ready = ReadySource::new(source, &self.settings, uid);
                self.sources.insert_mut(ready.source().id, Arc::new(ready));
            }
            Resource::Endpoint(endpoint) => {
                let name = (endpoint.tenant, endpoint.name.to_string());
                self.endpoints_by_name.insert_mut(name, endpoint.id);
                let uid = self.tenant_uid(endpoint.tenant);
                let ready = Arc::new(ReadyEndpoint::new(endpoint, &self.settings, uid));
                self.routes.put(&ready);
                self.endpoints.insert_mut(ready.endpoint().id, ready);
            }
            Resource::Token(token) => {
                self.tokens_by_hash.insert_mut(token.hash, token.id);
                self.tokens.insert_mut(token.id, token);
            }
            Resource::Replay(_) => {}
        }
    }

    fn remove(&mut self, id: ResourceId) {
        match id {
            ResourceId::Tenant(id) => {
                if let Some(old) = self.tenants.get(&id) {
                    self.tenants_by_uid.remove_mut(&old.uid);
                    self.tenants.remove_mut(&id);
                }
            }
            ResourceId::Source(id) => {
                if let Some(old) = self.sources.get(&id) {
                    self.sources_by_name.remove_mut(old.source().name.as_str());
                    self.sources.remove_mut(&id);
                }
            }
            ResourceId::Endpoint(id) => {
                if let Some(old) = self.endpoints.get(&id).map(|ready| ready.endpoint()) {
                    self.endpoints_by_name.remove_mut(&(old.tenant, old.name.to_string()));
                    self.routes.remove(old);
                    self.endpoints.remove_mut(&id);
                }
            }
            ResourceId::Token(id) => {
                if let Some(old) = self.tokens.get(&id) {
                    self.tokens_by_hash.remove_mut(&old.hash);
                    self.tokens.remove_mut(&id);
                }
            }
            ResourceId::Replay(_) => {}
        }
    }
}

/// What is looked up.
impl Directory {
    /// The source that a path names: by its name, or by its id.
    #[must_use]
    pub fn source_at(&self, segment: &str) -> Option<&Arc<ReadySource>> {
        let by_id = || segment.parse().ok();
        let id = self.sources_by_name.get(segment).copied().or_else(by_id)?;
        self.sources.get(&id)
    }

    /// The tenant's source of that name or id.
    #[must_use]
    pub fn source_of(&self, tenant: TenantId, name_or_id: &str) -> Option<&Source> {
        let named = || self.sources_by_name.get(name_or_id).copied();
        let id = name_or_id.parse().ok().or_else(named)?;
        let found = self.sources.get(&id)?.source();
        (found.tenant == tenant).then_some(found)
    }

    /// The tenant's endpoint of that name or id.
    #[must_use]
    pub fn endpoint_of(&self, tenant: TenantId, name_or_id: &str) -> Option<&Endpoint> {
        let named = || self.endpoints_by_name.get(&(tenant, name_or_id.to_owned())).copied();
        let id = name_or_id.parse().ok().or_else(named)?;
        let found = self.endpoints.get(&id)?.endpoint();
        (found.tenant == tenant).then_some(found)
    }

    /// The source of that name; names of sources are unique over all tenants, for they stand in the address.
    #[must_use]
    pub fn source_named(&self, name: &str) -> Option<&Source> {
        let id = self.sources_by_name.get(name)?;
        self.sources.get(id).map(|ready| ready.source())
    }

    /// The tenant's endpoint of that name.
    #[must_use]
    pub fn endpoint_named(&self, tenant: TenantId, name: &str) -> Option<&Endpoint> {
        let id = self.endpoints_by_name.get(&(tenant, name.to_owned()))?;
        self.endpoints.get(id).map(|ready| ready.endpoint())
    }

    /// A source by its id.
    #[must_use]
    pub fn source(&self, id: SourceId) -> Option<&Arc<ReadySource>> {
        self.sources.get(&id)
    }

    /// An endpoint by its id.
    #[must_use]
    pub fn endpoint(&self, id: EndpointId) -> Option<&Arc<ReadyEndpoint>> {
        self.endpoints.get(&id)
    }

    /// The source's name, unless it is gone.
    #[must_use]
    pub fn source_name(&self, id: SourceId) -> Option<&Label> {
        self.sources.get(&id).map(|ready| &ready.source().name)
    }

    /// The endpoint's name, unless it is gone.
    #[must_use]
    pub fn endpoint_name(&self, id: EndpointId) -> Option<&Label> {
        self.endpoints.get(&id).map(|ready| &ready.endpoint().name)
    }

    /// An endpoint that takes events of this source by name, if there is one.
    #[must_use]
    pub fn endpoint_naming(&self, source: &Source) -> Option<&Endpoint> {
        self.routes.naming(source.tenant, source.id).map(|ready| ready.endpoint())
    }

    /// A tenant by its id.
    #[must_use]
    pub fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        self.tenants.get(&id)
    }

    /// The caller's own id for a tenant; empty when there is no such tenant.
    #[must_use]
    pub fn tenant_uid(&self, id: TenantId) -> &str {
        match self.tenants.get(&id) {
            Some(tenant) => &tenant.uid,
            None if id == TenantId::DEFAULT => DEFAULT_TENANT,
            None => "",
        }
    }

    /// A tenant by the caller's own id for it.
    #[must_use]
    pub fn tenant_by_uid(&self, uid: &str) -> Option<&Tenant> {
        self.tenants_by_uid.get(uid).and_then(|id| self.tenants.get(id))
    }

    /// The token whose text has this SHA-256, if it is still good.
    #[must_use]
    pub fn token(&self, hash: &[u8; 32], now: Time) -> Option<&Token> {
        let token = self.tokens_by_hash.get(hash).and_then(|id| self.tokens.get(id));
        token.filter(|token| token.expires.is_none_or(|expires| now < expires))
    }

    /// A token by its id, good or not any more.
    #[must_use]
    pub fn token_by_id(&self, id: TokenId) -> Option<&Token> {
        self.tokens.get(&id)
    }

    /// All tenants, oldest first.
    pub fn tenants(&self) -> impl DoubleEndedIterator<Item = &Tenant> {
        self.tenants.values()
    }

    /// All sources, oldest first.
    pub fn sources(&self) -> impl DoubleEndedIterator<Item = &Source> {
        self.sources.values().map(|ready| ready.source())
    }

    /// All endpoints, oldest first.
    pub fn endpoints(&self) -> impl DoubleEndedIterator<Item = &Endpoint> {
        self.endpoints.values().map(|ready| ready.endpoint())
    }

    /// How many more endpoints this tenant may have ([`limits::ENDPOINTS_PER_TENANT`]). They are counted only where all
    /// tenants together have so many.
    #[must_use]
    pub fn endpoint_room(&self, tenant: TenantId) -> usize {
        let all = self.endpoints.size();
        let own = if all < limits::ENDPOINTS_PER_TENANT {
            all
        } else {
            self.endpoints().filter(|endpoint| endpoint.tenant == tenant).count()
        };
        limits::ENDPOINTS_PER_TENANT.saturating_sub(own)
    }

    /// All tokens, oldest first.
    pub fn tokens(&self) -> impl DoubleEndedIterator<Item = &Token> {
        self.tokens.values()
    }

    /// The endpoints that subscribe to the event by source, type and channel, whatever their status; each once. Their
    /// filters look into the body and so are asked later ([`ReadyEndpoint::wants`]).
    pub fn route<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a Arc<ReadyEndpoint>> {
        self.routes.of(event)
    }
}
