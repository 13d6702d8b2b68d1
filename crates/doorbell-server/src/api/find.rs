//! Looking up what a path or a filter names, always within the caller's tenant, and pages of what is configured.

use super::auth::Caller;
use super::input::limit;
use super::refused::Refused;
use doorbell_core::directory::Directory;
use doorbell_core::endpoint::Endpoint;
use doorbell_core::id::{EndpointId, EventId, RequestId, SourceId};
use doorbell_core::name::EventTypePattern;
use doorbell_core::source::Source;
use doorbell_core::time::Time;
use doorbell_store::{EventQuery, FateWord, StateWord};
use doorbell_wire::api::v1::common::{Page, PageQuery};
use doorbell_wire::api::v1::event::EventQuery as EventFilter;
use doorbell_wire::api::v1::text::Moment;
use doorbell_wire::problem::Code;
use std::fmt::Display;
use std::str::FromStr;

/// The source that the path names.
pub(super) fn source<'a>(
    settings: &'a Directory,
    caller: Caller,
    name: &str,
) -> Result<&'a Source, Refused> {
    settings.source_of(caller.tenant, name).ok_or_else(|| Refused::not_found("source"))
}

/// The endpoint that the path names.
pub(super) fn endpoint<'a>(
    settings: &'a Directory,
    caller: Caller,
    name: &str,
) -> Result<&'a Endpoint, Refused> {
    settings.endpoint_of(caller.tenant, name).ok_or_else(|| Refused::not_found("endpoint"))
}

/// The id that the path holds; what is no id of that kind is not there.
pub(super) fn id<T: FromStr>(text: &str, what: &str) -> Result<T, Refused> {
    text.parse().map_err(|_| Refused::not_found(what))
}

/// The event that the path names, or the request that told of it: they share their 26 characters, so either id opens either.
pub(super) fn event_id(text: &str, what: &str) -> Result<EventId, Refused> {
    text.parse().or_else(|_| id::<RequestId>(text, what).map(EventId::from))
}

/// The source that a filter names.
pub(super) fn source_filter(
    settings: &Directory,
    caller: Caller,
    name: Option<&str>,
) -> Result<Option<SourceId>, Refused> {
    name.map(|name| source(settings, caller, name).map(|source| source.id)).transpose()
}

/// The endpoint that a filter names. One that is gone can still be named by its id: its deliveries are kept.
pub(super) fn endpoint_filter(
    settings: &Directory,
    caller: Caller,
    name: Option<&str>,
) -> Result<Option<EndpointId>, Refused> {
    name.map(|name| match (settings.endpoint_of(caller.tenant, name), name.parse()) {
        (Some(endpoint), _) => Ok(endpoint.id),
        (None, Ok(id)) => Ok(id),
        (None, Err(_)) => Err(Refused::not_found("endpoint")),
    })
    .transpose()
}

/// A filter's value that is parsed by itself.
pub(super) fn parsed<T: FromStr<Err: Display>>(
    name: &str,
    text: Option<&str>,
) -> Result<Option<T>, Refused> {
    let read = text.map(str::parse::<T>).transpose();
    read.map_err(|error| Refused::at(Code::Parameter, format!("?{name}"), error.to_string()))
}

/// The state that a filter names.
pub(super) fn state_filter(text: Option<&str>) -> Result<Option<StateWord>, Refused> {
    let read = |word| match word {
        "waiting" => Ok(StateWord::Waiting),
        "delivered" => Ok(StateWord::Delivered),
        "failed" => Ok(StateWord::Failed),
        "discarded" => Ok(StateWord::Discarded),
        _ => Err(Refused::at(
            Code::Parameter,
            "?state",
            "one of waiting, delivered, failed, discarded",
        )),
    };
    text.map(read).transpose()
}

/// The fates that a filter names; `unless` where it names none.
pub(super) fn fates(text: Option<&str>, unless: &[FateWord]) -> Result<Vec<FateWord>, Refused> {
    let Some(text) = text else { return Ok(unless.to_vec()) };
    let read = |word: &str| match word.trim() {
        "accepted" => Ok(FateWord::Accepted),
        "no_endpoint" => Ok(FateWord::NoEndpoint),
        "filtered" => Ok(FateWord::Filtered),
        "duplicate" => Ok(FateWord::Duplicate),
        "rejected" => Ok(FateWord::Rejected),
        _ => Err(Refused::at(
            Code::Parameter,
            "?fate",
            "any of accepted, no_endpoint, filtered, duplicate, rejected, separated by commas",
        )),
    };
    text.split(',').take(10).map(read).collect()
}

/// The time of a filter.
pub(super) fn time(moment: Option<Moment>) -> Option<Time> {
    moment.map(|moment| moment.0)
}

/// A list's parameters as the store takes them.
pub(super) fn event_query(
    settings: &Directory,
    caller: Caller,
    filter: &EventFilter,
    fates_unless: &[FateWord],
) -> Result<EventQuery, Refused> {
    Ok(EventQuery {
        tenant: caller.tenant,
        source: source_filter(settings, caller, filter.source.as_deref())?,
        event_type: parsed::<EventTypePattern>("event_type", filter.event_type.as_deref())?,
        fates: fates(filter.fate.as_deref(), fates_unless)?,
        endpoint: endpoint_filter(settings, caller, filter.endpoint.as_deref())?,
        state: state_filter(filter.state.as_deref())?,
        since: time(filter.since),
        until: time(filter.until),
        cursor: filter.cursor.clone(),
        limit: limit(filter.limit)?,
    })
}

/// One page of what is configured, newest first; the cursor is the last item's id.
pub(super) fn page<T, I: Copy + Ord + Display + FromStr, O>(
    oldest_first: impl DoubleEndedIterator<Item = T>,
    query: &PageQuery,
    id: impl Fn(&T) -> I,
    show: impl Fn(&T) -> O,
) -> Result<Page<O>, Refused> {
    let limit = limit(query.limit)?;
    let cursor = query.cursor.as_deref().map(str::parse::<I>).transpose();
    let before = cursor
        .map_err(|_| Refused::at(Code::Parameter, "?cursor", "not a cursor that this list gave"))?;
    let newest_first = oldest_first.rev();
    let rest = newest_first.filter(|item| before.is_none_or(|before| id(item) < before));
    let mut rest: Vec<T> = rest.take(limit + 1).collect();
    let more = rest.len() > limit;
    rest.truncate(limit);
    let last = rest.last().filter(|_| more).map(|item| id(item).to_string());
    Ok(Page { data: rest.iter().map(show).collect(), next_cursor: last })
}
