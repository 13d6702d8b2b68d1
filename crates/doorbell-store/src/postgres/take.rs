//! Taking over what happened in another home: events with their deliveries and tries, as they stand.
//!
//! Whoever takes over is no node. What is taken over is there once, by its id, however often it comes: an event that is
//! there keeps its place, and its deliveries are replaced as long as no node has had them in hand. That shows in their
//! `lease`, which grows when a delivery is lent or changed: it begins at [`Way::lease`].

use super::address::Address;
use super::config;
use super::fault::{error, is_passing};
use super::kinds::{self, Kind, Kinds};
use super::line::{Line, Open};
use super::partitions::{Day, Days};
use super::place::Places;
use super::rows::{Id, get};
use super::schema::{self, Layout};
use super::taken::{Columns, Place};
use super::{CHANNEL, Options};
use crate::changes;
use crate::store::StoreError;
use doorbell_core::configuration::{Change, Configuration};
use doorbell_core::past::Past;
use std::collections::{BTreeSet, HashMap};
use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;

/// Said to each connection.
const GREETING: &str = "SET statement_timeout = '300s'; SET idle_in_transaction_session_timeout = '60s'; \
     SET synchronous_commit = on";
/// Endpoints that are named in one notice to the nodes; beyond, they look for themselves.
const NAMED: usize = 200;

/// Why something is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A node moves: nobody may deliver from here until all is here, and what an earlier try left is made good.
    Move,
    /// An exported file is brought in; nodes may be at work here.
    Import,
}

impl Way {
    /// The lease of a delivery that no node has had yet.
    const fn lease(self) -> i64 {
        match self {
            Self::Move => -1,
            Self::Import => 0,
        }
    }
}

/// Takes over, on a connection of its own; one batch at a time.
#[derive(Debug)]
pub struct Taker {
    line: Line,
    kinds: Kinds,
    days: Days,
    places: Mutex<Places>,
    channel: String,
    way: Way,
}

impl Taker {
    /// Goes to the database, which has to have the layout of this version (`doorbell migrate`). For a move no node may
    /// ever have worked there.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] with a sentence when the database is not fit; those of connecting.
    pub async fn open(options: &Options, way: Way) -> Result<Self, StoreError> {
        let line = Line::new(Address::parse(&options.address, &options.extra_roots)?, GREETING);
        let open = line.open().await?;
        fits(&open).await?;
        if way == Way::Move {
            never_served(&open).await?;
            open.batch(FORGET_EARLIER_TRY).await?;
        }
        let found = open.query(CHANNEL, &[]).await?;
        let channel = found.first().map_or(Err(StoreError::Busy), |row| get(row, 0))?;
        let (kinds, days) = (Kinds::default(), Days::default());
        Ok(Self { line, kinds, days, places: Mutex::default(), channel, way })
    }

    /// Everything that is configured there.
    ///
    /// # Errors
    /// Those of reading.
    pub async fn configuration(&self) -> Result<Configuration, StoreError> {
        config::read(&*self.line.open().await?).await
    }

    /// Changes what is configured there, all or nothing; nodes are told.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when a name is taken by another; those of writing.
    pub async fn configure(&self, changes: &[Change]) -> Result<(), StoreError> {
        let after = changes::last_words(changes)?;
        let line = self.line.open().await?;
        line.batch("BEGIN").await?;
        let made = config::make(&self.channel, &line, &after).await.map(drop);
        end(&line, made).await
    }

    /// Takes over events, all of them or none. In the order in which they come, those that are not there yet get their
    /// places.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when the same may succeed a moment later; otherwise those of writing.
    pub async fn take_over(&self, pasts: &[Past]) -> Result<(), StoreError> {
        if pasts.is_empty() {
            return Ok(());
        }
        let line = self.line.open().await?;
        let mut places = self.places.lock().await;
        let kinds: Vec<Kind> = pasts.iter().map(kind_of).collect();
        let numbers = self.kinds.numbers(&kinds, &line).await?;
        places.reserve(pasts.len(), &line).await?;
        let there = there(&line, pasts).await?;
        let placed = place(pasts, &there, &mut places).ok_or(StoreError::Busy)?;
        let days: BTreeSet<Day> = placed.iter().map(|place| Day::of_place(place.seq)).collect();
        self.days.ensure(days, &line).await?;
        line.batch(BEGIN).await?;
        let kinds: Vec<i32> =
            kinds.iter().map(|kind| numbers.get(kind).copied().unwrap_or_default()).collect();
        let written = self.write(&line, pasts, (&placed, &kinds, &there)).await;
        end(&line, written).await
    }

    async fn write(
        &self,
        line: &Open,
        pasts: &[Past],
        (placed, kinds, there): (&[Place], &[i32], &HashMap<Id, i64>),
    ) -> Result<(), StoreError> {
        // Somebody else who takes over may have been quicker.
        if self::there(line, pasts).await? != *there {
            return Err(StoreError::Busy);
        }
        let mut columns = Columns::new(self.way.lease(), line, placed).await?;
        for (past, (place, kind)) in pasts.iter().zip(placed.iter().zip(kinds)) {
            columns.add(past, *place, *kind);
        }
        match columns.write(line).await {
            Ok(()) => self.tell(line, &columns).await,
            Err(fault) if is_passing(&fault) => Err(StoreError::Busy),
            // A node dropped the day, or gave the place away: another try makes it anew.
            Err(fault)
                if matches!(
                    fault.code(),
                    Some(&SqlState::CHECK_VIOLATION | &SqlState::UNIQUE_VIOLATION)
                ) =>
            {
                self.days.forget().await;
                tracing::debug!(%fault, "what was to be taken over did not fit in; trying again");
                Err(StoreError::Busy)
            }
            Err(fault) => Err(error(&fault)),
        }
    }

    /// Tells the nodes, when it is committed, for whom something waits.
    async fn tell(&self, line: &Open, columns: &Columns) -> Result<(), StoreError> {
        let names = columns.waiting();
        let text = match names.len() {
            0 => return Ok(()),
            1..=NAMED => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            _ => "*".to_owned(),
        };
        line.query("SELECT pg_notify($1, $2)", &[&self.channel, &text]).await.map(drop)
    }
}

async fn end(line: &Open, done: Result<(), StoreError>) -> Result<(), StoreError> {
    let ended = line.batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await;
    done.and(ended)
}

/// Whether the database has the layout of this version.
pub(super) async fn fits(line: &Open) -> Result<(), StoreError> {
    let sentence = match schema::look(line).await? {
        Layout::Fits => return Ok(()),
        Layout::Empty => "the database is empty; run `doorbell migrate` for it once".to_owned(),
        Layout::Older { found } => {
            format!("the database has the older layout {found}; run `doorbell migrate` for it once")
        }
        Layout::Newer { found } => {
            format!("the database has layout {found}, which is too new; use the newer Doorbell")
        }
    };
    Err(StoreError::Conflict(sentence))
}

async fn never_served(line: &Open) -> Result<(), StoreError> {
    let found = line.query("SELECT is_called FROM node_ids", &[]).await?;
    if found.first().map_or(Ok(true), |row| get(row, 0))? {
        return Err(StoreError::Conflict(
            "a Doorbell has worked on this database, and a move needs one on which none has: make a new database (createdb) and run \
             `doorbell migrate` for it; or bring the two together with `doorbell export` and `doorbell import`"
                .to_owned(),
        ));
    }
    Ok(())
}

fn kind_of(past: &Past) -> Kind {
    use super::rows::fate_code;
    kinds::of(&past.event, fate_code(crate::store::FateWord::of(&past.fate)))
}

/// Which of the events are there, and at which place.
async fn there(line: &Open, pasts: &[Past]) -> Result<HashMap<Id, i64>, StoreError> {
    let ids: Vec<Id> = pasts.iter().map(|past| past.event.id.into()).collect();
    let rows = line.query("SELECT id, seq FROM events WHERE id = ANY($1::uuid[])", &[&ids]).await?;
    rows.iter().map(|row| Ok((get(row, 0)?, get(row, 1)?))).collect()
}

/// The places of the events: those that are there keep theirs, and those that are new come behind the ones before them.
fn place(pasts: &[Past], there: &HashMap<Id, i64>, places: &mut Places) -> Option<Vec<Place>> {
    let one = |past: &Past| match there.get(&Id::from(past.event.id)) {
        Some(seq) => {
            places.pass(*seq);
            Some(Place { seq: *seq, new: false })
        }
        None => Some(Place { seq: places.next(past.event.at)?, new: true }),
    };
    pasts.iter().map(one).collect()
}

/// One who takes over at a time.
const BEGIN: &str =
    "BEGIN; SELECT pg_advisory_xact_lock(1146048099, current_schema()::regnamespace::oid::int4)";

/// What an earlier try of a move left waiting may have been delivered since, and then been forgotten: what still waits
/// comes again.
const FORGET_EARLIER_TRY: &str = "
WITH d AS (DELETE FROM deliveries WHERE state = 0 AND lease = -1 RETURNING seq, nth)
DELETE FROM attempts a USING d WHERE a.seq = d.seq AND a.nth = d.nth";
