//! What a node does by itself: says that it lives, sees who else does, hears of changes.

use super::LIFE;
use super::care::{Care, Due, look_round};
use super::fault::told;
use super::line::Open;
use super::members::Shut;
use super::notice::{self, Notice};
use super::partitions::Days;
use super::parts::Parts;
use super::rows::{Id, get};
use super::taking_up;
use super::ticks;
use crate::store::StoreError;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Row};

/// How often a node says that it lives.
const BEAT: Duration = Duration::from_millis(500);
/// A database that has not answered for so long is looked for anew, perhaps on another host: its machine may hang, and its
/// connections stand as if nothing were.
const SILENCE: Duration = Duration::from_secs(6);
/// How many beats a node must have been heard itself before it declares others dead.
const LIFE_IN_BEATS: u32 = 6;
/// How often a node looks for work that nobody told it of, in beats.
const LOOK_ROUND: u32 = 30;
/// How often old dedupe keys are forgotten and coming days made, in beats.
const TIDY: u32 = 120;

/// A new node in the list; its number.
pub(super) async fn register(line: &Open, delivers: bool) -> Result<i64, StoreError> {
    let name = format!("process {}", std::process::id());
    let found = line.query(REGISTER, &[&name, &LIFE.as_secs_f64(), &delivers]).await?;
    found.first().map_or(Err(StoreError::Busy), |row| get(row, 0))
}

/// Leaves the list and lets go of what is held.
pub(super) async fn leave(parts: &Parts) -> Result<(), StoreError> {
    let line = parts.worker.open().await?;
    let node = parts.node();
    line.query(FREE_OF, &[&node]).await?;
    line.query("DELETE FROM nodes WHERE id = $1", &[&node]).await.map(drop)
}

/// Starts the tasks; they end when the home closes.
pub(super) fn start(parts: &Arc<Parts>, days: Arc<Days>, generation: i64) {
    let (beating, hearing) = (Arc::clone(parts), Arc::clone(parts));
    tokio::spawn(taking_up::run(Arc::clone(parts)));
    tokio::spawn(look(Arc::clone(parts)));
    tokio::spawn(async move {
        // Today's tables at once: the first webhook need not wait for them.
        let (due, care) = (Due { tidy: true, ..Due::default() }, Arc::default());
        let mut heart = Heart { generation, pulse: None, beats: 0, settled: 0, due, care };
        while beating.check().is_ok() {
            if let Err(fault) = heart.beat(&beating, &days).await {
                tracing::warn!(%fault, "the database was not told that this node lives");
            }
            let closing = beating.closing.notified();
            drop(tokio::time::timeout(BEAT, closing).await);
        }
    });
    tokio::spawn(async move {
        while hearing.check().is_ok() {
            let closing = hearing.closing.notified();
            tokio::select! {
                ended = listen(&hearing) => if let Err(fault) = ended {
                    tracing::debug!(%fault, "nothing is heard from the other nodes");
                },
                () = hearing.silent.notified() => {}
                () = closing => return,
            }
            hearing.hears.store(false, Ordering::SeqCst);
            tokio::time::sleep(BEAT).await;
        }
    });
}

/// What a heart remembers from beat to beat.
struct Heart {
    /// Of the configuration, as this node has it.
    generation: i64,
    /// The connection of the last beat.
    pulse: Option<Arc<Open>>,
    beats: u32,
    /// Beats in a row that were heard: one that was away itself must not declare others dead.
    settled: u32,
    /// What is to be done beside the beats.
    due: Due,
    care: Arc<Mutex<Care>>,
}

impl Heart {
    async fn beat(&mut self, parts: &Arc<Parts>, days: &Arc<Days>) -> Result<(), StoreError> {
        let asked = ticks::now();
        let done = self.tell(parts, asked).await;
        parts.answers.store(done.is_ok(), Ordering::Relaxed);
        self.settled = if done.is_ok() { self.settled.saturating_add(1) } else { 0 };
        self.beats = self.beats.wrapping_add(1);
        self.due.look |= done? || self.beats.is_multiple_of(LOOK_ROUND);
        self.due.tidy |= self.beats.is_multiple_of(TIDY);
        self.due.free_dead = self.settled >= LIFE_IN_BEATS;
        self.take_care(parts, days);
        Ok(())
    }

    /// Beside the beats, which must not wait for it: a round that takes long is no reason to be taken for dead.
    fn take_care(&mut self, parts: &Arc<Parts>, days: &Arc<Days>) {
        let Ok(mut care) = Arc::clone(&self.care).try_lock_owned() else { return };
        let (due, parts, days) =
            (std::mem::take(&mut self.due), Arc::clone(parts), Arc::clone(days));
        tokio::spawn(async move {
            let done = care.round(due, &parts, &days).await;
            let is_news = care.is_news(done.is_err());
            if let (Err(fault), true) = (done, is_news && parts.answers.load(Ordering::Relaxed)) {
                tracing::warn!(%fault, "dead nodes, forgotten deliveries and old keys were not all seen to; trying again");
            }
        });
    }

    /// Says that this node lives; whether others came or went.
    async fn tell(&mut self, parts: &Parts, asked: Instant) -> Result<bool, StoreError> {
        let line = parts.pulse.open().await?;
        let before = self.pulse.replace(Arc::clone(&line));
        if before.is_some_and(|before| !Arc::ptr_eq(&before, &line)) {
            // The database was lost. What is asked on another connection may hang, on a process that the old server left.
            parts.cut_all_but_pulse();
        }
        let mut node = parts.node();
        let found = ask(parts, &line, node).await?;
        let Some(row) = found.first() else { return Err(StoreError::Busy) };
        let (heard, generation): (i64, i64) = (get(row, 0)?, get(row, 1)?);
        let (alive, open) = others(&found)?;
        if heard == 0 {
            let old = node;
            node = register(&line, parts.delivers).await?;
            tracing::warn!(
                old,
                new = node,
                "the other nodes took this one for dead; it begins anew"
            );
        }
        parts.leases().alive(node, asked);
        // A node that goes by an older one is told again and again: nothing is lent to it meanwhile.
        let is_news = std::mem::replace(&mut self.generation, generation) != generation;
        if is_news || parts.generation() < generation {
            parts.reconfigured.notify_one();
        }
        parts.know_open(open);
        Ok(parts.meet(node, alive))
    }
}

/// Says that this node lives, and hears who else does.
async fn ask(parts: &Parts, line: &Open, node: i64) -> Result<Vec<Row>, StoreError> {
    let (life, shut) = (LIFE.as_secs_f64(), parts.shut());
    let values: [&(dyn ToSql + Sync); 3] = [&node, &life, &shut];
    let asked = line.query(BEAT_SQL, &values);
    let Ok(found) = tokio::time::timeout(SILENCE, asked).await else {
        tracing::warn!("the database says nothing; looking for it anew");
        parts.cut();
        return Err(StoreError::Busy);
    };
    found
}

/// Who is alive and delivers, and who of them can be lent what comes in here.
fn others(found: &[Row]) -> Result<(Vec<i64>, Shut), StoreError> {
    let (mut alive, mut open) = (Vec::new(), Shut::new());
    for row in found {
        let Some(node) = get::<Option<i64>>(row, 2)? else { continue };
        alive.push(node);
        if let Some(shut) = get::<Option<Vec<Id>>>(row, 3)? {
            open.insert(node, shut.into_iter().map(Into::into).collect());
        }
    }
    Ok((alive, open))
}

/// Hears what the other nodes say, until the connection ends.
async fn listen(parts: &Parts) -> Result<(), StoreError> {
    let (client, mut connection) = parts.address.connect().await?;
    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
    let listen = format!("LISTEN \"{}\"", parts.channel);
    let listening = client.batch_execute(&listen);
    let mut listening = pin!(listening.fuse());
    loop {
        tokio::select! {
            done = &mut listening => {
                done.map_err(|fault| StoreError::Failed(told(&fault)))?;
                // What was said before we listened is not heard.
                parts.reconfigured.notify_one();
                parts.doubt.store(true, Ordering::SeqCst);
                parts.look.notify_one();
                parts.hears.store(true, Ordering::SeqCst);
            }
            message = messages.next() => match message {
                Some(Ok(AsyncMessage::Notification(notice))) => hear(parts, notice.payload()),
                Some(Ok(_)) => {}
                Some(Err(fault)) => return Err(StoreError::Failed(told(&fault))),
                None => return Ok(()),
            },
        }
    }
}

/// Looks round whenever it is asked to: beside the hearing, so that no notice waits for it.
async fn look(parts: Arc<Parts>) {
    while parts.check().is_ok() {
        let closing = parts.closing.notified();
        tokio::select! {
            () = parts.look.notified() => if let Err(fault) = look_round(&parts).await {
                parts.doubt.store(true, Ordering::SeqCst);
                tracing::debug!(%fault, "it was not looked round; it is with the next beat");
            },
            () = closing => return,
        }
    }
}

fn hear(parts: &Parts, said: &str) {
    match notice::read(said) {
        Notice::Configuration => parts.reconfigured.notify_one(),
        Notice::LookRound => parts.look.notify_one(),
        Notice::Stirred(endpoints) => parts.stir(endpoints),
        Notice::Lent(node, places) if node == parts.node() => parts.offer(places),
        Notice::Lent(..) => {}
    }
}

const REGISTER: &str = "INSERT INTO nodes (id, name, alive_until, delivers)
VALUES (nextval('node_ids'), $1, now() + make_interval(secs => $2), $3) RETURNING id";

const BEAT_SQL: &str = "
WITH beat AS (
    UPDATE nodes SET alive_until = now() + make_interval(secs => $2), shut = $3::uuid[] WHERE id = $1 RETURNING id
)
SELECT (SELECT count(*) FROM beat), number, n.id, n.shut
FROM generation LEFT JOIN nodes n ON n.alive_until > now() AND n.delivers ORDER BY n.id";

const FREE_OF: &str =
    "UPDATE deliveries SET holder = 0, lease = lease + 1 WHERE state = 0 AND holder = $1";
