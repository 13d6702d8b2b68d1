//! The live feed as Server-Sent Events (WHATWG HTML, section 9.2). It costs nothing while nobody watches, and ends with the
//! token by which it was opened.

use super::auth::{Caller, Pass};
use super::find;
use super::input::Query;
use super::refused::Refused;
use super::state::ApiState;
use crate::live::{Happening, Heard, Received, Tried, Watcher};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doorbell_core::delivery::State as DeliveryStage;
use doorbell_core::id::{EndpointId, SourceId, TenantId};
use doorbell_core::name::{EventTypePattern, Label};
use doorbell_wire::api::v1::delivery::DeliveryState;
use doorbell_wire::api::v1::event::{RequestLine, Row, TallyOut};
use doorbell_wire::api::v1::live::{LiveLine, LiveQuery, MissedOut, TriedOut};
use doorbell_wire::api::v1::text::Moment;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How often a comment is sent while nothing happens, so that a dead connection is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

pub(super) async fn watch(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<LiveQuery>,
) -> Result<Response, Refused> {
    let settings = state.configured.directory();
    let wanted = Wanted {
        tenant: caller.tenant,
        source: find::source_filter(&settings, caller, query.source.as_deref())?,
        endpoint: find::endpoint_filter(&settings, caller, query.endpoint.as_deref())?,
        event_type: find::parsed("event_type", query.event_type.as_deref())?,
    };
    let watcher = state.admitting.live.watch();
    let feed = Feed { watcher, by: caller.by, state, wanted };
    let opening = stream::once(async { Ok(Bytes::from_static(b": watching\n\n")) });
    let events = stream::unfold(feed, |mut feed| async {
        let text = feed.next().await?;
        Some((Ok::<Bytes, Infallible>(text), feed))
    });
    let body = Body::from_stream(stream::StreamExt::chain(opening, events));
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    Ok((headers, body).into_response())
}

/// What a watcher wants to see.
struct Wanted {
    tenant: TenantId,
    source: Option<SourceId>,
    endpoint: Option<EndpointId>,
    event_type: Option<EventTypePattern>,
}

impl Wanted {
    fn fits(&self, happening: &Happening) -> bool {
        happening.tenant() == self.tenant
            && match happening {
                Happening::Received(received) => self.fits_received(received),
                Happening::Tried(tried) => {
                    self.source.is_none()
                        && self.event_type.is_none()
                        && self.endpoint.is_none_or(|endpoint| tried.endpoint == endpoint)
                }
            }
    }

    fn fits_received(&self, received: &Received) -> bool {
        self.endpoint.is_none()
            && self.source.is_none_or(|source| received.source == Some(source))
            && self.event_type.as_ref().is_none_or(|pattern| {
                received.event_type.as_ref().is_some_and(|event_type| pattern.fits(event_type))
            })
    }
}

struct Feed {
    watcher: Watcher,
    by: Pass,
    state: ApiState,
    wanted: Wanted,
}

impl Feed {
    /// The next event, or a comment when nothing happens for a while; `None` when the node drains, or the token by which
    /// it was opened is gone.
    async fn next(&mut self) -> Option<Bytes> {
        let health = Arc::clone(&self.state.admitting.health);
        let state = self.state.clone();
        let next = tokio::select! {
            () = health.draining() => None,
            () = ended(self.by, &state) => None,
            next = self.next_or_heartbeat() => next,
        };
        next.filter(|_| self.by.is_good(&self.state))
    }

    async fn next_or_heartbeat(&mut self) -> Option<Bytes> {
        let next = async {
            loop {
                match self.watcher.next().await? {
                    Heard::Happened(happening) if !self.wanted.fits(&happening) => {}
                    Heard::Happened(happening) => return Some(self.line(&happening)),
                    Heard::Missed(count) => return Some(LiveLine::Missed(MissedOut { count })),
                }
            }
        };
        match tokio::time::timeout(HEARTBEAT, next).await {
            Ok(line) => line.map(|line| event(&line)),
            Err(_) => Some(Bytes::from_static(b": still here\n\n")),
        }
    }

    fn line(&self, happening: &Happening) -> LiveLine {
        let settings = self.state.configured.directory();
        match happening {
            Happening::Received(received) => {
                LiveLine::Received(Box::new(RequestLine::of(row(received), &settings)))
            }
            Happening::Tried(tried) => {
                LiveLine::Tried(shown(tried, settings.endpoint_name(tried.endpoint)))
            }
        }
    }
}

/// Returns when a change took the token away.
async fn ended(by: Pass, state: &ApiState) {
    let mut changes = state.configured.watch();
    while by.is_good(state) {
        if changes.next().await.is_none() {
            return;
        }
    }
}

fn row(received: &Received) -> Row<'_> {
    Row {
        id: received.id,
        at: received.at,
        source: received.source,
        event_type: received.event_type.as_ref(),
        method: &received.method,
        fate: &received.fate,
        body_len: u64::try_from(received.body_len).unwrap_or(u64::MAX),
        tally: TallyOut::default(),
    }
}

fn shown(tried: &Tried, name: Option<&Label>) -> TriedOut {
    let (state, due) = match tried.state {
        DeliveryStage::Waiting { due } if due > tried.at => (DeliveryState::Scheduled, Some(due)),
        DeliveryStage::Waiting { due } => (DeliveryState::Pending, Some(due)),
        DeliveryStage::Delivered { .. } => (DeliveryState::Delivered, None),
        DeliveryStage::Failed { .. } => (DeliveryState::Failed, None),
        DeliveryStage::Discarded { .. } => (DeliveryState::Discarded, None),
    };
    TriedOut {
        delivery: tried.delivery.to_string(),
        event: tried.event.to_string(),
        endpoint: tried.endpoint.to_string(),
        endpoint_name: name.map(ToString::to_string),
        endpoint_removed: name.is_none(),
        at: Moment(tried.at),
        attempt: tried.attempt,
        status: tried.ending.status(),
        error: tried.ending.class().map(|class| class.word().to_owned()),
        state,
        due_at: due.map(Moment),
    }
}

/// One event; JSON has no line's end in it.
fn event(line: &LiveLine) -> Bytes {
    let json = serde_json::to_string(line).unwrap_or_default();
    Bytes::from(format!("data: {json}\n\n"))
}
