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
use doorbell_core::credentials::Credentials;
use doorbell_core::request::Request;
use doorbell_store::{Search, SearchHit, SearchPage, Store, StoreError};
use doorbell_wire::api::v1::event::RequestLine;
use doorbell_wire::api::v1::http::BodyOut;
use doorbell_wire::api::v1::redact::{self, Veil, View};
use doorbell_wire::api::v1::search::{
    BUDGET_DEFAULT, BUDGET_MAX, BrokenOff, DoneOut, HitOut, ProgressOut, SearchLine, SearchQuery,
    TEXT_MAX,
};
use doorbell_wire::api::v1::text::Moment;
use doorbell_wire::problem::Code;
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use memchr::memmem;
use std::convert::Infallible;
use std::time::Duration;

/// Bytes that are shown of a query or a header value.
const EXCERPT: usize = 200;

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
    let left = search.among.limit;
    let looking = Looking { left, scanned: 0, hits: 0, until, search, state, caller };
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
    let settings = state.configured.directory();
    let among = find::event_query(&settings, caller, &query.among(), &[])?;
    let pointer = query.pointer.clone().map(|pointer| (pointer, query.equals.clone()));
    Ok(Search { among, text: text.into(), pointer, budget: STEP })
}

/// A search under way.
struct Looking {
    state: ApiState,
    caller: Caller,
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
            Ok(mut page) => {
                if let Err(error) = self.keep_visible(&mut page).await {
                    return (broken_off(error), None);
                }
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

    /// Leaves out what the caller could not see: a search that finds in it would tell it letter by letter.
    async fn keep_visible(&self, page: &mut SearchPage) -> Result<(), StoreError> {
        if self.caller.view == View::Whole {
            return Ok(());
        }
        let directory = self.state.configured.directory();
        for hit in std::mem::take(&mut page.hits) {
            let store = &self.state.admitting.store;
            let Some(found) = store.event(self.caller.tenant, hit.row.id).await? else { continue };
            let known = Credentials::of(found.event.origin, &directory);
            let veil = Veil::of(self.caller.view, &known);
            let excerpt = visible(&found.event.request, &self.search, veil, hit.excerpt);
            page.hits.extend(excerpt.map(|excerpt| SearchHit { row: hit.row, excerpt }));
        }
        Ok(())
    }

    fn lines_of(&mut self, page: &SearchPage) -> Vec<u8> {
        let settings = self.state.configured.directory();
        let mut lines = Vec::new();
        for hit in page.hits.iter().take(self.left) {
            let request = RequestLine::of(shown(&hit.row), &settings);
            let hit = HitOut { request, excerpt: excerpt(hit) };
            push(&mut lines, &SearchLine::Hit(Box::new(hit)));
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

/// What may be shown of a find, if all of it stands where the caller may look. The store looks into the body first.
fn visible(request: &Request, search: &Search, veil: Veil<'_>, excerpt: Bytes) -> Option<Bytes> {
    if !veil.hides_body(&request.body) {
        if memmem::find(&request.body, &search.text).is_some() {
            return Some(excerpt);
        }
    } else if search.pointer.is_some() {
        return None;
    }
    let query = request.query.as_deref().map(|raw| redact::query(veil, raw).into_bytes());
    let headers = request.headers.iter().filter(|(name, value)| !veil.hides_header(name, value));
    let mut seen = query.into_iter().chain(headers.map(|(_, value)| value.to_vec()));
    let found = seen.find(|bytes| memmem::find(bytes, &search.text).is_some())?;
    let cut = found.len().min(EXCERPT);
    Some(Bytes::from(found).slice(..cut))
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
