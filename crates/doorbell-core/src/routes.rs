//! Which endpoints an event goes to: a table of the places where endpoints stand by tenant, source and event type.

use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::id::{EndpointId, SourceId, TenantId};
use crate::limits;
use crate::name::{EventType, EventTypePattern};
use crate::ready::ReadyEndpoint;
use rpds::RedBlackTreeMapSync;
use std::sync::Arc;

/// A map of which the next version shares all that has not changed with the one before.
pub(crate) type Map<K, V> = RedBlackTreeMapSync<K, V>;

/// A place in the table; `None` stands for any source, or for any type (or types by pattern).
type Place = (TenantId, Option<SourceId>, Option<EventType>);

/// The table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes(Map<Place, Map<EndpointId, Arc<ReadyEndpoint>>>);

impl Routes {
    pub(crate) fn put(&mut self, ready: &Arc<ReadyEndpoint>) {
        let endpoint = ready.endpoint();
        for place in places_of(endpoint) {
            let there = self.0.get(&place).cloned().unwrap_or_default();
            self.0.insert_mut(place, there.insert(endpoint.id, Arc::clone(ready)));
        }
    }

    pub(crate) fn remove(&mut self, endpoint: &Endpoint) {
        for place in places_of(endpoint) {
            match self.0.get(&place).map(|there| there.remove(&endpoint.id)) {
                Some(rest) if !rest.is_empty() => self.0.insert_mut(place, rest),
                Some(_) => drop(self.0.remove_mut(&place)),
                None => {}
            }
        }
    }

    /// The endpoints that subscribe to the event by source, type and channel, each once, oldest first in each place.
    pub(crate) fn of<'a>(
        &'a self,
        event: &'a Event,
    ) -> impl Iterator<Item = &'a Arc<ReadyEndpoint>> {
        places(event)
            .filter_map(|place| self.0.get(&place))
            .flat_map(Map::values)
            .filter(|ready| subscribes(ready.endpoint(), event))
    }

    /// An endpoint that names this source, if there is one.
    pub(crate) fn naming(&self, tenant: TenantId, source: SourceId) -> Option<&Arc<ReadyEndpoint>> {
        let from: Place = (tenant, Some(source), None);
        let (place, there) = self.0.range(from..).next()?;
        let theirs = place.0 == tenant && place.1 == Some(source);
        there.values().next().filter(|_| theirs)
    }
}

/// The places of the table where an event's endpoints stand. An endpoint stands in only one of them.
fn places(event: &Event) -> impl Iterator<Item = Place> {
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
fn places_of(endpoint: &Endpoint) -> Vec<Place> {
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
