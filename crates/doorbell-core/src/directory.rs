//! The configuration as a running node looks things up in it: an immutable snapshot, made anew when something changes.
//!
//! A value in the configuration that cannot be used (an unknown provider, a URL that the operator no longer allows) stops
//! only what it belongs to: the source is there and says what is wrong, the endpoint's deliveries fail with a sentence.

use crate::configuration::{Configuration, Tenant, Token};
use crate::endpoint::Endpoint;
use crate::endpoint_url::{EndpointUrl, UrlPolicy};
use crate::event::Event;
use crate::filter::Document;
use crate::filter::Filter;
use crate::id::{EndpointId, SourceId, TenantId};
use crate::limits;
use crate::name::{EventType, EventTypePattern};
use crate::source::Source;
use crate::time::Time;
use crate::verifier::{Misconfigured, Signer, Verifier};
use std::collections::HashMap;
use std::sync::Arc;
use webhook_signatures::{Provider, Secret};

/// What the node's own settings say about sources and endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// What endpoints' URLs may be.
    pub urls: UrlPolicy,
    /// The address under which sources are called from outside, without the source's name and the slash before it, such as
    /// `https://hooks.example.com/in`. For providers that sign the URL.
    pub ingest_url: Option<String>,
}

/// Everything that is configured, ready to be used.
#[derive(Debug, Default)]
pub struct Directory {
    settings: Settings,
    tenants: HashMap<TenantId, Tenant>,
    tenants_by_uid: HashMap<String, TenantId>,
    sources: HashMap<SourceId, Arc<ReadySource>>,
    sources_by_name: HashMap<String, Arc<ReadySource>>,
    endpoints: HashMap<EndpointId, Arc<ReadyEndpoint>>,
    tokens: HashMap<[u8; 32], Token>,
    routes: HashMap<Route, Vec<Arc<ReadyEndpoint>>>,
}

/// A place in the routing table; `None` stands for any source, or for any type (or types by pattern).
type Route = (TenantId, Option<SourceId>, Option<EventType>);

impl Directory {
    /// A snapshot of the configuration. What has not changed since the snapshot `before` is taken over from it, so that a
    /// change costs little however much is configured.
    #[must_use]
    pub fn new(of: &Configuration, settings: &Settings, before: Option<&Self>) -> Self {
        let before = before.filter(|before| before.settings == *settings);
        let mut new = Self { settings: settings.clone(), ..Self::default() };
        new.tenants = of.tenants.iter().map(|t| (t.id, t.clone())).collect();
        new.tenants_by_uid = of.tenants.iter().map(|t| (t.uid.clone(), t.id)).collect();
        new.tokens = of.tokens.iter().map(|t| (t.hash, t.clone())).collect();
        for source in &of.sources {
            let kept =
                before.and_then(|b| b.sources.get(&source.id)).filter(|r| r.source == *source);
            new.add_source(
                kept.cloned().unwrap_or_else(|| Arc::new(ReadySource::new(source, settings))),
            );
        }
        for endpoint in &of.endpoints {
            let kept = before
                .and_then(|b| b.endpoints.get(&endpoint.id))
                .filter(|r| r.endpoint == *endpoint);
            new.add_endpoint(
                &kept.cloned().unwrap_or_else(|| Arc::new(ReadyEndpoint::new(endpoint, settings))),
            );
        }
        new
    }

    fn add_source(&mut self, ready: Arc<ReadySource>) {
        self.sources_by_name.insert(ready.source.name.as_str().to_owned(), Arc::clone(&ready));
        self.sources.insert(ready.source.id, ready);
    }

    fn add_endpoint(&mut self, ready: &Arc<ReadyEndpoint>) {
        for route in routes(&ready.endpoint) {
            self.routes.entry(route).or_default().push(Arc::clone(ready));
        }
        self.endpoints.insert(ready.endpoint.id, Arc::clone(ready));
    }

    /// The source that a path names: by its name, or by its id.
    #[must_use]
    pub fn source_at(&self, segment: &str) -> Option<&Arc<ReadySource>> {
        let by_id = || segment.parse().ok().and_then(|id: SourceId| self.sources.get(&id));
        self.sources_by_name.get(segment).or_else(by_id)
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

    /// All endpoints, in no order.
    pub fn endpoints(&self) -> impl Iterator<Item = &Arc<ReadyEndpoint>> {
        self.endpoints.values()
    }

    /// A tenant by its id.
    #[must_use]
    pub fn tenant(&self, id: TenantId) -> Option<&Tenant> {
        self.tenants.get(&id)
    }

    /// A tenant by the caller's own id for it.
    #[must_use]
    pub fn tenant_by_uid(&self, uid: &str) -> Option<&Tenant> {
        self.tenants_by_uid.get(uid).and_then(|id| self.tenants.get(id))
    }

    /// The token whose text has this SHA-256, if it is still good.
    #[must_use]
    pub fn token(&self, hash: &[u8; 32], now: Time) -> Option<&Token> {
        self.tokens.get(hash).filter(|token| token.expires.is_none_or(|expires| now < expires))
    }

    /// The endpoints that subscribe to the event by source, type and channel, whatever their status; each once. Their
    /// filters look into the body and so are asked later ([`ReadyEndpoint::wants`]).
    pub fn route<'a>(&'a self, event: &'a Event) -> impl Iterator<Item = &'a Arc<ReadyEndpoint>> {
        places(event)
            .filter_map(|place| self.routes.get(&place))
            .flatten()
            .filter(|ready| subscribes(&ready.endpoint, event))
    }
}

/// The places of the table where an event's endpoints stand. An endpoint stands in only one of them.
fn places(event: &Event) -> impl Iterator<Item = Route> {
    let mut sources = vec![None];
    sources.extend(event.origin.source().map(Some));
    let mut types = vec![None];
    types.extend(event.event_type.clone().map(Some));
    let tenant = event.tenant;
    sources
        .into_iter()
        .flat_map(move |source| types.clone().into_iter().map(move |kind| (tenant, source, kind)))
}

/// Where an endpoint stands in the table.
fn routes(endpoint: &Endpoint) -> Vec<Route> {
    let wanted = &endpoint.subscription;
    let sources = each_or_any(wanted.sources.iter().copied());
    let exact: Option<Vec<EventType>> = wanted.event_types.iter().map(exact).collect();
    let types = each_or_any(exact.unwrap_or_default().into_iter());
    let fits = sources.len().saturating_mul(types.len()) <= limits::ROUTES_PER_ENDPOINT;
    let types = if fits { types } else { vec![None] };
    let route = |source| types.iter().map(move |kind| (endpoint.tenant, source, kind.clone()));
    sources.into_iter().flat_map(route).collect()
}

/// Each once; when there is none, the place for any.
fn each_or_any<T: Ord>(list: impl Iterator<Item = T>) -> Vec<Option<T>> {
    let mut list: Vec<_> = list.map(Some).collect();
    list.sort_unstable();
    list.dedup();
    if list.is_empty() { vec![None] } else { list }
}

/// The type that a pattern without a `*` stands for.
fn exact(pattern: &EventTypePattern) -> Option<EventType> {
    let text = pattern.as_str();
    if text.contains('*') { None } else { EventType::parse(text).ok() }
}

/// By type and channel; the source is settled by where the endpoint stands.
fn subscribes(endpoint: &Endpoint, event: &Event) -> bool {
    let wanted = &endpoint.subscription;
    fits(&wanted.event_types, event.event_type.as_ref())
        && (wanted.channels.is_empty()
            || wanted.channels.iter().any(|c| event.channels.contains(c)))
}

/// Whether one of the patterns fits, or there is none. An event without a type fits only `*`.
pub(crate) fn fits(patterns: &[EventTypePattern], event_type: Option<&EventType>) -> bool {
    let one = |pattern: &EventTypePattern| match event_type {
        Some(event_type) => pattern.fits(event_type),
        None => pattern.as_str() == "*",
    };
    patterns.is_empty() || patterns.iter().any(one)
}

/// A source with what its check needs.
#[derive(Debug)]
pub struct ReadySource {
    source: Source,
    verifier: Result<Verifier, Misconfigured>,
    public_url: Option<String>,
}

impl ReadySource {
    fn new(source: &Source, settings: &Settings) -> Self {
        let given = source.verification.public_url.clone();
        let usual = || {
            settings
                .ingest_url
                .as_ref()
                .map(|base| format!("{}/{}", base.trim_end_matches('/'), source.name))
        };
        Self {
            source: source.clone(),
            verifier: Verifier::new(&source.verification),
            public_url: given.or_else(usual),
        }
    }

    /// The source as it is configured.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// What checks its requests.
    ///
    /// # Errors
    /// [`Misconfigured`], when nothing can.
    pub const fn verifier(&self) -> Result<&Verifier, &Misconfigured> {
        self.verifier.as_ref()
    }

    /// The address under which the provider knows us, without path and query of the request; `None`: it is not configured.
    #[must_use]
    pub fn public_url(&self) -> Option<&str> {
        self.public_url.as_deref()
    }
}

/// An endpoint with what a delivery needs.
#[derive(Debug)]
pub struct ReadyEndpoint {
    endpoint: Endpoint,
    /// What cannot be used, as a sentence.
    url: Result<EndpointUrl, String>,
    filter: Result<Option<Filter>, String>,
    signers: Result<Signers, String>,
}

impl ReadyEndpoint {
    fn new(endpoint: &Endpoint, settings: &Settings) -> Self {
        let filter = endpoint.subscription.filter.as_deref().map(Filter::parse).transpose();
        Self {
            endpoint: endpoint.clone(),
            url: EndpointUrl::parse(&endpoint.url, &settings.urls)
                .map_err(|why| format!("the endpoint's URL cannot be used: {why}")),
            filter: filter.map_err(|why| format!("the endpoint's filter cannot be used: {why}")),
            signers: Signers::new(endpoint),
        }
    }

    /// The endpoint as it is configured.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Whether its filter holds for the event. A filter that cannot be used wants everything here, so that the delivery
    /// fails with its sentence instead of vanishing.
    #[must_use]
    pub fn wants(&self, document: &Document<'_>) -> bool {
        self.filter
            .as_ref()
            .ok()
            .and_then(Option::as_ref)
            .is_none_or(|filter| filter.holds(document))
    }

    /// Its URL and signers, if everything about the endpoint can be used.
    pub(crate) fn usable(&self) -> Result<(&EndpointUrl, &Signers), &str> {
        self.filter.as_ref().map_err(String::as_str)?;
        let url = self.url.as_ref().map_err(String::as_str)?;
        Ok((url, self.signers.as_ref().map_err(String::as_str)?))
    }
}

/// The secrets that sign an endpoint's requests, by Standard Webhooks, read once; and the further signature.
#[derive(Debug)]
pub struct Signers {
    pub(crate) provider: &'static Provider,
    pub(crate) extra: Option<Signer>,
    secrets: Vec<(Secret, Option<Time>)>,
}

impl Signers {
    fn new(endpoint: &Endpoint) -> Result<Self, String> {
        let provider = webhook_signatures::find("standard-webhooks")
            .ok_or("this build cannot sign by Standard Webhooks")?;
        let read = |(at, signing): (usize, &crate::endpoint::SigningSecret)| {
            let secret = Secret::parse(provider, signing.secret.reveal())
                .map_err(|why| format!("signing secret number {} cannot be used: {why}", at + 1))?;
            Ok((secret, signing.expires))
        };
        let secrets: Result<_, String> = endpoint.secrets.iter().enumerate().map(read).collect();
        let extra = endpoint.policy.extra_signature.as_ref().map(Signer::new).transpose();
        let extra = extra.map_err(|why| format!("the extra signature cannot be made: {why}"))?;
        Ok(Self { provider, extra, secrets: secrets? })
    }

    /// Whether the endpoint has no secret at all, and so gets unsigned requests.
    pub(crate) fn is_unsigned(&self) -> bool {
        self.secrets.is_empty()
    }

    /// Those that sign at this time.
    pub(crate) fn live(&self, now: Time) -> Vec<Secret> {
        let good = |expires: Option<Time>| expires.is_none_or(|expires| now < expires);
        self.secrets.iter().filter(|(_, expires)| good(*expires)).map(|(s, _)| s.clone()).collect()
    }
}
