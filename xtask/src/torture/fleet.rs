//! Three nodes on one database: nodes die, stop and come back, the database dies, connections are cut, all under load.
//!
//! `cycles` is how often each fault is done. What must hold: nothing acknowledged is lost, nothing is there twice, both
//! endpoints get everything, and what came twice was in flight when a fault came.

use super::check::{self, Known};
use super::load::{Ledger, Load, Shape};
use super::receiver::{Hits, Receiver};
use super::{Options, Summary};
use crate::node::{self, Node, Program};
use crate::payload::{Dice, SECRET};
use crate::place;
use crate::postgres::{Cluster, Sync};
use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const NODES: usize = 3;
/// How long a node may be silent before others take over what it has; a stopped one sleeps past it.
const LEASE: Duration = Duration::from_secs(4);
/// Within what a change of the configuration reaches every node.
const HEARD: Duration = Duration::from_secs(5);
/// A fault is watched so long.
const WATCH: Duration = Duration::from_secs(7);
/// How long before a fault a delivery may have been answered without its result being in the database.
const IN_FLIGHT: Duration = Duration::from_secs(2);

/// What is done to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blow {
    /// SIGKILL to a node, which is started again.
    Kill,
    /// SIGSTOP to a node until the others have taken over.
    Stop,
    /// SIGKILL to the database, which is started again.
    Database,
    /// Every connection to the database is ended.
    Connections,
}

const BLOWS: [Blow; 4] = [Blow::Kill, Blow::Stop, Blow::Database, Blow::Connections];

/// From when to when something was broken.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    from: Instant,
    until: Instant,
}

struct Fleet {
    database: Cluster,
    program: Program,
    folder: PathBuf,
    nodes: Vec<Node>,
    receiver: Receiver,
    ledger: Ledger,
    token: String,
    known: Known,
    troubles: Vec<Trouble>,
    lives: u64,
}

/// Does each blow so many times.
pub(super) fn run(options: &Options) -> Result<Summary> {
    let mut fleet = Fleet::start(options)?;
    let mut summary = Summary::default();
    let bar = options.progress();
    bar.set_length(options.cycles * BLOWS.len() as u64);
    let mut dice = Dice::new(options.seed);
    let mut slowest = BLOWS.map(|_| Duration::ZERO);
    for cycle in 0..options.cycles {
        for (blow, slowest) in BLOWS.into_iter().zip(&mut slowest) {
            let which = usize::try_from(dice.below(NODES as u64))?;
            let resumed = fleet.endure(blow, which, options, &mut summary).with_context(|| {
                format!("{blow:?} of node {which}, cycle {cycle}; {}", fleet.logs())
            })?;
            *slowest = resumed.max(*slowest);
            fleet
                .look(&mut dice, &mut summary)
                .with_context(|| format!("after {blow:?}, cycle {cycle}"))?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    fleet.finish(&mut dice, &mut summary)?;
    summary.cycles = options.cycles;
    let told = |(blow, slowest): (Blow, Duration)| {
        format!("slowest resumption after {blow:?}: {:.1} s", slowest.as_secs_f64())
    };
    summary.notes.extend(BLOWS.into_iter().zip(slowest).map(told));
    drop(std::fs::remove_dir_all(&fleet.folder));
    Ok(summary)
}

impl Fleet {
    fn start(options: &Options) -> Result<Self> {
        let folder = place::work_folder("torture")?.join(format!("fleet-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder)?;
        let database = Cluster::start(Sync::Yes)?;
        let mut program = options.program.clone();
        program.settings = "";
        program.after.extend(["--store".to_owned(), database.url()]);
        let mut fleet = Self {
            database,
            program,
            folder,
            nodes: Vec::new(),
            receiver: Receiver::start()?,
            ledger: Ledger::default(),
            token: String::new(),
            known: Known::default(),
            troubles: Vec::new(),
            lives: options.seed.wrapping_mul(1000),
        };
        for number in 0..NODES {
            let node = fleet.start_node(number)?;
            fleet.nodes.push(node);
        }
        fleet.configure()?;
        Ok(fleet)
    }

    fn start_node(&self, number: usize) -> Result<Node> {
        let beside = self.folder.join(format!("node-{number}"));
        std::fs::create_dir_all(&beside)?;
        self.program.start(&beside.join("data"), None)?.ready()
    }

    /// One source and two endpoints, made on the first node; the others hear of it.
    fn configure(&mut self) -> Result<()> {
        let first = self.nodes.first().context("no node")?;
        self.token = first.token.clone().context("the start printed no token")?;
        let mut api = first.api(&self.token);
        node::make_source(&mut api, "torture", SECRET)?;
        let retry = json!({"retry": {"schedule": ["0s", "100ms", "100ms", "200ms", "500ms", "1s", "1s", "1s", "2s", "2s"]}});
        for name in ["steady", "shaky"] {
            node::make_endpoint(&mut api, name, &format!("{}/{name}", self.receiver.url), &retry)?;
        }
        self.nodes.iter().try_for_each(knows_both)
    }

    /// One blow under load; how long it took until both endpoints got something again.
    fn endure(
        &mut self,
        blow: Blow,
        which: usize,
        options: &Options,
        summary: &mut Summary,
    ) -> Result<Duration> {
        let shape = Shape {
            connections: options.connections.div_ceil(NODES as u64),
            events: u64::MAX,
            ballast: 0,
        };
        let mut loads = Vec::new();
        for node in &self.nodes {
            self.lives += 1;
            loads.push(Load::start(&node.ingest, &self.ledger, self.lives, shape));
        }
        std::thread::sleep(Duration::from_millis(700));
        let from = Instant::now();
        let whole = self.strike(blow, which)?;
        self.lives += 1;
        if let (Blow::Kill, Some(node)) = (blow, self.nodes.get(which)) {
            loads.push(Load::start(&node.ingest, &self.ledger, self.lives, shape));
        }
        std::thread::sleep(WATCH);
        self.troubles.push(Trouble { from, until: Instant::now() });
        for load in loads {
            summary.add(&load.stop())?;
        }
        // The database's own recovery is not ours.
        let since = if blow == Blow::Database { whole } else { from };
        let pauses =
            ["/steady", "/shaky"].map(|path| pause_after(&self.receiver.hits(), path, since));
        let [steady, shaky] = pauses;
        let longest = steady.1.max(shaky.1);
        ensure!(
            options.resume.is_none_or(|most| longest.as_secs_f64() <= most),
            "deliveries went on too late: (after, for) steady {steady:?}, shaky {shaky:?}"
        );
        Ok(longest)
    }

    /// Does it; when all was whole again, so far as the harness can make it.
    fn strike(&mut self, blow: Blow, which: usize) -> Result<Instant> {
        match blow {
            Blow::Kill => {
                self.nodes.get_mut(which).context("no such node")?.kill()?;
                let node = self.start_node(which)?;
                if let Some(place) = self.nodes.get_mut(which) {
                    *place = node;
                }
            }
            Blow::Stop => {
                let pid = self.nodes.get(which).context("no such node")?.pid().to_string();
                place::run(Command::new("kill").args(["-STOP", &pid]))?;
                std::thread::sleep(LEASE + Duration::from_secs(2));
                place::run(Command::new("kill").args(["-CONT", &pid]))?;
            }
            Blow::Database => {
                self.database.kill()?;
                self.database.run()?;
            }
            Blow::Connections => {
                let all = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'doorbell'";
                self.database.sql(all)?;
            }
        }
        Ok(Instant::now())
    }

    fn look(&mut self, dice: &mut Dice, summary: &mut Summary) -> Result<()> {
        check::received_is_promised(&self.ledger, &self.receiver.hits())?;
        let node = self.nodes.first().context("no node")?;
        summary.events_read += self.known.check(&mut node.api(&self.token), &self.ledger, dice)?;
        Ok(())
    }

    fn finish(&mut self, dice: &mut Dice, summary: &mut Summary) -> Result<()> {
        self.drain(Duration::from_secs(60)).with_context(|| self.logs())?;
        self.look(dice, summary)?;
        summary.acked = self.ledger.acked() as u64;
        summary.deliveries = self.receiver.requests();
        summary.duplicates = self.duplicates()?;
        for node in &mut self.nodes {
            let status = node.stop()?;
            ensure!(status.success(), "SIGTERM: {status}; {}", node.log_tail());
        }
        let held = "SELECT count(*) FROM deliveries WHERE state = 0";
        let left = self.database.sql(held)?;
        ensure!(left == "0", "{left} deliveries still wait in the database");
        Ok(())
    }

    fn drain(&self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            let missing = self.undelivered();
            if missing == 0 {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "{missing} deliveries have not arrived within {limit:?}; in the database wait {}",
                self.waiting()?
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How many deliveries wait for which endpoint, who holds them, and who lives.
    fn waiting(&self) -> Result<String> {
        self.database.sql(
            "SELECT string_agg(w::text, ' ') || ' of the nodes ' || (SELECT string_agg(id::text, ' ') FROM nodes)
             FROM (SELECT right(endpoint::text, 4) AS endpoint, holder, count(*), min(due) AS due, max(lease) AS lease
                   FROM deliveries WHERE state = 0 GROUP BY endpoint, holder) w",
        )
    }

    fn undelivered(&self) -> usize {
        let (ledger, hits) = (self.ledger.lock(), self.receiver.hits());
        let due = ledger.iter().filter(|(_, sent)| sent.acked).map(|(key, _)| key);
        let both =
            due.flat_map(|key| ["/steady", "/shaky"].map(|path| (key.clone(), path.to_owned())));
        both.filter(|to| !hits.contains_key(to)).count()
    }

    /// What came twice was in flight when something broke.
    fn duplicates(&self) -> Result<u64> {
        let mut count = 0;
        for ((key, path), all) in self.receiver.hits().iter() {
            for pair in all.windows(2) {
                let [first, second] = pair else { continue };
                ensure!(first.id == second.id, "{path} received {key} under two ids");
                let excused = self.troubles.iter().any(|t| {
                    first.at + IN_FLIGHT >= t.from && first.at <= t.until && second.at >= t.from
                });
                if !excused {
                    bail!("{path} received {key} twice with nothing broken in between");
                }
                count += 1;
            }
        }
        Ok(count)
    }

    fn logs(&self) -> String {
        self.nodes.iter().map(Node::log_tail).collect::<Vec<_>>().join("\n")
    }
}

/// Waits until a node has heard of both endpoints.
fn knows_both(node: &Node) -> Result<()> {
    let token = node.token.as_deref().context("the start printed no token")?;
    let end = Instant::now() + HEARD;
    loop {
        let listed = node.api(token).api("GET /v1/endpoints", None)?;
        if listed.get("data").and_then(|data| data.as_array()).is_some_and(|all| all.len() == 2) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "a node has not heard of the configuration within {HEARD:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The longest time after that moment in which this endpoint got nothing: how long after the moment it began, and how long
/// it was.
fn pause_after(hits: &Hits, path: &str, since: Instant) -> (Duration, Duration) {
    let of_path = hits.iter().filter(|((_, to), _)| to == path).flat_map(|(_, all)| all);
    let mut times: Vec<Instant> = of_path.map(|hit| hit.at).filter(|at| *at > since).collect();
    times.sort_unstable();
    let begins = std::iter::once(since).chain(times.iter().copied());
    let pauses = begins.zip(&times).map(|(a, b)| (a - since, b.saturating_duration_since(a)));
    pauses.max_by_key(|(_, pause)| *pause).unwrap_or((Duration::ZERO, WATCH * 2))
}
