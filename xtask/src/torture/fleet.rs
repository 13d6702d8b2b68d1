//! Three nodes on one database: nodes die, stop and come back, the database dies, its standby is promoted in its place,
//! connections are cut, all under load; then the same with an inbox before it, whose broker dies too.
//!
//! `cycles` is how often each fault is done. What must hold: nothing acknowledged is lost, nothing is there twice, both
//! endpoints get everything, and what came twice was in flight when a fault came.

use super::check::{self, Known};
use super::load::{Ledger, Load, Shape};
use super::receiver::{Hits, Receiver};
use super::{Fault, Options, Summary, inbox};
use crate::brokers::Broker;
use crate::node::{self, Node, Program};
use crate::payload::{Dice, SECRET};
use crate::place;
use crate::postgres::{self, Cluster, Sync};
use crate::still::{Patience, stood_still};
use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub(super) const NODES: usize = 3;
/// How long a node may be silent before others take over what it has; a stopped one sleeps past it.
const LEASE: Duration = Duration::from_secs(4);
/// Within what a change of the configuration reaches every node.
const HEARD: Duration = Duration::from_secs(5);
/// Where no progress bar can be shown a line is printed after so many cycles.
const TOLD_EVERY: u64 = 5;
/// Within what everything must have arrived when all is whole again.
const ARRIVES: Duration = Duration::from_secs(60);
/// A fault is watched so long: where a node must be missed first, and where none is; behind an inbox another node must take over
/// the broker's queue before the endpoints.
const WATCH: [Duration; 2] = [Duration::from_secs(7), Duration::from_secs(4)];
const WATCH_BEHIND_INBOX: [Duration; 2] = [Duration::from_secs(9), Duration::from_secs(6)];
/// How long before a fault a delivery may have been answered without its result being in the database.
const IN_FLIGHT: Duration = Duration::from_secs(2);

/// Which of all that, and how hard.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Choice {
    /// For cluster: these faults only, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', global = true)]
    blows: Vec<Blow>,
    /// For cluster: only the fleet without an inbox, or only the one with it.
    #[arg(long, value_enum, global = true)]
    only: Option<Which>,
    /// For cluster: events each second of all connections together; without, as many as are answered.
    #[arg(long, global = true)]
    rate: Option<f64>,
}

/// A fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    /// Without an inbox.
    Plain,
    /// With one.
    Inbox,
}

/// What is done to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Blow {
    /// SIGKILL to a node, which is started again.
    Kill,
    /// SIGSTOP to a node until the others have taken over.
    Stop,
    /// SIGKILL to the database, which is started again.
    Database,
    /// Every connection to the database is ended.
    Connections,
    /// SIGKILL to the database, whose standby is promoted; it stays away.
    Promote,
    /// SIGKILL to the broker of the inbox, which is started again.
    Broker,
}

/// What is done to a fleet without an inbox, and to one with it.
const FLEETS: [(Which, &[Blow]); 2] = [
    (Which::Plain, &[Blow::Kill, Blow::Stop, Blow::Database, Blow::Connections, Blow::Promote]),
    (Which::Inbox, &[Blow::Kill, Blow::Database, Blow::Connections, Blow::Promote, Blow::Broker]),
];

impl Choice {
    /// The blows of each fleet that gets some.
    fn fleets(&self) -> Vec<(Which, Vec<Blow>)> {
        let wanted = |blow: &Blow| self.blows.is_empty() || self.blows.contains(blow);
        let fleets =
            FLEETS.into_iter().filter(|(which, _)| self.only.is_none_or(|one| one == *which));
        let chosen =
            fleets.map(|(which, blows)| (which, blows.iter().copied().filter(wanted).collect()));
        chosen.filter(|(_, blows): &(Which, Vec<Blow>)| !blows.is_empty()).collect()
    }
}

/// The longest time that an endpoint got nothing after a blow.
#[derive(Debug, Clone)]
struct Pause {
    path: &'static str,
    /// How long after the blow it began.
    begins: Duration,
    lasts: Duration,
}

impl std::fmt::Display for Pause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (lasts, begins) = (self.lasts.as_secs_f64(), self.begins.as_secs_f64());
        write!(f, "{lasts:.1} s without deliveries to {}, from {begins:.1} s on", self.path)
    }
}

/// From when to when something was broken.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    from: Instant,
    until: Instant,
}

pub(super) struct Fleet {
    database: Cluster,
    /// Where the other database is, which takes over from the first.
    other_port: u16,
    /// It follows the first, while one is about to be promoted.
    standby: Option<Cluster>,
    broker: Option<Broker>,
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
    inbox::fits(Fault::Broker, options.inbox)?;
    let mut summary = Summary { cycles: options.cycles, ..Summary::default() };
    let bar = options.progress();
    let fleets = options.fleet.fleets();
    ensure!(!fleets.is_empty(), "that fleet gets none of these faults");
    bar.set_length(
        options.cycles * fleets.iter().map(|(_, blows)| blows.len() as u64).sum::<u64>(),
    );
    let mut dice = Dice::new(options.seed);
    for (which, blows) in fleets {
        let broker = (which == Which::Inbox).then(|| Broker::start(options.inbox)).transpose()?;
        let fleet = Fleet::with(options, broker)?;
        fleet.torture(&blows, options, (&mut dice, &mut summary), &bar)?;
    }
    bar.finish_and_clear();
    Ok(summary)
}

impl Fleet {
    pub(super) fn start(options: &Options) -> Result<Self> {
        Self::with(options, None)
    }

    fn with(options: &Options, broker: Option<Broker>) -> Result<Self> {
        let folder = place::work_folder("torture")?.join(format!("fleet-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder)?;
        let (database, other_port) = (Cluster::start(Sync::Yes)?, postgres::free_port()?);
        let mut program = options.program.clone();
        program.settings = "";
        // Either may be the one that can be written to; a host that has none refuses at once.
        let ports = format!("127.0.0.1:{},127.0.0.1:{other_port}", database.port());
        let url = format!("postgres://doorbell@{ports}/postgres");
        program.after.extend(["--store".to_owned(), url]);
        if let Some(broker) = &broker {
            program.after.extend(["--inbox".to_owned(), broker.inbox("torture")?]);
        }
        let mut fleet = Self {
            database,
            other_port,
            standby: None,
            broker,
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

    /// All blows, again and again; what was seen goes into the summary.
    fn torture(
        mut self,
        blows: &[Blow],
        options: &Options,
        (dice, summary): (&mut Dice, &mut Summary),
        bar: &ProgressBar,
    ) -> Result<()> {
        let mut slowest: Vec<Option<Pause>> = vec![None; blows.len()];
        for cycle in 0..options.cycles {
            for (blow, slowest) in blows.iter().zip(&mut slowest) {
                let which = usize::try_from(dice.below(NODES as u64))?;
                let pause = self.measured(*blow, which, options, summary).with_context(|| {
                    format!("{blow:?} of node {which}, cycle {cycle}; {}", self.logs())
                })?;
                if slowest.as_ref().is_none_or(|slowest| slowest.lasts < pause.lasts) {
                    *slowest = Some(pause);
                }
                self.look(dice, summary)
                    .with_context(|| format!("after {blow:?}, cycle {cycle}"))?;
                bar.inc(1);
            }
            if bar.is_hidden() && (cycle + 1) % TOLD_EVERY == 0 {
                let told = blows.iter().zip(slowest.iter().flatten());
                let told: Vec<String> = told
                    .map(|(blow, p)| format!("{blow:?} {:.1} s", p.lasts.as_secs_f64()))
                    .collect();
                println!("  {} of each so far; the longest pauses: {}", cycle + 1, told.join(", "));
            }
        }
        self.finish(dice, summary)?;
        let behind = if self.broker.is_some() { " behind an inbox" } else { "" };
        let told = blows.iter().zip(slowest.iter().flatten());
        let mut notes: Vec<String> =
            told.map(|(blow, pause)| format!("{blow:?}{behind}: {pause}")).collect();
        notes.push(format!("circuit breakers that opened{behind}: {}", self.breakers()));
        // The other fleet may fail yet.
        bar.suspend(|| notes.iter().for_each(|note| println!("  {note}")));
        summary.notes.extend(notes);
        drop(std::fs::remove_dir_all(&self.folder));
        Ok(())
    }

    /// A blow, again where everything stood still meanwhile; an error where deliveries went on too late.
    fn measured(
        &mut self,
        blow: Blow,
        which: usize,
        options: &Options,
        summary: &mut Summary,
    ) -> Result<Pause> {
        let pause = loop {
            let stood = stood_still();
            let pause = self.endure(blow, which, options, summary)?;
            if stood_still() == stood {
                break pause;
            }
        };
        ensure!(
            options.resume.is_none_or(|most| pause.lasts.as_secs_f64() <= most),
            "deliveries went on too late: {pause}; {} circuit breakers have opened so far",
            self.breakers()
        );
        Ok(pause)
    }

    /// How many circuit breakers have opened so far. The receiver never fails twice in a row: none should, and where one
    /// did, a pause may be its own.
    fn breakers(&self) -> usize {
        self.nodes.iter().map(|node| node.logged("a circuit breaker has opened")).sum()
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

    /// Where the database is.
    pub(super) fn url(&self) -> String {
        self.database.url()
    }

    /// From now on nodes are started with this binary.
    pub(super) fn take_binary(&mut self, binary: &Path) {
        binary.clone_into(&mut self.program.binary);
    }

    /// Stops a node politely and starts it again.
    pub(super) fn replace(&mut self, which: usize) -> Result<()> {
        let old = self.nodes.get_mut(which).context("no such node")?;
        let status = old.stop()?;
        ensure!(status.success(), "SIGTERM: {status}; {}", old.log_tail());
        let new = self.start_node(which)?;
        *self.nodes.get_mut(which).context("no such node")? = new;
        Ok(())
    }

    /// Load on one node, as of a new life.
    pub(super) fn load(&mut self, which: usize, shape: Shape) -> Result<Load> {
        self.lives += 1;
        let node = self.nodes.get(which).context("no such node")?;
        Ok(Load::start(&node.ingest, &self.ledger, self.lives, shape))
    }

    /// One blow under load; how long it took until both endpoints got something again.
    fn endure(
        &mut self,
        blow: Blow,
        which: usize,
        options: &Options,
        summary: &mut Summary,
    ) -> Result<Pause> {
        let shape = Shape {
            connections: options.connections.div_ceil(NODES as u64),
            events: u64::MAX,
            ballast: 0,
            every: options
                .fleet
                .rate
                .filter(|rate| *rate > 0.0)
                .map(|rate| Duration::from_secs_f64(options.connections as f64 / rate)),
        };
        if blow == Blow::Promote {
            self.standby = Some(self.database.standby(self.other_port)?);
        }
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
        std::thread::sleep(self.watch(blow));
        self.troubles.push(Trouble { from, until: Instant::now() });
        for load in loads {
            summary.add(&load.stop())?;
        }
        // How long a server takes until it is there again is not ours.
        let theirs = matches!(blow, Blow::Database | Blow::Promote | Blow::Broker);
        let since = if theirs { whole } else { from };
        ["/steady", "/shaky"]
            .map(|path| pause_after(&self.receiver.hits(), path, since))
            .into_iter()
            .max_by_key(|pause| pause.lasts)
            .context("no endpoint")
    }

    /// How long a blow is watched.
    fn watch(&self, blow: Blow) -> Duration {
        let [missed, other] = if self.broker.is_some() { WATCH_BEHIND_INBOX } else { WATCH };
        if matches!(blow, Blow::Kill | Blow::Stop) { missed } else { other }
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
            Blow::Promote => self.promote()?,
            Blow::Broker => {
                let broker = self.broker.as_mut().context("there is no broker")?;
                broker.kill()?;
                broker.run()?;
            }
        }
        Ok(Instant::now())
    }

    /// The database dies for good; its standby takes over, and the next standby will be where the old one was.
    fn promote(&mut self) -> Result<()> {
        let standby = self.standby.take().context("there is no standby")?;
        self.database.kill()?;
        standby.promote()?;
        self.other_port = self.database.port();
        self.database = standby;
        Ok(())
    }

    fn look(&mut self, dice: &mut Dice, summary: &mut Summary) -> Result<()> {
        if self.broker.is_some() {
            // What was acknowledged may still be in the inbox.
            self.drain(ARRIVES).with_context(|| self.logs())?;
        }
        check::received_is_promised(&self.ledger, &self.receiver.hits())?;
        let node = self.nodes.first().context("no node")?;
        summary.events_read += self.known.check(&mut node.api(&self.token), &self.ledger, dice)?;
        Ok(())
    }

    pub(super) fn finish(&mut self, dice: &mut Dice, summary: &mut Summary) -> Result<()> {
        self.drain(ARRIVES).with_context(|| self.logs())?;
        self.look(dice, summary)?;
        summary.acked += self.ledger.acked() as u64;
        summary.deliveries += self.receiver.requests();
        summary.duplicates += self.duplicates()?;
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
        let patience = Patience::of(limit);
        loop {
            let missing = check::missing(&self.ledger, &self.receiver, ["/steady", "/shaky"]);
            if missing == 0 {
                return Ok(());
            }
            ensure!(
                patience.lasts(),
                "{missing} deliveries have not arrived within {limit:?}; {}",
                self.standing()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How many deliveries wait for which endpoint, and who holds them; what the database does; what each node counts.
    fn standing(&self) -> String {
        let asked = STANDING.iter().map(|(what, sql)| {
            let found = self.database.sql(sql).unwrap_or_else(|fault| fault.to_string());
            format!("{what}:\n{found}")
        });
        let counted = self.nodes.iter().map(|node| {
            let token = node.token.as_deref().unwrap_or_default();
            let metrics = node.api(token).send("GET /metrics", "", b"");
            let metrics = metrics.map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
            let lines = metrics.unwrap_or_else(|fault| fault.to_string());
            let lines: Vec<&str> = lines.lines().filter(|line| is_telling(line)).collect();
            format!("a node counts:\n{}", lines.join("\n"))
        });
        asked.chain(counted).collect::<Vec<_>>().join("\n")
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

/// What is asked of the database when something does not arrive.
const STANDING: [(&str, &str); 3] = [
    ("nodes", "SELECT id, name, alive_until - now(), delivers FROM nodes ORDER BY id"),
    (
        "waiting, by endpoint and holder: how many, since when, their leases",
        "SELECT right(endpoint::text, 4), holder, count(*), to_timestamp(min(due) / 1000.0), min(lease), max(lease)
         FROM deliveries WHERE state = 0 GROUP BY endpoint, holder",
    ),
    (
        "connections",
        "SELECT pid, state, wait_event_type, wait_event, now() - query_start, left(regexp_replace(query, '\\s+', ' ', 'g'), 90)
         FROM pg_stat_activity WHERE application_name = 'doorbell'",
    ),
];

/// Whether a line of metrics is of use to whom something does not arrive: neither a comment nor 0 nor part of a histogram.
fn is_telling(line: &str) -> bool {
    !line.starts_with('#') && !line.ends_with(" 0") && !line.contains("_bucket{")
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

/// The longest time after that moment in which this endpoint got nothing.
fn pause_after(hits: &Hits, path: &'static str, since: Instant) -> Pause {
    let of_path = hits.iter().filter(|((_, to), _)| to == path).flat_map(|(_, all)| all);
    let mut times: Vec<Instant> = of_path.map(|hit| hit.at).filter(|at| *at > since).collect();
    times.sort_unstable();
    let begins = std::iter::once(since).chain(times.iter().copied());
    let pauses = begins.zip(&times).map(|(from, to)| (from - since, *to - from));
    let (begins, lasts) =
        pauses.max_by_key(|(_, lasts)| *lasts).unwrap_or((Duration::ZERO, Duration::MAX));
    Pause { path, begins, lasts }
}
