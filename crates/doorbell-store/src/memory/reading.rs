//! What the model answers when it is asked: plain walks over everything, newest first.

use super::world::{Kept, Parcel, World};
use crate::search;
use crate::store::{
    Backlog, Cursor, DeliveryQuery, DeliveryRow, EventDetail, EventQuery, EventRow, FateWord,
    Locator, Page, Search, SearchHit, SearchPage, StateWord, Stats, StoreError, Tally,
    WaitingCount,
};
use doorbell_core::attempt::Attempt;
use doorbell_core::delivery::State;
use doorbell_core::event::Event;
use doorbell_core::id::{DeliveryId, EventId, TenantId};
use doorbell_core::limits;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Events that one call of a search looks at.
const SEARCH_STEP: usize = 1_000;

impl World {
    pub(super) fn list_events(&self, query: &EventQuery) -> Result<Page<EventRow>, StoreError> {
        let before = match &query.cursor {
            None => u64::MAX,
            Some(cursor) => cursor.parse().map_err(|_| StoreError::BadCursor)?,
        };
        let fitting = self.events.range(..before).rev().filter(|(_, kept)| self.fits(query, kept));
        let rows = fitting.map(|(place, kept)| (place.to_string(), self.event_row(kept)));
        Ok(page(rows, query.limit))
    }

    fn fits(&self, query: &EventQuery, kept: &Kept) -> bool {
        let event = &kept.event;
        let by_delivery = query.endpoint.is_some() || query.state.is_some();
        event.tenant == query.tenant
            && query.source.is_none_or(|source| event.origin.source() == Some(source))
            && query.event_type.as_ref().is_none_or(|pattern| {
                event.event_type.as_ref().is_some_and(|event_type| pattern.fits(event_type))
            })
            && (query.fates.is_empty() || query.fates.contains(&FateWord::of(&kept.fate)))
            && query.since.is_none_or(|since| event.at >= since)
            && query.until.is_none_or(|until| event.at < until)
            && (!by_delivery
                || self.parcels_of(kept).any(|parcel| {
                    let delivery = &parcel.delivery;
                    query.endpoint.is_none_or(|endpoint| delivery.endpoint == endpoint)
                        && query.state.is_none_or(|word| StateWord::of(&delivery.state) == word)
                }))
    }

    fn parcels_of<'a>(&'a self, kept: &'a Kept) -> impl Iterator<Item = &'a Parcel> {
        kept.deliveries.iter().filter_map(|id| self.parcels.get(id))
    }

    fn event_row(&self, kept: &Kept) -> EventRow {
        EventRow {
            id: kept.event.id,
            at: kept.event.at,
            source: kept.event.origin.source(),
            event_type: kept.event.event_type.clone(),
            fate: kept.fate.clone(),
            method: kept.event.request.method.clone(),
            body_len: kept.event.request.body.len() as u64,
            tally: self.tally(kept),
        }
    }

    fn tally(&self, kept: &Kept) -> Tally {
        let mut tally = Tally::default();
        for parcel in self.parcels_of(kept) {
            tally.add(StateWord::of(&parcel.delivery.state), 1);
        }
        tally
    }

    pub(super) fn one_event(&self, tenant: TenantId, id: EventId) -> Option<EventDetail> {
        let kept = self.events.get(self.by_id.get(&id)?)?;
        (kept.event.tenant == tenant).then(|| EventDetail {
            event: Event::clone(&kept.event),
            fate: kept.fate.clone(),
            tally: self.tally(kept),
        })
    }

    pub(super) fn event_at(&self, locator: Locator) -> Result<Arc<Event>, StoreError> {
        let kept = self.events.get(&locator.0);
        kept.map(|kept| Arc::clone(&kept.event))
            .ok_or_else(|| StoreError::Failed("there is no event at that place".to_owned()))
    }

    pub(super) fn list_deliveries(
        &self,
        query: &DeliveryQuery,
    ) -> Result<Page<DeliveryRow>, StoreError> {
        let before = match &query.cursor {
            None => (u64::MAX, 0),
            Some(cursor) => parse_place(cursor).ok_or(StoreError::BadCursor)?,
        };
        let mut parcels: Vec<&Parcel> = self
            .parcels
            .values()
            .filter(|parcel| parcel.place < before && self.delivery_fits(query, parcel))
            .collect();
        parcels.sort_unstable_by_key(|parcel| std::cmp::Reverse(parcel.place));
        let rows = parcels.into_iter().filter_map(|parcel| {
            let (event, nth) = parcel.place;
            Some((format!("{event}.{nth}"), self.delivery_row(parcel)?))
        });
        Ok(page(rows, query.limit))
    }

    fn delivery_fits(&self, query: &DeliveryQuery, parcel: &Parcel) -> bool {
        let delivery = &parcel.delivery;
        let Some(kept) = self.events.get(&parcel.place.0) else { return false };
        delivery.tenant == query.tenant
            && query.event.is_none_or(|event| delivery.event == event)
            && query.endpoint.is_none_or(|endpoint| delivery.endpoint == endpoint)
            && query.state.is_none_or(|word| StateWord::of(&delivery.state) == word)
            && query.replay.is_none_or(|replay| delivery.replay == Some(replay))
            && query.since.is_none_or(|since| kept.event.at >= since)
            && query.until.is_none_or(|until| kept.event.at < until)
    }

    fn delivery_row(&self, parcel: &Parcel) -> Option<DeliveryRow> {
        let kept = self.events.get(&parcel.place.0)?;
        Some(DeliveryRow {
            delivery: parcel.delivery.clone(),
            in_flight: self.is_in_flight(parcel.delivery.id),
            event_type: kept.event.event_type.clone(),
            at: kept.event.at,
            updated: parcel.updated,
            last: parcel.last,
        })
    }

    fn parcel_of(&self, tenant: TenantId, id: DeliveryId) -> Option<&Parcel> {
        self.parcels.get(&id).filter(|parcel| parcel.delivery.tenant == tenant)
    }

    pub(super) fn one_delivery(&self, tenant: TenantId, id: DeliveryId) -> Option<DeliveryRow> {
        self.delivery_row(self.parcel_of(tenant, id)?)
    }

    pub(super) fn attempts_of(&self, tenant: TenantId, id: DeliveryId) -> Vec<Attempt> {
        self.parcel_of(tenant, id).map(|parcel| parcel.attempts.clone()).unwrap_or_default()
    }

    pub(super) fn backlogs(&self) -> Vec<Backlog> {
        let mut earliest = BTreeMap::new();
        for (id, parcel) in &self.parcels {
            if let State::Waiting { due } = parcel.delivery.state
                && !self.lent.contains_key(id)
            {
                let first = earliest.entry(parcel.delivery.endpoint).or_insert(due);
                *first = due.min(*first);
            }
        }
        earliest.into_iter().map(|(endpoint, next_due)| Backlog { endpoint, next_due }).collect()
    }

    pub(super) fn waiting_counts(&self) -> Vec<WaitingCount> {
        let mut counts = BTreeMap::new();
        for parcel in self.parcels.values() {
            if !parcel.delivery.state.is_settled() {
                *counts.entry(parcel.delivery.endpoint).or_insert(0) += 1;
            }
        }
        let waiting = |(endpoint, deliveries)| WaitingCount { endpoint, deliveries };
        counts.into_iter().map(waiting).collect()
    }

    /// A bounded piece of work by number of events instead of time: the model has no clock.
    pub(super) fn look_for(&self, search: &Search) -> Result<SearchPage, StoreError> {
        let mut among = search.among.clone();
        let mut found = SearchPage { hits: Vec::new(), next: None, reached: None, scanned: 0 };
        among.limit = 1;
        for _ in 0..SEARCH_STEP {
            let page = self.list_events(&among)?;
            among.cursor.clone_from(&page.next);
            found.next = page.next;
            for row in page.items {
                found.scanned += 1;
                found.reached = Some(row.at);
                found.hits.extend(self.hit(search, row));
            }
            if found.next.is_none() || found.hits.len() >= limit(search.among.limit) {
                break;
            }
        }
        Ok(found)
    }

    fn hit(&self, search: &Search, row: EventRow) -> Option<SearchHit> {
        let kept = self.events.get(self.by_id.get(&row.id)?)?;
        search::find(&kept.event.request, search).map(|excerpt| SearchHit { row, excerpt })
    }

    pub(super) fn count(&self) -> Stats {
        let in_state = |word| {
            let states = self.parcels.values().map(|parcel| &parcel.delivery.state);
            states.filter(|state| StateWord::of(state) == word).count() as u64
        };
        Stats {
            events: self.events.len() as u64,
            waiting: in_state(StateWord::Waiting),
            failed: in_state(StateWord::Failed),
            bytes: self.bytes(),
            bytes_free: u64::MAX,
            oldest: self.events.values().map(|kept| kept.event.at).min(),
            unkept: 0,
        }
    }
}

fn limit(asked: usize) -> usize {
    asked.clamp(1, limits::PAGE_MAX)
}

fn parse_place(cursor: &str) -> Option<(u64, usize)> {
    let (event, nth) = cursor.split_once('.')?;
    Some((event.parse().ok()?, nth.parse().ok()?))
}

/// The first `limit` of the rows; where there are more, the cursor is the place of the last.
fn page<T>(mut rows: impl Iterator<Item = (Cursor, T)>, asked: usize) -> Page<T> {
    let mut items = Vec::new();
    let mut last = None;
    for (place, row) in rows.by_ref().take(limit(asked)) {
        items.push(row);
        last = Some(place);
    }
    Page { items, next: if rows.next().is_some() { last } else { None } }
}
