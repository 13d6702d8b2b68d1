//! What the verbs share: the lines to the database, what this node holds, and the letter boxes.

use super::address::Address;
use super::away::Shelf;
use super::kinds::Kinds;
use super::leases::Leases;
use super::line::Line;
use super::members::{Members, Shut};
use super::notice;
use super::rows::Id;
use super::ticks;
use crate::bodies::LargeBodies;
use crate::store::{Lent, StoreError};
use crate::vitals::{PostgresVitals, Timings};
use doorbell_core::id::EndpointId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_postgres::types::ToSql;

/// Lines for questions that only read.
const READERS: usize = 3;
/// How long an answer may take: longer than the database lets a statement take. Of a server that died one process may be left,
/// with its connection, and never answer.
const ANSWER: Duration = Duration::from_secs(40);
/// Endpoints that are named in one notice to the other nodes (beyond, they look for themselves), or events: a notice has 8,000
/// bytes at most.
const NAMED: usize = 200;
/// Events of which others have lent deliveries, that may wait to be looked at.
const OFFERED: usize = 100_000;
/// Endpoints that a node can name as shut; with more it is open for none.
const SHUT: usize = 1_000;
/// A notice need not outlive the server, so that nobody waits for the disk under the lock that notices take.
const TELL: &str = "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, notice) FROM unnest($2::text[]) notice";

/// What each connection says that writes.
macro_rules! writer {
    ($joins:literal) => {
        concat!(
            "SET jit = off; SET enable_seqscan = off; SET enable_mergejoin = off; ", $joins,
            "; SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '30s'; SET synchronous_commit = on"
        )
    };
}
/// Said by each connection that writes. The statements name their rows by key: the planner has nothing to choose, and
/// what it would choose from old statistics is worse. Nothing is compiled for them (`jit`): a scan that is switched off counts
/// as so dear that every claim would be compiled anew, which takes longer than all the rest.
const WRITER: &str = writer!("SET enable_hashjoin = off");
/// Said by the one that takes events in. What it joins is what came with the statement, of which the planner knows nothing:
/// each with each would take the square of a batch.
const ACCEPTER: &str = writer!("SET enable_nestloop = off");
/// Said by each connection that reads: filters that were not asked for must cost nothing.
const READER: &str = "SET jit = off; SET plan_cache_mode = force_custom_plan; SET statement_timeout = '30s'; \
     SET default_transaction_read_only = on";

/// Why a closed home answers nothing.
pub(super) const CLOSED: &str = "the store is closed";

/// See the module.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) address: Address,
    /// Takes events in.
    pub(super) accepter: Line,
    /// Settles.
    pub(super) settler: Line,
    /// Claims.
    pub(super) claimer: Line,
    /// Amends, in transactions of several statements: one at a time.
    pub(super) amender: Line,
    pub(super) amending: tokio::sync::Mutex<()>,
    /// Says that this node lives; nothing else, so that it waits for nothing else.
    pub(super) pulse: Line,
    /// Frees, gives back, tidies up.
    pub(super) keeper: Line,
    /// All else that writes.
    pub(super) worker: Line,
    readers: [Line; READERS],
    next_reader: AtomicUsize,
    pub(super) kinds: Kinds,
    /// In what the nodes speak to each other.
    pub(super) channel: String,
    leases: Mutex<Leases>,
    members: Mutex<Members>,
    /// To whom, of the others, may be lent what comes in here.
    open_others: Mutex<Shut>,
    /// To which endpoints nothing more can be lent here; `None`: to none.
    shut: Mutex<Option<Vec<EndpointId>>>,
    letters: Mutex<Letters>,
    /// Held while it is written down here what others have lent to this node, or given back what it has not: neither sees half
    /// of the other.
    pub(super) hands: tokio::sync::Mutex<()>,
    pub(super) offered: Notify,
    pub(super) lent: Notify,
    pub(super) stirred: Notify,
    pub(super) reconfigured: Notify,
    /// It is to be looked round for what waits.
    pub(super) look: Notify,
    /// Whether what other nodes say is heard now: if not, nothing is to be lent to this one.
    pub(super) hears: AtomicBool,
    /// The connections were broken because the database said nothing.
    pub(super) silent: Notify,
    /// Of the configuration, as this node goes by it.
    generation: AtomicI64,
    reading: Mutex<Reading>,
    /// A statement that lends was not answered: the database may believe that this node has what it never got.
    pub(super) doubt: AtomicBool,
    closed: Mutex<Option<String>>,
    pub(super) closing: Notify,
    /// Whether this node looks after endpoints.
    pub(super) delivers: bool,
    /// Where large bodies lie, if not in the database.
    pub(super) bodies: Option<Arc<Shelf>>,
    /// How long it took to write down batches of events.
    pub(super) commits: Timings,
    /// Whether the database answered this node's last beat.
    pub(super) answers: AtomicBool,
}

/// How far a node is with taking over what others configure.
#[derive(Debug, Default, Clone, Copy)]
enum Reading {
    /// It has read nothing yet.
    #[default]
    Begins,
    /// It goes by what it has read.
    Waits,
    /// There is a newer one; the number of the one that it has read since.
    Told(Option<i64>),
}

/// What was not fetched yet.
#[derive(Debug, Default)]
struct Letters {
    lent: Vec<Lent>,
    stirred: BTreeSet<EndpointId>,
    /// Places of events of which others have lent deliveries to this node.
    offered: Vec<i64>,
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Parts {
    pub(super) fn new(
        address: Address,
        channel: String,
        (node, delivers): (i64, bool),
        bodies: Option<LargeBodies>,
    ) -> Self {
        let line = |greeting| Line::new(address.clone(), greeting).within(ANSWER);
        Self {
            accepter: line(ACCEPTER),
            settler: line(WRITER),
            claimer: line(WRITER),
            amender: line(WRITER),
            amending: tokio::sync::Mutex::default(),
            pulse: line(WRITER),
            keeper: line(WRITER),
            worker: line(WRITER),
            readers: [line(READER), line(READER), line(READER)],
            next_reader: AtomicUsize::new(0),
            kinds: Kinds::default(),
            channel,
            leases: Mutex::new(Leases::new(node, ticks::now())),
            members: Mutex::new(Members::new(node, Vec::new())),
            open_others: Mutex::default(),
            shut: Mutex::default(),
            letters: Mutex::default(),
            hands: tokio::sync::Mutex::default(),
            offered: Notify::new(),
            lent: Notify::new(),
            stirred: Notify::new(),
            reconfigured: Notify::new(),
            look: Notify::new(),
            hears: AtomicBool::new(false),
            silent: Notify::new(),
            generation: AtomicI64::new(0),
            reading: Mutex::default(),
            doubt: AtomicBool::new(false),
            closed: Mutex::new(None),
            closing: Notify::new(),
            delivers,
            bodies: bodies.map(Shelf::new).map(Arc::new),
            commits: Timings::default(),
            answers: AtomicBool::new(true),
            address,
        }
    }

    /// Breaks all connections: the database says nothing on them.
    pub(super) fn cut(&self) {
        self.pulse.cut();
        self.cut_all_but_pulse();
    }

    /// Breaks the others: what they ask may hang where the pulse does not.
    pub(super) fn cut_all_but_pulse(&self) {
        let events = [&self.accepter, &self.settler, &self.claimer, &self.amender];
        let rest = [&self.keeper, &self.worker];
        events.into_iter().chain(rest).chain(&self.readers).for_each(Line::cut);
        self.silent.notify_waiters();
    }

    pub(super) fn vitals(&self) -> PostgresVitals {
        PostgresVitals {
            commits: self.commits.counted(),
            answers: self.answers.load(Ordering::Relaxed),
            nodes: guard(&self.members).count(),
        }
    }

    pub(super) fn leases(&self) -> MutexGuard<'_, Leases> {
        guard(&self.leases)
    }

    pub(super) fn node(&self) -> i64 {
        self.leases().node()
    }

    pub(super) fn reader(&self) -> Result<&Line, StoreError> {
        self.check()?;
        let next = self.next_reader.fetch_add(1, Ordering::Relaxed) % READERS;
        self.readers.get(next).ok_or(StoreError::Busy)
    }

    /// Refuses what comes after the end.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match &*guard(&self.closed) {
            Some(why) => Err(StoreError::Broken(why.clone())),
            None => Ok(()),
        }
    }

    pub(super) fn close(&self, why: &str) -> bool {
        let mut closed = guard(&self.closed);
        let first = closed.is_none();
        closed.get_or_insert_with(|| why.to_owned());
        drop(closed);
        self.closing.notify_waiters();
        first
    }

    /// Which configuration this node has. Nothing is lent to it under a newer one, in which it would take a new endpoint
    /// for one that is gone.
    pub(super) fn generation(&self) -> i64 {
        self.generation.load(Ordering::SeqCst)
    }

    /// It has read this one. It goes by the first it ever reads; by a later one when it waits for the next again.
    pub(super) fn has_read(&self, generation: i64) {
        let mut reading = guard(&self.reading);
        match *reading {
            Reading::Begins => {
                self.generation.fetch_max(generation, Ordering::SeqCst);
                *reading = Reading::Waits;
            }
            Reading::Told(None) => *reading = Reading::Told(Some(generation)),
            Reading::Waits | Reading::Told(Some(_)) => {}
        }
    }

    fn goes_by_what_it_read(&self) {
        let mut reading = guard(&self.reading);
        if let Reading::Told(Some(read)) = *reading {
            self.generation.fetch_max(read, Ordering::SeqCst);
            *reading = Reading::Waits;
        }
    }

    /// Waits for the next one; it goes by what it has read.
    pub(super) async fn next_configuration(&self) {
        self.goes_by_what_it_read();
        self.reconfigured.notified().await;
        *guard(&self.reading) = Reading::Told(None);
    }

    /// It has made this one itself; it knows what is in it if it had the one before.
    pub(super) fn has_made(&self, generation: i64) {
        let (before, order) = (generation - 1, Ordering::SeqCst);
        if self.generation.compare_exchange(before, generation, order, order).is_err() {
            self.reconfigured.notify_one();
        }
    }

    pub(super) fn owns(&self, id: [u8; 16]) -> bool {
        guard(&self.members).owns(id)
    }

    /// Whether this node looks after the endpoint, and may believe that it lives.
    pub(super) fn looks_after(&self, endpoint: EndpointId) -> bool {
        self.owns(endpoint.bytes()) && self.leases().is_alive(ticks::now())
    }

    /// Who holds from the beginning what comes in here for this endpoint: another node that looks after it and can be lent it.
    pub(super) fn open_other(&self, endpoint: EndpointId) -> Option<i64> {
        let open = guard(&self.open_others);
        let owner = guard(&self.members).owner(endpoint.bytes())?;
        open.get(&owner).is_some_and(|shut| !shut.contains(&endpoint)).then_some(owner)
    }

    /// Says to which endpoints nothing more can be lent here; `None`: to none.
    pub(super) fn close_to(&self, shut: Option<Vec<EndpointId>>) {
        *guard(&self.shut) = shut;
    }

    /// What the other nodes are told.
    pub(super) fn shut(&self) -> Option<Vec<Id>> {
        let (shut, hears) = (guard(&self.shut), self.hears.load(Ordering::SeqCst));
        let shut = shut.as_ref().filter(|shut| hears && shut.len() <= SHUT)?;
        Some(shut.iter().map(|id| (*id).into()).collect())
    }

    /// Takes over who can be lent what comes in here.
    pub(super) fn know_open(&self, others: Shut) {
        *guard(&self.open_others) = others;
    }

    /// Takes over who lives and delivers; says whether that is news.
    pub(super) fn meet(&self, node: i64, alive: Vec<i64>) -> bool {
        let members = if self.delivers { Members::new } else { Members::seen_by_none };
        let members = members(node, alive);
        let mut known = guard(&self.members);
        let news = *known != members;
        *known = members;
        news
    }

    pub(super) fn deliver_lent(&self, lent: Vec<Lent>) {
        if !lent.is_empty() {
            guard(&self.letters).lent.extend(lent);
            self.lent.notify_one();
        }
    }

    pub(super) fn fetch_lent(&self) -> Vec<Lent> {
        std::mem::take(&mut guard(&self.letters).lent)
    }

    /// Others say that they have lent deliveries of these events to this node.
    pub(super) fn offer(&self, places: impl IntoIterator<Item = i64>) {
        let mut letters = guard(&self.letters);
        letters.offered.extend(places);
        if letters.offered.len() > OFFERED {
            // The look round finds them.
            letters.offered.truncate(OFFERED);
            self.doubt.store(true, Ordering::SeqCst);
        }
        drop(letters);
        self.offered.notify_one();
    }

    /// At most so many.
    pub(super) fn fetch_offered(&self, most: usize) -> Vec<i64> {
        let offered = &mut guard(&self.letters).offered;
        let rest = offered.split_off(most.min(offered.len()));
        std::mem::replace(offered, rest)
    }

    pub(super) fn fetch_stirred(&self) -> Vec<EndpointId> {
        std::mem::take(&mut guard(&self.letters).stirred).into_iter().collect()
    }

    /// Tells this node's dispatch of those endpoints that it looks after.
    pub(super) fn stir(&self, endpoints: impl IntoIterator<Item = EndpointId>) {
        let members = guard(&self.members).clone();
        let own = endpoints.into_iter().filter(|endpoint| members.owns(endpoint.bytes()));
        let mut letters = guard(&self.letters);
        letters.stirred.extend(own);
        let some = !letters.stirred.is_empty();
        drop(letters);
        if some {
            self.stirred.notify_one();
        }
    }

    /// Tells whoever looks after these endpoints that there is something for them. A notice may be lost: then it is
    /// found when the nodes look round.
    pub(super) async fn wake(&self, endpoints: BTreeSet<EndpointId>) {
        let others = endpoints.iter().filter(|endpoint| !self.owns(endpoint.bytes()));
        let mut names: Vec<String> = others.map(ToString::to_string).collect();
        self.stir(endpoints);
        if names.is_empty() {
            return;
        }
        if names.len() > NAMED {
            names = vec!["*".to_owned()];
        }
        self.tell(vec![names.join(" ")]).await;
    }

    /// Tells other nodes what was lent to them as it came in: by node, the places of the events.
    pub(super) async fn tell_of_lent(&self, lent: &BTreeMap<i64, Vec<i64>>) {
        let notices = lent.iter().flat_map(|(node, places)| {
            places.chunks(NAMED).map(move |places| notice::lent(*node, places))
        });
        let notices: Vec<String> = notices.collect();
        if !notices.is_empty() {
            self.tell(notices).await;
        }
    }

    /// Where the connection has ended, on another one.
    async fn tell(&self, notices: Vec<String>) {
        let values: [&(dyn ToSql + Sync); 2] = [&self.channel, &notices];
        let mut told = self.worker.query(TELL, &values).await;
        if matches!(told, Err(StoreError::Busy)) {
            told = self.worker.query(TELL, &values).await;
        }
        if let Err(fault) = told {
            tracing::debug!(%fault, "the other nodes were not told; they will look for themselves");
        }
    }
}
