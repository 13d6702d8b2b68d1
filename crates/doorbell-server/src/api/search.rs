//! Searching payloads: a stream of lines. The store looks in bounded pieces of work; between them the stream says how far
//! it is, and it ends by itself when enough was found, everything was looked at, or its time is over.

use super::auth::Caller;
use super::events::shown;
use super::find;
use super::input::{Query, problem_of};
use super::refused::Refused;
use super::state::ApiState;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use doorbell_store::{Search, SearchHit, SearchPage, Store, StoreError};
use doorbell_wire::api::v1::event::EventLine;
use doorbell_wire::api::v1::http::BodyOut;
use doorbell_wire::api::v1::search::{
    BUDGET_DEFAULT, BUDGET_MAX, BrokenOff, DoneOut, HitOut, ProgressOut, SearchLine, SearchQuery,
    TEXT_MAX,
};
use doorbell_wire::api::v1::text::Moment;
use doorbell_wire::problem::Code;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use std::convert::Infallible;
use std::time::Duration;

/// How long the store looks before the stream says how far it is.
const STEP: Duration = Duration::from_millis(500);

pub(super) async fn find(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<SearchQuery>,
) -> Result<Response, Refused> {
    let search = read(&state, caller, &query)?;
    let budget = query.budget.map_or(BUDGET_DEFAULT, |span| span.0);
    if budget > BUDGET_MAX {
        return Err(Refused::at(Code::Parameter, "?budget", "at most 5m"));
    }
    let until = state.admitting.clock.monotonic().saturating_add(budget);
    let looking = Looking { left: search.among.limit, scanned: 0, hits: 0, until, search, state };
    let lines = stream::unfold(Some(looking), |looking| async {
        let (lines, rest) = looking?.step().await;
        Some((Ok::<Bytes, Infallible>(lines), rest))
    });
    let headers = [(CONTENT_TYPE, "application/x-ndjson"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(lines)).into_response())
}

fn read(state: &ApiState, caller: Caller, query: &SearchQuery) -> Result<Search, Refused> {
    let text = query.text.clone().unwrap_or_default();
    if text.len() > TEXT_MAX {
        return Err(Refused::at(Code::Parameter, "?text", format!("at most {TEXT_MAX} bytes")));
    }
    if text.is_empty() && query.pointer.is_none() {
        return Err(Refused::at(Code::Parameter, "?text", "give text or pointer"));
    }
    if query.pointer.as_ref().is_some_and(|p| !p.starts_with('/') || p.len() > TEXT_MAX) {
        return Err(Refused::at(Code::Parameter, "?pointer", "a JSON pointer such as /data/id"));
    }
    let settings = state.configured.snapshot();
    let among = find::event_query(&settings, caller, &query.among(), &[])?;
    let pointer = query.pointer.clone().map(|pointer| (pointer, query.equals.clone()));
    Ok(Search { among, text: text.into(), pointer, budget: STEP })
}

/// A search under way.
struct Looking {
    state: ApiState,
    search: Search,
    /// Hits that may still be sent.
    left: usize,
    scanned: u64,
    hits: u64,
    /// When its time is over, by the monotonic clock.
    until: Duration,
}

impl Looking {
    /// Looks for one step: the lines to be sent, and the rest of the search unless this was its end.
    async fn step(mut self) -> (Bytes, Option<Self>) {
        match self.state.admitting.store.search(self.search.clone()).await {
            Ok(page) => {
                let mut lines = self.lines_of(&page);
                let over = self.left == 0 || self.state.admitting.clock.monotonic() >= self.until;
                let rest = if page.next.is_none() || over {
                    push(&mut lines, &self.done(page));
                    None
                } else {
                    self.search.among.cursor = page.next;
                    self.search.among.limit = self.left;
                    Some(self)
                };
                (lines.into(), rest)
            }
            Err(error) => (broken_off(error), None),
        }
    }

    fn lines_of(&mut self, page: &SearchPage) -> Vec<u8> {
        let settings = self.state.configured.snapshot();
        let mut lines = Vec::new();
        for hit in page.hits.iter().take(self.left) {
            let event = EventLine::of(shown(&hit.row), &settings.names);
            push(&mut lines, &SearchLine::Hit(Box::new(HitOut { event, excerpt: excerpt(hit) })));
        }
        let sent = page.hits.len().min(self.left);
        self.left -= sent;
        self.hits = self.hits.saturating_add(u64::try_from(sent).unwrap_or(u64::MAX));
        self.scanned = self.scanned.saturating_add(page.scanned);
        let reached = page.reached.map(Moment);
        push(&mut lines, &SearchLine::Progress(ProgressOut { scanned: self.scanned, reached }));
        lines
    }

    fn done(&self, page: SearchPage) -> SearchLine {
        SearchLine::Done(DoneOut {
            scanned: self.scanned,
            hits: self.hits,
            reached: page.reached.map(Moment),
            next_cursor: page.next,
        })
    }
}

fn excerpt(hit: &SearchHit) -> BodyOut {
    BodyOut::of(&hit.excerpt, None)
}

fn broken_off(error: StoreError) -> Bytes {
    let problem = problem_of(error);
    let mut line = Vec::new();
    push(&mut line, &SearchLine::Problem(BrokenOff { code: problem.code, detail: problem.detail }));
    line.into()
}

fn push(lines: &mut Vec<u8>, line: &SearchLine) {
    match serde_json::to_vec(line) {
        Ok(text) => {
            lines.extend(text);
            lines.push(b'\n');
        }
        Err(error) => tracing::error!(%error, "a line of a search could not be written"),
    }
}
