//! The gateway on `PostgreSQL`, one node and two, against what the same server takes when `pgbench` writes the same rows:
//! an event with its key and its delivery, then the delivery's new state and its attempt.

use super::backlog::set_all;
use super::load::{self, Spec, Template};
use super::report::{self, Row};
use super::sample::{Histogram, median};
use super::share::Share;
use super::sink::Sink;
use super::{Flags, process};
use crate::node::{self, Node, Program};
use crate::payload::SECRET;
use crate::place::{self, Profile};
use crate::postgres::{Cluster, Sync};
use crate::still::Patience;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Endpoints, each for a share of the events: what one node looks after is spread over them.
const ENDPOINTS: u64 = 16;
/// Events that the ceiling writes with one statement: as many as the gateway gathers at this load, or more.
const BATCH: u64 = 100;
/// Connections of the ceiling.
const CLIENTS: &str = "8";
const DRAIN_MAX: Duration = Duration::from_secs(120);
/// How long a node may take to make the days of new tables.
const DAYS_MAX: Duration = Duration::from_secs(30);
const DAYS: &str = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass";

/// `bench postgres`.
pub(super) fn run(flags: &Flags) -> Result<()> {
    let program = match &flags.binary {
        Some(binary) => binary.clone(),
        None => place::build("doorbell", Profile::Dist)?,
    };
    let (one, rest) = side(flags, &program, 1)?;
    let (two, _) = side(flags, &program, 2)?;
    let ratio = |of: &Side| of.delivered.iter().zip(&of.ceiling).map(|(a, b)| a / b).collect();
    let (with_one, with_two): (Vec<f64>, Vec<f64>) = (ratio(&one), ratio(&two));
    let [ceiling, waited] = rest;
    let rows = [
        ceiling,
        one.row("one node"),
        two.row("two nodes"),
        waited,
        shares(flags),
        Row::new("delivered / ceiling, of pairs")
            .number("one", median(&with_one))
            .number("two", median(&with_two))
            .number("two_to_one", median(&two.delivered) / median(&one.delivered)),
    ];
    report::keep("postgres", &rows)
}

/// What nodes and database may use of the processors; without a word, all.
fn shares(flags: &Flags) -> Row {
    let row = Row::new("processors");
    let row = flags.node_share.into_iter().fold(row, |row, share| row.number("each_node", share));
    flags.database_share.into_iter().fold(row, |row, share| row.number("database", share))
}

/// So many nodes over all rounds, and the ceiling between the rounds.
#[derive(Default)]
struct Side {
    accepted: Vec<f64>,
    delivered: Vec<f64>,
    node_us: Vec<f64>,
    database_us: Vec<f64>,
    statements: Vec<f64>,
    ceiling: Vec<f64>,
    answers: Histogram,
    mb: f64,
}

impl Side {
    fn row(&self, name: &str) -> Row {
        Row::new(name)
            .number("accepted", median(&self.accepted))
            .number("delivered", median(&self.delivered))
            .number("node_us", median(&self.node_us))
            .number("database_us", median(&self.database_us))
            .number("statements", median(&self.statements))
            .number("rss_mb", self.mb)
            .quantiles(&self.answers)
    }
}

/// With the ceiling's own row, and that of what had waited.
fn side(flags: &Flags, program: &Path, count: usize) -> Result<(Side, [Row; 2])> {
    let epoch = Instant::now();
    let mut fleet = Fleet::start(program, count)?;
    let sink = Sink::start(epoch)?;
    fleet.configure(&sink)?;
    let ceiling = Ceiling::new(program, &fleet.cluster, &fleet.folder)?;
    fleet.hold(flags)?;
    let (mut side, mut bound_us) = (Side::default(), Vec::new());
    for round in 0..=flags.rounds {
        let Round { rates, node_us, database_us, statements, answers } =
            fleet.round(flags, &sink, epoch)?;
        let (most, most_us) = ceiling.measure(flags, &fleet.cluster)?;
        // The first round warms everything up.
        if round > 0 {
            side.accepted.push(rates.0);
            side.delivered.push(rates.1);
            side.node_us.push(node_us);
            side.database_us.push(database_us);
            side.statements.push(statements);
            side.ceiling.push(most);
            side.answers.merge(&answers);
            bound_us.push(most_us);
        }
    }
    for node in &fleet.nodes {
        side.mb += process::rss_bytes(node.pid())? as f64 / 1e6;
    }
    let row = Row::new("pgbench, the same rows")
        .number("events", median(&side.ceiling))
        .number("database_us", median(&bound_us))
        .number("statements", 2.0 / BATCH as f64);
    Ok((side, [row, fleet.what_had_waited(flags, &sink, epoch)?]))
}

struct Round {
    /// Accepted and delivered a second.
    rates: (f64, f64),
    node_us: f64,
    database_us: f64,
    statements: f64,
    answers: Histogram,
}

struct Fleet {
    cluster: Cluster,
    nodes: Vec<Node>,
    folder: PathBuf,
    /// Last: a group goes when nobody is in it any more.
    shares: Vec<Share>,
}

impl Fleet {
    /// Holds nodes and database to their shares.
    fn hold(&mut self, flags: &Flags) -> Result<()> {
        if let Some(processors) = flags.node_share {
            for node in &self.nodes {
                self.shares.push(Share::of(&[node.pid()], processors)?);
            }
        }
        if let Some(processors) = flags.database_share {
            self.shares.push(Share::of(&self.cluster.pids()?, processors)?);
        }
        Ok(())
    }

    fn start(binary: &Path, count: usize) -> Result<Self> {
        let folder = place::work_folder("bench")?.join("fleet");
        drop(std::fs::remove_dir_all(&folder));
        let cluster = Cluster::start(Sync::Yes)?;
        let mut program = Program::new(binary.to_owned());
        program.after.extend(["--store".to_owned(), cluster.url()]);
        let mut nodes = Vec::new();
        for n in 0..count {
            let place = folder.join(n.to_string());
            std::fs::create_dir_all(&place)?;
            nodes.push(program.start(&place.join("data"), None)?.ready()?);
        }
        Ok(Self { cluster, nodes, folder, shares: Vec::new() })
    }

    fn configure(&self, sink: &Sink) -> Result<()> {
        let node = self.nodes.first().context("no node")?;
        let mut api = node.api(node.token.as_deref().context("the start printed no token")?);
        node::make_source(&mut api, "bench", SECRET)?;
        for n in 0..ENDPOINTS {
            let name = format!("e{n:05}");
            let more = json!({"event_types": [name], "concurrency": 64});
            node::make_endpoint(&mut api, &name, &format!("http://{}/{n}", sink.address), &more)?;
        }
        // Every node has heard of it by then, or answers what it is told to deliver a moment later.
        std::thread::sleep(Duration::from_secs(2));
        Ok(())
    }

    fn cpu(&self) -> Result<f64> {
        self.nodes.iter().map(|node| process::cpu_seconds(node.pid())).sum()
    }

    /// How fast a backlog goes, claimed piece by piece: nothing comes in meanwhile.
    fn what_had_waited(&self, flags: &Flags, sink: &Sink, epoch: Instant) -> Result<Row> {
        let node = self.nodes.first().context("no node")?;
        let mut api = node.api(node.token.as_deref().context("the start printed no token")?);
        set_all(&mut api, "pause")?;
        let arrived = sink.count();
        let (count, _, _) = self.post(flags, epoch)?;
        let (cpu, database) = (self.cpu()?, self.cluster.cpu_seconds()?);
        let begun = Instant::now();
        set_all(&mut api, "enable")?;
        let end = sink.wait_for(arrived + count, DRAIN_MAX)?;
        let deliveries = count as f64;
        Ok(Row::new("what had waited")
            .number("delivered", deliveries / end.saturating_duration_since(begun).as_secs_f64())
            .number("node_us", (self.cpu()? - cpu) * 1e6 / deliveries)
            .number("database_us", (self.cluster.cpu_seconds()? - database) * 1e6 / deliveries))
    }

    fn round(&self, flags: &Flags, sink: &Sink, epoch: Instant) -> Result<Round> {
        let (cpu, database) = (self.cpu()?, self.cluster.cpu_seconds()?);
        let (commits, arrived) = (commits(&self.cluster)?, sink.count());
        let begun = Instant::now();
        let (count, accepted, answers) = self.post(flags, epoch)?;
        let end = sink.wait_for(arrived + count, DRAIN_MAX)?;
        let events = count as f64;
        Ok(Round {
            rates: (accepted, events / end.saturating_duration_since(begun).as_secs_f64()),
            node_us: (self.cpu()? - cpu) * 1e6 / events,
            database_us: (self.cluster.cpu_seconds()? - database) * 1e6 / events,
            statements: (self::commits(&self.cluster)? - commits) / events,
            answers,
        })
    }

    /// Load on all nodes for a while: how many events were taken in, how many a second, and how long the answers took.
    fn post(&self, flags: &Flags, epoch: Instant) -> Result<(u64, f64, Histogram)> {
        let share = (flags.connections / self.nodes.len() as u64).max(1);
        let mut loads = Vec::new();
        for node in &self.nodes {
            let spec = Spec {
                address: node.ingest.trim_start_matches("http://").to_owned(),
                template: Template::github("/in/bench", ENDPOINTS)?,
                connections: share,
                duration: flags.seconds(5.0),
                limit: u64::MAX,
                rate: None,
                epoch: epoch - Duration::from_secs(super::fresh_number() * 1_000),
            };
            loads.push(std::thread::spawn(move || load::run(spec)));
        }
        let (mut answers, mut accepted) = (Histogram::default(), 0.0);
        for load in loads {
            let done = load.join().map_err(|_| anyhow::anyhow!("a load panicked"))??;
            ensure!(done.failed == 0, "{} requests failed", done.failed);
            accepted += done.rate();
            answers.merge(&done.answers);
        }
        Ok((answers.count(), accepted, answers))
    }
}

/// Transactions so far: each statement outside one is one.
fn commits(cluster: &Cluster) -> Result<f64> {
    let sql = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'postgres'";
    Ok(cluster.sql(sql)?.parse()?)
}

/// The same tables in a database of their own, and what writes into them.
struct Ceiling {
    url: String,
    script: PathBuf,
}

impl Ceiling {
    fn new(binary: &Path, cluster: &Cluster, folder: &Path) -> Result<Self> {
        cluster.sql("CREATE DATABASE ceiling")?;
        let url = cluster.url().replace("/postgres", "/ceiling");
        // A node makes the tables, and a moment later the days.
        let mut program = Program::new(binary.to_owned());
        program.after.extend(["--store".to_owned(), url.clone()]);
        let mut node = program.start(&folder.join("ceiling"), None)?.ready()?;
        let patience = Patience::of(DAYS_MAX);
        while cluster.sql_at(&url, DAYS)? == "0" {
            ensure!(patience.lasts(), "the node makes no days");
            std::thread::sleep(Duration::from_millis(50));
        }
        node.stop()?;
        Ok(Self { url, script: folder.join("ceiling.sql") })
    }

    /// Events a second, and what one costs the server, in microseconds of CPU.
    fn measure(&self, flags: &Flags, cluster: &Cluster) -> Result<(f64, f64)> {
        let size =
            |table: &str| cluster.sql(&format!("SELECT avg(length(record))::int FROM {table}"));
        std::fs::write(&self.script, script(&size("events")?, &size("attempts")?))?;
        let before = cluster.cpu_seconds()?;
        let mut pgbench = std::process::Command::new(cluster.program("pgbench"));
        pgbench.args(["--no-vacuum", "--client", CLIENTS, "--jobs", "2", "--time"]);
        pgbench
            .arg(flags.seconds(5.0).as_secs().max(1).to_string())
            .arg("--file")
            .arg(&self.script);
        let output = pgbench.arg(&self.url).output().context("cannot start pgbench")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "pgbench: {}", String::from_utf8_lossy(&output.stderr));
        let number = |after: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(after));
            let word = line.and_then(|rest| rest.split([' ', '/']).next());
            word.and_then(|word| word.parse::<f64>().ok())
                .with_context(|| format!("pgbench: {text}"))
        };
        let done = number("number of transactions actually processed: ")? * BATCH as f64;
        let spent = cluster.cpu_seconds()? - before;
        Ok((number("tps = ")? * BATCH as f64, spent * 1e6 / done))
    }
}

/// What is written for so many events: the same rows in the same tables, with records of the same lengths.
fn script(event: &str, attempt: &str) -> String {
    format!(
        "WITH u AS MATERIALIZED (
    SELECT ((extract(epoch FROM now()) * 1000)::int8 << 20) + (nextval('places') & 1048575) AS seq, gen_random_uuid() AS id,
        (extract(epoch FROM now()) * 1000)::int8 AS at FROM generate_series(1, {BATCH})
), k AS (
    INSERT INTO dedupe (scope, key, seq, event, at, until)
    SELECT '11111111-1111-1111-1111-111111111111', uuid_send(id), seq, id, at, at + 259200000 FROM u
    ON CONFLICT (scope, key) DO NOTHING
), e AS (
    INSERT INTO events (seq, id, kind, at, method, body_len, record)
    SELECT seq, id, 1, at, 'POST', {event}, decode(repeat('ab', {event}), 'hex') FROM u
), d AS (
    INSERT INTO deliveries (seq, nth, id, tenant, event, endpoint, attempts, state, due, holds_key, asked, holder, lease)
    SELECT seq, 0, gen_random_uuid(), id, id, '22222222-2222-2222-2222-222222222222', 0, 0, at, false, false, 1, 1 FROM u
) SELECT quote_literal(array_agg(seq)::text) AS seqs FROM u
\\gset
WITH s AS (
    UPDATE deliveries SET holder = 0, attempts = 1, state = 1, updated = due, last_status = 200
    WHERE seq = ANY (:seqs::int8[]) AND nth = 0 RETURNING seq, nth
) INSERT INTO attempts (seq, nth, made, record) SELECT seq, nth, 1, decode(repeat('cd', {attempt}), 'hex') FROM s;
"
    )
}
