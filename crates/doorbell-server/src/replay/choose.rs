//! Which deliveries a replay makes for one event.

use doorbell_core::configuration::{Replay, ReplayChoice};
use doorbell_core::delivery::State;
use doorbell_core::directory::Directory;
use doorbell_core::endpoint::{Endpoint, Status};
use doorbell_core::event::Fate;
use doorbell_core::id::{DeliveryId, EndpointId, EventId, ReplayId, RequestId, TenantId};
use doorbell_core::intake;
use doorbell_core::limits;
use doorbell_core::name::EventTypePattern;
use doorbell_core::time::Time;
use doorbell_store::{
    AnyStore, DeliveryQuery, EventQuery, FateWord, NewDelivery, StateWord, Store as _, StoreError,
};
use std::collections::BTreeSet;

/// An event that was named, and of which a replay makes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its place among those that were named.
    pub place: usize,
    /// Its id.
    pub event: EventId,
    /// Why, and what to do.
    pub why: String,
}

/// What is chosen, and where it goes.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) tenant: TenantId,
    pub(super) choice: ReplayChoice,
    pub(super) to: Option<EndpointId>,
    /// The replay that makes the deliveries; its own earlier ones do not count as originals.
    pub(super) by: ReplayId,
}

impl Wanted {
    pub(super) fn of(replay: &Replay) -> Self {
        Self { tenant: replay.tenant, choice: replay.choice.clone(), to: replay.to, by: replay.id }
    }

    /// The list of events that it walks.
    pub(super) fn query(&self, cursor: Option<String>, limit: usize) -> EventQuery {
        let choice = &self.choice;
        EventQuery {
            tenant: self.tenant,
            source: choice.source,
            event_type: choice.event_type.as_deref().and_then(|t| EventTypePattern::parse(t).ok()),
            fates: vec![FateWord::Accepted, FateWord::NoEndpoint, FateWord::Filtered],
            endpoint: choice.endpoint,
            state: self.state(),
            since: choice.since,
            until: choice.until,
            cursor,
            limit,
        }
    }

    fn state(&self) -> Option<StateWord> {
        match self.choice.state.as_deref() {
            Some("delivered") => Some(StateWord::Delivered),
            Some("failed") => Some(StateWord::Failed),
            Some("discarded") => Some(StateWord::Discarded),
            _ => None,
        }
    }

    /// The events that are named one by one and are there, newest first.
    pub(super) async fn named(&self, store: &AnyStore) -> Result<Vec<EventId>, StoreError> {
        let mut found = BTreeSet::new();
        for id in &self.choice.events {
            let kept = store.event(self.tenant, *id).await?;
            if kept.is_some_and(|kept| kept.fate.is_event()) {
                found.insert(*id);
            }
        }
        Ok(found.into_iter().rev().collect())
    }

    /// Why nothing is made of an event that was named, in words; `None` where something is.
    async fn why_nothing(
        &self,
        store: &AnyStore,
        settings: &Directory,
        event: EventId,
    ) -> Result<Option<String>, StoreError> {
        let Some(kept) = store.event(self.tenant, event).await? else {
            return Ok(Some("it is not there: never received, or too old to be kept".to_owned()));
        };
        let never = match &kept.fate {
            Fate::Rejected(rejection) => Some(format!(
                "it was rejected ({}), and only what was believed is delivered: mend the cause (`doorbell request explain {}`) and have it sent again",
                rejection.reason.word(),
                RequestId::from(event)
            )),
            Fate::Duplicate { of } => Some(format!("it only repeats {of}: replay that one")),
            Fate::Accepted | Fate::NoEndpoint | Fate::Filtered => None,
        };
        if never.is_some() || !self.endpoints(store, settings, event).await?.is_empty() {
            return Ok(never);
        }
        let none_yet = matches!(kept.fate, Fate::NoEndpoint | Fate::Filtered);
        let why = if none_yet && !self.asks_for_delivery() {
            "it went to no endpoint the first time: name one (`to`, `--to`)"
        } else if self.first_ones(store, event).await?.is_empty() {
            "it has no delivery that fits what else was asked for"
        } else {
            "the endpoints that it went to are gone or disabled: name another (`to`, `--to`), or enable them"
        };
        Ok(Some(why.to_owned()))
    }

    /// The events that were named of which nothing is made, with the reason, in the order in which they were named; as many
    /// as could be looked at before it is `late`.
    pub(super) async fn left_out(
        &self,
        (store, settings): (&AnyStore, &Directory),
        late: impl Fn() -> bool,
    ) -> Result<Vec<LeftOut>, StoreError> {
        let mut left = Vec::new();
        for (place, event) in self.each_named() {
            if late() {
                break;
            }
            if let Some(why) = self.why_nothing(store, settings, event).await? {
                left.push(LeftOut { place, event, why });
            }
        }
        Ok(left)
    }

    /// The reasons for each of the events that were named; `None` where something is made of one, or it is `late` before that
    /// is known.
    pub(super) async fn makes_nothing(
        &self,
        (store, settings): (&AnyStore, &Directory),
        late: impl Fn() -> bool,
    ) -> Result<Option<Vec<LeftOut>>, StoreError> {
        let mut left = Vec::new();
        for (place, event) in self.each_named() {
            match self.why_nothing(store, settings, event).await? {
                Some(why) if !late() => left.push(LeftOut { place, event, why }),
                Some(_) | None => return Ok(None),
            }
        }
        Ok(Some(left))
    }

    /// Each event once, with the place at which it was named first.
    fn each_named(&self) -> Vec<(usize, EventId)> {
        let mut seen = BTreeSet::new();
        let named = self.choice.events.iter().copied().enumerate();
        named.filter(|(_, event)| seen.insert(*event)).collect()
    }

    fn asks_for_delivery(&self) -> bool {
        self.choice.endpoint.is_some() || self.choice.state.is_some()
    }

    /// The endpoints to which the event goes again, each once. Those that are gone or disabled get nothing.
    pub(super) async fn endpoints(
        &self,
        store: &AnyStore,
        settings: &Directory,
        event: EventId,
    ) -> Result<BTreeSet<EndpointId>, StoreError> {
        let mut endpoints = match self.to {
            Some(to) if self.is_chosen(store, event).await? => BTreeSet::from([to]),
            Some(_) => BTreeSet::new(),
            None => self.first_ones(store, event).await?,
        };
        endpoints.retain(|id| self.open(settings, *id).is_some());
        Ok(endpoints)
    }

    /// Whether the event has a delivery that fits, where one is asked for. The list of events sees to that itself; events
    /// that are named one by one do not come from it.
    async fn is_chosen(&self, store: &AnyStore, event: EventId) -> Result<bool, StoreError> {
        if self.choice.events.is_empty() || !self.asks_for_delivery() {
            return Ok(true);
        }
        Ok(!self.first_ones(store, event).await?.is_empty())
    }

    /// The endpoints of its deliveries so far that fit.
    async fn first_ones(
        &self,
        store: &AnyStore,
        event: EventId,
    ) -> Result<BTreeSet<EndpointId>, StoreError> {
        let mut query = DeliveryQuery {
            tenant: self.tenant,
            event: Some(event),
            endpoint: self.choice.endpoint,
            state: self.state(),
            replay: None,
            since: None,
            until: None,
            cursor: None,
            limit: limits::PAGE_MAX,
        };
        let mut endpoints = BTreeSet::new();
        loop {
            let page = store.deliveries(query.clone()).await?;
            let own = |id| id == Some(self.by);
            let others = page.items.iter().filter(|row| !own(row.delivery.replay));
            endpoints.extend(others.map(|row| row.delivery.endpoint));
            match page.next {
                Some(next) if endpoints.len() < limits::FANOUT => query.cursor = Some(next),
                Some(_) | None => return Ok(endpoints),
            }
        }
    }

    fn open<'a>(&self, settings: &'a Directory, id: EndpointId) -> Option<&'a Endpoint> {
        let endpoint = settings.endpoint(id)?.endpoint();
        let open = !matches!(endpoint.status, Status::Disabled { .. });
        (open && endpoint.tenant == self.tenant).then_some(endpoint)
    }

    /// The delivery of the event to the endpoint, due now; `None` when the endpoint is closed by now, or the event gone.
    pub(super) async fn delivery(
        &self,
        store: &AnyStore,
        settings: &Directory,
        (event, endpoint): (EventId, EndpointId),
        now: Time,
    ) -> Result<Option<NewDelivery>, StoreError> {
        let Some(endpoint) = self.open(settings, endpoint) else { return Ok(None) };
        let order_key = if endpoint.policy.order.is_some() {
            let Some(kept) = store.event(self.tenant, event).await? else { return Ok(None) };
            intake::planned(endpoint, &kept.event).order_key
        } else {
            None
        };
        Ok(Some(NewDelivery {
            id: delivery_id(self.by, event, endpoint.id),
            endpoint: endpoint.id,
            order_key,
            state: State::Waiting { due: now },
            replay: Some(self.by),
            lend: false,
        }))
    }
}

/// The id of the delivery that this replay makes of this event for this endpoint: always the same. Its time is the
/// replay's; its dice are a hash of all three.
pub(super) fn delivery_id(replay: ReplayId, event: EventId, endpoint: EndpointId) -> DeliveryId {
    let mut text = [0_u8; 48];
    let parts = [replay.bytes(), event.bytes(), endpoint.bytes()];
    text.copy_from_slice(parts.as_flattened());
    let digest = ring::digest::digest(&ring::digest::SHA256, &text);
    let dice = digest.as_ref().first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes));
    DeliveryId::new(replay.at(), dice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_deliveries_are_always_the_same_and_never_shared() {
        let now = Time::from_ms(1_000);
        let ids = |r, e, p| {
            delivery_id(ReplayId::new(now, r), EventId::new(now, e), EndpointId::new(now, p))
        };
        assert_eq!(ids(1, 2, 3), ids(1, 2, 3));
        let all = BTreeSet::from([ids(1, 2, 3), ids(1, 3, 2), ids(2, 1, 3), ids(3, 2, 1)]);
        assert_eq!(all.len(), 4);
        assert_eq!(ids(1, 2, 3).at(), now);
    }
}
