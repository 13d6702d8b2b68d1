//! A gateway changes homes: while it serves the store is copied; then the node ends, the rest is copied, and a node on the
//! other home answers on the same sockets. Who calls in between waits in the kernel.
//!
//! Until the data folder says that its store has moved, everything can be taken back: then a node goes on from the old home
//! as if nothing had been.

use crate::clock::Clock;
use crate::gateway::{self, GatewayConfig};
use crate::moving::{Cancel, Copy, Moving, Phase};
use crate::node::{Running, Sockets, StartError};
use crate::sender::AnySender;
use doorbell_store::embedded::Embedded;
use doorbell_store::postgres::{Options, Postgres};
use doorbell_store::{AnyStore, Store as _, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How long tries under way have to end while events are still taken in. What takes longer is made again later.
const REST: Duration = Duration::from_secs(5);
/// How long connections that are in use have to end after an answer, so that none is closed on a request.
const GENTLE: Duration = Duration::from_millis(500);
/// How long requests under way have to end when nothing more is taken in.
const CUT: Duration = Duration::from_millis(500);
/// How long the rest may take to be copied while nobody answers; then the node goes on where it was.
const FINISH: Duration = Duration::from_secs(20);
/// How often a start on the other home is tried, and how long lies in between.
const STARTS: usize = 120;
const START_AGAIN: Duration = Duration::from_millis(500);

/// What it takes to start a node again.
#[derive(Debug, Clone)]
pub struct Restart {
    /// The gateway's settings; a login code in them is not given out again.
    pub config: GatewayConfig,
    /// Who carries deliveries.
    pub sender: AnySender,
    /// The clock.
    pub clock: Clock,
}

impl Restart {
    async fn start(&self, store: Arc<AnyStore>, on: &Sockets) -> Result<Running, StartError> {
        let mut config = self.config.clone();
        config.node = on.given_to(config.node);
        config.first_login = None;
        gateway::start(config, store, self.sender.clone(), self.clock.clone()).await
    }
}

/// Copies what there is, while the node serves, until little is left. `None`: it failed or somebody stopped it, and that
/// is noted.
pub async fn copy(
    from: Embedded,
    options: Options,
    mut cancel: Cancel,
    moving: Moving,
) -> Option<Copy> {
    let work = async {
        let mut copy = Copy::begin(from, &options, moving.clone()).await?;
        copy.catch_up().await?;
        Ok::<_, StoreError>(copy)
    };
    let done = tokio::select! {
        done = work => done,
        () = cancel.asked() => {
            tracing::info!("the move was stopped; this node goes on as before");
            moving.failed(Phase::Cancelled, "Somebody stopped it.".to_owned());
            return None;
        }
    };
    done.map_err(|error| give_up(&moving, &error.to_string())).ok()
}

fn give_up(moving: &Moving, why: &str) {
    tracing::error!(why, "the store could not be moved; this node goes on as before");
    moving.failed(Phase::Failed, why.to_owned());
}

/// Ends the node and starts one on the other home; or, when that fails, one on the old home. Returns the node and its
/// store.
///
/// # Errors
/// [`StartError`] when neither can be started: then the process has to end.
pub async fn change_over(
    node: Running,
    restart: &Restart,
    (from, options): (Embedded, &Options),
    copy: Copy,
) -> Result<(Running, Arc<AnyStore>), StartError> {
    let moving = restart.config.moving.clone();
    let old = || Arc::new(AnyStore::from(from.clone()));
    if !moving.commit() {
        moving.failed(Phase::Cancelled, "Somebody stopped it.".to_owned());
        return Ok((node, old()));
    }
    let sockets = match node.sockets() {
        Ok(sockets) => sockets,
        Err(error) => {
            give_up(&moving, &error.to_string());
            return Ok((node, old()));
        }
    };
    let ready = prepare(&node, copy).await;
    let began = Instant::now();
    node.end_for_another(CUT).await;
    let moved = async { finish(&from, options, ready?, &moving).await };
    match moved.await {
        Ok(home) => {
            let store = Arc::new(AnyStore::from(home));
            let node = start_on(restart, &store, &sockets).await?;
            moving.done(began.elapsed());
            tokio::spawn(close(from));
            Ok((node, store))
        }
        Err(error) => {
            from.end_leases();
            let node = restart.start(old(), &sockets).await?;
            give_up(&moving, &error.to_string());
            Ok((node, old()))
        }
    }
}

/// Lets the tries under way and the connections in use end, and copies what came meanwhile.
async fn prepare(node: &Running, mut copy: Copy) -> Result<Copy, StoreError> {
    let (_, (), copied) =
        tokio::join!(node.rest(REST), sleep(GENTLE), timeout(REST, copy.catch_up()));
    copied.unwrap_or(Ok(()))?;
    // The tries that have ended since.
    drop(timeout(REST, copy.catch_up()).await);
    Ok(copy)
}

/// Copies the rest, goes to the other home, and says so in the data folder: the last moment at which it can fail.
async fn finish(
    from: &Embedded,
    options: &Options,
    copy: Copy,
    moving: &Moving,
) -> Result<Postgres, StoreError> {
    let rest = async {
        copy.finish().await?;
        Postgres::open(options).await
    };
    let home = timeout(FINISH, rest).await.unwrap_or_else(|_| {
        Err(StoreError::Failed(format!("the rest was not copied within {} s", FINISH.as_secs())))
    })?;
    // Not within the time: whether it was done or not must be certain.
    let to = moving.standing().to.unwrap_or_default();
    if let Err(error) = from.mark_moved(to).await {
        drop(home.close().await);
        return Err(error);
    }
    Ok(home)
}

/// There is no way back any more: the database may be away for a moment.
async fn start_on(
    restart: &Restart,
    store: &Arc<AnyStore>,
    sockets: &Sockets,
) -> Result<Running, StartError> {
    for _ in 1..STARTS {
        match restart.start(Arc::clone(store), sockets).await {
            Err(StartError::Store(error)) => {
                tracing::warn!(%error, "the node cannot start on the database yet");
                sleep(START_AGAIN).await;
            }
            done => return done,
        }
    }
    restart.start(Arc::clone(store), sockets).await
}

async fn close(from: Embedded) {
    if let Err(error) = from.close().await {
        tracing::warn!(%error, "the old store could not be closed");
    }
}
