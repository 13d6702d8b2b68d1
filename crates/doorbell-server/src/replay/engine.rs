//! The one task that runs all replays: a step at a time, each step one page of the list or one batch of deliveries.

use super::Replays;
use super::choose::{LeftOut, Wanted};
use crate::clock::Clock;
use crate::configured::Configured;
use crate::tasks::{Stage, Stop};
use doorbell_core::configuration::{Replay, ReplayState};
use doorbell_core::directory::Directory;
use doorbell_core::id::{EndpointId, EventId, ReplayId};
use doorbell_core::time::Time;
use doorbell_store::{Amended, Amendment, AnyStore, Store as _, StoreError};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Events of one page of the walk.
const PAGE: usize = 200;
/// Deliveries of one batch, at most.
const BATCH: u64 = 500;
/// Batches a second, where the rate is high enough for that many.
const BATCHES_PER_SECOND: u64 = 10;
/// How long to wait after the store failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Pages that one replay may have: twenty million events.
const PAGES: usize = 100_000;
/// Names the page under way in [`Replay::cursor`] when it is the first one of the list, which has no cursor.
const FIRST_PAGE: &str = "first";

/// Runs the replays.
#[derive(Debug)]
pub struct Engine {
    store: Arc<AnyStore>,
    configured: Arc<Configured>,
    replays: Replays,
    clock: Clock,
    jobs: BTreeMap<ReplayId, Job>,
}

/// What is known of a replay under way, in memory only.
#[derive(Debug)]
struct Job {
    wanted: Wanted,
    /// Not before.
    next: Time,
    phase: Phase,
}

/// Whether a replay goes on after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    More,
    Over,
}

#[derive(Debug)]
enum Phase {
    /// Counting, and finding where the pages begin.
    Walking(Walk),
    /// Making deliveries.
    Making(Make),
}

/// A walk over the list, newest first.
#[derive(Debug)]
struct Walk {
    /// Where the pages seen so far begin, the newest first.
    pages: Vec<Option<String>>,
    /// Where the next page begins.
    next: Option<String>,
    plan: Plan,
    /// The page that was under way when the node stopped.
    resume: Option<String>,
}

/// What a replay would make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plan {
    /// Deliveries.
    pub deliveries: u64,
    /// Events that were looked at.
    pub events: u64,
    /// Whether the end of the list was reached.
    pub complete: bool,
}

#[derive(Debug)]
struct Make {
    /// Where the pages that are left begin, the newest first; the last one is next.
    pages: Vec<Option<String>>,
    /// What is left of the page under way, oldest event first.
    page: VecDeque<(EventId, EndpointId)>,
    /// Deliveries made, those of the page under way included.
    made: u64,
    /// Whether the page under way may have been made in part before.
    doubt: bool,
    /// Whether all pages may have been.
    doubt_all: bool,
}

impl Engine {
    /// Takes up the replays that were under way when the node stopped.
    #[must_use]
    pub fn new(
        store: Arc<AnyStore>,
        configured: Arc<Configured>,
        replays: Replays,
        clock: Clock,
    ) -> Self {
        Self { store, configured, replays, clock, jobs: BTreeMap::new() }
    }

    /// Runs until the node drains.
    pub async fn run(mut self, mut stop: Stop) {
        loop {
            let next = self.step().await;
            let wait = next.map(|next| next.since(self.clock.now()));
            let replays = self.replays.clone();
            let news = replays.0.news.notified();
            tokio::select! {
                () = stop.reached(Stage::Draining) => return,
                () = news => {}
                () = sleep(wait) => {}
            }
        }
    }

    /// Does one step of each replay that is due for one. Says when the next one is; `None`: nothing is under way.
    pub async fn step(&mut self) -> Option<Time> {
        self.take_up();
        let now = self.clock.now();
        let due: Vec<ReplayId> =
            self.jobs.iter().filter(|(_, job)| job.next <= now).map(|(id, _)| *id).collect();
        for id in due {
            if let Some(job) = self.jobs.remove(&id)
                && let Some(job) = self.one(id, job, now).await
            {
                self.jobs.insert(id, job);
            }
        }
        self.jobs.values().map(|job| job.next).min()
    }

    /// Begins the jobs of replays that are new, and drops those of replays that are over or another node's by now.
    fn take_up(&mut self) {
        let running: BTreeMap<ReplayId, Replay> = self
            .replays
            .known()
            .iter()
            .filter(|(id, replay)| {
                replay.state == ReplayState::Running && self.store.owns(id.bytes())
            })
            .map(|(id, replay)| (*id, replay.clone()))
            .collect();
        self.jobs.retain(|id, _| running.contains_key(id));
        for (id, replay) in running {
            self.jobs.entry(id).or_insert_with(|| Job::new(&replay));
        }
    }

    /// One step of one replay; `None` when it is over.
    async fn one(&self, id: ReplayId, mut job: Job, now: Time) -> Option<Job> {
        let settings = self.configured.directory();
        let done = match &mut job.phase {
            Phase::Walking(_) => self.walk(id, &mut job, &settings).await,
            Phase::Making(_) => self.make(id, &mut job, &settings).await,
        };
        match done {
            Ok(After::More) => Some(job),
            Ok(After::Over) => None,
            Err(error) => {
                tracing::warn!(replay = %id, %error, "a replay has to wait for the store");
                if let Phase::Making(make) = &mut job.phase {
                    make.doubt = true;
                }
                job.next = now.after(PAUSE);
                Some(job)
            }
        }
    }

    /// Walks one page; at the end of the list the making begins.
    async fn walk(
        &self,
        id: ReplayId,
        job: &mut Job,
        settings: &Directory,
    ) -> Result<After, StoreError> {
        let Phase::Walking(walk) = &mut job.phase else { return Ok(After::More) };
        if !walk.page(&self.store, settings, &job.wanted).await? {
            return Ok(After::More);
        }
        let plan = walk.plan;
        let (found, make) = walk.begin_making();
        let now = self.clock.now();
        let advanced = self.replays.advance(id, |replay| {
            replay.updated = now;
            if !found {
                (replay.made, replay.planned) = (0, plan.deliveries);
                replay.cursor = Some(page_name(make.pages.last()));
            }
        });
        let Some(replay) = advanced.await? else { return Ok(After::Over) };
        job.phase = Phase::Making(Make { made: replay.made, ..make });
        Ok(After::More)
    }

    /// Makes one batch; at a page's end its progress is made durable.
    async fn make(
        &self,
        id: ReplayId,
        job: &mut Job,
        settings: &Directory,
    ) -> Result<After, StoreError> {
        let Some(replay) = self.replays.running_one(id) else { return Ok(After::Over) };
        let Phase::Making(make) = &mut job.phase else { return Ok(After::More) };
        if make.page.is_empty()
            && let Some(start) = make.pages.last().cloned()
        {
            make.page = read_page(&self.store, settings, (&job.wanted, start)).await?;
        }
        let rate = u64::from(replay.rate_per_second.max(1));
        let batch = (rate / BATCHES_PER_SECOND).clamp(1, BATCH);
        let took = self.batch(&job.wanted, make, settings, batch).await?;
        let now = self.clock.now();
        self.replays.show_made(id, make.made, now);
        job.next = now.after(Duration::from_millis(took.saturating_mul(1000) / rate));
        if make.page.is_empty() { self.page_done(id, make, now).await } else { Ok(After::More) }
    }

    /// Makes progress durable; after the last page the replay is done.
    async fn page_done(
        &self,
        id: ReplayId,
        make: &mut Make,
        now: Time,
    ) -> Result<After, StoreError> {
        let left = make.pages.split_last().map_or(&[] as &[_], |(_, left)| left);
        let (made, cursor) = (make.made, left.last().map(|start| page_name(Some(start))));
        let advanced = self.replays.advance(id, |replay| {
            (replay.made, replay.updated) = (made, now);
            match cursor {
                Some(page) => replay.cursor = Some(page),
                None => replay.state = ReplayState::Done,
            }
        });
        let advanced = advanced.await?;
        make.pages.pop();
        make.doubt = make.doubt_all;
        let more = advanced.is_some_and(|replay| replay.state == ReplayState::Running);
        Ok(if more { After::More } else { After::Over })
    }

    /// Makes up to `most` deliveries of the page under way, and says how many.
    async fn batch(
        &self,
        wanted: &Wanted,
        make: &mut Make,
        settings: &Directory,
        most: u64,
    ) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let count = usize::try_from(most).unwrap_or(usize::MAX).min(make.page.len());
        let mut amendments = Vec::with_capacity(count);
        let mut there = 0;
        for (event, endpoint) in make.page.iter().take(count) {
            let new = wanted.delivery(&self.store, settings, (*event, *endpoint), now).await?;
            let Some(new) = new else { continue };
            if make.doubt && self.store.delivery(wanted.tenant, new.id).await?.is_some() {
                there += 1;
                continue;
            }
            let (tenant, event) = (wanted.tenant, *event);
            amendments.push(Amendment::Redeliver { tenant, event, deliveries: vec![new] });
        }
        let made = if amendments.is_empty() { 0 } else { self.amend(amendments).await? };
        make.made = make.made.saturating_add(made).saturating_add(there);
        make.page.drain(..count);
        Ok(made)
    }

    /// How many of them were made; an event that is gone by now is left out.
    async fn amend(&self, amendments: Vec<Amendment>) -> Result<u64, StoreError> {
        let amended = self.store.amend(amendments).await?;
        let made = amended.iter().filter(|one| matches!(one, Amended::Done(_))).count();
        Ok(u64::try_from(made).unwrap_or(u64::MAX))
    }

    /// The events that are named in a replay and of which it makes nothing, with the reason for each, looking for at most
    /// `budget`.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn left_out(
        store: (&AnyStore, &Directory),
        replay: &Replay,
        clock: &Clock,
        budget: Duration,
    ) -> Result<Vec<LeftOut>, StoreError> {
        let until = clock.monotonic().saturating_add(budget);
        Wanted::of(replay).left_out(store, || clock.monotonic() >= until).await
    }

    /// Why a replay of named events makes nothing at all, event by event; `None` where it makes something, or that is not
    /// known within `budget`.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn makes_nothing(
        store: (&AnyStore, &Directory),
        replay: &Replay,
        clock: &Clock,
        budget: Duration,
    ) -> Result<Option<Vec<LeftOut>>, StoreError> {
        let until = clock.monotonic().saturating_add(budget);
        Wanted::of(replay).makes_nothing(store, || clock.monotonic() >= until).await
    }

    /// What a replay would make, looking for at most `budget`.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn plan(
        (store, settings): (&AnyStore, &Directory),
        replay: &Replay,
        clock: &Clock,
        budget: Duration,
    ) -> Result<Plan, StoreError> {
        let wanted = Wanted::of(replay);
        let mut walk = Walk::new(None);
        let until = clock.monotonic().saturating_add(budget);
        while !walk.page(store, settings, &wanted).await? {
            if clock.monotonic() >= until {
                return Ok(walk.plan);
            }
        }
        Ok(walk.plan)
    }
}

/// For ever where there is nothing to wait for.
async fn sleep(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

/// How a page is named in [`Replay::cursor`].
fn page_name(start: Option<&Option<String>>) -> String {
    start.cloned().flatten().unwrap_or_else(|| FIRST_PAGE.to_owned())
}

/// What there is to make of one page, oldest event first.
async fn read_page(
    store: &AnyStore,
    settings: &Directory,
    (wanted, start): (&Wanted, Option<String>),
) -> Result<VecDeque<(EventId, EndpointId)>, StoreError> {
    let (events, _) = events_of(store, wanted, start).await?;
    let mut page = VecDeque::new();
    for event in events.into_iter().rev() {
        let endpoints = wanted.endpoints(store, settings, event).await?;
        page.extend(endpoints.into_iter().map(|endpoint| (event, endpoint)));
    }
    Ok(page)
}

/// The events of one page, newest first, and where the next page begins. Events that were named one by one are one page.
async fn events_of(
    store: &AnyStore,
    wanted: &Wanted,
    start: Option<String>,
) -> Result<(Vec<EventId>, Option<String>), StoreError> {
    if !wanted.choice.events.is_empty() {
        return Ok((wanted.named(store).await?, None));
    }
    let page = store.events(wanted.query(start, PAGE)).await?;
    Ok((page.items.iter().map(|row| row.id).collect(), page.next))
}

impl Job {
    fn new(replay: &Replay) -> Self {
        let walk = Walk::new(replay.cursor.clone());
        let wanted = Wanted::of(replay);
        Self { wanted, next: Time::EPOCH, phase: Phase::Walking(walk) }
    }
}

impl Walk {
    fn new(resume: Option<String>) -> Self {
        Self { pages: Vec::new(), next: None, plan: Plan::default(), resume }
    }

    /// Walks one page; whether that was the last one that is needed.
    async fn page(
        &mut self,
        store: &AnyStore,
        settings: &Directory,
        wanted: &Wanted,
    ) -> Result<bool, StoreError> {
        let start = self.next.clone();
        let (events, next) = events_of(store, wanted, start.clone()).await?;
        for event in &events {
            let endpoints = wanted.endpoints(store, settings, *event).await?;
            self.plan.deliveries = self.plan.deliveries.saturating_add(endpoints.len() as u64);
        }
        self.plan.events = self.plan.events.saturating_add(events.len() as u64);
        self.plan.complete = next.is_none();
        self.pages.push(start);
        self.next = next;
        Ok(self.next.is_none() || self.pages.len() >= PAGES || self.found())
    }

    /// Whether the page that was under way is the one that was just walked: what is older is done.
    fn found(&self) -> bool {
        self.resume.as_ref().is_some_and(|page| *page == page_name(self.pages.last()))
    }

    /// What is to be made of the pages that were walked, and whether the page under way was found again.
    fn begin_making(&mut self) -> (bool, Make) {
        let found = self.found();
        let doubt_all = self.resume.is_some() && !found;
        let make = Make {
            pages: std::mem::take(&mut self.pages),
            page: VecDeque::new(),
            made: 0,
            doubt: self.resume.is_some(),
            doubt_all,
        };
        (found, make)
    }
}
